// Every bad input: one error with file, line, column, what was found and expected, a hint; exit code 3;
// before anything runs and without a file written.
#include <gtest/gtest.h>

#include "support/pipelines.h"

namespace pf::test {
namespace {

void expect_refused(const Project& project, const std::string& yaml, const std::string& place,
                    const std::string& code) {
  project.extension(
      "t", execute("outputs.x = 1"), "",
      "local s = require 'schema' return {Config = s.object {retries = s.integer {default = 3, min = 0}}}");
  project.write("p.yaml", yaml);
  const auto text = project.forge({"validate", "p.yaml"});
  EXPECT_EQ(text.code, 3) << text.out << text.err;
  const std::string said = text.out + text.err;
  EXPECT_EQ(said.rfind("p.yaml:" + place, 0), 0U) << said.substr(0, 500);
  EXPECT_NE(said.find("[" + code + "]"), std::string::npos) << said.substr(0, 500);
  const auto run = project.forge({"run", "p.yaml", "--format", "json"});
  EXPECT_EQ(run.code, 3);
  const auto all = events(run.out);
  ASSERT_FALSE(all.empty());
  EXPECT_EQ(all[0]["event"], "error");
  EXPECT_EQ(all[0]["code"], code);
  EXPECT_EQ(all[0]["file"], "p.yaml");
  EXPECT_TRUE(all[0]["line"].is_number());
  EXPECT_TRUE(all[0]["column"].is_number());
  EXPECT_NE(all[0]["hint"], "") << all[0].dump();
  EXPECT_FALSE(std::filesystem::exists(project.path() / ".pangeo-forge"));
}

TEST(BadInput, AMissingFile) {
  Project project;
  const auto run = project.forge({"run", "nothere.yaml"});
  EXPECT_EQ(run.code, 3);
  EXPECT_EQ(run.err.rfind("nothere.yaml", 0), 0U) << run.err;
  EXPECT_NE(run.err.find("[yaml.missing_file]"), std::string::npos);
}

TEST(BadInput, NoYaml) {
  Project project;
  expect_refused(project, "p: {t: [\n", "2:1", "yaml.syntax");
}

TEST(BadInput, ATabAsIndentation) {
  Project project;
  expect_refused(project, "p:\n\tt: []\n", "2:1", "yaml.tab");
}

TEST(BadInput, ADuplicateKey) {
  Project project;
  expect_refused(project, "p:\n  t:\n    - {name: a, retries: 1, retries: 2}\n", "3:29",
                 "yaml.duplicate_key");
}

TEST(BadInput, AnAliasBomb) {
  Project project;
  std::string yaml = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    yaml += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int k = 0; k < 10; ++k) yaml += (k != 0 ? ", *a" : "*a") + std::to_string(i - 1);
    yaml += "]\n";
  }
  expect_refused(project, yaml, "", "yaml.alias_bomb");
}

TEST(BadInput, AThousandLevels) {
  Project project;
  expect_refused(project, "p: " + std::string(1000, '[') + std::string(1000, ']') + "\n", "1:", "yaml.depth");
}

TEST(BadInput, FiftyMegabytes) {
  Project project;
  expect_refused(project, "p: \"" + std::string(50 << 20, 'x') + "\"\n", "", "yaml.too_big");
}

TEST(BadInput, AnUnknownKey) {
  Project project;
  expect_refused(project, "p:\n  t:\n    - {name: a, retires: 1}\n", "3:17", "config.unknown_key");
}

TEST(BadInput, AnUnknownExtension) {
  Project project;
  expect_refused(project, "p:\n  tt: [{name: a}]\n", "2:3", "extension.unknown");
}

TEST(BadInput, AWrongType) {
  Project project;
  expect_refused(project, "p:\n  t:\n    - name: a\n      retries: many\n", "4:16", "config.type");
}

TEST(BadInput, AnUnknownReference) {
  Project project;
  expect_refused(project, "p:\n  t:\n    - {name: a, retries: \"${t.b.outputs.x}\"}\n",
                 "3:", "graph.unknown_instance");
}

TEST(BadInput, ACycle) {
  Project project;
  expect_refused(project,
                 "p:\n  t:\n    - {name: a, depends_on: [t.b]}\n    - {name: b, depends_on: [t.a]}\n", "",
                 "graph.cycle");
}

TEST(BadInput, ADuplicateName) {
  Project project;
  expect_refused(project, "p:\n  t:\n    - {name: a}\n    - {name: a}\n", "4:", "pipeline.duplicate_name");
}

TEST(BadInput, TheSameStackTwice) {
  Project project;
  project.extension("u", execute(""));
  expect_refused(project, "p:\n  t: [{name: a}]\n  u: [{name: a}]\n", "3:", "pipeline.stack_conflict");
}

TEST(BadInput, ANameThatIsNoLegalStackName) {
  Project project;
  expect_refused(project, "p:\n  t:\n    - {name: \"a b\"}\n", "3:", "pipeline.name");
}

TEST(BadInput, ACommandThatIsNotThere) {
  Project project;
  const auto output = project.forge({"vaildate", "p.yaml"});
  EXPECT_EQ(output.code, 3);
  EXPECT_NE(output.err.find("validate"), std::string::npos) << output.err;
}

TEST(BadInput, AnExtensionThatDoesNotCompile) {
  Project project;
  project.extension("t", "local x = = 1\n");
  const auto run = run_pipeline(project, "p:\n  t: [{name: a}]\n");
  EXPECT_NE(run.output.code, 0);
  EXPECT_NE(run.output.out.find("extension.lua"), std::string::npos) << run.output.out;
}

TEST(BadInput, AManifestWithMistakesIsReportedWithItsPositions) {
  Project project;
  project.extension("t", execute(""), "permisions: {}\n");
  project.write("p.yaml", "p:\n  t: [{name: a}]\n");
  const auto output = project.forge({"validate", "p.yaml"});
  EXPECT_EQ(output.code, 3);
  EXPECT_NE((output.out + output.err).find("extension.yaml:4:1"), std::string::npos)
      << output.out << output.err;
  EXPECT_NE((output.out + output.err).find("permissions"), std::string::npos);
}

TEST(BadInput, ValidateOfAGoodFileExitsZeroAndWritesNothing) {
  Project project;
  project.extension("t", execute("outputs.x = 1"));
  project.write("p.yaml", "p:\n  t: [{name: a}]\n");
  const auto output = project.forge({"validate", "p.yaml"});
  EXPECT_EQ(output.code, 0) << output.err;
  EXPECT_FALSE(std::filesystem::exists(project.path() / ".pangeo-forge"));
}

}  // namespace
}  // namespace pf::test
