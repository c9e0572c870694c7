// How long a run will still take, from how long its instances took before. Plain values without locks: an
// Estimate belongs to whoever made it and may be used from any one thread at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/clock.h"

namespace pf::orchestrator {

/// Turns each node's own length into that of the longest chain which begins with it, and returns the longest
/// of all. `each_upstream(i, visit)` calls visit(u) for each u that node i waits for. Nodes of a cycle keep
/// their own length.
template <class EachUpstream>
double critical_paths(std::vector<double>& lengths, EachUpstream&& each_upstream) {
  const auto count = static_cast<uint32_t>(lengths.size());
  std::vector<uint32_t> waiting(count);  // dependents whose chain is not known yet
  std::vector<double> longest(count);    // chain among the dependents
  for (uint32_t i = 0; i < count; ++i) each_upstream(i, [&](uint32_t u) { ++waiting[u]; });
  std::vector<uint32_t> work;
  for (uint32_t i = 0; i < count; ++i) {
    if (waiting[i] == 0) work.push_back(i);
  }
  double all = 0;
  while (!work.empty()) {
    const uint32_t i = work.back();
    work.pop_back();
    lengths[i] += longest[i];
    if (lengths[i] > all) all = lengths[i];
    each_upstream(i, [&](uint32_t u) {
      if (lengths[i] > longest[u]) longest[u] = lengths[i];
      if (--waiting[u] == 0) work.push_back(u);
    });
  }
  return all;
}

/// Milliseconds, by instance; what is 0 (not known) counts as the mean of the known, or as 1 where none is
/// known. `usual` is set to that.
std::vector<double> expected_lengths(const std::vector<Milliseconds>& expected, double& usual);

/// Estimates what is left as the larger of two bounds: the longest chain of what has not ended, and all work
/// that has not ended over max_parallel. What runs counts with what it lacks of its expected length, or with
/// nothing when it has taken longer. Instances without a known length count as the mean of the known ones;
/// where none is known, as the mean of those that ended in this run. Events cost O(log n), amortised.
class Estimate {
 public:
  /// `upstream` has what each instance waits for; both vectors are only read here. `expected` may be shorter.
  Estimate(const std::vector<std::vector<uint32_t>>& upstream, const std::vector<Milliseconds>& expected,
           uint32_t max_parallel);

  void began(uint32_t instance, SteadyTime now);
  /// Its attempt failed and another follows: all of it is still to be done.
  void paused(uint32_t instance);
  void ended(uint32_t instance, SteadyTime now);
  /// A group became the instances [first, first + count), which are as long as the mean, and ends with them.
  void grown(uint32_t group, uint32_t first, uint32_t count);

  /// nullopt: no length is known, and nothing that ran has ended yet.
  std::optional<Milliseconds> left(SteadyTime now) const;

 private:
  enum class State : uint8_t { waiting, running, ended };
  struct Node {
    double length;  // its own
    double path;    // with the longest chain behind it
    State state = State::waiting;
    SteadyTime begun{};
  };
  struct Waiting {
    double path;
    uint32_t instance;
    bool operator<(const Waiting& other) const { return path < other.path; }
  };

  void leave_running(uint32_t instance);
  void drop_gone();

  std::vector<Node> nodes_;
  std::vector<Waiting> waiting_;   // a heap; those that began or ended are dropped when they come up
  std::vector<uint32_t> running_;  // few
  double parallel_;
  double usual_ = 1;
  double work_ = 0;  // of what has not ended, all of it
  size_t open_ = 0;
  bool known_ =
      false;         // lengths are milliseconds; else they are multiples of what instances turn out to take
  double took_ = 0;  // milliseconds, of those that ran and ended, where lengths are not known
  size_t took_count_ = 0;
};

}  // namespace pf::orchestrator
