#include "orchestrator/scheduler.h"

#include <gtest/gtest.h>

#include <limits>
#include <map>
#include <set>

#include "orchestrator/simulation_plan.h"

namespace pf::orchestrator {
namespace {

using Offer = Scheduler::Offer;
using Expansion = Scheduler::Expansion;
using Known = Scheduler::Known;
using Stop = Scheduler::Stop;
using R = InstanceResult;
using pipeline::EdgeWhen;
using Names = std::vector<std::string>;

/// A pipeline written down instance by instance, and a world without workers: attempts end when the test says
/// so.
class Bench : public Scheduler::Actions {
 public:
  using Edges = std::vector<std::pair<std::string, EdgeWhen>>;

  explicit Bench(uint32_t sections = 1) {
    plan.sections.resize(sections);
    plan.workers.resize(sections);
  }

  simulation::Item& add(const std::string& name, const Names& needs = {}, uint32_t section = 0) {
    Edges edges;
    for (const auto& upstream : needs) edges.emplace_back(upstream, EdgeWhen::succeeded);
    return add_with(name, edges, section);
  }
  simulation::Item& add_with(const std::string& name, const Edges& needs, uint32_t section = 0) {
    simulation::Item item;
    item.section = section;
    for (const auto& [upstream, when] : needs) item.edges.push_back({index(upstream), when});
    names.push_back(name);
    known.emplace_back();
    return plan.items.emplace_back(std::move(item));
  }
  Known& know(const std::string& name) { return known[index(name)]; }

  Scheduler& make(Scheduler::Options options = {}) {
    if (options.known.empty()) options.known = known;
    pipeline = plan.build();
    scheduler = std::make_unique<Scheduler>(*pipeline, std::move(options), *this);
    return *scheduler;
  }
  Scheduler& start(Scheduler::Options options = {}) {
    make(std::move(options)).start();
    return *scheduler;
  }

  uint32_t index(const std::string& name) const {
    const auto at = std::find(names.begin(), names.end(), name);
    EXPECT_NE(at, names.end()) << name;
    return static_cast<uint32_t>(at - names.begin());
  }
  void end(const std::string& name, R result, const std::string& code = "extension.error",
           bool retryable = true, bool again = false) {
    ASSERT_EQ(running_now.erase(index(name)), 1U) << name << " does not run";
    AttemptEnd end;
    end.result = result;
    end.error.code = code;
    end.error.message = "connection reset";
    end.error.retryable = retryable;
    end.again = again;
    scheduler->attempt_ended(index(name), std::move(end));
  }
  void again(const std::string& name) { scheduler->ready_again(index(name)); }
  R result(const std::string& name) { return scheduler->result(index(name)); }
  std::string cause(const std::string& name) {
    return causes[index(name)] < 0 ? "" : names[static_cast<size_t>(causes[index(name)])];
  }
  uint32_t attempts(const std::string& name) { return attempts_of[index(name)]; }
  Names runs() const {
    Names out;
    for (const uint32_t i : running_now) out.push_back(names[i]);
    return out;
  }
  /// In the order in which they were taken.
  Names order() const {
    Names out;
    for (const auto& [i, attempt] : starts) out.push_back(names[i]);
    return out;
  }

  Offer offer(uint32_t i, uint32_t attempt, bool may_start, Scheduler::Answer& answer) override {
    if (const auto said = answers.find(i); said != answers.end() && said->second != Offer::taken) {
      answer = given;
      if (answer.error.code.empty() && said->second != Offer::reuse) answer.error.code = "config.type";
      offered.push_back(attempt);
      return said->second;
    }
    if (!may_start || closed.contains(plan.items[i < plan.items.size() ? i : 0].section))
      return Offer::no_room;
    running_now.insert(i);
    starts.emplace_back(i, attempt);
    return Offer::taken;
  }
  uint32_t running() const override { return static_cast<uint32_t>(running_now.size()); }
  void conclude(uint32_t i, R result, uint32_t attempts, const Error* error, int64_t cause) override {
    EXPECT_FALSE(results.contains(i)) << names[i] << " ended twice";
    results[i] = result;
    attempts_of[i] = attempts;
    causes[i] = cause;
    codes[i] = error == nullptr ? "" : error->code;
    ends.push_back(names[i]);
  }
  void retry(uint32_t i, uint32_t, const Error&, Milliseconds delay) override {
    backing_off.push_back(names[i]);
    delays.push_back(delay);
  }
  double random() override { return dice; }
  Expansion expand(uint32_t group, Scheduler::Children& children) override {
    if (const auto said = expansions.find(group);
        said != expansions.end() && said->second != Expansion::done) {
      children.error = given.error;
      return said->second;
    }
    children.first = static_cast<uint32_t>(names.size());
    children.count = simulation::append_children(plan, group, *pipeline);
    children.known = child_known;
    for (uint32_t k = 0; k < children.count; ++k) names.push_back(names[group] + std::to_string(k));
    return Expansion::done;
  }
  void group_ended(uint32_t group, R result, int64_t cause) override {
    EXPECT_FALSE(results.contains(group));
    results[group] = result;
    causes[group] = cause;
    ends.push_back("(" + names[group] + ")");
  }

  simulation::Plan plan;
  Names names;
  std::vector<Known> known, child_known;
  std::unique_ptr<pipeline::Pipeline> pipeline;
  std::unique_ptr<Scheduler> scheduler;
  std::map<uint32_t, Offer> answers;
  std::map<uint32_t, Expansion> expansions;
  Scheduler::Answer given;
  std::set<uint32_t> closed;  // sections without room
  double dice = 1;
  std::set<uint32_t> running_now;
  std::vector<std::pair<uint32_t, uint32_t>> starts;
  std::vector<uint32_t> offered;  // attempts, of those that were not taken
  std::map<uint32_t, R> results;
  std::map<uint32_t, uint32_t> attempts_of;
  std::map<uint32_t, int64_t> causes;
  std::map<uint32_t, std::string> codes;
  Names ends, backing_off;
  std::vector<Milliseconds> delays;
};

Bench diamond() {
  Bench b;
  b.add("a");
  b.add("b", {"a"});
  b.add("c", {"a"});
  b.add("d", {"b", "c"});
  return b;
}

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
