#include "report/listing.h"

#include <algorithm>
#include <list>
#include <unordered_map>
#include <utility>

#include "base/json.h"
#include "base/text.h"
#include "report/eta.h"
#include "report/json_text.h"
#include "report/messages.h"
#include "report/summary.h"
#include "report/tally.h"
#include "report/time_text.h"
#include "report/values.h"
#include "report/visible.h"
#include "state/stored_error.h"

namespace pf::report {
namespace {

using state::error_from_json;
using state::InstanceRecord;
using state::RunResult;

constexpr size_t kMostFailures = 50;

void sort_by_address(std::vector<InstanceRecord>& records) {
  std::stable_sort(records.begin(), records.end(), [](const InstanceRecord& a, const InstanceRecord& b) {
    const auto type_a = type_of(a.address);
    const auto type_b = type_of(b.address);
    return type_a != type_b ? type_a < type_b : name_of(a.address) < name_of(b.address);
  });
}

Counts counts_of(const Status& status) {
  Counts counts;
  for (const auto& record : status.instances) {
    if (record.result != InstanceResult::none) ++counts[record.result];
  }
  return counts;
}

Milliseconds duration_of(const state::RunRecord& run) {
  return std::max(Milliseconds(0), std::chrono::duration_cast<Milliseconds>(run.finished - run.started));
}

Milliseconds since(WallTime time, WallTime now) {
  return std::max(Milliseconds(0), std::chrono::duration_cast<Milliseconds>(now - time));
}

// As the live view tells it: tenths would be told as if they were known.
std::string whole_seconds(Milliseconds time) {
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(time);
  return seconds.count() < 60 ? std::to_string(seconds.count()) + "s" : format_duration(seconds);
}

bool goes_on(const Status& status) {
  return status.held && status.run && status.run->result == RunResult::none;
}

// Places of instances in the run: as many as it was begun with, and those that were expanded since.
uint32_t places_of(const Status& status) {
  uint32_t out = status.run->instances;
  for (const auto& record : status.instances) out = std::max(out, record.instance + 1);
  return out;
}

// What was expanded is no instance any more.
uint32_t total_of(const Status& status) {
  const uint32_t places = places_of(status);
  return places - std::min(places, static_cast<uint32_t>(status.expanded.size()));
}

uint32_t done_of(const Status& status) {
  return static_cast<uint32_t>(
      std::count_if(status.instances.begin(), status.instances.end(),
                    [](const InstanceRecord& record) { return record.result != InstanceResult::none; }));
}

std::string_view word_of(const state::RunRecord& run, bool held) {
  if (run.result != RunResult::none) return state::to_text(run.result);
  return held ? "running" : "broken_off";
}

// What runs now and since when, the longest first.
void append_running(std::string& out, const Status& status, const StatusOptions& options) {
  constexpr size_t kMost = 20;
  std::vector<const InstanceRecord*> running;
  for (const auto& record : status.instances) {
    if (record.result == InstanceResult::none) running.push_back(&record);
  }
  if (running.empty()) return;
  std::stable_sort(running.begin(), running.end(),
                   [](const InstanceRecord* a, const InstanceRecord* b) { return a->started < b->started; });
  out += "\nRunning\n";
  for (size_t i = 0; i < running.size() && (i < kMost || options.verbose); ++i) {
    const InstanceRecord& record = *running[i];
    out += "  " + visible(record.address) + "  for " + format_duration(since(record.started, options.now));
    if (record.attempts > 1) out += ", attempt " + std::to_string(record.attempts);
    out += '\n';
  }
  if (running.size() > kMost && !options.verbose) {
    out += "  … and " + std::to_string(running.size() - kMost) + " more\n";
  }
}

void append_attempts(std::string& out, const Status& status) {
  bool any = false;
  for (const auto& attempt : status.attempts) {
    if (attempt.attempt == 1 && attempt.result == InstanceResult::succeeded) continue;
    if (!std::exchange(any, true)) out += "\nAttempts\n";
    out += "  " + date_and_time(attempt.started) + "  " + visible(attempt.address) + " #" +
           std::to_string(attempt.attempt) + "  ";
    if (attempt.result == InstanceResult::none) {
      out += goes_on(status) ? "runs" : "broken off";
    } else {
      out.append(word_for(attempt.result)).append(" after ").append(format_duration(attempt.duration));
      const std::string used =
          usage(attempt.cpu_us, attempt.peak_bytes, attempt.read_bytes, attempt.write_bytes);
      if (!used.empty()) out += " (" + used + ")";
      if (!attempt.error.empty()) {
        const Error error = error_from_json(attempt.error);
        out += ": " + visible(shorten(error.message, 200)) + " [" + visible(error.code) + "]";
      }
    }
    out += '\n';
  }
}

struct Io {
  uint64_t read = 0, written = 0;  // bytes
};

// Over all attempts of each instance, by its index; only attempts are stored with it.
std::vector<Io> io_of(const Status& status) {
  std::vector<Io> out;
  for (const auto& attempt : status.attempts) {
    if (attempt.read_bytes + attempt.write_bytes == 0) continue;
    if (out.size() <= attempt.instance) out.resize(attempt.instance + 1);
    out[attempt.instance].read += attempt.read_bytes;
    out[attempt.instance].written += attempt.write_bytes;
  }
  return out;
}

void append_hooks(std::string& out, const Status& status) {
  if (!status.hooks.empty()) out += "\nHooks\n";
  for (const auto& hook : status.hooks) {
    out += "  " + date_and_time(hook.at) + "  " + visible(hook.stage);
    if (!hook.address.empty()) out += "  " + visible(hook.address);
    out += "  " + visible(hook.script) + "  " + visible(hook.decision);
    if (!hook.text.empty()) out += ": " + visible(shorten(hook.text, 200));
    out += " (" + format_duration(hook.duration) + ")\n";
  }
}

}  // namespace

std::string_view type_of(std::string_view address) { return address.substr(0, address.find('.')); }

std::string_view name_of(std::string_view address) {
  const size_t dot = address.find('.');
  return dot == std::string_view::npos ? std::string_view() : address.substr(dot + 1);
}

Result<void> write_outputs_json(Sink& sink, std::vector<InstanceRecord> records) {
  sort_by_address(records);
  std::string& out = sink.text();
  out += '{';
  std::string_view type;
  bool any = false;
  for (const auto& record : records) {
    if (!any || type_of(record.address) != type) {
      if (any) out += "},";
      type = type_of(record.address);
      append_json_string(out, type);
      out += ":{";
    } else {
      out += ',';
    }
    any = true;
    append_json_string(out, name_of(record.address));
    out += ':';
    if (record.outputs.empty()) {
      out += "{}";
    } else if (!append_json_value(out, record.outputs)) {
      return refuse("state.damaged", "the stored outputs of " + record.address + " cannot be read",
                    "run the pipeline again");
    }
    sink.flush_if_large();
  }
  out += any ? "}}\n" : "}\n";
  return {};
}

void write_outputs_text(Sink& sink, std::vector<InstanceRecord> records, size_t width, bool full) {
  sort_by_address(records);
  std::string& out = sink.text();
  for (const auto& record : records) {
    out += visible(record.address);
    out += record.outputs.size() > 1 ? "\n" : "  (no outputs)\n";
    append_outputs_block(out, record.outputs, 2, full ? SIZE_MAX : width, SIZE_MAX);
    sink.flush_if_large();
  }
}

std::optional<Milliseconds> time_left(const Status& status, const std::vector<InstanceRecord>& latest,
                                      const pipeline::Pipeline& pipeline, WallTime now) {
  if (!goes_on(status) || pipeline.instances.size() != status.run->instances) return std::nullopt;
  std::unordered_map<std::string_view, Milliseconds> took;
  for (const auto& record : latest) took.emplace(record.address, record.duration);
  const uint32_t total = places_of(status);
  std::vector<orchestrator::InstanceInfo> infos(total);
  std::vector<Milliseconds> expected(total);
  std::vector<std::vector<uint32_t>> upstream(total);
  const auto know = [&](uint32_t index, std::string address) {
    if (const auto known = took.find(address); known != took.end()) expected[index] = known->second;
    infos[index] = {std::move(address), {}};
    infos[index].type = type_of(infos[index].address);
  };
  for (uint32_t i = 0; i < pipeline.instances.size(); ++i) {
    know(i, pipeline.address(i));
    for (const auto& edge : pipeline.upstream(i)) upstream[i].push_back(edge.upstream);
  }
  for (const auto& record : status.instances) {
    if (record.instance >= status.run->instances)
      know(record.instance, record.address);  // it was expanded
    else if (infos[record.instance].address != record.address)
      return std::nullopt;
  }
  orchestrator::RunStarted begun;
  begun.instances = &infos;
  begun.expected = &expected;
  begun.upstream = &upstream;
  begun.max_parallel = pipeline.max_parallel;
  // The run may have been given another one than the file has.
  if (const auto details = parse_json(status.run->details); details && details->is_object()) {
    if (const auto most = details->find("max_parallel"); most != details->end() && most->is_number_unsigned())
      begun.max_parallel = most->get<uint32_t>();
  }
  Eta eta;
  eta.begin(begun);
  std::list<Running> running;
  for (const auto& record : status.instances) {
    if (record.result == InstanceResult::none) {
      running.push_back(
          {record.instance, record.attempts, SteadyTime() - since(record.started, now), {}, {}});
      continue;
    }
    orchestrator::InstanceFinished ended{};
    ended.index = record.instance;
    ended.result = record.result;
    ended.duration = record.duration;
    eta.finished(ended);
  }
  for (uint32_t i = 0; i < total; ++i) {
    if (std::find(status.expanded.begin(), status.expanded.end(), infos[i].address) == status.expanded.end())
      continue;
    orchestrator::InstanceFinished ended{};
    ended.index = i;
    ended.result = InstanceResult::skipped;  // it took no time
    eta.finished(ended);
  }
  if (done_of(status) >= total_of(status)) return std::nullopt;
  return eta.left(total, running, SteadyTime());
}

std::string_view status_word(const Status& status) {
  if (!status.run) return "none";
  return word_of(*status.run, status.held);
}

void append_status_text(std::string& out, const Status& status, const StatusOptions& options) {
  out += visible(status.pipeline) + ": ";
  if (status.run && status.run->kind != state::RunKind::run) {
    out.append(state::to_text(status.run->kind)).append(" ");
  }
  if (!status.run) {
    out += status.held ? "its first run is about to start\n" : "has not run yet\n";
    return;
  }
  const auto& run = *status.run;
  const Counts counts = counts_of(status);
  if (run.result != RunResult::none) {
    out += run.result == RunResult::timed_out ? "ran out of time" : std::string(state::to_text(run.result));
    out += " on " + date_and_time(run.finished) + " after " + format_duration(duration_of(run));
  } else if (status.held) {
    out += "running since " + date_and_time(run.started) + " (" +
           format_duration(since(run.started, options.now)) + "), " + std::to_string(done_of(status)) +
           " of " + std::to_string(total_of(status)) + " done";
    if (status.left && status.left->count() > 0) out += ", about " + whole_seconds(*status.left) + " left";
  } else {
    out += "broken off: the run of " + date_and_time(run.started) + " ended without a result";
  }
  const bool any = std::any_of(counts.of.begin(), counts.of.end(), [](uint32_t count) { return count != 0; });
  if (any) out += ": " + counts_text(counts);
  out += '\n';
  if (options.quiet) return;
  out += "  run " + visible(run.id) + " of " + visible(run.file) + ", " +
         count_of(total_of(status), "instance") +
         (run.profile.empty() ? "" : ", profile " + visible(run.profile)) + '\n';
  if (status.held && !status.holder.empty()) out += "  held by " + visible(status.holder) + '\n';

  size_t failures = 0;
  for (const auto& record : status.instances) {
    if (!is_failure(record.result)) continue;
    if (++failures == 1) out += "\nFailed\n";
    if (failures > kMostFailures && !options.verbose) continue;
    Failure failure;
    failure.address = visible(record.address);
    failure.result = record.result;
    failure.attempts = record.attempts;
    failure.duration = record.duration;
    failure.error = error_from_json(record.error);
    append_failure(out, failure, 2);
  }
  if (failures > kMostFailures && !options.verbose) {
    out += "  … and " + std::to_string(failures - kMostFailures) + " more (-v shows them)\n";
  }
  if (counts[InstanceResult::blocked] > 0) {
    out += "\nDid not run\n";
    append_blocked(out, status.instances, 2);
  }
  if (goes_on(status)) append_running(out, status, options);
  if (options.verbose) {
    out += "\nInstances\n";
    const auto moved = io_of(status);
    for (const auto& record : status.instances) {
      out += "  ";
      const size_t from = out.size();
      const std::string_view open = goes_on(status) ? "running" : "broken off";
      out += record.result == InstanceResult::none ? open : word_for(record.result);
      pad(out, from, 10);
      out += "  " + visible(record.address);
      if (record.attempts > 0) {
        const Io io = moved.size() > record.instance ? moved[record.instance] : Io();
        const std::string used = usage(record.cpu_us, record.peak_bytes, io.read, io.written);
        out += " (" + effort(record.attempts, record.duration) + (used.empty() ? "" : "; " + used) + ")";
      }
      if (!record.run.empty()) out += " (ran in " + visible(record.run) + ")";
      out += '\n';
    }
  }
  append_attempts(out, status);
  append_hooks(out, status);
}

void write_status_json(Sink& sink, const Status& status) {
  std::string& out = sink.text();
  out += "{\"pipeline\":";
  append_json_string(out, status.pipeline);
  out.append(",\"result\":\"").append(status_word(status)).append("\",\"running\":");
  out += status.held ? "true" : "false";
  if (!status.holder.empty()) {
    out += ",\"held_by\":";
    append_json_string(out, status.holder);
  }
  if (status.run) {
    const auto& run = *status.run;
    out += ",\"run\":";
    append_json_string(out, run.id);
    out += ",\"file\":";
    append_json_string(out, run.file);
    out += ",\"started\":\"" + rfc3339(run.started) + "\",\"finished\":";
    out += run.result == RunResult::none ? "null" : '"' + rfc3339(run.finished) + '"';
    if (run.result != RunResult::none) out += ",\"duration_ms\":" + std::to_string(duration_of(run).count());
    out += ",\"total\":" + std::to_string(total_of(status));
    out += ",\"done\":" + std::to_string(done_of(status));
    if (status.left) out += ",\"left_ms\":" + std::to_string(status.left->count());
    out.append(",\"kind\":\"").append(state::to_text(run.kind)).append("\"");
    if (!run.profile.empty()) {
      out += ",\"profile\":";
      append_json_string(out, run.profile);
    }
  } else {
    out += ",\"run\":null";
  }
  out += ",\"counts\":{";
  const Counts counts = counts_of(status);
  bool first = true;
  for (size_t i = 1; i <= static_cast<size_t>(InstanceResult::excluded); ++i) {
    if (counts.of[i] == 0) continue;
    out += first ? "\"" : ",\"";
    first = false;
    out.append(state::to_text(static_cast<InstanceResult>(i)))
        .append("\":")
        .append(std::to_string(counts.of[i]));
  }
  out += "},\"instances\":{";
  first = true;
  for (const auto& record : status.instances) {
    if (!first) out += ',';
    first = false;
    append_json_string(out, record.address);
    out += ":{\"result\":";
    out += record.result == InstanceResult::none ? "null"
                                                 : '"' + std::string(state::to_text(record.result)) + '"';
    out += ",\"attempts\":" + std::to_string(record.attempts);
    if (record.started != WallTime{}) out += ",\"started\":\"" + rfc3339(record.started) + '"';
    out += ",\"duration_ms\":" + std::to_string(record.duration.count());
    if (!record.run.empty()) {
      out += ",\"ran_in\":";
      append_json_string(out, record.run);
    }
    if (!record.error.empty()) {
      out += ",\"error\":{";
      append_error_fields(out, error_from_json(record.error));
      out += '}';
    }
    if (!record.blocked_by.empty()) {
      out += ",\"blocked_by\":";
      append_json_string(out, record.blocked_by);
    }
    out += '}';
    sink.flush_if_large();
  }
  out += "}}\n";
}

void append_runs_text(std::string& out, const std::vector<state::RunRecord>& runs, bool held, WallTime now) {
  bool newest = true;
  for (const auto& run : runs) {
    const bool open = run.result == RunResult::none;
    const bool runs_now = open && held && newest;
    newest = false;
    out += visible(run.id) + "  " + date_and_time(run.started) + "  ";
    const size_t from = out.size();
    out += runs_now ? "running" : open ? "broken off" : state::to_text(run.result);
    pad(out, from, 10);
    out += "  " + count_of(run.instances, "instance");
    if (runs_now) out += " for " + format_duration(since(run.started, now));
    if (!open) out += " in " + format_duration(duration_of(run));
    if (run.kind != state::RunKind::run) out.append(", ").append(state::to_text(run.kind));
    if (!run.profile.empty()) out += ", profile " + visible(run.profile);
    out += '\n';
  }
}

void write_runs_json(Sink& sink, const std::string& pipeline, const std::vector<state::RunRecord>& runs,
                     bool held) {
  std::string& out = sink.text();
  out += "{\"pipeline\":";
  append_json_string(out, pipeline);
  out += ",\"runs\":[";
  bool first = true;
  for (const auto& run : runs) {
    out += first ? "{\"run\":" : ",{\"run\":";
    append_json_string(out, run.id);
    out.append(",\"kind\":\"").append(state::to_text(run.kind));
    out.append("\",\"result\":\"").append(word_of(run, held && first));
    out += "\",\"started\":\"" + rfc3339(run.started) + "\",\"finished\":";
    out += run.result == RunResult::none ? "null" : '"' + rfc3339(run.finished) + '"';
    if (run.result != RunResult::none) out += ",\"duration_ms\":" + std::to_string(duration_of(run).count());
    out += ",\"total\":" + std::to_string(run.instances);
    if (!run.profile.empty()) {
      out += ",\"profile\":";
      append_json_string(out, run.profile);
    }
    out += '}';
    first = false;
    sink.flush_if_large();
  }
  out += "]}\n";
}

}  // namespace pf::report
