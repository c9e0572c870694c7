// Errors that the orchestrator makes itself. Pure functions; thread-safe.
#pragma once

#include "base/clock.h"
#include "base/error.h"
#include "state/stored_error.h"

namespace pf::orchestrator {

/// `deadline.instance`: all attempts together took too long.
Error instance_deadline(Milliseconds deadline);
/// `deadline.pipeline`: core.deadline has passed.
Error pipeline_deadline(Milliseconds deadline);

/// `job.cancelled`, of an attempt that took the end of a program that we interrupted for a success.
Error program_interrupted();

using state::error_from_json;
using state::error_to_json;

}  // namespace pf::orchestrator
