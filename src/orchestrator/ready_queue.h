// The instances that could start now, the best first, and the limits that hold some of them back: a section's
// max_parallel and the places of named pools. Belongs to the scheduler and its thread.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "pipeline/pipeline.h"

namespace pf::orchestrator {

/// Orders by priority, then by the longer critical path, then by index. What may not start now (its section
/// or pool is full, or its section has said that it has no room) does not hold up what may.
class ReadyQueue {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;
  /// The pipeline may grow by instances, not by sections or pools.
  explicit ReadyQueue(const pipeline::Pipeline& pipeline);

  void push(uint32_t instance, double path);
  /// The best of what may start, or kNone. It costs one comparison for each section and pool.
  uint32_t best();
  /// Takes what best() has just returned out of the queue.
  void pop();
  /// The section of what best() has just returned has no room until reopen().
  void shut();
  void reopen();

  /// The instance counts against its section and its pool until release().
  void occupy(uint32_t instance);
  void release(uint32_t instance);

  /// Forgets instances that `gone` says are gone.
  template <class Gone>
  void remove_if(Gone gone) {
    for (Lane& lane : lanes_) {
      std::erase_if(lane.heap, [&](const Entry& entry) { return gone(entry.instance); });
      restore(lane);
    }
  }

 private:
  struct Entry {
    double path;
    int32_t priority;
    uint32_t instance;
  };
  /// Those that share their limits: instances of one section and one pool (or none).
  struct Lane {
    uint32_t section = 0;
    uint32_t pool = kNone;
    std::vector<Entry> heap = {};
  };
  struct Limit {
    uint32_t most = 0;  // 0: none
    uint32_t taken = 0;
    bool full() const { return most != 0 && taken >= most; }
  };

  static bool worse(const Entry& a, const Entry& b);
  static void restore(Lane& lane);
  uint32_t pool_of(uint32_t instance) const {
    return pipeline_.settings[pipeline_.instances[instance].settings].pool;
  }

  const pipeline::Pipeline& pipeline_;
  std::vector<Lane> lanes_;                        // first one for each section, without a pool
  std::unordered_map<uint64_t, uint32_t> pooled_;  // section and pool -> index of its lane
  std::vector<Limit> sections_;
  std::vector<Limit> pools_;
  std::vector<uint8_t> shut_;  // by section
  uint32_t at_ = kNone;        // the lane of what best() returned
};

}  // namespace pf::orchestrator
