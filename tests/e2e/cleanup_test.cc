// `finally` instances: they clean up whatever became of the others, and after a crash the next run does.
#include <gmock/gmock.h>

#include <csignal>

#include "support/steps.h"

namespace pf::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// What main and clean say, besides.
std::string yaml_of(const std::string& main, const std::string& clean = "", const std::string& core = "") {
  return "p:\n" + (core.empty() ? "" : "  core: {" + core + "}\n") + "  t:\n    - {name: main" + main +
         "}\n    - {name: clean, finally: true, depends_on: [t.main]" + clean + "}\n";
}

TEST(Cleanup, RunsAfterASuccessAndIsNeverCached) {
  const Steps project;
  EXPECT_THAT(results(project.run(yaml_of(""))), ElementsAre("t.clean succeeded", "t.main succeeded"));
  const auto again = project.run(yaml_of("", ", cache: true"));
  EXPECT_EQ(again.output.code, 0);
  EXPECT_THAT(results(again), ElementsAre("t.clean succeeded", "t.main cached"));
  EXPECT_EQ(again.outputs("t.clean"), Json({{"ran", 2}}));
}

TEST(Cleanup, RunsAfterAFailureWhichStaysTheRuns) {
  const Steps project;
  const auto run = project.run(yaml_of(", failures: 9"));
  EXPECT_EQ(run.output.code, 1);
  EXPECT_THAT(results(run), ElementsAre("t.clean succeeded", "t.main failed"));
  EXPECT_EQ(run.finished["first_failed"], "t.main");
}

TEST(Cleanup, RunsAfterATimeout) {
  const Steps project;
  const auto run = project.run(yaml_of(", wait: 1, timeout: 200ms"));
  EXPECT_EQ(run.output.code, 1);
  EXPECT_THAT(results(run), ElementsAre("t.clean succeeded", "t.main timed_out"));
}

TEST(Cleanup, RunsAfterWhatWasBlockedOrSkipped) {
  const Steps project;
  const auto run = project.run(R"(p:
  t:
    - {name: bad, failures: 9}
    - {name: blocked, depends_on: [t.bad]}
    - {name: skipped, when: false}
    - {name: one, finally: true, depends_on: [t.blocked]}
    - {name: two, finally: true, depends_on: [t.skipped]}
    - {name: after, finally: true, depends_on: [t.one]}
)");
  EXPECT_THAT(results(run), ElementsAre("t.after succeeded", "t.bad failed", "t.blocked blocked",
                                        "t.one succeeded", "t.skipped skipped", "t.two succeeded"));
}

TEST(Cleanup, RunsAfterFailFast) {
  const Steps project;
  const auto run = project.run(yaml_of(", failures: 9"), {"--fail-fast"});
  EXPECT_EQ(run.output.code, 1);
  EXPECT_THAT(results(run), ElementsAre("t.clean succeeded", "t.main failed"));
}

TEST(Cleanup, WithoutDependenciesItWaitsForAllOthers) {
  const Steps project;
  const auto run = project.run(
      "p:\n  t:\n    - {name: clean, finally: true}\n    - {name: a}\n    - {name: b, depends_on: [t.a]}\n");
  EXPECT_THAT(starts(run), ElementsAre("t.a 1", "t.b 1", "t.clean 1"));
}

TEST(Cleanup, NothingElseMayWaitForIt) {
  const Steps project;
  const auto run = project.run(yaml_of("") + "    - {name: late, depends_on: [t.clean]}\n");
  EXPECT_EQ(run.output.code, 3);
  EXPECT_EQ(last(run.all, "error")["code"], "graph.finally");
}

TEST(Cleanup, RunsAfterSigintAndOneAgainWhenTheRunGoesOn) {
  const Steps project;
  const std::string yaml = yaml_of(", wait: 1");
  Process core(project.running(yaml));
  ASSERT_TRUE(core.wait_for(seen({"log t.main"})));
  core.send(SIGINT);
  const auto run = told(core.finish());
  EXPECT_EQ(run.output.code, 130);
  EXPECT_EQ(run.finished["result"], "cancelled");
  EXPECT_THAT(results(run), ElementsAre("t.clean succeeded", "t.main cancelled"));
  // What is made after the cleanup has to be cleaned up, too.
  project.let_go("main");
  const auto resumed = project.run(yaml, {"--resume"});
  EXPECT_EQ(resumed.output.code, 0);
  EXPECT_EQ(resumed.finished["run"], run.finished["run"]);
  EXPECT_THAT(starts(resumed), ElementsAre("t.main 1", "t.clean 1"));
  EXPECT_EQ(project.executed("clean"), 2);
}

TEST(Cleanup, WhatIsDoneIsNotRepeatedWhereNothingElseWentOn) {
  const Steps project;
  const std::string yaml =
      yaml_of("") + "    - {name: more, finally: true, wait: 1, depends_on: [t.clean]}\n";
  Process core(project.running(yaml));
  ASSERT_TRUE(core.wait_for(seen({"instance_finished t.clean", "log t.more"})));
  core.send(SIGKILL);
  core.finish();
  project.let_go("more");
  const auto resumed = project.run(yaml, {"--resume"});
  EXPECT_EQ(resumed.output.code, 0);
  EXPECT_THAT(starts(resumed), ElementsAre("t.more 1"));
}

TEST(Cleanup, ASecondSigintGivesItUp) {
  const Steps project;
  Process core(project.running(yaml_of(", wait: 1", ", wait: 1")));
  ASSERT_TRUE(core.wait_for(seen({"log t.main"})));
  core.send(SIGINT);
  ASSERT_TRUE(core.wait_for(seen({"log t.clean"})));
  core.send(SIGINT);
  const auto run = told(core.finish());
  EXPECT_EQ(run.output.code, 130);
  EXPECT_THAT(results(run), ElementsAre("t.clean cancelled", "t.main cancelled"));
}

TEST(Cleanup, RunsAfterThePipelinesDeadlineAndHasOneOfItsOwn) {
  const Steps project;
  const auto run =
      project.run(yaml_of(", wait: 1", ", wait: 1, deadline: 300ms, max_attempts: 5", "deadline: 300ms"));
  EXPECT_EQ(run.output.code, 124);
  EXPECT_EQ(run.finished["result"], "timed_out");
  EXPECT_THAT(results(run), ElementsAre("t.clean timed_out", "t.main timed_out"));
  EXPECT_EQ(run.error_code("t.main"), "deadline.pipeline");
  EXPECT_EQ(run.error_code("t.clean"), "deadline.instance");
  EXPECT_EQ(run.finished["first_failed"], "t.main");
}

TEST(Cleanup, ItsFailureFailsTheRun) {
  const Steps project;
  const auto run = project.run(yaml_of("", ", failures: 9, says: stuck"));
  EXPECT_EQ(run.output.code, 1);
  EXPECT_EQ(run.finished["result"], "failed");
  EXPECT_EQ(run.finished["first_failed"], "t.clean");
  EXPECT_THAT(run.error_message("t.clean"), HasSubstr("stuck 1"));
}

TEST(Cleanup, ItsFailureDoesNotTakeThePlaceOfTheFirst) {
  const Steps project;
  const auto run = project.run(yaml_of(", failures: 9", ", failures: 9"));
  EXPECT_EQ(run.output.code, 1);
  EXPECT_EQ(run.finished["first_failed"], "t.main");
  EXPECT_THAT(results(run), ElementsAre("t.clean failed", "t.main failed"));
}

// Kills the run when the instance runs; gives back its id.
std::string kill_in(const Steps& project, const std::string& yaml, const std::string& instance,
                    std::vector<std::string> more = {}) {
  Process core(project.running(yaml, std::move(more)));
  EXPECT_TRUE(core.wait_for(seen({"log " + instance})));
  core.send(SIGKILL);
  return told(core.finish()).all[0]["run"];
}

TEST(Cleanup, TheNextRunFirstFinishesThatOfADeadOneInARunOfItsOwn) {
  const Steps project;
  const std::string yaml = yaml_of(", wait: 1");
  const std::string dead = kill_in(project, yaml, "t.main");
  project.let_go("main");
  const auto run = project.run(yaml);
  EXPECT_EQ(run.output.code, 0) << run.output.out;
  const auto runs = each(run, "run_started", "run");
  ASSERT_EQ(runs.size(), 2U) << run.output.out;
  EXPECT_NE(runs[0], dead);
  EXPECT_NE(runs[0], runs[1]);
  EXPECT_THAT(starts(run), ElementsAre("t.clean 1", "t.main 1", "t.clean 1"));
  EXPECT_EQ(each(run, "run_finished", "instances")[0]["t.main"]["result"], "excluded");
  EXPECT_EQ(project.executed("clean"), 2);
  // Once.
  EXPECT_EQ(each(project.run(yaml), "run_started", "run").size(), 1U);
}

TEST(Cleanup, TheOneOfADeadRunIsFinishedAlsoWhereItWasUnderWay) {
  const Steps project;
  const std::string yaml = yaml_of("", ", wait: 1");
  kill_in(project, yaml, "t.clean");
  kill_in(project, yaml, "t.clean");  // in the run that cleans up
  project.let_go("clean");
  const auto run = project.run(yaml);
  EXPECT_EQ(run.output.code, 0) << run.output.out;
  EXPECT_EQ(each(run, "run_started", "run").size(), 2U);
  EXPECT_EQ(each(project.run(yaml), "run_started", "run").size(), 1U);
}

TEST(Cleanup, WhereThatFailsNothingElseRunsAndItIsTriedAgain) {
  const Steps project;
  kill_in(project, yaml_of(", wait: 1"), "t.main");
  project.let_go("main");
  const std::string yaml = yaml_of(", wait: 1", ", failures: 1");
  const auto failed = project.run(yaml);
  EXPECT_EQ(failed.output.code, 1);
  EXPECT_THAT(starts(failed), ElementsAre("t.clean 1"));
  EXPECT_EQ(project.executed("main"), 1);
  const auto run = project.run(yaml);
  EXPECT_EQ(run.output.code, 0) << run.output.out;
  EXPECT_THAT(starts(run), ElementsAre("t.clean 1", "t.main 1", "t.clean 1"));
}

TEST(Cleanup, ARunThatGoesOnCleansUpItself) {
  const Steps project;
  const std::string yaml = yaml_of(", wait: 1");
  kill_in(project, yaml, "t.main");
  project.let_go("main");
  const auto run = project.run(yaml, {"--resume"});
  EXPECT_THAT(starts(run), ElementsAre("t.main 1", "t.clean 1"));
  EXPECT_EQ(each(project.run(yaml), "run_started", "run").size(), 1U);
}

TEST(Cleanup, WhatWasNotSelectedIsNotIntended) {
  const Steps project;
  const std::string yaml = yaml_of(", wait: 1");
  kill_in(project, yaml, "t.main", {"--skip", "t.clean"});
  project.let_go("main");
  EXPECT_EQ(each(project.run(yaml), "run_started", "run").size(), 1U);
}

TEST(Cleanup, OneThatIsGoneFromTheFileIsRefused) {
  const Steps project;
  const std::string dead = kill_in(project, yaml_of(", wait: 1"), "t.main");
  project.let_go("main");
  const auto run = project.run("p:\n  t: [{name: main, wait: 1}]\n");
  EXPECT_EQ(run.output.code, 3);
  const Json error = last(run.all, "error");
  EXPECT_EQ(error["code"], "cleanup.gone");
  EXPECT_EQ(error["message"],
            "the run " + dead +
                " died before t.clean could clean up after it, and the pipeline has no such "
                "instance any more");
  EXPECT_THAT(starts(run), IsEmpty());
}

// After Ctrl-C the cleanup was done; then the run went on, and was killed.
TEST(Cleanup, OneThatWasDoneIsDueAgainWhereAResumedRunDied) {
  const Steps project;
  const std::string yaml = yaml_of(", wait: 1");
  Process core(project.running(yaml));
  ASSERT_TRUE(core.wait_for(seen({"log t.main"})));
  core.send(SIGINT);
  EXPECT_THAT(results(told(core.finish())), ElementsAre("t.clean succeeded", "t.main cancelled"));
  kill_in(project, yaml, "t.main", {"--resume"});
  project.let_go("main");
  const auto run = project.run(yaml);
  EXPECT_EQ(run.output.code, 0) << run.output.out;
  EXPECT_EQ(each(run, "run_started", "run").size(), 2U);
  EXPECT_THAT(starts(run), ElementsAre("t.clean 1", "t.main 1", "t.clean 1"));
  EXPECT_EQ(project.executed("clean"), 3);
  EXPECT_EQ(each(project.run(yaml), "run_started", "run").size(), 1U);
}

TEST(Cleanup, OneThatWasDoneIsNotDueAgainWhereSomethingElseWentOn) {
  const Steps project;
  const std::string yaml = yaml_of("") + "    - {name: other, wait: 1}\n";
  Process core(project.running(yaml));
  ASSERT_TRUE(core.wait_for(seen({"log t.other", "instance_finished t.clean"})));
  core.send(SIGINT);
  core.finish();
  kill_in(project, yaml, "t.other", {"--resume"});
  project.let_go("other");
  const auto run = project.run(yaml);
  EXPECT_EQ(run.output.code, 0) << run.output.out;
  EXPECT_EQ(each(run, "run_started", "run").size(), 1U);
}

TEST(Cleanup, ARunOfItsOwnThatDiedIsNotGoneOnWith) {
  const Steps project;
  const std::string yaml = yaml_of(", wait: 1", ", wait: 1");
  const std::string dead = kill_in(project, yaml, "t.main");
  project.let_go("main");
  const std::string cleanup = kill_in(project, yaml, "t.clean");
  EXPECT_NE(cleanup, dead);
  const auto list = project.forge({"runs", "list", "p.yaml"});
  EXPECT_THAT(list.out, HasSubstr("2 instances, cleanup")) << list.out;
  project.let_go("clean");
  const auto run = project.run(yaml, {"--resume"});
  EXPECT_EQ(run.output.code, 0) << run.output.out;
  const auto runs = each(run, "run_started", "run");
  ASSERT_EQ(runs.size(), 2U) << run.output.out;
  EXPECT_TRUE(runs[0] != dead && runs[0] != cleanup && runs[1] != dead && runs[1] != cleanup);
  EXPECT_THAT(starts(run), ElementsAre("t.clean 1", "t.main 1", "t.clean 1"));
  EXPECT_EQ(each(project.run(yaml), "run_started", "run").size(), 1U);
}

TEST(Cleanup, OneThatIsGoneFromTheFileCanBeGivenUp) {
  const Steps project;
  const std::string dead = kill_in(project, yaml_of(", wait: 1"), "t.main");
  project.let_go("main");
  const std::string yaml = "p:\n  t: [{name: main, wait: 1}]\n";
  EXPECT_THAT(last(project.run(yaml).all, "error")["hint"], HasSubstr("run --abandon-cleanups"));
  const auto asked = project.run(yaml, {"--abandon-cleanups"});
  EXPECT_EQ(asked.output.code, 3);
  EXPECT_EQ(last(asked.all, "error")["code"], "cleanup.unconfirmed");
  const auto run = project.run(yaml, {"--abandon-cleanups", "--yes"});
  EXPECT_EQ(run.output.code, 0) << run.output.out;
  EXPECT_THAT(starts(run), ElementsAre("t.main 1"));
  EXPECT_THAT(each(run, "log", "message"),
              testing::Contains(Json("given up: t.clean does not clean up after the run " + dead)));
  const auto kept = parse_json(project.forge({"runs", "export", "p.yaml"}).out).value();
  EXPECT_EQ(kept["details"]["abandoned_cleanups"], Json({{{"run", dead}, {"instance", "t.clean"}}}));
  // It is settled.
  EXPECT_EQ(project.run(yaml).output.code, 0);
  EXPECT_EQ(each(project.run(yaml_of(", wait: 1")), "run_started", "run").size(), 1U);
}

// Those that the file has are made up for all the same.
TEST(Cleanup, OnlyThoseThatAreGoneAreGivenUp) {
  const Steps project;
  kill_in(project, yaml_of(", wait: 1") + "    - {name: other, finally: true}\n", "t.main");
  project.let_go("main");
  const auto run = project.run(yaml_of(", wait: 1"), {"--abandon-cleanups", "--yes"});
  EXPECT_EQ(run.output.code, 0) << run.output.out;
  EXPECT_EQ(each(run, "run_started", "run").size(), 2U);
  EXPECT_THAT(starts(run), ElementsAre("t.clean 1", "t.main 1", "t.clean 1"));
}

TEST(Cleanup, GivingUpIsAWordForARunThatBeginsAnew) {
  const Steps project;
  for (const char* other : {"--resume", "--dry-run"}) {
    const auto run = project.run("p:\n  t: [{name: a}]\n", {"--abandon-cleanups", "--yes", other});
    EXPECT_EQ(run.output.code, 3);
    EXPECT_EQ(last(run.all, "error")["code"], "usage.value");
  }
  EXPECT_EQ(project.run("p:\n  t: [{name: a}]\n", {"--yes"}).output.code, 3);
}

}  // namespace
}  // namespace pf::test
