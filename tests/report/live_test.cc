#include <gtest/gtest.h>

#include "report/watched_run.h"

namespace pf::report {
namespace {

using orchestrator::LogLevel;
using state::InstanceResult;
using state::RunResult;
using test::an_error;
using test::WatchedRun;

TEST(LiveObserver, draws_in_place) {
  WatchedRun run(Mode::live, {"example.a", "example.b", "example.c"}, {}, {80, 24});
  run.begin();
  EXPECT_EQ(run.text(), "Running climate of prod.yaml: 3 instances\n");
  run.start(0);
  run.tick(Milliseconds(50));
  EXPECT_EQ(run.text(), "");
  run.tick(Milliseconds(50));
  EXPECT_EQ(run.text(),
            "[>                   ] 0/3 done, 1 running  0s  climate\n"
            "  example.a  0s    \n");
  run.start(1);
  run.progress(0, 3, 10, "applying");
  run.tick(Milliseconds(50));  // at most ten redraws a second
  EXPECT_EQ(run.text(), "");
  run.tick(Milliseconds(1050));
  EXPECT_EQ(run.text(),
            "\r\x1b[2A"
            "[>                   ] 0/3 done, 2 running  1s  climate\x1b[K\n"
            "  example.a  1s      3/10 applying\x1b[K\n"
            "  example.b  1s    \x1b[K\n"
            "\x1b[J");
  // Failures scroll above the view; successes are only counted.
  run.fail(0, an_error());
  run.finish(1, InstanceResult::succeeded, Milliseconds(1100));
  run.block(2, "example.a");
  run.tick(Milliseconds(100));
  EXPECT_EQ(run.text(),
            "\r\x1b[3A\x1b[J"
            "failed example.a 300ms: the file is empty\n"
            "[====================] 3/3 done, 1 failed, 1 blocked, 0 running  1s  climate\n");
  run.end(RunResult::failed, Milliseconds(1300), "pangeo-forge run prod.yaml");
  const std::string end = run.text();
  EXPECT_EQ(end.substr(0, end.find('\n')), "\r\x1b[1A\x1b[J");
  EXPECT_NE(end.find("Failed\n  example.a failed (300ms)\n"), std::string::npos);
  EXPECT_NE(end.find("climate failed after 1.3s: 1 succeeded, 1 failed, 1 blocked\n"), std::string::npos);
}

TEST(LiveObserver, a_short_run_shows_no_view) {
  WatchedRun run(Mode::live, {"example.a"});
  run.begin();
  run.start(0);
  run.finish(0, InstanceResult::succeeded, Milliseconds(3));
  run.end(RunResult::succeeded, Milliseconds(5));
  EXPECT_EQ(run.text(),
            "Running climate of prod.yaml: 1 instance\n"
            "\n"
            "Log: /state/runs/r/log.jsonl\n"
            "climate succeeded after 5ms: 1 succeeded\n");
}

TEST(LiveObserver, narrow_and_crowded) {
  std::vector<std::string> names;
  for (int i = 0; i < 20; ++i) names.push_back("terraform.network-" + std::to_string(i));
  WatchedRun run(Mode::live, names, {}, {30, 8});
  run.begin();
  for (uint32_t i = 0; i < 20; ++i) {
    run.clock.advance(Milliseconds(i == 1 ? 1000 : 0));
    run.start(i);
  }
  run.text();
  run.tick(Milliseconds(100));
  EXPECT_EQ(run.text(),
            "0/20 done, 20 running  1s  c…\n"
            "  …orm.network-0  1s    \n"
            "  …orm.network-1  0s    \n"
            "  …orm.network-2  0s    \n"
            "  …orm.network-3  0s    \n"
            "  … and 16 more\n");
}

TEST(LiveObserver, a_terminal_that_became_narrower_has_wrapped_the_view) {
  WatchedRun run(Mode::live, {"example.a"}, {}, {80, 24});
  run.begin();
  run.start(0);
  run.tick(Milliseconds(100));
  run.text();
  run.terminal = {20, 24};
  run.tick(Milliseconds(100));
  const std::string text = run.text();
  // 55 cells take three rows of 20, and the other line one.
  EXPECT_EQ(text.substr(0, 5), "\r\x1b[4A");
  EXPECT_NE(text.find("0/1 done, 1 running"), std::string::npos);
}

TEST(LiveObserver, waiting_for_the_next_attempt) {
  WatchedRun run(Mode::live, {"example.a"}, {}, {80, 24});
  run.begin();
  run.start(0);
  run.attempt_failed(0, 1, an_error(), Milliseconds(5000));
  run.text();
  run.tick(Milliseconds(100));
  std::string text = run.text();
  EXPECT_NE(text.find("retrying example.a in 5.0s: attempt 1 failed: the file is empty\n"),
            std::string::npos);
  EXPECT_NE(text.find("  example.a  0s      next attempt in 5s\n"), std::string::npos);
  run.start(0, 2);
  run.tick(Milliseconds(5000));
  EXPECT_NE(run.text().find("  example.a  5s      attempt 2\x1b[K\n"), std::string::npos);
}

TEST(LiveObserver, extensions_cannot_drive_the_terminal) {
  WatchedRun run(Mode::live, {"example.a"}, {}, {80, 24});
  run.begin();
  run.start(0);
  run.progress(0, 0, 0, "\x1b[2J\x1b[Hgone\nnew line");
  run.log(0, LogLevel::warn, "\x1b]0;title\x07\x1b[1Aover");
  run.text();
  run.tick(Milliseconds(100));
  EXPECT_EQ(run.text(),
            "example.a: warning: over\n"
            "[>                   ] 0/1 done, 1 running  0s  climate\n"
            "  example.a  0s      gone new line\n");
}

TEST(LiveObserver, a_flood_of_log_lines_is_cut) {
  WatchedRun run(Mode::live, {"example.a"}, {}, {80, 24});
  run.begin();
  run.text();
  for (int i = 0; i < 250; ++i) run.log(0, LogLevel::info, "line");
  run.tick(Milliseconds(100));
  const std::string text = run.text();
  EXPECT_NE(text.find("… 150 more log lines in /state/runs/r/log.jsonl\n"), std::string::npos);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 102);
}

TEST(LiveObserver, colours) {
  ObserverOptions options;
  options.color = true;
  WatchedRun run(Mode::live, {"example.a", "example.b"}, options, {80, 24});
  run.begin();
  run.fail(0, an_error());
  run.text();
  run.tick(Milliseconds(100));
  EXPECT_EQ(run.text(),
            "\x1b[31mfailed\x1b[0m example.a 300ms: the file is empty\n"
            "[==========>         ] \x1b[1m1/2 done\x1b[0m, \x1b[31m1 failed\x1b[0m, 0 running  0s  "
            "\x1b[2mclimate\x1b[0m\n");
}

}  // namespace
}  // namespace pf::report
