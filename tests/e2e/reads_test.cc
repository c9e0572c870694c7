// What an attempt read of the world, as the door saw it, with versions: `logs --reads`; and declared tools.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/digest.h"
#include "support/pipelines.h"

namespace pf::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::map<std::string, std::string> kPath = {{"PATH", "/usr/bin:/bin"}};

// "what name version [seen]" of everything that was read, the project's folder as `P`.
std::vector<std::string> reads(const Project& project, const std::string& instance = "t.a") {
  std::vector<std::string> out;
  const auto said = project.forge({"logs", "p.yaml", instance, "--reads", "--format", "json"});
  EXPECT_EQ(said.code, 0) << said.err;
  for (const Json& item : events(said.out)) {
    EXPECT_EQ(item.at("instance"), instance);
    std::string line = item.at("what").get<std::string>() + " " + item.at("name").get<std::string>() + " " +
                       (item.at("version").is_null() ? "-" : item.at("version").get<std::string>());
    if (item.contains("seen")) line += " " + item.at("seen").get<std::string>();
    const std::string folder = project.path().string();
    for (size_t at; (at = line.find(folder)) != std::string::npos;) line.replace(at, folder.size(), "P");
    out.push_back(line);
  }
  return out;
}

std::string sha(const std::string& text) { return "sha256:" + sha256_hex(text); }

struct Reading : testing::Test {
  Project project;
  std::vector<std::string> run(const std::string& body, const std::string& permissions,
                               std::map<std::string, std::string> environment = kPath) {
    std::string manifest = permissions;
    for (size_t at; (at = manifest.find("{P}")) != std::string::npos;)
      manifest.replace(at, 3, project.path().string());
    project.extension("t", execute("local P = '" + project.path().string() + "'\n" + body), manifest);
    const auto run = run_pipeline(project, "p:\n  t: [{name: a}]\n", {}, std::move(environment));
    EXPECT_EQ(run.result("t.a"), "succeeded") << run.error_message("t.a");
    return reads(project);
  }
};

TEST_F(Reading, OfFilesIsNotedWithTheirDigests) {
  project.write("data/one.txt", "one");
  project.write("data/two.txt", "two");
  const auto found = run(
      "forge.fs.read(P .. '/data/one.txt'); forge.fs.exists(P .. '/data/one.txt'); forge.try(forge.fs.read, "
      "P .. '/data/none'); forge.fs.list(P .. '/data')\n"
      "forge.fs.glob(P .. '/data/*.txt'); forge.fs.copy(P .. '/data/two.txt', 'mine'); forge.fs.read('mine')",
      "permissions: {read: ['{P}/data']}\n");
  EXPECT_THAT(found, ElementsAre("exists P/data/none absent", "exists P/data/one.txt there",
                                 "file P/data/one.txt " + sha("one"), "file P/data/two.txt " + sha("two"),
                                 "names P/data " + sha("one.txt\ntwo.txt"),
                                 "names P/data/*.txt " + sha("one.txt\ntwo.txt")));
}

TEST_F(Reading, OfWhatTheAttemptWroteItselfIsNoInput) {
  project.write("data/old.txt", "old");
  const auto found =
      run("forge.fs.write(P .. '/data/new.txt', 'new'); forge.fs.read(P .. '/data/new.txt')\n"
          "forge.fs.append(P .. '/data/old.txt', ' and new'); forge.fs.read(P .. '/data/old.txt')\n"
          "forge.fs.write('own', 'x'); forge.fs.read('own')",
          "permissions: {read: ['{P}/data'], write: ['{P}/data']}\n");
  EXPECT_THAT(found, ElementsAre("file P/data/old.txt " + sha("old")));
}

TEST_F(Reading, OfAFileThatChangedMeanwhileHasNoVersion) {
  project.write("data/one.txt", "one");
  const auto found =
      run("forge.fs.read(P .. '/data/one.txt'); forge.process.run({'sh', '-c', 'echo two > ' .. P .. "
          "'/data/one.txt'})\n"
          "forge.fs.read(P .. '/data/one.txt')",
          "permissions: {read: ['{P}/data'], write: ['{P}/data'], programs: [sh]}\n");
  EXPECT_THAT(found, testing::Contains("file P/data/one.txt -"));
}

TEST_F(Reading, OfVariablesAndSecretsIsNotedWithoutTheirValues) {
  const auto found = run("forge.env.get('REGION'); forge.env.get('UNSET'); forge.secret.get('TOKEN')",
                         "permissions: {env: [REGION, UNSET], secrets: [TOKEN]}\n",
                         {{"REGION", "eu"}, {"PANGEO_FORGE_SECRET_TOKEN", "hunter2hunter2"}});
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[0], "env REGION " + sha("eu"));
  EXPECT_EQ(found[1], "env UNSET absent");
  EXPECT_THAT(found[2], testing::StartsWith("secret TOKEN hmac:"));
  EXPECT_THAT(found[2], testing::Not(HasSubstr(sha256_hex("hunter2hunter2"))));
  // By the same key of the state folder again, by another one for another value.
  const auto again = run("forge.secret.get('TOKEN')", "permissions: {secrets: [TOKEN]}\n",
                         {{"PANGEO_FORGE_SECRET_TOKEN", "hunter2hunter2"}});
  EXPECT_THAT(again, ElementsAre(found[2]));
  const auto other = run("forge.secret.get('TOKEN')", "permissions: {secrets: [TOKEN]}\n",
                         {{"PANGEO_FORGE_SECRET_TOKEN", "hunter3hunter3"}});
  EXPECT_NE(other, again);
  struct stat info {};
  ASSERT_EQ(::stat((project.path() / ".pangeo-forge/digest.key").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
}

TEST_F(Reading, ByProgramsIsNotedAsWhatTheyCouldReach) {
  project.write("data/one.txt", "one");
  const auto found = run("forge.process.run({'true'})",
                         "permissions: {read: ['{P}/data'], programs: [{name: 'true', network: true}]}\n");
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[0], "network true -");
  EXPECT_THAT(found[1], testing::StartsWith("program /usr/bin/true sha256:"));
  EXPECT_EQ(found[2], "reach P/data -");
}

TEST_F(Reading, OfARepositoryHasTheCommitForItsVersion) {
  const auto git = [&](const std::string& arguments) {
    ASSERT_EQ(std::system(("cd " + project.path().string() +
                           " && git -c user.name=a -c user.email=a@b -c init.defaultBranch=main " +
                           arguments + " > git.out 2>&1")
                              .c_str()),
              0)
        << project.read("git.out");
  };
  git("init repo");
  project.write("repo/file", "content");
  git("-C repo add file");
  git("-C repo commit -m one");
  git("-C repo rev-parse HEAD");
  std::string commit = project.read("git.out");
  commit.pop_back();
  const auto found =
      run("forge.git.clone(P .. '/repo', 'by-branch', {ref = 'main'}); forge.git.clone(P .. '/repo', "
          "'by-commit', "
          "{ref = '" +
              commit + "'})",
          "permissions: {read: ['{P}/repo']}\n");
  EXPECT_THAT(found, ElementsAre("git P/repo#" + commit + " " + commit + " " + commit,
                                 "git P/repo#main - " + commit));
}

TEST_F(Reading, OfAnArchiveAndADownloadIsNoted) {
  project.write("data/one.txt", "one");
  const auto found =
      run("forge.archive.create('a.tar', P .. '/data'); forge.download.file('file://' .. P .. "
          "'/data/one.txt', 'copy')",
          "permissions: {read: ['{P}/data']}\n");
  ASSERT_EQ(found.size(), 2U);
  EXPECT_THAT(found[0], testing::StartsWith("file P/data tree:"));
  EXPECT_EQ(found[1], "file P/data/one.txt " + sha("one"));
}

TEST_F(Reading, OfNothingIsNothing) {
  EXPECT_THAT(run("forge.fs.write('own', 'x'); outputs.x = forge.fs.read('own')", ""), IsEmpty());
  const auto said = project.forge({"logs", "p.yaml", "--reads"});
  EXPECT_THAT(said.out, HasSubstr("nothing was read in run"));
}

TEST_F(Reading, OfABootstrapCountsForEveryInstance) {
  project.write("data/one.txt", "one");
  project.extension("t", execute(""), "permissions: {read: ['" + project.path().string() + "/data']}\n");
  project.write("extensions/t/bootstrap.lua",
                "local forge = require 'forge'\nreturn function() return forge.fs.read('" +
                    project.path().string() + "/data/one.txt') end\n");
  const auto run = run_pipeline(project, "p:\n  t: [{name: a}, {name: b}]\n");
  EXPECT_EQ(run.output.code, 0) << run.output.err;
  EXPECT_THAT(reads(project, "t.a"), ElementsAre("file P/data/one.txt " + sha("one")));
  EXPECT_THAT(reads(project, "t.b"), ElementsAre("file P/data/one.txt " + sha("one")));
}

// ---- tools

struct Tools : testing::Test {
  Project project;
  std::map<std::string, std::string> environment;
  void SetUp() override { environment["PATH"] = project.path().string() + "/bin:/usr/bin:/bin"; }
  void tool(const std::string& name, const std::string& script) const {
    project.write("bin/" + name, "#!/bin/sh\n" + script + "\n");
    ::chmod((project.path() / "bin" / name).c_str(), 0755);
  }
  Output run_with(const std::string& declaration) const {
    project.extension("t", execute("outputs.ran = true"),
                      "permissions: {programs: [widget]}\ntools: " + declaration + "\n");
    project.write("p.yaml", "p:\n  t: [{name: a}]\n");
    return project.forge({"run", "p.yaml"}, environment);
  }
};

TEST_F(Tools, AreProbedOnceAndBelongToWhatWasRead) {
  tool("widget", "echo x >> " + project.path().string() + "/never; echo 'Widget v1.6.2 (2024.1)'");
  const auto out = run_with("{widget: {version: '>=1.6 <2'}}");
  EXPECT_EQ(out.code, 0) << out.err;
  EXPECT_THAT(reads(project), ElementsAre("tool widget 1.6.2"));
  EXPECT_FALSE(std::filesystem::exists(project.path() / "never"));  // a probe is confined
  const auto doctor = project.forge({"doctor", "p.yaml"}, environment);
  EXPECT_THAT(doctor.out, HasSubstr("tool widget"));
  EXPECT_THAT(doctor.out, HasSubstr("1.6.2, for the extension t"));
}

TEST_F(Tools, ThatDoNotFitAreRefusedBeforeAnythingRuns) {
  tool("widget", "echo 1.5");
  const auto old = run_with("{widget: {version: '>=1.6'}}");
  EXPECT_EQ(old.code, 3);
  EXPECT_THAT(
      old.err,
      HasSubstr("extension.yaml:5:9: tools.widget: found widget 1.5.0, expected >=1.6 [tool.version]"));
  EXPECT_THAT(old.err, HasSubstr(project.path().string() + "/bin/widget"));
  EXPECT_FALSE(std::filesystem::exists(project.path() / ".pangeo-forge/state.db"));
  tool("widget", "echo nothing to see; exit 0");
  EXPECT_THAT(run_with("{widget: {}}").err, HasSubstr("[tool.unreadable]"));
  tool("widget", "echo broken >&2; exit 4");
  EXPECT_THAT(run_with("{widget: {}}").err, HasSubstr("'widget --version' ended with exit status 4: broken"));
  std::filesystem::remove(project.path() / "bin/widget");
  const auto missing = run_with("{widget: {version: '^1.6'}}");
  EXPECT_EQ(missing.code, 3);
  EXPECT_THAT(missing.err, HasSubstr("there is no program widget on PATH [tool.missing]"));
  EXPECT_THAT(missing.err, HasSubstr("install widget ^1.6"));
  const auto doctor = project.forge({"doctor", "p.yaml"}, environment);
  EXPECT_EQ(doctor.code, 1);
  EXPECT_THAT(doctor.out, HasSubstr("[tool.missing]"));
}

TEST_F(Tools, MayHaveAProbeOfTheirOwn) {
  tool("widget",
       "if [ \"$1\" = version ]; then echo '{\"terraform_version\": \"1.9.0-rc1\"}'; else exit 1; fi");
  EXPECT_EQ(run_with("{gadget: {probe: [widget, version, -json]}}").code, 0);
  EXPECT_THAT(reads(project), ElementsAre("tool gadget (widget version -json) 1.9.0-rc1"));
}

// Each keeps its own, so that the version of one is no change of the other.
TEST_F(Tools, OfOneNameMayBeDifferentPrograms) {
  tool("widget", "echo 1.6.2");
  tool("old-widget", "echo 0.9.0");
  project.extension("t", execute("outputs.ran = true"),
                    "permissions: {programs: [widget]}\ntools: {widget: {}}\n");
  project.extension(
      "u", execute("outputs.ran = true"),
      "permissions: {programs: [old-widget]}\ntools: {widget: {probe: [old-widget, --version]}}\n");
  const std::string yaml = "p:\n  t: [{name: a}]\n  u: [{name: b}]\n";
  const auto first = run_pipeline(project, yaml, {}, environment);
  EXPECT_EQ(first.output.code, 0) << first.output.err;
  EXPECT_THAT(reads(project, "t.a"), ElementsAre("tool widget 1.6.2"));
  EXPECT_THAT(reads(project, "u.b"), ElementsAre("tool widget (old-widget --version) 0.9.0"));
  const auto same = run_pipeline(project, yaml, {}, environment);
  EXPECT_EQ(same.result("t.a"), "cached");
  EXPECT_EQ(same.result("u.b"), "cached");
  tool("old-widget", "echo 0.9.1");
  const auto changed = run_pipeline(project, yaml, {}, environment);
  EXPECT_EQ(changed.result("t.a"), "cached");
  EXPECT_EQ(changed.result("u.b"), "succeeded");
}

TEST_F(Tools, AreCheckedInTheManifest) {
  const auto error = [&](const std::string& declaration) { return run_with(declaration).err; };
  EXPECT_THAT(error("{other: {}}"),
              HasSubstr("extension.yaml:5:9: tools.other: expected 'other' in permissions.programs"));
  EXPECT_THAT(error("{widget: {version: 5}}"), HasSubstr("tools.widget.version: expected a version range"));
  EXPECT_THAT(error("{widget: {version: 'new'}}"), HasSubstr("[manifest.range]"));
  EXPECT_THAT(error("{widget: {probe: widget}}"),
              HasSubstr("tools.widget.probe: expected a list of 1 to 20 words"));
  EXPECT_THAT(error("{widget: {prob: []}}"), HasSubstr("tools.widget.prob: unknown key"));
  EXPECT_THAT(error("{/bin/widget: {}}"), HasSubstr("expected the plain name of a program"));
}

}  // namespace
}  // namespace pf::test
