// Hooks that a pipeline file declares, asked at every stage of a real run.
#include <gmock/gmock.h>

#include "support/steps.h"

namespace pf::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// Steps with a hook `h.lua`.
class Hooked : public Steps {
 public:
  explicit Hooked(const std::string& body) { says(body); }
  void says(const std::string& body) const {
    write("h.lua", "local forge = require 'forge'\nreturn function(event)\n" + body + "\nend\n");
  }
  /// With the hook at a stage of core, or of t.a.
  static std::string at_core(const std::string& stage, const std::string& a = "") {
    return "p:\n  core: {hooks: {" + stage + ": h.lua}}\n  t:\n    - {name: a" + a +
           "}\n    - {name: b, depends_on: [t.a]}\n";
  }
  static std::string at_instance(const std::string& stage, const std::string& a = "") {
    return "p:\n  t:\n    - {name: a, hooks: {" + stage + ": h.lua}" + a +
           "}\n    - {name: b, depends_on: [t.a]}\n";
  }
};

// `STAGE INSTANCE DECISION TEXT` of each.
std::vector<std::string> asked(const RunResult& run) {
  std::vector<std::string> out;
  for (const Json& one : run.all) {
    if (one.value("event", "") != "hook") continue;
    std::string line = one["stage"].get<std::string>() + " " +
                       (one["instance"].is_null() ? "-" : one["instance"].get<std::string>()) + " " +
                       one["decision"].get<std::string>();
    if (one.contains("text")) line += " " + one["text"].get<std::string>();
    EXPECT_EQ(one["script"], "h.lua");
    out.push_back(std::move(line));
  }
  return out;
}

TEST(RunHooks, BeforeThePipelineLetsGoOnOrVetoes) {
  const Hooked project("forge.log.info('hello from ' .. event.pipeline)");
  const auto run = project.run(Hooked::at_core("before_pipeline"));
  EXPECT_EQ(run.output.code, 0) << run.output.out << run.output.err;
  EXPECT_THAT(asked(run), ElementsAre("before_pipeline - none"));
  const Json log = run.all.size() > 1 ? run.all[1] : Json();
  EXPECT_EQ(log.value("message", ""), "hello from p") << run.output.out;
  EXPECT_TRUE(log["instance"].is_null()) << log;

  const auto text = project.forge({"run", "p.yaml", "--force", "--report", "r.html", "--metrics", "m.txt"});
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_THAT(text.out, HasSubstr(" pipeline: hello from p"));

  project.says("error('frozen until Monday')");
  const auto vetoed = project.run(Hooked::at_core("before_pipeline"), {"--force"});
  EXPECT_EQ(vetoed.output.code, 1);
  EXPECT_EQ(vetoed.finished["result"], "failed");
  EXPECT_THAT(starts(vetoed), IsEmpty());
  EXPECT_THAT(results(vetoed), ElementsAre("t.a cancelled", "t.b blocked"));
  EXPECT_EQ(last(vetoed.all, "error")["code"], "hook.veto");
  EXPECT_THAT(last(vetoed.all, "error")["message"].get<std::string>(), HasSubstr("frozen until Monday"));
}

TEST(RunHooks, AfterThePlanSeesItAndVetoes) {
  const Hooked project(
      "local text = '' for _, i in ipairs(event.plan) do text = text .. i.instance .. '=' .. i.decision .. ' "
      "' "
      "end error(text)");
  const auto run = project.run(Hooked::at_core("after_plan", ", value: 1"));
  EXPECT_EQ(run.output.code, 1);
  EXPECT_THAT(asked(run), ElementsAre("after_plan - veto h.lua:3: t.a=run t.b=run "));
  EXPECT_THAT(starts(run), IsEmpty());
  EXPECT_EQ(last(run.all, "error")["code"], "hook.veto");
}

TEST(RunHooks, BeforeAnInstanceVetoesIt) {
  const Hooked project("error('not on a Friday')");
  const auto run = project.run(Hooked::at_instance("before_instance"));
  EXPECT_EQ(run.output.code, 1);
  EXPECT_THAT(results(run), ElementsAre("t.a failed", "t.b blocked"));
  EXPECT_EQ(run.error_code("t.a"), "hook.veto");
  EXPECT_THAT(run.error_message("t.a"), HasSubstr("not on a Friday"));
  EXPECT_EQ(project.executed("a"), 0);
  EXPECT_EQ(run.finished["first_failed"], "t.a");
}

TEST(RunHooks, BeforeAnInstanceSkipsIt) {
  const Hooked project("return {skip = 'outside of its window'}");
  const auto run = project.run(Hooked::at_instance("before_instance"));
  EXPECT_EQ(run.output.code, 0) << run.output.out;
  EXPECT_THAT(results(run), ElementsAre("t.a skipped", "t.b skipped"));
  EXPECT_THAT(asked(run), ElementsAre("before_instance t.a skip outside of its window"));
  Json why;
  for (const Json& event : run.all) {
    if (event["event"] == "instance_finished" && event["instance"] == "t.a") why = event["why"];
  }
  EXPECT_EQ(why, Json({"outside of its window"}));
  EXPECT_EQ(project.executed("a"), 0);
}

TEST(RunHooks, BeforeAnInstancePatchesItsConfiguration) {
  const Hooked project("return {config = {value = event.config.value .. ' patched'}}");
  const std::string yaml = Hooked::at_instance("before_instance", ", value: plain");
  const auto run = project.run(yaml);
  EXPECT_EQ(run.output.code, 0) << run.output.out;
  EXPECT_EQ(run.outputs("t.a"), Json({{"ran", 1}, {"value", "plain patched"}}));
  // The patch is part of what makes it unchanged, and so is the script.
  const auto again = project.run(yaml);
  EXPECT_THAT(results(again), ElementsAre("t.a cached", "t.b cached"));
  EXPECT_THAT(asked(again), IsEmpty());
  project.says("return {config = {value = 'other'}}");
  const auto why = project.forge({"why", "p.yaml", "t.a"});
  EXPECT_THAT(why.out, HasSubstr("hooks: sha256:"));
  const auto changed = project.run(yaml);
  EXPECT_EQ(changed.outputs("t.a"), Json({{"ran", 2}, {"value", "other"}}));
  EXPECT_EQ(changed.result("t.b"), "cached");
}

TEST(RunHooks, APatchThatTheModelRefusesFailsTheInstance) {
  const Hooked project("return {config = {failures = 'many'}}");
  const auto run = project.run(Hooked::at_instance("before_instance"));
  EXPECT_EQ(run.output.code, 1);
  EXPECT_THAT(results(run), ElementsAre("t.a failed", "t.b blocked"));
  EXPECT_THAT(run.error_message("t.a"), HasSubstr("with what its hooks changed: "));
  EXPECT_THAT(run.error_message("t.a"), HasSubstr("failures"));
  EXPECT_EQ(project.executed("a"), 0);
}

TEST(RunHooks, OnRetryComesBeforeEachFurtherAttempt) {
  const Hooked project("forge.log.info('once more', {attempt = event.attempt})");
  const std::string yaml = Hooked::at_instance("on_retry", ", failures: 2, max_attempts: 3");
  const auto run = project.run(yaml);
  EXPECT_EQ(run.output.code, 0) << run.output.out;
  EXPECT_THAT(asked(run), ElementsAre("on_retry t.a none", "on_retry t.a none"));
  EXPECT_THAT(starts(run), ElementsAre("t.a 1", "t.a 2", "t.a 3", "t.b 1"));
}

TEST(RunHooks, OnRetryMayRefuseIt) {
  const Hooked project("error('that is enough')");
  const auto run = project.run(Hooked::at_instance("on_retry", ", failures: 2, max_attempts: 3"));
  EXPECT_EQ(run.output.code, 1);
  EXPECT_THAT(results(run), ElementsAre("t.a failed", "t.b blocked"));
  EXPECT_THAT(starts(run), ElementsAre("t.a 1"));
  EXPECT_THAT(run.error_message("t.a"), HasSubstr("that is enough"));
}

TEST(RunHooks, OnErrorAsksForOneMoreAttempt) {
  const Hooked project(
      "if event.attempt < 9 and event.error.message:find('step') then return {retry = true} end");
  const auto run = project.run(Hooked::at_instance("on_error", ", failures: 1"));
  EXPECT_EQ(run.output.code, 0) << run.output.out;
  EXPECT_THAT(asked(run), ElementsAre("on_error t.a retry"));
  EXPECT_THAT(starts(run), ElementsAre("t.a 1", "t.a 2", "t.b 1"));
  EXPECT_EQ(run.finished["instances"]["t.a"]["attempts"], 2);
}

TEST(RunHooks, OnErrorThatSaysNothingLeavesTheFailure) {
  const Hooked project("assert(event.result == 'failed' and event.error.code ~= nil)");
  const auto run = project.run(Hooked::at_instance("on_error", ", failures: 9"));
  EXPECT_EQ(run.output.code, 1);
  EXPECT_THAT(asked(run), ElementsAre("on_error t.a none"));
  EXPECT_THAT(run.error_message("t.a"), HasSubstr("step 1"));
}

TEST(RunHooks, AfterAnInstanceSeesItsOutputsAndMayFailIt) {
  const Hooked project("if event.outputs.value == 'bad' then error('bad outputs') end");
  const auto good = project.run(Hooked::at_instance("after_instance", ", value: good"));
  EXPECT_EQ(good.output.code, 0) << good.output.out;
  EXPECT_THAT(asked(good), ElementsAre("after_instance t.a none"));
  const auto bad = project.run(Hooked::at_instance("after_instance", ", value: bad"));
  EXPECT_EQ(bad.output.code, 1);
  EXPECT_THAT(results(bad), ElementsAre("t.a failed", "t.b blocked"));
  EXPECT_THAT(bad.error_message("t.a"), HasSubstr("bad outputs"));
  EXPECT_EQ(bad.outputs("t.a"), Json::object());
  // It has not succeeded: another run tries it again.
  EXPECT_EQ(project.run(Hooked::at_instance("after_instance", ", value: bad")).result("t.a"), "failed");
}

TEST(RunHooks, AfterThePipelineSeesItsResultAndMayFailTheRun) {
  const Hooked project("error(event.result .. ' ' .. (event.error and event.error.instance or 'nobody'))");
  const auto run = project.run(Hooked::at_core("after_pipeline", ", failures: 1"));
  EXPECT_EQ(run.output.code, 1);
  EXPECT_THAT(last(run.all, "error")["message"].get<std::string>(), HasSubstr("failed t.a"));
  // The main work succeeds, the hook fails: the run has failed.
  const auto second = project.run(Hooked::at_core("after_pipeline", ", failures: 1"));
  EXPECT_EQ(second.output.code, 1);
  EXPECT_EQ(second.finished["result"], "failed");
  EXPECT_THAT(results(second), ElementsAre("t.a succeeded", "t.b succeeded"));
  EXPECT_THAT(last(second.all, "error")["message"].get<std::string>(), HasSubstr("succeeded nobody"));
}

TEST(RunHooks, AllStagesInOrder) {
  const Hooked project("return nil");
  const auto run = project.run(R"(p:
  core:
    hooks: {before_pipeline: h.lua, after_plan: h.lua, before_instance: h.lua, on_retry: h.lua,
            after_instance: h.lua, on_error: h.lua, after_pipeline: h.lua}
  t:
    - {name: a, failures: 1, max_attempts: 2, hooks: {before_instance: h.lua}}
    - {name: b, failures: 9, depends_on: [t.a]}
)");
  EXPECT_EQ(run.output.code, 1);
  EXPECT_THAT(asked(run),
              ElementsAre("before_pipeline - none", "after_plan - none", "before_instance t.a none",
                          "before_instance t.a none", "on_retry t.a none", "after_instance t.a none",
                          "before_instance t.b none", "on_error t.b none", "after_instance t.b none",
                          "after_pipeline - none"));
  // They are kept with the run.
  const auto kept = project.forge({"runs", "export", "p.yaml"});
  ASSERT_EQ(kept.code, 0) << kept.err;
  const Json exported = parse_json(kept.out).value();
  ASSERT_EQ(exported["hooks"].size(), 10U) << kept.out;
  EXPECT_EQ(exported["hooks"][3]["stage"], "before_instance");
  EXPECT_EQ(exported["hooks"][3]["instance"], "t.a");
  EXPECT_EQ(exported["hooks"][3]["script"], "h.lua");
  EXPECT_EQ(exported["hooks"][3]["decision"], "none");
}

TEST(RunHooks, AFailureThatIsAllowedIsToldOnly) {
  const Hooked project("error('nobody listens')");
  const auto run = project.run(
      "p:\n  core: {hooks: {after_pipeline: {script: h.lua, allow_failure: true}}}\n  t: [{name: a}]\n");
  EXPECT_EQ(run.output.code, 0) << run.output.out;
  EXPECT_THAT(asked(run), ElementsAre("after_pipeline - failed h.lua:3: nobody listens"));
}

TEST(RunHooks, WhatIsNotGrantedIsRefusedWithTheLineToAdd) {
  const Hooked project("forge.env.get('TEAM')");
  const auto run = project.run(Hooked::at_instance("before_instance"));
  EXPECT_EQ(run.output.code, 1);
  EXPECT_EQ(run.error_code("t.a"), "permission.env");
  EXPECT_THAT(run.finished["instances"]["t.a"]["error"]["hint"].get<std::string>(), HasSubstr("env: [TEAM]"));
  const auto good = run_pipeline(
      project,
      "p:\n  t:\n    - {name: a, hooks: {before_instance: {script: h.lua, permissions: {env: [TEAM]}}}}\n",
      {}, {{"TEAM", "x"}});
  EXPECT_EQ(good.output.code, 0) << good.output.out;
}

TEST(RunHooks, ABadScriptIsRefusedBeforeAnythingRuns) {
  const Hooked project("");
  project.write("h.lua", "return function(event\n");
  project.write("p.yaml", Hooked::at_core("before_pipeline"));
  const auto output = project.forge({"validate", "p.yaml"});
  EXPECT_EQ(output.code, 3);
  EXPECT_THAT(output.err + output.out, HasSubstr("h.lua:2"));
  EXPECT_EQ(project.forge({"run", "p.yaml"}).code, 3);
  EXPECT_FALSE(std::filesystem::exists(project.path() / ".pangeo-forge"));
  project.write("p.yaml", "p:\n  core: {hooks: {before_pipeline: none.lua}}\n  t: [{name: a}]\n");
  const auto missing = project.forge({"validate", "p.yaml"});
  EXPECT_EQ(missing.code, 3);
  EXPECT_THAT(missing.err + missing.out, HasSubstr("p.yaml:2:"));
}

}  // namespace
}  // namespace pf::test
