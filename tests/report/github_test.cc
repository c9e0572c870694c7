#include "report/github.h"

#include <gtest/gtest.h>

#include "report/watched_run.h"
#include "support/program.h"

namespace pf::report {
namespace {

using orchestrator::LogLevel;
using state::InstanceResult;
using state::RunResult;
using test::an_error;
using test::WatchedRun;

ObserverOptions on_github() {
  ObserverOptions options;
  options.github = true;
  return options;
}

std::string annotation(const Error& error, const std::string& title) {
  std::string out;
  append_annotation(out, error, title);
  return guarded(out);
}

TEST(Github, escapes_as_its_toolkit_does) {
  EXPECT_EQ(command_data("100%\r\na:b,c"), "100%25%0D%0Aa:b,c");
  EXPECT_EQ(command_property("100%\r\na:b,c"), "100%25%0D%0Aa%3Ab%2Cc");
}

TEST(Github, annotations) {
  ::unsetenv("GITHUB_WORKSPACE");
  EXPECT_EQ(annotation(an_error(), "example.b"),
            "::error file=prod.yaml,line=12,col=5,title=example.b::the file is empty [lua.error]%0Ahint: put "
            "words into it\n");
  Error error;
  error.message = "50%\n::error::x";
  error.where.path = "only a path";
  EXPECT_EQ(annotation(error, "a:b,c"), "::error title=a%3Ab%2Cc::50%25%0A::error::x\n");
  EXPECT_EQ(annotation(error, ""), "::error::50%25%0A::error::x\n");
  ::setenv("GITHUB_WORKSPACE", "/work/repository", 1);
  error.where = {"/work/repository/pipelines/p.yaml", 3, 0, {}};
  EXPECT_EQ(annotation(error, "x"), "::error file=pipelines/p.yaml,line=3,title=x::50%25%0A::error::x\n");
  error.where.file = "/work/other/p.yaml";
  EXPECT_EQ(annotation(error, "x"), "::error file=/work/other/p.yaml,line=3,title=x::50%25%0A::error::x\n");
  ::unsetenv("GITHUB_WORKSPACE");
}

TEST(Github, nobody_elses_text_is_a_command) {
  EXPECT_EQ(guarded("::error::x\n"), ": :error::x\n");
  EXPECT_EQ(guarded("  \xC2\xA0::add-mask::x\n"), "  \xC2\xA0: :add-mask::x\n");
  EXPECT_EQ(guarded("a ::error::x\n"), "a ::error::x\n");
  EXPECT_EQ(guarded("a ##[error]x ##[b]\n"), "a # #[error]x # #[b]\n");
  EXPECT_EQ(guarded("###[error]"), "## #[error]");
  std::string group;
  append_group(group, "100%\nb", "::endgroup::\nline\n");
  EXPECT_EQ(guarded(group), "::group::100%25%0Ab\n: :endgroup::\nline\n::endgroup::\n");
}

TEST(Github, logs_are_groups_and_failures_annotations) {
  WatchedRun run(Mode::lines, {"x.a", "x.b", "x.c"}, on_github());
  run.begin();
  run.start(0);
  run.log(0, LogLevel::info, "hello\n::error::no");
  run.finish(0, InstanceResult::succeeded, Milliseconds(5), {{"n", 1}});
  run.finish(1, InstanceResult::succeeded, Milliseconds(5));
  run.log(2, LogLevel::warn, "##[error]no");
  Error error = an_error();
  error.message = "it broke\n::stop-commands::x";
  run.fail(2, error);
  EXPECT_EQ(
      run.text(),
      "Running climate of prod.yaml: 3 instances\n"
      "::group::10:00:00  succeeded  x.a in 5ms  n=1\n"
      "10:00:00  info       x.a: hello\n"
      "10:00:00  info       x.a: ::error::no\n"
      "::endgroup::\n"
      "10:00:00  succeeded  x.b in 5ms\n"
      "::group::Log of x.c\n"
      "10:00:00  warning    x.c: # #[error]no\n"
      "::endgroup::\n"
      "10:00:00  failed     x.c 300ms\n"
      "            prod.yaml:12:5: it broke\n"
      "              : :stop-commands::x [lua.error]\n"
      "              hint: put words into it\n"
      "::error file=prod.yaml,line=12,col=5,title=x.c::it broke%0A::stop-commands::x [lua.error]%0Ahint: put "
      "words into it\n");
}

TEST(Github, summary_of_the_job) {
  pf::test::Folder folder;
  folder.write("summary.md", "before\n");
  test::Told tell;
  {
    WatchedRun run({"x.a", "x.b"}, make_step_summary((folder.path() / "summary.md").string(), tell));
    run.begin();
    run.finish(0, InstanceResult::succeeded, Milliseconds(5));
    Error error = an_error();
    error.message = "<script> | `x`\n# heading";
    run.fail(1, error, 2);
    run.end(RunResult::failed, Milliseconds(9), "pangeo-forge run prod.yaml");
  }
  EXPECT_EQ(
      folder.read("summary.md"),
      "before\n"
      "### climate failed after 9ms&#58; 1 succeeded, 1 failed\n"
      "\n"
      "| result | instances |\n"
      "| --- | ---: |\n"
      "| succeeded | 1 |\n"
      "| failed | 1 |\n"
      "\n"
      "| failed | attempts | time | error |\n"
      "| --- | ---: | ---: | --- |\n"
      "| x&#46;b | 2 | 300ms | &lt;script&gt; &#124; &#96;x&#96; &#35; heading (lua&#46;error)<br>hint: put "
      "words into it |\n"
      "\n"
      "To go on: pangeo&#45;forge run prod&#46;yaml\n"
      "\n");
  EXPECT_TRUE(tell.errors.empty());
  WatchedRun run({"x.a"}, make_step_summary((folder.path() / "none/summary.md").string(), tell));
  run.begin();
  run.finish(0, InstanceResult::succeeded, Milliseconds(5));
  run.end(RunResult::succeeded, Milliseconds(9));
  ASSERT_EQ(tell.errors.size(), 1U);
  EXPECT_EQ(tell.errors[0].code, "report.write");
}

}  // namespace
}  // namespace pf::report
