// An upstream whose outputs name private files, in the hope that the next one's grant follows.
#include <gmock/gmock.h>

#include <filesystem>

#include "support/pipelines.h"

namespace pf::test {
namespace {

constexpr const char* kReader = R"(
local text, e = forge.try(forge.fs.read, config.file)
outputs.text, outputs.code = text, e and e.code
local r = forge.process.run({'cat', config.file})
outputs.program = r.stdout
)";

Json reader_of(const Project& project, const std::string& upstream) {
  project.extension("up", execute(upstream), "permissions: {programs: [ln]}\n");
  project.extension("down", execute(kReader), "permissions: {read: ['${config.file}'], programs: [cat]}\n",
                    "local s = require 'schema'\nreturn {Config = s.object {file = s.string {}}}");
  const auto run = run_pipeline(project, R"(p:
  core: {execution_defaults: {timeout: 30s}}
  up: [{name: a}]
  down: [{name: b, file: "${up.a.outputs.file}"}]
)");
  EXPECT_EQ(run.result("down.b"), "succeeded") << run.output.out;
  return run.outputs("down.b");
}

TEST(UpstreamPaths, ASystemFileIsNotGranted) {
  Project project;
  const Json got = reader_of(project, "outputs.file = '/etc/shadow-'");
  EXPECT_EQ(got["code"], "permission.read");
  const Json home = reader_of(project, "outputs.file = '/root/.profile'");
  EXPECT_EQ(home["code"], "permission.read");
  EXPECT_EQ(home["program"], "");
}

TEST(UpstreamPaths, AFileOfTheProducersWorkFolderIs) {
  Project project;
  const Json got = reader_of(project,
                             "forge.fs.write('made.txt', 'made')\n"
                             "outputs.file = '" +
                                 (project.path() / ".pangeo-forge/work/up/a/made.txt").string() + "'");
  EXPECT_EQ(got, Json({{"text", "made"}, {"program", "made"}}));
}

TEST(UpstreamPaths, AFileOfTheProjectIs) {
  Project project;
  project.write("data.txt", "data");
  EXPECT_EQ(reader_of(project, "outputs.file = '" + (project.path() / "data.txt").string() + "'"),
            Json({{"text", "data"}, {"program", "data"}}));
}

TEST(UpstreamPaths, TheStateOfOthersIsNot) {
  Project project;
  const Json got =
      reader_of(project, "outputs.file = '" + (project.path() / ".pangeo-forge/state.db").string() + "'");
  EXPECT_EQ(got["code"], "permission.read");
  EXPECT_EQ(got["program"], "");
}

TEST(UpstreamPaths, ALinkInTheProducersWorkFolderLeadsNowhere) {
  Project project;
  project.write("outside/key", "PRIVATE");
  const Json got = reader_of(project,
                             "forge.process.run({'ln', '-s', '/root', 'link'})\n"
                             "forge.process.run({'ln', '-s', '" +
                                 (project.path() / "outside").string() +
                                 "', 'dir'})\n"
                                 "outputs.file = '" +
                                 (project.path() / ".pangeo-forge/work/up/a/dir/key").string() + "'");
  EXPECT_EQ(got["code"], "permission.read");
  EXPECT_EQ(got["program"], "");
}

}  // namespace
}  // namespace pf::test
