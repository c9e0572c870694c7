// What counts as unchanged, and what preview and why say of it: docs/pipelines.md, "What counts as
// unchanged".
#include <gtest/gtest.h>

#include "support/pipelines.h"

namespace pf::test {
namespace {

// Tells by its output whether it ran: the work folder counts.
std::string counting(const std::string& more = "") {
  return execute(
      "local n = forge.fs.exists('n') and tonumber(forge.fs.read('n')) or 0 "
      "forge.fs.write('n', tostring(n + 1)) outputs.ran = n + 1 " +
      more);
}

Json preview_of(const Project& project, const std::string& instance, std::vector<std::string> more = {},
                std::map<std::string, std::string> environment = {}) {
  std::vector<std::string> words = {"preview", "p.yaml", "--format", "json"};
  words.insert(words.end(), more.begin(), more.end());
  const auto output = project.forge(words, environment);
  EXPECT_EQ(output.code, 0) << output.out << output.err;
  return last(events(output.out), "preview")["instances"][instance];
}

std::string why(const Project& project, const std::string& instance) {
  const auto output = project.forge({"why", "p.yaml", instance});
  EXPECT_EQ(output.code, 0) << output.err;
  return output.out;
}

constexpr char kRegion[] =
    "local s = require 'schema' return {Config = s.object {region = s.string {default = 'eu'}, "
    "sizes = s.list(s.integer {}, {default = {}})}}";

TEST(Unchanged, NothingRunsTwice) {
  const Project project;
  project.extension("t", counting());
  const std::string yaml = "p:\n  t: [{name: a}, {name: b}]\n";
  EXPECT_EQ(run_pipeline(project, yaml).result("t.a"), "succeeded");
  const auto again = run_pipeline(project, yaml);
  EXPECT_EQ(again.output.code, 0);
  EXPECT_EQ(again.result("t.a"), "cached");
  EXPECT_EQ(again.result("t.b"), "cached");
  EXPECT_EQ(again.outputs("t.a"), Json({{"ran", 1}}));
  EXPECT_EQ(again.finished["instances"]["t.a"]["attempts"], 0);
}

TEST(Unchanged, TheTextSaysHowOldTheOldestResultIs) {
  const Project project;
  project.extension("t", counting());
  project.write("p.yaml", "p:\n  t: [{name: a}]\n");
  EXPECT_EQ(project.forge({"run", "p.yaml"}).code, 0);
  const auto again = project.forge({"run", "p.yaml"});
  EXPECT_NE(again.out.find("Nothing to do: 1 instance is as it was; the result is "), std::string::npos)
      << again.out;
}

TEST(Unchanged, CommentsOrderAndPositionsDoNotCount) {
  const Project project;
  project.extension("t", counting(), "", kRegion);
  run_pipeline(project, "p:\n  t:\n    - name: a\n      region: us\n      sizes: [1, 2]\n");
  const auto again =
      run_pipeline(project, "# a comment\n\np:\n  t:\n    - {sizes: [1, 2], region: 'us', name: a}\n");
  EXPECT_EQ(again.result("t.a"), "cached");
}

TEST(Unchanged, ADefaultThatIsWrittenOutIsNoChange) {
  const Project project;
  project.extension("t", counting(), "", kRegion);
  run_pipeline(project, "p:\n  t: [{name: a}]\n");
  EXPECT_EQ(run_pipeline(project, "p:\n  t: [{name: a, region: eu}]\n").result("t.a"), "cached");
}

TEST(Unchanged, AConfigurationThatChangedIsNamedWithItsPlace) {
  const Project project;
  project.extension("t", counting(), "", kRegion);
  run_pipeline(project, "p:\n  t:\n    - name: a\n      region: eu-west-1\n      sizes: [1, 2]\n");
  project.write("p.yaml", "p:\n  t:\n    - name: a\n      region: us-east-1\n      sizes: [1, 3]\n");
  EXPECT_EQ(why(project, "t.a"),
            "region: eu-west-1 -> us-east-1 at p.yaml:4:15\nsizes[1]: 2 -> 3 at p.yaml:5:18\n");
  const Json planned = preview_of(project, "t.a");
  EXPECT_EQ(planned["action"], "run");
  EXPECT_EQ(planned["changes"][0]["key"], "region");
  EXPECT_EQ(planned["changes"][0]["line"], 4);
  const auto run = project.forge({"run", "p.yaml", "--format", "json"});
  EXPECT_EQ(last(events(run.out), "instance_started")["why"],
            Json({"region: eu-west-1 -> us-east-1 at p.yaml:4:15", "sizes[1]: 2 -> 3 at p.yaml:5:18"}));
  EXPECT_NE(why(project, "t.a").find("is as it was"), std::string::npos);
}

TEST(Unchanged, WhatNeverSucceededHasNoOldValues) {
  const Project project;
  project.extension("t", execute("error('no')"));
  run_pipeline(project, "p:\n  t: [{name: a}]\n");
  EXPECT_EQ(why(project, "t.a"), "it has never succeeded\n");
  EXPECT_EQ(preview_of(project, "t.a")["action"], "run");
}

TEST(Unchanged, ThePackageCounts) {
  const Project project;
  project.extension("t", counting());
  const std::string yaml = "p:\n  t: [{name: a}]\n";
  run_pipeline(project, yaml);
  project.extension("t", counting("-- changed"));
  EXPECT_NE(why(project, "t.a").find("package: sha256:"), std::string::npos);
  EXPECT_EQ(run_pipeline(project, yaml).outputs("t.a"), Json({{"ran", 2}}));
}

TEST(Unchanged, AFileThatTheConfigurationNamesCounts) {
  const Project project;
  project.extension("t", counting(), "",
                    "return {Config = require 'schema'.object {file = require 'schema'.path {}}}");
  project.write("data.txt", "one");
  const std::string yaml = "p:\n  t: [{name: a, file: data.txt}]\n";
  run_pipeline(project, yaml);
  EXPECT_EQ(run_pipeline(project, yaml).result("t.a"), "cached");
  project.write("data.txt", "two");
  EXPECT_NE(why(project, "t.a").find("data.txt: sha256:"), std::string::npos);
  EXPECT_NE(why(project, "t.a").find("at p.yaml:2:23"), std::string::npos) << why(project, "t.a");
  EXPECT_EQ(run_pipeline(project, yaml).outputs("t.a"), Json({{"ran", 2}}));
}

TEST(Unchanged, AFolderThatTheConfigurationNamesCountsWithAllInIt) {
  const Project project;
  project.extension("t", counting(), "",
                    "return {Config = require 'schema'.object {at = require 'schema'.path {}}}");
  project.write("in/a/b.txt", "one");
  const std::string yaml = "p:\n  t: [{name: a, at: in}]\n";
  run_pipeline(project, yaml);
  EXPECT_EQ(run_pipeline(project, yaml).result("t.a"), "cached");
  project.write("in/a/c.txt", "");
  EXPECT_EQ(run_pipeline(project, yaml).outputs("t.a"), Json({{"ran", 2}}));
}

// The project's folder holds the state folder, which every run changes.
TEST(Unchanged, TheStateFolderIsNoInput) {
  const Project project;
  project.extension("t", counting(), "",
                    "return {Config = require 'schema'.object {at = require 'schema'.path {}}}");
  const std::string yaml = "p:\n  t: [{name: a, at: .}]\n";
  run_pipeline(project, yaml);
  EXPECT_EQ(run_pipeline(project, yaml).result("t.a"), "cached");
}

TEST(Unchanged, WhatTheDoorSawReadCounts) {
  const Project project;
  project.write("seen.txt", "one");
  const std::string seen = (project.path() / "seen.txt").string();
  project.extension(
      "t", counting("outputs.text = forge.fs.read('" + seen + "') outputs.env = forge.env.get('COLOUR')"),
      "permissions: {read: [" + seen + "], env: [COLOUR]}\n");
  const std::string yaml = "p:\n  t: [{name: a}]\n";
  run_pipeline(project, yaml, {}, {{"COLOUR", "red"}});
  EXPECT_EQ(run_pipeline(project, yaml, {}, {{"COLOUR", "red"}}).result("t.a"), "cached");
  const Json planned = preview_of(project, "t.a", {}, {{"COLOUR", "blue"}});
  EXPECT_EQ(planned["changes"][0]["key"], "env.COLOUR");
  EXPECT_EQ(run_pipeline(project, yaml, {}, {{"COLOUR", "blue"}}).outputs("t.a")["ran"], 2);
  project.write("seen.txt", "two");
  EXPECT_EQ(run_pipeline(project, yaml, {}, {{"COLOUR", "blue"}}).outputs("t.a")["ran"], 3);
}

TEST(Unchanged, ASecretCountsAndIsNotShown) {
  const Project project;
  project.extension("t", counting(), "", kRegion);
  const std::string yaml = "p:\n  t: [{name: a, region: '${secret.KEY}'}]\n";
  const std::map<std::string, std::string> first = {{"PANGEO_FORGE_SECRET_KEY", "hunter2-hunter2"}};
  const std::map<std::string, std::string> second = {{"PANGEO_FORGE_SECRET_KEY", "swordfish-swordfish"}};
  run_pipeline(project, yaml, {}, first);
  EXPECT_EQ(run_pipeline(project, yaml, {}, first).result("t.a"), "cached");
  const Json planned = preview_of(project, "t.a", {}, second);
  EXPECT_EQ(planned["changes"][0]["from"], "(secret)");
  EXPECT_EQ(planned["changes"][0]["to"], "(another secret)");
  EXPECT_EQ(run_pipeline(project, yaml, {}, second).outputs("t.a")["ran"], 2);
  const std::string database =
      project.read(".pangeo-forge/state.db") + project.read(".pangeo-forge/state.db-wal");
  EXPECT_EQ(database.find("hunter2"), std::string::npos);
  EXPECT_EQ(database.find("swordfish"), std::string::npos);
}

TEST(Unchanged, UpstreamOutputsCountAndNotThatItRan) {
  const Project project;
  project.extension("up", counting("outputs.ran = nil outputs.value = config.region"), "", kRegion);
  project.extension("down", counting(), "", kRegion);
  const auto yaml = [](const std::string& more) {
    return "p:\n  up: [{name: u" + more + "}]\n  down: [{name: d, region: '${up.u.outputs.value}'}]\n";
  };
  run_pipeline(project, yaml(""));
  // It runs again, for another reason, and puts out the same: who uses it does not run.
  const auto same = run_pipeline(project, yaml(", sizes: [1]"));
  EXPECT_EQ(same.result("up.u"), "succeeded");
  EXPECT_EQ(same.result("down.d"), "cached");
  project.write("p.yaml", yaml(", region: us"));
  const Json planned = preview_of(project, "down.d");
  EXPECT_EQ(planned["action"], "run");
  EXPECT_EQ(planned["depends"], true);
  EXPECT_EQ(planned["changes"][0]["to"], "(computed)");
  EXPECT_EQ(run_pipeline(project, yaml(", region: us")).result("down.d"), "succeeded");
}

TEST(Unchanged, WhatHasNoVersionIsNotTakenAsUnchangedUnlessSaid) {
  const Project project;
  project.extension("t", counting("forge.process.run({'true'})"),
                    "permissions: {programs: [{name: 'true', network: true}]}\n");
  const std::map<std::string, std::string> path = {{"PATH", "/usr/bin:/bin"}};
  run_pipeline(project, "p:\n  t: [{name: a}, {name: b, cache: true}]\n", {}, path);
  const auto again = run_pipeline(project, "p:\n  t: [{name: a}, {name: b, cache: true}]\n", {}, path);
  EXPECT_EQ(again.result("t.a"), "succeeded");
  EXPECT_EQ(again.result("t.b"), "cached");
  EXPECT_NE(why(project, "t.a").find("has no version"), std::string::npos);
}

TEST(Unchanged, NeverAndMaxAge) {
  const Project project;
  project.extension("t", counting());
  const std::string yaml =
      "p:\n  t: [{name: a, cache: never}, {name: b, cache: {max_age: 1ms}}, {name: c, cache: {max_age: "
      "1h}}]\n";
  run_pipeline(project, yaml);
  const auto again = run_pipeline(project, yaml);
  EXPECT_EQ(again.result("t.a"), "succeeded");
  EXPECT_EQ(again.result("t.b"), "succeeded");
  EXPECT_EQ(again.result("t.c"), "cached");
}

// What it appends to is another file afterwards: its attempt is no function of what it is made of.
TEST(Unchanged, WhatIsAppendedToHasChanged) {
  const Project project;
  const std::string file = (project.path() / "log.txt").string();
  project.write("log.txt", "one\n");
  project.extension("t", execute("forge.fs.append('" + file + "', 'more\\n') forge.fs.append('own', 'x')"),
                    "permissions: {write: [" + file + "]}\n");
  const std::string yaml = "p:\n  t: [{name: a, cache: true}]\n";
  run_pipeline(project, yaml);
  EXPECT_EQ(why(project, "t.a").substr(0, 16), "log.txt: sha256:");
  EXPECT_EQ(run_pipeline(project, yaml).result("t.a"), "succeeded");
  EXPECT_EQ(project.read("log.txt"), "one\nmore\nmore\n");
}

TEST(Unchanged, TheManifestMaySayIt) {
  const Project project;
  project.extension("t", counting(), "cache: never\n");
  const std::string yaml = "p:\n  t: [{name: a}, {name: b, cache: true}]\n";
  run_pipeline(project, yaml);
  const auto again = run_pipeline(project, yaml);
  EXPECT_EQ(again.result("t.a"), "succeeded");
  EXPECT_EQ(again.result("t.b"), "cached");
}

TEST(Unchanged, DeclaredInputsStandForWhatProgramsRead) {
  const Project project;
  project.write("in/a.txt", "one");
  project.write("in/b.log", "one");
  const std::string folder = (project.path() / "in").string();
  project.extension(
      "t", counting("forge.process.run({'cat', '" + folder + "/a.txt'}, {check = true})"),
      "permissions: {programs: [cat], read: [" + folder + "]}\ninputs: ['" + folder + "/*.txt']\n");
  const std::map<std::string, std::string> path = {{"PATH", "/usr/bin:/bin"}};
  const std::string yaml = "p:\n  t: [{name: a}]\n";
  EXPECT_EQ(run_pipeline(project, yaml, {}, path).result("t.a"), "succeeded");
  EXPECT_EQ(run_pipeline(project, yaml, {}, path).result("t.a"), "cached");
  project.write("in/b.log", "two");
  EXPECT_EQ(run_pipeline(project, yaml, {}, path).result("t.a"), "cached");
  project.write("in/a.txt", "two");
  EXPECT_EQ(run_pipeline(project, yaml, {}, path).result("t.a"), "succeeded");
}

TEST(Unchanged, ForceRunsAll) {
  const Project project;
  project.extension("t", counting());
  const std::string yaml = "p:\n  t: [{name: a}]\n";
  run_pipeline(project, yaml);
  EXPECT_EQ(run_pipeline(project, yaml, {"--force"}).outputs("t.a"), Json({{"ran", 2}}));
}

TEST(Unchanged, AFailureIsNotCached) {
  const Project project;
  project.extension("t", counting("if n < 1 then error('not yet') end"));
  const std::string yaml = "p:\n  t: [{name: a}]\n";
  EXPECT_EQ(run_pipeline(project, yaml).result("t.a"), "failed");
  EXPECT_EQ(run_pipeline(project, yaml).result("t.a"), "succeeded");
}

TEST(Unchanged, SecretOutputsAreCachedWhereThereIsAPassphrase) {
  const Project project;
  project.extension("up",
                    counting("outputs.token = forge.secret.mark('s3cret-' .. 'value') or 's3cret-value'"));
  project.extension("down", counting("outputs.seen = config.region"), "", kRegion);
  const std::string yaml = "p:\n  up: [{name: u}]\n  down: [{name: d, region: '${up.u.outputs.token}'}]\n";
  const std::map<std::string, std::string> key = {{"PANGEO_FORGE_PASSPHRASE", "correct horse"}};
  run_pipeline(project, yaml);
  EXPECT_EQ(run_pipeline(project, yaml).result("up.u"), "succeeded");  // nothing to keep it with
  run_pipeline(project, yaml, {}, key);
  const auto again = run_pipeline(project, yaml, {}, key);
  EXPECT_EQ(again.result("up.u"), "cached");
  EXPECT_EQ(again.result("down.d"), "cached");
  EXPECT_EQ(again.output.out.find("s3cret"), std::string::npos);
  EXPECT_EQ(run_pipeline(project, yaml).result("up.u"), "succeeded");  // not without the passphrase
  const std::string database =
      project.read(".pangeo-forge/state.db") + project.read(".pangeo-forge/state.db-wal");
  EXPECT_EQ(database.find("s3cret"), std::string::npos);
}

TEST(Unchanged, PreviewAndWhyWriteNothing) {
  const Project project;
  project.extension("t", counting());
  project.write("p.yaml", "p:\n  t: [{name: a, cache: never}]\n");
  EXPECT_EQ(project.forge({"preview", "p.yaml"}).code, 0);
  EXPECT_EQ(project.forge({"why", "p.yaml", "t.a"}).code, 0);
  EXPECT_EQ(project.forge({"run", "p.yaml", "--dry-run"}).code, 0);
  EXPECT_FALSE(std::filesystem::exists(project.path() / ".pangeo-forge"));
}

TEST(Unchanged, ExitCodeOfPreviewTellsWhetherSomethingWouldRun) {
  const Project project;
  project.extension("t", counting());
  project.write("p.yaml", "p:\n  t: [{name: a}]\n");
  EXPECT_EQ(project.forge({"preview", "p.yaml", "--exit-code"}).code, 2);
  EXPECT_EQ(project.forge({"run", "p.yaml"}).code, 0);
  EXPECT_EQ(project.forge({"preview", "p.yaml", "--exit-code"}).code, 0);
}

TEST(Unchanged, WhatIsGoneFromTheFileIsOrphaned) {
  const Project project;
  project.extension("t", counting());
  run_pipeline(project, "p:\n  t: [{name: a}, {name: b}]\n");
  project.write("p.yaml", "p:\n  t: [{name: a}]\n");
  EXPECT_EQ(preview_of(project, "t.b")["action"], "orphaned");
  EXPECT_NE(project.forge({"preview", "p.yaml"}).out.find("orphaned  t.b"), std::string::npos);
}

TEST(Unchanged, AnUnknownInstanceIsRefusedWithTheOneThatWasMeant) {
  const Project project;
  project.extension("t", counting());
  project.write("p.yaml", "p:\n  t: [{name: first}]\n");
  const auto output = project.forge({"why", "p.yaml", "t.frist"});
  EXPECT_EQ(output.code, 3);
  EXPECT_NE(output.err.find("did you mean 't.first'?"), std::string::npos) << output.err;
}

}  // namespace
}  // namespace pf::test
