#include "orchestrator/critical_path.h"

#include <gtest/gtest.h>

namespace pf::orchestrator {
namespace {

using Upstream = std::vector<std::vector<uint32_t>>;

double paths(std::vector<double>& lengths, const Upstream& upstream) {
  return critical_paths(lengths, [&](uint32_t i, auto&& visit) {
    for (const uint32_t u : upstream[i]) visit(u);
  });
}

TEST(CriticalPath, IsTheLongestChainThatBeginsThere) {
  // 0 <- 1 <- 3, 0 <- 2; 4 alone.
  std::vector<double> lengths = {1, 2, 10, 4, 6};
  EXPECT_EQ(paths(lengths, {{}, {0}, {0}, {1}, {}}), 11);
  EXPECT_EQ(lengths, (std::vector<double>{11, 6, 10, 4, 6}));
}

TEST(CriticalPath, WhatIsNotKnownIsAsLongAsTheMean) {
  double usual = 0;
  EXPECT_EQ(expected_lengths({Milliseconds(10), Milliseconds(0), Milliseconds(30)}, usual),
            (std::vector<double>{10, 20, 30}));
  EXPECT_EQ(usual, 20);
  EXPECT_EQ(expected_lengths({Milliseconds(0)}, usual), std::vector<double>{1});
}

TEST(CriticalPath, ALongChainNeedsNoStack) {
  Upstream upstream(100'000);
  for (uint32_t i = 1; i < upstream.size(); ++i) upstream[i] = {i - 1};
  std::vector<double> lengths(upstream.size(), 2);
  EXPECT_EQ(paths(lengths, upstream), 200'000);
}

}  // namespace
}  // namespace pf::orchestrator
