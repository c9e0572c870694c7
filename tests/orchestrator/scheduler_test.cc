#include "orchestrator/scheduler.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <set>

namespace pf::orchestrator {
namespace {

using Offer = Scheduler::Offer;
using R = InstanceResult;

std::unique_ptr<pipeline::Pipeline> load(const std::string& yaml) {
  char folder[] = "/tmp/pf-scheduler-XXXXXX";
  EXPECT_NE(mkdtemp(folder), nullptr);
  const auto file = std::filesystem::path(folder) / "p.yaml";
  std::ofstream(file) << yaml;
  pipeline::LoadOptions options;
  options.file = file;
  auto loaded = pipeline::load(options);
  EXPECT_TRUE(loaded) << (loaded ? "" : loaded.error().front().text());
  std::filesystem::remove_all(folder);
  return loaded ? std::move(*loaded) : nullptr;
}

/// A world without workers: attempts end when the test says so.
class FakeWorld : public Scheduler::Actions {
 public:
  Offer offer(uint32_t instance, uint32_t attempt, bool may_start, Scheduler::Answer& answer) override {
    if (answers.count(instance) != 0 && answers[instance] != Offer::taken) {
      if (answers[instance] == Offer::refused) answer.error.code = "config.type";
      return answers[instance];
    }
    if (!may_start) return Offer::no_room;
    running_now.insert(instance);
    most = std::max(most, running_now.size());
    starts.emplace_back(instance, attempt);
    return Offer::taken;
  }
  uint32_t running() const override { return static_cast<uint32_t>(running_now.size()); }
  void conclude(uint32_t instance, R result, uint32_t attempts, const Error*, int64_t cause) override {
    EXPECT_EQ(results.count(instance), 0U) << "ended twice";
    results[instance] = result;
    attempts_of[instance] = attempts;
    causes[instance] = cause;
  }
  void retry(uint32_t instance, uint32_t, const Error&, Milliseconds delay) override {
    waiting.push_back(instance);
    delays.push_back(delay);
  }
  double random() override { return 1; }

  std::map<uint32_t, Offer> answers;
  std::set<uint32_t> running_now;
  size_t most = 0;
  std::vector<std::pair<uint32_t, uint32_t>> starts;
  std::map<uint32_t, R> results;
  std::map<uint32_t, uint32_t> attempts_of;
  std::map<uint32_t, int64_t> causes;
  std::vector<uint32_t> waiting;
  std::vector<Milliseconds> delays;
};

struct Fixture {
  explicit Fixture(const std::string& yaml, Scheduler::Options options = {})
      : pipeline(load(yaml)), scheduler(*pipeline, options, world) {}
  void end(const std::string& address, R result, bool retryable = true,
           const std::string& code = "extension.error") {
    const auto instance = static_cast<uint32_t>(pipeline->find(address));
    ASSERT_EQ(world.running_now.erase(instance), 1U) << address << " does not run";
    AttemptEnd end;
    end.result = result;
    end.error.code = code;
    end.error.retryable = retryable;
    scheduler.attempt_ended(instance, end);
  }
  R result(const std::string& address) {
    return scheduler.result(static_cast<uint32_t>(pipeline->find(address)));
  }
  std::vector<std::string> running() {
    std::vector<std::string> out;
    for (uint32_t i : world.running_now) out.push_back(pipeline->address(i));
    return out;
  }
  std::unique_ptr<pipeline::Pipeline> pipeline;
  FakeWorld world;
  Scheduler scheduler;
};

using Names = std::vector<std::string>;

constexpr char kDiamond[] = R"(p:
  t:
    - {name: a}
    - {name: b, depends_on: [t.a]}
    - {name: c, depends_on: [t.a]}
    - {name: d, depends_on: [t.b, t.c]}
)";

TEST(Scheduler, StartsWhatWaitsForNothingThenWhatItReleases) {
  Fixture f(kDiamond);
  f.scheduler.start();
  EXPECT_EQ(f.running(), Names({"t.a"}));
  f.end("t.a", R::succeeded);
  EXPECT_EQ(f.running(), Names({"t.b", "t.c"}));
  f.end("t.c", R::succeeded);
  EXPECT_EQ(f.running(), Names({"t.b"}));
  f.end("t.b", R::succeeded);
  f.end("t.d", R::succeeded);
  EXPECT_TRUE(f.scheduler.finished());
  EXPECT_FALSE(f.scheduler.failed());
}

TEST(Scheduler, KeepsMaxParallel) {
  Fixture f("p:\n  t: [{name: a}, {name: b}, {name: c}]\n", {2, false});
  f.scheduler.start();
  EXPECT_EQ(f.running(), Names({"t.a", "t.b"}));
  f.end("t.a", R::succeeded);
  EXPECT_EQ(f.running(), Names({"t.b", "t.c"}));
}

TEST(Scheduler, AFailureBlocksDependentsAndIndependentBranchesGoOn) {
  Fixture f(kDiamond);
  f.scheduler.start();
  f.end("t.a", R::succeeded);
  f.end("t.b", R::failed);
  EXPECT_EQ(f.running(), Names({"t.c"}));
  f.end("t.c", R::succeeded);
  EXPECT_TRUE(f.scheduler.finished());
  EXPECT_EQ(f.result("t.d"), R::blocked);
  EXPECT_EQ(f.world.causes[3], f.pipeline->find("t.b"));
  EXPECT_TRUE(f.scheduler.failed());
}

TEST(Scheduler, EveryBadEndBlocks) {
  for (R bad : {R::failed, R::timed_out, R::crashed, R::cancelled}) {
    Fixture f("p:\n  t: [{name: a}, {name: b, depends_on: [t.a]}]\n");
    f.scheduler.start();
    f.end("t.a", bad);
    EXPECT_EQ(f.result("t.b"), R::blocked);
  }
}

TEST(Scheduler, ConditionalEdges) {
  constexpr char kYaml[] = R"(p:
  t:
    - {name: a}
    - {name: on_failure, depends_on: [{name: t.a, when: failed}]}
    - {name: always, depends_on: [{name: t.a, when: done}]}
    - {name: after_skipped, depends_on: [t.on_failure]}
)";
  Fixture good(kYaml);
  good.scheduler.start();
  good.end("t.a", R::succeeded);
  EXPECT_EQ(good.result("t.on_failure"), R::skipped);
  EXPECT_EQ(good.result("t.after_skipped"), R::skipped);
  EXPECT_EQ(good.running(), Names({"t.always"}));
  Fixture bad(kYaml);
  bad.scheduler.start();
  bad.end("t.a", R::crashed);
  EXPECT_EQ(bad.running(), Names({"t.on_failure", "t.always"}));
}

TEST(Scheduler, AFailureThatIsAllowedLetsDependentsRunAndStaysFailed) {
  Fixture f("p:\n  t: [{name: a, allow_failure: true}, {name: b, depends_on: [t.a]}]\n");
  f.scheduler.start();
  f.end("t.a", R::failed);
  EXPECT_EQ(f.result("t.a"), R::failed);
  EXPECT_EQ(f.running(), Names({"t.b"}));
  f.end("t.b", R::succeeded);
  EXPECT_FALSE(f.scheduler.failed());
}

TEST(Scheduler, RetriesUpToMaxAttemptsWithGrowingDelays) {
  Fixture f("p:\n  t:\n    - {name: a, max_attempts: 4, retry: {delay: 1s, max_delay: 3s, factor: 2}}\n");
  f.scheduler.start();
  for (int i = 0; i < 3; ++i) {
    f.end("t.a", R::failed);
    f.scheduler.ready_again(0);
  }
  f.end("t.a", R::failed);
  EXPECT_EQ(f.world.delays,
            (std::vector<Milliseconds>{Milliseconds(1000), Milliseconds(2000), Milliseconds(3000)}));
  EXPECT_EQ(f.world.attempts_of[0], 4U);
  EXPECT_EQ(f.result("t.a"), R::failed);
}

TEST(Scheduler, NeverRetriesWhatCannotBeMended) {
  Fixture f("p:\n  t: [{name: a, max_attempts: 3}, {name: b, max_attempts: 3}]\n");
  f.scheduler.start();
  f.end("t.a", R::failed, false);
  f.end("t.b", R::failed, true, "permission.http");
  EXPECT_TRUE(f.scheduler.finished());
  EXPECT_EQ(f.world.attempts_of[0], 1U);
  EXPECT_EQ(f.world.attempts_of[1], 1U);
}

TEST(Scheduler, RetryOnAndNeverOnMatchCodesAndTexts) {
  Fixture f(R"(p:
  t:
    - {name: only, max_attempts: 3, retry: {retry_on: [http.timeout]}}
    - {name: never, max_attempts: 3, retry: {never_on: [http.tls]}}
)");
  f.scheduler.start();
  f.end("t.only", R::failed, true, "http.connect");
  f.end("t.never", R::failed, true, "http.tls");
  EXPECT_TRUE(f.scheduler.finished());
}

TEST(Scheduler, WhatIsRefusedFailsAndWhatIsSkippedSkipsItsDependents) {
  Fixture f("p:\n  t: [{name: a}, {name: b}, {name: c, depends_on: [t.b]}]\n");
  f.world.answers = {{0, Offer::refused}, {1, Offer::skip}};
  f.scheduler.start();
  EXPECT_EQ(f.result("t.a"), R::failed);
  EXPECT_EQ(f.result("t.b"), R::skipped);
  EXPECT_EQ(f.result("t.c"), R::skipped);
  EXPECT_TRUE(f.scheduler.finished());
}

TEST(Scheduler, SequentialSectionsRunInWrittenOrderWhateverTheResult) {
  Fixture f("p:\n  core: {order: sequential}\n  t: [{name: a}, {name: b}]\n  u: [{name: c}]\n");
  f.scheduler.start();
  EXPECT_EQ(f.running(), Names({"t.a"}));
  f.end("t.a", R::failed);
  EXPECT_EQ(f.running(), Names({"t.b"}));
  f.end("t.b", R::succeeded);
  EXPECT_EQ(f.running(), Names({"u.c"}));
}

TEST(Scheduler, FailFastStartsNothingMoreAndLetsRunningOnesFinish) {
  Fixture f("p:\n  t: [{name: a}, {name: b}, {name: c}, {name: d, depends_on: [t.a]}]\n", {2, true});
  f.scheduler.start();
  f.end("t.a", R::failed);
  EXPECT_EQ(f.running(), Names({"t.b"}));
  EXPECT_EQ(f.result("t.c"), R::cancelled);
  EXPECT_EQ(f.result("t.d"), R::blocked);
  f.end("t.b", R::succeeded);
  EXPECT_TRUE(f.scheduler.finished());
}

TEST(Scheduler, StopCancelsWhatIsReadyOrBacksOff) {
  Fixture f("p:\n  t: [{name: a, max_attempts: 2}, {name: b}, {name: c}, {name: d, depends_on: [t.c]}]\n",
            {2, false});
  f.scheduler.start();
  f.end("t.a", R::failed);
  f.scheduler.stop();
  EXPECT_EQ(f.result("t.a"), R::cancelled);
  f.scheduler.ready_again(0);
  while (!f.world.running_now.empty()) {
    f.end(f.pipeline->address(*f.world.running_now.begin()), R::cancelled);
  }
  EXPECT_EQ(f.result("t.d"), R::blocked);
  EXPECT_TRUE(f.scheduler.finished());
}

TEST(Scheduler, StopBeforeStartCancelsEverything) {
  Fixture f(kDiamond);
  f.scheduler.stop();
  f.scheduler.start();
  EXPECT_TRUE(f.scheduler.finished());
  EXPECT_EQ(f.result("t.a"), R::cancelled);
  EXPECT_EQ(f.result("t.d"), R::blocked);
}

TEST(Scheduler, AChainOfAHundredThousandThatIsBlockedNeedsNoStack) {
  std::string yaml = "p:\n  t:\n    - {name: n0}\n";
  for (int i = 1; i < 100000; ++i) {
    yaml += "    - {name: n" + std::to_string(i) + ", depends_on: [t.n" + std::to_string(i - 1) + "]}\n";
  }
  Fixture f(yaml);
  f.scheduler.start();
  f.end("t.n0", R::failed);
  EXPECT_TRUE(f.scheduler.finished());
  EXPECT_EQ(f.result("t.n99999"), R::blocked);
}

// ---- random pipelines against a model of a few lines

struct Plan {
  std::string yaml;
  std::vector<std::vector<std::pair<uint32_t, pipeline::EdgeWhen>>> upstream;
  std::vector<R> outcome;  // of every attempt
  std::vector<bool> allow, skip;
};

Plan random_plan(std::mt19937& random) {
  Plan plan;
  const uint32_t n = 1 + random() % 14;
  plan.yaml = "p:\n  t:\n";
  for (uint32_t i = 0; i < n; ++i) {
    static constexpr R kOutcomes[] = {R::succeeded, R::succeeded, R::succeeded,
                                      R::failed,    R::crashed,   R::timed_out};
    plan.outcome.push_back(kOutcomes[random() % 6]);
    plan.allow.push_back(random() % 6 == 0);
    plan.skip.push_back(random() % 8 == 0);
    plan.upstream.emplace_back();
    std::string needs;
    for (uint32_t u = 0; u < i; ++u) {
      if (random() % 3 != 0) continue;
      static constexpr const char* kWhens[] = {"succeeded", "failed", "done"};
      const uint32_t when = random() % 4 == 0 ? 1 + random() % 2 : 0;
      plan.upstream[i].emplace_back(u, static_cast<pipeline::EdgeWhen>(when));
      needs +=
          (needs.empty() ? "" : ", ") + ("{name: t.n" + std::to_string(u) + ", when: " + kWhens[when] + "}");
    }
    plan.yaml +=
        "    - {name: n" + std::to_string(i) + ", max_attempts: " + std::to_string(1 + random() % 3) +
        ", allow_failure: " + (plan.allow[i] ? "true" : "false") + ", depends_on: [" + needs + "]}\n";
  }
  return plan;
}

R expected(const Plan& plan, const std::vector<R>& results, uint32_t i) {
  bool blocked = false;
  bool skipped = false;
  for (const auto& [u, when] : plan.upstream[i]) {
    const R r = results[u];
    const bool broke = r == R::failed || r == R::crashed || r == R::timed_out;
    const bool good = r == R::succeeded || (broke && plan.allow[u]);
    if (when == pipeline::EdgeWhen::succeeded) {
      if (r == R::skipped)
        skipped = true;
      else if (!good)
        blocked = true;
    } else if (when == pipeline::EdgeWhen::failed ? !broke : !broke && !good) {
      skipped = true;
    }
  }
  return blocked ? R::blocked : skipped || plan.skip[i] ? R::skipped : plan.outcome[i];
}

TEST(Scheduler, RandomPipelinesEndAsTheModelSays) {
  for (uint32_t seed = 1; seed <= 1000; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    const Plan plan = random_plan(random);
    const uint32_t limit = 1 + random() % 4;
    Fixture f(plan.yaml, {limit, false});
    for (uint32_t i = 0; i < plan.skip.size(); ++i) {
      if (plan.skip[i]) f.world.answers[i] = Offer::skip;
    }
    f.scheduler.start();
    while (!f.scheduler.finished()) {
      const bool can_retry = !f.world.waiting.empty();
      ASSERT_TRUE(can_retry || !f.world.running_now.empty()) << "stuck";
      if (can_retry && (f.world.running_now.empty() || random() % 2 == 0)) {
        const uint32_t again = f.world.waiting.back();
        f.world.waiting.pop_back();
        f.scheduler.ready_again(again);
        continue;
      }
      auto at = f.world.running_now.begin();
      std::advance(at, random() % f.world.running_now.size());
      const uint32_t ended = *at;
      for (const auto& [u, when] : plan.upstream[ended]) {
        ASSERT_EQ(f.world.results.count(u), 1U) << "started before what it needs";
      }
      f.end(f.pipeline->address(ended), plan.outcome[ended]);
    }
    EXPECT_LE(f.world.most, limit);
    std::vector<R> results;
    for (uint32_t i = 0; i < plan.outcome.size(); ++i) {
      results.push_back(expected(plan, results, i));
      EXPECT_EQ(f.scheduler.result(i), results[i]) << "n" << i << " of\n" << plan.yaml;
    }
  }
}

}  // namespace
}  // namespace pf::orchestrator
