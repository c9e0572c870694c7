// Runs one of the operator's own commands and takes what it prints: for secrets that a password manager
// keeps. Not for what extensions ask for: nothing confines it. Blocks; any thread.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"

namespace pf::services {

/// What the command printed on stdout, at most 1 MiB; its stderr is ours, its stdin empty. It is killed after
/// `timeout`. Errors `command.missing`, `command.failed` (it ended with something else than 0, printed too
/// much, or took too long), `os.*`; none of them tells what it printed.
Result<std::string> capture(const std::vector<std::string>& argv, Milliseconds timeout);

}  // namespace pf::services
