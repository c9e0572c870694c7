// The real feedstocks of the corpus, as they are in the wild, through the bundled feedstock extension, and
// one instance that refers to all of them and writes a report. The corpus lies beside the checkout and is not
// part of it.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "support/pipelines.h"

namespace pf::test {
namespace {

namespace fs = std::filesystem;

TEST(Corpus, EveryFolderBecomesOutputsAndOneInstanceReportsOnAll) {
  const fs::path corpus = fs::path(PF_SOURCE_DIR).parent_path() / "shared/corpus/recipes";
  if (!fs::is_directory(corpus)) GTEST_SKIP() << "no corpus at " << corpus;
  size_t folders = 0;
  for (const auto& entry : fs::directory_iterator(corpus)) folders += entry.is_directory() ? 1 : 0;
  ASSERT_GT(folders, 30U);

  Project project;
  project.extension("report", execute(R"(
    local lines = {}
    for _, feedstock in ipairs(config.feedstocks) do
      lines[#lines + 1] = tostring(feedstock.title) .. '\t' .. #feedstock.recipes .. '\t' .. #feedstock.problems
    end
    forge.fs.write('report.tsv', table.concat(lines, '\n') .. '\n')
    outputs.feedstocks = #lines
  )"),
                    "",
                    "local s = require 'schema' return {Config = s.object {feedstocks = s.list(s.any {})}}");
  const auto run = run_pipeline(project, R"(corpus:
  core: {execution_defaults: {timeout: 30s}}
  feedstock:
    - name: f
      for_each: {folders: ")" + corpus.string() +
                                             R"(/*"}
      folder: "${each.value}"
  report:
    - {name: all, feedstocks: "${feedstock.f[*].outputs}"}
)");
  EXPECT_EQ(run.output.code, 0) << run.output.out.substr(0, 4000) << run.output.err;
  EXPECT_EQ(run.outputs("report.all"), Json({{"feedstocks", folders}}));

  const auto printed = project.forge({"outputs", "p.yaml", "--format", "json"});
  const auto outputs = parse_json(printed.out).value();
  ASSERT_EQ(outputs["feedstock"].size(), folders);
  size_t with_problems = 0;
  for (const auto& [name, output] : outputs["feedstock"].items()) {
    SCOPED_TRACE(name);
    ASSERT_TRUE(output["problems"].is_array());
    with_problems += output["problems"].empty() ? 0 : 1;
    for (const auto& problem : output["problems"]) {
      EXPECT_FALSE(problem.value("code", "").empty());
      EXPECT_FALSE(problem.value("message", "").empty());
      EXPECT_FALSE(problem.value("file", "").empty());
      EXPECT_GE(problem.value("line", 0), 1);
      EXPECT_GE(problem.value("column", 0), 1);
    }
  }
  EXPECT_GE(with_problems, 5U);
  const auto& oisst = outputs["feedstock"]["f[\"noaa-oisst\"]"];
  EXPECT_EQ(oisst["recipes"][0]["id"], "noaa-oisst-avhrr-only") << oisst.dump(2);
  EXPECT_EQ(oisst["recipes"][0]["object"], "recipe:recipe");
  // A broken one: indentation that is no YAML.
  EXPECT_FALSE(outputs["feedstock"]["f[\"oisst\"]"]["problems"].empty());
  EXPECT_TRUE(fs::exists(project.path() / ".pangeo-forge/work/report/all/report.tsv"));
}

}  // namespace
}  // namespace pf::test
