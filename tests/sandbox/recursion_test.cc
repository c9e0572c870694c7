// Recursion without end through Lua and through C functions that call back: an error, never a crash.
#include <gmock/gmock.h>

#include "support/attack.h"

namespace pf::test {
namespace {

TEST(Recursion, EndsAsAnError) {
  Project project;
  Attack attack;
  attack.bodies = {
      {"plain", "local function f() return 1 + f() end f()"},
      {"gsub", "local function f(s) return (s:gsub('.', f)) end f('x')"},
      {"wrap", "local function f() return coroutine.wrap(f)() end f()"},
      {"resume",
       "local function f() local ok, e = coroutine.resume(coroutine.create(f)) if not ok then error(e, 0) "
       "end end f()"},
      {"sort", "local function f() table.sort({3, 2, 1}, function(a, b) f() return a < b end) end f()"},
      {"format",
       "local t = {} setmetatable(t, {__tostring = function() return string.format('%s', t) end}) "
       "local s = string.format('%s', t)"},
      {"tostring",
       "local t = {} setmetatable(t, {__tostring = function() return tostring(t) .. '' end}) print(t)"},
      {"index",
       "local t = setmetatable({}, {}) getmetatable(t).__index = function(_, k) return t[k + 1] end "
       "local x = t[1]"},
      {"concat",
       "local t = setmetatable({}, {}) getmetatable(t).__concat = function() return t .. t end "
       "local x = t .. t"},
      {"foreach", "local function f() table.foreach({1}, f) end f()"},
      {"try", "local function f() forge.async.await(forge.async.spawn(f)) end f()"},
      {"finally", "local function f() forge.finally(f, print) end f()"},
      {"survivor",
       "local function f() return pcall(f) end f() local function g() return xpcall(g, g) end g() "
       "error('stack overflow survived')"}};
  const auto run = run_attack(project, attack);
  for (const auto& [name, body] : attack.bodies) {
    EXPECT_EQ(run.result("attack." + name), "failed") << name;
    EXPECT_THAT(run.error_code("attack." + name), testing::AnyOf("extension.error", "limit.memory")) << name;
    EXPECT_THAT(run.error_message("attack." + name),
                testing::AnyOf(testing::HasSubstr("stack overflow"), testing::HasSubstr("C stack"),
                               testing::HasSubstr("memory")))
        << name;
  }
}

TEST(Recursion, OfDataEndsAsAnError) {
  Project project;
  Attack attack;
  const std::string deep = "local deep = {} for i = 1, 1e5 do deep = {deep} end ";
  attack.bodies = {{"outputs", deep + "outputs.x = deep"},
                   {"state", deep + "self.state.x = deep"},
                   {"encode", deep + "forge.json.encode(deep)"},
                   {"yaml", deep + "forge.yaml.encode(deep)"},
                   {"decode", "forge.json.decode(('['):rep(1e5))"},
                   {"flow", "forge.yaml.decode(('['):rep(1e5))"},
                   {"argument", deep + "forge.log.info('x', deep) forge.process.run(deep)"}};
  const auto run = run_attack(project, attack);
  const std::map<std::string, std::string> codes = {
      {"outputs", "extension.outputs"}, {"state", "extension.state"}, {"encode", "call.argument"},
      {"yaml", "call.argument"},        {"decode", "json.depth"},     {"flow", "yaml.depth"},
      {"argument", "call.argument"}};
  for (const auto& [name, code] : codes) {
    EXPECT_EQ(run.error_code("attack." + name), code) << name << run.error_message("attack." + name);
  }
}

}  // namespace
}  // namespace pf::test
