// Errors as the run store keeps them. Pure functions; thread-safe.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace pf::state {

/// JSON text {code, message, hint, where, traceback, retryable}; what is empty is left out, but for the first
/// three, and `retryable` where it is true.
std::string error_to_json(const Error& error);
/// The other way round; the place comes back as its text, or its parts where they are kept as {file, line,
/// column, path}. What is no such JSON is the message.
Error error_from_json(std::string_view text);

}  // namespace pf::state
