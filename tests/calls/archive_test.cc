// forge.archive: each outcome of each call.
#include <sys/stat.h>

#include "calls/io_scene.h"
#include "support/archives.h"

namespace pf::calls {
namespace {

using test::tar_end;
using test::tar_entry;

class ArchiveScene : public IoScene {
 protected:
  ArchiveScene() { put("good.tar", tar_entry("a", '0', "text") + tar_end()); }

  /// Reads an archive of these bytes.
  Result<Json> ask_archive(const std::string& bytes, Json options = Json::object()) {
    put("a.tar", bytes);
    return ask_path("a.tar", std::move(options));
  }
  Result<Json> ask_path(const std::string& path, Json options = Json::object()) {
    if (name == "archive.list") return ask({path, std::move(options)});
    if (name == "archive.extract") return ask({path, "new", std::move(options)});
    return ask({"made.tar", Json::array({path}), std::move(options)});
  }
  void after() override {
    IoScene::after();
    if (outcome == kSuccess) return;
    EXPECT_FALSE(std::filesystem::exists(work() / "new"));
    EXPECT_FALSE(std::filesystem::exists(work() / "made.tar"));
  }
};
using Scene = ArchiveScene;

#define READING "archive.list", "archive.extract"
#define ALL_ARCHIVE READING, "archive.create"

CALLS(kSuccess, "archive.list") { EXPECT_EQ((*ask({"good.tar"}))[0]["path"], "a"); }
CALLS(kSuccess, "archive.extract") {
  ask({"good.tar", "new"});
  EXPECT_EQ(got("new/a"), "text");
}
CALLS(kSuccess, "archive.create") {
  put("f", "text");
  EXPECT_EQ((*ask({"made.tar", {"f"}}))["files"], 1);
  EXPECT_EQ((*call("archive.list", {"made.tar"}))[0]["path"], "f");
}

CALLS("permission.read", ALL_ARCHIVE) { ask_path("/etc/hostname"); }
CALLS("permission.write", "archive.extract") { ask({"good.tar", folder_.path() / "new"}); }
CALLS("permission.write", "archive.create") { ask({folder_.path() / "made.tar", {"good.tar"}}); }

CALLS("archive.bomb", READING) {
  ask_archive(tar_entry("a", '0', "1") + tar_entry("b", '0', "2") + tar_end(), {{"max_files", 1}});
}
CALLS("archive.damaged", READING) {
  ask_archive(tar_entry("a", '0', std::string(5000, 'x')).substr(0, 2000));
}
CALLS("archive.format", READING) { ask_archive(std::string(5000, 'x')); }
CALLS("archive.format", "archive.create") { ask({"made.rar", {"good.tar"}}); }
CALLS("archive.password", READING) { ask_archive(test::zip_of("a", "text", 1)); }
CALLS("archive.too_big", "archive.list") {
  const std::string one = tar_entry(std::string(90, 'x') + "/" + std::string(99, 'y'), '0');
  std::string many;
  for (int i = 0; i < 80'000; ++i) many += one;
  ask_archive(many + tar_end());
}
CALLS("archive.device", "archive.extract") { ask_archive(tar_entry("p", '6') + tar_end()); }
CALLS("archive.device", "archive.create") {
  ASSERT_EQ(::mkfifo((work() / "pipe").c_str(), 0600), 0);
  ask_path("pipe");
}
CALLS("archive.duplicate", "archive.extract") {
  ask_archive(tar_entry("a", '0', "1") + tar_entry("a", '0', "2") + tar_end());
}
CALLS("archive.exists", "archive.extract") { ask({"good.tar", "good.tar"}); }
CALLS("archive.link", "archive.extract") { ask_archive(tar_entry("l", '2', "", "/etc/passwd") + tar_end()); }
CALLS("archive.link", "archive.create") {
  put("d/f", "");
  std::filesystem::create_symlink("/etc/passwd", work() / "d/link");
  ask_path("d");
}
CALLS("archive.name", "archive.extract") { ask_archive(tar_entry("", '0', "x") + tar_end()); }
CALLS("archive.name", "archive.create") {
  std::string deep = "d";
  for (int i = 0; i < 260; ++i) deep += "/d";
  std::filesystem::create_directories(work() / deep);
  ask_path("d");
}
CALLS("archive.traversal", "archive.extract") { ask_archive(tar_entry("../x", '0', "x") + tar_end()); }
CALLS("archive.timeout", ALL_ARCHIVE) {
  helper(kHangs);
  ask_path("good.tar", {{"timeout", 0.1}});
}
// It becomes shorter once the helper has told that it is at work.
CALLS("archive.changed", "archive.create") {
  put("big", "");
  std::filesystem::resize_file(work() / "big", 64ULL << 30);
  sink_.on_progress = [this] { std::filesystem::resize_file(work() / "big", 0); };
  ask({"made.tar.xz", {"big"}});
}

CALLS("io.crashed", ALL_ARCHIVE) {
  helper(kCrashes);
  ask_path("good.tar");
}
CALLS("io.protocol", ALL_ARCHIVE) {
  helper(kBabbles);
  ask_path("good.tar");
}
CALLS("io.moved", ALL_ARCHIVE) {
  swap_before_use();
  ask_path("good.tar");
}
CALLS("io.unavailable", ALL_ARCHIVE) {
  without_helper();
  ask_path("good.tar");
}
CALLS("file.path", "archive.create") { ask({".", {"good.tar"}}); }
CALLS("file.unsupported", ALL_ARCHIVE) {
  test::without_system_calls({SYS_openat2}, ENOSYS, [this] { ask_path("good.tar"); });
}
CALLS("os.*", ALL_ARCHIVE) {
  ask_path("none");
  EXPECT_EQ(outcome, "os.enoent");
}

}  // namespace
}  // namespace pf::calls
