// What programs of extensions meet when their run is stopped, or their attempt's time is over: a signal
// first, and time to end.
#include <gmock/gmock.h>

#include <csignal>

#include "support/leftovers.h"
#include "support/steps.h"

namespace pf::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// Runs the shell script `config.script`, and logs `executing` at its first line.
constexpr char kLua[] = R"(
  local r = forge.process.run({'sh', '-c', config.script},
    {check = config.check, on_line = function() forge.log.info('executing') end})
  outputs.code = r.code)";
constexpr char kModels[] =
    "local s = require 'schema'\n"
    "return {Config = s.object {script = s.string {}, check = s.boolean {default = false}}}";

// Marks each signal in the work folder, and ends with 3; ends with 0 when the file `go` is there.
constexpr char kTraps[] =
    "trap 'echo int >> mark; exit 3' INT; trap 'echo term >> mark; exit 3' TERM; echo ready; "
    "until [ -e go ]; do sleep 0.02; done";
constexpr char kDeaf[] = "trap '' INT TERM; echo $$ > pid; echo ready; while :; do sleep 0.02; done";

class Stopping : public testing::Test {
 protected:
  Stopping() { project.extension("p", execute(kLua), "permissions: {programs: [sh]}\n", kModels); }
  std::string in_work(const std::string& instance, const std::string& file) const {
    return project.read(".pangeo-forge/work/p/" + instance + "/" + file);
  }
  bool gone(const std::string& instance) const {
    return kill(std::stoi(in_work(instance, "pid")), 0) != 0 && errno == ESRCH;
  }
  static std::string instance(const std::string& name, const std::string& script,
                              const std::string& keys = "") {
    return "    - {name: " + name + keys + ", script: " + Json(script).dump() + "}\n";
  }
  const Steps project;
  Leftovers leftovers;
};

TEST_F(Stopping, TheFirstSignalGoesToProgramsWhichMayEnd) {
  for (const int signal : {SIGINT, SIGTERM}) {
    const std::string name = signal == SIGINT ? "i" : "t";
    Process core(project.running("p:\n  p:\n" + instance(name, kTraps)));
    ASSERT_TRUE(core.wait_for(seen({"log p." + name})));
    core.send(signal);
    const auto run = told(core.finish());
    EXPECT_EQ(run.output.code, 128 + signal);
    // The extension took it for a success.
    EXPECT_THAT(results(run), ElementsAre("p." + name + " cancelled"));
    EXPECT_EQ(run.error_code("p." + name), "job.cancelled");
    EXPECT_EQ(in_work(name, "mark"), signal == SIGINT ? "int\n" : "term\n");
    EXPECT_LT(run.finished["duration_ms"], 8000);
  }
  EXPECT_THAT(leftovers.wait(), IsEmpty());
}

TEST_F(Stopping, AFailureThatComesOfItIsACancellation) {
  const std::string yaml = "p:\n  p:\n" + instance("a", kTraps, ", max_attempts: 3, check: true");
  Process core(project.running(yaml));
  ASSERT_TRUE(core.wait_for(seen({"log p.a"})));
  core.send(SIGINT);
  const auto run = told(core.finish());
  EXPECT_EQ(run.output.code, 130);
  EXPECT_EQ(run.finished["result"], "cancelled");
  EXPECT_THAT(results(run), ElementsAre("p.a cancelled"));
  EXPECT_EQ(run.error_code("p.a"), "process.failed");
  EXPECT_FALSE(run.finished.contains("first_failed")) << run.finished;
  project.write(".pangeo-forge/work/p/a/go", "");
  const auto resumed = project.run(yaml, {"--resume"});
  EXPECT_EQ(resumed.output.code, 0) << resumed.output.out;
  EXPECT_THAT(starts(resumed), ElementsAre("p.a 1"));
}

TEST_F(Stopping, AProgramThatEndsWellLetsItsInstanceSucceed) {
  Process core(project.running("p:\n  p:\n" +
                               instance("a", "trap 'exit 0' INT; echo ready; while :; do sleep 0.02; done")));
  ASSERT_TRUE(core.wait_for(seen({"log p.a"})));
  core.send(SIGINT);
  const auto run = told(core.finish());
  EXPECT_EQ(run.output.code, 130);
  EXPECT_THAT(results(run), ElementsAre("p.a succeeded"));
}

TEST_F(Stopping, AProgramThatIgnoresTheSignalIsKilledAfterEightSeconds) {
  Process core(project.running("p:\n  p:\n" + instance("a", kDeaf)));
  ASSERT_TRUE(core.wait_for(seen({"log p.a"})));
  core.send(SIGINT);
  const auto run = told(core.finish());
  EXPECT_EQ(run.output.code, 130);
  EXPECT_THAT(results(run), ElementsAre("p.a cancelled"));
  EXPECT_GE(run.finished["duration_ms"], 8000);
  EXPECT_THAT(leftovers.wait(), IsEmpty());
  EXPECT_TRUE(gone("a"));
}

TEST_F(Stopping, ASecondSignalTerminatesAndThenKills) {
  const std::string term =
      "trap '' INT; trap 'echo term >> mark; exit 3' TERM; echo ready; while :; do sleep 0.02; done";
  Process core(project.running("p:\n  p:\n" + instance("deaf", kDeaf) + instance("term", term)));
  ASSERT_TRUE(core.wait_for(seen({"log p.deaf", "log p.term"})));
  core.send(SIGINT);
  core.send(SIGTERM);
  const auto run = told(core.finish());
  EXPECT_TRUE(run.output.code == 130 || run.output.code == 143)
      << run.output.code;  // whichever was seen first
  EXPECT_THAT(results(run), ElementsAre("p.deaf cancelled", "p.term cancelled"));
  EXPECT_EQ(in_work("term", "mark"), "term\n");
  EXPECT_LT(run.finished["duration_ms"], 8000);
  EXPECT_THAT(leftovers.wait(), IsEmpty());
  EXPECT_TRUE(gone("deaf"));
}

TEST_F(Stopping, WhoCleansUpIsSpared) {
  Process core(project.running("p:\n  t: [{name: main}]\n  p:\n" +
                               instance("clean", kTraps, ", finally: true, depends_on: [t.main]")));
  ASSERT_TRUE(core.wait_for(seen({"log p.clean"})));
  core.send(SIGINT);
  // Not even after the time that others have.
  ASSERT_FALSE(core.wait_for(seen({"run_finished"}), std::chrono::seconds(3)));
  project.write(".pangeo-forge/work/p/clean/go", "");
  const auto run = told(core.finish());
  EXPECT_EQ(run.output.code, 130);
  EXPECT_THAT(results(run), ElementsAre("p.clean succeeded", "t.main succeeded"));
  EXPECT_EQ(in_work("clean", "mark"), "");
}

TEST_F(Stopping, ThePipelinesDeadlineTerminatesPrograms) {
  const auto run =
      project.run("p:\n  core: {deadline: 500ms}\n  p:\n" + instance("a", kTraps, ", check: true"));
  EXPECT_EQ(run.output.code, 124);
  EXPECT_THAT(results(run), ElementsAre("p.a timed_out"));
  EXPECT_EQ(run.error_code("p.a"), "deadline.pipeline");
  EXPECT_EQ(in_work("a", "mark"), "term\n");
  EXPECT_THAT(run.left, IsEmpty());
}

TEST_F(Stopping, ATimeoutTerminatesProgramsBeforeItKillsThem) {
  const auto run = project.run("p:\n  p:\n" + instance("a", kTraps, ", timeout: 500ms") +
                               instance("deaf", kDeaf, ", deadline: 500ms"));
  EXPECT_EQ(run.output.code, 1);
  EXPECT_THAT(results(run), ElementsAre("p.a timed_out", "p.deaf timed_out"));
  EXPECT_EQ(run.error_code("p.a"), "deadline.hard");
  EXPECT_EQ(run.error_code("p.deaf"), "deadline.instance");
  EXPECT_EQ(in_work("a", "mark"), "term\n");
  EXPECT_THAT(run.left, IsEmpty());
  EXPECT_TRUE(gone("deaf"));
}

TEST_F(Stopping, FailFastLeavesProgramsAlone) {
  Process core(project.running("p:\n  t: [{name: f, wait: 1, failures: 9}]\n  p:\n" + instance("a", kTraps),
                               {"--fail-fast"}));
  ASSERT_TRUE(core.wait_for(seen({"log p.a", "log t.f"})));
  project.let_go("f");
  ASSERT_TRUE(core.wait_for(seen({"instance_finished t.f"})));
  project.write(".pangeo-forge/work/p/a/go", "");
  const auto run = told(core.finish());
  EXPECT_EQ(run.output.code, 1);
  EXPECT_THAT(results(run), ElementsAre("p.a succeeded", "t.f failed"));
  EXPECT_EQ(in_work("a", "mark"), "");
}

// One that is read line by line, and its child in the same process group.
TEST_F(Stopping, ProgramsOfProcessStartGetItToo) {
  project.extension("s", execute(R"(
    local program = forge.process.start {'sh', '-c', [[(trap 'echo child >> mark; exit' INT; echo ready; while :; do sleep 0.02; done); exit 1]]}
    repeat
      local said = forge.process.read(program)
      if #said.lines > 0 then forge.log.info('executing') end
    until said.result)"),
                    "permissions: {programs: [sh]}\n");
  Process core(project.running("p:\n  s: [{name: a}]\n"));
  ASSERT_TRUE(core.wait_for(seen({"log s.a"})));
  core.send(SIGINT);
  const auto run = told(core.finish());
  EXPECT_THAT(results(run), ElementsAre("s.a cancelled")) << run.output.out;
  EXPECT_EQ(project.read(".pangeo-forge/work/s/a/mark"), "child\n");
}

}  // namespace
}  // namespace pf::test
