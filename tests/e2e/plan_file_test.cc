// A plan that is kept in a file and carried out later: docs/pipelines.md, "Before anything runs".
#include <gmock/gmock.h>

#include "support/pipelines.h"

namespace pf::test {
namespace {

using testing::HasSubstr;

constexpr char kYaml[] = R"(p:
  core: {profiles: {prod: {}}}
  t:
    - {name: a, value: "${secret.TOKEN}"}
    - {name: b, value: "${t.a.outputs.x}"}
    - {name: c, value: "${var.place ?? 'here'}", depends_on: [t.a]}
)";

class PlanFile : public testing::Test {
 protected:
  PlanFile() {
    project_.extension("t", execute("outputs.x = #tostring(config.value)"), "",
                       "return {Config = require 'schema'.object {value = require 'schema'.any {}}}");
    project_.write("p.yaml", kYaml);
  }
  RunResult run(std::vector<std::string> more, const std::string& token = "first-token") const {
    std::vector<std::string> argv = {"run", "p.yaml", "--format", "json"};
    argv.insert(argv.end(), more.begin(), more.end());
    return told(argv, token);
  }
  Output preview(std::vector<std::string> more, const std::string& token = "first-token") const {
    std::vector<std::string> argv = {"preview", "p.yaml"};
    argv.insert(argv.end(), more.begin(), more.end());
    auto options = project_.command(argv);
    options.environment["PANGEO_FORGE_SECRET_TOKEN"] = token;
    return pf::test::run(std::move(options));
  }
  // What is refused says so, runs nothing and writes no run.
  void expect_refused(const RunResult& run, const std::string& code, const std::string& words) const {
    EXPECT_EQ(run.output.code, 3) << run.output.out << run.output.err;
    const Json error = last(run.all, "error");
    ASSERT_TRUE(error.is_object()) << run.output.out;
    EXPECT_EQ(error["code"], code);
    EXPECT_THAT(error["message"].get<std::string>(), HasSubstr(words));
    EXPECT_FALSE(last(run.all, "run_started").is_object());
  }
  Project project_;

 private:
  RunResult told(const std::vector<std::string>& argv, const std::string& token) const {
    auto options = project_.command(argv);
    options.environment["PANGEO_FORGE_SECRET_TOKEN"] = token;
    RunResult out;
    out.output = pf::test::run(std::move(options));
    out.all = events(out.output.out);
    out.finished = last(out.all, "run_finished");
    return out;
  }
};

TEST_F(PlanFile, IsCarriedOutAsItWasSeenOnce) {
  const auto seen = preview({"--out", "p.plan"});
  EXPECT_EQ(seen.code, 0) << seen.err;
  EXPECT_THAT(seen.out, HasSubstr("--plan p.plan carries out this, or nothing"));
  EXPECT_THAT(project_.read("p.plan"), Not(HasSubstr("first-token")));
  const auto done = run({"--plan", "p.plan"});
  EXPECT_EQ(done.output.code, 0) << done.output.out;
  EXPECT_EQ(done.result("t.b"), "succeeded");
  expect_refused(run({"--plan", "p.plan"}), "plan.stale", "t.a was to run, and would be cached now");
}

TEST_F(PlanFile, KeepsTheSelectionAndForce) {
  EXPECT_EQ(run({}).output.code, 0);
  EXPECT_EQ(preview({"--out", "p.plan", "--only", "t.c", "--force"}).code, 0);
  const auto done = run({"--plan", "p.plan"});
  EXPECT_EQ(done.result("t.c"), "succeeded") << done.output.out;
  EXPECT_EQ(done.result("t.a"), "excluded");
}

TEST_F(PlanFile, IsStaleWhenTheFileHasChanged) {
  EXPECT_EQ(run({}).output.code, 0);
  EXPECT_EQ(preview({"--out", "p.plan"}).code, 0);
  std::string yaml = kYaml;
  yaml.replace(yaml.find("here"), 4, "over");
  project_.write("p.yaml", yaml);
  expect_refused(run({"--plan", "p.plan"}), "plan.stale", "t.c was to be cached, and would run now");
}

TEST_F(PlanFile, IsStaleWhereSomethingElseWouldRun) {
  EXPECT_EQ(preview({"--out", "p.plan", "--var", "place=there"}).code, 0);
  expect_refused(run({"--plan", "p.plan"}), "plan.stale", "t.c would run as planned, but of something else");
  EXPECT_EQ(run({"--plan", "p.plan", "--var", "place=there"}).output.code, 0);
}

TEST_F(PlanFile, IsStaleWhereASecretOrThePackageHasChanged) {
  EXPECT_EQ(preview({"--out", "p.plan"}).code, 0);
  expect_refused(run({"--plan", "p.plan"}, "other-token"), "plan.stale", "t.a would run as planned, but");
  project_.extension("t", execute("outputs.x = 7"), "",
                     "return {Config = require 'schema'.object {value = require 'schema'.any {}}}");
  expect_refused(run({"--plan", "p.plan"}), "plan.stale", "t.b would run as planned, but of something else");
}

TEST_F(PlanFile, IsStaleWhereInstancesCameOrWent) {
  EXPECT_EQ(preview({"--out", "p.plan"}).code, 0);
  std::string yaml = kYaml;
  yaml.replace(yaml.find("name: c"), 7, "name: d");
  project_.write("p.yaml", yaml);
  const auto refused = run({"--plan", "p.plan"});
  expect_refused(refused, "plan.stale", "t.c was to run, and is not there any more");
  expect_refused(refused, "plan.stale", "t.d is not in the plan, and would run now");
}

TEST_F(PlanFile, IsOfOnePipelineAndProfile) {
  EXPECT_EQ(preview({"--out", "p.plan"}).code, 0);
  expect_refused(run({"--plan", "p.plan", "--profile", "prod"}), "plan.other",
                 "plans p with no profile; this is p with profile prod");
}

TEST_F(PlanFile, AnotherFileIsNoneAndIsNotOverwritten) {
  expect_refused(run({"--plan", "p.yaml"}), "plan.file", "p.yaml is no plan");
  expect_refused(run({"--plan", "no.plan"}), "plan.file", "No such file");
  project_.write("newer.plan", R"({"plan": 2})");
  expect_refused(run({"--plan", "newer.plan"}), "plan.file", "its version is 2, not 1");
  project_.write("half.plan", R"({"plan": 1, "pipeline": "p"})");
  expect_refused(run({"--plan", "half.plan"}), "plan.file", "half.plan is no plan");
  const auto kept = preview({"--out", "p.yaml"});
  EXPECT_EQ(kept.code, 3);
  EXPECT_THAT(kept.err, HasSubstr("it is not overwritten [plan.file]"));
  EXPECT_EQ(project_.read("p.yaml"), kYaml);
}

TEST_F(PlanFile, SaysItselfWhatRuns) {
  EXPECT_EQ(preview({"--out", "p.plan"}).code, 0);
  for (const char* option : {"--only=t.a", "--force", "--resume", "--dry-run"}) {
    const auto refused = project_.forge({"run", "p.yaml", "--plan", "p.plan", option});
    EXPECT_EQ(refused.code, 3) << option;
    EXPECT_THAT(refused.err, HasSubstr("are both given")) << option;
  }
}

}  // namespace
}  // namespace pf::test
