#include "orchestrator/estimate.h"

#include <gtest/gtest.h>

namespace pf::orchestrator {
namespace {

using Upstream = std::vector<std::vector<uint32_t>>;
using Lengths = std::vector<Milliseconds>;

constexpr SteadyTime at(int64_t ms) { return SteadyTime(Milliseconds(ms)); }
std::optional<Milliseconds> ms(int64_t count) { return Milliseconds(count); }

TEST(Estimate, AChainTakesTheSumOfItsLengths) {
  Estimate estimate(Upstream{{}, {0}, {1}},
                    Lengths{Milliseconds(1000), Milliseconds(2000), Milliseconds(3000)}, 4);
  EXPECT_EQ(estimate.left(at(0)), ms(6000));
  estimate.began(0, at(0));
  EXPECT_EQ(estimate.left(at(400)), ms(5600));
  estimate.ended(0, at(700));
  EXPECT_EQ(estimate.left(at(700)), ms(5000));
}

TEST(Estimate, WhatIsWideTakesItsWorkOverTheParallelism) {
  Estimate estimate(Upstream(8), Lengths(8, Milliseconds(1000)), 2);
  EXPECT_EQ(estimate.left(at(0)), ms(4000));
  estimate.began(3, at(0));
  estimate.began(4, at(0));
  EXPECT_EQ(estimate.left(at(500)), ms(3500));
}

TEST(Estimate, TheLargerBoundCounts) {
  // 0 alone takes 5 s; the others 1 s each.
  Lengths lengths(5, Milliseconds(1000));
  lengths[0] = Milliseconds(5000);
  EXPECT_EQ(Estimate(Upstream(5), lengths, 4).left(at(0)), ms(5000));
  EXPECT_EQ(Estimate(Upstream(5), lengths, 1).left(at(0)), ms(9000));
}

TEST(Estimate, WhatTakesLongerThanExpectedCountsAsDone) {
  Estimate estimate(Upstream{{}, {0}}, Lengths{Milliseconds(1000), Milliseconds(2000)}, 1);
  estimate.began(0, at(0));
  EXPECT_EQ(estimate.left(at(60'000)), ms(2000));
}

TEST(Estimate, WhatIsNotKnownCountsAsTheMeanOfTheKnown) {
  Estimate estimate(Upstream(3), Lengths{Milliseconds(1000), Milliseconds(0), Milliseconds(3000)}, 1);
  EXPECT_EQ(estimate.left(at(0)), ms(6000));
}

TEST(Estimate, WithoutHistoryTheFirstEndsTell) {
  Estimate estimate(Upstream{{}, {0}, {1}, {2}}, {}, 1);
  EXPECT_EQ(estimate.left(at(0)), std::nullopt);
  estimate.began(0, at(0));
  EXPECT_EQ(estimate.left(at(5)), std::nullopt);
  estimate.ended(0, at(10));
  EXPECT_EQ(estimate.left(at(10)), ms(30));
  estimate.began(1, at(10));
  estimate.ended(1, at(40));  // 20 on average
  EXPECT_EQ(estimate.left(at(40)), ms(40));
}

TEST(Estimate, WhatIsCachedOrBlockedTakesNothing) {
  Estimate estimate(Upstream{{}, {0}, {}}, Lengths(3, Milliseconds(100)), 8);
  estimate.ended(0, at(0));
  EXPECT_EQ(estimate.left(at(0)), ms(100));
  estimate.ended(1, at(0));
  estimate.ended(2, at(0));
  estimate.ended(2, at(0));
  EXPECT_EQ(estimate.left(at(0)), ms(0));
}

TEST(Estimate, AnAttemptThatFailedIsStillToBeDone) {
  Estimate estimate(Upstream(1), Lengths{Milliseconds(100)}, 1);
  estimate.began(0, at(0));
  EXPECT_EQ(estimate.left(at(90)), ms(10));
  estimate.paused(0);
  EXPECT_EQ(estimate.left(at(95)), ms(100));
  estimate.began(0, at(100));
  EXPECT_EQ(estimate.left(at(150)), ms(50));
}

TEST(Estimate, AGroupBecomesItsInstances) {
  // 0 (group, as long as the mean: 200) <- 1 (200); three instances.
  Estimate estimate(Upstream{{}, {0}}, Lengths{Milliseconds(0), Milliseconds(200)}, 1);
  EXPECT_EQ(estimate.left(at(0)), ms(400));
  estimate.grown(0, 2, 3);
  EXPECT_EQ(estimate.left(at(0)), ms(800));
  for (uint32_t i = 2; i < 5; ++i) {
    estimate.began(i, at(0));
    estimate.ended(i, at(10));
  }
  EXPECT_EQ(estimate.left(at(10)), ms(200));
  estimate.ended(0, at(10));
  estimate.ended(1, at(10));
  EXPECT_EQ(estimate.left(at(10)), ms(0));
}

TEST(Estimate, AnEmptyPipelineTakesNothing) { EXPECT_EQ(Estimate({}, {}, 4).left(at(0)), ms(0)); }

TEST(Estimate, ALongChainNeedsNoStack) {
  Upstream upstream(100'000);
  for (uint32_t i = 1; i < upstream.size(); ++i) upstream[i] = {i - 1};
  Estimate estimate(upstream, Lengths(upstream.size(), Milliseconds(2)), 16);
  EXPECT_EQ(estimate.left(at(0)), ms(200'000));
}

}  // namespace
}  // namespace pf::orchestrator
