// Timeouts, deadlines and signals.
#include <gmock/gmock.h>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "support/steps.h"

namespace pf::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Deadlines, ATimeoutBoundsEachAttempt) {
  const Steps project;
  const auto run = project.run("p:\n  t: [{name: a, wait: 1, timeout: 200ms, max_attempts: 2}]\n");
  EXPECT_EQ(run.output.code, 1);
  EXPECT_EQ(run.result("t.a"), "timed_out");
  EXPECT_EQ(run.error_code("t.a"), "deadline.attempt");
  EXPECT_THAT(starts(run), ElementsAre("t.a 1", "t.a 2"));
  EXPECT_EQ(run.finished["result"], "failed");
}

TEST(Deadlines, AnAttemptAfterATimeoutMaySucceed) {
  const Steps project;
  Process core(project.running("p:\n  t: [{name: a, wait: 1, timeout: 1s, max_attempts: 2}]\n"));
  ASSERT_TRUE(core.wait_for(seen({"attempt_failed t.a"})));
  project.let_go("a");
  const auto run = told(core.finish());
  EXPECT_EQ(run.output.code, 0) << run.output.out;
  EXPECT_EQ(run.outputs("t.a"), Json({{"ran", 2}}));
}

TEST(Deadlines, ADeadlineBoundsAllAttempts) {
  const Steps project;
  const auto run =
      project.run("p:\n  t: [{name: a, wait: 1, timeout: 200ms, deadline: 700ms, max_attempts: 99}]\n");
  EXPECT_EQ(run.output.code, 1);
  EXPECT_EQ(run.result("t.a"), "timed_out");
  EXPECT_EQ(run.error_code("t.a"), "deadline.instance");
  EXPECT_GE(run.finished["instances"]["t.a"]["attempts"], 1);
  EXPECT_LE(run.finished["instances"]["t.a"]["attempts"], 4);
}

TEST(Deadlines, ADeadlineCountsTheDelaysBetweenAttempts) {
  const Steps project;
  const auto run = project.run(
      "p:\n  t: [{name: a, failures: 99, deadline: 300ms, max_attempts: 99, retry: {delay: 1h, max_delay: "
      "1h, "
      "jitter: none}}]\n");
  EXPECT_EQ(run.output.code, 1);
  EXPECT_EQ(run.result("t.a"), "timed_out");
  EXPECT_EQ(run.error_code("t.a"), "deadline.instance");
  EXPECT_THAT(starts(run), ElementsAre("t.a 1"));
}

TEST(Deadlines, ThePipelinesExitsWith124) {
  const Steps project;
  const auto run = project.run(R"(p:
  core: {deadline: 500ms}
  t:
    - {name: a}
    - {name: f, failures: 1, max_attempts: 2, retry: {delay: 1h, max_delay: 1h, jitter: none}}
    - {name: w, wait: 1, depends_on: [t.a]}
    - {name: z, depends_on: [t.w]}
)");
  EXPECT_EQ(run.output.code, 124);
  EXPECT_EQ(run.finished["result"], "timed_out");
  EXPECT_THAT(results(run), ElementsAre("t.a succeeded", "t.f cancelled", "t.w timed_out", "t.z blocked"));
  EXPECT_EQ(run.error_code("t.w"), "deadline.pipeline");
  EXPECT_EQ(run.finished["first_failed"], "t.w");
}

TEST(Deadlines, AFasterPipelineIsNotTouched) {
  const Steps project;
  const auto run = project.run("p:\n  core: {deadline: 1h}\n  t: [{name: a, timeout: 1h, deadline: 1h}]\n");
  EXPECT_EQ(run.output.code, 0);
}

constexpr char kWaiting[] = R"(p:
  core: {execution_defaults: {max_parallel: {all: 1}}}
  t:
    - {name: w, wait: 1}
    - {name: other}
    - {name: after, depends_on: [t.w]}
)";

TEST(Deadlines, TheFirstSignalLetsWhatRunsEnd) {
  for (const int signal : {SIGINT, SIGTERM}) {
    const Steps project;
    Process core(project.running(kWaiting));
    ASSERT_TRUE(core.wait_for(seen({"log t.w"})));
    core.send(signal);
    ASSERT_TRUE(core.wait_for(seen({"instance_finished t.other"})));  // it was cancelled
    project.let_go("w");
    const auto run = told(core.finish());
    EXPECT_EQ(run.output.code, 128 + signal);
    EXPECT_EQ(run.finished["result"], "cancelled");
    EXPECT_THAT(results(run), ElementsAre("t.after cancelled", "t.other cancelled", "t.w succeeded"));
  }
}

TEST(Deadlines, AfterAWhileWhatStillRunsIsKilled) {
  const Steps project;
  Process core(project.running("p:\n  t: [{name: s, spin: true}, {name: after, depends_on: [t.s]}]\n"));
  ASSERT_TRUE(core.wait_for(seen({"log t.s"})));
  core.send(SIGINT);
  const auto run = told(core.finish());
  EXPECT_EQ(run.output.code, 130);
  EXPECT_THAT(results(run), ElementsAre("t.after blocked", "t.s cancelled"));
}

// Whether the process has taken every signal that was sent to it.
bool took_signals(pid_t pid) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (std::chrono::steady_clock::now() < end) {
    std::ifstream status("/proc/" + std::to_string(pid) + "/status");
    bool pending = false;
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("ShdPnd:"))
        pending = line.find_first_of("123456789abcdef", 7) != std::string::npos;
    }
    if (!pending) return true;
    poll(nullptr, 0, 1);
  }
  return false;
}

// The end cannot be written, since somebody else holds the database's write lock; the third does not wait.
TEST(Deadlines, TheThirdSignalLeavesAtOnce) {
  const Steps project;
  Process core(project.running("p:\n  t: [{name: a}, {name: w, wait: 1, depends_on: [t.a]}]\n"));
  ASSERT_TRUE(core.wait_for(seen({"instance_finished t.a", "log t.w"})));
  const int fd = open((project.path() / ".pangeo-forge/state.db-shm").c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = 120;  // SQLite's WAL_WRITE_LOCK
  lock.l_len = 1;
  ASSERT_EQ(fcntl(fd, F_SETLKW, &lock), 0);
  for (int i = 0; i < 3; ++i) {
    core.send(SIGINT);
    ASSERT_TRUE(took_signals(core.pid()));
  }
  const auto run = told(core.finish());
  close(fd);
  EXPECT_EQ(run.output.code, 130);
  EXPECT_TRUE(run.finished.is_null()) << run.output.out;
  // What it left is there to go on with.
  project.let_go("w");
  const auto resumed =
      project.run("p:\n  t: [{name: a}, {name: w, wait: 1, depends_on: [t.a]}]\n", {"--resume"});
  EXPECT_EQ(resumed.output.code, 0);
  EXPECT_THAT(starts(resumed), ElementsAre("t.w 1"));
}

}  // namespace
}  // namespace pf::test
