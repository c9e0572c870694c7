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
  out.clear();
  append_status_text(out, status, options);
  EXPECT_EQ(out,
            "climate: running since 2026-11-21 10:00:00 (1m01s): 1 succeeded\n"
            "  run r1 of /p/prod.yaml, 3 instances\n"
            "  held by pid 42 on host h\n"
            "\n"
            "Running\n"
            "  a.y\n");
  EXPECT_EQ(status_word(status), "running");
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
