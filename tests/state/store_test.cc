#include "state/store.h"

#include <gmock/gmock.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "state/helpers.h"

namespace pf::state {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

// "0 word.a succeeded", one for each record.
std::vector<std::string> lines(const std::vector<InstanceRecord>& records) {
  std::vector<std::string> out;
  for (const auto& record : records) {
    out.push_back(std::to_string(record.instance) + " " + record.address + " " +
                  std::string(to_text(record.result)) + " " + std::to_string(record.attempts) +
                  (record.outputs.empty() ? "" : " " + record.outputs));
  }
  return out;
}

int64_t number(const std::filesystem::path& folder, const char* sql) {
  sqlite3* database = nullptr;
  sqlite3_stmt* statement = nullptr;
  int64_t out = -1;
  if (sqlite3_open_v2((folder / "state.db").c_str(), &database, SQLITE_OPEN_READWRITE, nullptr) ==
          SQLITE_OK &&
      sqlite3_prepare_v2(database, sql, -1, &statement, nullptr) == SQLITE_OK &&
      sqlite3_step(statement) == SQLITE_ROW) {
    out = sqlite3_column_int64(statement, 0);
  }
  sqlite3_finalize(statement);
  sqlite3_close(database);
  return out;
}

TEST(Store, KeepsARunWithAllThatIsKnownOfIt) {
  TempFolder temp;
  Loop loop;
  auto out = writer(temp / "s", loop);
  RunRecord run = run_of("r1", "climate", 2);
  run.details = R"({"sandbox":1})";
  out->begin_run(run, loop.note("begun"));
  InstanceRecord record =
      finished(1, R"(word["a/b c"])", InstanceResult::failed, std::string("\xa1\x61\0\x00", 4));
  record.attempts = 3;
  record.duration = Milliseconds(1234);
  record.error = R"({"code":"x"})";
  record.blocked_by = "word.z";
  record.cpu_us = 5'000'000'000;
  record.peak_bytes = 6'000'000'000;
  out->finish_instance(record, loop.note("one"));
  out->finish_instance(finished(0, "word.x"), loop.note("two"));
  out->finish_run("r1", RunResult::failed, at(9123), R"({"refused":2})", loop.note("ended"));
  ASSERT_TRUE(out->drain());
  loop.run();
  EXPECT_THAT(loop.notes, ElementsAre("begun", "one", "two", "ended"));
  EXPECT_THAT(loop.errors, IsEmpty());

  auto in = reader(temp / "s");
  auto last = in->last_run("climate");
  ASSERT_TRUE(last && *last);
  EXPECT_EQ((*last)->id, "r1");
  EXPECT_EQ((*last)->pipeline, "climate");
  EXPECT_EQ((*last)->file, "/data/p.yaml");
  EXPECT_EQ((*last)->started, at(1000));
  EXPECT_EQ((*last)->finished, at(9123));
  EXPECT_EQ((*last)->result, RunResult::failed);
  EXPECT_EQ((*last)->instances, 2U);
  EXPECT_EQ((*last)->details, R"({"refused":2})");
  auto records = in->instances("r1");
  ASSERT_TRUE(records);
  ASSERT_EQ(records->size(), 2U);
  EXPECT_EQ((*records)[0].address, "word.x");
  const InstanceRecord& back = (*records)[1];
  EXPECT_EQ(back.instance, 1U);
  EXPECT_EQ(back.address, record.address);
  EXPECT_EQ(back.result, InstanceResult::failed);
  EXPECT_EQ(back.attempts, 3U);
  EXPECT_EQ(back.started, at(2000));
  EXPECT_EQ(back.duration, Milliseconds(1234));
  EXPECT_EQ(back.outputs, record.outputs);
  EXPECT_EQ(back.error, record.error);
  EXPECT_EQ(back.blocked_by, "word.z");
  EXPECT_EQ(back.cpu_us, 5'000'000'000U);
  EXPECT_EQ(back.peak_bytes, 6'000'000'000U);
}

TEST(Store, KeepsWhatAnAttemptReadApart) {
  TempFolder temp;
  Loop loop;
  auto out = writer(temp / "s", loop);
  out->begin_run(run_of("r1"), {});
  InstanceRecord record = finished(1, "w.b");
  record.reads = R"([{"what":"env"}])";
  out->finish_instance(finished(0, "w.a"), {});
  out->finish_instance(record, {});
  ASSERT_TRUE(out->drain());
  auto in = reader(temp / "s");
  const auto while_it_runs = in->reads("r1");
  ASSERT_TRUE(while_it_runs);
  EXPECT_THAT(*while_it_runs, ElementsAre(Pair(1U, record.reads)));
  out->finish_run("r1", RunResult::succeeded, at(9000), "", {});
  out->begin_run(run_of("r2"), {});
  out->finish_instance(finished(0, "w.a"), {});
  out->finish_run("r2", RunResult::succeeded, at(9000), "", {});
  ASSERT_TRUE(out->drain());
  EXPECT_THAT(*in->reads("r1"), ElementsAre(Pair(1U, record.reads)));
  EXPECT_THAT(*in->reads("r2"), IsEmpty());
  EXPECT_THAT(*in->reads("unknown"), IsEmpty());
}

TEST(Store, TellsNothingBeforeItIsDurable) {
  TempFolder temp;
  Loop loop;
  auto out = writer(temp / "s", loop);
  out->begin_run(run_of("r1"), loop.note("begun"));
  ASSERT_TRUE(out->drain());
  loop.run();
  // Its window is an hour: without a drain nothing is written, or told.
  out->finish_instance(finished(0, "w.a"), loop.note("a"));
  loop.run();
  EXPECT_THAT(loop.notes, ElementsAre("begun"));
  ASSERT_TRUE(out->drain());
  loop.run();
  EXPECT_THAT(loop.notes, ElementsAre("begun", "a"));
  out->finish_instance(finished(1, "w.b"), loop.note("b"));
  out.reset();  // the end drains
  loop.run();
  EXPECT_THAT(loop.notes, ElementsAre("begun", "a", "b"));
  EXPECT_EQ(reader(temp / "s")->instances("r1")->size(), 2U);
}

TEST(Store, CommitsAfterItsWindowWithoutBeingAsked) {
  TempFolder temp;
  std::mutex mutex;
  std::condition_variable told;
  bool durable = false;
  auto out = Writer::open(
      temp / "s", [](Writer::Callback callback) { callback(); }, [](Error) {});
  ASSERT_TRUE(out);
  (*out)->begin_run(run_of("r1"), {});
  (*out)->finish_instance(finished(0, "w.a"), [&] {
    std::lock_guard lock(mutex);
    durable = true;
    told.notify_one();
  });
  std::unique_lock lock(mutex);
  EXPECT_TRUE(told.wait_for(lock, std::chrono::seconds(60), [&] { return durable; }));
}

TEST(Store, KeepsNoStartOfWhatEndsInTheSameCommit) {
  TempFolder temp;
  Loop loop;
  auto out = writer(temp / "s", loop);
  out->begin_run(run_of("r1"), {});
  ASSERT_TRUE(out->drain());
  out->start_attempt({0, 1, "w.a"}, at(1500));
  out->finish_instance(finished(0, "w.a"), {});
  out->start_attempt({1, 1, "w.b"}, at(1600));
  out->start_attempt({1, 2, "w.b"}, at(1700));
  ASSERT_TRUE(out->drain());
  EXPECT_EQ(number(temp / "s", "SELECT count(*) FROM attempts"), 2);
  auto records = reader(temp / "s")->instances("r1");
  ASSERT_TRUE(records);
  EXPECT_THAT(lines(*records), ElementsAre("0 w.a succeeded 1", "1 w.b none 2"));
  EXPECT_EQ((*records)[1].started, at(1600));
  out->finish_instance(finished(1, "w.b", InstanceResult::crashed), {});
  ASSERT_TRUE(out->drain());
  EXPECT_THAT(lines(*reader(temp / "s")->instances("r1")),
              ElementsAre("0 w.a succeeded 1", "1 w.b crashed 1"));
}

TEST(Store, DoesNotTakeAnEndOfTheNextRunForThisOnes) {
  TempFolder temp;
  Loop loop;
  auto out = writer(temp / "s", loop);
  // w.a of r1 was started and never ended, w.a of r2 ended.
  out->begin_run(run_of("r1"), {});
  ASSERT_TRUE(out->drain());
  out->start_attempt({0, 1, "w.a"}, at(1500));
  out->finish_run("r1", RunResult::cancelled, at(1), "", {});
  out->begin_run(run_of("r2"), {});
  out->start_attempt({0, 1, "w.a"}, at(1500));
  out->finish_instance(finished(0, "w.a"), {});
  out->finish_run("r2", RunResult::succeeded, at(2), "", {});
  ASSERT_TRUE(out->drain());
  auto in = reader(temp / "s");
  EXPECT_THAT(lines(*in->instances("r1")), ElementsAre("0 w.a none 1"));
  EXPECT_THAT(lines(*in->instances("r2")), ElementsAre("0 w.a succeeded 1"));
}

TEST(Store, KnowsTheRunsOfAPipelineNewestFirst) {
  TempFolder temp;
  Loop loop;
  auto out = writer(temp / "s", loop);
  out->begin_run(run_of("r1", "a"), {});
  out->finish_run("r1", RunResult::succeeded, at(1), "", {});
  out->begin_run(run_of("r2", "b"), {});
  out->begin_run(run_of("r3", "a"), {});
  ASSERT_TRUE(out->drain());
  auto in = reader(temp / "s");
  auto runs = in->runs("a", 10);
  ASSERT_TRUE(runs);
  ASSERT_EQ(runs->size(), 2U);
  EXPECT_EQ((*runs)[0].id, "r3");
  EXPECT_EQ((*runs)[1].id, "r1");
  EXPECT_EQ(in->runs("a", 1)->size(), 1U);
  EXPECT_EQ((*in->last_run("b"))->id, "r2");
  EXPECT_FALSE(*in->last_run("c"));
  EXPECT_THAT(*in->instances("unknown"), IsEmpty());
}

TEST(Store, FindsTheLastSuccessOfEachAddressInAnyRun) {
  // 0: all rows are scanned; 1: all of earlier writers are folded; 3: some are.
  for (const int64_t fold_after : {int64_t{1} << 40, int64_t{1}, int64_t{3}}) {
    TempFolder temp;
    WriterOptions options = patient();
    options.fold_after = fold_after;
    write_run(temp / "s", "r1",
              {finished(0, "w.a", InstanceResult::succeeded, "a1"),
               finished(1, "w.b", InstanceResult::succeeded, "b1")},
              options);
    write_run(
        temp / "s", "r2",
        {finished(0, "w.a", InstanceResult::succeeded, "a2"),
         finished(1, "w.b", InstanceResult::failed, "b2"), finished(2, "w.c", InstanceResult::failed, "c2")},
        options);
    write_run(temp / "s", "r3", {finished(0, "w.a", InstanceResult::cached), finished(3, "w.d")}, options);
    Loop loop;
    auto out = writer(temp / "s", loop, options);
    out->begin_run(run_of("other", "q"), {});
    ASSERT_TRUE(out->drain());
    out->finish_instance(finished(0, "w.b", InstanceResult::succeeded, "foreign"), {});
    ASSERT_TRUE(out->drain());
    EXPECT_THAT(lines(*reader(temp / "s")->latest("p")),
                ElementsAre("3 w.d succeeded 1", "0 w.a succeeded 1 a2", "1 w.b succeeded 1 b1"));
    EXPECT_THAT(lines(*reader(temp / "s")->latest("q")), ElementsAre("0 w.b succeeded 1 foreign"));
    EXPECT_THAT(*reader(temp / "s")->latest("none"), IsEmpty());
    EXPECT_EQ(number(temp / "s", "SELECT upto FROM folded"), fold_after > 7 ? 0 : fold_after == 1 ? 7 : 5);
  }
}

TEST(Store, IsReadWhileARunGoesOn) {
  TempFolder temp;
  Loop loop;
  auto out = writer(temp / "s", loop);
  auto in = reader(temp.path() / "s");
  EXPECT_FALSE(*in->last_run("p"));
  for (uint32_t i = 0; i < 50; ++i) {
    if (i == 0) out->begin_run(run_of("r1"), {});
    out->finish_instance(finished(i, "w." + std::to_string(i)), {});
    ASSERT_TRUE(out->drain());
    auto records = in->instances("r1");
    ASSERT_TRUE(records) << records.error().text();
    EXPECT_EQ(records->size(), i + 1);
    auto run = in->last_run("p");
    ASSERT_TRUE(run && *run);
    EXPECT_EQ((*run)->result, RunResult::none);
    EXPECT_EQ((*run)->finished, WallTime{});
  }
  out->finish_run("r1", RunResult::succeeded, at(5), "", {});
  out.reset();
  EXPECT_EQ((*in->last_run("p"))->result, RunResult::succeeded);
  EXPECT_EQ(in->instances("r1")->size(), 50U);
}

TEST(Store, IsReadByAnotherProcessWhileARunGoesOn) {
  TempFolder temp;
  int told[2], asked[2];
  ASSERT_EQ(::pipe(told), 0);
  ASSERT_EQ(::pipe(asked), 0);
  // The writer is the child, so that this process has never had the file open: SQLite shares much within a
  // process.
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(told[0]);
    ::close(asked[1]);
    auto lock = Lock::acquire(temp / "s", "run");
    Loop loop;
    auto out = writer(temp / "s", loop);
    if (!lock || !out) ::_exit(1);
    out->begin_run(run_of("r1"), {});
    char byte = 0;
    for (uint32_t i = 0; i < 30; ++i) {
      out->finish_instance(
          finished(i, "w." + std::to_string(i), InstanceResult::succeeded, std::string(9000, 'x')), {});
      if (!out->drain() || ::write(told[1], "x", 1) != 1 || ::read(asked[0], &byte, 1) != 1) ::_exit(2);
    }
    out->finish_run("r1", RunResult::succeeded, at(9), "", {});
    out.reset();
    ::_exit(0);
  }
  ::close(told[1]);
  ::close(asked[0]);
  char byte = 0;
  for (size_t i = 1; i <= 30; ++i) {
    ASSERT_EQ(::read(told[0], &byte, 1), 1);
    auto in = reader(temp / "s");
    auto records = in->instances("r1");
    ASSERT_TRUE(records) << records.error().text();
    ASSERT_EQ(records->size(), i);
    ASSERT_EQ(in->latest("p")->size(), i);
    std::vector<std::string> files;
    for (const auto& [name, digest] : snapshot(temp / "s")) files.push_back(name);
    ASSERT_THAT(files, ElementsAre(".gitignore", "lock", "state.db", "state.db-shm", "state.db-wal"));
    ASSERT_EQ(::write(asked[1], "x", 1), 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  ::close(told[0]);
  ::close(asked[1]);
  EXPECT_EQ((*reader(temp / "s")->last_run("p"))->result, RunResult::succeeded);
  EXPECT_FALSE(std::filesystem::exists(temp / "s" / "state.db-wal"));
}

TEST(Store, HasFilesForTheOwnerOnly) {
  TempFolder temp;
  Loop loop;
  auto out = writer(temp / "s", loop);
  out->begin_run(run_of("r1"), {});
  ASSERT_TRUE(out->drain());
  for (const char* name : {"state.db", "state.db-wal", "state.db-shm"}) {
    struct stat info {};
    ASSERT_EQ(::stat((temp / "s" / name).c_str(), &info), 0) << name;
    EXPECT_EQ(info.st_mode & 0777, 0600U) << name;
  }
}

TEST(Store, RefusesAnEndThatWasNeverBegun) {
  TempFolder temp;
  Loop loop;
  auto out = writer(temp / "s", loop);
  out->finish_run("r9", RunResult::succeeded, at(1), "", loop.note("told"));
  EXPECT_FALSE(out->drain());
  loop.run();
  ASSERT_EQ(loop.errors.size(), 1U);
  EXPECT_EQ(loop.errors[0].code, "state.failed");
  EXPECT_THAT(loop.notes, IsEmpty());
}

TEST(Store, TakesPathsWithAnySigns) {
  TempFolder temp;
  const auto folder = temp / "a b?mode=memory#%41é";
  write_run(folder, "r1", {finished(0, "w.a")});
  EXPECT_TRUE(std::filesystem::exists(folder / "state.db"));
  EXPECT_EQ(reader(folder)->instances("r1")->size(), 1U);
}

}  // namespace
}  // namespace pf::state
