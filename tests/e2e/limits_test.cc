// Limits of an instance, from extension.yaml and from the pipeline file: each one that is exceeded ends the
// attempt with its own code, and nothing else suffers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>

#include <cstring>

#include "support/pipelines.h"

namespace pf::test {
namespace {

using testing::HasSubstr;

// Runs `body` with these limits in the pipeline file, beside an instance of the same extension without.
RunResult run_limited(const std::string& body, const std::string& limits, const std::string& manifest = "") {
  Project project;
  project.extension("busy", execute("if self.name ~= 'bad' then return end\n" + body), manifest);
  auto run = run_pipeline(project, "p:\n  busy: [{name: bad, limits: {" + limits + "}}, {name: sibling}]\n");
  EXPECT_EQ(run.result("busy.sibling"), "succeeded");
  return run;
}

TEST(Limits, OfMemoryAreLoweredAndRaisedByThePipelineFile) {
  const std::string body = "local t = {}; for i = 1, 40 do t[i] = ('x'):rep(2^20) .. i end; outputs.n = #t";
  const auto lower = run_limited(body, "memory: 16MiB");
  EXPECT_EQ(lower.result("busy.bad"), "failed");
  EXPECT_EQ(lower.error_code("busy.bad"), "limit.memory");
  EXPECT_THAT(lower.error_message("busy.bad"), HasSubstr("16.0 MiB"));
  const auto raised = run_limited(body, "memory: 128MiB", "limits: {memory: 16MiB}\n");
  EXPECT_EQ(raised.result("busy.bad"), "succeeded") << raised.error_message("busy.bad");
}

TEST(Limits, OfCpuTime) {
  const auto run = run_limited("while true do end", "cpu: 200ms");
  EXPECT_EQ(run.result("busy.bad"), "failed");
  EXPECT_EQ(run.error_code("busy.bad"), "limit.cpu");
  EXPECT_THAT(run.error_message("busy.bad"), HasSubstr("200ms"));
}

TEST(Limits, OfOutputs) {
  const auto run = run_limited("outputs.text = ('x'):rep(2000)", "output: 1KiB");
  EXPECT_EQ(run.error_code("busy.bad"), "limit.output");
  EXPECT_EQ(run_limited("outputs.text = ('x'):rep(2^21)", "output: 4MiB").result("busy.bad"), "succeeded");
}

TEST(Limits, OfCallsThatWait) {
  const std::string body =
      "local tasks = {}\n"
      "for i = 1, 5 do tasks[i] = forge.async.spawn(function() return forge.fs.exists('x' .. i) end) end\n"
      "forge.async.all(tasks)";
  const auto run = run_limited(body, "calls: 4");
  EXPECT_EQ(run.result("busy.bad"), "failed");
  EXPECT_EQ(run.error_code("busy.bad"), "limit.calls");
  EXPECT_THAT(run.error_message("busy.bad"), HasSubstr("4 host calls wait for their replies already"));
  EXPECT_EQ(run_limited(body, "calls: 5").result("busy.bad"), "succeeded");
}

TEST(Limits, OfLogLines) {
  const auto run = run_limited("while true do forge.log.info(('x'):rep(1000)) end", "log: 100KiB");
  EXPECT_EQ(run.result("busy.bad"), "failed");
  EXPECT_EQ(run.error_code("busy.bad"), "limit.log");
  size_t lines = 0;
  for (const auto& event : run.all) lines += event.value("event", "") == "log" ? 1 : 0;
  EXPECT_EQ(lines, 100 * 1024 / (1000 + 64));
}

TEST(Limits, OfProgressReports) {
  const auto run = run_limited("local i = 0; while true do i = i + 1; forge.progress(i) end", "log: 10KiB");
  EXPECT_EQ(run.error_code("busy.bad"), "limit.log");
}

TEST(Limits, TheDeadlineCountsOverAllAttempts) {
  Project project;
  project.extension("busy", execute("if forge.fs.exists('tried') then while true do end end\n"
                                    "forge.fs.write('tried', ''); error('the first')"));
  const auto run =
      run_pipeline(project,
                   "p:\n  busy: [{name: bad, max_attempts: 1000, retry: {delay: 1ms}, timeout: 1h, "
                   "limits: {deadline: 1s}}]\n");
  EXPECT_EQ(run.result("busy.bad"), "timed_out");
  EXPECT_EQ(run.error_code("busy.bad"), "deadline.instance");
  EXPECT_THAT(run.error_message("busy.bad"), HasSubstr("deadline of 1.0s"));
}

TEST(Limits, NoAttemptBeginsAfterTheDeadline) {
  Project project;
  project.extension("busy", execute("error('again')"));
  const auto run =
      run_pipeline(project,
                   "p:\n  busy: [{name: bad, max_attempts: 1000000, retry: {delay: 1h, max_delay: 1h, "
                   "jitter: none}, limits: {deadline: 300ms}}]\n");
  EXPECT_EQ(run.result("busy.bad"), "timed_out");
  EXPECT_EQ(run.error_code("busy.bad"), "deadline.instance");
  EXPECT_EQ(run.finished.at("instances").at("busy.bad").at("attempts"), 1);
}

TEST(Limits, TakeExpressions) {
  Project project;
  project.extension("busy", execute("outputs.text = ('x'):rep(2000)"));
  const auto run = run_pipeline(
      project,
      "p:\n  core: {variables: {most: 1KiB}}\n  busy: [{name: bad, limits: {output: \"${var.most}\"}}]\n");
  EXPECT_EQ(run.error_code("busy.bad"), "limit.output");
}

TEST(Limits, AreCheckedBeforeAnythingRuns) {
  Project project;
  project.extension("busy", execute("outputs.ran = true"));
  project.write("p.yaml",
                "p:\n  busy:\n    - name: a\n      limits: {memry: 1GiB, calls: 0}\n    - name: b\n"
                "      limits: {log: much, deadline: 0s}\n    - name: c\n      limits: 5\n");
  const auto out = project.forge({"validate", "p.yaml"});
  EXPECT_EQ(out.code, 3);
  EXPECT_THAT(out.err + out.out, HasSubstr("p.yaml:4:16: busy.a.limits.memry: unknown key"));
  EXPECT_THAT(out.err + out.out, HasSubstr("did you mean 'memory'?"));
  EXPECT_THAT(out.err + out.out,
              HasSubstr("p.yaml:4:36: busy.a.limits.calls: expected a number of calls from 1 to 1024"));
  EXPECT_THAT(out.err + out.out, HasSubstr("p.yaml:6:21: busy.b.limits.log: expected a size from 1.0 KiB"));
  EXPECT_THAT(out.err + out.out,
              HasSubstr("p.yaml:6:37: busy.b.limits.deadline: expected a duration above zero"));
  EXPECT_THAT(out.err + out.out, HasSubstr("p.yaml:8:15: busy.c.limits: expected a mapping"));
}

// A program fills a small disk almost to its end and stays.
TEST(Limits, WhoFillsTheDiskIsEndedWhileThereIsRoomForTheOthers) {
  Project project;
  project.write("state/.keep", "");
  const std::string state = project.path() / "state";
  if (::mount("none", state.c_str(), "tmpfs", 0, "size=64m") != 0) {
    GTEST_SKIP() << "mounting a small tmpfs needs root: " << strerror(errno);
  }
  struct Unmount {
    const std::string& path;
    ~Unmount() { ::umount2(path.c_str(), MNT_DETACH); }
  } unmount{state};
  project.write("fill.py",
                "import os, signal\n"
                "with open('big', 'wb') as out:\n"
                "    while os.statvfs('.').f_bavail * os.statvfs('.').f_frsize > 6 << 20:\n"
                "        out.write(b'x' * (256 << 10))\n"
                "        out.flush()\n"
                "    signal.pause()\n");
  const std::string permissions =
      "permissions: {programs: [python3], read: ['" + project.path().string() + "']}\n";
  project.extension(
      "filler",
      execute("forge.process.run({'python3', '" + project.path().string() + "/fill.py'}, {check = true})"),
      permissions);
  project.extension("quiet", execute("forge.fs.write('mine', ('x'):rep(2^20)); outputs.fine = true"));
  const auto run =
      run_pipeline(project,
                   "p:\n  filler: [{name: bad}]\n  quiet: [{name: beside}, {name: after, depends_on: "
                   "[{name: filler.bad, when: failed}]}]\n",
                   {"--state-dir", state}, {{"PATH", "/usr/bin:/bin"}});
  EXPECT_EQ(run.output.code, 1) << run.output.err;
  EXPECT_EQ(run.result("filler.bad"), "failed");
  EXPECT_EQ(run.error_code("filler.bad"), "limit.disk");
  EXPECT_THAT(run.error_message("filler.bad"), HasSubstr("the work folder of this instance takes 5"));
  EXPECT_EQ(run.result("quiet.beside"), "succeeded");
  EXPECT_EQ(run.result("quiet.after"), "succeeded");
}

}  // namespace
}  // namespace pf::test
