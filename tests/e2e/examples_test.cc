// The examples run as the README says, from a copy, so that the checkout stays clean.
#include <gtest/gtest.h>

#include <filesystem>

#include "support/pipelines.h"

namespace pf::test {
namespace {

namespace fs = std::filesystem;

Output run_example(const Project& project, const std::string& name, const std::vector<std::string>& args) {
  fs::copy(fs::path(PF_SOURCE_DIR) / "examples" / name, project.path() / name,
           fs::copy_options::recursive | fs::copy_options::skip_symlinks);
  fs::remove_all(project.path() / name / ".pangeo-forge");
  return project.forge(args);
}

TEST(Examples, QuickstartRunsAndGivesItsOutputs) {
  Project project;
  const auto output = run_example(project, "quickstart", {"run", "quickstart/pipeline.yaml"});
  EXPECT_EQ(output.code, 0) << output.out << output.err;
  const auto outputs = project.forge({"outputs", "quickstart/pipeline.yaml", "--format", "json"});
  const auto value = parse_json(outputs.out);
  ASSERT_TRUE(value) << outputs.out;
  EXPECT_TRUE(value->contains("example"));
  EXPECT_TRUE(value->contains("feedstock"));
}

TEST(Examples, TheShapeOfTheSeedRuns) {
  Project project;
  const auto output = run_example(project, "seed", {"run", "seed/pipeline.yaml", "--format", "json"});
  EXPECT_EQ(output.code, 0) << output.out << output.err;
  EXPECT_EQ(last(events(output.out), "run_started")["pipeline"], "pipeline_config_name");
  const auto outputs = project.forge({"outputs", "seed/pipeline.yaml", "--format", "json"});
  EXPECT_TRUE(parse_json(outputs.out)->contains("example")) << outputs.out;
}

TEST(Examples, AnInstalledTreeThatWasMovedStillRuns) {
  // The layout of `cmake --install`, made by it, then moved.
  Project project;
  const fs::path build = fs::path(program()).parent_path().parent_path();
  const std::string install = "cmake --install '" + build.string() + "' --prefix '" +
                              (project.path() / "first").string() + "' > /dev/null";
  ASSERT_EQ(std::system(install.c_str()), 0);
  fs::rename(project.path() / "first", project.path() / "moved here");
  for (const char* file : {"meta/forge.lua", "stdlib/venv.lua"}) {
    EXPECT_TRUE(fs::exists(project.path() / "moved here/share/pangeo-forge/lua" / file)) << file;
  }
  project.write("a.txt", "one two");
  project.write("p.yaml", "p:\n  example: [{name: a, file: a.txt}]\n");
  Process::Options options;
  options.argv = {(project.path() / "moved here/bin/pangeo-forge").string(), "run", "p.yaml"};
  options.folder = project.path();
  const auto output = run(options);
  EXPECT_EQ(output.code, 0) << output.out << output.err;
  EXPECT_NE(output.out.find("words"), std::string::npos) << output.out;
}

}  // namespace
}  // namespace pf::test
