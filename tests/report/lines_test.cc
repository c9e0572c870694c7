#include <gtest/gtest.h>

#include "report/watched_run.h"

namespace pf::report {
namespace {

using orchestrator::LogLevel;
using state::InstanceResult;
using state::RunResult;
using test::an_error;
using test::WatchedRun;

TEST(LineObserver, a_run_that_succeeds) {
  WatchedRun run(Mode::lines, {"example.a", "example.b"});
  run.begin();
  EXPECT_EQ(run.text(), "Running climate of prod.yaml: 2 instances\n");
  run.start(0);
  EXPECT_EQ(run.text(), "");
  run.clock.advance(Milliseconds(1250));
  run.finish(0, InstanceResult::succeeded, Milliseconds(1250), {{"words", 7}, {"title", "two words"}});
  EXPECT_EQ(run.text(), "10:00:01  succeeded  example.a in 1.2s  title=\"two words\"  words=7\n");
  run.finish(1, InstanceResult::succeeded, Milliseconds(3));
  EXPECT_EQ(run.text(), "10:00:01  succeeded  example.b in 3ms\n");
  run.end(RunResult::succeeded, Milliseconds(1260));
  EXPECT_EQ(run.text(),
            "\n"
            "Outputs\n"
            "  example.a\n"
            "    title  two words\n"
            "    words  7\n"
            "\n"
            "Log: /state/runs/r/log.jsonl\n"
            "climate succeeded after 1.2s: 2 succeeded\n");
}

TEST(LineObserver, a_run_that_fails) {
  WatchedRun run(Mode::lines, {"example.a", "example.b", "example.c", "example.d"});
  run.begin();
  run.text();
  run.start(1);
  run.attempt_failed(1, 1, an_error(), Milliseconds(1000));
  EXPECT_EQ(run.text(),
            "10:00:00  retrying   example.b in 1.0s: attempt 1 failed\n"
            "            prod.yaml:12:5: the file is empty [lua.error]\n"
            "              hint: put words into it\n");
  run.start(1, 2);
  run.fail(1, an_error(), 2, "/state/work/example/b");
  EXPECT_EQ(run.text(),
            "10:00:00  failed     example.b after 2 attempts, 300ms\n"
            "            prod.yaml:12:5: the file is empty [lua.error]\n"
            "              hint: put words into it\n");
  // A crowd with one cause is one line, told when something else happens.
  run.block(2, "example.b");
  run.block(3, "example.c");
  EXPECT_EQ(run.text(), "10:00:00  blocked    example.c by example.b\n");
  run.finish(0, InstanceResult::succeeded, Milliseconds(5));
  EXPECT_EQ(run.text(),
            "10:00:00  blocked    example.d by example.c\n"
            "10:00:00  succeeded  example.a in 5ms\n");
  run.end(RunResult::failed, Milliseconds(1500), "pangeo-forge run prod.yaml", 2);
  EXPECT_EQ(run.text(),
            "\n"
            "Failed\n"
            "  example.b failed (after 2 attempts, 300ms)\n"
            "    prod.yaml:12:5: the file is empty [lua.error]\n"
            "      hint: put words into it\n"
            "      extension.lua:12: in function 'execute'\n"
            "    its files are in /state/work/example/b\n"
            "\n"
            "Did not run\n"
            "  2 blocked by example.b: example.c, example.d\n"
            "\n"
            "2 calls of extensions were refused for want of a permission\n"
            "Log: /state/runs/r/log.jsonl\n"
            "To go on: pangeo-forge run prod.yaml\n"
            "climate failed after 1.5s: 1 succeeded, 1 failed, 2 blocked\n");
}

TEST(LineObserver, a_crowd_is_one_line) {
  std::vector<std::string> names;
  for (int i = 0; i < 8; ++i) names.push_back("x.i" + std::to_string(i));
  WatchedRun run(Mode::lines, names);
  run.begin();
  run.text();
  for (uint32_t i = 1; i < 8; ++i) run.block(i, "x.i0");
  run.tick(Milliseconds(100));
  EXPECT_EQ(run.text(),
            "10:00:00  blocked    7 instances by x.i0: x.i1, x.i2, x.i3, x.i4, x.i5 and 2 more\n");
}

TEST(LineObserver, logs_come_grouped_when_their_instance_ends) {
  WatchedRun run(Mode::lines, {"example.a", "example.b"});
  run.begin();
  run.text();
  run.log(0, LogLevel::info, "first", {{"n", 1}});
  run.log(1, LogLevel::warn, "of b\nin two lines");
  run.log(0, LogLevel::error, "\x1b[2Jsecond");
  run.log(0, LogLevel::debug, "hidden");
  EXPECT_EQ(run.text(), "");
  run.finish(0, InstanceResult::succeeded, Milliseconds(5));
  EXPECT_EQ(run.text(),
            "10:00:00  info       example.a: first  n=1\n"
            "10:00:00  error      example.a: second\n"
            "10:00:00  succeeded  example.a in 5ms\n");
  run.finish(1, InstanceResult::succeeded, Milliseconds(5));
  EXPECT_EQ(run.text(),
            "10:00:00  warning    example.b: of b\n"
            "10:00:00  warning    example.b: in two lines\n"
            "10:00:00  succeeded  example.b in 5ms\n");
}

TEST(LineObserver, a_talkative_instance_is_not_kept_without_bound) {
  WatchedRun run(Mode::lines, {"example.a"});
  run.begin();
  run.text();
  for (int i = 0; i < 100; ++i) run.log(0, LogLevel::info, std::string(1000, 'x'));
  EXPECT_GT(run.text().size(), 60000U);
}

TEST(LineObserver, names_what_runs_long) {
  WatchedRun run(Mode::lines, {"example.a", "example.b"});
  run.begin();
  run.start(0);
  run.text();
  run.tick(Milliseconds(900));
  EXPECT_EQ(run.text(), "");
  run.start(1);
  run.tick(Milliseconds(100));
  EXPECT_EQ(run.text(), "10:00:01  running    example.a\n");
  run.tick(Milliseconds(100));
  EXPECT_EQ(run.text(), "");
  run.progress(0, 3, 10, "applying");
  run.tick(Milliseconds(28900));
  EXPECT_EQ(run.text(),
            "10:00:30  running    example.b\n"
            "10:00:30  working    0 of 2 done; example.a for 30.0s (3/10 applying), example.b for 29.1s\n");
  run.tick(Milliseconds(29000));
  EXPECT_EQ(run.text(), "");
  run.tick(Milliseconds(1000));
  EXPECT_EQ(run.text(),
            "10:01:00  working    0 of 2 done; example.a for 1m00s (3/10 applying), example.b for 59.1s\n");
}

TEST(LineObserver, verbose_tells_starts_and_debug) {
  ObserverOptions options;
  options.verbose = true;
  WatchedRun run(Mode::lines, {"example.a"}, options);
  run.begin();
  EXPECT_EQ(run.text(), "Running climate of prod.yaml: 1 instance (run 20261121-100000-7f3a)\n");
  run.start(0);
  run.log(0, LogLevel::debug, "detail");
  run.start(0, 2);
  run.finish(0, InstanceResult::succeeded, Milliseconds(5), nullptr, 2);
  EXPECT_EQ(run.text(),
            "10:00:00  started    example.a\n"
            "10:00:00  started    example.a, attempt 2\n"
            "10:00:00  debug      example.a: detail\n"
            "10:00:00  succeeded  example.a in 5ms\n");
}

TEST(LineObserver, quiet_tells_failures_and_the_last_line) {
  ObserverOptions options;
  options.quiet = true;
  WatchedRun run(Mode::lines, {"example.a", "example.b", "example.c"}, options);
  run.begin();
  run.start(0);
  run.log(0, LogLevel::error, "talk");
  run.finish(0, InstanceResult::succeeded, Milliseconds(5), {{"words", 7}});
  EXPECT_EQ(run.text(), "");
  run.fail(1, an_error(), 1, "", InstanceResult::timed_out);
  EXPECT_EQ(run.text(),
            "example.b timed out (300ms)\n"
            "  prod.yaml:12:5: the file is empty [lua.error]\n"
            "    hint: put words into it\n"
            "    extension.lua:12: in function 'execute'\n");
  run.block(2, "example.b");
  run.tick(Milliseconds(60000));
  run.end(RunResult::failed, Milliseconds(60000));
  EXPECT_EQ(run.text(), "climate failed after 1m00s: 1 succeeded, 1 timed out, 1 blocked\n");
}

TEST(LineObserver, an_error_of_the_run_is_in_the_summary) {
  WatchedRun run(Mode::lines, {"example.a"});
  run.begin();
  run.text();
  Error error;
  error.code = "state.full";
  error.message = "no space left on /state";
  run.break_down(error);
  EXPECT_EQ(run.text(), "10:00:00  error      no space left on /state [state.full]\n");
  run.end(RunResult::failed, Milliseconds(10));
  EXPECT_EQ(run.text(),
            "\n"
            "Failed\n"
            "  no space left on /state [state.full]\n"
            "\n"
            "Log: /state/runs/r/log.jsonl\n"
            "climate failed after 10ms: nothing to do\n");
}

TEST(LineObserver, few_cached_instances_are_named) {
  WatchedRun run(Mode::lines, {"x.a", "x.b", "x.c"});
  run.begin();
  run.text();
  run.cached(0, std::chrono::hours(3));
  run.cached(1, std::chrono::minutes(4));
  EXPECT_EQ(run.text(), "");
  run.start(2);
  run.finish(2, InstanceResult::succeeded, Milliseconds(5));
  EXPECT_EQ(run.text(),
            "10:00:00  cached     x.a: 3 h old\n"
            "10:00:00  cached     x.b: 4 min old\n"
            "10:00:00  succeeded  x.c in 5ms\n");
  run.end(RunResult::succeeded, Milliseconds(6), {}, 0, std::chrono::hours(3));
  EXPECT_EQ(run.text(),
            "\n"
            "Log: /state/runs/r/log.jsonl\n"
            "climate succeeded after 6ms: 1 succeeded, 2 cached\n");
}

TEST(LineObserver, many_cached_instances_are_a_number) {
  std::vector<std::string> names;
  for (int i = 0; i < 30; ++i) names.push_back("x.i" + std::to_string(i));
  WatchedRun run(Mode::lines, names);
  run.begin();
  run.text();
  for (uint32_t i = 0; i < 29; ++i) run.cached(i, std::chrono::hours(72));
  run.finish(29, InstanceResult::succeeded, Milliseconds(5));
  EXPECT_EQ(run.text(), "10:00:00  succeeded  x.i29 in 5ms\n");
  run.end(RunResult::succeeded, Milliseconds(6));
  EXPECT_EQ(run.text(),
            "10:00:00  cached     29 instances\n"
            "\n"
            "Log: /state/runs/r/log.jsonl\n"
            "climate succeeded after 6ms: 1 succeeded, 29 cached\n");
}

TEST(LineObserver, a_run_of_which_nothing_has_changed) {
  std::vector<std::string> names;
  for (int i = 0; i < 12; ++i) names.push_back("x.i" + std::to_string(i));
  WatchedRun run(Mode::lines, names);
  run.begin();
  for (uint32_t i = 0; i < 12; ++i) run.cached(i, std::chrono::hours(3));
  run.text();
  run.end(RunResult::succeeded, Milliseconds(6), {}, 0, std::chrono::hours(3));
  const std::string text = run.text();
  EXPECT_EQ(text.substr(text.find("\n\n") + 1),
            "\n"
            "Log: /state/runs/r/log.jsonl\n"
            "Nothing to do: 12 instances are as they were; the oldest result is 3 h old\n"
            "climate succeeded after 6ms: 12 cached\n");

  WatchedRun verbose(Mode::lines, {"x.a", "x.b"}, [] {
    ObserverOptions options;
    options.verbose = true;
    return options;
  }());
  verbose.begin();
  verbose.text();
  verbose.cached(0, std::chrono::seconds(30));
  EXPECT_EQ(verbose.text(), "10:00:00  cached     x.a: 30 s old\n");
  verbose.finish(1, InstanceResult::skipped, Milliseconds(0), nullptr, 0);
  verbose.text();
  verbose.end(RunResult::succeeded, Milliseconds(6), {}, 0, std::chrono::seconds(30));
  EXPECT_NE(verbose.text().find("Nothing to do: 1 instance is as it was; the result is 30 s old\n"),
            std::string::npos);
}

TEST(LineObserver, excluded_instances_are_a_crowd) {
  WatchedRun run(Mode::lines, {"x.a", "x.b"});
  run.begin();
  run.text();
  run.finish(0, InstanceResult::excluded, Milliseconds(0), nullptr, 0);
  run.finish(1, InstanceResult::excluded, Milliseconds(0), nullptr, 0);
  run.tick(Milliseconds(100));
  EXPECT_EQ(run.text(), "10:00:00  excluded   2 instances: x.a, x.b\n");
}

TEST(LineObserver, tells_why_and_of_hooks_and_expansions) {
  ObserverOptions options;
  options.verbose = true;
  WatchedRun run(Mode::lines, {"x.each"}, options);
  run.change = [](orchestrator::RunStarted& event) {
    event.profile = "prod";
    event.resumed = true;
  };
  run.begin();
  EXPECT_EQ(run.text(),
            "Going on with run 20261121-100000-7f3a of climate in prod.yaml with profile prod: 1 instance\n");
  run.expand(0, {"x.each[\"a\"]"});
  run.hook("before_pipeline", -1, "none", "");
  run.hook("before_instance", 1, "config", "size: 1 -> 2");
  run.start(1, 1, "region: a -> b at prod.yaml:14:7\nsize: 1 -> 2 by a hook");
  EXPECT_EQ(run.text(),
            "10:00:00  expanded   x.each into 1 instance\n"
            "10:00:00  hook       before_pipeline: none (hooks/window.lua)\n"
            "10:00:00  hook       before_instance of x.each[\"a\"]: config: size: 1 -> 2 (hooks/window.lua)\n"
            "10:00:00  started    x.each[\"a\"]\n"
            "            region: a -> b at prod.yaml:14:7\n"
            "            size: 1 -> 2 by a hook\n");
}

TEST(LineObserver, is_never_silent_for_long) {
  WatchedRun run(Mode::lines, {"x.a"});
  run.begin();
  run.text();
  run.tick(Milliseconds(30000));
  EXPECT_EQ(run.text(), "10:00:30  working    0 of 1 done; nothing runs at the moment\n");
}

TEST(LineObserver, a_report_that_could_not_be_written_is_told_and_not_named_as_written) {
  ObserverOptions options;
  options.written_files = {"run.html", "run.prom"};
  WatchedRun run(Mode::lines, {"x.a"}, options);
  run.begin();
  run.finish(0, InstanceResult::succeeded, Milliseconds(5));
  Error error;
  error.code = "report.write";
  error.message = "the report could not be written";
  error.where.file = "run.html";
  run.break_down(error);
  run.text();
  run.end(RunResult::succeeded, Milliseconds(6));
  EXPECT_EQ(run.text(),
            "\n"
            "Problems\n"
            "  run.html: the report could not be written [report.write]\n"
            "\n"
            "Log: /state/runs/r/log.jsonl\n"
            "Written: run.prom\n"
            "climate succeeded after 6ms: 1 succeeded\n");
}

TEST(Summary, many_outputs_are_shortened) {
  std::vector<std::string> names;
  for (int i = 0; i < 14; ++i) names.push_back("count.i" + std::to_string(i));
  ObserverOptions options;
  options.outputs_command = "pangeo-forge outputs prod.yaml";
  WatchedRun run(Mode::lines, names, options);
  run.begin();
  for (uint32_t i = 0; i < 14; ++i) {
    run.finish(i, InstanceResult::succeeded, Milliseconds(1), {{"words", i}, {"list", {1, 2}}});
  }
  run.text();
  run.end(RunResult::succeeded, Milliseconds(10));
  EXPECT_EQ(run.text(),
            "\n"
            "Outputs\n"
            "  count.i0  list=[1,2]  words=0\n"
            "  count.i1  list=[1,2]  words=1\n"
            "  count.i2  list=[1,2]  words=2\n"
            "  count.i3  list=[1,2]  words=3\n"
            "  count.i4  list=[1,2]  words=4\n"
            "  count.i5  list=[1,2]  words=5\n"
            "  count.i6  list=[1,2]  words=6\n"
            "  count.i7  list=[1,2]  words=7\n"
            "  count.i8  list=[1,2]  words=8\n"
            "  count.i9  list=[1,2]  words=9\n"
            "  … and 4 more instances\n"
            "  all in full: pangeo-forge outputs prod.yaml\n"
            "\n"
            "Log: /state/runs/r/log.jsonl\n"
            "climate succeeded after 10ms: 14 succeeded\n");
}

TEST(Summary, long_values_are_cut) {
  WatchedRun run(Mode::lines, {"example.a"});
  run.begin();
  run.finish(0, InstanceResult::succeeded, Milliseconds(1), {{"text", std::string(1 << 20, 'x')}});
  const std::string line = run.text();
  EXPECT_EQ(line.substr(line.find("text=")), "text=" + std::string(39, 'x') + "…\n");
  run.end(RunResult::succeeded, Milliseconds(10));
  EXPECT_NE(run.text().find("    text  " + std::string(99, 'x') + "…\n"), std::string::npos);
}

TEST(Summary, a_failure_that_the_pipeline_allows) {
  WatchedRun run(Mode::lines, {"example.a"});
  run.begin();
  run.fail(0, an_error());
  run.text();
  run.end(RunResult::succeeded, Milliseconds(10));
  const std::string text = run.text();
  EXPECT_NE(text.find("climate succeeded after 10ms: 1 failed (which the pipeline allows)\n"),
            std::string::npos);
}

}  // namespace
}  // namespace pf::report
