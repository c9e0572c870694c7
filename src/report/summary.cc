#include "report/summary.h"

#include <algorithm>
#include <unordered_map>

#include "base/text.h"
#include "report/messages.h"
#include "report/paint.h"
#include "report/time_text.h"
#include "report/values.h"
#include "report/visible.h"

namespace pf::report {
namespace {

using state::InstanceRecord;

// Up to so many instances are shown with an output a line; up to so many with a line each.
constexpr size_t kFew = 5;
constexpr size_t kSome = 10;
constexpr size_t kMostOutputs = 12;
constexpr size_t kMostFailures = 10;
constexpr size_t kMostNames = 5;

bool has_outputs(const InstanceRecord& record) {
  // An empty map is one byte.
  return (record.result == InstanceResult::succeeded || record.result == InstanceResult::cached) &&
         record.outputs.size() > 1;
}

// Whether a report could not be written, as write_or_tell() says.
bool was_refused(const Tally& tally, const std::string& file) {
  const auto& errors = tally.run_errors();
  return std::any_of(errors.begin(), errors.end(), [&](const Error& error) {
    return error.code == "report.write" && error.where.file == file;
  });
}

void append_outputs(std::string& out, const std::vector<InstanceRecord>& records,
                    const ObserverOptions& options, size_t width) {
  std::vector<const InstanceRecord*> with;
  size_t count = 0;
  for (const auto& record : records) {
    if (!has_outputs(record)) continue;
    if (++count <= kSome) with.push_back(&record);
  }
  if (count == 0) return;
  out += '\n';
  paint(out, options.color, Style::bold, "Outputs");
  out += '\n';
  size_t widest = 0;
  for (const auto* record : with) widest = std::max(widest, cells(visible(record->address)));
  widest = std::min(widest, width / 2);
  for (const auto* record : with) {
    const std::string name = visible(record->address);
    if (count <= kFew) {
      out += "  " + name + '\n';
      append_outputs_block(out, record->outputs, 4, width, kMostOutputs);
      continue;
    }
    out += "  ";
    const size_t from = out.size();
    out += fit(name, widest);
    pad(out, from, widest);
    out += "  " + outputs_line(record->outputs, width > widest + 4 ? width - widest - 4 : 1) + '\n';
  }
  if (count > with.size())
    out += "  … and " + count_of(count - with.size(), "more instance", "more instances") + '\n';
  if (!options.outputs_command.empty()) out += "  all in full: " + options.outputs_command + '\n';
}

void append_failures(std::string& out, const Tally& tally, const ObserverOptions& options, bool run_failed) {
  const auto& failures = tally.failures();
  if (failures.empty() && tally.run_errors().empty()) return;
  out += '\n';
  paint(out, options.color, Style::red, failures.empty() && !run_failed ? "Problems" : "Failed");
  out += '\n';
  for (const Error& error : tally.run_errors()) append_error(out, error, 2, false);
  for (size_t i = 0; i < failures.size() && i < kMostFailures; ++i) append_failure(out, failures[i], 2);
  if (failures.size() > kMostFailures) {
    out += "  … and " + std::to_string(failures.size() - kMostFailures) + " more";
    if (!options.status_command.empty()) out += ": " + options.status_command;
    out += '\n';
  }
}

}  // namespace

void append_blocked(std::string& out, const std::vector<InstanceRecord>& records, size_t indent) {
  std::unordered_map<std::string_view, std::string_view> cause_of;
  for (const auto& record : records) {
    if (record.result == InstanceResult::blocked) cause_of.emplace(record.address, record.blocked_by);
  }
  struct Group {
    std::string_view cause;
    size_t count = 0;
    std::string names;
  };
  std::vector<Group> groups;
  std::unordered_map<std::string_view, size_t> group_of;
  for (const auto& record : records) {
    if (record.result != InstanceResult::blocked) continue;
    std::string_view cause = record.blocked_by;
    // At most as many steps as there are instances: a stored record is not trusted to be free of circles.
    for (size_t steps = 0; steps < cause_of.size(); ++steps) {
      const auto further = cause_of.find(cause);
      if (further == cause_of.end() || further->second.empty()) break;
      cause = further->second;
    }
    const auto [at, fresh] = group_of.emplace(cause, groups.size());
    if (fresh) groups.push_back({cause, 0, {}});
    Group& group = groups[at->second];
    if (++group.count <= kMostNames) group.names += (group.count == 1 ? "" : ", ") + visible(record.address);
  }
  std::stable_sort(groups.begin(), groups.end(),
                   [](const Group& a, const Group& b) { return a.count > b.count; });
  for (size_t i = 0; i < groups.size() && i < kSome; ++i) {
    const Group& group = groups[i];
    out.append(indent, ' ');
    out += std::to_string(group.count) + " blocked";
    if (!group.cause.empty()) out += " by " + visible(group.cause);
    out += ": " + group.names;
    if (group.count > kMostNames) out += " and " + std::to_string(group.count - kMostNames) + " more";
    out += '\n';
  }
  if (groups.size() > kSome) {
    out.append(indent, ' ')
        .append("… and by ")
        .append(std::to_string(groups.size() - kSome))
        .append(" more\n");
  }
}

std::string nothing_to_do(const orchestrator::RunFinished& event) {
  if (event.result != state::RunResult::succeeded) return {};
  uint64_t cached = 0;
  for (const auto& record : *event.instances) {
    if (record.result == InstanceResult::cached)
      ++cached;
    else if (record.result != InstanceResult::skipped && record.result != InstanceResult::excluded)
      return {};
  }
  if (cached == 0) return {};
  std::string out =
      "Nothing to do: " + count_of(cached, "instance is as it was", "instances are as they were");
  if (event.oldest.time_since_epoch().count() != 0) {
    out += cached == 1 ? "; the result is " : "; the oldest result is ";
    out += age_text(event.oldest, event.time) + " old";
  }
  return out;
}

std::string verdict(const Tally& tally, const orchestrator::RunFinished& event) {
  std::string out = tally.pipeline();
  switch (event.result) {
    case state::RunResult::none: out += " did not finish"; break;
    case state::RunResult::succeeded: out += " succeeded"; break;
    case state::RunResult::failed: out += " failed"; break;
    case state::RunResult::cancelled: out += " was cancelled"; break;
    case state::RunResult::timed_out: out += " ran out of time"; break;
  }
  out += " after " + format_duration(event.duration) + ": ";
  Counts counts;
  for (const auto& record : *event.instances) {
    if (record.result != InstanceResult::none) ++counts[record.result];
  }
  out += counts_text(counts);
  if (event.result == state::RunResult::succeeded && counts.failed() > 0)
    out += " (which the pipeline allows)";
  return out;
}

void append_summary(std::string& out, const Tally& tally, const orchestrator::RunFinished& event,
                    const ObserverOptions& options, size_t width) {
  append_outputs(out, *event.instances, options, width);
  append_failures(out, tally, options, event.result != state::RunResult::succeeded);
  if (std::any_of(event.instances->begin(), event.instances->end(),
                  [](const InstanceRecord& record) { return record.result == InstanceResult::blocked; })) {
    out += '\n';
    paint(out, options.color, Style::yellow, "Did not run");
    out += '\n';
    append_blocked(out, *event.instances, 2);
  }
  out += '\n';
  if (event.refused_calls > 0) {
    out += count_of(event.refused_calls, "call") + " of extensions " +
           (event.refused_calls == 1 ? "was" : "were") + " refused for want of a permission\n";
  }
  if (!tally.log_file().empty()) out += "Log: " + visible(tally.log_file()) + '\n';
  for (const std::string& file : options.written_files) {
    if (!was_refused(tally, file)) out += "Written: " + visible(file) + '\n';
  }
  if (!event.command.empty()) out += "To go on: " + visible(event.command) + '\n';
  if (const std::string text = nothing_to_do(event); !text.empty()) out += text + '\n';
  const Style style = event.result == state::RunResult::succeeded ? Style::green
                      : event.result == state::RunResult::failed  ? Style::red
                                                                  : Style::yellow;
  paint(out, options.color, style, verdict(tally, event));
  out += '\n';
}

}  // namespace pf::report
