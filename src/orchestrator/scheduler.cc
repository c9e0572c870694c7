#include "orchestrator/scheduler.h"

#include <algorithm>
#include <cmath>

namespace pf::orchestrator {

using pipeline::EdgeWhen;

Scheduler::Scheduler(const pipeline::Pipeline& pipeline, Options options, Actions& actions)
    : pipeline_(pipeline),
      options_(options),
      actions_(actions),
      items_(pipeline.instances.size()),
      ready_(pipeline.sections.size()),
      open_(pipeline.instances.size()) {
  for (uint32_t i = 0; i < items_.size(); ++i)
    items_[i].missing = static_cast<uint32_t>(pipeline.upstream(i).size());
}

void Scheduler::start() {
  for (uint32_t i = 0; i < items_.size(); ++i) {
    if (items_[i].missing != 0 || items_[i].phase != Phase::waiting) continue;
    if (stopped_)
      conclude(i, InstanceResult::cancelled, 0, nullptr, -1);
    else
      make_ready(i);
  }
  settle();
  pump();
}

void Scheduler::make_ready(uint32_t instance) {
  items_[instance].phase = Phase::ready;
  ready_[pipeline_.instances[instance].section].push_back(instance);
}

void Scheduler::pump() {
  if (stopped_) return;
  for (auto& queue : ready_) {
    while (!queue.empty() && !stopped_) {
      const uint32_t instance = queue.front();
      Item& item = items_[instance];
      Answer answer;
      const Offer offer =
          actions_.offer(instance, item.attempt, actions_.running() < options_.max_parallel, answer);
      if (offer == Offer::no_room) break;
      queue.pop_front();
      switch (offer) {
        case Offer::taken: item.phase = Phase::attempting; break;
        case Offer::wait: item.phase = Phase::preparing; break;
        case Offer::reuse:
          conclude(instance, answer.result, answer.attempts,
                   answer.error.code.empty() ? nullptr : &answer.error, -1);
          break;
        case Offer::skip: conclude(instance, InstanceResult::skipped, 0, nullptr, -1); break;
        case Offer::refused:
          conclude(instance, InstanceResult::failed, item.attempt - 1, &answer.error, -1);
          break;
        case Offer::expired:
          conclude(instance, InstanceResult::timed_out, item.attempt - 1, &answer.error, -1);
          break;
        case Offer::no_room: break;
      }
      settle();
    }
  }
}

// Whether dependents may go on as after a success.
bool Scheduler::good(uint32_t upstream) const {
  switch (items_[upstream].result) {
    case InstanceResult::succeeded:
    case InstanceResult::cached: return true;
    case InstanceResult::failed:
    case InstanceResult::timed_out:
    case InstanceResult::crashed:
      return pipeline_.settings[pipeline_.instances[upstream].settings].allow_failure;
    default: return false;
  }
}

void Scheduler::attempt_ended(uint32_t instance, AttemptEnd end) {
  Item& item = items_[instance];
  if (end.result == InstanceResult::succeeded) {
    conclude(instance, end.result, item.attempt, nullptr, -1);
  } else if (!stopped_ && end.result != InstanceResult::cancelled && may_retry(instance, end.error)) {
    item.phase = Phase::backing_off;
    const uint32_t failed = item.attempt++;
    actions_.retry(instance, failed, end.error, backoff(instance));
  } else {
    conclude(instance, end.result, item.attempt, &end.error, -1);
  }
  settle();
  pump();
}

void Scheduler::ready_again(uint32_t instance) {
  if (items_[instance].phase != Phase::backing_off && items_[instance].phase != Phase::preparing) return;
  make_ready(instance);
  pump();
}

bool Scheduler::may_retry(uint32_t instance, const Error& error) const {
  const auto& settings = pipeline_.settings[pipeline_.instances[instance].settings];
  if (items_[instance].attempt >= settings.max_attempts || !error.retryable) return false;
  if (error.code.rfind("permission.", 0) == 0) return false;
  if (!settings.retry) return true;
  const auto matches = [&](const std::string& text) {
    return error.code == text || error.message.find(text) != std::string::npos;
  };
  const auto& never = settings.retry->never_on;
  const auto& only = settings.retry->retry_on;
  if (std::any_of(never.begin(), never.end(), matches)) return false;
  return only.empty() || std::any_of(only.begin(), only.end(), matches);
}

Milliseconds Scheduler::backoff(uint32_t instance) {
  const auto& settings = pipeline_.settings[pipeline_.instances[instance].settings];
  if (!settings.retry) return Milliseconds(0);
  const auto& retry = *settings.retry;
  // The attempt counter already points at the next one: the first retry waits `delay`.
  const double exponent = static_cast<double>(items_[instance].attempt) - 2;
  double delay = static_cast<double>(retry.delay.count()) * std::pow(retry.factor, exponent);
  delay = std::min(delay, static_cast<double>(retry.max_delay.count()));
  if (retry.full_jitter) delay *= actions_.random();
  return Milliseconds(static_cast<int64_t>(delay));
}

void Scheduler::conclude(uint32_t instance, InstanceResult result, uint32_t attempts, const Error* error,
                         int64_t cause) {
  Item& item = items_[instance];
  item.phase = Phase::concluded;
  item.result = result;
  --open_;
  concluded_.push_back(instance);
  const bool bad = result == InstanceResult::failed || result == InstanceResult::timed_out ||
                   result == InstanceResult::crashed;
  actions_.conclude(instance, result, attempts, error, cause);
  if (bad && !good(instance)) {
    failed_ = true;
    if (options_.fail_fast) stop();
  }
}

// Tells those downstream of what was concluded; a work list, since chains may be as long as the pipeline.
void Scheduler::settle() {
  if (settling_) return;
  settling_ = true;
  while (!concluded_.empty()) {
    const uint32_t upstream = concluded_.back();
    concluded_.pop_back();
    for (uint32_t downstream : pipeline_.downstream(upstream)) {
      Item& item = items_[downstream];
      if (--item.missing == 0 && item.phase == Phase::waiting) decide(downstream);
    }
  }
  settling_ = false;
}

// All upstream is concluded: what blocks wins over what skips, so that the result does not depend on who was
// first.
void Scheduler::decide(uint32_t instance) {
  int64_t skipped_by = -1;
  for (const auto& edge : pipeline_.upstream(instance)) {
    const InstanceResult result = items_[edge.upstream].result;
    const bool broke = result == InstanceResult::failed || result == InstanceResult::timed_out ||
                       result == InstanceResult::crashed;
    switch (edge.when) {
      case EdgeWhen::succeeded:
        if (good(edge.upstream)) break;
        if (result == InstanceResult::skipped) {
          if (skipped_by < 0) skipped_by = edge.upstream;
          break;
        }
        conclude(instance, InstanceResult::blocked, 0, nullptr, edge.upstream);
        return;
      case EdgeWhen::failed:
        if (!broke && skipped_by < 0) skipped_by = edge.upstream;
        break;
      case EdgeWhen::done:
        if (!broke && !good(edge.upstream) && skipped_by < 0) skipped_by = edge.upstream;
        break;
      case EdgeWhen::order: break;
    }
  }
  if (skipped_by >= 0)
    conclude(instance, InstanceResult::skipped, 0, nullptr, skipped_by);
  else if (stopped_)
    conclude(instance, InstanceResult::cancelled, 0, nullptr, -1);
  else
    make_ready(instance);
}

void Scheduler::stop() {
  if (stopped_) return;
  stopped_ = true;
  for (auto& queue : ready_) queue.clear();
  for (uint32_t i = 0; i < items_.size(); ++i) {
    const Phase phase = items_[i].phase;
    if (phase == Phase::ready || phase == Phase::backing_off || phase == Phase::preparing) {
      conclude(i, InstanceResult::cancelled, items_[i].attempt - 1, nullptr, -1);
    }
  }
  // What waits is decided when its upstream has ended: blocked by it, or cancelled where it would be ready.
  settle();
}

}  // namespace pf::orchestrator
