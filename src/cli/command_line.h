// What the user typed, understood: a command with its options from flags and environment variables, a wish
// for help, or what is wrong with it. No global state but the environment, which is read once.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "cli/command_table.h"

namespace pf::cli {

/// One command's arguments; what a command has no option for stays at its default.
struct Arguments {
  Command command = Command::run;
  std::string program;  // how the user calls us
  std::string line;     // all that was typed, as a shell takes it back
  std::string file;     // FILE; empty: none
  std::string operand;  // TYPE.NAME, RUN, NAME or SHELL; empty: none
  std::string second;   // the second RUN
  std::vector<std::string> extensions;
  std::string state_dir, pipeline, profile;
  std::string format = "text";
  std::vector<std::pair<std::string, std::string>> variables;
  uint32_t max_parallel = 0;  // 0: what the pipeline says
  std::string run;            // --run
  bool audit = false;
  bool reads = false;
  bool follow = false;
  bool show_secrets = false;
  bool results = false;
  bool yes = false;
  uint32_t attempt = 0;               // 0: all
  std::optional<uint32_t> limit;      // --limit
  std::optional<uint32_t> keep;       // --keep
  std::optional<Milliseconds> older;  // --older-than
  bool fail_fast = false;
  std::vector<std::string> only, skip, from, until;
  std::string affected;
  bool force = false;
  bool resume = false;
  bool abandon_cleanups = false;
  bool dry_run = false;
  bool exit_code = false;
  std::string plan_out;  // preview: where its plan is kept; empty: nowhere
  std::string plan;      // run: the plan to carry out; empty: none
  bool orphans = false;
  bool verbose = false;
  bool quiet = false;
  std::string log_level;  // empty: not given
  std::string report;     // --report; empty: none is written
  std::string metrics;    // --metrics; empty: none are written

  bool json() const { return format == "json"; }
  /// `PROGRAM COMMAND FILE` with the options that say which pipeline and state: what to type next.
  std::string same_project(const std::string& words) const;
};

/// Exactly one of the three is set.
struct CommandLine {
  std::optional<Arguments> arguments;
  std::string help;            // what was asked for
  std::optional<Error> error;  // `usage.*`
  bool json = false;           // errors are wanted as JSON
};

/// A word as a shell takes it back: quoted where it must be.
std::string shell_quote(std::string_view word);

CommandLine parse(int argc, const char* const* argv);

}  // namespace pf::cli
