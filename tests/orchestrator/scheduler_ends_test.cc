// Exclusion, groups, cleanup and stops.
#include "orchestrator/scheduler.h"

#include <gtest/gtest.h>

#include "orchestrator/scheduler_bench.h"

namespace pf::orchestrator {
namespace {

// ---- what is not selected

TEST(Scheduler, WhatIsExcludedIsToldFirstAndCountsAsSucceeded) {
  Bench b;
  b.add("a");
  b.add("x", {"a"});
  b.add("after", {"x"});
  b.add_with("done", Bench::Edges{{"x", EdgeWhen::done}});
  b.add_with("failed", Bench::Edges{{"x", EdgeWhen::failed}});
  b.know("x").excluded = true;
  Scheduler& scheduler = b.start();
  EXPECT_EQ(b.ends, Names({"x", "failed"}));
  EXPECT_EQ(b.result("x"), R::excluded);
  EXPECT_EQ(b.result("failed"), R::skipped);
  EXPECT_EQ(b.runs(), Names({"a", "after", "done"}));
  b.end("a", R::failed);
  EXPECT_EQ(b.result("x"), R::excluded);
  b.end("after", R::succeeded);
  b.end("done", R::succeeded);
  EXPECT_TRUE(scheduler.finished());
}

TEST(Scheduler, WhatIsExcludedKeepsItsPlaceInAnOrder) {
  Bench b;
  b.add("a");
  b.add_with("x", Bench::Edges{{"a", EdgeWhen::order}});
  b.add_with("y", Bench::Edges{{"x", EdgeWhen::order}});
  b.add_with("z", Bench::Edges{{"y", EdgeWhen::order}});
  b.know("x").excluded = b.know("y").excluded = true;
  b.start();
  EXPECT_EQ(b.runs(), Names({"a"}));
  b.end("a", R::failed);
  EXPECT_EQ(b.runs(), Names({"z"}));
}

// ---- groups

Bench grouped(uint32_t children) {
  Bench b;
  b.add("up");
  auto& group = b.add("g", {"up"});
  group.group = true;
  group.children = children;
  b.add("down", {"g"});
  return b;
}

TEST(Scheduler, AGroupIsExpandedWhenItIsReadyAndEndsWithItsInstances) {
  Bench b = grouped(2);
  Scheduler& scheduler = b.start();
  EXPECT_EQ(b.names.size(), 3U);
  b.end("up", R::succeeded);
  EXPECT_EQ(b.runs(), Names({"g0", "g1"}));
  b.end("g1", R::succeeded);
  EXPECT_EQ(b.result("g"), R::none);
  b.end("g0", R::succeeded);
  EXPECT_EQ(b.result("g"), R::succeeded);
  EXPECT_EQ(b.cause("g"), "");
  EXPECT_EQ(b.runs(), Names({"down"}));
  b.end("down", R::succeeded);
  EXPECT_EQ(b.ends, Names({"up", "g1", "g0", "(g)", "down"}));
  EXPECT_TRUE(scheduler.finished());
}

TEST(Scheduler, AnEmptyGroupSucceeds) {
  Bench b = grouped(0);
  b.start();
  b.end("up", R::succeeded);
  EXPECT_EQ(b.ends, Names({"up", "(g)"}));
  EXPECT_EQ(b.result("g"), R::succeeded);
  EXPECT_EQ(b.runs(), Names({"down"}));
}

TEST(Scheduler, AGroupIsFailedBeforeCancelledBeforeSkipped) {
  struct Case {
    R first, second, group;
    std::string cause;
    R down;
  };
  for (const Case& c : {Case{R::succeeded, R::crashed, R::failed, "g1", R::blocked},
                        Case{R::cancelled, R::failed, R::failed, "g1", R::blocked},
                        Case{R::succeeded, R::cancelled, R::cancelled, "g1", R::blocked}}) {
    Bench b = grouped(2);
    Scheduler& scheduler = b.start();
    b.end("up", R::succeeded);
    b.end("g0", c.first);
    b.end("g1", c.second);
    EXPECT_EQ(b.result("g"), c.group);
    EXPECT_EQ(b.cause("g"), c.cause);
    EXPECT_EQ(b.result("down"), c.down);
    EXPECT_EQ(scheduler.failed(), c.group == R::failed);
    EXPECT_EQ(scheduler.first_failed(), c.group == R::failed ? b.index("g1") : int64_t{-1});
  }
  Bench b = grouped(2);
  b.answers[4] = Offer::skip;
  b.start();
  b.end("up", R::succeeded);
  b.end("g0", R::succeeded);
  EXPECT_EQ(b.result("g"), R::skipped);
  EXPECT_EQ(b.cause("g"), "g1");
  EXPECT_EQ(b.result("down"), R::skipped);
}

TEST(Scheduler, AGroupWhoseInstancesMayFailSucceeds) {
  Bench b = grouped(1);
  b.plan.items[1].settings.allow_failure = true;
  b.start();
  b.end("up", R::succeeded);
  b.end("g0", R::failed);
  EXPECT_EQ(b.result("g"), R::succeeded);
  EXPECT_EQ(b.runs(), Names({"down"}));
}

TEST(Scheduler, AGroupThatWasNotExpandedIsReportedAsItself) {
  Bench blocked = grouped(2);
  blocked.start();
  blocked.end("up", R::failed);
  EXPECT_EQ(blocked.ends, Names({"up", "g", "down"}));
  EXPECT_EQ(blocked.result("g"), R::blocked);

  Bench fails = grouped(2);
  fails.expansions[1] = Expansion::failed;
  fails.given.error.code = "expression.type";
  Scheduler& scheduler = fails.start();
  fails.end("up", R::succeeded);
  EXPECT_EQ(fails.ends, Names({"up", "g", "down"}));
  EXPECT_EQ(fails.codes[1], "expression.type");
  EXPECT_EQ(scheduler.first_failed(), 1);

  Bench skips = grouped(2);
  skips.expansions[1] = Expansion::skip;
  skips.start();
  skips.end("up", R::succeeded);
  EXPECT_EQ(skips.result("g"), R::skipped);
  EXPECT_EQ(skips.result("down"), R::skipped);

  Bench stops = grouped(2);
  stops.expansions[1] = Expansion::wait;
  Scheduler& stopped = stops.start();
  stops.end("up", R::succeeded);
  stopped.stop();
  EXPECT_EQ(stops.result("g"), R::cancelled);
  EXPECT_EQ(stops.ends, Names({"up", "g", "down"}));
}

TEST(Scheduler, AGroupMayHaveToWait) {
  Bench b = grouped(1);
  b.expansions[1] = Expansion::wait;
  b.start();
  b.end("up", R::succeeded);
  EXPECT_TRUE(b.runs().empty());
  b.expansions.clear();
  b.again("g");
  EXPECT_EQ(b.runs(), Names({"g0"}));
}

TEST(Scheduler, InstancesOfAGroupMayBeKnown) {
  Bench b = grouped(3);
  b.plan.items[1].settings.max_attempts = 2;
  b.child_known.resize(2);
  b.child_known[0].excluded = true;
  b.child_known[1].failed = 1;
  b.start();
  b.end("up", R::succeeded);
  EXPECT_EQ(b.result("g0"), R::excluded);
  EXPECT_EQ(b.runs(), Names({"g1", "g2"}));
  EXPECT_EQ(b.starts[1], (std::pair<uint32_t, uint32_t>{4, 2}));
}

TEST(Scheduler, AGroupOfASequentialSectionRunsOneAfterTheOther) {
  Bench b = grouped(3);
  b.plan.sections[0].sequential = true;
  b.start();
  b.end("up", R::succeeded);
  EXPECT_EQ(b.runs(), Names({"g0"}));
  b.end("g0", R::failed);
  EXPECT_EQ(b.runs(), Names({"g1"}));
  b.end("g1", R::succeeded);
  b.end("g2", R::succeeded);
  EXPECT_EQ(b.result("g"), R::failed);
}

TEST(Scheduler, AWorldWithoutGroupsFailsThem) {
  struct Plain : Bench {
    Expansion expand(uint32_t group, Scheduler::Children& children) override {
      return Actions::expand(group, children);  // NOLINT(bugprone-parent-virtual-call)
    }
  } b;
  b.add("g").group = true;
  b.start();
  EXPECT_EQ(b.result("g"), R::failed);
}

// ---- finally

TEST(Scheduler, FinallyRunsWhateverBecameOfWhatItWaitsFor) {
  for (const R any : {R::succeeded, R::failed, R::timed_out, R::crashed, R::cancelled}) {
    Bench b;
    b.add("a");
    b.add("b", {"a"});
    b.add("clean", {"b"}).settings.finally = true;
    b.start();
    b.end("a", any);
    if (any == R::succeeded) b.end("b", R::failed);
    EXPECT_EQ(b.runs(), Names({"clean"}));
  }
}

TEST(Scheduler, FinallyWithoutUpstreamWaitsForAllThatIsNot) {
  Bench b = grouped(1);
  b.add("clean").settings.finally = true;
  b.add("clean too").settings.finally = true;
  b.add("after", {"clean"}).settings.finally = true;
  Scheduler& scheduler = b.start();
  b.end("up", R::succeeded);
  const std::string child = b.names.back();
  b.end(child, R::succeeded);
  EXPECT_EQ(b.runs(), Names({"down"}));
  b.end("down", R::failed);
  EXPECT_EQ(b.runs(), Names({"clean", "clean too"}));
  b.end("clean", R::failed);
  EXPECT_EQ(b.runs(), Names({"clean too", "after"}));
  b.end("clean too", R::succeeded);
  b.end("after", R::succeeded);
  EXPECT_TRUE(scheduler.finished());
  EXPECT_EQ(scheduler.first_failed(), b.index("down"));
}

TEST(Scheduler, AFailedCleanupFailsTheRun) {
  Bench b;
  b.add("a");
  b.add("clean").settings.finally = true;
  Scheduler& scheduler = b.start();
  b.end("a", R::succeeded);
  EXPECT_FALSE(scheduler.failed());
  b.end("clean", R::failed);
  EXPECT_TRUE(scheduler.failed());
  EXPECT_EQ(scheduler.first_failed(), b.index("clean"));
}

TEST(Scheduler, FinallyStillRunsAndRetriesAfterAStop) {
  for (const Stop reason : {Stop::cancelled, Stop::deadline, Stop::fail_fast}) {
    Bench b;
    b.add("a");
    b.add("b", {"a"});
    b.add("clean").settings.finally = true;
    b.plan.items[2].settings.max_attempts = 2;
    Scheduler& scheduler = b.start();
    scheduler.stop(reason);
    EXPECT_EQ(b.runs(), Names({"a"}));
    b.end("a", R::cancelled);
    EXPECT_EQ(b.result("b"), R::blocked);
    EXPECT_EQ(b.runs(), Names({"clean"}));
    b.end("clean", R::failed);
    b.again("clean");
    b.end("clean", R::succeeded);
    EXPECT_TRUE(scheduler.finished());
    EXPECT_EQ(scheduler.stopped(), reason);
  }
}

TEST(Scheduler, AStopMayMakeAFinallyReadyAtOnce) {
  Bench b;
  b.add("a");
  b.add("clean", {"a"}).settings.finally = true;
  b.answers[0] = Offer::wait;
  Scheduler& scheduler = b.start();
  scheduler.stop();
  EXPECT_EQ(b.result("a"), R::cancelled);
  EXPECT_EQ(b.runs(), Names({"clean"}));
}

TEST(Scheduler, AbandonCancelsFinallyAsWell) {
  Bench b;
  b.add("a");
  b.add("clean", {"a"}).settings.finally = true;
  b.add("last").settings.finally = true;
  b.add("waits").settings.finally = true;
  b.plan.items[1].settings.max_attempts = 2;
  Scheduler& scheduler = b.start({1, false, {}});
  b.end("a", R::succeeded);
  EXPECT_EQ(b.runs(), Names({"clean"}));
  scheduler.stop();
  EXPECT_EQ(b.runs(), Names({"clean"}));
  scheduler.abandon();
  EXPECT_EQ(b.result("last"), R::cancelled);
  EXPECT_EQ(b.result("waits"), R::cancelled);
  b.end("clean", R::failed);
  EXPECT_EQ(b.result("clean"), R::failed);
  EXPECT_TRUE(scheduler.finished());
}

TEST(Scheduler, AbandonAloneStopsAll) {
  Bench b;
  b.add("a");
  b.add("b", {"a"});
  b.add("clean").settings.finally = true;
  Scheduler& scheduler = b.start();
  scheduler.abandon();
  b.end("a", R::cancelled);
  EXPECT_EQ(b.result("b"), R::blocked);
  EXPECT_EQ(b.result("clean"), R::cancelled);
  EXPECT_TRUE(scheduler.finished());
  EXPECT_EQ(scheduler.stopped(), Stop::cancelled);
}

TEST(Scheduler, AFinallyWhoseWhenIsFalseIsSkipped) {
  Bench b;
  b.add("a");
  b.add("clean").settings.finally = true;
  b.answers[1] = Offer::skip;
  b.start();
  b.end("a", R::failed);
  EXPECT_EQ(b.result("clean"), R::skipped);
}

// ---- stops

TEST(Scheduler, FailFastStartsNothingMoreAndLetsRunningOnesFinishWithoutRetries) {
  Bench b;
  b.add("a");
  b.add("b").settings.max_attempts = 3;
  b.add("c");
  b.add("d", {"a"});
  b.add("e").settings.max_attempts = 3;
  b.plan.items[4].settings.priority = 1;
  Scheduler& scheduler = b.start({3, true, {}});
  b.end("e", R::failed);  // backs off
  b.end("c", R::succeeded);
  b.end("a", R::failed);
  EXPECT_EQ(b.runs(), Names({"b"}));
  EXPECT_EQ(b.result("e"), R::cancelled);
  EXPECT_EQ(b.attempts("e"), 1U);
  EXPECT_EQ(b.result("d"), R::blocked);
  b.end("b", R::crashed);
  EXPECT_EQ(b.result("b"), R::crashed);
  EXPECT_EQ(b.attempts("b"), 1U);
  EXPECT_TRUE(scheduler.finished());
  EXPECT_EQ(scheduler.stopped(), Stop::fail_fast);
  EXPECT_EQ(scheduler.first_failed(), b.index("a"));
}

TEST(Scheduler, StopCancelsWhatIsReadyPreparesOrBacksOff) {
  Bench b;
  b.add("a").settings.max_attempts = 2;
  b.add("b");
  b.add("c");
  b.add("d", {"c"});
  b.add("prepares");
  b.answers[4] = Offer::wait;
  Scheduler& scheduler = b.start({2, false, {}});
  b.end("a", R::failed);
  EXPECT_EQ(b.runs(), Names({"b", "c"}));
  scheduler.stop(Stop::deadline);
  EXPECT_EQ(b.result("a"), R::cancelled);
  EXPECT_EQ(b.attempts("a"), 1U);
  EXPECT_EQ(b.result("prepares"), R::cancelled);
  b.again("a");
  b.again("prepares");
  b.end("b", R::timed_out);
  b.end("c", R::cancelled);
  EXPECT_EQ(b.result("b"), R::timed_out);
  EXPECT_EQ(b.result("d"), R::blocked);
  EXPECT_TRUE(scheduler.finished());
  EXPECT_EQ(b.starts.size(), 3U);
}

TEST(Scheduler, TheFirstReasonToStopStays) {
  Bench b;
  b.add("a");
  Scheduler& scheduler = b.start({4, true, {}});
  EXPECT_EQ(scheduler.stopped(), std::nullopt);
  scheduler.stop(Stop::deadline);
  scheduler.stop(Stop::cancelled);
  b.end("a", R::failed);
  EXPECT_EQ(scheduler.stopped(), Stop::deadline);
}

TEST(Scheduler, StopBeforeStartCancelsEverything) {
  Bench b = diamond();
  Scheduler& scheduler = b.make();
  scheduler.stop();
  EXPECT_TRUE(b.ends.empty());
  scheduler.start();
  EXPECT_TRUE(scheduler.finished());
  EXPECT_EQ(b.result("a"), R::cancelled);
  EXPECT_EQ(b.result("d"), R::blocked);
}

TEST(Scheduler, WhatWouldBecomeReadyAfterAStopIsCancelled) {
  Bench b;
  b.add("a");
  b.add("b", {"a"});
  Scheduler& scheduler = b.start();
  scheduler.stop();
  b.end("a", R::succeeded);
  EXPECT_EQ(b.result("a"), R::succeeded);
  EXPECT_EQ(b.result("b"), R::cancelled);
}

}  // namespace
}  // namespace pf::orchestrator
