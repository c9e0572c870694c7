#include "orchestrator/critical_path.h"

namespace pf::orchestrator {

std::vector<double> expected_lengths(const std::vector<Milliseconds>& expected, double& usual) {
  double sum = 0;
  size_t count = 0;
  for (const Milliseconds length : expected) {
    if (length.count() <= 0) continue;
    sum += static_cast<double>(length.count());
    ++count;
  }
  usual = count > 0 ? sum / static_cast<double>(count) : 1;
  std::vector<double> lengths;
  lengths.reserve(expected.size());
  for (const Milliseconds length : expected)
    lengths.push_back(length.count() > 0 ? static_cast<double>(length.count()) : usual);
  return lengths;
}

}  // namespace pf::orchestrator
