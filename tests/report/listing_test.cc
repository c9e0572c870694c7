#include "report/listing.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/json.h"

namespace pf::report {
namespace {

using state::InstanceRecord;
using state::InstanceResult;
using state::RunResult;

class Capture {
 public:
  Capture() : fd_(::memfd_create("listing", MFD_CLOEXEC)), sink(fd_) {}
  ~Capture() { ::close(fd_); }
  std::string text() {
    sink.flush();
    std::string out(65536, '\0');
    const ssize_t n = ::pread(fd_, out.data(), out.size(), 0);
    out.resize(n > 0 ? static_cast<size_t>(n) : 0);
    return out;
  }

 private:
  int fd_;

 public:
  Sink sink;
};

InstanceRecord record(const std::string& address, InstanceResult result, const Json& outputs = nullptr) {
  InstanceRecord out;
  out.address = address;
  out.result = result;
  out.attempts = result == InstanceResult::blocked ? 0 : 1;
  out.duration = Milliseconds(1500);
  if (!outputs.is_null()) out.outputs = to_cbor(outputs);
  return out;
}

TEST(Outputs, as_json_by_type_and_name) {
  Capture capture;
  ASSERT_TRUE(
      write_outputs_json(capture.sink, {record("word.n[\"a.b\"]", InstanceResult::succeeded, {{"n", 1}}),
                                        record("example.two", InstanceResult::succeeded),
                                        record("example.one", InstanceResult::succeeded, {{"x", "y"}})}));
  EXPECT_EQ(capture.text(), R"({"example":{"one":{"x":"y"},"two":{}},"word":{"n[\"a.b\"]":{"n":1}}})"
                            "\n");
}

TEST(Outputs, none_is_an_empty_object) {
  Capture capture;
  ASSERT_TRUE(write_outputs_json(capture.sink, {}));
  EXPECT_EQ(capture.text(), "{}\n");
}

TEST(Outputs, damaged_ones_are_an_error) {
  Capture capture;
  auto bad = record("a.b", InstanceResult::succeeded);
  bad.outputs = "\x81";
  const auto written = write_outputs_json(capture.sink, {bad});
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, "state.damaged");
}

TEST(Outputs, as_text) {
  Capture capture;
  write_outputs_text(capture.sink,
                     {record("example.two", InstanceResult::succeeded),
                      record("example.one", InstanceResult::succeeded,
                             {{"title", "A long title that is cut"}, {"n", 7}, {"list", {1, "b"}}})},
                     24, false);
  EXPECT_EQ(capture.text(),
            "example.one\n"
            "  list   [1,\"b\"]\n"
            "  n      7\n"
            "  title  A long title t…\n"
            "example.two  (no outputs)\n");
}

Status failed_run() {
  ::setenv("TZ", "UTC", 1);
  Status status;
  status.pipeline = "climate";
  state::RunRecord run;
  run.id = "r1";
  run.pipeline = "climate";
  run.file = "/p/prod.yaml";
  run.started = WallTime(std::chrono::seconds(1795255200));
  run.finished = run.started + Milliseconds(2500);
  run.result = RunResult::failed;
  run.instances = 3;
  status.run = run;
  status.instances = {record("a.x", InstanceResult::succeeded), record("a.y", InstanceResult::failed),
                      record("a.z", InstanceResult::blocked)};
  status.instances[1].error = R"({"code":"lua.error","message":"empty","hint":"fill it"})";
  status.instances[2].blocked_by = "a.y";
  return status;
}

TEST(Status, of_a_failed_run) {
  std::string out;
  append_status_text(out, failed_run(), {});
  EXPECT_EQ(out,
            "climate: failed on 2026-11-21 10:00:02 after 2.5s: 1 succeeded, 1 failed, 1 blocked\n"
            "  run r1 of /p/prod.yaml, 3 instances\n"
            "\n"
            "Failed\n"
            "  a.y failed (1.5s)\n"
            "    empty [lua.error]\n"
            "      hint: fill it\n"
            "\n"
            "Did not run\n"
            "  1 blocked by a.y: a.z\n");
}

TEST(Status, as_json) {
  Capture capture;
  write_status_json(capture.sink, failed_run());
  const auto json = parse_json(capture.text());
  ASSERT_TRUE(json);
  EXPECT_EQ((*json)["result"], "failed");
  EXPECT_EQ((*json)["running"], false);
  EXPECT_EQ((*json)["duration_ms"], 2500);
  EXPECT_EQ((*json)["counts"], (Json{{"succeeded", 1}, {"failed", 1}, {"blocked", 1}}));
  EXPECT_EQ((*json)["instances"]["a.y"]["error"]["code"], "lua.error");
  EXPECT_EQ((*json)["instances"]["a.z"]["blocked_by"], "a.y");
}

TEST(Status, of_a_run_that_goes_on_and_of_one_that_was_broken_off) {
  Status status = failed_run();
  status.run->result = RunResult::none;
  status.run->finished = {};
  status.instances[1].result = InstanceResult::none;
  status.instances.pop_back();
  StatusOptions options;
  options.now = status.run->started + Milliseconds(61000);
  std::string out;
  append_status_text(out, status, options);
  EXPECT_EQ(out.substr(0, out.find('\n')),
            "climate: broken off: the run of 2026-11-21 10:00:00 ended without a result: 1 succeeded");
  status.held = true;
  status.holder = "pid 42 on host h";
  status.instances[1].started = status.run->started + Milliseconds(1000);
  status.instances[1].attempts = 2;
  out.clear();
  append_status_text(out, status, options);
  EXPECT_EQ(out,
            "climate: running since 2026-11-21 10:00:00 (1m01s), 1 of 3 done: 1 succeeded\n"
            "  run r1 of /p/prod.yaml, 3 instances\n"
            "  held by pid 42 on host h\n"
            "\n"
            "Running\n"
            "  a.y  for 1m00s, attempt 2\n");
  EXPECT_EQ(status_word(status), "running");
}

TEST(Status, of_one_run_with_its_attempts_and_hooks) {
  Status status = failed_run();
  status.run->kind = state::RunKind::destroy;
  status.run->profile = "prod";
  status.instances[0].result = InstanceResult::cached;
  status.instances[0].attempts = 0;
  status.instances[0].run = "r0";
  state::AttemptEnd attempt;
  attempt.address = "a.y";
  attempt.result = InstanceResult::timed_out;
  attempt.started = status.run->started;
  attempt.duration = Milliseconds(1500);
  attempt.error = R"({"code":"lua.error","message":"empty"})";
  status.attempts = {attempt};
  attempt.attempt = 2;
  attempt.result = InstanceResult::none;
  status.attempts.push_back(attempt);
  state::HookRecord hook;
  hook.stage = "before_instance";
  hook.address = "a.z";
  hook.script = "/p/h.lua";
  hook.decision = "skip";
  hook.text = "not today";
  hook.duration = Milliseconds(20);
  hook.at = status.run->started;
  status.hooks = {hook};
  std::string out;
  StatusOptions options;
  options.verbose = true;
  append_status_text(out, status, options);
  EXPECT_EQ(out.substr(0, out.find(" on ")), "climate: destroy failed");
  EXPECT_NE(out.find("3 instances, profile prod\n"), std::string::npos) << out;
  EXPECT_NE(out.find("  cached      a.x (ran in r0)\n"), std::string::npos) << out;
  EXPECT_NE(out.find("\nAttempts\n"
                     "  2026-11-21 10:00:00  a.y #1  timed out after 1.5s: empty [lua.error]\n"
                     "  2026-11-21 10:00:00  a.y #2  broken off\n"
                     "\nHooks\n"
                     "  2026-11-21 10:00:00  before_instance  a.z  /p/h.lua  skip: not today (20ms)\n"),
            std::string::npos)
      << out;
}

TEST(Runs, are_listed_a_line_each) {
  const Status status = failed_run();
  auto open = *status.run;
  open.id = "r2";
  open.result = RunResult::none;
  open.profile = "prod";
  std::string out;
  append_runs_text(out, {open, *status.run}, true, open.started + Milliseconds(5000));
  append_runs_text(out, {open}, false, open.started);
  EXPECT_EQ(out,
            "r2  2026-11-21 10:00:00  running     3 instances for 5.0s, profile prod\n"
            "r1  2026-11-21 10:00:00  failed      3 instances in 2.5s\n"
            "r2  2026-11-21 10:00:00  broken off  3 instances, profile prod\n");
  Capture capture;
  write_runs_json(capture.sink, "climate", {open, *status.run}, true);
  const auto json = parse_json(capture.text());
  ASSERT_TRUE(json);
  EXPECT_EQ((*json)["pipeline"], "climate");
  EXPECT_EQ((*json)["runs"][0]["result"], "running");
  EXPECT_TRUE((*json)["runs"][0]["finished"].is_null());
  EXPECT_EQ((*json)["runs"][1]["duration_ms"], 2500);
}

TEST(Status, before_the_first_run) {
  Status status;
  status.pipeline = "climate";
  std::string out;
  append_status_text(out, status, {});
  EXPECT_EQ(out, "climate: has not run yet\n");
  EXPECT_EQ(status_word(status), "none");
}

}  // namespace
}  // namespace pf::report
