// Lengths of chains of instances, for what starts first. Pure functions; thread-safe.
#pragma once

#include <cstdint>
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

}  // namespace pf::orchestrator
