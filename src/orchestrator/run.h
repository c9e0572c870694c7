// Executes a pipeline: the whole of `pangeo-forge run FILE` but for what is printed. Blocks the calling
// thread, which becomes the loop's.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "orchestrator/events.h"
#include "orchestrator/project.h"
#include "orchestrator/selection.h"
#include "state/store.h"

namespace pf::orchestrator {

struct PlanFile;

struct RunOptions {
  ProjectOptions project;
  /// --plan: nothing runs unless what would is what the plan says; not owned. `selection` and `force` are the
  /// plan's then.
  const PlanFile* plan = nullptr;
  state::RunKind kind = state::RunKind::run;
  bool orphans = false;  // destroy: what the pipeline does not hold any more, and nothing else
  bool abandon_cleanups =
      false;  // run: gives up those that are due, and whose instances are gone from the file
  /// destroy and refresh: asked with the addresses, in the order in which it goes, once everything else is
  /// known to be good; abandon_cleanups: with those that are given up, where there are any. False: nothing is
  /// done.
  std::function<bool(const std::vector<std::string>&)> confirm;
  Selection selection;
  uint32_t max_parallel = 0;  // --max-parallel; 0: what the pipeline says
  bool fail_fast = false;     // --fail-fast
  bool force = false;         // --force: what would be cached runs, too
  bool resume = false;        // --resume: goes on with the last run, where that did not end by itself
  std::string command;  // the command line, quoted for a shell: for the lock file, the run's record, and as
                        // the command to go on with
};

/// Exit codes of the program (docs/interface.md).
enum ExitCode : int {
  kOk = 0,
  kInstanceFailed = 1,
  kChangesPending = 2,
  kInvalidInput = 3,
  kLocked = 4,
  kDeadline = 124,
  kInterrupted = 130,
  kTerminated = 143,
};
/// No exit codes: the caller says what happened.
inline constexpr int kNothingToDo = -1;
inline constexpr int kDeclined = -2;

/// Runs, destroys or refreshes to the end, or to the first SIGINT or SIGTERM, which stops it cleanly. Returns
/// the exit code; Errors when nothing was started: the input is refused (3), the state folder is held by
/// another process
/// (`state.locked`, 4), or the state cannot be written (1). kNothingToDo: there is nothing to destroy or
/// refresh; kDeclined: confirm() said no. Cleanups that a run before this one left undone
/// are made first, in a run of their own.
tl::expected<int, Errors> run(const RunOptions& options, Observer& observer);

/// What the scheduler is told of a selection: by instance. `selected` empty: all. Errors
/// `selection.no_outputs`: something that is left out has never succeeded, so that it has no outputs to lend.
class History;
tl::expected<std::vector<bool>, Errors> excluded(const pipeline::Pipeline& pipeline,
                                                 const Selection& selection, const History& history);

}  // namespace pf::orchestrator
