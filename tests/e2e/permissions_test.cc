// What the operator makes of an extension's permissions in the pipeline file.
#include <gmock/gmock.h>

#include "support/pipelines.h"

namespace pf::test {
namespace {

using testing::HasSubstr;

constexpr const char* kTry = R"(
local function code(f, ...)
  local value, e = forge.try(f, ...)
  return e and e.code or 'fine'
end
outputs.read = code(forge.fs.read, config.file)
outputs.program = code(forge.process.run, {'true'})
)";

RunResult run_with(const Project& project, const std::string& permissions) {
  project.extension("tool", execute(kTry), "permissions: {programs: ['true']}\n",
                    "local s = require 'schema'\nreturn {Config = s.object {file = s.path {}}}");
  project.write("data.txt", "x");
  return run_pipeline(project, "p:\n  tool:\n    - name: a\n      file: data.txt\n" + permissions);
}

TEST(OperatorPermissions, WithoutAnyTheManifestHolds) {
  Project project;
  EXPECT_EQ(run_with(project, "").outputs("tool.a"),
            Json({{"read", "permission.read"}, {"program", "fine"}}));
}

TEST(OperatorPermissions, AListTakesTheManifestsPlace) {
  Project project;
  const auto narrow = run_with(project, "      permissions: {programs: []}\n");
  EXPECT_EQ(narrow.outputs("tool.a"),
            Json({{"read", "permission.read"}, {"program", "permission.programs"}}));
  const auto wide = run_with(project, "      permissions: {read: [\"${config.file}\"]}\n");
  EXPECT_EQ(wide.outputs("tool.a"), Json({{"read", "fine"}, {"program", "fine"}})) << wide.output.out;
}

TEST(OperatorPermissions, OnlyTheOperatorLetsAProgramOutOfItsConfinement) {
  Project project;
  project.write("private/x", "private");
  const std::string body =
      "outputs.out = forge.process.run({'cat', '" + (project.path() / "private/x").string() + "'}).stdout";
  project.extension("tool", execute(body), "permissions: {programs: [cat]}\n");
  EXPECT_EQ(run_pipeline(project, "p:\n  tool: [{name: a}]\n").outputs("tool.a"), Json({{"out", ""}}));
  const auto free = run_pipeline(
      project, "p:\n  tool: [{name: a, permissions: {programs: [{name: cat, confined: false}]}}]\n");
  EXPECT_EQ(free.outputs("tool.a"), Json({{"out", "private"}})) << free.output.out;
  project.extension("tool", execute(body), "permissions: {programs: [{name: cat, confined: false}]}\n");
  const auto refused = run_pipeline(project, "p:\n  tool: [{name: a}]\n");
  EXPECT_EQ(refused.output.code, 3);
  EXPECT_THAT(refused.output.out, HasSubstr("only the operator's pipeline file can grant that"));
}

TEST(OperatorPermissions, MistakesHaveTheirPlaceInThePipelineFile) {
  Project project;
  project.extension("tool", execute(""));
  project.write("p.yaml",
                "p:\n  tool:\n    - name: a\n      permissions: {reed: [x], http: [\"*\"], programs: sh}\n");
  const auto said = project.forge({"validate", "p.yaml"});
  EXPECT_EQ(said.code, 3);
  EXPECT_THAT(said.out + said.err, HasSubstr("p.yaml:4:21: tool.a.permissions.reed: unknown key"));
  EXPECT_THAT(said.out + said.err, HasSubstr("p.yaml:4:39: tool.a.permissions.http[0]: expected host"));
  EXPECT_THAT(said.out + said.err, HasSubstr("p.yaml:4:55: tool.a.permissions.programs: expected a list"));
}

TEST(OperatorPermissions, ABootstrapMayWhatAllInstancesMay) {
  Project project;
  project.extension("tool", execute("outputs.runtime = self.runtime"),
                    "permissions: {programs: ['true', echo]}\n");
  project.write("extensions/tool/bootstrap.lua",
                "local forge = require 'forge'\nreturn function()\n"
                "  local function code(...) local _, e = forge.try(forge.process.run, {...}) return e and "
                "e.code or 'fine' end\n"
                "  return {code('true'), code('echo')}\nend\n");
  const auto run = run_pipeline(
      project,
      "p:\n  tool: [{name: a}, {name: b, permissions: {programs: [echo, {name: cat, confined: false}]}}]\n");
  EXPECT_EQ(run.outputs("tool.a"), Json({{"runtime", {"permission.programs", "fine"}}})) << run.output.out;
}

}  // namespace
}  // namespace pf::test
