// How errors are told to people: the same form for a refused file, a failed instance and a stored failure.
// Thread-safe: no state.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"
#include "report/tally.h"

namespace pf::report {

/// `WHERE: message [code]`, then the hint and the traceback indented by two more; every line `indent` spaces
/// in.
void append_error(std::string& out, const Error& error, size_t indent, bool with_traceback);
/// `after 3 attempts, 1.3s`; attempts are named where there were several.
std::string effort(uint32_t attempts, Milliseconds duration);
/// What was used: `CPU 12ms, memory 1.2 MiB, read 4.0 KiB, wrote 12 B`; without what there was none of.
std::string usage(uint64_t cpu_us, uint64_t peak_bytes, uint64_t read_bytes, uint64_t write_bytes);
/// The heading of a failure and all that is known of it, as summaries show it.
void append_failure(std::string& out, const Failure& failure, size_t indent);
/// One refused input as a JSON event (docs/interface.md), with `run` null and a line break.
void append_error_event(std::string& out, const Error& error, WallTime time);

}  // namespace pf::report
