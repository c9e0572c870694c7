// What earlier runs left behind, as `outputs` and `status` show it. Thread-safe: no state.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "pipeline/pipeline.h"
#include "report/sink.h"
#include "state/store.h"

namespace pf::report {

/// The parts of `type.name["key"]`: the type ends at the first dot.
std::string_view type_of(std::string_view address);
std::string_view name_of(std::string_view address);

/// `{"type":{"name":{…outputs}}}` and a line break, types and names sorted. Error `state.damaged` where
/// stored outputs cannot be read.
Result<void> write_outputs_json(Sink& sink, std::vector<state::InstanceRecord> records);
/// Each instance with an output a line. `full`: values are not shortened to `width` cells.
void write_outputs_text(Sink& sink, std::vector<state::InstanceRecord> records, size_t width, bool full);

/// Who holds the state folder: `process 4711 on host since …`, or nobody.
struct Status {
  std::string pipeline;
  std::optional<state::RunRecord> run;           // the last; none before the first
  std::vector<state::InstanceRecord> instances;  // of it
  std::vector<std::string> expanded;             // for_each over outputs that became instances, by address
  bool held = false;                             // a process holds the state folder now
  std::string holder;                            // the text of its lock file; may be empty
  std::optional<Milliseconds> left;              // that it may still take, while it goes on
  std::vector<state::AttemptEnd> attempts;       // of the run, where they are to be shown
  std::vector<state::HookRecord> hooks;          // likewise
};
/// What to print of a status.
struct StatusOptions {
  bool quiet = false;    // the first line only
  bool verbose = false;  // every instance
  WallTime now{};
};
/// `succeeded`, …, or `running` while it goes on, `broken_off` where its process ended without a result,
/// `none`.
std::string_view status_word(const Status& status);
/// How long a run that goes on may still take (eta.h), from the last success of each instance and the
/// pipeline that it runs. nullopt: it does not go on, nothing is known, or the file is not what it was when
/// the run began.
std::optional<Milliseconds> time_left(const Status& status, const std::vector<state::InstanceRecord>& latest,
                                      const pipeline::Pipeline& pipeline, WallTime now);
void append_status_text(std::string& out, const Status& status, const StatusOptions& options);
/// The runs of a list, newest first; `held`: the first of them goes on where it has no end.
void append_runs_text(std::string& out, const std::vector<state::RunRecord>& runs, bool held, WallTime now);
void write_runs_json(Sink& sink, const std::string& pipeline, const std::vector<state::RunRecord>& runs,
                     bool held);
void write_status_json(Sink& sink, const Status& status);

}  // namespace pf::report
