#include "cli/help.h"

#include <algorithm>

namespace pf::cli {
namespace {

void append_columns(std::string& out, std::string left, size_t width, std::string_view right) {
  out += "  " + left;
  out.append(left.size() < width ? width - left.size() : 0, ' ').append("  ").append(right).append(1, '\n');
}

void append_indented(std::string& out, std::string_view lines) {
  while (!lines.empty()) {
    const size_t end = std::min(lines.find('\n'), lines.size());
    out.append("  ").append(lines.substr(0, end)).append(1, '\n');
    lines.remove_prefix(std::min(end + 1, lines.size()));
  }
}

std::string form_of(const OptionSpec& option) {
  std::string out = option.letter != 0 ? std::string("-") + option.letter + ", " : std::string("    ");
  out += std::string("--") + option.name;
  if (*option.value != '\0') out += (*option.value == '[' ? "" : " ") + std::string(option.value);
  return out;
}

}  // namespace

std::string usage_line(const CommandSpec& spec) {
  std::string out = std::string("pangeo-forge ") + spec.words;
  for (const OperandSpec& operand : spec.operands) {
    if (operand.kind == Operand::none) break;
    out += operand.required ? std::string(" ") + operand.name : std::string(" [") + operand.name + "]";
  }
  return out + " [options]";
}

std::string overview() {
  std::string out =
      "Usage: pangeo-forge COMMAND [options]\n"
      "\n"
      "Runs pipelines of sandboxed extensions: one YAML file says what, this program when.\n"
      "\n"
      "Commands:\n";
  for (const auto& spec : commands()) append_columns(out, spec.words, 14, spec.summary);
  out +=
      "\n"
      "pangeo-forge COMMAND --help says more of a command.\n"
      "\n"
      "Examples:\n"
      "  pangeo-forge validate prod.yaml\n"
      "  pangeo-forge run prod.yaml\n";
  return out;
}

std::string group_help(const std::string& word) {
  std::string out = "Usage: pangeo-forge " + word + " COMMAND [options]\n\nCommands:\n";
  std::string examples;
  for (const auto& spec : commands()) {
    const std::string_view name = spec.words;
    if (name.substr(0, name.find(' ')) != word) continue;
    append_columns(out, spec.words, 14, spec.summary);
    append_indented(examples, spec.examples);
  }
  return out + "\nExamples:\n" + examples;
}

std::string help_of(const CommandSpec& spec) {
  std::string out = "Usage: " + usage_line(spec) + "\n\n" + spec.summary + ".\n";
  if (*spec.details != '\0') out += std::string("\n") + spec.details + "\n";
  out += "\nOptions, and the environment variables that stand in for them:\n";
  size_t width = 0;
  for (const OptionSpec* option : spec.options) width = std::max(width, form_of(*option).size());
  for (const OptionSpec* option : spec.options) {
    append_columns(out, form_of(*option), width, option->help);
    std::string more;
    if (*option->choices != '\0') more = std::string(option->choices) + "  ";
    if (option->name != std::string_view("help")) more += environment_variable(option->name);
    if (option->name == std::string_view("extensions")) more += " (parted by colons)";
    if (option->name == std::string_view("var")) more += " (one a line)";
    if (!more.empty()) append_columns(out, "", width, more);
  }
  out += "\nExamples:\n";
  append_indented(out, spec.examples);
  return out;
}

}  // namespace pf::cli
