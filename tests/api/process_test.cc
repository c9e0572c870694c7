// forge.process through the door, with real programs below real shims.
#include <gmock/gmock.h>

#include <csignal>
#include <fstream>

#include "api/output_capture.h"
#include "fixture.h"
#include "worker/programs.h"
#include "worker/supervisor.h"

namespace pf::api {
namespace {

using testing::HasSubstr;

TEST(OutputCapture, KeepsBothEnds) {
  OutputCapture all(100);
  all.add("one\ntwo\n");
  all.add("");
  all.add("three");
  EXPECT_EQ(all.text(), "one\ntwo\nthree");
  EXPECT_FALSE(all.truncated());
  EXPECT_EQ(all.last(8, Mask()), "three");
  EXPECT_EQ(all.last(100, Mask()), "one\ntwo\nthree");

  OutputCapture small(8);
  for (const char* part : {"ab", "cdef", "ghijk", "l", "mn"}) small.add(part);
  EXPECT_TRUE(small.truncated());
  EXPECT_EQ(small.text(), "abcd\n… 6 bytes left out …\nklmn");
  small.add("0123456789");
  EXPECT_EQ(small.text(), "abcd\n… 16 bytes left out …\n6789");
  EXPECT_EQ(small.last(2, Mask()), "89");

  OutputCapture none(0);
  none.add("abc");
  EXPECT_EQ(none.text(), "\n… 3 bytes left out …\n");
  for (size_t limit = 1; limit < 12; ++limit) {
    OutputCapture exact(limit);
    for (char c = 'a'; c < static_cast<char>('a' + limit); ++c) exact.add({&c, 1});
    EXPECT_EQ(exact.text(), std::string("abcdefghijkl").substr(0, limit));
  }
}

class ProcessApi : public DoorTest {
 protected:
  ProcessApi() {
    signal(SIGPIPE, SIG_IGN);
    worker::Options options;
    options.program = PF_WORKER_PROGRAM;
    auto made = worker::Supervisor::start(loop_, options);
    EXPECT_TRUE(made) << made.error().text();
    supervisor_ = std::move(*made);
    session_.reset();
    door_ = Door::make(loop_, sink_, folder_.path() / "run/audit.jsonl", secrets_, &supervisor_->programs());
    Grants grants;
    grants.programs = {{"sh", false, true},
                       {"cat", false, true},
                       {"env", false, true},
                       {"no-such-program-here", false, true}};
    grants.env = {"PF_TEST_DECLARED"};
    open(grants);
  }
  ~ProcessApi() override {
    session_.reset();
    door_.reset();
    supervisor_.reset();
  }
  Result<Json> shell(const std::string& script, Json options = Json::object()) {
    return call("process.run", {{"sh", "-c", script}, std::move(options)});
  }
  std::string work() const { return (folder_.path() / "state/work/example/first").string(); }

  std::unique_ptr<worker::Supervisor> supervisor_;
};

TEST_F(ProcessApi, RunsAProgram) {
  auto got = call("process.run", {{"sh", "-c", "echo out; echo err >&2; pwd; exit 3"}});
  ASSERT_TRUE(got) << got.error().text();
  EXPECT_EQ((*got)["code"], 3);
  EXPECT_FALSE(got->contains("signal"));
  EXPECT_EQ((*got)["stdout"], "out\n" + work() + "\n");
  EXPECT_EQ((*got)["stderr"], "err\n");
  EXPECT_EQ((*got)["truncated"], false);
  EXPECT_GT((*got)["max_rss"], 100000);
  auto killed = shell("kill -9 $$");
  ASSERT_TRUE(killed);
  EXPECT_EQ((*killed)["code"], -1);
  EXPECT_EQ((*killed)["signal"], "SIGKILL");
  EXPECT_EQ((*call("process.run", {{"cat"}, {{"stdin", "typed"}}}))["stdout"], "typed");
  EXPECT_EQ((*call("process.run", {{"cat", "-", 5}, {{"stdin", "typed"}}}))["code"], 1);  // no file named 5
}

TEST_F(ProcessApi, TheEnvironmentHoldsNothingUndeclared) {
  setenv("PF_TEST_DECLARED", "declared", 1);
  setenv("PF_TEST_SECRET", "hidden", 1);
  setenv("PATH", "/usr/bin:/bin", 1);
  unsetenv("SSL_CERT_FILE");
  unsetenv("SSL_CERT_DIR");
  unsetenv("TZ");
  auto got = call("process.run", {{"env"}, {{"env", {{"MINE", "x y"}, {"N", 3}, {"LANG", "de_DE.UTF-8"}}}}});
  ASSERT_TRUE(got) << got.error().text();
  const std::string w = work();
  EXPECT_EQ((*got)["stdout"],
            "LANG=de_DE.UTF-8\nMINE=x y\nN=3\nPATH=/usr/bin:/bin\nHOME=" + w + "/home\nTMPDIR=" + w +
                "/tmp\nXDG_CACHE_HOME=" + w + "/home/.cache\nXDG_CONFIG_HOME=" + w +
                "/home/.config\nXDG_DATA_HOME=" + w + "/home/.local/share\nXDG_STATE_HOME=" + w +
                "/home/.local/state\nXDG_RUNTIME_DIR=" + w + "/tmp\nTERM=dumb\nPF_TEST_DECLARED=declared\n");
  EXPECT_EQ(value("env.get", {"PF_TEST_DECLARED"}), "\"declared\"");
  unsetenv("PF_TEST_DECLARED");
  EXPECT_EQ(value("env.get", {"PF_TEST_DECLARED"}), "null");
  EXPECT_EQ(value("env.get", {"PF_TEST_SECRET"}), "permission.env");
}

TEST_F(ProcessApi, AnUndeclaredProgramIsRefused) {
  const Error refused = error("process.run", Json::array({Json::array({"git", "status"})}));
  EXPECT_EQ(refused.code, "permission.programs");
  EXPECT_EQ(refused.message,
            "example.first (extension example) tried forge.process.run: the program git, which no entry of "
            "`programs` "
            "names");
  EXPECT_EQ(refused.hint, "add to /x/extension.yaml:\n  permissions:\n    programs: [git]");
  EXPECT_FALSE(refused.retryable);
  EXPECT_EQ(value("process.start", {{"git"}}), "permission.programs");
  // A path counts by its last part, and must be granted itself.
  EXPECT_EQ(value("process.run", {{"/bin/sh", "-c", "true"}}), "permission.read");
  EXPECT_EQ(value("process.run", {{"../sh"}}), "permission.read");
  EXPECT_EQ(value("process.run", {{"./git"}}), "permission.programs");
  EXPECT_EQ(sink_.refusals.size(), 5U);
}

TEST_F(ProcessApi, AProgramOfTheWorkFolder) {
  ASSERT_TRUE(shell("printf '#!/bin/sh\necho mine $1\n' > sh; chmod +x sh"));
  auto got = call("process.run", Json::array({Json::array({"./sh", "x"})}));
  ASSERT_TRUE(got) << got.error().text();
  EXPECT_EQ((*got)["stdout"], "mine x\n");
  EXPECT_EQ(value("process.run", {{"./missing/sh"}}), "process.not_found");
}

TEST_F(ProcessApi, ALinkToAProgramElsewhereOpensNothing) {
  const auto elsewhere = folder_.path() / "elsewhere";
  folder_.write("elsewhere", "#!/bin/sh\necho private\n");
  std::filesystem::permissions(elsewhere, std::filesystem::perms(0755));
  ASSERT_TRUE(shell("ln -s '" + elsewhere.string() + "' sh"));
  EXPECT_EQ(error("process.run", Json::array({Json::array({"./sh"})})).message,
            "cannot execute " + work() + "/sh: Permission denied");
}

TEST_F(ProcessApi, EachErrorHasItsCode) {
  EXPECT_EQ(value("process.run", {{"no-such-program-here"}}), "process.not_found");
  EXPECT_EQ(value("process.run", {Json::array()}), "call.argument");
  EXPECT_EQ(value("process.run", {{Json::object()}}), "call.argument");
  EXPECT_EQ(value("process.run", {{"sh"}, {{"shell", true}}}), "call.argument");
  EXPECT_EQ(value("process.run", {{"sh"}, {{"env", {{"A=B", "x"}}}}}), "call.argument");
  EXPECT_EQ(value("process.run", {{"sh"}, {{"env", {{"A", std::string("x\0y", 3)}}}}}), "call.argument");
  EXPECT_EQ(value("process.run", {{"sh"}, {{"timeout", 0}}}), "call.argument");
  EXPECT_EQ(value("process.run", {{"sh"}, {{"max_output", 8 << 20}}}), "call.argument");
  EXPECT_EQ(value("process.run", {{"sh"}, {{"cwd", "/etc"}}}), "permission.read");
  EXPECT_EQ(value("process.run", {{"sh"}, {{"cwd", "missing"}}}), "process.start");
  const Error failed =
      error("process.run", {{"sh", "-c", "echo first; echo why >&2; exit 4"}, {{"check", true}}});
  EXPECT_EQ(failed.code, "process.failed");
  EXPECT_EQ(failed.message, "'sh -c echo first; echo why >&2; exit 4' ended with exit status 4: why");
  const Error killed = error("process.run", {{"sh", "-c", "kill -15 $$"}, {{"check", true}}});
  EXPECT_THAT(killed.message, HasSubstr("was ended by SIGTERM"));
  const Error late = error("process.run", {{"sh", "-c", "echo waiting; sleep 100"}, {{"timeout", 0.1}}});
  EXPECT_EQ(late.code, "process.timeout");
  EXPECT_EQ(late.message, "'sh -c echo waiting; sleep 100' was ended after 100ms: waiting");
  EXPECT_EQ(value("process.read", {1}), "process.handle");
  EXPECT_EQ(value("process.kill", {0}), "process.handle");
  EXPECT_EQ(value("process.kill", {1.5}), "call.argument");
}

TEST_F(ProcessApi, LongOutputKeepsBothEnds) {
  auto got = shell("seq 1 1000000", {{"max_output", 100}});
  ASSERT_TRUE(got);
  EXPECT_EQ((*got)["truncated"], true);
  const auto text = (*got)["stdout"].get<std::string>();
  EXPECT_EQ(text.substr(0, 10), "1\n2\n3\n4\n5\n");
  EXPECT_THAT(text, HasSubstr("6888796 bytes left out"));
  EXPECT_TRUE(text.ends_with("999999\n1000000\n"));
  // Ten times what is kept at most, and bytes that are no text.
  got = shell("head -c 70000000 /dev/zero; printf '\\377'");
  ASSERT_TRUE(got);
  EXPECT_EQ((*got)["stdout"].get_binary().size(),
            (1U << 20) + std::string("\n… 68951425 bytes left out …\n").size());
}

TEST_F(ProcessApi, LinesAsTheyCome) {
  auto started =
      call("process.start", {{"sh", "-c", "echo one; read x < fifo; echo two >&2; printf three; exit 5"}});
  ASSERT_TRUE(started) << started.error().text();
  EXPECT_EQ(*started, 1);
  EXPECT_EQ(value("process.read", {1}), R"({"lines":[{"stream":"stdout","text":"one"}]})");
  Json lines = Json::array();
  Json result;
  while (result.is_null()) {
    auto news = call("process.read", {1});
    ASSERT_TRUE(news) << news.error().text();
    for (auto& line : (*news)["lines"])
      lines.push_back(line["stream"].get<std::string>() + ":" + line["text"].get<std::string>());
    result = news->value("result", Json());
  }
  EXPECT_THAT(lines.dump(), HasSubstr("stderr:two"));
  EXPECT_THAT(lines.dump(), HasSubstr("stdout:three"));
  EXPECT_EQ(result["code"], 5);
  EXPECT_EQ(value("process.read", {1}), "process.handle");
}

TEST_F(ProcessApi, AStartedProgramCanBeEnded) {
  ASSERT_TRUE(call("process.start", {{"sh", "-c", "sleep 1000"}}));
  EXPECT_EQ(value("process.kill", {1}), "null");
  auto end = call("process.read", {1});
  ASSERT_TRUE(end) << end.error().text();
  EXPECT_EQ((*end)["result"]["signal"], "SIGKILL");
}

TEST_F(ProcessApi, ManyLinesWaitForTheirReader) {
  ASSERT_TRUE(call("process.start", {{"sh", "-c", "seq 1 300000; touch end"}}));
  EXPECT_EQ((*shell("sleep 0.05; ls"))["stdout"], "home\ntmp\n");
  size_t count = 0;
  while (true) {
    auto news = call("process.read", {1});
    ASSERT_TRUE(news);
    EXPECT_LE((*news)["lines"].size(), 1000U);
    for (const auto& line : (*news)["lines"]) ASSERT_EQ(line["text"], std::to_string(++count));
    if (news->contains("result")) break;
  }
  EXPECT_EQ(count, 300000U);
}

TEST_F(ProcessApi, EndWithTheirAttempt) {
  ASSERT_TRUE(call("process.start", {{"sh", "-c", "echo $$ > pid; exec sleep 1000"}}));
  session_->call(registry::find("process.run"), to_cbor(Json{{"sh", "-c", "sleep 1000"}}),
                 [](Result<std::string>) { FAIL(); });
  const auto file = std::filesystem::path(work()) / "pid";
  pid_t pid = 0;
  while (pid == 0) {
    loop_.restart();
    loop_.run_for(std::chrono::milliseconds(5));
    std::ifstream(file) >> pid;
  }
  session_.reset();
  while (kill(pid, 0) == 0) {
    loop_.restart();
    loop_.run_for(std::chrono::milliseconds(5));
  }
  EXPECT_EQ(errno, ESRCH);
}

TEST_F(ProcessApi, CallsAreAudited) {
  ASSERT_TRUE(shell("true"));
  EXPECT_EQ(value("process.run", {{"git"}}), "permission.programs");
  supervisor_.reset();
  const auto lines = audit();
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[0]["call"], "process.run");
  EXPECT_EQ(lines[0]["target"], "sh -c true");
  EXPECT_EQ(lines[1]["code"], "permission.programs");
}

}  // namespace
}  // namespace pf::api
