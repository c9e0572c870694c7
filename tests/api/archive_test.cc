#include <algorithm>
#include <fstream>

#include "fixture.h"
#include "support/archives.h"
#include "support/io_runner.h"

namespace pf::api {
namespace {

namespace fs = std::filesystem;
using test::tar_end;
using test::tar_entry;

class ArchiveApi : public DoorTest {
 protected:
  ArchiveApi() {
    fs::create_directories(work());
    door_->set_io(runner_, folder_.path() / "cache");
  }
  fs::path work() const { return folder_.path() / "state/work/example/first"; }
  void put(const std::string& name, const std::string& text) {
    folder_.write("state/work/example/first/" + name, text);
  }
  std::string got(const std::string& name) { return folder_.read("state/work/example/first/" + name); }
  std::vector<std::string> names(const fs::path& folder) const {
    std::vector<std::string> out;
    for (const auto& entry : fs::directory_iterator(folder)) out.push_back(entry.path().filename());
    std::sort(out.begin(), out.end());
    return out;
  }

  test::PlainIoRunner runner_{loop_};
};

TEST_F(ArchiveApi, ExtractsAsAWhole) {
  value("fs.write", {"a.tar", tar_entry("x/a", '0', "hello") + tar_end()});
  EXPECT_EQ(value("archive.extract", {"a.tar", "deep/new"}), R"({"bytes":5,"files":1})");
  EXPECT_EQ(got("deep/new/x/a"), "hello");
  EXPECT_EQ(names(work() / "deep"), std::vector<std::string>{"new"});
  ASSERT_EQ(runner_.jobs.size(), 1U);
  const auto& job = runner_.jobs[0];
  EXPECT_FALSE(job.network);
  ASSERT_EQ(job.read.size(), 1U);
  EXPECT_EQ(job.read[0].path, work() / "a.tar");
  ASSERT_EQ(job.write.size(), 1U);
  EXPECT_EQ(job.write[0].path.parent_path(), work() / "deep") << "and nothing but the folder in the making";
  EXPECT_EQ(job.timeout, Milliseconds(3'600'000));
}

TEST_F(ArchiveApi, NothingIsLeftOfAFailure) {
  value("fs.write", {"a.tar", tar_entry("a", '0', "1") + tar_entry("../x", '0', "2") + tar_end()});
  const Error e = error("archive.extract", {"a.tar", "new"});
  EXPECT_EQ(e.code, "archive.traversal");
  EXPECT_FALSE(e.retryable);
  EXPECT_EQ(names(work()), (std::vector<std::string>{"a.tar", "tmp"}));
  EXPECT_EQ(value("archive.list", {"none.tar"}), "os.enoent");
}

TEST_F(ArchiveApi, WhatAnotherAttemptLeftIsRemoved) {
  value("fs.write", {"a.tar", tar_entry("a", '0', "1") + tar_end()});
  EXPECT_EQ(value("archive.extract", {"a.tar", "new"}), R"({"bytes":1,"files":1})");
  // The name of what was in the making, of a process that is gone: no process has the largest number.
  std::string left = runner_.jobs[0].write[0].path.filename();
  const size_t at = left.find('-', 14) + 1;
  left = left.substr(0, at) + "4194305-0.part";
  fs::create_directories(work() / left / "half");
  fs::remove_all(work() / "new");
  EXPECT_EQ(value("archive.extract", {"a.tar", "new"}), R"({"bytes":1,"files":1})");
  EXPECT_EQ(names(work()), (std::vector<std::string>{"a.tar", "new", "tmp"}));
}

TEST_F(ArchiveApi, ExistingTargets) {
  value("fs.write", {"a.tar", tar_entry("a", '0', "1") + tar_end()});
  value("fs.mkdir", {"empty"});
  EXPECT_EQ(value("archive.extract", {"a.tar", "empty"}), R"({"bytes":1,"files":1})");
  EXPECT_EQ(error("archive.extract", {"a.tar", "empty"}).code, "archive.exists");
  EXPECT_EQ(error("archive.extract", {"a.tar", "a.tar"}).code, "archive.exists");
  EXPECT_EQ(value("archive.extract", {"a.tar", "empty", {{"into", true}}}), R"({"bytes":1,"files":1})");
  EXPECT_EQ(value("archive.extract", {"a.tar", "fresh", {{"into", true}}}), R"({"bytes":1,"files":1})");
  EXPECT_EQ(error("archive.extract", {"a.tar", "a.tar", {{"into", true}}}).code, "os.enotdir");
}

TEST_F(ArchiveApi, CreateReplacesAFile) {
  value("fs.write", {"one.txt", "1"});
  value("fs.mkdir", {"sub"});
  value("fs.write", {"sub/two.txt", "2"});
  value("fs.write", {"out.tar.gz", "old"});
  auto made = call("archive.create", {"out.tar.gz", {"one.txt", "sub"}, {{"mtime", 0}}});
  ASSERT_TRUE(made) << made.error().text();
  EXPECT_EQ((*made)["files"], 2);
  auto list = call("archive.list", {"out.tar.gz"});
  ASSERT_TRUE(list) << list.error().text();
  ASSERT_EQ(list->size(), 3U);
  EXPECT_EQ((*list)[0]["path"], "one.txt");
  EXPECT_EQ((*list)[1]["path"], "sub/");
  EXPECT_EQ((*list)[2]["path"], "sub/two.txt");
  EXPECT_EQ(names(work()), (std::vector<std::string>{"one.txt", "out.tar.gz", "sub", "tmp"}));
  // The folder that holds it: not what is being made.
  ASSERT_TRUE(call("archive.create", {"all.zip", "."}));
  EXPECT_EQ(call("archive.list", {"all.zip"})->size(), 5U);
}

TEST_F(ArchiveApi, PathsNeedPermission) {
  folder_.write("data/a.tar", tar_entry("a", '0', "1") + tar_end());
  const std::string archive = folder_.path() / "data/a.tar";
  const std::string target = folder_.path() / "target/new";
  fs::create_directory(folder_.path() / "target");
  EXPECT_EQ(error("archive.list", {archive}).code, "permission.read");
  EXPECT_EQ(error("archive.extract", {archive, "x"}).code, "permission.read");
  EXPECT_EQ(error("archive.create", {"x.tar", archive}).code, "permission.read");
  EXPECT_EQ(error("archive.create", {target + ".tar", "."}).code, "permission.write");
  EXPECT_EQ(error("archive.list", {"../x"}).code, "permission.read");
  open({{{folder_.path() / "data", true}}, {}, {}, {}});
  EXPECT_EQ(error("archive.extract", {archive, target}).code, "permission.write");
  open({{{folder_.path() / "data", true}}, {{folder_.path() / "target", true}}, {}, {}});
  EXPECT_EQ(value("archive.extract", {archive, target}), R"({"bytes":1,"files":1})");
  EXPECT_EQ(folder_.read("target/new/a"), "1");
  fs::create_symlink(folder_.path() / "target", work() / "link");
  EXPECT_EQ(error("archive.extract", {archive, "link/other"}).code, "permission.write")
      << "out of the work folder";
  const auto lines = audit();
  ASSERT_EQ(lines.size(), 9U) << "the last call was granted its archive, and refused its folder";
  EXPECT_EQ(lines[6], (Json{{"instance", "example.first"},
                            {"call", "archive.extract"},
                            {"target", archive},
                            {"to", target},
                            {"allowed", true},
                            {"code", nullptr}}));
}

TEST_F(ArchiveApi, Mistakes) {
  EXPECT_EQ(error("archive.create", {"x.tar", 1}).message,
            "forge.archive.create: `source` must be the path of a folder, or a list of at most 10000 paths");
  EXPECT_EQ(error("archive.create", {"x.tar", {"a", "b", "a/c"}}).message,
            "forge.archive.create: `source` names 'a/c' more than once");
  EXPECT_EQ(error("archive.create", {"x.tar", {"a", "./a"}}).message,
            "forge.archive.create: `source` names 'a' more than once");
  EXPECT_EQ(error("archive.create", {"x.tar", {1}}).message,
            "forge.archive.create: `source` must hold only strings");
  EXPECT_EQ(error("archive.create", {"x.tar", ".", {{"mtime", -1}}}).code, "call.argument");
  EXPECT_EQ(error("archive.extract", {"x.tar", "y", {{"strip", 300}}}).code, "call.argument");
  EXPECT_EQ(error("archive.extract", {"x.tar", "y", {{"max_size", 0}}}).code, "call.argument");
  EXPECT_EQ(error("archive.extract", {"x.tar", "y", {{"max_ratio", 0.5}}}).code, "call.argument");
  EXPECT_EQ(error("archive.extract", {"x.tar", "y", {{"include", {{"a", 1}}}}}).code, "call.argument");
  EXPECT_EQ(error("archive.extract", {"x.tar", "y", {{"password", "x"}}}).message,
            "forge.archive.extract: there is no option 'password'");
  EXPECT_EQ(error("archive.list", {"x.tar", {{"timeout", 0}}}).message,
            "forge.archive.list: `timeout` must be a number of seconds, from 0.1 to 86400");
  EXPECT_TRUE(runner_.jobs.empty());
}

TEST_F(ArchiveApi, TheHelperIsKilledAtItsTimeout) {
  // A file that takes long: half a gigabyte through xz.
  { std::ofstream(work() / "big").close(); }
  fs::resize_file(work() / "big", 4ULL << 30);
  const Error e = error("archive.create", {"x.tar.xz", {"big"}, {{"timeout", 0.2}}});
  EXPECT_EQ(e.code, "archive.timeout");
  EXPECT_EQ(e.message, "forge.archive.create was not done within 200ms and was ended");
  EXPECT_TRUE(e.retryable);
  EXPECT_EQ(names(work()), (std::vector<std::string>{"big", "tmp"}));
}

TEST_F(ArchiveApi, ACallOfAnEndedAttemptLeavesNothing) {
  value("fs.write", {"a.tar", tar_entry("a", '0', "1") + tar_end()});
  session_->call(registry::find("archive.extract"), to_cbor(Json{"a.tar", "new"}),
                 [](Result<std::string>) { FAIL() << "answered after its end"; });
  while (runner_.jobs.empty()) {
    loop_.restart();
    ASSERT_GT(loop_.run_one_for(std::chrono::seconds(60)), 0U);
  }
  session_.reset();
  loop_.restart();
  loop_.run();
  EXPECT_EQ(names(work()), (std::vector<std::string>{"a.tar", "tmp"}));
}

TEST_F(ArchiveApi, WithoutAHelper) {
  door_ = Door::make(loop_, sink_, {}, secrets_);
  open({});
  EXPECT_EQ(error("archive.list", {"a.tar"}).code, "io.unavailable");
}

}  // namespace
}  // namespace pf::api
