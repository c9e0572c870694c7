#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "cli/command_line.h"
#include "cli/completion_scripts.h"
#include "cli/help.h"

namespace pf::cli {
namespace {

std::string help_for(std::vector<const char*> words) {
  words.insert(words.begin(), "pangeo-forge");
  const auto line = parse(static_cast<int>(words.size()), words.data());
  EXPECT_FALSE(line.error) << line.error->text();
  return line.help;
}

TEST(Help, every_command_has_an_example_and_names_its_options) {
  for (const auto& spec : commands()) {
    const std::string help = help_of(spec);
    EXPECT_NE(help.find(std::string("\nExamples:\n  pangeo-forge ") + spec.words), std::string::npos)
        << spec.words;
    for (const OptionSpec* option : spec.options) {
      EXPECT_NE(help.find(std::string("--") + option->name), std::string::npos) << spec.words;
      if (option->name != std::string_view("help")) {
        EXPECT_NE(help.find(environment_variable(option->name)), std::string::npos) << spec.words;
      }
    }
    std::istringstream lines(help);
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 110U) << line;
  }
}

TEST(Help, is_found_wherever_it_is_asked_for) {
  const std::string run = help_for({"run", "--help"});
  EXPECT_EQ(run.substr(0, run.find('\n')), "Usage: pangeo-forge run FILE [options]");
  EXPECT_EQ(help_for({"run", "p.yaml", "-h"}), run);
  EXPECT_EQ(help_for({"help", "run"}), run);
  EXPECT_EQ(help_for({"--help", "run"}), run);
  EXPECT_EQ(help_for({"--help"}), overview());
  EXPECT_EQ(help_for({"help"}), overview());
  EXPECT_EQ(help_for({"extension", "--help"}), group_help("extension"));
  EXPECT_EQ(help_for({"help", "extension"}), group_help("extension"));
}

TEST(Help, overview_names_every_command) {
  for (const auto& spec : commands()) {
    EXPECT_NE(overview().find(std::string("\n  ") + spec.words + " "), std::string::npos) << spec.words;
  }
}

/// A script in a file of its own, with a pipeline and a folder beside it.
class ShellTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/pf-completion-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    folder_ = name;
    std::ofstream(folder_ / "prod.yaml") << "p: {}\n";
    std::ofstream(folder_ / "notes.txt") << "x\n";
    std::filesystem::create_directory(folder_ / "place");
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::pair<int, std::string> shell(const std::string& command) {
    std::string out;
    FILE* pipe = ::popen(("cd '" + folder_.string() + "' && " + command + " 2>&1").c_str(), "r");
    if (pipe == nullptr) return {-1, ""};
    for (int c = 0; (c = std::fgetc(pipe)) != EOF;) out += static_cast<char>(c);
    const int status = ::pclose(pipe);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, out};
  }

  // What bash offers for words of which the last is being typed.
  std::string offered(const std::string& words) {
    std::ofstream(folder_ / "script.bash") << bash_completion();
    return shell("bash --norc -c 'source ./script.bash; COMP_WORDS=(" + words +
                 "); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _pangeo_forge; IFS=,; echo \"${COMPREPLY[*]}\"'")
        .second;
  }

  std::filesystem::path folder_;
};

TEST_F(ShellTest, bash_takes_the_script) {
  std::ofstream(folder_ / "script.bash") << bash_completion();
  EXPECT_EQ(shell("bash -n script.bash"), (std::pair<int, std::string>{0, ""}));
}

TEST_F(ShellTest, bash_completes) {
  EXPECT_EQ(offered("pangeo-forge va"), "validate\n");
  EXPECT_EQ(offered("pangeo-forge extension \"\""), "list,show\n");
  EXPECT_EQ(offered("pangeo-forge run --max"), "--max-parallel\n");
  EXPECT_EQ(offered("pangeo-forge validate --max"), "\n");
  EXPECT_EQ(offered("pangeo-forge run \"\""), "prod.yaml,place/\n");
  EXPECT_EQ(offered("pangeo-forge run --format \"\""), "text,json\n");
  EXPECT_EQ(offered("pangeo-forge graph p.yaml --format = d"), "dot\n");
  EXPECT_EQ(offered("pangeo-forge run --state-dir \"\""), "place\n");
  EXPECT_EQ(offered("pangeo-forge run --state-dir place \"\""), "prod.yaml,place/\n");
  EXPECT_EQ(offered("pangeo-forge run --state-dir = place \"\""), "prod.yaml,place/\n");
  EXPECT_EQ(offered("pangeo-forge run p.yaml \"\""), "\n");
  EXPECT_EQ(offered("pangeo-forge completion f"), "fish\n");
}

// A pangeo-forge that says what it was asked, for scripts that ask.
TEST_F(ShellTest, completes_runs_and_instances) {
  std::ofstream(folder_ / "pangeo-forge")
      << "#!/bin/sh\necho \"$*\" >> asked\n"
         "case \"$1\" in\n"
         "runs) echo '20261121-144738-e79529  2026-11-21 14:47:38  succeeded   12 instances in 2m05s'\n"
         "      echo '20261120-090211-51c0fe  2026-11-20 09:02:11  failed      12 instances in 1m12s' ;;\n"
         "graph) echo 'digraph \"p\" {'; echo '  node [shape=box];'; echo '  n0 [label=\"t.one\"];'\n"
         "       echo '  n1 [label=\"t.two[\\\\\"k\\\\\"]\"];'; echo '  n2 [label=\"s.x-1\",style=filled];'\n"
         "       echo '  n0 -> n1;' ;;\n"
         "esac\n";
  shell("chmod +x pangeo-forge");
  const auto asked = [&] {
    const auto text = shell("cat asked; rm -f asked").second;
    return text;
  };
  EXPECT_EQ(offered("./pangeo-forge runs show prod.yaml \"\""),
            "20261121-144738-e79529,20261120-090211-51c0fe\n");
  EXPECT_EQ(asked(), "runs list prod.yaml --quiet --limit 50\n");
  EXPECT_EQ(
      offered("./pangeo-forge runs diff --state-dir = place prod.yaml 20261120-090211-51c0fe 20261121-1"),
      "20261121-144738-e79529\n");
  EXPECT_EQ(asked(), "runs list prod.yaml --quiet --limit 50 --state-dir place\n");
  EXPECT_EQ(offered("./pangeo-forge logs prod.yaml --pipeline a --run \"\""),
            "20261121-144738-e79529,20261120-090211-51c0fe\n");
  EXPECT_EQ(asked(), "runs list prod.yaml --quiet --limit 50 --pipeline a\n");
  EXPECT_EQ(offered("./pangeo-forge logs prod.yaml \"\""), "t.one,s.x-1\n");
  EXPECT_EQ(asked(), "graph prod.yaml --format dot\n");
  EXPECT_EQ(offered("./pangeo-forge why prod.yaml t."), "t.one\n");
  asked();
  EXPECT_EQ(offered("./pangeo-forge runs list prod.yaml \"\""), "\n");
  EXPECT_EQ(shell("ls asked").first, 2);
}

// The other shells may not be there; each script at least names every command and option.
TEST_F(ShellTest, zsh_and_fish_take_their_scripts_where_they_are) {
  std::ofstream(folder_ / "script.zsh") << zsh_completion();
  std::ofstream(folder_ / "script.fish") << fish_completion();
  EXPECT_EQ(shell("if command -v zsh >/dev/null; then zsh -n script.zsh; fi"),
            (std::pair<int, std::string>{0, ""}));
  EXPECT_EQ(shell("if command -v fish >/dev/null; then fish -n script.fish; fi"),
            (std::pair<int, std::string>{0, ""}));
  for (const auto& spec : commands()) {
    for (const OptionSpec* option : spec.options) {
      EXPECT_NE(zsh_completion().find(std::string("--") + option->name), std::string::npos);
      EXPECT_NE(fish_completion().find(std::string("-l ") + option->name), std::string::npos);
    }
  }
}

}  // namespace
}  // namespace pf::cli
