#include <gtest/gtest.h>

#include <ctime>

#include "base/digest.h"
#include "report/files.h"
#include "report/html_parts.h"
#include "report/html_report.h"
#include "report/watched_run.h"
#include "support/program.h"

namespace pf::report {
namespace {

using orchestrator::LogLevel;
using pf::test::Folder;
using state::InstanceResult;
using state::RunResult;
using test::an_error;
using test::Told;
using test::WatchedRun;

size_t count(const std::string& text, const std::string& what) {
  size_t n = 0;
  for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += what.size()) ++n;
  return n;
}

bool holds(const std::string& text, const std::string& what) { return text.find(what) != std::string::npos; }

/// What stands in the element of the data, as JSON.
Json data_of(const std::string& page) {
  const std::string open = "<script type=\"application/json\" id=\"data\">";
  const size_t from = page.find(open) + open.size();
  const auto json = parse_json(page.substr(from, page.find("</script>", from) - from));
  EXPECT_TRUE(json) << json.error().text();
  return json ? *json : Json();
}

/// A run with one of everything.
std::string page_of_a_run() {
  Folder folder;
  Told told;
  WatchedRun run({"x.a", "x.b", "x.c", "y.d"}, make_html_report((folder.path() / "r.html").string(), told));
  run.upstream = {{}, {0}, {1}, {0}};
  run.begin();
  run.start(0, 1, "region: a -> b at prod.yaml:14:7");
  run.log(0, LogLevel::info, "hello", {{"n", 1}});
  run.clock.advance(Milliseconds(1000));
  run.resources(0, 1'500'000, 4096);
  run.finish(0, InstanceResult::succeeded, Milliseconds(1000), {{"words", 7}});
  run.start(1);
  run.clock.advance(Milliseconds(500));
  run.attempt_failed(1, 1, an_error(), Milliseconds(1000));
  run.clock.advance(Milliseconds(1000));
  run.start(1, 2);
  run.clock.advance(Milliseconds(500));
  Error refused;
  refused.code = "permission.http";
  refused.message = "no permission for example.org";
  refused.hint = "add it";
  run.refuse(1, "http.get", refused);
  run.fail(1, an_error(), 2, "/state/work/x/b");
  run.block(2, "x.b");
  run.hook("before_instance", 3, "skip", "closed on Sundays");
  run.cached(3, std::chrono::hours(3));
  run.end(RunResult::failed, Milliseconds(3000), "pangeo-forge run prod.yaml", 1, std::chrono::hours(3),
          "x.b");
  EXPECT_TRUE(told.errors.empty());
  return folder.read("r.html");
}

TEST(HtmlReport, holds_the_whole_story) {
  const std::string page = page_of_a_run();
  EXPECT_TRUE(holds(page, "<h1>climate <span class=\"verdict v-failed\">failed</span></h1>"));
  EXPECT_TRUE(holds(page, "<li class=\"r-failed\" data-result=\"failed\"><b>1</b> <span>failed</span></li>"));
  EXPECT_TRUE(holds(page, "<code>pangeo-forge run prod.yaml</code>"));
  EXPECT_TRUE(holds(page, "3 h old"));
  // What failed.
  EXPECT_TRUE(holds(page,
                    "<h3><a href=\"#i1\">x.b</a> <span>failed after 2 attempts, 300ms</span></h3>\n"
                    "<p class=\"error\"><span class=\"where\">prod.yaml:12:5</span> the file is empty "
                    "<code>lua.error</code></p>\n<p class=\"hint\">Hint: put words into it</p>"));
  EXPECT_TRUE(holds(page, "Its files are in /state/work/x/b"));
  // The timeline: two that ran, one of them twice, with the pause between.
  EXPECT_EQ(count(page, "class=\"wait\""), 2U);
  EXPECT_TRUE(holds(
      page, "<rect class=\"r-succeeded\" x=\"0.000%\" width=\"33.333%\" y=\"2\" height=\"14\" rx=\"2\">"));
  EXPECT_TRUE(holds(page, "<rect class=\"r-retried\" x=\"33.333%\" width=\"16.667%\""));
  EXPECT_TRUE(holds(page, "<rect class=\"r-failed\" x=\"83.333%\" width=\"16.667%\""));
  // The graph.
  EXPECT_EQ(count(page, "<a class=\"node "), 4U);
  EXPECT_EQ(count(page, "<path class=\"edge\""), 3U);
  EXPECT_TRUE(holds(page, "<title>x.c: blocked</title>"));
  // Hooks, refusals, sandbox.
  EXPECT_TRUE(holds(page,
                    "<td>before_instance</td><td><a href=\"#i3\">y.d</a></td><td>skip</td>"
                    "<td>closed on Sundays</td><td>hooks/window.lua</td><td>12ms</td>"));
  EXPECT_TRUE(holds(page, "1 call of extensions was refused"));
  EXPECT_TRUE(holds(page, "http.get: no permission for example.org [permission.http] hint: add it"));
  EXPECT_TRUE(holds(page, "<div><dt>seccomp</dt><dd>yes</dd></div>"));
  // The table's data.
  const Json data = data_of(page);
  ASSERT_EQ(data.size(), 4U);
  EXPECT_EQ(data[0], Json({{"a", "x.a"},
                           {"r", "succeeded"},
                           {"s", 0},
                           {"n", 1},
                           {"d", 1000},
                           {"u", 1500},
                           {"p", 4096},
                           {"y", "region: a -> b at prod.yaml:14:7"},
                           {"o", Json::array({Json::array({"words", "7"})})},
                           {"l", "10:00:00 info hello  n=1\n"}}));
  EXPECT_EQ(data[1]["x"][0]["c"], "lua.error");
  EXPECT_EQ(data[1]["e"]["t"], "extension.lua:12: in function 'execute'");
  EXPECT_EQ(data[2], Json({{"a", "x.c"}, {"r", "blocked"}, {"b", "x.b"}}));
  EXPECT_EQ(
      data[3],
      Json({{"a", "y.d"}, {"r", "cached"}, {"y", "nothing has changed"}, {"k", "2026-11-21T07:00:03.000Z"}}));
}

TEST(HtmlReport, needs_nothing_else_and_runs_only_its_own_script) {
  const std::string page = page_of_a_run();
  const auto hash = [](std::string_view text) {
    const auto digest = sha256(text);
    return base64_encode({reinterpret_cast<const char*>(digest.data()), digest.size()});
  };
  EXPECT_TRUE(holds(
      page, "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-" +
                hash(page_style()) + "'; script-src 'sha256-" + hash(page_script()) +
                "'; base-uri 'none'; form-action 'none'\">"));
  for (const char* outside :
       {"http://", "https://", "src=", "url(h", "@import", "<link", "<iframe", " style=", " onclick"})
    EXPECT_FALSE(holds(page, outside)) << outside;
  EXPECT_EQ(count(page, "<script"), 2U);
  EXPECT_EQ(count(page, "<style"), 1U);
}

TEST(HtmlReport, nothing_of_others_becomes_markup) {
  const std::string evil = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'><!--";
  Folder folder;
  Told told;
  WatchedRun run({"x." + evil, "y<b>.b"}, make_html_report((folder.path() / "r.html").string(), told));
  run.upstream = {{}, {0}};
  run.change = [&](orchestrator::RunStarted& event) {
    event.pipeline = event.file = event.profile = event.log_file = event.run = evil;
  };
  run.begin();
  run.start(0, 1, evil);
  run.log(0, LogLevel::error, evil + "\n\x1b[2J\xFF\xE2\x80\xAE", {{evil, evil}});
  Error error;
  error.code = error.message = error.hint = error.traceback = error.where.file = evil;
  run.attempt_failed(0, 1, error, Milliseconds(1));
  run.start(0, 2, evil);
  run.refuse(0, evil, error);
  run.fail(0, error, 2, evil);
  run.hook(evil, 0, evil, evil);
  run.finish(1, InstanceResult::succeeded, Milliseconds(1), {{evil, {evil, {{evil, evil}}}}});
  run.break_down(error);
  run.end(RunResult::failed, Milliseconds(9), evil, 1);
  const std::string page = folder.read("r.html");
  EXPECT_EQ(count(page, "<script"), 2U);
  EXPECT_EQ(count(page, "</script"), 2U);
  EXPECT_EQ(count(page, "<img"), 0U);
  EXPECT_EQ(count(page, "<!--"), 0U);
  EXPECT_EQ(count(page, "<b>"), 2U);  // the counts of two results
  EXPECT_EQ(page.find('\x1b'), std::string::npos);
  EXPECT_EQ(page.find("\xE2\x80\xAE"), std::string::npos);
  const Json data = data_of(page);
  EXPECT_EQ(data[0]["a"], "x." + evil);
  EXPECT_EQ(data[0]["e"]["m"], evil);
  EXPECT_EQ(data[1]["o"][0][0], evil);
}

TEST(HtmlReport, ten_thousand_instances_are_a_page_that_can_be_opened) {
  std::vector<std::string> names;
  for (int i = 0; i < 10'000; ++i)
    names.push_back("section" + std::to_string(i % 7) + ".instance-" + std::to_string(i));
  Folder folder;
  Told told;
  WatchedRun run(names, make_html_report((folder.path() / "r.html").string(), told));
  for (uint32_t i = 0; i < 10'000; ++i)
    run.upstream.push_back(i < 7 ? std::vector<uint32_t>{} : std::vector<uint32_t>{i - 7, i - 6});
  const std::clock_t begun = std::clock();  // of the CPU: others may keep it busy
  run.begin();
  const std::string line(200, 'x');
  for (uint32_t i = 0; i < 10'000; ++i) {
    run.start(i, 1, "never succeeded before");
    for (int l = 0; l < 20; ++l) run.log(i, LogLevel::info, line);
    run.clock.advance(Milliseconds(10));
    if (i % 100 == 3)
      run.fail(i, an_error());
    else
      run.finish(i, InstanceResult::succeeded, Milliseconds(10), {{"text", line}, {"n", i}});
  }
  run.end(RunResult::failed, Milliseconds(100'000));
  const auto took = (std::clock() - begun) / CLOCKS_PER_SEC;
  const std::string page = folder.read("r.html");
  EXPECT_LT(page.size(), 20U << 20);
  EXPECT_GT(page.size(), 5U << 20);  // what fits is kept
  EXPECT_LT(took, 20);
  RecordProperty("megabytes", static_cast<int>(page.size() >> 20));
  EXPECT_TRUE(holds(page, "10000 instances ran; those that follow each other share a row."));
  EXPECT_TRUE(holds(
      page, "10000 instances with 19986 dependencies are too many to be drawn: these are their sections."));
  EXPECT_TRUE(holds(page, "So that this page stays small enough to be opened, "));
  EXPECT_TRUE(holds(page, "and 75 more, in the table below"));
  EXPECT_EQ(data_of(page).size(), 10'000U);
}

TEST(HtmlReport, a_talkative_instance_keeps_its_last_lines) {
  Folder folder;
  Told told;
  WatchedRun run({"x.a"}, make_html_report((folder.path() / "r.html").string(), told));
  run.begin();
  run.start(0);
  for (int i = 0; i < 10'000; ++i) run.log(0, LogLevel::info, "line " + std::to_string(i));
  run.finish(0, InstanceResult::succeeded, Milliseconds(1));
  run.end(RunResult::succeeded, Milliseconds(2));
  const Json one = data_of(folder.read("r.html"))[0];
  const auto log = one["l"].get<std::string>();
  EXPECT_LE(log.size(), 32U * 1024);
  EXPECT_EQ(log.substr(log.size() - 25), "\n10:00:00 info line 9999\n");
  EXPECT_EQ(one["lc"].get<size_t>() + count(log, "\n"), 10'000U);
}

TEST(HtmlReport, is_written_when_nothing_ran) {
  Folder folder;
  Told told;
  WatchedRun run({"x.a", "x.each"}, make_html_report((folder.path() / "r.html").string(), told));
  run.begin();
  run.expand(1, {"x.each[\"b\"]"});
  run.start(2);  // and never ended
  run.end(RunResult::cancelled, Milliseconds(0));
  const std::string page = folder.read("r.html");
  EXPECT_TRUE(holds(page, "<span class=\"verdict v-cancelled\">cancelled</span>"));
  EXPECT_EQ(data_of(page)[2]["a"], "x.each[\"b\"]");
  EXPECT_FALSE(holds(page, "h-graph"));  // nobody told what waits for what
}

TEST(ReportFile, is_tried_before_a_run) {
  Folder folder;
  const auto code = [&](const std::string& name) {
    const auto good = check_file("the report", (folder.path() / name).string());
    return good
               ? std::string()
               : good.error().code + ": " + good.error().message.substr(good.error().message.rfind(": ") + 2);
  };
  EXPECT_EQ(code("r.html"), "");
  folder.write("there.html", "");
  EXPECT_EQ(code("there.html"), "");
  EXPECT_EQ(code("none/r.html"), "report.file: No such file or directory");
  EXPECT_EQ(code("there.html/r.html"),
            "report.file: " + (folder.path() / "there.html").string() + " is no folder");
  EXPECT_EQ(code(""), "report.file: it names a folder");
  std::filesystem::create_directory(folder.path() / "folder");
  EXPECT_EQ(code("folder"), "report.file: it is there and no regular file");
  EXPECT_TRUE(check_file("the report", "r.html"));
}

}  // namespace
}  // namespace pf::report
