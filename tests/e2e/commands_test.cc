// The commands beside run: what they print, their exit codes, and that looking writes nothing.
#include <gtest/gtest.h>

#include "support/pipelines.h"

namespace pf::test {
namespace {

TEST(Commands, VersionPrintsTheVersion) {
  Project project;
  const auto output = project.forge({"version"});
  EXPECT_EQ(output.code, 0);
  EXPECT_EQ(output.out, "pangeo-forge " PF_VERSION "\n");
}

TEST(Commands, DoctorFindsASandboxHere) {
  Project project;
  const auto output = project.forge({"doctor", "--format", "json"});
  EXPECT_EQ(output.code, 0) << output.out << output.err;
  EXPECT_NE(output.out.find("seccomp"), std::string::npos);
  EXPECT_NE(output.out.find("landlock"), std::string::npos);
}

TEST(Commands, ExtensionListNamesBundledAndOwn) {
  Project project;
  project.extension("mine", execute(""));
  project.write("p.yaml", "p:\n  mine: [{name: a}]\n");
  const auto output = project.forge({"extension", "list"});
  EXPECT_EQ(output.code, 0) << output.err;
  EXPECT_NE(output.out.find("example"), std::string::npos);
  EXPECT_NE(output.out.find("feedstock"), std::string::npos);
}

TEST(Commands, ExtensionShowSaysInPlainWordsWhatItMayDo) {
  Project project;
  const auto output = project.forge({"extension", "show", "example"});
  EXPECT_EQ(output.code, 0) << output.err;
  EXPECT_NE(output.out.find("file"), std::string::npos);
  EXPECT_EQ(project.forge({"extension", "show", "exmaple"}).code, 3);
}

TEST(Commands, LogsShowsWhatWasLoggedAndAsked) {
  Project project;
  project.extension("t",
                    execute("forge.log.info('hello', {n = 1}) forge.try(forge.fs.read, '/etc/hostname')"));
  project.write("p.yaml", "p:\n  t: [{name: a}, {name: b, depends_on: [t.a]}]\n");
  EXPECT_NE(project.forge({"logs", "p.yaml"}).out.find("p was not run yet"), std::string::npos);
  EXPECT_EQ(project.forge({"run", "p.yaml"}).code, 0);
  const auto all = project.forge({"logs", "p.yaml"});
  EXPECT_EQ(all.code, 0) << all.err;
  EXPECT_NE(all.out.find("  info  t.a  hello  {\"n\":1}\n"), std::string::npos) << all.out;
  EXPECT_NE(all.out.find("t.b"), std::string::npos);
  EXPECT_EQ(project.forge({"logs", "p.yaml", "t.a"}).out.find("t.b"), std::string::npos);
  const auto audit = project.forge({"logs", "p.yaml", "t.a", "--audit"});
  EXPECT_NE(audit.out.find("  refused  t.a  fs.read  /etc/hostname  [permission.read]\n"), std::string::npos)
      << audit.out;
  const auto json = events(project.forge({"logs", "p.yaml", "--audit", "--format", "json"}).out);
  ASSERT_EQ(json.size(), 2U);
  EXPECT_EQ(json[1]["instance"], "t.b");
  const auto unknown = project.forge({"logs", "p.yaml", "--run", "x"});
  EXPECT_EQ(unknown.code, 3);
  EXPECT_NE(unknown.err.find("logs.unknown_run"), std::string::npos);
}

TEST(Commands, GraphShowsEdgesInEveryForm) {
  Project project;
  project.extension("t", execute(""));
  project.write("p.yaml", "p:\n  t: [{name: a}, {name: b, depends_on: [t.a]}]\n");
  const auto text = project.forge({"graph", "p.yaml"});
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_NE(text.out.find("t.b"), std::string::npos);
  const auto mermaid = project.forge({"graph", "p.yaml", "--format", "mermaid"});
  EXPECT_NE(mermaid.out.find("-->"), std::string::npos);
  const auto dot = project.forge({"graph", "p.yaml", "--format", "dot"});
  EXPECT_NE(dot.out.find("->"), std::string::npos);
  EXPECT_TRUE(parse_json(project.forge({"graph", "p.yaml", "--format", "json"}).out));
  EXPECT_FALSE(std::filesystem::exists(project.path() / ".pangeo-forge"));
}

TEST(Commands, StatusAndOutputsBeforeAnyRunSaySo) {
  Project project;
  project.extension("t", execute(""));
  project.write("p.yaml", "p:\n  t: [{name: a}]\n");
  const auto status = project.forge({"status", "p.yaml"});
  EXPECT_NE((status.out + status.err).find("run"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(project.path() / ".pangeo-forge"));
  EXPECT_EQ(project.forge({"outputs", "p.yaml", "--format", "json"}).out, "{}\n");
}

TEST(Commands, CompletionIsValidShell) {
  Project project;
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const auto output = project.forge({"completion", shell});
    EXPECT_EQ(output.code, 0);
    EXPECT_NE(output.out.find("validate"), std::string::npos) << shell;
  }
}

TEST(Commands, EveryCommandHasHelpWithAnExample) {
  Project project;
  for (const char* command :
       {"run", "validate", "outputs", "status", "graph", "doctor", "version", "completion"}) {
    const auto output = project.forge({command, "--help"});
    EXPECT_EQ(output.code, 0) << command;
    EXPECT_NE(output.out.find(std::string("pangeo-forge ") + command), std::string::npos)
        << command << output.out;
  }
}

TEST(Commands, OptionsHaveEnvironmentVariables) {
  Project project;
  project.extension("t", execute(""));
  project.write("p.yaml", "p:\n  t: [{name: a}]\n");
  const auto output = project.forge(
      {"run", "p.yaml"}, {{"PANGEO_FORGE_FORMAT", "json"}, {"PANGEO_FORGE_STATE_DIR", "elsewhere"}});
  EXPECT_EQ(output.code, 0) << output.err;
  EXPECT_TRUE(last(events(output.out), "run_finished").is_object());
  EXPECT_TRUE(std::filesystem::exists(project.path() / "elsewhere/state.db"));
}

TEST(Commands, TwoPipelinesInAFileNeedTheNameOfOne) {
  Project project;
  project.extension("t", execute("outputs.x = 1"));
  project.write("p.yaml", "first:\n  t: [{name: a}]\nsecond:\n  t: [{name: b}]\n");
  EXPECT_EQ(project.forge({"run", "p.yaml"}).code, 3);
  EXPECT_EQ(project.forge({"run", "p.yaml", "--pipeline", "second"}).code, 0);
}

}  // namespace
}  // namespace pf::test
