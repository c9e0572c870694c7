#include "report/listing.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>

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

TEST(Status, shows_what_attempts_used) {
  Status status = failed_run();
  status.instances[0].cpu_us = 12'400;
  status.instances[0].peak_bytes = 3 << 20;
  status.instances[1].instance = 1;
  status.instances[2].instance = 2;
  state::AttemptEnd first;
  first.address = "a.x";
  first.result = InstanceResult::succeeded;
  first.read_bytes = 5;
  first.write_bytes = 2048;
  state::AttemptEnd second = first;
  second.instance = 1;
  second.address = "a.y";
  second.result = InstanceResult::failed;
  second.cpu_us = 400;  // less than is worth telling
  second.started = status.run->started;
  second.duration = Milliseconds(3);
  second.error = R"({"code":"lua.error","message":"empty"})";
  state::AttemptEnd third = second;
  third.attempt = 2;
  third.read_bytes = 7;
  status.attempts = {first, second, third};
  StatusOptions options;
  options.verbose = true;
  std::string out;
  append_status_text(out, status, options);
  EXPECT_EQ(out.substr(out.find("Instances\n")),
            "Instances\n"
            "  succeeded   a.x (1.5s; CPU 12ms, memory 3.0 MiB, read 5 B, wrote 2.0 KiB)\n"
            "  failed      a.y (1.5s; read 12 B, wrote 4.0 KiB)\n"
            "  blocked     a.z\n"
            "\n"
            "Attempts\n"
            "  2026-11-21 10:00:00  a.y #1  failed after 3ms (read 5 B, wrote 2.0 KiB): empty [lua.error]\n"
            "  2026-11-21 10:00:00  a.y #2  failed after 3ms (read 7 B, wrote 2.0 KiB): empty [lua.error]\n");
}

// A pipeline t.a <- t.b, t.c beside them, two at once.
std::unique_ptr<pipeline::Pipeline> three() {
  char name[] = "/tmp/pf-status-XXXXXX";
  EXPECT_NE(::mkdtemp(name), nullptr);
  const std::string folder = name;
  std::ofstream(folder + "/p.yaml") << "p:\n"
                                       "  core: {execution_defaults: {max_parallel: 2}}\n"
                                       "  t: [{name: a}, {name: b, depends_on: [t.a]}, {name: c}]\n";
  pipeline::LoadOptions options;
  options.file = folder + "/p.yaml";
  auto loaded = pipeline::load(options);
  std::filesystem::remove_all(folder);
  return std::move(loaded.value());
}

TEST(Status, says_how_long_a_run_may_still_take) {
  ::setenv("TZ", "UTC", 1);
  const auto pipeline = three();
  const WallTime start{std::chrono::seconds(1795255200)};
  const auto after = [&](int seconds) { return start + std::chrono::seconds(seconds); };
  Status status;
  status.pipeline = "p";
  status.held = true;
  status.run.emplace();
  status.run->id = "r1";
  status.run->file = "/p.yaml";
  status.run->started = start;
  status.run->instances = 3;
  status.instances = {record("t.a", InstanceResult::none)};
  status.instances[0].started = start;
  std::vector<InstanceRecord> latest = {record("t.a", InstanceResult::succeeded),
                                        record("t.b", InstanceResult::succeeded)};
  latest[0].duration = std::chrono::seconds(60);
  latest[1].duration = std::chrono::seconds(30);
  // a, then b; c, of which nothing is known, takes as long as the others on average.
  EXPECT_EQ(time_left(status, latest, *pipeline, after(10)), std::optional<Milliseconds>(80'000));
  // With one at a time it is the sum of all.
  status.run->details = R"({"max_parallel":1})";
  EXPECT_EQ(time_left(status, latest, *pipeline, after(10)), std::optional<Milliseconds>(125'000));
  status.run->details.clear();
  status.left = Milliseconds(80'000);
  std::string out;
  StatusOptions options;
  options.quiet = true;
  options.now = after(10);
  append_status_text(out, status, options);
  EXPECT_EQ(out, "p: running since 2026-11-21 10:00:00 (10.0s), 0 of 3 done, about 1m20s left\n");
  status.left = Milliseconds(11'100);
  out.clear();
  append_status_text(out, status, options);
  EXPECT_EQ(out, "p: running since 2026-11-21 10:00:00 (10.0s), 0 of 3 done, about 12s left\n");
  // Not where the file has become another one, nothing is known, or the run does not go on.
  status.run->instances = 2;
  EXPECT_EQ(time_left(status, latest, *pipeline, after(10)), std::nullopt);
  status.run->instances = 3;
  status.instances[0].address = "t.other";
  EXPECT_EQ(time_left(status, latest, *pipeline, after(10)), std::nullopt);
  status.instances[0].address = "t.a";
  EXPECT_EQ(time_left(status, {}, *pipeline, after(10)), std::nullopt);
  status.held = false;
  EXPECT_EQ(time_left(status, latest, *pipeline, after(10)), std::nullopt);
}

TEST(Status, counts_what_was_expanded_as_what_it_became) {
  Status status = failed_run();
  status.run->instances = 3;
  status.run->result = RunResult::none;
  status.held = true;
  status.instances.resize(1);
  for (const uint32_t index : {3U, 4U}) {
    status.instances.push_back(
        record("a.each[\"" + std::to_string(index) + "\"]", InstanceResult::succeeded));
    status.instances.back().instance = index;
  }
  status.expanded = {"a.each"};
  StatusOptions options;
  options.quiet = true;
  options.now = status.run->started;
  std::string out;
  append_status_text(out, status, options);
  EXPECT_EQ(out, "climate: running since 2026-11-21 10:00:00 (0ms), 3 of 4 done: 3 succeeded\n");
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
