#include "report/book.h"

#include <algorithm>

#include "base/json.h"
#include "report/time_text.h"
#include "report/values.h"
#include "report/visible.h"

namespace pf::report {
namespace {

using namespace orchestrator;

constexpr size_t kMostLog = 16 * 1024;         // bytes of one instance: its last lines
constexpr size_t kMostLogs = 4 * 1024 * 1024;  // of all; failed ones up to twice as much
constexpr size_t kMostOutput = 64 * 1024;      // of one instance
constexpr size_t kMostOutputs = 4 * 1024 * 1024;
constexpr size_t kMostHooks = 1000;
constexpr size_t kMostRefused = 20;  // of one instance
constexpr size_t kMostText = 2000;   // bytes of why, and of one message

}  // namespace

Story& Bookkeeper::story(uint32_t index) {
  if (book_.stories.size() <= index) book_.stories.resize(index + 1);
  return book_.stories[index];
}

int64_t Bookkeeper::since_start(WallTime time) const {
  // A clock that is set back must not make times negative.
  return std::max<int64_t>(std::chrono::duration_cast<Milliseconds>(time - book_.started).count(), 0);
}

void Bookkeeper::on(const RunStarted& event) {
  book_.run = event.run;
  book_.pipeline = event.pipeline;
  book_.file = event.file;
  book_.profile = event.profile;
  book_.log_file = event.log_file;
  book_.sandbox = event.sandbox == nullptr ? "null" : to_json_text(*event.sandbox);
  book_.resumed = event.resumed;
  book_.max_parallel = event.max_parallel;
  book_.started = event.time;
  book_.instances = event.instances;
  book_.upstream = event.upstream;
  book_.stories.resize(event.instances->size());
}

void Bookkeeper::on(const Expanded& event) {
  book_.stories.resize(std::max<size_t>(book_.stories.size(), event.first + event.count));
}

void Bookkeeper::on(const InstanceStarted& event) {
  Story& one = story(event.index);
  if (!event.why.empty()) one.why = event.why.substr(0, kMostText);
  const int64_t now = since_start(event.time);
  if (!one.spans.empty() && one.spans.back().end < 0) one.spans.back().end = now;
  one.spans.push_back({now, -1, false});
}

void Bookkeeper::on(const AttemptFailed& event) {
  Story& one = story(event.index);
  if (!one.spans.empty()) {
    one.spans.back().end = std::max(since_start(event.time), one.spans.back().begin);
    one.spans.back().failed = true;
  }
  one.attempt_errors.push_back(*event.error);
}

void Bookkeeper::on(const InstanceFinished& event) {
  Story& one = story(event.index);
  one.result = event.result;
  one.attempts = event.attempts;
  one.duration = event.duration;
  one.cpu_us = event.cpu_us;
  one.peak_bytes = event.peak_bytes;
  one.read_bytes = event.read_bytes;
  one.write_bytes = event.write_bytes;
  one.cached_at = event.cached_at;
  if (!event.why.empty()) one.why = event.why.substr(0, kMostText);
  one.blocked_by = event.blocked_by;
  one.work_folder = event.work_folder;
  if (event.error != nullptr) one.error = *event.error;
  if (!one.spans.empty() && one.spans.back().end < 0) {
    one.spans.back().end = std::max(since_start(event.time), one.spans.back().begin);
    one.spans.back().failed = is_failure(event.result);
  }
  if (event.outputs.size() > 1) {
    if (event.outputs.size() <= kMostOutput && output_bytes_ + event.outputs.size() <= kMostOutputs) {
      one.outputs = event.outputs;
      output_bytes_ += event.outputs.size();
    } else {
      ++book_.outputs_dropped;
    }
  }
  // Of what failed the log matters more than of what did not.
  const size_t most = is_failure(event.result) ? 2 * kMostLogs : kMostLogs;
  if (!one.log.empty() && log_bytes_ + one.log.size() > most) {
    one.log_cut += static_cast<uint64_t>(std::count(one.log.begin(), one.log.end(), '\n'));
    std::string().swap(one.log);
    ++book_.logs_dropped;
  }
  log_bytes_ += one.log.size();
}

void Bookkeeper::on(const LogLine& event) {
  static constexpr std::string_view kLabels[] = {"debug", "info", "warning", "error"};
  if (event.index == UINT32_MAX) return;  // of a hook of the pipeline: no instance's story
  Story& one = story(event.index);
  TimeText times;
  std::string prefix;
  times.append_clock(prefix, event.time);
  prefix.append(1, ' ').append(kLabels[static_cast<size_t>(event.level)]).append(1, ' ');
  for (const auto& line : visible_lines(event.message.substr(0, kMostLog))) one.log += prefix + line + '\n';
  if (event.fields != nullptr && !event.fields->empty()) {
    one.log.pop_back();
    one.log += "  " + outputs_line(to_cbor(*event.fields), 200) + '\n';
  }
  if (one.log.size() <= 2 * kMostLog) return;
  const size_t from = one.log.find('\n', one.log.size() - kMostLog);
  const size_t cut = from == std::string::npos ? one.log.size() : from + 1;
  one.log_cut += static_cast<uint64_t>(
      std::count(one.log.begin(), one.log.begin() + static_cast<std::ptrdiff_t>(cut), '\n'));
  one.log.erase(0, cut);
}

void Bookkeeper::on(const Refused& event) {
  if (event.index == UINT32_MAX) return;  // the hook's own entry has the error
  Story& one = story(event.index);
  if (one.refused.size() >= kMostRefused) return;
  std::string text(event.call);
  if (event.error != nullptr) {
    text += ": " + event.error->message.substr(0, kMostText) + " [" + event.error->code + "]";
    if (!event.error->hint.empty()) text += " hint: " + event.error->hint.substr(0, kMostText);
  }
  one.refused.push_back(std::move(text));
}

void Bookkeeper::on(const HookRan& event) {
  if (book_.hooks.size() >= kMostHooks) {
    ++book_.hooks_cut;
    return;
  }
  HookStory hook;
  hook.begin = since_start(event.time);
  hook.index = event.index;
  hook.stage = event.stage;
  hook.script = event.script;
  hook.decision = event.decision;
  hook.text = event.text.substr(0, kMostText);
  hook.duration = event.duration;
  book_.hooks.push_back(std::move(hook));
}

}  // namespace pf::report
