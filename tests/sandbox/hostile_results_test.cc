// Outputs and state with metamethods, without end, or too large: read raw, and refused where they are no
// data.
#include <gmock/gmock.h>

#include "support/attack.h"

namespace pf::test {
namespace {

TEST(HostileResults, MetamethodsAreNotCalled) {
  Project project;
  Attack attack;
  const std::string trap =
      "local function never() while true do end end\n"
      "local trap = setmetatable({a = 1}, {__index = never, __len = never, __pairs = never, __ipairs = "
      "never, "
      "__tostring = never, __call = never, __newindex = error})\n";
  attack.bodies = {
      {"value", trap + "outputs.trap = trap"},
      {"whole", trap + "self.outputs = trap"},
      {"state", trap + "self.state.trap = trap outputs.a = 1"},
      {"raising", "setmetatable(outputs, {__pairs = error, __index = error}) rawset(outputs, 'a', 1)"}};
  const auto run = run_attack(project, attack);
  EXPECT_EQ(run.outputs("attack.value"), Json({{"trap", {{"a", 1}}}}));
  EXPECT_EQ(run.outputs("attack.whole"), Json({{"a", 1}}));
  EXPECT_EQ(run.outputs("attack.state"), Json({{"a", 1}}));
  EXPECT_EQ(run.outputs("attack.raising"), Json({{"a", 1}}));
}

TEST(HostileResults, WhatIsNoDataFails) {
  Project project;
  Attack attack;
  attack.bodies = {{"function", "outputs.f = function() end"},
                   {"cycle", "outputs.t = outputs"},
                   {"nan", "outputs.n = 0/0"},
                   {"thread", "outputs.c = coroutine.create(function() end)"},
                   {"hidden", "setmetatable(outputs, {__index = error}) rawset(outputs, 'x', print)"},
                   {"key", "outputs[{}] = 1"},
                   {"text", "self.outputs = 'x'"}};
  const auto run = run_attack(project, attack);
  for (const auto& [name, body] : attack.bodies) {
    EXPECT_EQ(run.result("attack." + name), "failed") << name;
    EXPECT_EQ(run.error_code("attack." + name), "extension.outputs") << name;
  }
}

TEST(HostileResults, AreBounded) {
  Project project;
  Attack attack;
  attack.bodies = {{"text", "outputs.big = ('x'):rep(3 * 1024 * 1024)"},
                   {"list", "local t = {} for i = 1, 1e6 do t[i] = i end outputs.t = t"},
                   {"key", "outputs[('k'):rep(3 * 1024 * 1024)] = 1"},
                   {"shared", "local t = {('x'):rep(1e5)} for i = 1, 30 do outputs['k' .. i] = t end"},
                   {"state", "self.state.big = ('x'):rep(3 * 1024 * 1024)"}};
  const auto run = run_attack(project, attack);
  for (const auto& [name, body] : attack.bodies) {
    EXPECT_EQ(run.error_code("attack." + name), "limit.output") << name;
  }
}

TEST(HostileResults, DoNotControlTheTerminal) {
  Project project;
  project.extension("attack",
                    execute("outputs['\\27[2J'] = '\\27]0;title\\7' forge.log.warn('\\27[2Jgone\\7')\n"
                            "forge.progress(1, 2, '\\27[1A') if self.name == 'bad' then "
                            "error('\\27]0;title\\7') end"));
  project.write("p.yaml", "p:\n  attack: [{name: bad}, {name: other}]\n");
  for (const auto& args : std::vector<std::vector<std::string>>{
           {"run", "p.yaml"}, {"outputs", "p.yaml"}, {"logs", "p.yaml"}, {"status", "p.yaml"}}) {
    const auto output = project.forge(args);
    EXPECT_EQ(output.out.find('\x1b'), std::string::npos) << args[0];
    EXPECT_EQ(output.err.find('\x1b'), std::string::npos) << args[0];
    EXPECT_EQ(output.out.find('\x07'), std::string::npos) << args[0];
  }
}

}  // namespace
}  // namespace pf::test
