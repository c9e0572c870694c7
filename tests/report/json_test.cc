#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>

#include "report/json_text.h"
#include "report/listing.h"
#include "report/watched_run.h"
#include "state/stored_error.h"

namespace pf::report {
namespace {

using test::an_error;
using test::WatchedRun;

std::string json_of(const Json& value) {
  std::string out;
  EXPECT_TRUE(append_json_value(out, to_cbor(value)));
  return out;
}

TEST(JsonText, strings_are_safe_on_a_terminal) {
  const auto quoted = [](std::string_view text) {
    std::string out;
    append_json_string(out, text);
    return out;
  };
  EXPECT_EQ(quoted("plain"), R"("plain")");
  EXPECT_EQ(quoted("a\"b\\c\nd\te"), R"("a\"b\\c\nd\te")");
  EXPECT_EQ(quoted("\x1b[31m\x7f"), R"("\u001b[31m\u007f")");
  EXPECT_EQ(quoted("\xC2\x9B"), R"("\u009b")");
  EXPECT_EQ(quoted("größe\xFF!"), "\"größe\xEF\xBF\xBD!\"");
  EXPECT_EQ(quoted("\xEF\xBF\xBD"), "\"\xEF\xBF\xBD\"");
}

TEST(JsonText, values) {
  EXPECT_EQ(json_of({{"list", {1, -2, 2.5, true, nullptr}}, {"text", "x"}}),
            R"({"list":[1,-2,2.5,true,null],"text":"x"})");
  EXPECT_EQ(json_of(Json::object()), "{}");
  EXPECT_EQ(json_of(Json::array()), "[]");
  EXPECT_EQ(json_of(1e300), "1e+300");
  EXPECT_EQ(json_of(9007199254740993LL), "9007199254740993");
  EXPECT_EQ(json_of(Json::binary({0xFF, 0x00})), R"("/wA=")");
  std::string out = "x";
  EXPECT_FALSE(append_json_value(out, "\x81"));
  EXPECT_FALSE(append_json_value(out, std::string(100000, '\x81')));
  EXPECT_FALSE(append_json_value(out, "\xA1\x01\x01"));  // a key that is no text
  EXPECT_EQ(out, "x");
}

TEST(JsonText, reads_stored_errors) {
  using state::error_from_json;
  const Error error =
      error_from_json(R"({"code":"a.b","message":"m","hint":"h","where":"f.yaml:1:2","traceback":"t"})");
  EXPECT_EQ(error.text(), "f.yaml:1:2: m [a.b]\n  hint: h");
  EXPECT_EQ(error.traceback, "t");
  EXPECT_EQ(error_from_json("not json").message, "not json");
  EXPECT_EQ(error_from_json(R"({"code":1})").code, "");
}

TEST(JsonObserver, one_object_a_line) {
  WatchedRun run(Mode::json, {"example.a", "example.b", "example.c"});
  run.begin();
  EXPECT_EQ(
      run.text(),
      R"({"event":"run_started","time":"2026-11-21T10:00:00.000Z","run":"20261121-100000-7f3a","pipeline":"climate","file":"prod.yaml","schema":1,"instances":3,"sandbox":{"seccomp":true},"log_file":"/state/runs/r/log.jsonl","resumed":false,"max_parallel":16})"
      "\n");
  run.clock.advance(Milliseconds(1234));
  run.start(0);
  EXPECT_EQ(
      run.text(),
      R"({"event":"instance_started","time":"2026-11-21T10:00:01.234Z","run":"20261121-100000-7f3a","instance":"example.a","attempt":1})"
      "\n");
  run.finish(0, state::InstanceResult::succeeded, Milliseconds(12), {{"words", 7}});
  EXPECT_EQ(
      run.text(),
      R"({"event":"instance_finished","time":"2026-11-21T10:00:01.234Z","run":"20261121-100000-7f3a","instance":"example.a","result":"succeeded","attempts":1,"duration_ms":12,"outputs":{"words":7}})"
      "\n");
  run.attempt_failed(1, 1, an_error(), Milliseconds(1500));
  EXPECT_EQ(
      run.text(),
      R"({"event":"attempt_failed","time":"2026-11-21T10:00:01.234Z","run":"20261121-100000-7f3a","instance":"example.b","attempt":1,"error":{"code":"lua.error","message":"the file is empty","hint":"put words into it","file":"prod.yaml","line":12,"column":5,"path":"example.b","traceback":"extension.lua:12: in function 'execute'"},"retry_in_ms":1500})"
      "\n");
  run.log(1, orchestrator::LogLevel::info, "a\nb", {{"k", 1}});
  EXPECT_EQ(
      run.text(),
      R"({"event":"log","time":"2026-11-21T10:00:01.234Z","run":"20261121-100000-7f3a","instance":"example.b","level":"info","message":"a\nb","fields":{"k":1}})"
      "\n");
  run.log(1, orchestrator::LogLevel::debug, "only with -v");
  EXPECT_EQ(run.text(), "");
  run.progress(1, 3, 10, "copying");
  EXPECT_EQ(
      run.text(),
      R"({"event":"progress","time":"2026-11-21T10:00:01.234Z","run":"20261121-100000-7f3a","instance":"example.b","done":3,"total":10,"unit":null,"text":"copying"})"
      "\n");
  Error refused;
  refused.code = "permission.http";
  refused.message = "no permission";
  refused.hint = "add x";
  run.refuse(1, "forge.http.get", refused);
  EXPECT_EQ(
      run.text(),
      R"({"event":"refused","time":"2026-11-21T10:00:01.234Z","run":"20261121-100000-7f3a","instance":"example.b","call":"forge.http.get","code":"permission.http","message":"no permission","hint":"add x"})"
      "\n");
  run.fail(1, an_error(), 2, "/state/work/example/b");
  run.block(2, "example.b");
  const std::string ends = run.text();
  EXPECT_NE(ends.find(R"("result":"failed","attempts":2,"duration_ms":300,"error":{"code":"lua.error",)"),
            std::string::npos);
  EXPECT_NE(ends.find(R"("work_folder":"/state/work/example/b"})"), std::string::npos);
  EXPECT_NE(
      ends.find(
          R"("instance":"example.c","result":"blocked","attempts":0,"duration_ms":0,"blocked_by":"example.b"})"),
      std::string::npos);
  run.end(state::RunResult::failed, Milliseconds(2000), "pangeo-forge run prod.yaml", 1);
  EXPECT_EQ(
      run.text(),
      R"({"event":"run_finished","time":"2026-11-21T10:00:01.234Z","run":"20261121-100000-7f3a","result":"failed","duration_ms":2000,"refused_calls":1,"command":"pangeo-forge run prod.yaml","instances":{)"
      R"("example.a":{"result":"succeeded","attempts":1,"duration_ms":12,"outputs":{"words":7}},)"
      R"("example.b":{"result":"failed","attempts":2,"duration_ms":300,"outputs":{},"error":{"code":"lua.error","hint":"put words into it","message":"the file is empty"}},)"
      R"("example.c":{"result":"blocked","attempts":0,"duration_ms":0,"outputs":{},"blocked_by":"example.b"}}})"
      "\n");
}

TEST(JsonObserver, cached_instances_hooks_and_expansions) {
  WatchedRun run(Mode::json, {"x.each", "x.b"});
  run.change = [](orchestrator::RunStarted& event) {
    event.profile = "prod";
    event.resumed = true;
  };
  run.begin();
  EXPECT_NE(run.text().find(R"("profile":"prod","resumed":true,"max_parallel":16})"), std::string::npos);
  const std::string start = R"("time":"2026-11-21T10:00:00.000Z","run":"20261121-100000-7f3a")";
  run.cached(1, std::chrono::hours(1), {{"n", 1}});
  EXPECT_EQ(run.text(),
            R"({"event":"instance_finished",)" + start +
                R"(,"instance":"x.b","result":"cached","attempts":0,"duration_ms":0,"outputs":{"n":1})"
                R"(,"cached_at":"2026-11-21T09:00:00.000Z","why":["nothing has changed"]})"
                "\n");
  run.expand(0, {"x.each[\"a\"]", "x.each[\"b\"]"});
  EXPECT_EQ(run.text(), R"({"event":"expanded",)" + start +
                            R"(,"instance":"x.each","count":2,"instances":["x.each[\"a\"]","x.each[\"b\"]"]})"
                            "\n");
  run.start(2, 1, "a: 1 -> 2\nb: new");
  EXPECT_EQ(run.text(), R"({"event":"instance_started",)" + start +
                            R"(,"instance":"x.each[\"a\"]","attempt":1,"why":["a: 1 -> 2","b: new"]})"
                            "\n");
  run.hook("on_error", 2, "retry", "try again");
  run.hook("after_plan", -1, "none", "");
  EXPECT_EQ(
      run.text(),
      R"({"event":"hook",)" + start +
          R"(,"stage":"on_error","instance":"x.each[\"a\"]","script":"hooks/window.lua","decision":"retry","text":"try again","duration_ms":12})"
          "\n"
          R"({"event":"hook",)" +
          start +
          R"(,"stage":"after_plan","instance":null,"script":"hooks/window.lua","decision":"none","duration_ms":12})"
          "\n");
  run.resources(2, 1499, 4096, 12, 7);
  run.finish(2, state::InstanceResult::succeeded, Milliseconds(5));
  EXPECT_NE(
      run.text().find(R"("duration_ms":5,"cpu_ms":1,"peak_bytes":4096,"read_bytes":12,"write_bytes":7})"),
      std::string::npos);
  run.end(state::RunResult::failed, Milliseconds(9), {}, 0, std::chrono::hours(1), "x.b");
  EXPECT_NE(
      run.text().find(
          R"("refused_calls":0,"oldest":"2026-11-21T09:00:00.000Z","first_failed":"x.b","instances":{)"),
      std::string::npos);
}

TEST(JsonObserver, each_of_many_cached_instances_is_told) {
  std::vector<std::string> names;
  for (int i = 0; i < 10'000; ++i) names.push_back("x.i" + std::to_string(i));
  WatchedRun run(Mode::json, names);
  run.begin();
  for (uint32_t i = 0; i < 10'000; ++i) run.cached(i, std::chrono::hours(1));
  const std::string text = run.text();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 10'001);
}

TEST(JsonObserver, quiet_leaves_out_talk_and_verbose_adds_debug) {
  ObserverOptions options;
  options.quiet = true;
  WatchedRun quiet(Mode::json, {"example.a"}, options);
  quiet.begin();
  quiet.text();
  quiet.log(0, orchestrator::LogLevel::error, "talk");
  quiet.progress(0, 1, 2, "");
  EXPECT_EQ(quiet.text(), "");

  options.quiet = false;
  options.verbose = true;
  WatchedRun verbose(Mode::json, {"example.a"}, options);
  verbose.begin();
  verbose.text();
  verbose.log(0, orchestrator::LogLevel::debug, "detail");
  EXPECT_NE(verbose.text().find(R"("level":"debug","message":"detail","fields":{})"), std::string::npos);
}

TEST(JsonObserver, an_error_of_the_run) {
  WatchedRun run(Mode::json, {"example.a"});
  Error error;
  error.code = "state.full";
  error.message = "no space left";
  run.break_down(error);
  EXPECT_EQ(
      run.text(),
      R"({"event":"error","time":"2026-11-21T10:00:00.000Z","run":null,"code":"state.full","message":"no space left","hint":null,"file":null,"line":null,"column":null})"
      "\n");
}

TEST(JsonObserver, outlives_its_reader) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ::close(ends[0]);
  ::signal(SIGPIPE, SIG_IGN);
  Sink sink(ends[1]);
  sink.text() = "one";
  sink.flush();
  EXPECT_EQ(sink.failure(), EPIPE);
  sink.text() = "two";
  sink.flush();
  EXPECT_EQ(sink.text(), "");
  ::close(ends[1]);
}

}  // namespace
}  // namespace pf::report
