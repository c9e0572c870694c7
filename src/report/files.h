// Files that a run writes for its user when it ends: the HTML report, the metrics. Thread-safe: no state.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"
#include "orchestrator/events.h"

namespace pf::report {

/// Whether such a file can be written: its folder is there and writable, and what has its name is a regular
/// file. Asked before a run starts, so that nothing is lost after hours. `option` names who wants it. Error
/// `report.file`.
Result<void> check_file(std::string_view option, const std::string& file);
/// Replaces the file as a whole. Where that fails `tell` hears of it as an error of the run, `report.write`;
/// nothing else comes of it.
void write_or_tell(const std::string& file, std::string_view content, std::string_view what, WallTime now,
                   orchestrator::Observer& tell);

}  // namespace pf::report
