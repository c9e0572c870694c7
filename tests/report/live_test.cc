#include <gtest/gtest.h>

#include <algorithm>

#include "report/keyboard.h"
#include "report/watched_run.h"

namespace pf::report {
namespace {

using orchestrator::LogLevel;
using state::InstanceResult;
using state::RunResult;
using test::an_error;
using test::WatchedRun;

/// Keys that a test types.
class TypedKeys final : public Keys {
 public:
  void open() override { opened = true; }
  std::string take() override { return std::exchange(typed, {}); }
  bool foreground() override { return in_foreground; }
  bool resumed() override { return std::exchange(went_on, false); }
  void close() override { closed = true; }

  std::string typed;
  bool opened = false, closed = false, in_foreground = true, went_on = false;
};

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
  // Failures stay in view while there is room; successes are only counted.
  run.fail(0, an_error());
  run.finish(1, InstanceResult::succeeded, Milliseconds(1100));
  run.block(2, "example.a");
  run.tick(Milliseconds(100));
  EXPECT_EQ(run.text(),
            "\r\x1b[3A"
            "[====================] 3/3 done, 1 failed, 1 blocked, 0 running  1s  climate\x1b[K\n"
            "failed example.a 300ms: the file is empty\x1b[K\n"
            "\x1b[J");
  run.end(RunResult::failed, Milliseconds(1300), "pangeo-forge run prod.yaml");
  const std::string end = run.text();
  EXPECT_EQ(end.substr(0, end.find('\n')), "\r\x1b[2A\x1b[J");
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
            "[==========>         ] \x1b[1m1/2 done\x1b[0m, \x1b[31m1 failed\x1b[0m, 0 running  0s  "
            "\x1b[2mclimate\x1b[0m\n"
            "\x1b[31mfailed\x1b[0m example.a 300ms: the file is empty\n");
}

TEST(LiveObserver, failures_scroll_away_when_newer_ones_need_their_rows) {
  std::vector<std::string> names;
  for (int i = 0; i < 8; ++i) names.push_back("x.i" + std::to_string(i));
  WatchedRun run(Mode::live, names, {}, {60, 24});
  run.begin();
  for (uint32_t i = 0; i < 6; ++i) run.fail(i, an_error());
  run.text();
  run.tick(Milliseconds(100));
  EXPECT_EQ(run.text(),
            "failed x.i0 300ms: the file is empty\n"
            "6/8 done, 6 failed, 0 running  0s  climate\n"
            "failed x.i1 300ms: the file is empty\n"
            "failed x.i2 300ms: the file is empty\n"
            "failed x.i3 300ms: the file is empty\n"
            "failed x.i4 300ms: the file is empty\n"
            "failed x.i5 300ms: the file is empty\n");
}

TEST(LiveObserver, says_how_long_it_may_still_take) {
  WatchedRun run(Mode::live, {"x.a", "x.b", "x.c", "y.d"}, {}, {100, 24});
  run.expected = {Milliseconds(60000), Milliseconds(30000), Milliseconds(30000), Milliseconds(0)};
  run.upstream = {{}, {0}, {}, {1}};
  run.begin();
  run.start(0);
  run.text();
  run.tick(Milliseconds(100));
  // a, b and d follow each other; d takes as long as the others do on average: 40 s.
  EXPECT_EQ(run.text().substr(0, 76),
            "[>                   ] 0/4 done, 1 running  0s, about 2m10s left  climate\n  ");
  run.clock.advance(Milliseconds(59900));
  run.finish(0, InstanceResult::succeeded, Milliseconds(60000));
  run.start(1);
  run.tick(Milliseconds(100));
  EXPECT_NE(run.text().find("1/4 done, 1 running  1m00s, about 1m15s left  climate"), std::string::npos);
}

TEST(LiveObserver, gives_up_the_bar_before_what_it_counts) {
  WatchedRun run(Mode::live, {"x.a", "x.b", "x.c", "y.d"}, {}, {60, 24});
  run.expected = std::vector<Milliseconds>(4, Milliseconds(60000));
  run.begin();
  run.start(0);
  run.start(1);
  run.fail(1, an_error());
  run.text();
  run.tick(Milliseconds(100));
  EXPECT_EQ(run.text().substr(0, 57), "1/4 done, 1 failed, 1 running  0s, about 1m00s left  clim");
}

TEST(LiveObserver, counts_what_is_cached_and_what_backs_off) {
  WatchedRun run(Mode::live, {"x.a", "x.b"}, {}, {100, 24});
  run.begin();
  run.cached(0, std::chrono::hours(3));
  run.start(1);
  run.attempt_failed(1, 1, an_error(), Milliseconds(5000));
  run.text();
  run.tick(Milliseconds(100));
  EXPECT_NE(run.text().find("1/2 done, 1 cached, 0 running, 1 waiting to retry  0s  climate\n"
                            "  x.b  0s      next attempt in 5s\n"),
            std::string::npos);
}

TEST(LiveObserver, never_has_more_rows_than_the_screen) {
  std::vector<std::string> names;
  for (int i = 0; i < 300; ++i) names.push_back("x.größe-漢字-" + std::to_string(i));
  for (size_t rows = 2; rows <= 40; ++rows) {
    auto keys = std::make_shared<TypedKeys>();
    ObserverOptions options;
    options.keys = keys;
    WatchedRun run(Mode::live, names, options, {40, rows});
    run.begin();
    for (uint32_t i = 0; i < 200; ++i) run.start(i);
    for (uint32_t i = 0; i < 20; ++i) run.fail(i, an_error());
    for (int i = 0; i < 50; ++i) run.log(150, LogLevel::info, "line");
    run.tick(Milliseconds(100));
    for (const char* typed : {"", "l", "?", "?j"}) {
      keys->typed = typed;
      run.text();
      run.tick(Milliseconds(100));
      const std::string text = run.text();
      // What scrolls above does not count: the view follows the cleared screen, or is drawn in place.
      const auto lines = static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
      EXPECT_LE(lines, std::max<size_t>(rows, 3) - 1) << rows << typed;
    }
  }
}

TEST(LiveObserver, keys) {
  auto keys = std::make_shared<TypedKeys>();
  ObserverOptions options;
  options.keys = keys;
  WatchedRun run(Mode::live, {"x.a", "x.b", "x.c"}, options, {60, 24});
  run.begin();
  EXPECT_TRUE(keys->opened);
  run.start(0);
  run.start(1);
  run.log(0, LogLevel::info, "of a");
  run.log(1, LogLevel::warn, "of \x1b[2Jb");
  run.tick(Milliseconds(100));
  run.text();
  const auto press = [&](const std::string& typed) {
    keys->typed = typed;
    run.tick(Milliseconds(100));
    std::string out;
    for (char c : run.text()) out += c;
    for (size_t at; (at = out.find("\x1b[K")) != std::string::npos;) out.erase(at, 3);
    return out.substr(out.find('\n') + 1);  // without the header
  };
  EXPECT_EQ(press("l"),
            "  x.a  0s    \n"
            "  x.b  0s    \n"
            "── log of x.b ─────────────────────────────────────────────\n"
            "  warning: of b\n"
            "l hide the log  j/k select  q leave the view  ? keys\n\x1b[J");
  EXPECT_EQ(press("j"),
            "> x.a  0s    \n"
            "  x.b  0s    \n"
            "── log of x.a ─────────────────────────────────────────────\n"
            "  of a\n"
            "l hide the log  j/k select  q leave the view  ? keys\n\x1b[J");
  // An arrow, a key that means nothing, and one that means nothing and sends a sequence.
  EXPECT_EQ(press("\x1b[Bx\x1b[15~l"),
            "  x.a  0s    \n"
            "> x.b  0s    \n"
            "l log  j/k select  q leave the view  ? keys\n\x1b[J");
  EXPECT_EQ(press("?").substr(0, 31), "  l            show or hide the");
  EXPECT_EQ(press("?\x1b"),
            "  x.a  0s    \n"
            "  x.b  0s    \n"
            "l log  j/k select  q leave the view  ? keys\n\x1b[J");
}

TEST(LiveObserver, leaving_the_view_does_not_leave_the_run) {
  auto keys = std::make_shared<TypedKeys>();
  ObserverOptions options;
  options.keys = keys;
  WatchedRun run(Mode::live, {"x.a", "x.b"}, options, {60, 24});
  run.begin();
  run.start(0);
  run.fail(0, an_error());
  run.start(1);
  run.tick(Milliseconds(100));
  run.text();
  keys->typed = "q";
  run.tick(Milliseconds(100));
  EXPECT_EQ(run.text(),
            "\r\x1b[4A\x1b[J"
            "failed x.a 300ms: the file is empty\n"
            "The run goes on, with a line for each event.\n");
  EXPECT_TRUE(keys->closed);
  run.finish(1, InstanceResult::succeeded, Milliseconds(200));
  EXPECT_EQ(run.text(), "10:00:00  succeeded  x.b in 200ms\n");
  run.end(RunResult::failed, Milliseconds(300));
  EXPECT_NE(run.text().find("climate failed after 300ms: 1 succeeded, 1 failed\n"), std::string::npos);
}

TEST(LiveObserver, draws_anew_after_it_was_stopped_and_not_in_the_background) {
  auto keys = std::make_shared<TypedKeys>();
  ObserverOptions options;
  options.keys = keys;
  WatchedRun run(Mode::live, {"x.a"}, options, {60, 24});
  run.begin();
  run.start(0);
  run.tick(Milliseconds(100));
  run.text();
  keys->in_foreground = false;
  run.tick(Milliseconds(100));
  EXPECT_EQ(run.text(), "");
  keys->in_foreground = true;
  keys->went_on = true;
  run.tick(Milliseconds(100));
  EXPECT_EQ(run.text().substr(0, 9), "0/1 done,");  // nothing above is taken for the old view
}

TEST(LiveObserver, tells_of_hooks_and_expansions) {
  WatchedRun run(Mode::live, {"x.each"}, {}, {80, 24});
  run.begin();
  run.text();
  run.expand(0, {"x.each[\"a\"]", "x.each[\"b\"]"});
  run.hook("before_instance", 1, "skip", "closed\x1b[2J on Sundays");
  run.hook("before_instance", 2, "none", "");
  run.tick(Milliseconds(100));
  EXPECT_EQ(run.text(),
            "x.each: expanded into 2 instances\n"
            "hook before_instance of x.each[\"a\"]: skip: closed on Sundays (hooks/window.lua)\n"
            "[>                   ] 0/3 done, 0 running  0s  climate\n");
}

}  // namespace
}  // namespace pf::report
