// --only, --skip, --from, --until: docs/pipelines.md, "A part of a pipeline".
#include <gtest/gtest.h>

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

}  // namespace
}  // namespace pf::test
