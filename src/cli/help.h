// Help, from the table of commands. Thread-safe: no state.
#pragma once

#include <string>

#include "cli/command_table.h"

namespace pf::cli {

/// `pangeo-forge run FILE [options]`.
std::string usage_line(const CommandSpec& spec);
/// All commands, each with its summary.
std::string overview();
/// The commands that begin with a word, such as `extension`.
std::string group_help(const std::string& word);
/// One command: form, options with their environment variables, examples.
std::string help_of(const CommandSpec& spec);

}  // namespace pf::cli
