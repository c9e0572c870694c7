// What a reader leaves behind: nothing; and what it can read: everything that a writer may have left.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <csignal>

#include "state/database.h"
#include "state/fault_vfs.h"
#include "state/helpers.h"

namespace pf::state {
namespace {

// A run with two durable ends, by a process that is killed without closing anything.
void killed_run(const std::filesystem::path& folder,
                WriterOptions::Journal journal = WriterOptions::Journal::wal) {
  ASSERT_EQ(in_child(false,
                     [&] {
                       WriterOptions options = patient();
                       options.journal = journal;
                       Loop loop;
                       auto out = writer(folder, loop, options);
                       if (!out) return 1;
                       out->begin_run(run_of("r1"), {});
                       out->finish_instance(finished(0, "w.a"), {});
                       out->finish_instance(finished(1, "w.b"), {});
                       out->start_attempt({2, 1, "w.c"}, at(1));
                       if (!out->drain()) return 2;
                       ::raise(SIGKILL);
                       return 3;
                     }),
            -SIGKILL);
}

void expect_killed_run(const std::filesystem::path& folder) {
  auto in = Reader::open(folder);
  ASSERT_TRUE(in) << in.error().text();
  auto runs = (*in)->runs("p", 99);
  ASSERT_TRUE(runs && !runs->empty());
  EXPECT_EQ(runs->back().id, "r1");
  EXPECT_EQ(runs->back().result, RunResult::none);
  EXPECT_EQ(runs->back().finished, WallTime{});
  auto records = (*in)->instances("r1");
  ASSERT_TRUE(records);
  ASSERT_EQ(records->size(), 3U);
  EXPECT_EQ((*records)[1].result, InstanceResult::succeeded);
  EXPECT_EQ((*records)[2].result, InstanceResult::none);
  EXPECT_EQ((*records)[2].address, "w.c");
}

TEST(Reading, SaysThatThereIsNothing) {
  TempFolder temp;
  for (const auto& folder : {temp / "missing", temp.path()}) {
    auto in = Reader::open(folder);
    ASSERT_FALSE(in);
    EXPECT_EQ(in.error().code, "state.none");
    EXPECT_EQ(in.error().message, "there is no run in the state folder " + folder.string());
  }
  put(temp / "state.db", "");  // a process died at once
  EXPECT_EQ(Reader::open(temp.path()).error().code, "state.none");
  EXPECT_FALSE(std::filesystem::exists(temp / "missing"));
  EXPECT_EQ(snapshot(temp.path()).size(), 1U);
}

TEST(Reading, LeavesNothingBesideAClosedDatabase) {
  TempFolder temp;
  write_run(temp / "s", "r1", {finished(0, "w.a")});
  const auto before = snapshot(temp / "s");
  EXPECT_FALSE(before.contains("state.db-wal"));
  auto in = reader(temp / "s");
  EXPECT_EQ(in->instances("r1")->size(), 1U);
  EXPECT_EQ(in->latest("p")->size(), 1U);
  EXPECT_EQ(snapshot(temp / "s"), before);
}

TEST(Reading, ReadsWhatAKilledRunLeftAndLeavesItThere) {
  TempFolder temp;
  killed_run(temp / "s");
  const auto before = snapshot(temp / "s");
  EXPECT_TRUE(before.contains("state.db-wal"));
  EXPECT_TRUE(before.contains("state.db-shm"));
  expect_killed_run(temp / "s");
  auto after = snapshot(temp / "s");
  EXPECT_EQ(after, before);
  // And the next writer goes on from there.
  write_run(temp / "s", "r2", {finished(0, "w.a")});
  expect_killed_run(temp / "s");
}

TEST(Reading, ReadsAWalWhoseSharedMemoryIsGone) {
  TempFolder temp;
  killed_run(temp / "s");
  std::filesystem::remove(temp / "s" / "state.db-shm");
  expect_killed_run(temp / "s");
}

TEST(Reading, ReadsInFoldersThatItMayNotWriteTo) {
  for (const bool killed : {false, true}) {
    TempFolder temp;
    killed_run(temp / "s");
    if (!killed) {
      Loop loop;
      writer(temp / "s", loop).reset();
      EXPECT_FALSE(std::filesystem::exists(temp / "s" / "state.db-wal"));
    }
    for (const auto& entry : std::filesystem::directory_iterator(temp / "s"))
      ::chmod(entry.path().c_str(), 0444);
    ::chmod((temp / "s").c_str(), 0555);
    ::chmod(temp.path().c_str(), 0755);
    EXPECT_EQ(in_child(true,
                       [&] {
                         expect_killed_run(temp / "s");
                         return testing::Test::HasFailure() ? 1 : 0;
                       }),
              0);
    ::chmod((temp / "s").c_str(), 0755);
  }
}

TEST(Reading, ReadsADatabaseInDeleteModeAndWhatItsKilledRunLeft) {
  TempFolder temp;
  killed_run(temp / "s", WriterOptions::Journal::rollback);
  EXPECT_FALSE(std::filesystem::exists(temp / "s" / "state.db-wal"));
  const auto before = snapshot(temp / "s");
  expect_killed_run(temp / "s");
  EXPECT_EQ(snapshot(temp / "s"), before);
}

TEST(Reading, RollsBackTheJournalOfACommitThatWasCutShort) {
  TempFolder temp;
  killed_run(temp / "s", WriterOptions::Journal::rollback);
  EXPECT_EQ(in_child(false,
                     [&] {
                       FaultVfs faults;
                       WriterOptions options = patient();
                       options.journal = WriterOptions::Journal::rollback;
                       options.vfs = FaultVfs::name();
                       Loop loop;
                       auto out = writer(temp / "s", loop, options);
                       faults.die_after_write = true;
                       out->begin_run(run_of("r2"), {});
                       for (uint32_t i = 0; i < 1000; ++i) out->finish_instance(finished(i, "w.x"), {});
                       (void)out->drain();
                       return 1;
                     }),
            77);
  EXPECT_GT(std::filesystem::file_size(temp / "s" / "state.db-journal"), 0U);
  expect_killed_run(temp / "s");
}

TEST(Reading, ConvertsADatabaseThatMovedToAnotherKindOfDisk) {
  TempFolder temp;
  killed_run(temp / "s", WriterOptions::Journal::wal);
  WriterOptions options = patient();
  options.journal = WriterOptions::Journal::rollback;
  write_run(temp / "s", "r2", {finished(0, "w.a")}, options);
  EXPECT_FALSE(std::filesystem::exists(temp / "s" / "state.db-wal"));
  options.journal = WriterOptions::Journal::wal;
  write_run(temp / "s", "r3", {finished(0, "w.a")}, options);
  expect_killed_run(temp / "s");
  EXPECT_EQ(reader(temp / "s")->runs("p", 9)->size(), 3U);
}

TEST(Reading, KnowsNetworkFileSystems) {
  EXPECT_TRUE(is_network_file_system(0x6969));              // NFS
  EXPECT_TRUE(is_network_file_system(0xff534d42));          // CIFS
  EXPECT_TRUE(is_network_file_system(0xffffffffff534d42));  // the same where f_type is signed and wider
  EXPECT_TRUE(is_network_file_system(0x01021997));          // 9p
  EXPECT_TRUE(is_network_file_system(0x65735546));          // FUSE
  EXPECT_FALSE(is_network_file_system(0xef53));             // ext4
  EXPECT_FALSE(is_network_file_system(0x01021994));         // tmpfs
  EXPECT_FALSE(is_network_file_system(0x9123683e));         // btrfs
}

}  // namespace
}  // namespace pf::state
