// Errors that the orchestrator makes itself, and errors as the run store keeps them. Pure functions;
// thread-safe.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"

namespace pf::orchestrator {

/// `deadline.instance`: all attempts together took too long.
Error instance_deadline(Milliseconds deadline);
/// `deadline.pipeline`: core.deadline has passed.
Error pipeline_deadline(Milliseconds deadline);

/// `job.cancelled`, of an attempt that took the end of a program that we interrupted for a success.
Error program_interrupted();

/// JSON text {code, message, hint, where, traceback, retryable}; what is empty is left out, but for the first
/// three, and `retryable` where it is true.
std::string error_to_json(const Error& error);
/// The other way round; the place comes back as its text. What is no such JSON gives an empty Error.
Error error_from_json(std::string_view text);

}  // namespace pf::orchestrator
