#include "worker/patience.h"

#include <gtest/gtest.h>

namespace pf::worker {
namespace {

TEST(Patience, IsThereAtFirstAndWhileItPays) {
  Patience patience;
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(patience.pays());
    patience.went(true);
  }
}

TEST(Patience, EndsAfterWaitsThatDidNotPayAndIsTriedAnewNowAndThen) {
  Patience patience;
  for (int i = 0; i < 8; ++i) {
    ASSERT_TRUE(patience.pays()) << i;
    patience.went(false);
  }
  for (int round = 0; round < 3; ++round) {
    for (int i = 1; i < 256; ++i) ASSERT_FALSE(patience.pays()) << i;
    for (int i = 0; i < 4; ++i) {
      ASSERT_TRUE(patience.pays()) << i;
      patience.went(false);
    }
  }
}

TEST(Patience, ComesBackWhenItPaysAgain) {
  Patience patience;
  for (int i = 0; i < 8; ++i) patience.went(false);
  int tried = 0;
  for (int i = 0; i < 300; ++i) {
    if (!patience.pays()) continue;
    ++tried;
    patience.went(true);
  }
  EXPECT_EQ(tried, 45);  // from the 256th on
}

}  // namespace
}  // namespace pf::worker
