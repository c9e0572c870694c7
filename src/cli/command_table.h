// Every command with its options: the one table that parsing, help and completion come from. Constant data;
// thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pf::cli {

enum class Command : uint8_t {
  run,
  validate,
  preview,
  why,
  destroy,
  refresh,
  outputs,
  status,
  logs,
  runs_list,
  runs_show,
  runs_diff,
  runs_prune,
  runs_export,
  unlock,
  graph,
  config,
  extension_list,
  extension_show,
  doctor,
  completion,
  version,
};

/// An option, the same in every command that has it. Its environment variable is environment_variable(name).
struct OptionSpec {
  const char* name;   // without dashes
  char letter;        // of its short form; 0: none
  const char* value;  // what help calls its value; empty: a flag
  const char* help;
  const char* choices;  // `text|json`; empty: any value
  bool repeatable = false;
  const char* otherwise = nullptr;  // the value of `--name` alone, where `--name=VALUE` may leave it out
};

/// What a word after the command means, for completion.
enum class Operand : uint8_t { none, pipeline_file, address, run, extension, shell };

struct OperandSpec {
  const char* name = "";  // as help shows it; empty: there is none
  Operand kind = Operand::none;
  bool required = true;
};

struct CommandSpec {
  Command command;
  const char* words;  // `run`, `extension list`
  const char* summary;
  const char* details;  // paragraphs for its own help; may be empty
  OperandSpec operands[3];
  std::span<const OptionSpec* const> options;
  const char* examples;  // lines
};

std::span<const CommandSpec> commands();
const CommandSpec& spec_of(Command command);
/// `PANGEO_FORGE_STATE_DIR` for `state-dir`.
std::string environment_variable(std::string_view option);
/// The parts of `text|json`.
std::vector<std::string> choices_of(const OptionSpec& option);

}  // namespace pf::cli
