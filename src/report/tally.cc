#include "report/tally.h"

#include <iterator>

#include "report/json_text.h"
#include "report/visible.h"

namespace pf::report {

void Tally::begin(const orchestrator::RunStarted& event, SteadyTime now) {
  instances_ = event.instances;
  pipeline_ = visible(event.pipeline);
  run_ = event.run;
  log_file_ = event.log_file;
  since_ = now;
}

Running* Tally::find(uint32_t index) {
  const auto found = places_.find(index);
  return found == places_.end() ? nullptr : &*found->second;
}

void Tally::started(const orchestrator::InstanceStarted& event, SteadyTime now) {
  if (Running* again = find(event.index)) {
    again->attempt = event.attempt;
    again->retry_at = {};
    again->progress.clear();
    return;
  }
  running_.push_back({event.index, event.attempt, now, {}, {}});
  places_.emplace(event.index, std::prev(running_.end()));
}

void Tally::attempt_failed(const orchestrator::AttemptFailed& event, SteadyTime now) {
  if (Running* waiting = find(event.index)) {
    waiting->attempt = event.attempt;
    waiting->retry_at = now + event.retry_in;
    waiting->progress.clear();
  }
}

void Tally::progress(const orchestrator::Progress& event) {
  if (Running* running = find(event.index))
    running->progress = progress_text(event.done, event.total, event.text);
}

const Failure* Tally::finished(const orchestrator::InstanceFinished& event) {
  if (const auto ended = places_.find(event.index); ended != places_.end()) {
    running_.erase(ended->second);
    places_.erase(ended);
  }
  ++done_;
  ++counts_[event.result];
  if (!is_failure(event.result)) return nullptr;
  Failure failure;
  failure.address = visible(address(event.index));
  failure.result = event.result;
  failure.attempts = event.attempts;
  failure.duration = event.duration;
  if (event.error != nullptr) failure.error = *event.error;
  failure.work_folder = event.work_folder;
  failures_.push_back(std::move(failure));
  return &failures_.back();
}

std::string Tally::heading(const orchestrator::RunStarted& event, bool verbose) const {
  std::string out = event.resumed ? "Going on with run " + visible(event.run) + " of " : "Running ";
  out += pipeline_ + (event.resumed ? " in " : " of ") + visible(event.file);
  if (!event.profile.empty()) out += " with profile " + visible(event.profile);
  out += ": " + count_of(total(), "instance");
  if (verbose && !event.resumed) out += " (run " + visible(run_) + ")";
  return out;
}

std::string hook_text(const Tally& tally, const orchestrator::HookRan& event) {
  std::string out = visible(event.stage);
  if (event.index >= 0 && static_cast<uint64_t>(event.index) < tally.total()) {
    out += " of " + visible(tally.address(static_cast<uint32_t>(event.index)));
  }
  out += ": " + visible(event.decision);
  if (!event.text.empty()) out += ": " + visible(event.text.substr(0, 1000));
  if (!event.script.empty()) out += " (" + visible(event.script) + ")";
  return out;
}

std::string_view word_for(InstanceResult result) {
  return result == InstanceResult::timed_out ? "timed out" : state::to_text(result);
}

std::string counts_text(const Counts& counts) {
  static constexpr InstanceResult kOrder[] = {
      InstanceResult::succeeded, InstanceResult::cached,    InstanceResult::failed,
      InstanceResult::timed_out, InstanceResult::crashed,   InstanceResult::blocked,
      InstanceResult::skipped,   InstanceResult::cancelled, InstanceResult::excluded};
  std::string out;
  for (InstanceResult result : kOrder) {
    if (counts[result] == 0) continue;
    if (!out.empty()) out += ", ";
    out += std::to_string(counts[result]) + ' ';
    out += word_for(result);
  }
  return out.empty() ? "nothing to do" : out;
}

std::string progress_text(double done, double total, std::string_view text) {
  std::string out;
  if (done > 0 || total > 0) append_json_number(out, done);
  if (total > 0) {
    out += '/';
    append_json_number(out, total);
  }
  if (!text.empty()) {
    if (!out.empty()) out += ' ';
    out += visible(text.substr(0, 1000));
  }
  return out;
}

}  // namespace pf::report
