// `run --resume`: a run that died or was stopped goes on under its id and repeats nothing that succeeded.
#include <gmock/gmock.h>

#include <csignal>

#include "support/steps.h"

namespace pf::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Kills the run when all of these were printed; gives back its id.
std::string kill_when(const Steps& project, const std::string& yaml, std::vector<std::string> events,
                      int signal = SIGKILL) {
  Process core(project.running(yaml));
  EXPECT_TRUE(core.wait_for(seen(std::move(events))));
  core.send(signal);
  const auto run = told(core.finish());
  EXPECT_EQ(run.output.code, 128 + signal) << run.output.err;
  return run.all.empty() ? "" : run.all[0].value("run", "");
}

const Json& why(const RunResult& run, const std::string& instance) {
  static const Json kNone;
  for (const Json& event : run.all) {
    if (event["event"] == "instance_started" && event["instance"] == instance) return event["why"];
  }
  return kNone;
}

constexpr char kChain[] = R"(p:
  t:
    - {name: a}
    - {name: n, cache: never}
    - {name: w, wait: 1, depends_on: [t.a, t.n]}
    - {name: z, value: "${t.w.outputs.ran}"}
)";
const std::vector<std::string> kInChain = {"instance_finished t.a", "instance_finished t.n", "log t.w"};

TEST(Resume, ADeadRunGoesOnUnderItsIdAndRepeatsNothing) {
  const Steps project;
  const std::string id = kill_when(project, kChain, kInChain);
  project.let_go("w");
  const auto run = project.run(kChain, {"--resume"});
  EXPECT_EQ(run.output.code, 0) << run.output.out;
  EXPECT_EQ(run.all[0]["event"], "run_started");
  EXPECT_EQ(run.all[0]["resumed"], true);
  EXPECT_EQ(run.all[0]["run"], id);
  EXPECT_EQ(run.finished["run"], id);
  EXPECT_THAT(starts(run), ElementsAre("t.w 1", "t.z 1"));
  EXPECT_THAT(results(run), ElementsAre("t.a succeeded", "t.n succeeded", "t.w succeeded", "t.z succeeded"));
  EXPECT_EQ(run.outputs("t.a"), Json({{"ran", 1}}));
  EXPECT_EQ(run.outputs("t.n"), Json({{"ran", 1}}));
  EXPECT_EQ(run.outputs("t.w"), Json({{"ran", 2}}));
  EXPECT_EQ(run.outputs("t.z")["value"], 2);
  EXPECT_EQ(run.finished["instances"]["t.w"]["attempts"], 1);
}

TEST(Resume, TheTextSaysWhatItTakesUp) {
  const Steps project;
  const std::string id = kill_when(project, kChain, kInChain);
  project.let_go("w");
  const auto text = project.forge({"run", "p.yaml", "--resume"});
  EXPECT_EQ(text.code, 0) << text.out << text.err;
  EXPECT_THAT(text.out, HasSubstr("Going on with run " + id + " of p in p.yaml: 4 instances"));
}

TEST(Resume, KeepsTheSelectionOfTheRun) {
  const Steps project;
  Process core(project.running(kChain, {"--until", "t.w"}));
  EXPECT_TRUE(core.wait_for(seen(kInChain)));
  core.send(SIGKILL);
  core.finish();
  project.let_go("w");
  const auto run = project.run(kChain, {"--resume"});
  EXPECT_EQ(run.output.code, 0) << run.output.out;
  EXPECT_THAT(results(run), ElementsAre("t.a succeeded", "t.n succeeded", "t.w succeeded", "t.z excluded"));
}

TEST(Resume, CtrlCIsGoneOnWithToo) {
  const Steps project;
  const std::string id = kill_when(project, kChain, kInChain, SIGINT);
  project.let_go("w");
  const auto run = project.run(kChain, {"--resume"});
  EXPECT_EQ(run.output.code, 0) << run.output.out;
  EXPECT_EQ(run.finished["run"], id);
  EXPECT_THAT(starts(run), ElementsAre("t.w 1", "t.z 1"));
  EXPECT_EQ(run.finished["instances"]["t.w"]["attempts"], 1);
}

TEST(Resume, AttemptsThatFailedCountAndTheInterruptedOneIsRepeatedUnderItsNumber) {
  const Steps project;
  const std::string yaml =
      "p:\n  t: [{name: f, failures: 1, wait: 2, max_attempts: 2, retry: {delay: 200ms, jitter: none}}]\n";
  kill_when(project, yaml, {"attempt_failed t.f", "log t.f", "log t.f"});
  project.let_go("f");
  const auto run = project.run(yaml, {"--resume"});
  EXPECT_EQ(run.output.code, 0) << run.output.out;
  EXPECT_THAT(starts(run), ElementsAre("t.f 2"));
  EXPECT_EQ(run.finished["instances"]["t.f"]["attempts"], 2);
  EXPECT_EQ(run.outputs("t.f"), Json({{"ran", 3}}));
}

TEST(Resume, TheLastAttemptStaysTheLast) {
  const Steps project;
  const std::string yaml =
      "p:\n  t: [{name: f, failures: 9, wait: 2, max_attempts: 2, retry: {delay: 200ms, jitter: none}}]\n";
  kill_when(project, yaml, {"attempt_failed t.f", "log t.f", "log t.f"});
  project.let_go("f");
  const auto run = project.run(yaml, {"--resume"});
  EXPECT_EQ(run.output.code, 1);
  EXPECT_EQ(run.result("t.f"), "failed");
  EXPECT_THAT(starts(run), ElementsAre("t.f 2"));
  EXPECT_EQ(run.finished["instances"]["t.f"]["attempts"], 2);
}

constexpr char kFailed[] = R"(p:
  t:
    - {name: f, failures: 1, says: sorry}
    - {name: b, depends_on: [t.f]}
    - {name: w, wait: 1}
)";

TEST(Resume, WhatFailedForGoodStaysFailed) {
  const Steps project;
  kill_when(project, kFailed, {"instance_finished t.f", "instance_finished t.b", "log t.w"});
  project.let_go("w");
  const auto run = project.run(kFailed, {"--resume"});
  EXPECT_EQ(run.output.code, 1);
  EXPECT_THAT(starts(run), ElementsAre("t.w 1"));
  EXPECT_THAT(results(run), ElementsAre("t.b blocked", "t.f failed", "t.w succeeded"));
  EXPECT_THAT(run.error_message("t.f"), HasSubstr("sorry 1"));
  EXPECT_EQ(run.finished["first_failed"], "t.f");
  EXPECT_EQ(project.executed("f"), 1);
}

TEST(Resume, WhatFailedRunsAgainWhereItsInputsHaveChanged) {
  const Steps project;
  kill_when(project, kFailed, {"instance_finished t.f", "instance_finished t.b", "log t.w"});
  project.let_go("w");
  std::string changed = kFailed;
  changed.replace(changed.find("sorry"), 5, "later");
  const auto run = project.run(changed, {"--resume"});
  EXPECT_EQ(run.output.code, 0) << run.output.out;
  EXPECT_EQ(run.outputs("t.f"), Json({{"ran", 2}}));
  EXPECT_EQ(run.result("t.b"), "succeeded");
  EXPECT_EQ(why(run, "t.f"), Json({"says: sorry -> later at p.yaml:3:36"}));
}

TEST(Resume, WhatSucceededRunsAgainWhereItsInputsHaveChanged) {
  const Steps project;
  const auto yaml = [](const std::string& value) {
    return "p:\n  t:\n    - {name: a, value: " + value +
           "}\n    - {name: b, value: '${t.a.outputs.value}'}\n    - {name: c, value: '${t.a.outputs.ran}'}\n"
           "    - {name: w, wait: 1, depends_on: [t.b, t.c]}\n";
  };
  const std::string id =
      kill_when(project, yaml("one"),
                {"instance_finished t.a", "instance_finished t.b", "instance_finished t.c", "log t.w"});
  project.let_go("w");
  const auto run = project.run(yaml("two"), {"--resume"});
  EXPECT_EQ(run.output.code, 0) << run.output.out;
  EXPECT_EQ(run.finished["run"], id);
  EXPECT_EQ(run.outputs("t.a"), Json({{"ran", 2}, {"value", "two"}}));
  EXPECT_EQ(run.outputs("t.b"), Json({{"ran", 2}, {"value", "two"}}));
  EXPECT_EQ(why(run, "t.a"), Json({"value: one -> two at p.yaml:3:24"}));
  EXPECT_EQ(why(run, "t.b"), Json({"value: one -> two at p.yaml:4:24"}));
  EXPECT_EQ(run.finished["instances"]["t.a"]["attempts"], 1);
}

TEST(Resume, GroupsKeepTheirExpansion) {
  const Steps project;
  const auto yaml = [](const std::string& list) {
    return "p:\n  t:\n    - {name: up, value: " + list +
           "}\n    - {name: g, for_each: '${t.up.outputs.value}', wait: 1, value: '${each.key}'}\n";
  };
  const std::string id = kill_when(project, yaml("{a: 1, b: 2}"),
                                   {"instance_finished t.up", R"(log t.g["a"])", R"(log t.g["b"])"});
  project.let_all_go();
  // The list of now would be another; the run's is kept.
  const auto run = project.run(yaml("{b: 1, c: 2}"), {"--resume"});
  EXPECT_EQ(run.output.code, 0) << run.output.out;
  EXPECT_EQ(run.finished["run"], id);
  EXPECT_THAT(results(run), ElementsAre(R"(t.g["a"] succeeded)", R"(t.g["b"] succeeded)", "t.up succeeded"));
  EXPECT_EQ(run.outputs(R"(t.g["a"])"), Json({{"ran", 2}, {"value", "a"}}));
  project.write("p.yaml", yaml("{b: 1, c: 2}"));
  const auto next = project.forge({"preview", "p.yaml", "--format", "json"});
  EXPECT_EQ(last(events(next.out), "preview")["instances"].value(R"(t.g["a"])", Json())["action"],
            "orphaned");
}

TEST(Resume, InstancesOfAGroupThatSucceededAreNotRepeated) {
  const Steps project;
  const std::string yaml = R"(p:
  t:
    - {name: up, value: {a: 9, b: 1}}
    - {name: g, for_each: "${t.up.outputs.value}", wait: "${each.value}"}
    - {name: all, value: "${t.g[*].outputs.ran}"}
)";
  kill_when(project, yaml, {R"(instance_finished t.g["a"])", R"(log t.g["b"])"});
  project.let_all_go();
  const auto run = project.run(yaml, {"--resume"});
  EXPECT_EQ(run.output.code, 0) << run.output.out;
  EXPECT_THAT(starts(run), ElementsAre(R"(t.g["b"] 1)", "t.all 1"));
  EXPECT_EQ(run.outputs("t.all")["value"], Json({1, 2}));
}

// There were attempts left, but none that could have mended it.
TEST(Resume, WhatIsNeverRetriedIsNotRetriedEither) {
  const Steps project;
  project.extension("asks", execute("forge.env.get('HOME')"));
  const std::string yaml = "p:\n  asks: [{name: e, max_attempts: 3}]\n  t: [{name: w, wait: 1}]\n";
  kill_when(project, yaml, {"instance_finished asks.e", "log t.w"});
  project.let_go("w");
  const auto run = project.run(yaml, {"--resume"});
  EXPECT_EQ(run.output.code, 1);
  EXPECT_THAT(starts(run), ElementsAre("t.w 1"));
  EXPECT_EQ(run.error_code("asks.e"), "permission.env");
  EXPECT_EQ(run.finished["instances"]["asks.e"]["attempts"], 1);
}

TEST(Resume, WithoutAnUnfinishedRunItIsAPlainOne) {
  const Steps project;
  const std::string yaml = "p:\n  t: [{name: a}, {name: f, failures: 1}]\n";
  const auto first = project.run(yaml, {"--resume"});
  EXPECT_EQ(first.output.code, 1);
  EXPECT_EQ(first.all[0]["resumed"], false);
  // A run that failed has finished: what failed is tried anew, in a run of its own.
  const auto second = project.run(yaml, {"--resume"});
  EXPECT_EQ(second.output.code, 0);
  EXPECT_EQ(second.all[0]["resumed"], false);
  EXPECT_NE(second.finished["run"], first.finished["run"]);
  EXPECT_THAT(starts(second), ElementsAre("t.f 1"));
  const auto third = project.run(yaml, {"--resume"});
  EXPECT_EQ(third.all[0]["resumed"], false);
  EXPECT_THAT(results(third), ElementsAre("t.a cached", "t.f cached"));
}

TEST(Resume, APlainRunAfterADeadOneIsAnother) {
  const Steps project;
  const std::string id = kill_when(project, kChain, kInChain);
  project.let_go("w");
  const auto run = project.run(kChain);
  EXPECT_EQ(run.output.code, 0);
  EXPECT_NE(run.finished["run"], id);
  EXPECT_THAT(results(run), ElementsAre("t.a cached", "t.n succeeded", "t.w succeeded", "t.z succeeded"));
  EXPECT_EQ(run.outputs("t.n"), Json({{"ran", 2}}));
  // It is over: nothing is left to go on with.
  EXPECT_EQ(project.run(kChain, {"--resume"}).all[0]["resumed"], false);
}

// What the pipeline's deadline interrupted has not failed for good.
TEST(Resume, AfterThePipelinesDeadlineItGoesOn) {
  const Steps project;
  const std::string yaml =
      "p:\n  core: {deadline: 1s}\n  t: [{name: a}, {name: w, wait: 1, depends_on: [t.a]}]\n";
  const auto first = project.run(yaml);
  EXPECT_EQ(first.output.code, 124) << first.output.out;
  project.let_go("w");
  const auto run = project.run(yaml, {"--resume"});
  EXPECT_EQ(run.output.code, 0) << run.output.out;
  EXPECT_EQ(run.finished["run"], first.finished["run"]);
  EXPECT_THAT(starts(run), ElementsAre("t.w 1"));
  EXPECT_EQ(run.finished["instances"]["t.w"]["attempts"], 1);
}

TEST(Resume, ItMayDieAgain) {
  const Steps project;
  const std::string id = kill_when(project, kChain, kInChain);
  for (int i = 0; i < 2; ++i) {
    Process core(project.running(kChain, {"--resume"}));
    EXPECT_TRUE(core.wait_for(seen({"log t.w"})));
    core.send(SIGKILL);
    core.finish();
  }
  project.let_go("w");
  const auto run = project.run(kChain, {"--resume"});
  EXPECT_EQ(run.finished["run"], id);
  EXPECT_EQ(run.outputs("t.w"), Json({{"ran", 4}}));
  EXPECT_EQ(run.finished["instances"]["t.w"]["attempts"], 1);
  EXPECT_EQ(project.executed("n"), 1);
}

}  // namespace
}  // namespace pf::test
