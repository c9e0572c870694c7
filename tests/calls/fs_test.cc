// forge.fs: each outcome of each call.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "base/file.h"
#include "calls/calls.h"
#include "support/faults.h"

namespace pf::calls {
namespace {

class FsScene : public Stage {
 protected:
  /// Makes the call for a path; those that have a second argument get one that is good.
  Result<Json> ask_path(const std::string& path) {
    if (name == "fs.write" || name == "fs.append") return ask({path, "text"});
    if (name == "fs.copy" || name == "fs.move") return ask({path, "to"});
    return ask({path});
  }
  /// Names of more than 8 MiB.
  void fill(const std::string& folder) {
    std::filesystem::create_directories(work() / folder);
    const UniqueFd at(::open((work() / folder).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    for (int i = 0; i < 33'000; ++i) {
      const std::string file = std::to_string(100'000 + i) + std::string(249, 'x');
      ASSERT_EQ(::mknodat(at.get(), file.c_str(), S_IFREG | 0600, 0), 0);
    }
  }
};
using Scene = FsScene;

#define ALL_FS                                                                                               \
  "fs.read", "fs.write", "fs.append", "fs.exists", "fs.list", "fs.glob", "fs.stat", "fs.mkdir", "fs.remove", \
      "fs.copy", "fs.move"

CALLS(kSuccess, "fs.read") {
  put("f", "text");
  EXPECT_EQ(*ask({"f"}), "text");
}
CALLS(kSuccess, "fs.write") {
  ask({"f", "text"});
  EXPECT_EQ(got("f"), "text");
}
CALLS(kSuccess, "fs.append") {
  put("f", "one ");
  ask({"f", "two"});
  EXPECT_EQ(got("f"), "one two");
}
CALLS(kSuccess, "fs.exists") {
  put("f", "");
  EXPECT_EQ(*ask({"f"}), true);
}
CALLS(kSuccess, "fs.list") {
  put("d/b", "");
  put("d/a", "");
  EXPECT_EQ(*ask({"d"}), Json({"a", "b"}));
}
CALLS(kSuccess, "fs.glob") {
  put("d/a.txt", "");
  put("d/b", "");
  EXPECT_EQ(*ask({"d/*.txt"}), Json::array({"d/a.txt"}));
}
CALLS(kSuccess, "fs.stat") {
  put("f", "text");
  EXPECT_EQ((*ask({"f"}))["size"], 4);
}
CALLS(kSuccess, "fs.mkdir") {
  ask({"a/b"});
  EXPECT_TRUE(std::filesystem::is_directory(work() / "a/b"));
}
CALLS(kSuccess, "fs.remove") {
  put("d/f", "text");
  EXPECT_EQ(*ask({"d"}), true);
  EXPECT_FALSE(std::filesystem::exists(work() / "d"));
}
CALLS(kSuccess, "fs.copy", "fs.move") {
  put("f", "text");
  ask({"f", "g"});
  EXPECT_EQ(got("g"), "text");
  EXPECT_EQ(std::filesystem::exists(work() / "f"), name == "fs.copy");
}

CALLS("permission.read", "fs.read", "fs.exists", "fs.list", "fs.glob", "fs.stat", "fs.copy", "fs.move") {
  ask_path("/etc/hostname");
}
CALLS("permission.write", "fs.write", "fs.append", "fs.mkdir", "fs.remove", "fs.copy", "fs.move") {
  put("f", "text");
  const std::string outside = folder_.path() / "outside";
  if (name == "fs.copy" || name == "fs.move")
    ask({"f", outside});
  else
    ask_path(outside);
  EXPECT_FALSE(std::filesystem::exists(outside));
}

CALLS("os.*", ALL_FS) {
  ask_path(std::string(300, 'x'));
  EXPECT_EQ(outcome, "os.enametoolong");
}
CALLS("file.unsupported", ALL_FS) {
  put("f", "text");
  test::without_system_calls({SYS_openat2}, ENOSYS, [this] { ask_path("f"); });
}
CALLS("file.path", "fs.write", "fs.remove") { ask_path("."); }
CALLS("file.path", "fs.copy", "fs.move") {
  put("f", "text");
  ask({"f", "."});
}
CALLS("file.path", "fs.glob") {
  std::string pattern = "*";
  for (int i = 0; i < 64; ++i) pattern += "/*";
  ask({pattern});
}
CALLS("file.not_regular", "fs.read", "fs.copy") {
  put("d/f", "text");
  ask_path("d");
}
CALLS("file.not_regular", "fs.append") {
  put("f", "text");
  ASSERT_EQ(::mkfifo((work() / "pipe").c_str(), 0600), 0);
  ask_path("pipe");
}
CALLS("file.too_big", "fs.read") {
  put("f", "");
  std::filesystem::resize_file(work() / "f", (15U << 20) + 1);
  ask({"f"});
}
CALLS("file.too_big", "fs.list") {
  fill("d");
  ask({"d"});
}
CALLS("file.too_big", "fs.glob") {
  fill("d");
  ask({"d/*"});
}

}  // namespace
}  // namespace pf::calls
