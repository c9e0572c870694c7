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

using state::error_from_json;
using state::error_to_json;

}  // namespace pf::orchestrator
