// --only, --skip, --from, --until: docs/pipelines.md, "A part of a pipeline".
#include <gtest/gtest.h>

#include <cstdlib>

#include "support/pipelines.h"

namespace pf::test {
namespace {

constexpr char kYaml[] = R"(p:
  t:
    - name: a
    - {name: b, value: "${t.a.outputs.x}"}
    - {name: c, value: "${t.b.outputs.x}"}
    - {name: d, depends_on: [t.a]}
)";

void write(const Project& project) {
  project.extension(
      "t", execute("outputs.x = (config.value or '') .. self.name"), "",
      "return {Config = require 'schema'.object {value = require 'schema'.string {default = ''}}}");
}

std::vector<std::string> ran(const RunResult& run) {
  std::vector<std::string> out;
  for (const auto& [address, instance] : run.finished["instances"].items()) {
    if (instance["result"] == "succeeded") out.push_back(address);
  }
  return out;
}

using Names = std::vector<std::string>;

TEST(Selection, UntilKeepsWhatItNeeds) {
  const Project project;
  write(project);
  const auto run = run_pipeline(project, kYaml, {"--until", "t.b"});
  EXPECT_EQ(run.output.code, 0);
  EXPECT_EQ(ran(run), (Names{"t.a", "t.b"}));
  EXPECT_EQ(run.result("t.c"), "excluded");
}

TEST(Selection, FromKeepsWhatNeedsIt) {
  const Project project;
  write(project);
  run_pipeline(project, kYaml);
  EXPECT_EQ(ran(run_pipeline(project, kYaml, {"--from", "t.b", "--force"})), (Names{"t.b", "t.c"}));
  EXPECT_EQ(ran(run_pipeline(project, kYaml, {"--from", "t.a", "--until", "t.b", "--force"})),
            (Names{"t.a", "t.b"}));
}

TEST(Selection, OnlyAndSkipTakeGlobs) {
  const Project project;
  write(project);
  run_pipeline(project, kYaml);
  EXPECT_EQ(ran(run_pipeline(project, kYaml, {"--only", "t.?", "--skip", "*.c", "--skip", "*.d", "--force"})),
            (Names{"t.a", "t.b"}));
  const auto brackets = project.forge({"run", "p.yaml", "--skip", "t.[cd]"});  // they mean themselves
  EXPECT_EQ(brackets.code, 3);
}

TEST(Selection, WhatIsNotSelectedLendsItsLastOutputsAndTheRunSaysOfWhich) {
  const Project project;
  write(project);
  const auto first = run_pipeline(project, kYaml);
  const auto run = run_pipeline(project, kYaml, {"--only", "t.c", "--force"});
  EXPECT_EQ(ran(run), (Names{"t.c"}));
  EXPECT_EQ(run.outputs("t.c"), Json({{"x", "abc"}}));
  const std::string why = last(run.all, "instance_started")["why"].dump();
  EXPECT_NE(why.find("t.b is not selected: its outputs are those of run " +
                     first.finished["run"].get<std::string>()),
            std::string::npos)
      << why;
}

TEST(Selection, WhereThereAreNoneTheRunIsRefused) {
  const Project project;
  write(project);
  project.write("p.yaml", kYaml);
  const auto output = project.forge({"run", "p.yaml", "--only", "t.b"});
  EXPECT_EQ(output.code, 3);
  EXPECT_NE(output.err.find("selection.no_outputs"), std::string::npos);
  EXPECT_NE(output.err.find("--until 't.b'"), std::string::npos) << output.err;
}

TEST(Selection, APatternThatMatchesNothingIsRefused) {
  const Project project;
  write(project);
  project.write("p.yaml", kYaml);
  const auto output = project.forge({"run", "p.yaml", "--only", "x.*"});
  EXPECT_EQ(output.code, 3);
  EXPECT_NE(output.err.find("--only x.* matches no instance [selection.unknown]"), std::string::npos)
      << output.err;
}

TEST(Selection, ASelectionOfNothingIsRefused) {
  const Project project;
  write(project);
  project.write("p.yaml", kYaml);
  const auto output = project.forge({"run", "p.yaml", "--only", "t.a", "--skip", "t.*"});
  EXPECT_EQ(output.code, 3);
  EXPECT_NE(output.err.find("selection.empty"), std::string::npos) << output.err;
}

TEST(Selection, OfAForEachByItsPlainName) {
  const Project project;
  project.extension("t", execute("outputs.x = 1"));
  const std::string yaml = "p:\n  t:\n    - {name: w, for_each: [a, b]}\n    - name: z\n";
  EXPECT_EQ(ran(run_pipeline(project, yaml, {"--only", "t.w"})), (Names{"t.w[\"a\"]", "t.w[\"b\"]"}));
}

void git(const Project& project, const std::string& words) {
  const std::string line = "cd '" + project.path().string() +
                           "' && git -c user.name=t -c user.email=t@example.org " + words +
                           " >/dev/null 2>&1";
  ASSERT_EQ(std::system(line.c_str()), 0) << line;
}

TEST(Affected, WhatDiffersFromTheCommitAndWhatNeedsIt) {
  const Project project;
  project.extension("t", execute("outputs.x = 'x'"), "",
                    "local s = require 'schema' return {Config = s.object {value = s.string {default = ''}, "
                    "file = s.optional(s.path {})}}");
  project.extension("u", execute("outputs.x = 'x'"));
  project.write("data.txt", "one");
  const std::string yaml =
      "p:\n  t:\n    - name: a\n    - name: b\n      file: data.txt\n    - {name: c, value: "
      "'${t.a.outputs.x}'}\n"
      "  u:\n    - name: d\n";
  project.write(".gitignore", ".pangeo-forge\n");
  git(project, "init -q .");
  run_pipeline(project, yaml);
  git(project, "add -A");
  git(project, "commit -q -m one");
  const auto taken = [&](std::vector<std::string> more = {}) {
    more.insert(more.begin(), "--force");
    more.push_back("--affected");
    return ran(run_pipeline(project, project.read("p.yaml"), more));
  };
  const auto nothing = project.forge({"run", "p.yaml", "--affected"});
  EXPECT_EQ(nothing.code, 3);
  EXPECT_NE(nothing.err.find("[affected.nothing]"), std::string::npos) << nothing.err;

  project.write("data.txt", "two");
  EXPECT_EQ(taken(), (Names{"t.b"}));
  git(project, "commit -q -am two");

  project.write("p.yaml", std::string(yaml).replace(yaml.find("name: a"), 7, "name: a\n      value: v"));
  EXPECT_EQ(taken(), (Names{"t.a", "t.c"}));
  git(project, "commit -q -am three");

  project.write("extensions/u/lib.lua", "return 1");  // untracked
  EXPECT_EQ(taken(), (Names{"u.d"}));
  const auto since = run_pipeline(project, project.read("p.yaml"), {"--force", "--affected=HEAD~2"});
  EXPECT_EQ(ran(since), (Names{"t.a", "t.b", "t.c", "u.d"}));

  const auto unknown = project.forge({"run", "p.yaml", "--affected=no-such-commit"});
  EXPECT_EQ(unknown.code, 3);
  EXPECT_NE(unknown.err.find("[affected.git]"), std::string::npos) << unknown.err;
}

}  // namespace
}  // namespace pf::test
