// Disks that are full, read-only or broken, files that are damaged, foreign or newer, and processes that are
// killed.
#include <gmock/gmock.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <csignal>

#include "base/cbor.h"
#include "state/fault_vfs.h"
#include "state/helpers.h"

namespace pf::state {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

void sql(const std::filesystem::path& folder, const char* script) {
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open((folder / "state.db").c_str(), &database), SQLITE_OK);
  EXPECT_EQ(sqlite3_exec(database, script, nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(database);
  sqlite3_close(database);
}

void expect_refused_untouched(const std::filesystem::path& folder, const std::string& code,
                              const std::string& text) {
  const auto before = snapshot(folder);
  Loop loop;
  auto out = Writer::open(folder, loop.post(), loop.on_error());
  ASSERT_FALSE(out) << text;
  EXPECT_EQ(out.error().code, code);
  EXPECT_THAT(out.error().message, HasSubstr(text));
  EXPECT_THAT(out.error().message, HasSubstr((folder / "state.db").string()));
  EXPECT_FALSE(out.error().hint.empty());
  auto in = Reader::open(folder);
  ASSERT_FALSE(in) << text;
  EXPECT_EQ(in.error().code, code);
  EXPECT_EQ(snapshot(folder), before) << text;
}

TEST(Damage, AGarbageFileIsRefusedAndLeft) {
  for (const std::string& garbage :
       {std::string("x"), std::string(100, 'x'), std::string(100000, '\xa5'), std::string(8192, '\0'),
        "SQLite format 3" + std::string(1, '\0') + std::string(5000, '\xff')}) {
    TempFolder temp;
    SCOPED_TRACE(garbage.size());
    put(temp / "state.db", garbage);
    expect_refused_untouched(temp.path(), "state.damaged", "is damaged");
  }
}

TEST(Damage, ACutFileIsRefusedAndLeft) {
  TempFolder temp;
  write_run(temp / "s", "r1", {finished(0, "w.a")});
  const std::string whole = content_of(temp / "s" / "state.db");
  for (const size_t size : {size_t{50}, size_t{4096}, whole.size() / 2, whole.size() - 1000}) {
    put(temp / "s" / "state.db", whole.substr(0, size));
    SCOPED_TRACE(size);
    expect_refused_untouched(temp / "s", "state.damaged", "is damaged");
  }
}

TEST(Damage, AMissingTableIsRefused) {
  TempFolder temp;
  write_run(temp / "s", "r1", {finished(0, "w.a")});
  sql(temp / "s", "DROP TABLE instances");
  expect_refused_untouched(temp / "s", "state.damaged", "no such table: instances");
}

TEST(Damage, AnotherProgramsDatabaseIsRefusedAndLeft) {
  TempFolder temp;
  sql(temp.path(), "CREATE TABLE theirs(a); INSERT INTO theirs VALUES(1)");
  expect_refused_untouched(temp.path(), "state.damaged", "it is the database of another program");
}

TEST(Damage, ANewerSchemaIsRefusedAndLeft) {
  TempFolder temp;
  write_run(temp / "s", "r1", {finished(0, "w.a")});
  sql(temp / "s", "PRAGMA user_version=4");
  expect_refused_untouched(temp / "s", "state.newer", "its schema is version 4, this program knows up to 3");
}

TEST(Damage, AFolderOrPipeInItsPlaceIsRefused) {
  TempFolder temp;
  std::filesystem::create_directory(temp / "state.db");
  expect_refused_untouched(temp.path(), "file.not_regular", "no regular file");
  std::filesystem::remove(temp / "state.db");
  ASSERT_EQ(::mkfifo((temp / "state.db").c_str(), 0600), 0);
  expect_refused_untouched(temp.path(), "file.not_regular", "no regular file");
}

TEST(Damage, ThatShowsLaterIsReportedOnceAndNothingIsToldAfterIt) {
  TempFolder temp;
  write_run(temp / "s", "r1", {finished(0, "w.a")});
  std::string bytes = content_of(temp / "s" / "state.db");
  // Page 2 is the root of the first table, `runs`; opening does not look into it.
  bytes.replace(4096, 4096, std::string(4096, '\x5a'));
  put(temp / "s" / "state.db", bytes);
  Loop loop;
  auto out = writer(temp / "s", loop);
  ASSERT_TRUE(out);
  out->begin_run(run_of("r2"), loop.note("begun"));
  out->finish_instance(finished(0, "w.a"), loop.note("a"));
  auto drained = out->drain();
  ASSERT_FALSE(drained);
  EXPECT_EQ(drained.error().code, "state.damaged");
  out->finish_instance(finished(1, "w.b"), loop.note("b"));
  EXPECT_FALSE(out->drain());
  out.reset();
  loop.run();
  ASSERT_EQ(loop.errors.size(), 1U);
  EXPECT_EQ(loop.errors[0].code, "state.damaged");
  EXPECT_THAT(loop.errors[0].message, HasSubstr((temp / "s" / "state.db").string()));
  EXPECT_THAT(loop.notes, IsEmpty());
  EXPECT_EQ(reader(temp / "s")->last_run("p").error().code, "state.damaged");
}

TEST(Damage, AResultThatWeNeverWriteIsReported) {
  TempFolder temp;
  write_run(temp / "s", "r1", {finished(0, "w.a")});
  sql(temp / "s", "UPDATE instances SET result = 99");
  auto records = reader(temp / "s")->instances("r1");
  ASSERT_FALSE(records);
  EXPECT_EQ(records.error().code, "state.damaged");
}

struct Fault {
  const char* name;
  int write_code, sync_code;
  const char* expected;
};

class DiskFault : public testing::TestWithParam<std::tuple<Fault, WriterOptions::Journal>> {};

TEST_P(DiskFault, IsReportedOnceAndNothingDurableIsLost) {
  const auto& [fault, journal] = GetParam();
  TempFolder temp;
  FaultVfs faults;
  WriterOptions options = patient();
  options.vfs = FaultVfs::name();
  options.journal = journal;
  Loop loop;
  auto out = writer(temp / "s", loop, options);
  out->begin_run(run_of("r1"), loop.note("begun"));
  out->finish_instance(finished(0, "w.a"), loop.note("a"));
  ASSERT_TRUE(out->drain());
  faults.write_code = fault.write_code;
  faults.sync_code = fault.sync_code;
  out->finish_instance(finished(1, "w.b"), loop.note("b"));
  auto drained = out->drain();
  ASSERT_FALSE(drained);
  EXPECT_EQ(drained.error().code, fault.expected);
  // Also when the disk is well again: what was queued meanwhile would be a gap in the story.
  faults.write_code = faults.sync_code = SQLITE_OK;
  out->finish_run("r1", RunResult::succeeded, at(9), "", loop.note("ended"));
  EXPECT_FALSE(out->drain());
  out.reset();
  loop.run();
  EXPECT_THAT(loop.notes, ElementsAre("begun", "a"));
  ASSERT_EQ(loop.errors.size(), 1U);
  EXPECT_EQ(loop.errors[0].code, fault.expected);
  auto records = reader(temp / "s")->instances("r1");
  ASSERT_TRUE(records) << records.error().text();
  ASSERT_GE(records->size(), 1U);
  EXPECT_EQ((*records)[0].address, "w.a");
  write_run(temp / "s", "r2", {finished(0, "w.a")});
}

INSTANTIATE_TEST_SUITE_P(
    All, DiskFault,
    testing::Combine(testing::Values(Fault{"full", SQLITE_FULL, SQLITE_OK, "state.full"},
                                     Fault{"broken", SQLITE_IOERR_WRITE, SQLITE_OK, "os.eio"},
                                     Fault{"unsynced", SQLITE_OK, SQLITE_IOERR_FSYNC, "os.eio"},
                                     Fault{"read_only", SQLITE_READONLY, SQLITE_OK, "state.read_only"}),
                     testing::Values(WriterOptions::Journal::wal, WriterOptions::Journal::rollback)),
    [](const auto& which) {
      return std::string(std::get<0>(which.param).name) +
             (std::get<1>(which.param) == WriterOptions::Journal::wal ? "_wal" : "_delete");
    });

TEST(FullDisk, StopsTheStoreAndKeepsWhatWasDurable) {
  TempFolder temp;
  if (::mount("none", temp.path().c_str(), "tmpfs", 0, "size=1m") != 0) {
    GTEST_SKIP() << "mounting a small tmpfs needs root: " << strerror(errno);
  }
  struct Unmount {
    const std::filesystem::path& path;
    ~Unmount() { ::umount2(path.c_str(), MNT_DETACH); }
  } unmount{temp.path()};
  Loop loop;
  auto out = writer(temp / "s", loop);
  ASSERT_TRUE(out);
  out->begin_run(run_of("r1"), {});
  std::string outputs;
  cbor::Writer(outputs).text(std::string(20000, 'x'));
  bool full = false;
  for (uint32_t i = 0; i < 200 && !full; ++i) {
    const std::string address = "w." + std::to_string(i);
    out->finish_instance(finished(i, address, InstanceResult::succeeded, outputs), loop.note(address));
    full = !out->drain();
  }
  ASSERT_TRUE(full);
  out.reset();
  loop.run();
  ASSERT_EQ(loop.errors.size(), 1U);
  EXPECT_EQ(loop.errors[0].code, "state.full");
  EXPECT_THAT(loop.errors[0].hint, HasSubstr("--state-dir"));
  auto records = reader(temp / "s")->instances("r1");
  ASSERT_TRUE(records) << records.error().text();
  std::vector<std::string> addresses;
  for (const auto& record : *records) addresses.push_back(record.address);
  EXPECT_GT(addresses.size(), 5U);
  EXPECT_EQ(addresses, loop.notes);
}

TEST(FullDisk, IsToldWhenNothingCanBegin) {
  TempFolder temp;
  if (::mount("none", temp.path().c_str(), "tmpfs", 0, "size=64k") != 0) {
    GTEST_SKIP() << "mounting a small tmpfs needs root: " << strerror(errno);
  }
  struct Unmount {
    const std::filesystem::path& path;
    ~Unmount() { ::umount2(path.c_str(), MNT_DETACH); }
  } unmount{temp.path()};
  put(temp / "ballast", std::string(64 * 1024, 'x'));
  Loop loop;
  auto out = Writer::open(temp / "s", loop.post(), loop.on_error());
  ASSERT_FALSE(out);
  EXPECT_EQ(out.error().code, "state.full");
  EXPECT_THAT(out.error().message, HasSubstr((temp / "s").string()));
}

TEST(ReadOnly, FoldersAndFilesAreRefusedByName) {
  for (const mode_t file_mode : {0444, 0644}) {
    TempFolder temp;
    write_run(temp / "s", "r1", {finished(0, "w.a")});
    ::chmod((temp / "s" / "state.db").c_str(), file_mode);
    ASSERT_EQ(::chown((temp / "s" / "state.db").c_str(), 65534, 65534), 0);
    ::chmod((temp / "s").c_str(), 0555);
    ::chmod(temp.path().c_str(), 0755);
    EXPECT_EQ(in_child(true,
                       [&] {
                         Loop loop;
                         auto out = Writer::open(temp / "s", loop.post(), loop.on_error());
                         if (out) return 1;
                         if (out.error().code != "state.read_only") return 2;
                         if (out.error().message.find((temp / "s").string()) == std::string::npos) return 3;
                         return out.error().hint.find("--state-dir") == std::string::npos ? 4 : 0;
                       }),
              0)
        << file_mode;
    ::chmod((temp / "s").c_str(), 0755);
    EXPECT_EQ(reader(temp / "s")->instances("r1")->size(), 1U);
  }
}

TEST(Busy, AnotherProgramThatKeepsTheDatabaseLockedIsReported) {
  TempFolder temp;
  Loop loop;
  WriterOptions options = patient();
  options.patience = Milliseconds(0);
  auto out = writer(temp / "s", loop, options);
  sqlite3* other = nullptr;
  ASSERT_EQ(sqlite3_open((temp / "s" / "state.db").c_str(), &other), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(other, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr), SQLITE_OK);
  out->begin_run(run_of("r1"), {});
  EXPECT_FALSE(out->drain());
  sqlite3_close(other);
  loop.run();
  ASSERT_EQ(loop.errors.size(), 1U);
  EXPECT_EQ(loop.errors[0].code, "state.busy");
}

TEST(Busy, AReaderInDeleteModeDelaysTheWriterOnly) {
  TempFolder temp;
  WriterOptions options = patient();
  options.journal = WriterOptions::Journal::rollback;
  write_run(temp / "s", "r1", {finished(0, "w.a")}, options);
  sqlite3* other = nullptr;
  ASSERT_EQ(sqlite3_open((temp / "s" / "state.db").c_str(), &other), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(other, "BEGIN; SELECT * FROM runs", nullptr, nullptr, nullptr), SQLITE_OK);
  Loop loop;
  auto out = writer(temp / "s", loop, options);
  out->begin_run(run_of("r2"), loop.note("begun"));
  ASSERT_EQ(sqlite3_exec(other, "COMMIT", nullptr, nullptr, nullptr), SQLITE_OK);
  EXPECT_TRUE(out->drain());
  sqlite3_close(other);
  loop.run();
  EXPECT_THAT(loop.notes, ElementsAre("begun"));
}

TEST(Killed, AProcessLosesNothingThatItWasToldIsDurable) {
  for (const auto journal : {WriterOptions::Journal::wal, WriterOptions::Journal::rollback}) {
    for (const uint32_t acknowledged : {1U, 17U, 400U}) {
      TempFolder temp;
      int ends[2];
      ASSERT_EQ(::pipe(ends), 0);
      const pid_t child = ::fork();
      if (child == 0) {
        ::close(ends[0]);
        WriterOptions options;
        options.window = Milliseconds(1);
        options.journal = journal;
        auto out = open_writer(
            temp / "s", [](Writer::Callback callback) { callback(); }, [](Error) {}, options);
        if (!out) ::_exit(1);
        (*out)->begin_run(run_of("r1"), {});
        for (uint32_t i = 0; i < 100000; ++i) {
          (*out)->start_attempt({i, 1, "w.x"}, at(1));
          (*out)->finish_instance(finished(i, "w." + std::to_string(i)),
                                  [&ends] { (void)!::write(ends[1], "x", 1); });
        }
        (void)(*out)->drain();
        ::_exit(2);
      }
      ::close(ends[1]);
      char byte = 0;
      uint32_t told = 0;
      while (told < acknowledged && ::read(ends[0], &byte, 1) == 1) ++told;
      ::kill(child, SIGKILL);
      int status = 0;
      ASSERT_EQ(::waitpid(child, &status, 0), child);
      while (::read(ends[0], &byte, 1) == 1) ++told;
      ::close(ends[0]);
      ASSERT_TRUE(WIFSIGNALED(status));
      ASSERT_GE(told, acknowledged);

      auto in = reader(temp / "s");
      auto run = in->last_run("p");
      ASSERT_TRUE(run && *run);
      EXPECT_EQ((*run)->result, RunResult::none);
      EXPECT_EQ((*run)->finished, WallTime{});
      auto records = in->instances("r1");
      ASSERT_TRUE(records) << records.error().text();
      ASSERT_GE(records->size(), told);
      for (uint32_t i = 0; i < told; ++i) ASSERT_EQ((*records)[i].address, "w." + std::to_string(i));
      write_run(temp / "s", "r2", {finished(0, "w.a")});
    }
  }
}

}  // namespace
}  // namespace pf::state
