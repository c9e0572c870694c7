// The wall clock is set, by hours, forth and back, while runs go on and between them.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include <csignal>

#include "support/steps.h"

namespace pf::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr int64_t kHour = 3600;

class Clocks : public testing::Test {
 protected:
  void SetUp() override {
#ifdef PF_SANITIZED
    GTEST_SKIP() << "the sanitizers must be loaded first";
#endif
    project.write("clock", std::string(sizeof(int64_t), '\0'));
  }
  void set(int64_t seconds) const {
    const int fd = open((project.path() / "clock").c_str(), O_WRONLY | O_CLOEXEC);
    EXPECT_EQ(pwrite(fd, &seconds, sizeof seconds, 0), static_cast<ssize_t>(sizeof seconds));
    close(fd);
  }
  Process::Options under(Process::Options options) const {
    const auto shim =
        std::filesystem::path(program()).parent_path().parent_path() / "lib/libpf_clock_shim.so";
    options.environment["LD_PRELOAD"] = shim;
    options.environment["PF_TEST_CLOCK"] = project.path() / "clock";
    return options;
  }
  RunResult run(const std::string& yaml, std::vector<std::string> more = {}) const {
    return told(pf::test::run(under(project.running(yaml, std::move(more)))));
  }
  Output forge(std::vector<std::string> args) const {
    return pf::test::run(under(project.command(std::move(args))));
  }
  const Steps project;
};

TEST_F(Clocks, JumpsEndNothingAndNoDurationIsWrong) {
  Process core(under(project.running(R"(p:
  core: {deadline: 10m}
  t:
    - {name: a, wait: 1, timeout: 5m, deadline: 6m}
    - {name: b, wait: 1, timeout: 5m}
    - {name: f, failures: 1, max_attempts: 2, wait: 1, retry: {delay: 100ms, jitter: none}, deadline: 6m}
    - {name: clean, finally: true, depends_on: [t.a]}
)",
                                     {"--report", "r.html"})));
  ASSERT_TRUE(core.wait_for(seen({"log t.a", "log t.b", "log t.f"})));
  set(5 * kHour);
  project.let_go("b");
  ASSERT_TRUE(core.wait_for(seen({"instance_finished t.b"})));
  const auto status = forge({"status", "p.yaml", "--format", "json"});
  EXPECT_EQ(status.code, 0) << status.err;
  set(-7 * kHour);
  project.let_go("f");
  ASSERT_TRUE(core.wait_for(seen({"instance_finished t.f"})));
  EXPECT_EQ(forge({"run", "p.yaml"}).code, 4);  // the folder is still held
  set(9 * kHour);
  project.let_go("a");
  ASSERT_TRUE(core.wait_for(seen({"instance_finished t.a"})));
  set(-2 * kHour);
  const auto run = told(core.finish());
  EXPECT_EQ(run.output.code, 0) << run.output.out;
  EXPECT_THAT(results(run),
              ElementsAre("t.a succeeded", "t.b succeeded", "t.clean succeeded", "t.f succeeded"));
  constexpr int kMost = 240'000;  // milliseconds; an hour has more
  const auto sane = [](const Json& duration) { return duration >= 0 && duration < kMost; };
  EXPECT_TRUE(sane(run.finished["duration_ms"])) << run.finished;
  for (const Json& instance : run.finished["instances"])
    EXPECT_TRUE(sane(instance["duration_ms"])) << instance;
  const auto kept = parse_json(forge({"runs", "export", "p.yaml"}).out).value();
  for (const char* list : {"instances", "attempts"}) {
    for (const Json& one : kept[list]) EXPECT_TRUE(sane(one["duration_ms"])) << one;
  }
  const auto list = parse_json(forge({"runs", "list", "p.yaml", "--format", "json"}).out).value();
  EXPECT_TRUE(sane(list["runs"][0]["duration_ms"])) << list;
}

TEST_F(Clocks, TheHistoryKeepsItsOrder) {
  const std::string yaml = "p:\n  t: [{name: a, cache: never}]\n";
  std::vector<std::string> ids;
  for (const int64_t hours : {5, -5, 0}) {
    set(hours * kHour);
    ids.insert(ids.begin(), run(yaml).finished["run"]);
  }
  const auto list = parse_json(forge({"runs", "list", "p.yaml", "--format", "json"}).out).value();
  std::vector<std::string> listed;
  for (const Json& one : list["runs"]) listed.push_back(one["run"]);
  EXPECT_EQ(listed, ids);
  EXPECT_EQ(parse_json(forge({"outputs", "p.yaml", "--format", "json"}).out).value(),
            Json::parse(R"({"t":{"a":{"ran":3}}})"));
  const auto status = parse_json(forge({"status", "p.yaml", "--format", "json"}).out).value();
  EXPECT_EQ(status["run"], ids.front());
}

TEST_F(Clocks, AnAgeThatNobodyKnowsIsTooOld) {
  const std::string yaml = "p:\n  t: [{name: a, cache: {max_age: 1h}}]\n";
  EXPECT_THAT(results(run(yaml)), ElementsAre("t.a succeeded"));
  EXPECT_THAT(results(run(yaml)), ElementsAre("t.a cached"));
  set(2 * kHour);
  EXPECT_THAT(results(run(yaml)), ElementsAre("t.a succeeded"));
  set(0);
  const auto back = run(yaml);
  EXPECT_THAT(results(back), ElementsAre("t.a succeeded"));
  EXPECT_THAT(last(back.all, "instance_started").dump(), HasSubstr("bears a time to come"));
  set(-30);  // what clocks are off by
  EXPECT_THAT(results(run(yaml)), ElementsAre("t.a cached"));
}

TEST_F(Clocks, ResultsOfATimeToComeAreCachedAndTold) {
  const std::string yaml = "p:\n  t: [{name: a}]\n";
  set(5 * kHour);
  run(yaml);
  set(0);
  const auto text = forge({"run", "p.yaml"});
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_THAT(text.out, HasSubstr("the result is 0 s old"));
  EXPECT_THAT(text.out, HasSubstr("t.a: 0 s old"));
}

TEST_F(Clocks, ARunGoesOnAfterAJump) {
  const std::string yaml = "p:\n  t: [{name: a, cache: never}, {name: w, wait: 1, depends_on: [t.a]}]\n";
  set(5 * kHour);
  Process core(under(project.running(yaml)));
  ASSERT_TRUE(core.wait_for(seen({"instance_finished t.a", "log t.w"})));
  core.send(SIGKILL);
  core.finish();
  set(-5 * kHour);
  project.let_go("w");
  const auto resumed = run(yaml, {"--resume"});
  EXPECT_EQ(resumed.output.code, 0) << resumed.output.out;
  EXPECT_THAT(starts(resumed), ElementsAre("t.w 1"));
  const auto list = parse_json(forge({"runs", "list", "p.yaml", "--format", "json"}).out).value();
  EXPECT_GE(list["runs"][0]["duration_ms"], 0);
}

}  // namespace
}  // namespace pf::test
