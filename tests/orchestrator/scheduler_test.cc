#include "orchestrator/scheduler.h"

#include <gtest/gtest.h>

#include <limits>

#include "orchestrator/scheduler_bench.h"

namespace pf::orchestrator {
namespace {

// ---- the graph

TEST(Scheduler, StartsWhatWaitsForNothingThenWhatItReleases) {
  Bench b = diamond();
  Scheduler& scheduler = b.start();
  EXPECT_EQ(b.runs(), Names({"a"}));
  b.end("a", R::succeeded);
  EXPECT_EQ(b.runs(), Names({"b", "c"}));
  b.end("c", R::succeeded);
  EXPECT_EQ(b.runs(), Names({"b"}));
  b.end("b", R::succeeded);
  b.end("d", R::succeeded);
  EXPECT_TRUE(scheduler.finished());
  EXPECT_FALSE(scheduler.failed());
  EXPECT_EQ(scheduler.first_failed(), -1);
}

TEST(Scheduler, AFailureBlocksDependentsAndIndependentBranchesGoOn) {
  Bench b = diamond();
  Scheduler& scheduler = b.start();
  b.end("a", R::succeeded);
  b.end("b", R::failed);
  EXPECT_EQ(b.runs(), Names({"c"}));
  b.end("c", R::succeeded);
  EXPECT_TRUE(scheduler.finished());
  EXPECT_EQ(b.result("d"), R::blocked);
  EXPECT_EQ(b.cause("d"), "b");
  EXPECT_TRUE(scheduler.failed());
}

TEST(Scheduler, EveryBadEndBlocks) {
  for (const R bad : {R::failed, R::timed_out, R::crashed, R::cancelled}) {
    Bench b;
    b.add("a");
    b.add("b", {"a"});
    b.add("c", {"b"});
    b.start();
    b.end("a", bad);
    EXPECT_EQ(b.result("b"), R::blocked);
    EXPECT_EQ(b.result("c"), R::blocked);
    EXPECT_EQ(b.cause("c"), "b");
  }
}

TEST(Scheduler, ConditionalEdges) {
  const auto make = [] {
    Bench b;
    b.add("a");
    b.add_with("on_failure", Bench::Edges{{"a", EdgeWhen::failed}});
    b.add_with("always", Bench::Edges{{"a", EdgeWhen::done}});
    b.add("after_skipped", {"on_failure"});
    return b;
  };
  Bench good = make();
  good.start();
  good.end("a", R::succeeded);
  EXPECT_EQ(good.result("on_failure"), R::skipped);
  EXPECT_EQ(good.cause("on_failure"), "a");
  EXPECT_EQ(good.result("after_skipped"), R::skipped);
  EXPECT_EQ(good.runs(), Names({"always"}));
  Bench bad = make();
  bad.start();
  bad.end("a", R::crashed);
  EXPECT_EQ(bad.runs(), Names({"on_failure", "always"}));
}

TEST(Scheduler, WhatWasSkippedOrCancelledMeetsNeitherFailedNorDone) {
  for (const EdgeWhen when : {EdgeWhen::failed, EdgeWhen::done}) {
    Bench b;
    b.add("skips");
    b.add("cancelled");
    b.add_with("x", Bench::Edges{{"skips", when}});
    b.add_with("y", Bench::Edges{{"cancelled", when}});
    b.answers[0] = Offer::skip;
    b.start();
    b.end("cancelled", R::cancelled);
    EXPECT_EQ(b.result("x"), R::skipped);
    EXPECT_EQ(b.result("y"), R::skipped);
  }
}

TEST(Scheduler, WhatBlocksWinsOverWhatSkips) {
  Bench b;
  b.add("skips");
  b.add("fails");
  b.add("x", {"skips", "fails"});
  b.answers[0] = Offer::skip;
  b.start();
  b.end("fails", R::failed);
  EXPECT_EQ(b.result("x"), R::blocked);
  EXPECT_EQ(b.cause("x"), "fails");
}

TEST(Scheduler, AFailureThatIsAllowedLetsDependentsRunAndStaysFailed) {
  Bench b;
  b.add("a").settings.allow_failure = true;
  b.add("b", {"a"});
  Scheduler& scheduler = b.start({4, true, {}});
  b.end("a", R::failed);
  EXPECT_EQ(b.result("a"), R::failed);
  EXPECT_EQ(b.runs(), Names({"b"}));
  b.end("b", R::succeeded);
  EXPECT_FALSE(scheduler.failed());
}

TEST(Scheduler, AnOrderAsksForNoResult) {
  for (const R any : {R::succeeded, R::failed, R::cancelled}) {
    Bench b;
    b.add("a");
    b.add_with("b", Bench::Edges{{"a", EdgeWhen::order}});
    b.start();
    EXPECT_EQ(b.runs(), Names({"a"}));
    b.end("a", any);
    EXPECT_EQ(b.runs(), Names({"b"}));
  }
}

TEST(Scheduler, WhatIsRefusedFailsAndWhatIsSkippedSkipsItsDependents) {
  Bench b;
  b.add("a");
  b.add("b");
  b.add("c", {"b"});
  b.answers = {{0, Offer::refused}, {1, Offer::skip}};
  Scheduler& scheduler = b.start();
  EXPECT_EQ(b.result("a"), R::failed);
  EXPECT_EQ(b.codes[0], "config.type");
  EXPECT_EQ(b.result("b"), R::skipped);
  EXPECT_EQ(b.result("c"), R::skipped);
  EXPECT_TRUE(scheduler.finished());
}

TEST(Scheduler, AnEndThatNobodyWaitsForIsNone) {
  Bench b;
  b.add("a");
  Scheduler& scheduler = b.start();
  b.end("a", R::succeeded);
  scheduler.attempt_ended(0, {R::failed, {}, false});
  scheduler.ready_again(0);
  EXPECT_EQ(b.result("a"), R::succeeded);
  EXPECT_FALSE(scheduler.failed());
}

TEST(Scheduler, AChainOfAHundredThousandThatIsBlockedNeedsNoStack) {
  Bench b;
  b.add("0");
  simulation::Item item;
  for (uint32_t i = 1; i < 100'000; ++i) {
    item.edges = {{i - 1, EdgeWhen::succeeded}};
    b.plan.items.push_back(item);
    b.names.push_back(std::to_string(i));
  }
  Scheduler& scheduler = b.start();
  b.end("0", R::failed);
  EXPECT_TRUE(scheduler.finished());
  EXPECT_EQ(scheduler.result(99'999), R::blocked);
}

TEST(Scheduler, AHundredThousandThatAreReadyAtOnceEndInTheOrderOfTheirPriorities) {
  Bench b;
  simulation::Dice dice(7);
  for (uint32_t i = 0; i < 100'000; ++i) {
    simulation::Item item;
    item.settings.priority = static_cast<int32_t>(dice.below(1000));
    b.plan.items.push_back(std::move(item));
    b.names.emplace_back();
  }
  Scheduler& scheduler = b.start({1, false, {}});
  while (!scheduler.finished()) {
    const uint32_t i = b.starts.back().first;
    b.running_now.erase(i);
    scheduler.attempt_ended(i, {});
  }
  EXPECT_EQ(b.starts.size(), 100'000U);
  const auto priority = [&](size_t at) { return b.plan.items[b.starts[at].first].settings.priority; };
  for (size_t at = 1; at < b.starts.size(); ++at) ASSERT_GE(priority(at - 1), priority(at));
}

// ---- priorities and limits

TEST(Scheduler, KeepsMaxParallel) {
  Bench b;
  for (const char* name : {"a", "b", "c"}) b.add(name);
  b.start({2, false, {}});
  EXPECT_EQ(b.runs(), Names({"a", "b"}));
  b.end("a", R::succeeded);
  EXPECT_EQ(b.runs(), Names({"b", "c"}));
}

TEST(Scheduler, PriorityComesFirstThenTheLongerChainThenWhatIsWrittenFirst) {
  Bench b;
  b.add("plain");
  b.add("begins a chain");
  b.add("plain too");
  b.add("urgent").settings.priority = 1;
  b.add("later").settings.priority = -1;
  b.add("ends a chain", {"begins a chain"});
  b.start({1, false, {}});
  while (!b.running_now.empty()) b.end(b.runs().front(), R::succeeded);
  EXPECT_EQ(b.order(), Names({"urgent", "begins a chain", "plain", "plain too", "ends a chain", "later"}));
}

TEST(Scheduler, ChainsAreAsLongAsTheirInstancesAreExpectedToTake) {
  Bench b;
  for (const char* name : {"two short", "long", "not known"}) b.add(name);
  b.add("second short", {"two short"});
  b.know("two short").expected = Milliseconds(100);
  b.know("second short").expected = Milliseconds(100);
  b.know("long").expected = Milliseconds(700);
  b.start({1, false, {}});
  while (!b.running_now.empty()) b.end(b.runs().front(), R::succeeded);
  // What is not known counts as the mean, 300.
  EXPECT_EQ(b.order(), Names({"long", "not known", "two short", "second short"}));
}

TEST(Scheduler, TheBestOfAllSectionsGoesFirst) {
  Bench b(2);
  b.add("a", Names{}, 0);
  b.add("b", Names{}, 0);
  b.add("c", Names{}, 1).settings.priority = 5;
  b.start({1, false, {}});
  EXPECT_EQ(b.runs(), Names({"c"}));
}

TEST(Scheduler, ASectionWithoutRoomHoldsUpNobodyElse) {
  Bench b(2);
  b.add("a", Names{}, 0).settings.priority = 5;
  b.add("b", Names{}, 1);
  b.closed = {0};
  Scheduler& scheduler = b.start();
  EXPECT_EQ(b.runs(), Names({"b"}));
  b.closed.clear();
  scheduler.pump();
  EXPECT_EQ(b.runs(), Names({"a", "b"}));
}

TEST(Scheduler, ASectionsLimitHoldsBesideThatOfAll) {
  Bench b(2);
  b.plan.sections[0].max_parallel = 1;
  b.add("a", Names{}, 0);
  b.add("b", Names{}, 0);
  b.add("c", Names{}, 1);
  b.add("d", Names{}, 1);
  b.start();
  EXPECT_EQ(b.runs(), Names({"a", "c", "d"}));
  b.end("a", R::failed);
  EXPECT_EQ(b.runs(), Names({"b", "c", "d"}));
}

TEST(Scheduler, APoolIsSharedAndHoldsUpNobodyWhoNeedsNone) {
  Bench b(2);
  b.plan.pools = {{"db", 2, {}}};
  for (const char* name : {"a", "b", "c"}) {
    auto& settings = b.add(name, Names{}, name[0] == 'b' ? 1 : 0).settings;
    settings.pool = 0;
    settings.priority = 9;
  }
  b.add("free", Names{}, 0);
  b.start();
  EXPECT_EQ(b.runs(), Names({"a", "b", "free"}));
  b.end("free", R::succeeded);
  EXPECT_EQ(b.runs(), Names({"a", "b"}));
  b.end("b", R::succeeded);
  EXPECT_EQ(b.runs(), Names({"a", "c"}));
}

TEST(Scheduler, WhoBacksOffGivesItsPlaceBack) {
  Bench b;
  b.plan.pools = {{"db", 1, {}}};
  b.add("a").settings.pool = 0;
  b.plan.items[0].settings.max_attempts = 2;
  b.add("b").settings.pool = 0;
  b.start();
  b.end("a", R::failed);
  EXPECT_EQ(b.runs(), Names({"b"}));
  b.again("a");
  EXPECT_EQ(b.runs(), Names({"b"}));
  b.end("b", R::succeeded);
  EXPECT_EQ(b.runs(), Names({"a"}));
}

TEST(Scheduler, WhatPreparesTakesNoPlaceAndIsOfferedAgain) {
  Bench b;
  b.plan.pools = {{"db", 1, {}}};
  b.add("a").settings.pool = 0;
  b.add("b").settings.pool = 0;
  b.answers[0] = Offer::wait;
  b.start();
  EXPECT_EQ(b.runs(), Names({"b"}));
  b.answers.clear();
  b.again("a");
  b.end("b", R::succeeded);
  EXPECT_EQ(b.runs(), Names({"a"}));
}

// ---- attempts

TEST(Scheduler, RetriesUpToMaxAttemptsWithGrowingDelays) {
  Bench b;
  auto& settings = b.add("a").settings;
  settings.max_attempts = 4;
  settings.retry.emplace();
  settings.retry->max_delay = Milliseconds(3000);
  b.start();
  for (int i = 0; i < 3; ++i) {
    b.end("a", R::failed);
    b.again("a");
  }
  b.end("a", R::failed);
  EXPECT_EQ(b.delays,
            (std::vector<Milliseconds>{Milliseconds(1000), Milliseconds(2000), Milliseconds(3000)}));
  EXPECT_EQ(b.attempts("a"), 4U);
  EXPECT_EQ(b.result("a"), R::failed);
}

TEST(Scheduler, WithoutAPolicyAttemptsFollowAtOnce) {
  Bench b;
  b.add("a").settings.max_attempts = 2;
  b.start();
  b.end("a", R::crashed);
  EXPECT_EQ(b.delays, std::vector<Milliseconds>{Milliseconds(0)});
}

TEST(Scheduler, JitterTakesAnyPartOfTheDelay) {
  for (const auto& [dice, jitter, delay] :
       {std::tuple{0.0, true, 0}, {0.25, true, 250}, {0.25, false, 1000}}) {
    Bench b;
    auto& settings = b.add("a").settings;
    settings.max_attempts = 2;
    settings.retry.emplace();
    settings.retry->full_jitter = jitter;
    b.dice = dice;
    b.start();
    b.end("a", R::failed);
    EXPECT_EQ(b.delays, std::vector<Milliseconds>{Milliseconds(delay)});
  }
}

TEST(Scheduler, DelaysNeitherOverflowNorPassTheirCap) {
  constexpr auto kForever = Milliseconds(std::numeric_limits<int64_t>::max());
  struct Case {
    Milliseconds delay, max_delay;
    double factor;
    uint32_t failed;
    Milliseconds wanted;
  };
  for (const Case& c :
       {Case{Milliseconds(1), Milliseconds(30'000), 1000, 4'000'000'000, Milliseconds(30'000)},
        Case{Milliseconds(1), kForever, 1000, 4'000'000'000, kForever},
        Case{kForever, kForever, 1, 0, kForever},
        Case{Milliseconds(0), Milliseconds(30'000), 1000, 4'000'000'000, Milliseconds(0)},
        Case{Milliseconds(5000), Milliseconds(1000), 2, 0, Milliseconds(1000)}}) {
    Bench b;
    auto& settings = b.add("a").settings;
    settings.max_attempts = UINT32_MAX;
    settings.retry.emplace();
    settings.retry->delay = c.delay;
    settings.retry->max_delay = c.max_delay;
    settings.retry->factor = c.factor;
    b.know("a").failed = c.failed;
    b.start();
    b.end("a", R::failed);
    EXPECT_EQ(b.delays, std::vector<Milliseconds>{c.wanted});
  }
}

TEST(Scheduler, NeverRetriesWhatCannotBeMended) {
  for (const char* code :
       {"permission.http", "auth.expired", "git.auth", "config.missing", "schema.invalid", "expression.type",
        "pipeline.type", "graph.cycle", "yaml.syntax", "manifest.type", "validation.region"}) {
    Bench b;
    b.add("a").settings.max_attempts = 3;
    b.start();
    b.end("a", R::failed, code);
    EXPECT_EQ(b.result("a"), R::failed) << code;
    EXPECT_EQ(b.attempts("a"), 1U) << code;
  }
  Bench b;
  b.add("a").settings.max_attempts = 3;
  b.start();
  b.end("a", R::failed, "extension.error", false);
  EXPECT_EQ(b.attempts("a"), 1U);
}

TEST(Scheduler, RetryOnAndNeverOnMatchCodesAndTexts) {
  struct Case {
    std::vector<std::string> only, never;
    bool retried;
  };
  // The error is http.timeout, "connection reset".
  for (const Case& c :
       {Case{{}, {}, true}, Case{{"http.timeout"}, {}, true}, Case{{"reset"}, {}, true},
        Case{{"http.tls", "http"}, {}, false}, Case{{}, {"http.timeout"}, false}, Case{{}, {"reset"}, false},
        Case{{"reset"}, {"http.timeout"}, false}, Case{{}, {"http.tls"}, true}}) {
    Bench b;
    auto& settings = b.add("a").settings;
    settings.max_attempts = 2;
    settings.retry.emplace();
    settings.retry->retry_on = c.only;
    settings.retry->never_on = c.never;
    b.start();
    b.end("a", R::failed, "http.timeout");
    EXPECT_EQ(b.backing_off.size(), c.retried ? 1U : 0U);
  }
}

TEST(Scheduler, RetryOnDoesNotMendWhatCannotBe) {
  Bench b;
  auto& settings = b.add("a").settings;
  settings.max_attempts = 2;
  settings.retry.emplace();
  settings.retry->retry_on = {"permission.http"};
  b.start();
  b.end("a", R::failed, "permission.http");
  EXPECT_EQ(b.result("a"), R::failed);
}

TEST(Scheduler, AHookGetsOneAttemptMore) {
  Bench b;
  b.add("a").settings.max_attempts = 2;
  b.start();
  for (int i = 0; i < 2; ++i) {
    b.end("a", R::failed, "extension.error", true, true);
    b.again("a");
  }
  EXPECT_EQ(b.starts.back().second, 3U);
  b.end("a", R::failed, "extension.error", true, true);
  EXPECT_EQ(b.result("a"), R::failed);
  EXPECT_EQ(b.attempts("a"), 3U);
}

TEST(Scheduler, AHookGetsItAlsoWhereTheErrorIsNeverRetriedButNotAfterARefusedPermission) {
  Bench b;
  b.add("a");
  b.add("b");
  b.start();
  b.end("a", R::failed, "config.type", false, true);
  b.end("b", R::failed, "permission.read", false, true);
  EXPECT_EQ(b.backing_off, Names({"a"}));
  EXPECT_EQ(b.result("b"), R::failed);
}

TEST(Scheduler, ItTellsWhetherAnAttemptIsTheLastWithoutUsingUpAnything) {
  Bench b;
  b.add("a").settings.max_attempts = 2;
  Scheduler& scheduler = b.start();
  AttemptEnd end;
  end.result = R::failed;
  end.error.code = "extension.error";
  EXPECT_FALSE(scheduler.is_last(0, end));
  b.end("a", R::failed);
  b.again("a");
  EXPECT_TRUE(scheduler.is_last(0, end));
  end.again = true;
  EXPECT_FALSE(scheduler.is_last(0, end));
  EXPECT_FALSE(scheduler.is_last(0, end));
  end.result = R::cancelled;
  EXPECT_TRUE(scheduler.is_last(0, end));
  end.result = R::failed;
  scheduler.stop();
  EXPECT_TRUE(scheduler.is_last(0, end));
}

TEST(Scheduler, AHookGetsNothingWhenTheRunStops) {
  Bench b;
  b.add("a");
  Scheduler& scheduler = b.start();
  scheduler.stop();
  b.end("a", R::failed, "extension.error", true, true);
  EXPECT_EQ(b.result("a"), R::failed);
}

// ---- resumed runs

TEST(Scheduler, AttemptsThatFailedBeforeCount) {
  Bench b;
  b.add("a").settings.max_attempts = 3;
  b.know("a").failed = 2;
  b.start();
  EXPECT_EQ(b.starts, (std::vector<std::pair<uint32_t, uint32_t>>{{0, 3}}));
  b.end("a", R::failed);
  EXPECT_EQ(b.result("a"), R::failed);
  EXPECT_EQ(b.attempts("a"), 3U);
}

TEST(Scheduler, WhereNoAttemptIsLeftTheWorldIsAskedWithTheLastOne) {
  Bench b;
  b.add("a").settings.max_attempts = 2;
  b.add("b", {"a"});
  b.know("a").failed = 2;
  b.answers[0] = Offer::reuse;
  b.given.result = R::timed_out;
  b.given.attempts = 2;
  b.given.error.code = "deadline.attempt";
  Scheduler& scheduler = b.start();
  EXPECT_EQ(b.offered, std::vector<uint32_t>{2});
  EXPECT_EQ(b.result("a"), R::timed_out);
  EXPECT_EQ(b.attempts("a"), 2U);
  EXPECT_EQ(b.codes[0], "deadline.attempt");
  EXPECT_EQ(b.result("b"), R::blocked);
  EXPECT_EQ(scheduler.first_failed(), 0);
}

TEST(Scheduler, WhatAHookAskedForBeforeIsStillThere) {
  Bench b;
  b.add("a").settings.max_attempts = 2;
  b.know("a").failed = 2;
  b.know("a").again = true;
  b.start();
  EXPECT_EQ(b.starts, (std::vector<std::pair<uint32_t, uint32_t>>{{0, 3}}));
  b.end("a", R::failed, "extension.error", true, true);
  EXPECT_EQ(b.attempts("a"), 3U);
}

TEST(Scheduler, ARefusalAfterFailedAttemptsHasTheirCount) {
  for (const auto& [offer, result] : {std::pair{Offer::refused, R::failed}, {Offer::expired, R::timed_out}}) {
    Bench b;
    b.add("a").settings.max_attempts = 3;
    b.start();
    b.end("a", R::failed);
    b.answers[0] = offer;
    b.again("a");
    EXPECT_EQ(b.result("a"), result);
    EXPECT_EQ(b.attempts("a"), 1U);
  }
}

TEST(Scheduler, WhatIsReusedCountsAsItEnded) {
  Bench b;
  b.add("a");
  b.add("b", {"a"});
  b.answers[0] = Offer::reuse;
  b.start();
  EXPECT_EQ(b.result("a"), R::cached);
  EXPECT_EQ(b.attempts("a"), 0U);
  EXPECT_EQ(b.runs(), Names({"b"}));
}

}  // namespace
}  // namespace pf::orchestrator
