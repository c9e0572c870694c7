#include "orchestrator/estimate.h"

#include <algorithm>

namespace pf::orchestrator {

namespace {

double to_ms(SteadyTime from, SteadyTime to) {
  return std::max(0.0, std::chrono::duration<double, std::milli>(to - from).count());
}

}  // namespace

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

Estimate::Estimate(const std::vector<std::vector<uint32_t>>& upstream,
                   const std::vector<Milliseconds>& expected, uint32_t max_parallel)
    : parallel_(std::max(max_parallel, 1U)), open_(upstream.size()) {
  std::vector<Milliseconds> known = expected;
  known.resize(upstream.size());
  known_ = std::any_of(known.begin(), known.end(), [](Milliseconds length) { return length.count() > 0; });
  const std::vector<double> lengths = expected_lengths(known, usual_);
  std::vector<double> paths = lengths;
  critical_paths(paths, [&](uint32_t i, auto&& visit) {
    for (const uint32_t u : upstream[i]) visit(u);
  });
  for (uint32_t i = 0; i < upstream.size(); ++i) {
    nodes_.push_back({lengths[i], paths[i]});
    waiting_.push_back({paths[i], i});
    work_ += lengths[i];
  }
  std::make_heap(waiting_.begin(), waiting_.end());
}

void Estimate::drop_gone() {
  while (!waiting_.empty() && nodes_[waiting_.front().instance].state != State::waiting) {
    std::pop_heap(waiting_.begin(), waiting_.end());
    waiting_.pop_back();
  }
}

void Estimate::leave_running(uint32_t instance) {
  const auto at = std::find(running_.begin(), running_.end(), instance);
  if (at == running_.end()) return;
  *at = running_.back();
  running_.pop_back();
}

void Estimate::began(uint32_t instance, SteadyTime now) {
  Node& node = nodes_[instance];
  if (node.state != State::waiting) return;
  node.state = State::running;
  node.begun = now;
  running_.push_back(instance);
  drop_gone();
}

void Estimate::paused(uint32_t instance) {
  Node& node = nodes_[instance];
  if (node.state != State::running) return;
  node.state = State::waiting;
  leave_running(instance);
  waiting_.push_back({node.path, instance});
  std::push_heap(waiting_.begin(), waiting_.end());
}

void Estimate::ended(uint32_t instance, SteadyTime now) {
  Node& node = nodes_[instance];
  if (node.state == State::ended) return;
  if (node.state == State::running) {
    leave_running(instance);
    took_ += to_ms(node.begun, now);
    ++took_count_;
  }
  node.state = State::ended;
  work_ -= node.length;
  if (--open_ == 0) work_ = 0;  // not what rounding left
  drop_gone();
}

void Estimate::grown(uint32_t group, uint32_t first, uint32_t count) {
  if (nodes_[group].state == State::ended) return;
  const double behind = nodes_[group].path - nodes_[group].length;
  nodes_.resize(std::max<size_t>(nodes_.size(), first + count), Node{usual_, 0, State::ended, {}});
  for (uint32_t i = first; i < first + count; ++i) {
    nodes_[i] = {usual_, usual_ + behind};
    waiting_.push_back({nodes_[i].path, i});
    std::push_heap(waiting_.begin(), waiting_.end());
    work_ += usual_;
    ++open_;
  }
  nodes_[group].state = State::ended;
  work_ -= nodes_[group].length;
  if (--open_ == 0) work_ = 0;
  drop_gone();
}

std::optional<Milliseconds> Estimate::left(SteadyTime now) const {
  if (open_ == 0) return Milliseconds(0);
  if (!known_ && took_count_ == 0) return std::nullopt;
  const double unit = known_ ? 1 : took_ / static_cast<double>(took_count_);
  double path = waiting_.empty() ? 0 : waiting_.front().path * unit;
  double work = work_ * unit;
  for (const uint32_t i : running_) {
    const Node& node = nodes_[i];
    const double done = std::min(to_ms(node.begun, now), node.length * unit);
    work -= done;
    path = std::max(path, node.path * unit - done);
  }
  return Milliseconds(static_cast<int64_t>(std::max({path, work / parallel_, 0.0})));
}

}  // namespace pf::orchestrator
