// The `tools` that extensions declare: each is asked once for its version, before anything of a run begins.
// Blocks; for the thread that runs the loop.
#pragma once

#include <asio/io_context.hpp>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/versions.h"
#include "base/error.h"
#include "orchestrator/project.h"
#include "worker/programs.h"

namespace pf::orchestrator {

/// Versions by the command that tells them.
using ToolVersions = std::map<std::vector<std::string>, std::string>;

/// What names a tool where versions are kept and compared: its name, and the command that tells its version
/// where that is not `NAME --version`. Extensions may mean different programs by one name.
std::string tool_key(const extension::Tool& tool);

/// What came of one declaration.
struct ToolFinding {
  std::string extension;
  std::string name;
  std::string key;      // tool_key()
  std::string version;  // `1.6.2`; empty where it could not be learnt
  std::optional<Error>
      error;  // `tool.missing`, `tool.failed`, `tool.unreadable`, `tool.version`, `process.*`
};

/// Runs the probes of all extensions of the project, side by side, confined, without network, in a folder of
/// their own that is removed afterwards.
std::vector<ToolFinding> probe_tools(asio::io_context& loop, worker::Programs& programs,
                                     const Project& project, ToolVersions& versions);

/// Whether some extension of the project declares a tool.
bool declares_tools(const Project& project);
/// probe_tools(), with what was found given to `current` as well. The errors of all tools that do not fit.
tl::expected<void, Errors> learn_tools(asio::io_context& loop, worker::Programs& programs,
                                       const Project& project, ToolVersions& versions,
                                       api::Versions& current);

/// The first thing in a text that looks like a version, as three numbers: `OpenTofu v1.6` gives `1.6.0`.
/// Empty: there is none.
std::string version_in(std::string_view text);

}  // namespace pf::orchestrator
