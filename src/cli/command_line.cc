// The only source that includes CLI11: it is large. Of the table's commands only the one that was typed is
// built.
#include "cli/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <map>

#include "base/text.h"
#include "cli/help.h"

namespace pf::cli {
namespace {

constexpr uint32_t kMostParallel = 4096;

Error usage(std::string code, std::string message, std::string hint) {
  Error error;
  error.code = "usage." + std::move(code);
  error.message = std::move(message);
  error.hint = std::move(hint);
  error.retryable = false;
  return error;
}

// Values of one option, from flags or the environment.
struct Given {
  std::vector<std::string> values;  // of a flag: one, "true" or "false"
  std::string from;                 // `--format` or `PANGEO_FORGE_FORMAT`
  bool typed = false;
};
using GivenOptions = std::map<std::string, Given>;

bool wants_json(const std::vector<std::string>& words) {
  const char* set = std::getenv("PANGEO_FORGE_FORMAT");
  bool json = set != nullptr && std::string_view(set) == "json";
  for (size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "--format" && i + 1 < words.size())
      json = words[i + 1] == "json";
    else if (words[i].rfind("--format=", 0) == 0)
      json = words[i] == "--format=json";
  }
  return json;
}

// The command that the words begin with and how many words it takes; 0 words: none. `group`: the words begin
// a command of several words, but name none.
struct Found {
  const CommandSpec* spec = nullptr;
  size_t words = 0;
  bool group = false;
};

Found find_command(const std::vector<std::string>& words) {
  Found found;
  for (const auto& spec : commands()) {
    const std::string_view name = spec.words;
    const size_t space = name.find(' ');
    if (words[0] != name.substr(0, space)) continue;
    if (space == std::string_view::npos) return {&spec, 1, false};
    found.group = true;
    if (words.size() > 1 && words[1] == name.substr(space + 1)) return {&spec, 2, false};
  }
  return found;
}

Error unknown_command(const std::vector<std::string>& words, bool group) {
  std::vector<std::string> names;
  for (const auto& spec : commands()) {
    const std::string_view name = spec.words;
    const size_t space = name.find(' ');
    if (group && space != std::string_view::npos && name.substr(0, space) == words[0]) {
      names.emplace_back(name.substr(space + 1));
    } else if (!group && (names.empty() || names.back() != name.substr(0, space))) {
      names.emplace_back(name.substr(0, space));
    }
  }
  if (group && words.size() == 1) {
    return usage("missing", "'" + words[0] + "' needs to be told what to do",
                 "type one of: " + words[0] + " " + join(names, ", " + words[0] + " "));
  }
  const std::string& word = group ? words[1] : words[0];
  if (!group && word.size() > 1 && word[0] == '-') {
    return usage("command", "'" + word + "' stands where a command is expected",
                 "options stand after the command: pangeo-forge run FILE " + word);
  }
  std::string hint = did_you_mean(word, names);
  if (!hint.empty()) hint += " ";
  return usage("command", "'" + (group ? words[0] + " " : std::string()) + word + "' is no command",
               hint + "the commands are " + join(names, ", "));
}

const OptionSpec* find_option(const CommandSpec& spec, std::string_view name) {
  for (const OptionSpec* option : spec.options) {
    if (name == option->name) return option;
  }
  return nullptr;
}

Error unknown_option(const CommandSpec& spec, const std::string& word) {
  std::vector<std::string> names;
  for (const OptionSpec* option : spec.options) names.push_back(std::string("--") + option->name);
  const std::string name = word.substr(0, word.find('='));
  std::string hint = did_you_mean(name, names);
  if (hint.empty()) hint = std::string("pangeo-forge ") + spec.words + " --help lists the options";
  return usage("option", "'" + std::string(spec.words) + "' has no option " + name, std::move(hint));
}

std::string usage_hint(const CommandSpec& spec) { return "the form is: " + usage_line(spec); }

// CLI11 sorts the words into options and operands; everything else is checked here, for messages of our own.
Result<GivenOptions> sort_words(const CommandSpec& spec, std::vector<std::string> words,
                                std::vector<std::string>& operands) {
  CLI::App app;
  app.set_help_flag();
  app.allow_extras();
  std::map<std::string, std::vector<std::string>> values;
  std::map<std::string, bool> flags;
  for (const OptionSpec* option : spec.options) {
    std::string names = std::string("--") + option->name;
    if (option->letter != 0) names = std::string("-") + option->letter + "," + names;
    if (*option->value == '\0') {
      app.add_flag(names, flags[option->name]);
    } else {
      app.add_option(names, values[option->name])->allow_extra_args(false);
    }
  }
  app.add_option("operands", operands)->expected(0, CLI::detail::expected_max_vector_size);
  for (std::string& word : words) {
    const OptionSpec* option = word.starts_with("--") ? find_option(spec, word.substr(2)) : nullptr;
    if (option != nullptr && option->otherwise != nullptr) word += std::string("=") + option->otherwise;
  }
  try {
    std::reverse(words.begin(), words.end());
    app.parse(words);
  } catch (const CLI::ArgumentMismatch& mismatch) {
    // Its text begins with the option's name; options have one value each, so that only none can be wrong.
    const std::string text = mismatch.what();
    return tl::unexpected(
        usage("value", text.substr(0, text.find(':')) + " lacks its value", usage_hint(spec)));
  } catch (const CLI::Error& error) {
    return tl::unexpected(usage("value", error.what(), usage_hint(spec)));
  }
  for (const std::string& word : app.remaining()) {
    if (word == "--") continue;
    if (word.size() > 1 && word[0] == '-') return tl::unexpected(unknown_option(spec, word));
    operands.push_back(word);
  }
  GivenOptions given;
  for (const OptionSpec* option : spec.options) {
    const std::string name = std::string("--") + option->name;
    if (app.count(name) == 0) continue;
    Given& one = given[option->name];
    one.from = name;
    one.typed = true;
    if (*option->value == '\0')
      one.values = {flags[option->name] ? "true" : "false"};
    else
      one.values = values[option->name];
  }
  return given;
}

// The environment speaks where no flag does. Lists: folders are parted by colons, variables by line breaks.
Result<void> add_environment(const CommandSpec& spec, GivenOptions& given) {
  for (const OptionSpec* option : spec.options) {
    const std::string variable = environment_variable(option->name);
    const char* set = std::getenv(variable.c_str());
    if (set == nullptr || *set == '\0' || given.count(option->name) != 0 ||
        option->name == std::string_view("help")) {
      continue;
    }
    Given one;
    one.from = variable;
    const std::string_view text = set;
    if (*option->value == '\0') {
      if (text == "1" || text == "true")
        one.values = {"true"};
      else if (text == "0" || text == "false")
        continue;
      else
        return tl::unexpected(
            usage("value", variable + " is '" + std::string(text) + "'", "set it to true or false"));
    } else if (option->repeatable) {
      const char separator = option->name == std::string_view("extensions") ? ':' : '\n';
      for (std::string_view rest = text; !rest.empty();) {
        const size_t end = std::min(rest.find(separator), rest.size());
        if (end != 0) one.values.emplace_back(rest.substr(0, end));
        rest.remove_prefix(std::min(end + 1, rest.size()));
      }
    } else {
      one.values = {std::string(text)};
    }
    given[option->name] = std::move(one);
  }
  return {};
}

Result<void> check_choices(const CommandSpec& spec, const GivenOptions& given) {
  for (const auto& [name, one] : given) {
    const OptionSpec* option = find_option(spec, name);
    const auto choices = choices_of(*option);
    for (const std::string& value : one.values) {
      if (!choices.empty() && std::find(choices.begin(), choices.end(), value) == choices.end()) {
        std::string hint = did_you_mean(value, choices);
        if (!hint.empty()) hint += " ";
        return tl::unexpected(
            usage("value", one.from + " is '" + value + "'", hint + "it takes " + join(choices, ", ")));
      }
      if (*option->value != '\0' && value.empty()) {
        return tl::unexpected(
            usage("value", one.from + " is empty", std::string("give it a ") + option->value));
      }
    }
    if (!option->repeatable && *option->value != '\0' && one.values.size() > 1) {
      return tl::unexpected(usage(
          "value", one.from + " is given " + std::to_string(one.values.size()) + " times", "give it once"));
    }
  }
  return {};
}

Result<void> take_options(Arguments& arguments, GivenOptions& given) {
  const auto value = [&](const char* name) -> std::string {
    const auto found = given.find(name);
    return found == given.end() ? std::string() : found->second.values.front();
  };
  const auto flag = [&](const char* name) { return value(name) == "true"; };
  if (given.count("extensions") != 0) arguments.extensions = given["extensions"].values;
  arguments.state_dir = value("state-dir");
  arguments.pipeline = value("pipeline");
  arguments.profile = value("profile");
  arguments.log_level = value("log-level");
  if (given.count("format") != 0) arguments.format = value("format");
  arguments.run = value("run");
  arguments.report = value("report");
  arguments.metrics = value("metrics");
  for (const char* file : {"report", "metrics"}) {
    if (const auto found = given.find(file); flag("dry-run") && found != given.end() && found->second.typed) {
      return tl::unexpected(usage("value",
                                  "--dry-run runs nothing that --" + std::string(file) + " could tell of",
                                  "leave one of them out"));
    }
  }
  arguments.plan_out = value("out");
  arguments.plan = value("plan");
  arguments.audit = flag("audit");
  arguments.reads = flag("reads");
  arguments.follow = flag("follow");
  arguments.show_secrets = flag("show-secrets");
  arguments.results = flag("results");
  arguments.yes = flag("yes");
  arguments.fail_fast = flag("fail-fast");
  for (auto& [name, list] : {std::pair("only", &arguments.only), std::pair("skip", &arguments.skip),
                             std::pair("from", &arguments.from), std::pair("until", &arguments.until)}) {
    if (given.count(name) != 0) *list = given[name].values;
  }
  arguments.affected = value("affected");
  arguments.force = flag("force");
  arguments.resume = flag("resume");
  arguments.abandon_cleanups = flag("abandon-cleanups");
  arguments.dry_run = flag("dry-run");
  arguments.exit_code = flag("exit-code");
  arguments.orphans = flag("orphans");
  if (arguments.resume && arguments.force) {
    return tl::unexpected(usage("value", "--resume and --force are both given",
                                "--resume repeats nothing that has succeeded, --force repeats all of it"));
  }
  // What is typed and would have no effect.
  const auto typed = [&](const char* name) {
    const auto found = given.find(name);
    return found != given.end() && found->second.typed;
  };
  for (const char* other : {"only", "skip", "from", "until", "affected", "force", "resume", "dry-run"}) {
    if (arguments.plan.empty() || !typed(other)) continue;
    return tl::unexpected(usage("value", "--plan and --" + std::string(other) + " are both given",
                                "the plan says what runs; give --" + std::string(other) + " to preview"));
  }
  for (const char* other : {"resume", "dry-run"}) {
    if (arguments.abandon_cleanups && flag(other) && typed("abandon-cleanups") && typed(other)) {
      return tl::unexpected(usage("value",
                                  "--abandon-cleanups and --" + std::string(other) + " are both given",
                                  "only a run that begins anew makes up for cleanups, or gives them up"));
    }
  }
  if (arguments.command == Command::run && typed("yes") && !arguments.abandon_cleanups) {
    return tl::unexpected(
        usage("value", "--yes is given, and there is nothing that `run` would ask", "leave it out"));
  }
  arguments.verbose = flag("verbose");
  arguments.quiet = flag("quiet");
  if (arguments.verbose && arguments.quiet) {
    const bool verbose_typed = given["verbose"].typed;
    if (verbose_typed == given["quiet"].typed) {
      return tl::unexpected(usage("value", "--verbose and --quiet are both given", "decide for one"));
    }
    (verbose_typed ? arguments.quiet : arguments.verbose) = false;
  }
  if (const auto found = given.find("max-parallel"); found != given.end()) {
    const std::string& text = found->second.values.front();
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), arguments.max_parallel);
    if (code != std::errc() || end != text.data() + text.size() || arguments.max_parallel == 0 ||
        arguments.max_parallel > kMostParallel) {
      return tl::unexpected(usage("value", found->second.from + " is '" + text + "'",
                                  "it takes a number from 1 to " + std::to_string(kMostParallel)));
    }
  }
  const auto number = [&](const char* name, uint32_t least, std::optional<uint32_t>& out) -> Result<void> {
    const auto found = given.find(name);
    if (found == given.end()) return {};
    const std::string& text = found->second.values.front();
    uint32_t parsed = 0;
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), parsed);
    if (code != std::errc() || end != text.data() + text.size() || parsed < least) {
      return tl::unexpected(usage("value", found->second.from + " is '" + text + "'",
                                  "it takes a number, " + std::to_string(least) + " or more"));
    }
    out = parsed;
    return {};
  };
  std::optional<uint32_t> attempt;
  if (auto taken = number("attempt", 1, attempt); !taken) return taken;
  arguments.attempt = attempt.value_or(0);
  if (auto taken = number("limit", 1, arguments.limit); !taken) return taken;
  if (auto taken = number("keep", 0, arguments.keep); !taken) return taken;
  if (const auto found = given.find("older-than"); found != given.end()) {
    arguments.older = parse_duration(found->second.values.front());
    if (!arguments.older) {
      return tl::unexpected(usage("value", found->second.from + " is '" + found->second.values.front() + "'",
                                  "it takes an age such as 12h or 30d"));
    }
  }
  if (arguments.follow && arguments.reads) {
    return tl::unexpected(usage("value", "--follow and --reads are both given",
                                "what was read is told when an instance has ended: leave one out"));
  }
  if (arguments.reads && arguments.attempt != 0) {
    return tl::unexpected(usage("value", "--attempt and --reads are both given",
                                "what was read is kept of the last attempt only: leave one out"));
  }
  if (const auto found = given.find("var"); found != given.end()) {
    for (const std::string& text : found->second.values) {
      const size_t equals = text.find('=');
      if (equals == std::string::npos || equals == 0) {
        return tl::unexpected(usage("value", found->second.from + " is '" + text + "'",
                                    "it takes NAME=VALUE, such as region=eu-west-1"));
      }
      arguments.variables.emplace_back(text.substr(0, equals), text.substr(equals + 1));
    }
  }
  return {};
}

Result<void> take_operands(const CommandSpec& spec, Arguments& arguments,
                           const std::vector<std::string>& operands) {
  size_t next = 0;
  for (const OperandSpec& operand : spec.operands) {
    if (operand.kind == Operand::none) break;
    if (next == operands.size()) {
      if (!operand.required) break;
      return tl::unexpected(
          usage("missing", "'" + std::string(spec.words) + "' needs a " + operand.name, usage_hint(spec)));
    }
    const std::string& word = operands[next++];
    if (word.empty())
      return tl::unexpected(usage("value", std::string(operand.name) + " is empty", usage_hint(spec)));
    if (operand.kind == Operand::pipeline_file)
      arguments.file = word;
    else
      (&operand == &spec.operands[2] ? arguments.second : arguments.operand) = word;
  }
  if (next < operands.size()) {
    return tl::unexpected(
        usage("argument", "'" + operands[next] + "' is one word too many", usage_hint(spec)));
  }
  if (spec.command == Command::completion) {
    const std::vector<std::string> shells = {"bash", "zsh", "fish"};
    if (std::find(shells.begin(), shells.end(), arguments.operand) == shells.end()) {
      std::string hint = did_you_mean(arguments.operand, shells);
      if (!hint.empty()) hint += " ";
      return tl::unexpected(usage("value", "there is no completion for '" + arguments.operand + "'",
                                  hint + "SHELL is bash, zsh or fish"));
    }
  }
  if (spec.command == Command::runs_prune && !arguments.keep && !arguments.older) {
    return tl::unexpected(usage("missing", "'runs prune' needs to be told which runs may go",
                                "give it --keep N, --older-than AGE, or both"));
  }
  if (spec.command == Command::doctor && arguments.file.empty() &&
      (!arguments.pipeline.empty() || !arguments.variables.empty())) {
    return tl::unexpected(usage("missing", "--pipeline and --var say something of a FILE, and there is none",
                                usage_hint(spec)));
  }
  return {};
}

bool asks_for_help(const std::string& word) { return word == "--help" || word == "-h" || word == "help"; }

}  // namespace

std::string shell_quote(std::string_view word) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=@%+,";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string_view::npos) return std::string(word);
  std::string out = "'";
  for (char c : word) {
    if (c == '\'')
      out += "'\\''";
    else
      out += c;
  }
  return out + "'";
}

std::string Arguments::same_project(const std::string& words) const {
  std::string out = shell_quote(program) + ' ' + words + ' ' + shell_quote(file);
  if (!state_dir.empty()) out += " --state-dir " + shell_quote(state_dir);
  if (!pipeline.empty()) out += " --pipeline " + shell_quote(pipeline);
  if (!profile.empty()) out += " --profile " + shell_quote(profile);
  return out;
}

CommandLine parse(int argc, const char* const* argv) {
  CommandLine out;
  std::vector<std::string> words(argv + std::min(argc, 1), argv + argc);
  Arguments arguments;
  arguments.program = argc > 0 ? argv[0] : "pangeo-forge";
  for (int i = 0; i < argc; ++i) arguments.line += (i == 0 ? "" : " ") + shell_quote(argv[i]);
  out.json = wants_json(words);
  const auto stop = [&](Error error) {
    out.error = std::move(error);
    return out;
  };

  if (words.empty())
    return stop(usage("missing", "there is no command", "pangeo-forge --help lists the commands"));
  if (words[0] == "--version") words[0] = "version";
  if (asks_for_help(words[0])) {
    words.erase(words.begin());
    if (words.empty()) {
      out.help = overview();
      return out;
    }
    words.push_back("--help");
  }
  const Found found = find_command(words);
  if (found.spec == nullptr) {
    if (found.group && words.size() > 1 && asks_for_help(words[1])) {
      out.help = group_help(words[0]);
      return out;
    }
    return stop(unknown_command(words, found.group));
  }
  const CommandSpec& spec = *found.spec;
  words.erase(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(found.words));

  std::vector<std::string> operands;
  auto given = sort_words(spec, std::move(words), operands);
  if (!given) return stop(std::move(given.error()));
  if (given->count("help") != 0) {
    out.help = help_of(spec);
    return out;
  }
  if (auto done = add_environment(spec, *given); !done) return stop(std::move(done.error()));
  if (auto done = check_choices(spec, *given); !done) return stop(std::move(done.error()));
  arguments.command = spec.command;
  if (auto done = take_options(arguments, *given); !done) return stop(std::move(done.error()));
  if (auto done = take_operands(spec, arguments, operands); !done) return stop(std::move(done.error()));
  out.arguments = std::move(arguments);
  return out;
}

}  // namespace pf::cli
