#include "orchestrator/simulation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>

namespace pf::orchestrator::simulation {
namespace {

constexpr uint64_t kShards = 20;
constexpr uint64_t kSeeds = 10'000;

class Simulation : public ::testing::TestWithParam<uint64_t> {};

// PANGEO_FORGE_SEED=n plays one seed alone.
TEST_P(Simulation, EndsAsTheModelSaysAlsoAfterCrashes) {
  if (const char* seed = std::getenv("PANGEO_FORGE_SEED"); seed != nullptr) {
    const uint64_t number = std::strtoull(seed, nullptr, 10);
    EXPECT_EQ(GetParam() == 0 ? check(number) : std::string(), "");
    return;
  }
  const uint64_t first = GetParam() * (kSeeds / kShards) + 1;
  for (uint64_t seed = first; seed < first + kSeeds / kShards; ++seed) {
    const std::string wrong = check(seed);
    ASSERT_EQ(wrong, "") << "PANGEO_FORGE_SEED=" << seed << " plays it alone";
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, Simulation, ::testing::Range<uint64_t>(0, kShards));

// What is never met is not tested: each result, and each thing that can be written, is met often.
TEST(SimulationCovers, EachResultAndEachKindOfWrite) {
  std::map<R, int> results;
  std::map<Record::Kind, int> writes;
  int children = 0, retried = 0, asked = 0, interrupted = 0;
  for (uint64_t seed = 1; seed <= 1000; ++seed) {
    const Played played = play(Plan::make(seed), {}, true);
    EXPECT_TRUE(played.problems.empty()) << seed;
    for (const auto& [key, result] : played.results) {
      ++results[result.result];
      if (is_child(key)) ++children;
      if (result.attempts > 1) ++retried;
    }
    for (const Record& record : played.journal) {
      ++writes[record.kind];
      if (record.again) ++asked;
      if (record.kind == Record::Kind::concluded && !record.for_good) ++interrupted;
    }
  }
  for (const R result : {R::succeeded, R::cached, R::failed, R::timed_out, R::crashed, R::cancelled,
                         R::skipped, R::blocked, R::excluded})
    EXPECT_GE(results[result], 100) << state::to_text(result);
  using Kind = Record::Kind;
  for (const Kind kind : {Kind::began, Kind::failed, Kind::concluded, Kind::expanded})
    EXPECT_GE(writes[kind], 100) << static_cast<int>(kind);
  for (const int count : {children, retried, asked, interrupted}) EXPECT_GE(count, 50);
}

}  // namespace
}  // namespace pf::orchestrator::simulation
