#include "orchestrator/simulation.h"

#include <gtest/gtest.h>

#include <cstdlib>

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

}  // namespace
}  // namespace pf::orchestrator::simulation
