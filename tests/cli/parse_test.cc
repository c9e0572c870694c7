#include <gtest/gtest.h>

#include <cstdlib>

#include "cli/command_line.h"

namespace pf::cli {
namespace {

/// Variables of the environment for one test.
class Environment {
 public:
  Environment() { clear(); }
  ~Environment() { clear(); }
  void set(const char* name, const char* value) { ::setenv(name, value, 1); }

 private:
  static void clear() {
    for (const auto& spec : commands()) {
      for (const OptionSpec* option : spec.options) ::unsetenv(environment_variable(option->name).c_str());
    }
  }
};

CommandLine parsed(std::vector<const char*> words) {
  words.insert(words.begin(), "pangeo-forge");
  return parse(static_cast<int>(words.size()), words.data());
}

Arguments good(const std::vector<const char*>& words) {
  const auto line = parsed(words);
  EXPECT_FALSE(line.error) << line.error->text();
  return line.arguments.value_or(Arguments{});
}

std::string refused(const std::vector<const char*>& words) {
  const auto line = parsed(words);
  EXPECT_TRUE(line.error.has_value());
  return line.error ? line.error->text() : std::string();
}

TEST(CommandLine, options_before_and_after_the_file) {
  Environment environment;
  const auto arguments = good({"run", "--var", "a=1", "prod.yaml", "--extensions", "x", "--max-parallel=4",
                               "--extensions", "y", "--var=b=[1, 2]", "--fail-fast", "-v", "--state-dir", "s",
                               "--pipeline", "p", "--format", "json"});
  EXPECT_EQ(arguments.command, Command::run);
  EXPECT_EQ(arguments.file, "prod.yaml");
  EXPECT_EQ(arguments.extensions, (std::vector<std::string>{"x", "y"}));
  EXPECT_EQ(arguments.variables,
            (std::vector<std::pair<std::string, std::string>>{{"a", "1"}, {"b", "[1, 2]"}}));
  EXPECT_EQ(arguments.max_parallel, 4U);
  EXPECT_TRUE(arguments.fail_fast);
  EXPECT_TRUE(arguments.verbose);
  EXPECT_FALSE(arguments.quiet);
  EXPECT_EQ(arguments.state_dir, "s");
  EXPECT_EQ(arguments.pipeline, "p");
  EXPECT_TRUE(arguments.json());
}

TEST(CommandLine, an_option_takes_one_word_only) {
  Environment environment;
  const auto arguments = good({"run", "--extensions", "x", "prod.yaml"});
  EXPECT_EQ(arguments.extensions, (std::vector<std::string>{"x"}));
  EXPECT_EQ(arguments.file, "prod.yaml");
}

TEST(CommandLine, commands_of_two_words) {
  Environment environment;
  EXPECT_EQ(good({"extension", "list"}).command, Command::extension_list);
  const auto show = good({"extension", "show", "example"});
  EXPECT_EQ(show.command, Command::extension_show);
  EXPECT_EQ(show.operand, "example");
  EXPECT_EQ(good({"--version"}).command, Command::version);
}

TEST(CommandLine, operands) {
  Environment environment;
  const auto outputs = good({"outputs", "p.yaml", "a.b[\"k\"]"});
  EXPECT_EQ(outputs.file, "p.yaml");
  EXPECT_EQ(outputs.operand, "a.b[\"k\"]");
  EXPECT_EQ(good({"doctor"}).file, "");
  EXPECT_EQ(good({"doctor", "p.yaml"}).file, "p.yaml");
  EXPECT_EQ(good({"run", "--", "-odd.yaml"}).file, "-odd.yaml");
}

TEST(CommandLine, the_environment_stands_in_for_flags) {
  Environment environment;
  environment.set("PANGEO_FORGE_FORMAT", "json");
  environment.set("PANGEO_FORGE_EXTENSIONS", "a:b c");
  environment.set("PANGEO_FORGE_VAR", "x=1\ny=two words");
  environment.set("PANGEO_FORGE_MAX_PARALLEL", "3");
  environment.set("PANGEO_FORGE_FAIL_FAST", "true");
  environment.set("PANGEO_FORGE_QUIET", "1");
  auto arguments = good({"run", "p.yaml"});
  EXPECT_TRUE(arguments.json());
  EXPECT_EQ(arguments.extensions, (std::vector<std::string>{"a", "b c"}));
  EXPECT_EQ(arguments.variables,
            (std::vector<std::pair<std::string, std::string>>{{"x", "1"}, {"y", "two words"}}));
  EXPECT_EQ(arguments.max_parallel, 3U);
  EXPECT_TRUE(arguments.fail_fast);
  EXPECT_TRUE(arguments.quiet);
  // A flag has the last word, also over its opposite.
  arguments = good({"run", "p.yaml", "--format", "text", "-v", "--extensions", "c"});
  EXPECT_FALSE(arguments.json());
  EXPECT_TRUE(arguments.verbose);
  EXPECT_FALSE(arguments.quiet);
  EXPECT_EQ(arguments.extensions, (std::vector<std::string>{"c"}));
  environment.set("PANGEO_FORGE_FAIL_FAST", "0");
  EXPECT_FALSE(good({"run", "p.yaml"}).fail_fast);
}

TEST(CommandLine, refusals_name_what_is_wrong) {
  Environment environment;
  EXPECT_EQ(refused({}),
            "there is no command [usage.missing]\n  hint: pangeo-forge --help lists the commands");
  EXPECT_EQ(refused({"vaildate", "p.yaml"}),
            "'vaildate' is no command [usage.command]\n  hint: did you mean 'validate'? the commands are "
            "run, validate, preview, why, destroy, refresh, "
            "outputs, status, logs, runs, unlock, graph, config, extension, doctor, completion, version");
  EXPECT_EQ(refused({"--format", "json", "run"}),
            "'--format' stands where a command is expected [usage.command]\n  hint: options stand after the "
            "command: "
            "pangeo-forge run FILE --format");
  EXPECT_EQ(refused({"extension"}),
            "'extension' needs to be told what to do [usage.missing]\n  hint: type one of: extension list, "
            "extension show");
  EXPECT_EQ(refused({"extension", "lst"}),
            "'extension lst' is no command [usage.command]\n  hint: did you mean 'list'? the commands are "
            "list, show");
  EXPECT_EQ(refused({"run", "p.yaml", "--max-paralel", "3"}),
            "'run' has no option --max-paralel [usage.option]\n  hint: did you mean '--max-parallel'?");
  EXPECT_EQ(refused({"run", "p.yaml", "--limits", "x"}),
            "'run' has no option --limits [usage.option]\n  hint: pangeo-forge run --help lists the options");
  EXPECT_EQ(
      refused({"run", "p.yaml", "--dry-run", "--report", "r.html"}),
      "--dry-run runs nothing that --report could tell of [usage.value]\n  hint: leave one of them out");
  EXPECT_EQ(refused({"validate", "p.yaml", "--fail-fast"}),
            "'validate' has no option --fail-fast [usage.option]\n  hint: pangeo-forge validate --help lists "
            "the options");
  EXPECT_EQ(refused({"run"}),
            "'run' needs a FILE [usage.missing]\n  hint: the form is: pangeo-forge run FILE [options]");
  EXPECT_EQ(
      refused({"run", "a.yaml", "b.yaml"}),
      "'b.yaml' is one word too many [usage.argument]\n  hint: the form is: pangeo-forge run FILE [options]");
  EXPECT_EQ(refused({"run", "p.yaml", "--format", "jsn"}),
            "--format is 'jsn' [usage.value]\n  hint: did you mean 'json'? it takes text, json");
  EXPECT_EQ(refused({"run", "p.yaml", "--max-parallel", "0"}),
            "--max-parallel is '0' [usage.value]\n  hint: it takes a number from 1 to 4096");
  EXPECT_EQ(refused({"run", "p.yaml", "--max-parallel", "4x"}),
            "--max-parallel is '4x' [usage.value]\n  hint: it takes a number from 1 to 4096");
  EXPECT_EQ(refused({"run", "p.yaml", "--var", "novalue"}),
            "--var is 'novalue' [usage.value]\n  hint: it takes NAME=VALUE, such as region=eu-west-1");
  EXPECT_EQ(
      refused({"run", "p.yaml", "--state-dir"}),
      "--state-dir lacks its value [usage.value]\n  hint: the form is: pangeo-forge run FILE [options]");
  EXPECT_EQ(refused({"run", "p.yaml", "--state-dir", ""}),
            "--state-dir is empty [usage.value]\n  hint: give it a DIR");
  EXPECT_EQ(refused({"run", "p.yaml", "--state-dir", "a", "--state-dir", "b"}),
            "--state-dir is given 2 times [usage.value]\n  hint: give it once");
  EXPECT_EQ(refused({"run", "p.yaml", "-v", "--quiet"}),
            "--verbose and --quiet are both given [usage.value]\n  hint: decide for one");
  EXPECT_EQ(refused({"completion", "tcsh"}),
            "there is no completion for 'tcsh' [usage.value]\n  hint: SHELL is bash, zsh or fish");
  EXPECT_EQ(
      refused({"doctor", "--pipeline", "p"}),
      "--pipeline and --var say something of a FILE, and there is none [usage.missing]\n  hint: the form is: "
      "pangeo-forge doctor [FILE] [options]");
  environment.set("PANGEO_FORGE_LOG_LEVEL", "loud");
  EXPECT_EQ(refused({"run", "p.yaml"}),
            "PANGEO_FORGE_LOG_LEVEL is 'loud' [usage.value]\n  hint: it takes debug, info, warn, error, off");
}

TEST(CommandLine, json_is_known_also_where_the_rest_is_wrong) {
  Environment environment;
  EXPECT_TRUE(parsed({"rnu", "p.yaml", "--format", "json"}).json);
  EXPECT_TRUE(parsed({"run", "--format=json"}).json);
  EXPECT_FALSE(parsed({"run"}).json);
  environment.set("PANGEO_FORGE_FORMAT", "json");
  EXPECT_TRUE(parsed({"run"}).json);
  EXPECT_FALSE(parsed({"run", "--format", "text"}).json);
}

TEST(CommandLine, what_to_type_next) {
  Environment environment;
  const auto arguments = good({"run", "my file.yaml", "--state-dir", "it's"});
  EXPECT_EQ(arguments.same_project("outputs"), "pangeo-forge outputs 'my file.yaml' --state-dir 'it'\\''s'");
  EXPECT_EQ(arguments.line, "pangeo-forge run 'my file.yaml' --state-dir 'it'\\''s'");
}

}  // namespace
}  // namespace pf::cli
