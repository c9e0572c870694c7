#include "report/eta.h"

#include <algorithm>
#include <cmath>

namespace pf::report {
namespace {

// Kahn's algorithm; edges to indices that are not there are left out.
std::vector<uint32_t> topological(const std::vector<std::vector<uint32_t>>& upstream) {
  const size_t n = upstream.size();
  std::vector<std::vector<uint32_t>> down(n);
  std::vector<uint32_t> missing(n, 0);
  for (uint32_t i = 0; i < n; ++i) {
    for (uint32_t from : upstream[i]) {
      if (from >= n) continue;
      down[from].push_back(i);
      ++missing[i];
    }
  }
  std::vector<uint32_t> order;
  order.reserve(n);
  for (uint32_t i = 0; i < n; ++i) {
    if (missing[i] == 0) order.push_back(i);
  }
  for (size_t at = 0; at < order.size(); ++at) {
    for (uint32_t next : down[order[at]]) {
      if (--missing[next] == 0) order.push_back(next);
    }
  }
  return order;
}

}  // namespace

void Eta::begin(const orchestrator::RunStarted& event) {
  instances_ = event.instances;
  upstream_ = event.upstream;
  max_parallel_ = event.max_parallel;
  if (event.expected != nullptr) known_ = *event.expected;
  if (upstream_ != nullptr) order_ = topological(*upstream_);
  for (uint32_t i = 0; i < known_.size() && i < instances_->size(); ++i) {
    if (known_[i].count() <= 0) continue;
    const auto value = static_cast<double>(known_[i].count());
    of_type_[(*instances_)[i].type].add(value);
    of_all_.add(value);
  }
}

void Eta::finished(const orchestrator::InstanceFinished& event) {
  if (done_.size() <= event.index) done_.resize(event.index + 1, false);
  done_[event.index] = true;
  if (event.result != InstanceResult::succeeded) return;
  const auto value = static_cast<double>(event.duration.count());
  of_type_[(*instances_)[event.index].type].add(value);
  of_all_.add(value);
}

double Eta::expected(uint32_t index) const {
  if (index < known_.size() && known_[index].count() > 0) return static_cast<double>(known_[index].count());
  const auto type = of_type_.find((*instances_)[index].type);
  const Average& average = type != of_type_.end() ? type->second : of_all_;
  return average.sum / average.count;
}

std::optional<Milliseconds> Eta::left(const Tally& tally, SteadyTime now) const {
  if (tally.done() >= tally.total()) return std::nullopt;
  return left(tally.total(), tally.running(), now);
}

std::optional<Milliseconds> Eta::left(uint32_t n, const std::list<Running>& all_running,
                                      SteadyTime now) const {
  if (of_all_.count == 0 || instances_ == nullptr || n == 0) return std::nullopt;
  std::vector<double> chain(n, 0);  // what an instance and the longest chain behind it still take
  double work = 0;
  for (uint32_t i = 0; i < n; ++i) {
    if (i < done_.size() && done_[i]) continue;
    chain[i] = expected(i);
  }
  for (const Running& running : all_running) {
    const double spent = std::chrono::duration<double, std::milli>(now - running.since).count();
    chain[running.index] = std::max(chain[running.index] - spent, 0.0);
  }
  for (double one : chain) work += one;
  double longest = *std::max_element(chain.begin(), chain.end());
  if (upstream_ != nullptr) {
    std::vector<double> behind(n, 0);
    for (auto at = order_.rbegin(); at != order_.rend(); ++at) {
      if (*at >= n) continue;
      chain[*at] += behind[*at];
      longest = std::max(longest, chain[*at]);
      for (uint32_t from : (*upstream_)[*at]) {
        if (from < n) behind[from] = std::max(behind[from], chain[*at]);
      }
    }
  }
  const double side_by_side =
      max_parallel_ > 0 ? max_parallel_ : std::max<double>(1, static_cast<double>(all_running.size()));
  return Milliseconds(static_cast<int64_t>(std::llround(std::max(work / side_by_side, longest))));
}

}  // namespace pf::report
