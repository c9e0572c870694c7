// Whether it pays to wait awake for what should come at once, judged by how it went before: where another
// process needs the processor, waiting awake only keeps it from answering. A value; one thread.
#pragma once

#include <algorithm>
#include <cstdint>

namespace pf::worker {

class Patience {
 public:
  /// Asked before each wait. After many that did not pay it is tried anew now and then.
  bool pays() {
    if (score_ > kWorst) return true;
    if (++skipped_ < kAgain) return false;
    skipped_ = 0;
    score_ = kWorst + kTrials;
    return true;
  }
  /// How a wait went that was tried.
  void went(bool well) { score_ = std::clamp(score_ + (well ? 1 : -1), kWorst, kBest); }

 private:
  static constexpr int kWorst = -8, kBest = 8, kTrials = 4;
  static constexpr uint32_t kAgain = 256;
  int score_ = 0;
  uint32_t skipped_ = 0;
};

}  // namespace pf::worker
