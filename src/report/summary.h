// What a run came to, told once at its end. Thread-safe: no state.
#pragma once

#include <string>

#include "orchestrator/events.h"
#include "report/observer.h"
#include "report/tally.h"

namespace pf::report {

/// The whole account: outputs, what failed and why, what did not run and because of what, where the log is,
/// the command to go on with, and verdict() as its last line. `width`: cells of a line.
void append_summary(std::string& out, const Tally& tally, const orchestrator::RunFinished& event,
                    const ObserverOptions& options, size_t width);
/// `climate-prod failed after 2m05s: 10 succeeded, 1 failed, 1 blocked`.
std::string verdict(const Tally& tally, const orchestrator::RunFinished& event);
/// `Nothing to do: 12 instances are as they were; the oldest result is 3 h old`, where nothing ran because
/// nothing has changed; else empty.
std::string nothing_to_do(const orchestrator::RunFinished& event);
/// `2 blocked by example.third: kubectl.app, kubectl.db`, one line for each cause, most first; instances that
/// are blocked by a blocked one are counted with the one that began it.
void append_blocked(std::string& out, const std::vector<state::InstanceRecord>& records, size_t indent);

}  // namespace pf::report
