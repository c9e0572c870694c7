// Two instances of one extension, and two extensions, share nothing.
#include <gtest/gtest.h>

#include "support/pipelines.h"

namespace pf::test {
namespace {

constexpr char kNosy[] = R"(
  outputs.saw_global = rawget(_G, 'leak') ~= nil
  outputs.saw_upper = ('x'):upper()
  outputs.saw_module = require('shared').count
  leak = 1
  string.upper = function() return 'replaced' end
  table.insert = nil
  require('shared').count = require('shared').count + 1
  pcall(function() getmetatable('').__index = {} end)
  outputs.config = config
)";

TEST(Isolation, InstancesOfOneExtensionShareNothing) {
  Project project;
  project.extension("nosy", execute(kNosy), "",
                    "local s = require 'schema'\nreturn {Config = s.object {secret = s.integer {}}}");
  project.write("extensions/nosy/shared.lua", "return {count = 0}");
  std::string yaml = "p:\n  core: {execution_defaults: {max_parallel: 1}}\n  nosy:\n";
  for (int i = 0; i < 20; ++i) {
    yaml += "    - {name: n" + std::to_string(i) + ", secret: " + std::to_string(i) + "}\n";
  }
  const auto run = run_pipeline(project, yaml);
  EXPECT_EQ(run.output.code, 0) << run.output.err << run.output.out;
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(
        run.outputs("nosy.n" + std::to_string(i)),
        Json({{"saw_global", false}, {"saw_upper", "X"}, {"saw_module", 0}, {"config", {{"secret", i}}}}));
  }
}

TEST(Isolation, ExtensionsShareNothing) {
  Project project;
  for (const char* name : {"first", "second"}) {
    project.extension(name, execute(kNosy));
    project.write(std::string("extensions/") + name + "/shared.lua", "return {count = 0}");
  }
  const auto run = run_pipeline(project, R"(p:
  first: [{name: a}]
  second: [{name: b, depends_on: [first.a]}]
)");
  const Json fresh = {
      {"saw_global", false}, {"saw_upper", "X"}, {"saw_module", 0}, {"config", Json::object()}};
  EXPECT_EQ(run.outputs("first.a"), fresh);
  EXPECT_EQ(run.outputs("second.b"), fresh);
}

TEST(Isolation, AnInstanceSeesNothingOfThePipelineButItsConfig) {
  Project project;
  project.extension("look", execute(R"(
    local seen = {}
    for key in pairs(self) do seen[#seen + 1] = key end
    table.sort(seen)
    outputs.seen = table.concat(seen, ' ')
    outputs.name = self.name
  )"));
  const auto run =
      run_pipeline(project, "p:\n  core: {variables: {x: hidden}}\n  look: [{name: a}, {name: b}]\n");
  const std::string seen = run.outputs("look.a").value("seen", "");
  EXPECT_EQ(seen.find("pipeline"), std::string::npos);
  EXPECT_EQ(run.outputs("look.a")["name"], "a");
  EXPECT_EQ(run.output.out.find("hidden"), std::string::npos);
}

}  // namespace
}  // namespace pf::test
