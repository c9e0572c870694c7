#include "orchestrator/scheduler.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "orchestrator/critical_path.h"

namespace pf::orchestrator {
namespace {

using pipeline::EdgeWhen;

// Codes of what another attempt cannot mend, also where an extension raised them and did not say so: wrong
// input, refused permissions, refused credentials (docs/errors.md).
bool never_mends(const Error& error) {
  static constexpr std::string_view kPrefixes[] = {
      "permission.", "auth.",       "git.auth", "config.",   "schema.",     "pipeline.",
      "graph.",      "expression.", "yaml.",    "manifest.", "validation.",
  };
  return !error.retryable || std::any_of(std::begin(kPrefixes), std::end(kPrefixes),
                                         [&](std::string_view p) { return error.code.starts_with(p); });
}

const Error* told(const Error& error) { return error.code.empty() ? nullptr : &error; }

}  // namespace

Scheduler::Scheduler(const pipeline::Pipeline& pipeline, Options options, Actions& actions)
    : pipeline_(pipeline),
      max_parallel_(options.max_parallel),
      fail_fast_(options.fail_fast),
      actions_(actions),
      items_(pipeline.instances.size()),
      ready_(pipeline) {
  options.known.resize(items_.size());
  std::vector<Milliseconds> expected;
  expected.reserve(items_.size());
  for (const Known& known : options.known) expected.push_back(known.expected);
  paths_ = expected_lengths(expected, usual_);
  for (uint32_t i = 0; i < items_.size(); ++i) {
    if (options.known[i].excluded) {
      excluded_.push_back(i);
      paths_[i] = 0;
    }
    take_up(i, options.known[i]);
    items_[i].missing = static_cast<uint32_t>(pipeline.upstream(i).size());
    for (const auto& edge : pipeline.upstream(i)) {
      if (edge.when != EdgeWhen::order || !options.known[edge.upstream].excluded) continue;
      followers_[edge.upstream].push_back(i);
      ++items_[i].missing;
    }
  }
  critical_paths(paths_, [&](uint32_t i, auto&& visit) {
    for (const auto& edge : pipeline.upstream(i)) visit(edge.upstream);
  });
}

void Scheduler::take_up(uint32_t instance, const Known& known) {
  const auto& wanted = settings(instance);
  Item& item = items_[instance];
  item.finally = wanted.finally;
  item.allowed = wanted.allow_failure;
  item.again = known.again;
  item.failed = known.failed;
  // Where none is left the world is asked with the last one's number: it knows how that ended.
  item.attempt = known.failed < most_attempts(instance) ? known.failed + 1 : known.failed;
  ++open_;
  if (!item.finally) ++open_main_;
}

uint64_t Scheduler::most_attempts(uint32_t instance) const {
  return uint64_t{std::max(settings(instance).max_attempts, 1U)} + (items_[instance].again ? 1 : 0);
}

void Scheduler::start() {
  for (const uint32_t i : excluded_) conclude(i, InstanceResult::excluded, 0, nullptr, -1);
  for (const uint32_t i : std::exchange(excluded_, {})) {
    if (items_[i].missing == 0) passed_.push_back(i);
  }
  for (uint32_t i = 0; i < items_.size(); ++i) {
    if (items_[i].missing != 0 || items_[i].phase != Phase::waiting) continue;
    if (items_[i].finally)
      last_.push_back(i);
    else
      decide(i);
  }
  settle();
  pump();
}

void Scheduler::make_ready(uint32_t instance) {
  items_[instance].phase = Phase::ready;
  ready_.push(instance, paths_[instance]);
}

void Scheduler::pump() {
  ready_.reopen();
  for (uint32_t i = ready_.best(); i != kNone; i = ready_.best()) {
    if (pipeline_.instances[i].group) {
      ready_.pop();
      expand(i);
    } else {
      offer(i);
    }
    settle();
  }
}

void Scheduler::offer(uint32_t instance) {
  Item& item = items_[instance];
  Answer answer;
  const Offer offer = actions_.offer(instance, item.attempt, actions_.running() < max_parallel_, answer);
  if (offer == Offer::no_room) return ready_.shut();
  ready_.pop();
  switch (offer) {
    case Offer::no_room: break;
    case Offer::taken:
      item.phase = Phase::attempting;
      ready_.occupy(instance);
      break;
    case Offer::wait: item.phase = Phase::preparing; break;
    case Offer::reuse: conclude(instance, answer.result, answer.attempts, told(answer.error), -1); break;
    case Offer::skip: conclude(instance, InstanceResult::skipped, item.failed, nullptr, -1); break;
    case Offer::refused:
      conclude(instance, InstanceResult::failed, item.failed, told(answer.error), -1);
      break;
    case Offer::expired:
      conclude(instance, InstanceResult::timed_out, item.failed, told(answer.error), -1);
      break;
  }
}

void Scheduler::expand(uint32_t group) {
  Children children;
  switch (actions_.expand(group, children)) {
    case Expansion::wait: items_[group].phase = Phase::preparing; return;
    case Expansion::skip: return conclude(group, InstanceResult::skipped, 0, nullptr, -1);
    case Expansion::failed: return conclude(group, InstanceResult::failed, 0, told(children.error), -1);
    case Expansion::done: break;
  }
  const auto index = static_cast<uint32_t>(groups_.size());
  const uint32_t end = children.first + children.count;
  groups_.push_back({group, children.first, children.count, children.count, children.first});
  items_.resize(std::max<size_t>(items_.size(), end));
  paths_.resize(items_.size());
  items_[group].phase = Phase::expanded;
  items_[group].group = index;
  children.known.resize(children.count);
  // All of them are counted before one can end.
  for (uint32_t i = children.first; i < end; ++i) {
    const Known& known = children.known[i - children.first];
    items_[i].group = index;
    take_up(i, known);
    const auto expected = static_cast<double>(known.expected.count());
    paths_[i] = paths_[group] + (expected > 0 ? expected - usual_ : 0);  // the group's holds one usual length
  }
  if (children.count == 0) return end_group(index);
  for (uint32_t i = children.first; i < end; ++i) {
    if (children.known[i - children.first].excluded) conclude(i, InstanceResult::excluded, 0, nullptr, -1);
  }
  if (pipeline_.sections[pipeline_.instances[group].section].sequential) return release_child(groups_[index]);
  for (uint32_t i = children.first; i < end; ++i) {
    if (items_[i].phase == Phase::waiting) decide(i);
  }
}

// Of a sequential section, one after the other.
void Scheduler::release_child(Group& group) {
  const uint32_t end = group.first + group.count;
  while (group.next < end && items_[group.next].phase != Phase::waiting) ++group.next;
  if (group.next < end) decide(group.next++);
}

// Whether dependents may go on as after a success.
bool Scheduler::good(uint32_t upstream) const {
  const Item& item = items_[upstream];
  return item.result == InstanceResult::succeeded || item.result == InstanceResult::cached ||
         item.result == InstanceResult::excluded || (is_failure(item.result) && item.allowed);
}

void Scheduler::attempt_ended(uint32_t instance, AttemptEnd end) {
  Item& item = items_[instance];
  if (item.phase != Phase::attempting) return;
  ready_.release(instance);
  if (end.result == InstanceResult::succeeded) {
    conclude(instance, end.result, item.attempt, nullptr, -1);
  } else if (!halted(item) && end.result != InstanceResult::cancelled && may_retry(instance, end)) {
    item.phase = Phase::backing_off;
    if (!mends(instance, end.error)) item.again = true;  // it uses up what a hook may ask for
    item.failed = item.attempt++;
    actions_.retry(instance, item.failed, end.error, backoff(instance));
  } else {
    conclude(instance, end.result, item.attempt, &end.error, -1);
  }
  settle();
  pump();
}

void Scheduler::ready_again(uint32_t instance) {
  const Phase phase = items_[instance].phase;
  if (phase != Phase::backing_off && phase != Phase::preparing) return;
  make_ready(instance);
  pump();
}

// Whether an attempt is left, and may be used for this error.
bool Scheduler::mends(uint32_t instance, const Error& error) const {
  return items_[instance].attempt < most_attempts(instance) && may_mend(settings(instance), error);
}

bool Scheduler::may_mend(const pipeline::Settings& wanted, const Error& error) {
  if (never_mends(error)) return false;
  const auto& policy = wanted.retry;
  if (!policy) return true;
  const auto among = [&](const std::vector<std::string>& texts) {
    return std::any_of(texts.begin(), texts.end(), [&](const std::string& text) {
      return error.code == text || error.message.find(text) != std::string::npos;
    });
  };
  return !among(policy->never_on) && (policy->retry_on.empty() || among(policy->retry_on));
}

bool Scheduler::may_retry(uint32_t instance, const AttemptEnd& end) const {
  const bool asked = end.again && !items_[instance].again && !end.error.code.starts_with("permission.");
  return asked || mends(instance, end.error);
}

// Exponential backoff with full jitter: a random part of min(max_delay, delay * factor ^ retries before).
Milliseconds Scheduler::backoff(uint32_t instance) {
  const auto& wanted = settings(instance);
  if (!wanted.retry) return Milliseconds(0);
  const auto& retry = *wanted.retry;
  const auto first = static_cast<double>(retry.delay.count());
  const auto most = static_cast<double>(retry.max_delay.count());
  if (first <= 0 || most <= 0) return Milliseconds(0);
  double delay = first * std::pow(retry.factor, static_cast<double>(items_[instance].failed) - 1);
  if (!(delay < most)) delay = most;
  if (retry.full_jitter) delay *= actions_.random();
  // A large max_delay is no longer exact as a double, and may be more than fits.
  return delay < most ? Milliseconds(static_cast<int64_t>(delay)) : retry.max_delay;
}

void Scheduler::conclude(uint32_t instance, InstanceResult result, uint32_t attempts, const Error* error,
                         int64_t cause) {
  close(instance, result);
  actions_.conclude(instance, result, attempts, error, cause);
  if (is_failure(result) && !good(instance)) {
    if (first_failed_ < 0) first_failed_ = instance;
    if (fail_fast_) halt(Stop::fail_fast);
  }
  if (is_child(instance) && --groups_[items_[instance].group].open == 0) end_group(items_[instance].group);
}

bool Scheduler::is_child(uint32_t instance) const {
  const uint32_t group = items_[instance].group;
  return group != kNone && groups_[group].instance != instance;
}

void Scheduler::close(uint32_t instance, InstanceResult result) {
  Item& item = items_[instance];
  item.phase = Phase::concluded;
  item.result = result;
  --open_;
  if (!item.finally) --open_main_;
  concluded_.push_back(instance);
}

// Failed if one of its instances failed and may not, else cancelled or skipped if one was, else succeeded.
void Scheduler::end_group(uint32_t index) {
  const Group group = groups_[index];
  const auto first_with = [&](auto&& is) {
    for (uint32_t i = group.first; i < group.first + group.count; ++i) {
      if (is(i)) return static_cast<int64_t>(i);
    }
    return int64_t{-1};
  };
  InstanceResult result = InstanceResult::failed;
  int64_t cause = first_with([&](uint32_t i) { return is_failure(items_[i].result) && !good(i); });
  for (const InstanceResult next : {InstanceResult::cancelled, InstanceResult::skipped}) {
    if (cause >= 0) break;
    result = next;
    cause = first_with([&](uint32_t i) { return items_[i].result == next; });
  }
  if (cause < 0) result = InstanceResult::succeeded;
  close(group.instance, result);
  actions_.group_ended(group.instance, result, cause);
}

// Tells those downstream of what was concluded; a work list, since chains may be as long as the pipeline.
void Scheduler::settle() {
  if (settling_) return;
  settling_ = true;
  for (;;) {
    while (!concluded_.empty()) {
      const uint32_t upstream = concluded_.back();
      concluded_.pop_back();
      if (is_child(upstream)) {
        const bool sequential = pipeline_.sections[pipeline_.instances[upstream].section].sequential;
        if (sequential && items_[upstream].result != InstanceResult::excluded)
          release_child(groups_[items_[upstream].group]);
        continue;
      }
      for (const uint32_t downstream : pipeline_.downstream(upstream)) released(downstream);
    }
    if (!passed_.empty()) {
      const uint32_t excluded = passed_.back();
      passed_.pop_back();
      const auto followers = followers_.find(excluded);
      if (followers == followers_.end()) continue;
      for (const uint32_t follower : followers->second) released(follower);
      continue;
    }
    if (open_main_ != 0 || last_.empty()) break;
    for (const uint32_t instance : std::exchange(last_, {})) decide(instance);
  }
  settling_ = false;
}

// One of those that it waits for is over.
void Scheduler::released(uint32_t instance) {
  Item& item = items_[instance];
  if (--item.missing != 0) return;
  if (item.phase == Phase::waiting)
    decide(instance);
  else if (item.result == InstanceResult::excluded)
    passed_.push_back(instance);
}

// All upstream is concluded: what blocks wins over what skips, so that the result does not depend on who was
// first. Who cleans up does so whatever became of them.
void Scheduler::decide(uint32_t instance) {
  const Item& item = items_[instance];
  int64_t skipped_by = -1;
  if (!item.finally && !is_child(instance)) {
    for (const auto& edge : pipeline_.upstream(instance)) {
      const InstanceResult result = items_[edge.upstream].result;
      bool met = true;
      switch (edge.when) {
        case EdgeWhen::succeeded:
          met = good(edge.upstream);
          if (met || result == InstanceResult::skipped) break;
          return conclude(instance, InstanceResult::blocked, item.failed, nullptr, edge.upstream);
        case EdgeWhen::failed: met = is_failure(result); break;
        case EdgeWhen::done: met = is_failure(result) || good(edge.upstream); break;
        case EdgeWhen::order: break;
      }
      if (!met && skipped_by < 0) skipped_by = edge.upstream;
    }
  }
  if (skipped_by >= 0)
    conclude(instance, InstanceResult::skipped, item.failed, nullptr, skipped_by);
  else if (halted(item))
    conclude(instance, InstanceResult::cancelled, item.failed, nullptr, -1);
  else
    make_ready(instance);
}

void Scheduler::halt(Stop reason) {
  if (stopped_) return;
  stopped_ = reason;
  cancel_halted();
}

void Scheduler::stop(Stop reason) {
  halt(reason);
  settle();
  pump();  // what cleans up may be ready by now
}

void Scheduler::abandon() {
  if (abandoned_) return;
  if (!stopped_) stopped_ = Stop::cancelled;
  abandoned_ = true;
  cancel_halted();
  settle();
}

// What waits is decided when its upstream has ended: blocked by it, or cancelled where it would be ready.
void Scheduler::cancel_halted() {
  ready_.remove_if([&](uint32_t i) { return halted(items_[i]); });
  for (uint32_t i = 0; i < items_.size(); ++i) {
    const Item& item = items_[i];
    const bool could_start =
        item.phase == Phase::ready || item.phase == Phase::backing_off || item.phase == Phase::preparing;
    if (could_start && halted(item)) conclude(i, InstanceResult::cancelled, item.failed, nullptr, -1);
  }
}

}  // namespace pf::orchestrator
