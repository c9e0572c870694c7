// A disk that breaks under the store while the whole program runs: from the Nth write or sync on all fail. It
// is said, nothing runs on, and with a disk that works `--resume` comes to the same end.
#include <gmock/gmock.h>
#include <sqlite3.h>

#include <map>

#include "support/leftovers.h"
#include "support/steps.h"

namespace pf::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr char kYaml[] = R"(p:
  core: {execution_defaults: {cache: never}}
  t:
    - {name: a}
    - {name: b, depends_on: [t.a]}
    - {name: f, failures: 1, max_attempts: 2}
    - {name: c, depends_on: [t.b, t.f]}
    - {name: clean, finally: true, depends_on: [t.c]}
)";
constexpr const char* kNames[] = {"a", "b", "f", "c"};

std::string integrity(const std::filesystem::path& file) {
  sqlite3* database = nullptr;
  std::string out = "not opened";
  if (sqlite3_open(file.c_str(), &database) == SQLITE_OK) {
    sqlite3_exec(
        database, "PRAGMA integrity_check",
        [](void* to, int, char** columns, char**) {
          *static_cast<std::string*>(to) = columns[0];
          return 0;
        },
        &out, nullptr);
  }
  sqlite3_close(database);
  return out;
}

// What was told of `t.NAME`.
bool told_success(const RunResult& run, const std::string& name) {
  for (const Json& event : run.all) {
    if (event.value("event", "") == "instance_finished" && event["instance"] == "t." + name)
      return event["result"] == "succeeded";
  }
  return false;
}

/// One run with this fault, and what comes after it. True: the fault struck.
bool try_fault(const std::string& fault, bool fresh) {
  SCOPED_TRACE(fault + (fresh ? ", a new state" : ""));
  const Steps project;
  if (!fresh) {
    EXPECT_EQ(project.run("p:\n  t: [{name: z}]\n").output.code, 0);
  }
  auto options = project.running(kYaml, {}, {{"PF_TEST_FAULT", fault}});
  options.argv.front() = program() + "-faulty";
  Leftovers leftovers;
  const auto broken = told(run(options));
  EXPECT_THAT(leftovers.wait(), IsEmpty());
  const auto unlock = project.forge({"unlock", "p.yaml"});
  EXPECT_EQ(unlock.code, 0) << unlock.out;
  const bool struck = broken.output.code != 0;
  if (struck) {
    EXPECT_EQ(broken.output.code, 1) << broken.output.out << broken.output.err;
    EXPECT_EQ(last(broken.all, "error")["code"], fault.starts_with("full") ? "state.full" : "os.eio");
    if (!broken.finished.is_null()) {
      EXPECT_EQ(broken.finished["result"], "failed");
    }
  }
  // A failed attempt that was told is on disk.
  if (!last(broken.all, "attempt_failed").is_null()) {
    const std::string id = broken.all[0]["run"];
    const auto kept = parse_json(project.forge({"runs", "export", "p.yaml", id}).out);
    bool found = false;
    for (const Json& attempt : kept ? (*kept)["attempts"] : Json::array())
      found = found || (attempt["instance"] == "t.f" && attempt["result"] == "failed");
    EXPECT_TRUE(found);
  }
  std::map<std::string, int> executed;
  for (const char* name : kNames) executed[name] = project.executed(name);
  const auto resumed = project.run(kYaml, {"--resume"});
  EXPECT_EQ(resumed.output.code, 0) << resumed.output.out << resumed.output.err;
  EXPECT_THAT(results(resumed), ElementsAre("t.a succeeded", "t.b succeeded", "t.c succeeded",
                                            "t.clean succeeded", "t.f succeeded"));
  for (const char* name : kNames) {
    if (struck && told_success(broken, name)) {
      EXPECT_EQ(project.executed(name), executed[name]) << name;
    }
  }
  EXPECT_EQ(integrity(project.path() / ".pangeo-forge/state.db"), "ok");
  return struck;
}

int struck(const std::string& kind, int first, int step, int end, bool fresh) {
  int count = 0;
  for (int n = first; n < end; n += step) count += try_fault(kind + ":" + std::to_string(n), fresh) ? 1 : 0;
  return count;
}

TEST(StoreFaults, EioFromTheNthWriteOn) { EXPECT_GE(struck("write", 0, 2, 30, false), 8); }

TEST(StoreFaults, EnospcFromTheNthWriteOn) { EXPECT_GE(struck("full", 1, 5, 30, false), 3); }

TEST(StoreFaults, EioFromTheNthSyncOn) { EXPECT_GE(struck("sync", 0, 1, 6, false), 3); }

TEST(StoreFaults, WhileTheStateIsMade) {
  EXPECT_EQ(struck("write", 0, 7, 28, true), 4);
  EXPECT_GE(struck("sync", 0, 1, 3, true), 2);
}

}  // namespace
}  // namespace pf::test
