// destroy, refresh, protection, orphans and moves: docs/pipelines.md, "Destroying".
#include <gtest/gtest.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/pipelines.h"

namespace pf::test {
namespace {

// Each life writes its name into one file of the project, so that the order shows.
std::string lives(const Project& project) {
  const std::string file = (project.path() / "order").string();
  return "local forge = require 'forge'\nlocal models = require 'models'\n"
         "local E = forge.extension {config = models.Config}\n"
         "local function note(word) forge.fs.append('" +
         file +
         "', word .. '\\n') end\n"
         "function E:execute() self.outputs.x = 'x-' .. self.name self.state.made = self.name "
         "forge.fs.write('here', '') end\n"
         "function E:destroy() note('destroy ' .. self.name .. ' ' .. tostring(self.state.made) .. ' ' .. "
         "self.config.value) end\n"
         "function E:refresh() note('refresh ' .. self.name) self.state.seen = true end\n"
         "return E\n";
}

void write(const Project& project, const std::string& name = "t") {
  project.extension(
      name, lives(project),
      "permissions: {write: [" + (project.path() / "order").string() + "]}\ncache: {max_age: 1h}\n",
      "return {Config = require 'schema'.object {value = require 'schema'.string {default = '-'}}}");
}

constexpr char kYaml[] =
    "p:\n  t:\n    - name: a\n    - {name: b, value: '${t.a.outputs.x}'}\n    - {name: c, depends_on: "
    "[t.b]}\n";

int forge(const Project& project, std::vector<std::string> words) {
  const auto output = project.forge(words);
  EXPECT_EQ(output.code, 0) << output.out << output.err;
  return output.code;
}

TEST(Destroy, GoesTheOtherWayRoundWithTheStateAndTheOutputsOfThen) {
  const Project project;
  write(project);
  run_pipeline(project, kYaml);
  forge(project, {"destroy", "p.yaml", "--yes"});
  EXPECT_EQ(project.read("order"), "destroy c c -\ndestroy b b x-a\ndestroy a a -\n");
  EXPECT_FALSE(std::filesystem::exists(project.path() / ".pangeo-forge/work/t/a"));
}

TEST(Destroy, ASecondOneDoesNothingAndAfterItNothingIsCached) {
  const Project project;
  write(project);
  run_pipeline(project, kYaml);
  forge(project, {"destroy", "p.yaml", "--yes"});
  const auto again = project.forge({"destroy", "p.yaml", "--yes"});
  EXPECT_EQ(again.code, 0);
  EXPECT_EQ(again.out, "There is nothing to destroy\n");
  EXPECT_EQ(run_pipeline(project, kYaml).result("t.a"), "succeeded");
}

TEST(Destroy, WithoutATerminalItNeedsYes) {
  const Project project;
  write(project);
  run_pipeline(project, kYaml);
  const auto output = project.forge({"destroy", "p.yaml"});
  EXPECT_EQ(output.code, 3);
  EXPECT_NE(output.err.find("destroy.unconfirmed"), std::string::npos) << output.err;
  EXPECT_FALSE(std::filesystem::exists(project.path() / "order"));
}

TEST(Destroy, ASelectionTakesWhatNeedsIt) {
  const Project project;
  write(project);
  run_pipeline(project, kYaml);
  forge(project, {"destroy", "p.yaml", "--only", "t.b", "--yes"});
  EXPECT_EQ(project.read("order"), "destroy c c -\ndestroy b b x-a\n");
  EXPECT_EQ(run_pipeline(project, kYaml).result("t.a"), "cached");
}

TEST(Destroy, WhatIsProtectedIsRefusedAndNothingIsTouched) {
  const Project project;
  write(project);
  const std::string yaml = "p:\n  t:\n    - {name: a, protect: true}\n    - name: z\n";
  run_pipeline(project, yaml);
  const auto output = project.forge({"destroy", "p.yaml", "--yes"});
  EXPECT_EQ(output.code, 3);
  EXPECT_NE(output.err.find("p.yaml:3:7: t.a is protected [destroy.protected]"), std::string::npos)
      << output.err;
  EXPECT_FALSE(std::filesystem::exists(project.path() / "order"));
  forge(project, {"destroy", "p.yaml", "--yes", "--skip", "t.a"});
  EXPECT_EQ(project.read("order"), "destroy z z -\n");
}

TEST(Destroy, AFailureKeepsWhatItNeedsAndTheStack) {
  const Project project;
  write(project);
  const std::string yaml = "p:\n  t: [{name: a}]\n  u: [{name: b, depends_on: [t.a]}]\n";
  project.extension("u",
                    "local forge = require 'forge'\nlocal E = forge.extension {}\n"
                    "function E:execute() self.state.x = 1 end\n"
                    "function E:destroy() error('it is still used') end\nreturn E\n");
  EXPECT_EQ(run_pipeline(project, yaml).result("u.b"), "succeeded");
  const auto output = project.forge({"destroy", "p.yaml", "--yes"});
  EXPECT_EQ(output.code, 1);
  EXPECT_NE((output.out + output.err).find("it is still used"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(project.path() / "order"));
  EXPECT_EQ(run_pipeline(project, yaml).result("t.a"), "cached");
}

TEST(Destroy, OrphansByTheirLastConfiguration) {
  const Project project;
  write(project);
  run_pipeline(project, kYaml);
  project.write("p.yaml", "p:\n  t: [{name: a}]\n");
  forge(project, {"destroy", "p.yaml", "--orphans", "--yes"});
  const std::string order = project.read("order");
  EXPECT_NE(order.find("destroy b b x-a\n"), std::string::npos) << order;
  EXPECT_NE(order.find("destroy c c -\n"), std::string::npos) << order;
  EXPECT_EQ(order.find("destroy a"), std::string::npos);
  EXPECT_EQ(project.forge({"preview", "p.yaml"}).out.find("orphaned"), std::string::npos);
}

TEST(Destroy, AnOrphanOfAnotherVersionOfItsExtensionIsRefused) {
  const Project project;
  write(project);
  run_pipeline(project, kYaml);
  project.write("extensions/t/more.lua", "return 1");
  project.write("p.yaml", "p:\n  t: [{name: a}]\n");
  const auto output = project.forge({"destroy", "p.yaml", "--orphans", "--yes"});
  EXPECT_EQ(output.code, 3);
  EXPECT_NE(output.err.find("destroy.orphan"), std::string::npos) << output.err;
}

TEST(Destroy, WhatAForEachOverOutputsMade) {
  const Project project;
  write(project);
  project.extension("list", execute("outputs.names = {'u', 'v'}"));
  run_pipeline(project, "p:\n  list: [{name: l}]\n  t: [{name: w, for_each: '${list.l.outputs.names}'}]\n");
  forge(project, {"destroy", "p.yaml", "--yes"});
  const std::string order = project.read("order");
  EXPECT_NE(order.find("destroy w[\"u\"]"), std::string::npos) << order;
  EXPECT_NE(order.find("destroy w[\"v\"]"), std::string::npos) << order;
}

TEST(Destroy, OnFailureDestroysWhatFailedForGood) {
  const Project project;
  const std::string file = (project.path() / "order").string();
  project.extension("t",
                    "local forge = require 'forge'\nlocal E = forge.extension {}\n"
                    "function E:execute() self.state.made = 1 if forge.fs.exists('" +
                        file +
                        "') then error('boom') end end\n"
                        "function E:destroy() forge.fs.append('" +
                        file + "', 'destroyed ' .. tostring(self.state.made)) end\nreturn E\n",
                    "permissions: {read: [" + file + "], write: [" + file + "]}\ncache: never\n");
  const std::string yaml = "p:\n  t: [{name: a, on_failure: destroy, max_attempts: 2}]\n";
  EXPECT_EQ(run_pipeline(project, yaml).result("t.a"), "succeeded");
  project.write("order", "");
  const auto failed = run_pipeline(project, yaml);
  EXPECT_EQ(failed.result("t.a"), "failed");
  EXPECT_EQ(failed.finished["instances"]["t.a"]["attempts"], 2);
  EXPECT_EQ(project.read("order"), "destroyed 1");
  EXPECT_FALSE(std::filesystem::exists(project.path() / ".pangeo-forge/pulumi/.pulumi/stacks/p/p-a.json"));
}

TEST(Destroy, AsksNoHooks) {
  Project project;
  project.extension("t", execute("outputs.x = 1"));
  const std::string instances = "  t: [{name: a}]\n";
  project.write("p.yaml", "p:\n" + instances);
  EXPECT_EQ(project.forge({"run", "p.yaml"}).code, 0);
  project.write("no.lua", "return function(event) error('no ' .. event.stage) end\n");
  std::string hooks = "  core:\n    hooks:\n";
  for (const char* stage :
       {"before_pipeline", "after_plan", "before_instance", "after_instance", "after_pipeline"})
    hooks += std::string("      ") + stage + ": no.lua\n";
  project.write("p.yaml", "p:\n" + hooks + instances);
  const auto refused = project.forge({"run", "p.yaml", "--force"});
  EXPECT_EQ(refused.code, 1);
  EXPECT_NE(refused.out.find("no before_pipeline"), std::string::npos) << refused.out;
  const auto refreshed = project.forge({"refresh", "p.yaml"});
  EXPECT_EQ(refreshed.code, 0) << refreshed.out << refreshed.err;
  const auto destroyed = project.forge({"destroy", "p.yaml", "--yes"});
  EXPECT_EQ(destroyed.code, 0) << destroyed.out << destroyed.err;
}

// It succeeded, and its hook says that it did not.
TEST(Destroy, OnFailureDestroysWhatAHookFailed) {
  const Project project;
  const std::string file = (project.path() / "order").string();
  project.extension("t",
                    "local forge = require 'forge'\nlocal E = forge.extension {}\n"
                    "function E:execute() self.state.made = 1 self.outputs.x = 1 end\n"
                    "function E:destroy() forge.fs.append('" +
                        file + "', 'destroyed ' .. tostring(self.state.made)) end\nreturn E\n",
                    "permissions: {write: [" + file + "]}\n");
  project.write("h.lua", "return function() error('not like this') end");
  const auto failed = run_pipeline(
      project,
      "p:\n  t: [{name: a, on_failure: destroy, max_attempts: 2, hooks: {after_instance: h.lua}}]\n");
  EXPECT_EQ(failed.result("t.a"), "failed") << failed.output.out;
  EXPECT_EQ(failed.error_code("t.a"), "hook.failed");
  EXPECT_EQ(failed.finished["instances"]["t.a"]["attempts"], 1);
  EXPECT_EQ(project.read("order"), "destroyed 1");
  EXPECT_FALSE(std::filesystem::exists(project.path() / ".pangeo-forge/pulumi/.pulumi/stacks/p/p-a.json"));
}

TEST(Refresh, LetsEachLookAgainAndKeepsOutputs) {
  const Project project;
  write(project);
  run_pipeline(project, kYaml);
  forge(project, {"refresh", "p.yaml"});
  EXPECT_NE(project.read("order").find("refresh a\n"), std::string::npos);
  EXPECT_EQ(run_pipeline(project, kYaml).outputs("t.a"), Json({{"x", "x-a"}}));
}

TEST(Moved, KeepsStateWorkFolderAndTheResult) {
  const Project project;
  write(project);
  run_pipeline(project, "p:\n  t: [{name: old}]\n");
  const std::string yaml = "p:\n  core: {moved: [{from: t.old, to: t.new}]}\n  t: [{name: new}]\n";
  project.write("p.yaml", yaml);
  const auto preview = project.forge({"preview", "p.yaml"});
  EXPECT_EQ(preview.out.find("orphaned"), std::string::npos) << preview.out;
  EXPECT_EQ(run_pipeline(project, yaml).result("t.new"), "cached");
  EXPECT_TRUE(std::filesystem::exists(project.path() / ".pangeo-forge/work/t/new/here"));
  EXPECT_FALSE(std::filesystem::exists(project.path() / ".pangeo-forge/work/t/old"));
  forge(project, {"destroy", "p.yaml", "--yes"});
  EXPECT_EQ(project.read("order"), "destroy new old -\n");
}

// `program ARGS…` on a terminal of its own on which `answer` is typed; what it showed.
std::string on_a_terminal(const Project& project, std::vector<std::string> args, const std::string& answer,
                          int& code) {
  args.insert(args.begin(), program());
  std::vector<char*> argv;
  for (auto& word : args) argv.push_back(word.data());
  argv.push_back(nullptr);
  int terminal = -1;
  const pid_t pid = forkpty(&terminal, nullptr, nullptr, nullptr);
  if (pid == 0) {
    if (chdir(project.path().c_str()) == 0) execv(argv[0], argv.data());
    _exit(127);
  }
  std::string shown;
  bool answered = false;
  char buffer[4096];
  for (ssize_t n = 0; (n = ::read(terminal, buffer, sizeof buffer)) > 0;) {
    shown.append(buffer, static_cast<size_t>(n));
    if (!answered && shown.find("is taken: ") != std::string::npos) {
      answered = ::write(terminal, answer.data(), answer.size()) > 0;
    }
  }
  int status = 0;
  waitpid(pid, &status, 0);
  ::close(terminal);
  code = WEXITSTATUS(status);
  return shown;
}

TEST(Moved, NothingIsMovedWhereDestroyingIsDeclined) {
  const Project project;
  write(project);
  run_pipeline(project, "p:\n  t: [{name: old}]\n");
  project.write("p.yaml", "p:\n  core: {moved: [{from: t.old, to: t.new}]}\n  t: [{name: new}]\n");
  int code = -1;
  const std::string shown = on_a_terminal(project, {"destroy", "p.yaml"}, "no\n", code);
  EXPECT_EQ(code, 1) << shown;
  EXPECT_NE(shown.find("  t.new"), std::string::npos) << shown;
  EXPECT_TRUE(std::filesystem::exists(project.path() / ".pangeo-forge/work/t/old/here"));
  EXPECT_FALSE(std::filesystem::exists(project.path() / ".pangeo-forge/work/t/new"));
  project.write("p.yaml", "p:\n  t: [{name: old}]\n");
  EXPECT_EQ(run_pipeline(project, "p:\n  t: [{name: old}]\n").result("t.old"), "cached");
  project.write("p.yaml", "p:\n  core: {moved: [{from: t.old, to: t.new}]}\n  t: [{name: new}]\n");
  on_a_terminal(project, {"destroy", "p.yaml"}, "yes\n", code);
  EXPECT_EQ(code, 0);
  EXPECT_EQ(project.read("order"), "destroy new old -\n");
}

}  // namespace
}  // namespace pf::test
