// The parts of the table of host calls, one for each namespace. Immutable; thread-safe.
#pragma once

#include <span>

#include "registry/calls.h"

namespace pf::registry {

std::span<const Call> log_calls();
std::span<const Call> fs_calls();
std::span<const Call> http_calls();
std::span<const Call> download_calls();
std::span<const Call> git_calls();
std::span<const Call> archive_calls();
std::span<const Call> process_calls();
std::span<const Call> env_calls();
std::span<const Call> time_calls();
std::span<const Call> text_calls();
std::span<const Call> prelude_calls();

}  // namespace pf::registry
