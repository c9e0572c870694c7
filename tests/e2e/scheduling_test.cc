// What runs when, what is tried again, and what follows from each result.
#include <gmock/gmock.h>

#include <map>

#include "support/steps.h"

namespace pf::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string many(int count, const std::string& keys = "") {
  std::string out;
  for (int i = 0; i < count; ++i) out += "    - {name: n" + std::to_string(i) + keys + "}\n";
  return out;
}

TEST(Scheduling, APoolBoundsThoseInIt) {
  const Steps project;
  const auto run =
      project.run("p:\n  core: {pools: {db: 2}}\n  t:\n" + many(8, ", pool: db") + "    - {name: free}\n");
  EXPECT_EQ(run.output.code, 0) << run.output.out;
  std::vector<std::string> pooled;
  for (int i = 0; i < 8; ++i) pooled.push_back("t.n" + std::to_string(i));
  EXPECT_LE(most_at_once(run, pooled), 2);
}

TEST(Scheduling, APoolIsFilled) {
  const Steps project;
  Process core(project.running("p:\n  core: {pools: {db: 2}}\n  t:\n" + many(3, ", pool: db, wait: 1")));
  ASSERT_TRUE(core.wait_for(seen({"log t.n0", "log t.n1"})));
  EXPECT_EQ(project.executed("n2"), 0);
  for (const char* name : {"n0", "n1", "n2"}) project.let_go(name);
  const auto run = told(core.finish());
  EXPECT_EQ(run.output.code, 0);
  EXPECT_EQ(most_at_once(run), 2);
}

TEST(Scheduling, MaxParallelBoundsAll) {
  const Steps project;
  const auto run = project.run("p:\n  t:\n" + many(8), {"--max-parallel", "2"});
  EXPECT_EQ(run.output.code, 0);
  EXPECT_LE(most_at_once(run), 2);
}

TEST(Scheduling, MaxParallelBoundsASection) {
  const Steps project;
  const auto run =
      project.run("p:\n  core: {execution_defaults: {max_parallel: {all: 8, t: 1}}}\n  t:\n" + many(6));
  EXPECT_EQ(run.output.code, 0) << run.output.out;
  EXPECT_EQ(most_at_once(run), 1);
}

TEST(Scheduling, TheHighestPriorityGoesFirst) {
  const Steps project;
  const auto run = project.run(R"(p:
  t:
    - {name: c, priority: -5}
    - {name: b}
    - {name: a, priority: 10}
)",
                               {"--max-parallel", "1"});
  EXPECT_THAT(starts(run), ElementsAre("t.a 1", "t.b 1", "t.c 1"));
}

TEST(Scheduling, TheLongestChainGoesFirst) {
  const Steps project;
  const auto run = project.run(R"(p:
  t:
    - {name: short}
    - {name: one}
    - {name: two, depends_on: [t.one]}
    - {name: three, depends_on: [t.two]}
)",
                               {"--max-parallel", "1"});
  const auto order = starts(run);
  ASSERT_EQ(order.size(), 4U);
  EXPECT_EQ(order[0], "t.one 1");
}

TEST(Scheduling, OnlyWhatRetryOnNamesIsTriedAgain) {
  const Steps project;
  const auto run = project.run(R"(p:
  core: {execution_defaults: {max_attempts: 3}}
  t:
    - {name: named, failures: 2, says: quota, retry: {delay: 1ms, retry_on: [other, quota]}}
    - {name: other, failures: 2, says: step, retry: {delay: 1ms, retry_on: [quota]}}
    - {name: never, failures: 2, says: quota, retry: {delay: 1ms, never_on: [quota]}}
    - {name: both, failures: 2, says: quota full, retry: {delay: 1ms, retry_on: [quota], never_on: [full]}}
    - {name: any, failures: 2, retry: {delay: 1ms}}
)");
  EXPECT_EQ(run.output.code, 1);
  EXPECT_THAT(results(run), ElementsAre("t.any succeeded", "t.both failed", "t.named succeeded",
                                        "t.never failed", "t.other failed"));
  const auto attempts = [&](const char* name) {
    return run.finished["instances"][name]["attempts"].get<int>();
  };
  EXPECT_EQ(attempts("t.any"), 3);
  EXPECT_EQ(attempts("t.both"), 1);
  EXPECT_EQ(attempts("t.named"), 3);
  EXPECT_EQ(attempts("t.never"), 1);
  EXPECT_EQ(attempts("t.other"), 1);
}

TEST(Scheduling, TheDelayGrowsToItsCap) {
  const Steps project;
  const auto run = project.run(
      "p:\n  t: [{name: a, failures: 9, max_attempts: 5, retry: {delay: 2ms, factor: 3, max_delay: 10ms, "
      "jitter: "
      "none}}]\n");
  EXPECT_THAT(each(run, "attempt_failed", "retry_in_ms"), ElementsAre(2, 6, 10, 10));
}

TEST(Scheduling, FullJitterStaysBelowTheDelay) {
  const Steps project;
  const auto run =
      project.run("p:\n  t: [{name: a, failures: 9, max_attempts: 6, retry: {delay: 20ms, factor: 1}}]\n");
  const auto delays = each(run, "attempt_failed", "retry_in_ms");
  EXPECT_EQ(delays.size(), 5U);
  for (const Json& delay : delays) EXPECT_LE(delay.get<int>(), 20);
}

TEST(Scheduling, WhatAnotherAttemptCannotMendIsNotTriedAgain) {
  const Steps project;
  project.extension("t", execute(R"(
    if self.name == 'permission' then forge.env.get('HOME') end
    if self.name == 'auth' then forge.fail {code = 'auth.expired', message = 'log in'} end
    if self.name == 'input' then forge.fail {code = 'validation.size', message = 'too big'} end
    if self.name == 'said' then forge.fail {code = 'mine', message = 'no', retryable = false} end
    if self.name == 'mends' then forge.fail {code = 'mine', message = 'no'} end)"));
  const auto run = project.run(
      "p:\n  core: {execution_defaults: {max_attempts: 2}}\n"
      "  t: [{name: permission}, {name: auth}, {name: input}, {name: said}, {name: mends}]\n");
  std::map<std::string, int> attempts;
  for (const auto& [address, instance] : run.finished["instances"].items()) {
    EXPECT_EQ(instance["result"], "failed");
    attempts[address] = instance["attempts"];
  }
  EXPECT_EQ(attempts,
            (std::map<std::string, int>{
                {"t.auth", 1}, {"t.input", 1}, {"t.mends", 2}, {"t.permission", 1}, {"t.said", 1}}));
}

TEST(Scheduling, AFailureThatIsAllowedBlocksNobody) {
  const Steps project;
  const auto run = project.run(
      "p:\n  t: [{name: f, failures: 9, allow_failure: true}, {name: after, depends_on: [t.f]}]\n");
  EXPECT_EQ(run.output.code, 0) << run.output.out;
  EXPECT_EQ(run.finished["result"], "succeeded");
  EXPECT_THAT(results(run), ElementsAre("t.after succeeded", "t.f failed"));
  EXPECT_FALSE(run.finished.contains("first_failed"));
}

TEST(Scheduling, FailFastLetsWhatRunsFinishAndStartsNothing) {
  const Steps project;
  Process core(project.running(R"(p:
  t:
    - {name: w, wait: 1}
    - {name: f, failures: 9}
    - {name: other}
    - {name: after, depends_on: [t.w]}
    - {name: blocked, depends_on: [t.f]}
)",
                               {"--fail-fast", "--max-parallel", "2"}));
  ASSERT_TRUE(core.wait_for(seen({"log t.w", "instance_finished t.f"})));
  project.let_go("w");
  const auto run = told(core.finish());
  EXPECT_EQ(run.output.code, 1);
  EXPECT_EQ(run.finished["result"], "failed");
  EXPECT_EQ(run.finished["first_failed"], "t.f");
  EXPECT_THAT(results(run), ElementsAre("t.after cancelled", "t.blocked blocked", "t.f failed",
                                        "t.other cancelled", "t.w succeeded"));
}

TEST(Scheduling, WithoutFailFastIndependentBranchesGoOn) {
  const Steps project;
  const auto run = project.run(R"(p:
  t:
    - {name: f, failures: 9, says: first}
    - {name: g, failures: 9, depends_on: [t.a]}
    - {name: a}
    - {name: b, depends_on: [t.a]}
)",
                               {"--max-parallel", "1"});
  EXPECT_EQ(run.output.code, 1);
  EXPECT_THAT(results(run), ElementsAre("t.a succeeded", "t.b succeeded", "t.f failed", "t.g failed"));
}

// What follows from each result along each kind of edge.
TEST(Scheduling, EachResultAndEachEdge) {
  const Steps project;
  const std::vector<std::string> upstream = {"ok",      "failed",  "allowed", "timed",
                                             "skipped", "blocked", "cached"};
  std::string yaml = R"(p:
  t:
    - {name: cached}
)";
  project.run(yaml);
  yaml += R"(    - {name: ok}
    - {name: failed, failures: 9}
    - {name: allowed, failures: 9, allow_failure: true}
    - {name: timed, wait: 1, timeout: 200ms}
    - {name: skipped, when: false}
    - {name: blocked, depends_on: [t.failed]}
)";
  for (const auto& up : upstream) {
    yaml += "    - {name: " + up + "-plain, depends_on: [t." + up + "]}\n";
    for (const char* when : {"succeeded", "failed", "done"}) {
      yaml +=
          "    - {name: " + up + "-" + when + ", depends_on: [{name: t." + up + ", when: " + when + "}]}\n";
    }
  }
  const auto run = project.run(yaml);
  std::map<std::string, std::string> found;
  for (const auto& up : upstream) {
    EXPECT_EQ(run.result("t." + up + "-plain"), run.result("t." + up + "-succeeded")) << up;
    for (const char* when : {"succeeded", "failed", "done"}) {
      found[up] += (found[up].empty() ? "" : " ") + run.result("t." + up + "-" + when);
    }
  }
  EXPECT_EQ(found, (std::map<std::string, std::string>{{"ok", "succeeded skipped succeeded"},
                                                       {"cached", "succeeded skipped succeeded"},
                                                       {"failed", "blocked succeeded succeeded"},
                                                       {"allowed", "succeeded succeeded succeeded"},
                                                       {"timed", "blocked succeeded succeeded"},
                                                       {"skipped", "skipped skipped skipped"},
                                                       {"blocked", "blocked skipped skipped"}}));
  EXPECT_EQ(run.finished["instances"]["t.failed-plain"]["blocked_by"], "t.failed");
}

TEST(Scheduling, WhenMayUseOutputs) {
  const Steps project;
  const auto run = project.run(R"(p:
  core: {variables: {r: us}}
  t:
    - {name: up, value: 3}
    - {name: yes, when: "${t.up.outputs.value > 2 && var.r == 'us'}"}
    - {name: no, when: "${t.up.outputs.value > 3}"}
    - {name: default, when: "${t.up.outputs.none ?? 'x' == 'x'}"}
)");
  EXPECT_EQ(run.result("t.yes"), "succeeded");
  EXPECT_EQ(run.result("t.no"), "skipped");
  EXPECT_EQ(run.result("t.default"), "succeeded");
}

}  // namespace
}  // namespace pf::test
