// More of what may happen to a run: a worker that is stopped, state of other versions, a thousand failures,
// extensions that do not want to end.
#include <gmock/gmock.h>

#include <csignal>
#include <fstream>

#include "state/old_schemas.h"
#include "support/leftovers.h"
#include "support/processes.h"
#include "support/steps.h"

namespace pf::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(Faults, AStoppedWorkerEndsByItsTimeout) {
  const Steps project;
  Leftovers leftovers;
  Process core(project.running(
      "p:\n  t: [{name: s, spin: true, timeout: 1s}, {name: z, depends_on: [{name: t.s, when: done}]}]\n"));
  ASSERT_TRUE(core.wait_for(seen({"log t.s"})));
  int stopped = 0;
  for (const pid_t guardian : children_of(core.pid())) {
    for (const pid_t worker : children_of(guardian)) stopped += kill(worker, SIGSTOP) == 0 ? 1 : 0;
  }
  EXPECT_GE(stopped, 1);
  const auto run = told(core.finish());
  EXPECT_THAT(leftovers.wait(), IsEmpty());
  EXPECT_EQ(run.output.code, 1);
  EXPECT_THAT(results(run), ElementsAre("t.s timed_out", "t.z succeeded"));
}

TEST(Faults, StateOfAnOlderSchemaIsTakenOver) {
  for (const int version : {1, 2}) {
    const Steps project;
    project.extension("w", execute("outputs.x = self.name"));
    ASSERT_TRUE(state::make_old(project.path() / ".pangeo-forge", version));
    const std::string yaml = "p:\n  w: [{name: a}, {name: b}, {name: c}]\n";
    project.write("p.yaml", yaml);
    const auto before = project.forge({"outputs", "p.yaml", "--format", "json"});
    EXPECT_EQ(parse_json(before.out).value(), Json::parse(R"({"w":{"a":{"x":1},"b":{"x":2}}})"))
        << before.err;
    // The last run died: it can be gone on with, although the program of then did not know how.
    const auto run = project.run(yaml, {"--resume"});
    EXPECT_EQ(run.output.code, 0) << run.output.out << run.output.err;
    EXPECT_EQ(run.finished["run"], "old-2");
    EXPECT_EQ(run.outputs("w.c"), Json({{"x", "c"}}));
    EXPECT_THAT(results(project.run(yaml)), ElementsAre("w.a cached", "w.b cached", "w.c cached"));
  }
}

TEST(Faults, StateOfANewerSchemaIsLeftAlone) {
  const Steps project;
  const std::string yaml = "p:\n  t: [{name: a}]\n";
  project.run(yaml);
  const auto file = project.path() / ".pangeo-forge/state.db";
  {
    sqlite3* database = nullptr;
    ASSERT_EQ(sqlite3_open(file.c_str(), &database), SQLITE_OK);
    ASSERT_EQ(sqlite3_exec(database, "PRAGMA user_version=999", nullptr, nullptr, nullptr), SQLITE_OK);
    sqlite3_close(database);
  }
  const std::string before = project.read(".pangeo-forge/state.db");
  const auto run = project.run(yaml);
  EXPECT_EQ(run.output.code, 1);
  EXPECT_EQ(last(run.all, "error")["code"], "state.newer");
  EXPECT_THAT(starts(run), IsEmpty());
  EXPECT_EQ(project.read(".pangeo-forge/state.db"), before);
  EXPECT_NE(project.forge({"outputs", "p.yaml"}).code, 0);
}

// What a core leaves that is killed while it makes the database: a WAL of its header alone, and an index.
TEST(Faults, AWalWithNothingInItIsNoObstacle) {
  const Steps project;
  const std::string yaml = "p:\n  t: [{name: a}]\n";
  project.run(yaml);
  project.write(".pangeo-forge/state.db-wal",
                std::string("\x37\x7f\x06\x82\x00\x2d\xe2\x18\x00\x00\x10\x00\x00\x00\x00\x00"
                            "\xb8\xbb\x6f\xd5\x57\x0f\xff\x04\xaa\x56\xbe\xcb\x67\x3d\xa5\xc7",
                            32));
  project.write(".pangeo-forge/state.db-shm", std::string(32768, '\0'));
  const auto outputs = project.forge({"outputs", "p.yaml", "--format", "json"});
  EXPECT_EQ(parse_json(outputs.out).value(), Json::parse(R"({"t":{"a":{"ran":1}}})")) << outputs.err;
  EXPECT_THAT(results(project.run(yaml)), ElementsAre("t.a cached"));
}

TEST(Faults, AThousandFailuresAtOnce) {
  const Steps project;
  project.extension("f", execute("error('no ' .. self.name)"));
  std::string yaml = "p:\n  f:\n";
  for (int i = 0; i < 1000; ++i) yaml += "    - {name: n" + std::to_string(i) + "}\n";
  const auto run = project.run(yaml);
  EXPECT_EQ(run.output.code, 1);
  EXPECT_THAT(run.left, IsEmpty());
  ASSERT_EQ(run.finished["instances"].size(), 1000U);
  for (const auto& [address, instance] : run.finished["instances"].items()) {
    EXPECT_EQ(instance["result"], "failed");
    EXPECT_EQ(instance["attempts"], 1);
  }
  // All of it is on disk, and nothing is locked.
  const auto status = project.forge({"status", "p.yaml", "--format", "json"});
  EXPECT_EQ(status.code, 0) << status.err;
  EXPECT_EQ(project.run(yaml).output.code, 1);
}

// It catches every error, also that of being cancelled.
constexpr char kStubborn[] = R"(
  forge.log.info('executing')
  while true do pcall(forge.time.sleep, 0.01) end)";

TEST(Faults, AnExtensionThatIgnoresItsDeadlineIsEnded) {
  const Steps project;
  project.extension("s", execute(kStubborn));
  const auto run = project.run("p:\n  s: [{name: a, timeout: 300ms}]\n");
  EXPECT_EQ(run.output.code, 1);
  EXPECT_THAT(run.left, IsEmpty());
  EXPECT_EQ(run.result("s.a"), "timed_out");
}

TEST(Faults, AnExtensionThatIgnoresItsCancellationIsEnded) {
  const Steps project;
  project.extension("s", execute(kStubborn));
  Leftovers leftovers;
  Process core(project.running("p:\n  s: [{name: a}, {name: b, finally: true, deadline: 300ms}]\n"));
  ASSERT_TRUE(core.wait_for(seen({"log s.a"})));
  core.send(SIGINT);
  const auto run = told(core.finish());
  EXPECT_THAT(leftovers.wait(), IsEmpty());
  EXPECT_EQ(run.output.code, 130);
  EXPECT_THAT(results(run), ElementsAre("s.a cancelled", "s.b timed_out"));
}

}  // namespace
}  // namespace pf::test
