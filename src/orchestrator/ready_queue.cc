#include "orchestrator/ready_queue.h"

#include <algorithm>

namespace pf::orchestrator {

ReadyQueue::ReadyQueue(const pipeline::Pipeline& pipeline)
    : pipeline_(pipeline), shut_(pipeline.sections.size(), 0) {
  for (uint32_t i = 0; i < pipeline.sections.size(); ++i) {
    lanes_.push_back({i, kNone});
    sections_.push_back({pipeline.sections[i].max_parallel});
  }
  for (const auto& pool : pipeline.pools) pools_.push_back({pool.size});
}

bool ReadyQueue::worse(const Entry& a, const Entry& b) {
  if (a.priority != b.priority) return a.priority < b.priority;
  if (a.path != b.path) return a.path < b.path;
  return a.instance > b.instance;
}

void ReadyQueue::restore(Lane& lane) { std::make_heap(lane.heap.begin(), lane.heap.end(), worse); }

void ReadyQueue::push(uint32_t instance, double path) {
  const auto& item = pipeline_.instances[instance];
  const auto& settings = pipeline_.settings[item.settings];
  uint32_t lane = item.section;
  if (settings.pool != kNone) {
    const uint64_t key = (static_cast<uint64_t>(settings.pool) << 32) | item.section;
    const auto [at, added] = pooled_.try_emplace(key, static_cast<uint32_t>(lanes_.size()));
    if (added) lanes_.push_back({item.section, settings.pool});
    lane = at->second;
  }
  auto& heap = lanes_[lane].heap;
  heap.push_back({path, settings.priority, instance});
  std::push_heap(heap.begin(), heap.end(), worse);
}

uint32_t ReadyQueue::best() {
  at_ = kNone;
  for (uint32_t i = 0; i < lanes_.size(); ++i) {
    const Lane& lane = lanes_[i];
    if (lane.heap.empty() || shut_[lane.section] != 0 || sections_[lane.section].full()) continue;
    if (lane.pool != kNone && pools_[lane.pool].full()) continue;
    if (at_ == kNone || worse(lanes_[at_].heap.front(), lane.heap.front())) at_ = i;
  }
  return at_ == kNone ? kNone : lanes_[at_].heap.front().instance;
}

void ReadyQueue::pop() {
  auto& heap = lanes_[at_].heap;
  std::pop_heap(heap.begin(), heap.end(), worse);
  heap.pop_back();
}

void ReadyQueue::shut() { shut_[lanes_[at_].section] = 1; }

void ReadyQueue::reopen() { std::fill(shut_.begin(), shut_.end(), uint8_t{0}); }

void ReadyQueue::occupy(uint32_t instance) {
  ++sections_[pipeline_.instances[instance].section].taken;
  if (const uint32_t pool = pool_of(instance); pool != kNone) ++pools_[pool].taken;
}

void ReadyQueue::release(uint32_t instance) {
  --sections_[pipeline_.instances[instance].section].taken;
  if (const uint32_t pool = pool_of(instance); pool != kNone) --pools_[pool].taken;
}

}  // namespace pf::orchestrator
