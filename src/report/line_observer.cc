// One line for each event, for logs that are read later. What an extension logs is kept until its instance
// ends, so that instances which run at the same time do not mix; what runs long is named when it starts to
// look so, and again every half minute.

#include <algorithm>
#include <unordered_map>

#include "base/json.h"
#include "base/text.h"
#include "report/github.h"
#include "report/messages.h"
#include "report/observer.h"
#include "report/sink.h"
#include "report/summary.h"
#include "report/tally.h"
#include "report/time_text.h"
#include "report/values.h"
#include "report/visible.h"

namespace pf::report {
namespace {

using namespace orchestrator;

constexpr size_t kWidth = 110;
constexpr size_t kLabel = 9;            // cells of `succeeded`, `timed out`
constexpr size_t kIndent = 12;          // of what belongs to a line above
constexpr size_t kMostLog = 64 * 1024;  // bytes of log lines kept of one instance
constexpr size_t kMostNames = 5;
constexpr size_t kFew = 20;  // cached instances that are named
constexpr Milliseconds kLooksLong{1000};
constexpr Milliseconds kKeepAlive{30000};

class LineObserver final : public Observer {
 public:
  explicit LineObserver(ObserverOptions options) : options_(std::move(options)), sink_(options_.fd) {}
  LineObserver(ObserverOptions options, const Tally& so_far) : LineObserver(std::move(options)) {
    tally_ = so_far;
    last_alive_ = options_.clock->steady();
    cached_ = tally_.counts()[InstanceResult::cached];
  }

  void on(const RunStarted& event) override {
    last_alive_ = options_.clock->steady();
    tally_.begin(event, last_alive_);
    if (options_.quiet) return;
    out() += tally_.heading(event, options_.verbose) + '\n';
    flush();
  }

  void on(const InstanceStarted& event) override {
    tally_.started(event, options_.clock->steady());
    if (!options_.verbose || options_.quiet) return;
    tell_waiting(event.time);
    line(event.time, "started", event.index);
    if (event.attempt > 1) out() += ", attempt " + std::to_string(event.attempt);
    out() += '\n';
    if (!event.why.empty()) {
      for (const auto& text : visible_lines(event.why))
        out().append(kIndent, ' ').append(text).append(1, '\n');
    }
    flush();
  }

  void on(const AttemptFailed& event) override {
    tally_.attempt_failed(event, options_.clock->steady());
    if (options_.quiet) return;
    tell_waiting(event.time);
    release_log(event.index, "attempt " + std::to_string(event.attempt));
    line(event.time, "retrying", event.index);
    out() +=
        " in " + format_duration(event.retry_in) + ": attempt " + std::to_string(event.attempt) + " failed\n";
    append_error(out(), *event.error, kIndent, false);
    flush();
  }

  void on(const InstanceFinished& event) override {
    const Failure* failure = tally_.finished(event);
    announced_.erase(event.index);
    if (options_.quiet) {
      logs_.erase(event.index);
      if (failure != nullptr) {
        append_failure(out(), *failure, 0);
        annotate(*failure);
      }
      flush();
      return;
    }
    if (event.result == InstanceResult::cached) {
      keep_cached(event);
      return;
    }
    if (failure == nullptr && event.attempts == 0) {
      wait_to_tell(event);
      return;
    }
    tell_waiting(event.time);
    if (failure != nullptr) {
      release_log(event.index, {});
      line(event.time, word_for(event.result), event.index);
      out() += ' ' + effort(failure->attempts, failure->duration) + '\n';
      append_error(out(), failure->error, kIndent, false);
      annotate(*failure);
      flush();
      return;
    }
    std::string text;
    begin(text, event.time, word_for(event.result));
    text += visible(tally_.address(event.index));
    if (event.attempts > 0) text += " in " + format_duration(event.duration);
    if (!event.outputs.empty()) {
      if (const std::string outputs = outputs_line(event.outputs, kWidth); !outputs.empty())
        text += "  " + outputs;
    }
    const auto log = logs_.find(event.index);
    if (options_.github && log != logs_.end()) {
      append_group(out(), text, log->second);
      logs_.erase(log);
    } else {
      release_log(event.index, {});
      out() += text + '\n';
    }
    flush();
  }

  void on(const Expanded& event) override {
    if (options_.quiet) return;
    tell_waiting(event.time);
    line(event.time, "expanded", event.group);
    out() += " into " + count_of(event.count, "instance");
    end();
  }

  void on(const HookRan& event) override {
    if (options_.quiet || (event.decision == "none" && !options_.verbose)) return;
    tell_waiting(event.time);
    begin(out(), event.time, "hook");
    out() += hook_text(tally_, event);
    end();
  }

  void on(const LogLine& event) override {
    if (options_.quiet || (event.level == LogLevel::debug && !options_.verbose)) return;
    static constexpr std::string_view kLabels[] = {"debug", "info", "warning", "error"};
    std::string& log = logs_[event.index];
    std::string fields;
    if (event.fields != nullptr && !event.fields->empty())
      fields = outputs_line(to_cbor(*event.fields), kWidth);
    const auto lines = visible_lines(event.message);
    for (size_t i = 0; i < lines.size(); ++i) {
      begin(log, event.time, kLabels[static_cast<size_t>(event.level)]);
      log += visible(tally_.address(event.index)) + ": " + lines[i];
      if (i + 1 == lines.size() && !fields.empty()) log += "  " + fields;
      log += '\n';
    }
    if (log.size() > kMostLog) release_log(event.index, "so far");
    release_pipeline(event.index);
    if (out().size() > kMostLog) flush();
  }

  void on(const Progress& event) override { tally_.progress(event); }

  void on(const Refused& event) override {
    if (options_.quiet) return;
    std::string& log = logs_[event.index];
    begin(log, event.time, "refused");
    log += visible(tally_.address(event.index)) + ": " + visible(event.call);
    if (event.error != nullptr) log += " [" + visible(event.error->code) + "]";
    log += '\n';
    release_pipeline(event.index);
  }

  void on(const RunFailure& event) override {
    tally_.run_failed(*event.error);
    tell_waiting(event.time);
    if (!options_.quiet) begin(out(), event.time, "error");
    append_error(out(), *event.error, 0, false);
    if (options_.github) append_annotation(out(), *event.error, "The run");
    flush();
  }

  void on(const RunFinished& event) override {
    if (options_.quiet) {
      out() += verdict(tally_, event) + '\n';
      flush();
      return;
    }
    tell_waiting(event.time);
    // Of instances that never ended: the run was broken off.
    while (!logs_.empty()) release_log(logs_.begin()->first, {});
    if (cached_ > kFew && !options_.verbose && cached_ < tally_.total()) {
      begin(out(), event.time, "cached");
      out() += count_of(cached_, "instance") + '\n';
    }
    append_summary(out(), tally_, event, options_, kWidth);
    flush();
  }

  void tick(SteadyTime now) override {
    if (options_.quiet) return;
    const WallTime wall = options_.clock->wall();
    tell_waiting(wall);
    if (!options_.verbose) announce(now, wall);
    if (now - last_alive_ >= kKeepAlive) {
      last_alive_ = now;
      keep_alive(now, wall);
    }
    flush();
  }

 private:
  std::string& out() { return sink_.text(); }
  void flush() {
    if (options_.github) out() = guarded(out());
    sink_.flush();
  }
  void annotate(const Failure& failure) {
    if (options_.github) append_annotation(out(), failure.error, failure.address);
  }

  void begin(std::string& to, WallTime time, std::string_view label) {
    times_.append_clock(to, time);
    to += "  ";
    const size_t from = to.size();
    to += label;
    pad(to, from, kLabel);
    to += "  ";
  }
  void line(WallTime time, std::string_view label, uint32_t index) {
    begin(out(), time, label);
    out() += visible(tally_.address(index));
  }
  void end() {
    out() += '\n';
    flush();
  }

  // What hooks of the pipeline say belongs to no instance whose end would bring it out.
  void release_pipeline(uint32_t index) {
    if (index >= tally_.total()) release_log(index, {});
  }

  // `part`: which of the instance's log lines these are, where they are not all.
  void release_log(uint32_t index, const std::string& part) {
    const auto found = logs_.find(index);
    if (found == logs_.end()) return;
    if (options_.github) {
      append_group(out(), "Log of " + visible(tally_.address(index)) + (part.empty() ? "" : ", " + part),
                   found->second);
    } else {
      out() += found->second;
    }
    logs_.erase(found);
  }

  // A few that are cached are named; of many, their number at the end says more.
  void keep_cached(const InstanceFinished& event) {
    ++cached_;
    if (options_.verbose) {
      tell_waiting(event.time);
      tell_cached(event.time, event.index, event.cached_at);
      flush();
    } else if (cached_ <= kFew) {
      cached_untold_.emplace_back(event.index, event.cached_at);
    } else {
      cached_untold_.clear();
    }
  }
  void tell_cached(WallTime now, uint32_t index, WallTime cached_at) {
    line(now, "cached", index);
    if (cached_at.time_since_epoch().count() != 0) out() += ": " + age_text(cached_at, now) + " old";
    out() += '\n';
  }

  // Instances that never ran end in crowds, for one cause: a line for the crowd says more than one for each.
  void wait_to_tell(const InstanceFinished& event) {
    if (waiting_ != 0 && (waiting_result_ != event.result || waiting_cause_ != event.blocked_by)) {
      tell_waiting(event.time);
    }
    waiting_result_ = event.result;
    waiting_cause_ = event.blocked_by;
    if (++waiting_ <= kMostNames) {
      waiting_names_ += (waiting_ == 1 ? "" : ", ") + visible(tally_.address(event.index));
    }
  }
  void tell_waiting(WallTime time) {
    for (const auto& [index, cached_at] : cached_untold_) tell_cached(time, index, cached_at);
    cached_untold_.clear();
    if (waiting_ == 0) return;
    begin(out(), time, word_for(waiting_result_));
    if (waiting_ > 1) out() += count_of(waiting_, "instance");
    if (waiting_ > 1 && waiting_cause_.empty()) out() += ": ";
    if (!waiting_cause_.empty() && waiting_ > 1) out() += " by " + visible(waiting_cause_) + ": ";
    out() += waiting_names_;
    if (!waiting_cause_.empty() && waiting_ == 1) out() += " by " + visible(waiting_cause_);
    if (waiting_ > kMostNames) out() += " and " + std::to_string(waiting_ - kMostNames) + " more";
    out() += '\n';
    flush();
    waiting_ = 0;
    waiting_names_.clear();
  }

  void announce(SteadyTime now, WallTime wall) {
    for (const Running& running : tally_.running()) {
      if (now - running.since < kLooksLong) break;  // the longest come first
      if (!announced_.emplace(running.index, true).second) continue;
      line(wall, "running", running.index);
      out() += '\n';
    }
  }

  void keep_alive(SteadyTime now, WallTime wall) {
    const auto& running = tally_.running();
    begin(out(), wall, "working");
    out() += std::to_string(tally_.done()) + " of " + std::to_string(tally_.total()) + " done; ";
    if (running.empty()) out() += "nothing runs at the moment";
    size_t named = 0;
    for (const Running& one : running) {
      if (named == kMostNames) break;
      if (named++ != 0) out() += ", ";
      out() += visible(tally_.address(one.index));
      if (one.retry_at > now) {
        out() += " waits for attempt " + std::to_string(one.attempt + 1);
      } else {
        out() += " for " + format_duration(std::chrono::duration_cast<Milliseconds>(now - one.since));
      }
      if (!one.progress.empty()) out() += " (" + fit(one.progress, 40) + ")";
    }
    if (running.size() > kMostNames) out() += " and " + std::to_string(running.size() - kMostNames) + " more";
    out() += '\n';
  }

  ObserverOptions options_;
  Sink sink_;
  TimeText times_;
  Tally tally_;
  SteadyTime last_alive_{};
  std::unordered_map<uint32_t, std::string> logs_;  // of instances that have not ended
  std::unordered_map<uint32_t, bool> announced_;    // running instances that were named
  // The crowd of wait_to_tell.
  uint64_t waiting_ = 0;
  InstanceResult waiting_result_ = InstanceResult::none;
  std::string waiting_cause_;
  std::string waiting_names_;
  // Cached instances: all of them, and the few that are still to be named.
  uint64_t cached_ = 0;
  std::vector<std::pair<uint32_t, WallTime>> cached_untold_;
};

}  // namespace

std::unique_ptr<orchestrator::Observer> make_line_observer(ObserverOptions options) {
  return std::make_unique<LineObserver>(std::move(options));
}

std::unique_ptr<orchestrator::Observer> make_line_observer(ObserverOptions options, const Tally& so_far) {
  return std::make_unique<LineObserver>(std::move(options), so_far);
}

}  // namespace pf::report
