#include "services/files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <thread>

#include "support/program.h"

namespace pf::services {
namespace {

namespace fs = std::filesystem;

/// `box/` is what the Folder confines to; `secret` lies beside it.
class Files : public testing::Test {
 protected:
  Files() {
    outer_.write("box/a.txt", "alpha");
    outer_.write("box/sub/b.txt", "beta");
    outer_.write("secret", "SECRET");
    outer_.write("private/b.txt", "SECRET");
    box_ = std::move(*Folder::open(outer_.path() / "box"));
  }
  fs::path box(const std::string& name) const { return outer_.path() / "box" / name; }

  test::Folder outer_;
  Folder box_;
};

template <class T>
std::string code(const Result<T>& result) {
  return result ? "ok" : result.error().code;
}

TEST_F(Files, ReadsWritesAndAppends) {
  EXPECT_EQ(*box_.read("a.txt"), "alpha");
  EXPECT_EQ(*box_.read("./sub//b.txt"), "beta");
  ASSERT_TRUE(box_.write("new.bin", std::string("\0\xff", 2)));
  EXPECT_EQ(*box_.read("new.bin"), std::string("\0\xff", 2));
  ASSERT_TRUE(box_.append("new.bin", "z"));
  EXPECT_EQ(*box_.read("new.bin"), std::string("\0\xffz", 3));
  ASSERT_TRUE(box_.append("log", "1\n"));
  ASSERT_TRUE(box_.append("log", "2\n"));
  EXPECT_EQ(*box_.read("log"), "1\n2\n");
}

TEST_F(Files, WritingReplacesAsAWholeAndKeepsTheMode) {
  ASSERT_EQ(::chmod(box("a.txt").c_str(), 0750), 0);
  fs::create_hard_link(box("a.txt"), box("other"));
  ASSERT_TRUE(box_.write("a.txt", "new"));
  EXPECT_EQ(*box_.read("other"), "alpha");
  struct stat info {};
  ASSERT_EQ(::stat(box("a.txt").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0750U);
  EXPECT_EQ(*box_.list("."), (std::vector<std::string>{"a.txt", "other", "sub"}));
}

TEST_F(Files, WritingOverALinkReplacesTheLink) {
  fs::create_symlink("../secret", box("link"));
  ASSERT_TRUE(box_.write("link", "mine"));
  EXPECT_EQ(outer_.read("secret"), "SECRET");
  EXPECT_EQ(*box_.read("link"), "mine");
}

TEST_F(Files, NothingLeadsOut) {
  fs::create_symlink("../secret", box("relative"));
  fs::create_symlink(outer_.path() / "secret", box("absolute"));
  fs::create_symlink("../private", box("folder"));
  fs::create_symlink("/proc/self/root", box("magic"));
  for (const char* path : {"relative", "absolute", "folder/b.txt", "magic/etc/passwd"}) {
    EXPECT_EQ(code(box_.read(path)), "file.outside") << path;
    EXPECT_EQ(code(box_.append(path, "x")), "file.outside") << path;
  }
  EXPECT_EQ(code(box_.write("folder/b.txt", "x")), "file.outside");
  EXPECT_EQ(code(box_.list("folder")), "file.outside");
  EXPECT_EQ(code(box_.stat("folder/b.txt")), "file.outside");
  EXPECT_EQ(code(box_.exists("folder/b.txt")), "file.outside");
  EXPECT_EQ(code(box_.mkdir("folder/new")), "file.outside");
  EXPECT_EQ(code(box_.remove("folder/b.txt", nullptr)), "file.outside");
  EXPECT_EQ(code(Folder::copy(box_, "absolute", box_, "c", nullptr)), "file.outside");
  EXPECT_EQ(code(Folder::copy(box_, "a.txt", box_, "folder/c", nullptr)), "file.outside");
  EXPECT_EQ(code(Folder::move(box_, "folder/b.txt", box_, "c", nullptr)), "file.outside");
  EXPECT_EQ(code(box_.glob("folder/*", nullptr)), "file.outside");
  EXPECT_EQ(code(box_.glob("folder/b.txt", nullptr)), "file.outside");
  EXPECT_EQ(*box_.glob("*/b.txt", nullptr), std::vector<std::string>{"sub/b.txt"});
  EXPECT_EQ(outer_.read("private/b.txt"), "SECRET");
  EXPECT_EQ(outer_.read("secret"), "SECRET");
}

TEST_F(Files, LinksThatStayInsideAreFollowed) {
  fs::create_symlink("sub/b.txt", box("inside"));
  fs::create_symlink("sub", box("door"));
  EXPECT_EQ(*box_.read("inside"), "beta");
  EXPECT_EQ(*box_.read("door/b.txt"), "beta");
  EXPECT_EQ(box_.stat("inside")->type, FileType::link);
  box_.refuse_links();
  EXPECT_EQ(code(box_.read("inside")), "file.outside");
  EXPECT_EQ(code(box_.read("door/b.txt")), "file.outside");
  EXPECT_TRUE(*box_.exists("inside"));
}

TEST_F(Files, UnusablePaths) {
  for (const std::string& path :
       {std::string(), std::string("/etc/passwd"), std::string("../secret"), std::string("sub/../../secret"),
        std::string("sub/.."), std::string("a.txt\0b", 7), std::string(5000, 'a')}) {
    EXPECT_EQ(code(box_.read(path)), "file.path") << path;
    EXPECT_EQ(code(box_.write(path, "")), "file.path") << path;
    EXPECT_EQ(code(box_.remove(path, nullptr)), "file.path") << path;
    EXPECT_EQ(code(box_.glob(path, nullptr)), "file.path") << path;
    EXPECT_EQ(code(box_.mkdir(path)), "file.path") << path;
  }
  EXPECT_EQ(code(box_.remove(".", nullptr)), "file.path");
  EXPECT_EQ(code(box_.write("sub/.", "")), "file.path");
}

TEST_F(Files, PipesSocketsDevicesAndFoldersAreNotRead) {
  ASSERT_EQ(::mkfifo(box("pipe").c_str(), 0666), 0);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::snprintf(address.sun_path, sizeof address.sun_path, "%s", box("socket").c_str());
  ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ::close(fd);
  for (const char* path : {"pipe", "socket", "sub"}) {
    EXPECT_EQ(code(box_.read(path)), "file.not_regular") << path;
    EXPECT_EQ(code(Folder::copy(box_, path, box_, "copy", nullptr)), "file.not_regular") << path;
  }
  EXPECT_EQ(code(box_.append("pipe", "x")), "file.not_regular");
  EXPECT_EQ(box_.stat("pipe")->type, FileType::other);
  auto devices = Folder::open("/dev");
  ASSERT_TRUE(devices);
  EXPECT_EQ(code(devices->read("zero")), "file.not_regular");
}

TEST_F(Files, SizesAreBounded) {
  ASSERT_EQ(::truncate(box("a.txt").c_str(), static_cast<off_t>(kMaxFileRead)), 0);
  EXPECT_EQ(box_.read("a.txt")->size(), kMaxFileRead);
  ASSERT_EQ(::truncate(box("a.txt").c_str(), static_cast<off_t>(kMaxFileRead) + 1), 0);
  auto read = box_.read("a.txt");
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, "file.too_big");
  EXPECT_EQ(read.error().message, "cannot read a.txt: it is larger than 15728640 bytes");
  // Files of /proc say that they are empty.
  auto proc = Folder::open("/proc/self");
  EXPECT_FALSE(proc->read("status")->empty());
  EXPECT_EQ(code(proc->read("status", 10)), "file.too_big");
}

TEST_F(Files, MissingThings) {
  EXPECT_EQ(code(box_.read("none")), "os.enoent");
  EXPECT_EQ(box_.read("none").error().message, "cannot read none: No such file or directory");
  EXPECT_EQ(box_.write("none/x", "").error().hint, "make the folder first, with forge.fs.mkdir");
  EXPECT_FALSE(*box_.exists("none"));
  EXPECT_FALSE(*box_.exists("a.txt/none"));
  EXPECT_FALSE(*box_.remove("none", nullptr));
  EXPECT_FALSE(*box_.remove("none/none", nullptr));
  EXPECT_EQ(code(box_.list("none")), "os.enoent");
  EXPECT_EQ(code(box_.list("a.txt")), "os.enotdir");
  EXPECT_EQ(code(box_.stat("none")), "os.enoent");
  EXPECT_EQ(code(Folder::open(box("none"))), "os.enoent");
}

TEST_F(Files, ErrorsCarryTheLabel) {
  box_.set_label("/granted");
  EXPECT_EQ(box_.read("none").error().message, "cannot read /granted/none: No such file or directory");
}

TEST_F(Files, StatListAndMkdir) {
  auto info = box_.stat("a.txt");
  EXPECT_EQ(info->type, FileType::file);
  EXPECT_EQ(info->size, 5U);
  EXPECT_GT(info->modified, 1.6e9);
  EXPECT_EQ(box_.stat(".")->type, FileType::folder);
  ASSERT_TRUE(box_.mkdir("x/y/z"));
  ASSERT_TRUE(box_.mkdir("x/y/z"));
  EXPECT_TRUE(fs::is_directory(box("x/y/z")));
  EXPECT_EQ(code(box_.mkdir("a.txt")), "os.enotdir");
  EXPECT_EQ(code(box_.mkdir("a.txt/b")), "os.enotdir");
  fs::create_symlink("nowhere", box("dangling"));
  EXPECT_EQ(code(box_.mkdir("dangling")), "os.enoent");
  EXPECT_EQ(*box_.list("x"), std::vector<std::string>{"y"});
}

TEST_F(Files, CopyAndMove) {
  ASSERT_EQ(::chmod(box("a.txt").c_str(), 0700), 0);
  const auto copied = Folder::copy(box_, "a.txt", box_, "sub/c", nullptr);
  ASSERT_TRUE(copied);
  EXPECT_EQ(*copied, box_.read("a.txt")->size());
  struct stat info {};
  ASSERT_EQ(::stat(box("sub/c").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700U);
  EXPECT_EQ(*box_.read("sub/c"), "alpha");
  ASSERT_TRUE(Folder::copy(box_, "a.txt", box_, "a.txt", nullptr));
  EXPECT_EQ(*box_.read("a.txt"), "alpha");
  ASSERT_TRUE(Folder::move(box_, "sub", box_, "moved", nullptr));
  EXPECT_EQ(*box_.list("moved"), (std::vector<std::string>{"b.txt", "c"}));
  EXPECT_EQ(code(Folder::move(box_, "a.txt", box_, "moved", nullptr)), "os.eisdir");
  EXPECT_EQ(code(Folder::move(box_, "moved", box_, "moved/inner", nullptr)), "os.einval");
  const std::atomic<bool> stop{true};
  EXPECT_EQ(code(Folder::copy(box_, "a.txt", box_, "stopped", &stop)), "file.stopped");
  EXPECT_EQ(*box_.list("."), (std::vector<std::string>{"a.txt", "moved"}));
}

TEST_F(Files, MovesBetweenFileSystemsAsACopy) {
  struct stat here {
  }, there{};
  ASSERT_EQ(::stat(box(".").c_str(), &here), 0);
  if (::stat("/dev/shm", &there) != 0 || here.st_dev == there.st_dev)
    GTEST_SKIP() << "/dev/shm is no other file system";
  char name[] = "/dev/shm/pf-test-XXXXXX";
  ASSERT_NE(::mkdtemp(name), nullptr);
  auto other = Folder::open(name);
  ASSERT_TRUE(other);
  EXPECT_EQ(code(Folder::move(box_, "a.txt", *other, "a.txt", nullptr)), "ok");
  EXPECT_EQ(*other->read("a.txt"), "alpha");
  EXPECT_FALSE(*box_.exists("a.txt"));
  auto folder = Folder::move(box_, "sub", *other, "sub", nullptr);
  EXPECT_EQ(code(folder), "os.exdev");
  EXPECT_EQ(*box_.read("sub/b.txt"), "beta");
  fs::remove_all(name);
}

TEST_F(Files, RemovesTreesButNotThroughLinks) {
  fs::create_directory_symlink(outer_.path() / "private", box("sub/link"));
  fs::create_symlink(outer_.path() / "secret", box("sub/file"));
  fs::create_directories(box("sub/deep/deeper"));
  EXPECT_TRUE(*box_.remove("sub", nullptr));
  EXPECT_FALSE(fs::exists(box("sub")));
  EXPECT_EQ(outer_.read("private/b.txt"), "SECRET");
  fs::create_directory_symlink(outer_.path() / "private", box("link"));
  EXPECT_TRUE(*box_.remove("link", nullptr));
  EXPECT_EQ(outer_.read("private/b.txt"), "SECRET");
}

TEST_F(Files, RemovesWhatIsDeeperThanAnyPath) {
  // 2,000 levels of 4 bytes each are beyond PATH_MAX, and beyond the descriptors that may be open.
  int at = ::open(box(".").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  for (int i = 0; i < 2000; ++i) {
    ASSERT_EQ(::mkdirat(at, "deep", 0777), 0);
    const int next = ::openat(at, "deep", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ASSERT_GE(next, 0);
    ::close(at);
    at = next;
    ::close(::openat(at, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0666));
  }
  ::close(at);
  EXPECT_TRUE(*box_.remove("deep", nullptr));
  EXPECT_EQ(*box_.list("."), (std::vector<std::string>{"a.txt", "sub"}));
}

TEST_F(Files, RemoveStops) {
  const std::atomic<bool> stop{true};
  EXPECT_EQ(code(box_.remove("sub", &stop)), "file.stopped");
  EXPECT_EQ(*box_.read("sub/b.txt"), "beta");
  EXPECT_EQ(code(box_.glob("**", &stop)), "file.stopped");
}

TEST_F(Files, Globs) {
  for (const char* name : {"box/x.nc", "box/sub/y.nc", "box/sub/in/z.nc", "box/sub/in/z.txt",
                           "box/.hidden/h.nc", "box/sub/.dot.nc"}) {
    outer_.write(name, "");
  }
  fs::create_directory_symlink("sub", box("loop"));
  fs::create_directory_symlink("..", box("sub/up"));
  using List = std::vector<std::string>;
  EXPECT_EQ(*box_.glob("*.nc", nullptr), List{"x.nc"});
  EXPECT_EQ(*box_.glob("**/*.nc", nullptr), (List{"sub/in/z.nc", "sub/y.nc", "x.nc"}));
  EXPECT_EQ(*box_.glob("sub/**/*.nc", nullptr), (List{"sub/in/z.nc", "sub/y.nc"}));
  EXPECT_EQ(*box_.glob("**/in/**/z.*", nullptr), (List{"sub/in/z.nc", "sub/in/z.txt"}));
  EXPECT_EQ(*box_.glob("sub/**", nullptr),
            (List{"sub/b.txt", "sub/in", "sub/in/z.nc", "sub/in/z.txt", "sub/up", "sub/y.nc"}));
  EXPECT_EQ(*box_.glob("?.[nt]*", nullptr), (List{"a.txt", "x.nc"}));
  EXPECT_EQ(*box_.glob(".h*/*", nullptr), List{".hidden/h.nc"});
  EXPECT_EQ(*box_.glob("sub/.*", nullptr), List{"sub/.dot.nc"});
  EXPECT_EQ(*box_.glob("loop/*.nc", nullptr), List{"loop/y.nc"});
  EXPECT_EQ(*box_.glob("a.txt", nullptr), List{"a.txt"});
  EXPECT_EQ(*box_.glob("./sub/b.txt", nullptr), List{"sub/b.txt"});
  EXPECT_EQ(*box_.glob("none/*", nullptr), List{});
  EXPECT_EQ(*box_.glob("a.txt/*", nullptr), List{});
  std::string parts = "*";
  for (int i = 0; i < 64; ++i) parts += "/*";
  EXPECT_EQ(code(box_.glob(parts, nullptr)), "file.path");
}

// A part of the path is a folder at one moment and a link that leads out at the next: every call either does
// its work inside or fails; what lies outside is neither seen nor changed.
TEST_F(Files, ASwappedFolderNeverLeadsOut) {
  fs::create_directory_symlink(outer_.path() / "private", box("swap"));
  std::atomic<bool> stop{false};
  const int base = ::open(box(".").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  std::thread swapper([&] {
    while (!stop) ::syscall(SYS_renameat2, base, "sub", base, "swap", 2U /* RENAME_EXCHANGE */);
  });
  int inside = 0, refused = 0;
  const auto count = [&](const std::string& result) {
    if (result == "ok")
      ++inside;
    else if (result == "file.outside")
      ++refused;
    else
      ADD_FAILURE() << result;
  };
  for (int i = 0; i < 20000 && (i < 300 || inside < 100 || refused < 100); ++i) {
    auto read = box_.read("sub/b.txt");
    if (read) {
      EXPECT_EQ(read->substr(0, 4), "beta");
    }
    count(code(read));
    count(code(box_.write("sub/b.txt", "beta" + std::to_string(i))));
    count(code(box_.append("sub/b.txt", "+")));
    count(code(Folder::copy(box_, "a.txt", box_, "sub/copied", nullptr)));
    auto removed = box_.remove("sub/copied", nullptr);
    count(code(removed));
    count(code(box_.mkdir("sub/made")));
  }
  stop = true;
  swapper.join();
  ::close(base);
  EXPECT_GT(inside, 0);
  EXPECT_GT(refused, 0);
  EXPECT_EQ(outer_.read("private/b.txt"), "SECRET");
  EXPECT_EQ(std::distance(fs::directory_iterator(outer_.path() / "private"), fs::directory_iterator()), 1);
}

// The same while a tree is removed: `sub/in` is swapped for a link to a folder outside.
TEST_F(Files, ARemovalNeverLeadsOut) {
  std::atomic<bool> stop{false};
  const int base = ::open(box(".").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  fs::create_directory_symlink(outer_.path() / "private", box("link"));
  std::thread swapper([&] {
    while (!stop) ::syscall(SYS_renameat2, base, "tree/in", base, "link", 2U);
  });
  for (int i = 0; i < 300; ++i) {
    std::error_code ignored;
    fs::create_directories(box("tree"), ignored);
    ::mkdirat(base, "tree/in", 0777);
    box_.append("tree/in/b.txt", "x");
    auto removed = box_.remove("tree", nullptr);
    if (!removed) {
      EXPECT_TRUE(removed.error().code.starts_with("os.")) << removed.error().code;
    }
  }
  stop = true;
  swapper.join();
  ::close(base);
  EXPECT_EQ(outer_.read("private/b.txt"), "SECRET");
}

TEST_F(Files, WithoutOpenat2TheyRefuse) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog program{4, filter};
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
      ::_exit(2);
    }
    const bool good =
        code(box_.read("a.txt")) == "file.unsupported" && code(box_.write("a.txt", "")) == "file.unsupported";
    ::_exit(good ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(*box_.read("a.txt"), "alpha");
}

}  // namespace
}  // namespace pf::services
