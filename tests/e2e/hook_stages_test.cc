// Hooks of a pipeline file, run by the real program: what they say and decide is told, kept, and changes the
// run.
#include <gtest/gtest.h>

#include <filesystem>

#include "support/pipelines.h"

namespace pf::test {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> hooks_of(const RunResult& result) {
  std::vector<std::string> out;
  for (const Json& event : result.all) {
    if (event["event"] != "hook") continue;
    out.push_back(event.value("stage", "") + " " +
                  (event.value("instance", Json()).is_string() ? event["instance"].get<std::string>() : "-") +
                  " " + event.value("decision", ""));
  }
  return out;
}

class HooksRun : public testing::Test {
 protected:
  HooksRun() {
    project_.extension(
        "shows", execute("outputs.region = self.config.region"), "",
        "local s = require 'schema'\nreturn { Config = s.object { region = s.string { default = 'eu' } } }");
    project_.extension("fails", execute("error('over quota in attempt ' .. self.attempt, 0)"));
  }
  Project project_;
};

TEST_F(HooksRun, EveryStageIsAsked) {
  project_.write("all.lua",
                 "local forge = require 'forge'\nreturn function(e) forge.log.info('at ' .. e.stage) end");
  const RunResult result =
      run_pipeline(project_,
                   "p:\n  core:\n    hooks: {before_pipeline: all.lua, after_plan: all.lua, "
                   "before_instance: all.lua, on_retry: all.lua, after_instance: all.lua, on_error: "
                   "all.lua, after_pipeline: all.lua}\n  fails: [{name: a, max_attempts: 2}]\n");
  EXPECT_EQ(result.output.code, 1) << result.output.err;
  const std::vector<std::string> expected = {"before_pipeline - none",       "after_plan - none",
                                             "before_instance fails.a none", "on_retry fails.a none",
                                             "on_error fails.a none",        "after_instance fails.a none",
                                             "after_pipeline - none"};
  EXPECT_EQ(hooks_of(result), expected);
  EXPECT_TRUE(result.left.empty());
  for (const char* format : {"text", "json"}) {
    const Output output = project_.forge({"run", "p.yaml", "--format", format});
    EXPECT_EQ(output.code, 1) << output.err;
    EXPECT_NE(output.out.find("at before_pipeline"), std::string::npos) << output.out;
    EXPECT_NE(output.out.find("at after_instance"), std::string::npos) << output.out;
  }
}

TEST_F(HooksRun, PatchSkipAndVeto) {
  project_.write(
      "h.lua",
      "return function(e)\n  if e.instance == 'shows.a' then return { config = { region = 'us' } } end\n"
      "  if e.instance == 'shows.b' then return { skip = 'not b' } end\n"
      "  if e.instance == 'shows.c' then error('never c', 0) end\n"
      "  return { config = { regoin = 'x' } }\nend");
  const RunResult result = run_pipeline(project_,
                                        "p:\n  core: {hooks: {before_instance: h.lua}}\n  shows: [{name: a}, "
                                        "{name: b}, {name: c}, {name: d}]\n");
  EXPECT_EQ(result.output.code, 1);
  EXPECT_EQ(result.outputs("shows.a"), Json({{"region", "us"}}));
  EXPECT_EQ(result.result("shows.b"), "skipped");
  EXPECT_EQ(result.result("shows.c"), "failed");
  EXPECT_EQ(result.error_code("shows.c"), "hook.veto");
  EXPECT_EQ(result.error_message("shows.c"), "never c");
  EXPECT_EQ(result.result("shows.d"), "failed");
  EXPECT_EQ(result.error_code("shows.d"), "config.unknown_key") << result.error_message("shows.d");
}

TEST_F(HooksRun, OneMoreAttempt) {
  project_.write("h.lua", "return function() return { retry = true } end");
  const RunResult result = run_pipeline(project_, "p:\n  fails: [{name: a, hooks: {on_error: h.lua}}]\n");
  EXPECT_EQ(result.output.code, 1);
  EXPECT_EQ(result.error_message("fails.a"), "over quota in attempt 2");
}

TEST_F(HooksRun, AVetoOfThePipelineRunsNothing) {
  project_.write("h.lua", "return function() error('frozen', 0) end");
  const RunResult result =
      run_pipeline(project_, "p:\n  core: {hooks: {before_pipeline: h.lua}}\n  shows: [{name: a}]\n");
  EXPECT_EQ(result.output.code, 1);
  EXPECT_EQ(result.finished["result"], "failed");
  EXPECT_NE(result.output.out.find("\"hook.veto\""), std::string::npos) << result.output.out;
  EXPECT_EQ(result.output.out.find("instance_started"), std::string::npos);
}

TEST_F(HooksRun, ABadScriptIsRefusedBeforeAnythingIsWritten) {
  project_.write("h.lua", "return function(\nend");
  project_.write("p.yaml", "p:\n  core: {hooks: {before_pipeline: h.lua}}\n  shows: [{name: a}]\n");
  for (const char* command : {"validate", "run"}) {
    const Output output = project_.forge({command, "p.yaml"});
    EXPECT_EQ(output.code, 3) << output.out << output.err;
    EXPECT_NE((output.out + output.err).find("h.lua:2: "), std::string::npos) << output.out << output.err;
  }
  EXPECT_FALSE(fs::exists(project_.path() / ".pangeo-forge"));
}

TEST_F(HooksRun, TheExampleRunsAndFreezes) {
  fs::copy(fs::path(PF_SOURCE_DIR) / "examples/hooks", project_.path() / "example",
           fs::copy_options::recursive);
  const Output output = project_.forge({"run", "example/pipeline.yaml", "--format", "json"});
  EXPECT_EQ(output.code, 0) << output.out << output.err;
  EXPECT_NE(output.out.find("before_pipeline: hooks-example"), std::string::npos) << output.out;
  project_.write("example/FREEZE", "the auditors are here");
  const Output frozen = project_.forge({"run", "example/pipeline.yaml"});
  EXPECT_EQ(frozen.code, 1) << frozen.out << frozen.err;
  EXPECT_NE((frozen.out + frozen.err).find("frozen: the auditors are here"), std::string::npos)
      << frozen.out << frozen.err;
}

}  // namespace
}  // namespace pf::test
