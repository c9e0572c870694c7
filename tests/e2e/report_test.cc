// Reports of real runs: the HTML page, the metrics, what GitHub Actions reads, and that they are written
// whatever becomes of the run.
#include <gtest/gtest.h>

#include <csignal>

#include "support/pipelines.h"

namespace pf::test {
namespace {

bool holds(const std::string& text, const std::string& what) { return text.find(what) != std::string::npos; }

/// A step of GitHub Actions, or none, whatever the tests themselves run in.
std::map<std::string, std::string> outside() {
  return {{"GITHUB_ACTIONS", "false"}, {"GITHUB_STEP_SUMMARY", ""}};
}

TEST(Reports, AreWrittenOfARunThatSucceeds) {
  Project project;
  project.extension("t", execute("forge.log.info('hello <b>') outputs.n = 1"));
  project.write("p.yaml", "p:\n  t: [{name: a}, {name: b, depends_on: [t.a]}]\n");
  const auto output =
      project.forge({"run", "p.yaml", "--report", "r.html", "--metrics", "m.prom"}, outside());
  EXPECT_EQ(output.code, 0) << output.err;
  EXPECT_TRUE(holds(output.out, "Written: r.html\nWritten: m.prom\n")) << output.out;
  const std::string page = project.read("r.html");
  EXPECT_TRUE(holds(page, "<span class=\"verdict v-succeeded\">succeeded</span>"));
  EXPECT_TRUE(holds(page, "info hello \\u003cb>"));
  const std::string metrics = project.read("m.prom");
  EXPECT_TRUE(holds(metrics, "pangeo_forge_instances{pipeline=\"p\",section=\"t\",result=\"succeeded\"} 2\n"))
      << metrics;
  EXPECT_EQ(metrics.substr(metrics.size() - 6), "# EOF\n");
}

TEST(Reports, AreWrittenOfARunThatFailsAndByEnvironmentVariable) {
  Project project;
  project.extension("t", execute("error('it broke')"));
  project.write("p.yaml", "p:\n  t: [{name: a}]\n");
  auto environment = outside();
  environment["PANGEO_FORGE_REPORT"] = "r.html";
  environment["PANGEO_FORGE_METRICS"] = "m.prom";
  const auto output = project.forge({"run", "p.yaml", "--format", "json"}, environment);
  EXPECT_EQ(output.code, 1);
  EXPECT_TRUE(holds(project.read("r.html"), "it broke"));
  EXPECT_TRUE(holds(project.read("m.prom"),
                    "pangeo_forge_run_result{pipeline=\"p\",pangeo_forge_run_result=\"failed\"} 1\n"));
}

TEST(Reports, AreWrittenOfARunThatIsCancelled) {
  Project project;
  project.extension("t", execute("forge.log.info('begun') forge.time.sleep(60)"));
  project.write("p.yaml", "p:\n  t: [{name: a}]\n");
  auto command = project.command({"run", "p.yaml", "--format", "json", "--report", "r.html"});
  Process process(std::move(command));
  ASSERT_TRUE(process.wait_for([](const std::string& out) { return holds(out, "begun"); }));
  process.send(SIGINT);
  EXPECT_EQ(process.finish().code, 130);
  EXPECT_TRUE(holds(project.read("r.html"), "<span class=\"verdict v-cancelled\">cancelled</span>"));
}

TEST(Reports, AFileThatCannotBeWrittenIsRefusedBeforeAnythingRuns) {
  Project project;
  project.extension("t", execute("outputs.n = 1"));
  project.write("p.yaml", "p:\n  t: [{name: a}]\n");
  const auto output =
      project.forge({"run", "p.yaml", "--report", "none/r.html", "--metrics", "none/m"}, outside());
  EXPECT_EQ(output.code, 3);
  EXPECT_EQ(
      output.err,
      "the report cannot be written to none/r.html: its folder: No such file or directory [report.file]\n"
      "  hint: make the folder none first\n"
      "the metrics cannot be written to none/m: its folder: No such file or directory [report.file]\n"
      "  hint: make the folder none first\n"
      "2 errors\n");
  EXPECT_FALSE(std::filesystem::exists(project.path() / ".pangeo-forge"));
  const auto same =
      project.forge({"run", "p.yaml", "--report", "x", "--metrics", "x", "--format", "json"}, outside());
  EXPECT_EQ(same.code, 3);
  EXPECT_EQ(last(events(same.out), "error")["code"], "report.file");
}

TEST(Reports, AFileThatCannotBeWrittenInTheEndChangesNoExitCode) {
  Project project;
  std::filesystem::create_directory(project.path() / "reports");
  project.extension("t", execute("forge.log.info('begun') forge.time.sleep(2)"));
  project.write("p.yaml", "p:\n  t: [{name: a}]\n");
  auto command = project.command({"run", "p.yaml", "--format", "json", "--report", "reports/r.html"});
  Process process(std::move(command));
  ASSERT_TRUE(process.wait_for([](const std::string& out) { return holds(out, "begun"); }));
  std::filesystem::remove(project.path() / "reports");
  const Output output = process.finish();
  EXPECT_EQ(output.code, 0);
  const auto all = events(output.out);
  EXPECT_EQ(last(all, "error")["code"], "report.write");
  EXPECT_EQ(last(all, "run_finished")["result"], "succeeded");
  EXPECT_EQ(all.back()["event"], "run_finished");
}

TEST(Reports, GithubActionsGetsGroupsAnnotationsAndASummary) {
  Project project;
  project.extension("t", execute("forge.log.info('::error::not mine')"));
  project.extension("bad", execute("forge.log.info('::error::not mine') error('it broke: 100%')"));
  project.write("p.yaml", "p:\n  t: [{name: a}]\n  bad: [{name: b}]\n");
  const auto environment =
      std::map<std::string, std::string>{{"GITHUB_ACTIONS", "true"},
                                         {"GITHUB_WORKSPACE", project.path().string()},
                                         {"GITHUB_STEP_SUMMARY", (project.path() / "summary.md").string()}};
  const auto output = project.forge({"run", "p.yaml"}, environment);
  EXPECT_EQ(output.code, 1) << output.err;
  EXPECT_TRUE(holds(output.out, "\n::group::Log of bad.b\n")) << output.out;
  EXPECT_TRUE(holds(output.out, "\n::endgroup::\n"));
  EXPECT_TRUE(holds(output.out, "\n::error ")) << output.out;
  EXPECT_TRUE(holds(output.out, "100%25"));
  EXPECT_FALSE(holds(output.out, "\n::error::not mine"));
  EXPECT_TRUE(holds(project.read("summary.md"), "| succeeded | 1 |\n| failed | 1 |\n"));
  // JSON is for programs, in Actions as well.
  const auto json = project.forge({"run", "p.yaml", "--format", "json"}, environment);
  EXPECT_FALSE(holds(json.out, "\n::"));
  // Refused input is annotated where it stands in the repository.
  project.write("p.yaml", "p:\n  t: [{name: a, max_attempts: many}]\n");
  const auto refused = project.forge({"run", "p.yaml"}, environment);
  EXPECT_EQ(refused.code, 3);
  EXPECT_TRUE(holds(refused.err, "\n::error file=p.yaml,line=2,col=")) << refused.err;
}

}  // namespace
}  // namespace pf::test
