// A hook's script: one Lua file of the operator that returns `function(event) … end`, made into a package of
// one module that workers load.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "extension/manifest.h"
#include "worker/supervisor.h"

namespace pf::extension {

/// One script, read.
struct HookScript {
  std::string name;            // as messages have it: relative to the project where it lies below it
  std::filesystem::path file;  // absolute
  std::string digest;          // SHA-256 of its text, hex
  worker::Package package;
};

/// Error `hook.file`.
Result<std::unique_ptr<const HookScript>> read_hook_script(const std::filesystem::path& file,
                                                           const std::filesystem::path& project);

/// What a hook may use. Its time is bounded by its timeout alone.
Limits hook_limits();

/// Calls the script's function with an event (an encoded CBOR map), or, where it is empty, only runs the
/// script up to the function. The job's value is what the function returned. Its error has the code
/// `hook.veto` where the script raised it, and its own where a call of the script did.
worker::Job hook_job(uint64_t id, const HookScript& script, std::string_view event, Milliseconds timeout);

/// How long a script may take to return its function.
inline constexpr Milliseconds kHookCheck{5000};

/// Compiles the scripts in workers and runs each up to its function, or up to its first host call, which is
/// not made. Blocks; starts a guardian and a worker for each script. Returns the error of each, in their
/// order; an empty code: it is good. Errors `lua.syntax`, `hook.script`, `hook.timeout`, what the script
/// raised (`hook.failed`), `worker.*`, `sandbox.unavailable`; where.file is the script, with the line where
/// it is known.
Errors check_hook_scripts(const std::vector<const HookScript*>& scripts, Milliseconds timeout = kHookCheck);

}  // namespace pf::extension
