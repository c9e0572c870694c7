// How long a run may still take, from how long its instances took before. Belongs to one observer and the
// loop's thread.
#pragma once

#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "orchestrator/events.h"
#include "report/tally.h"

namespace pf::report {

/// Estimates from RunStarted::expected and what has ended; what is not known takes as long as the others of
/// its section do on average.
class Eta {
 public:
  void begin(const orchestrator::RunStarted& event);
  void finished(const orchestrator::InstanceFinished& event);
  /// The longer of two bounds: all that is left shared by max_parallel, and the longest chain of what waits
  /// for each other. nullopt while no duration at all is known, and when nothing is left. O(instances +
  /// edges).
  std::optional<Milliseconds> left(const Tally& tally, SteadyTime now) const;
  /// The same for a run that is watched otherwise; of `running` only index and since count.
  std::optional<Milliseconds> left(uint32_t total, const std::list<Running>& running, SteadyTime now) const;

 private:
  struct Average {
    double sum = 0;
    uint32_t count = 0;
    void add(double value) {
      sum += value;
      ++count;
    }
  };
  double expected(uint32_t index) const;

  const std::vector<orchestrator::InstanceInfo>* instances_ = nullptr;
  const std::vector<std::vector<uint32_t>>* upstream_ = nullptr;
  std::vector<Milliseconds> known_;
  std::vector<uint32_t> order_;  // topological; what is in a circle is left out
  std::vector<bool> done_;
  std::unordered_map<std::string, Average> of_type_;
  Average of_all_;
  uint32_t max_parallel_ = 0;
};

}  // namespace pf::report
