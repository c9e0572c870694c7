// The io helper's archives, through the program itself.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <fstream>

#include "base/json.h"
#include "services/io_protocol.h"
#include "support/archives.h"
#include "support/io_runner.h"
#include "support/program.h"

namespace pf::services::io {
namespace {

namespace fs = std::filesystem;
using test::place_of;
using test::tar_end;
using test::tar_entry;

class IoArchive : public testing::Test {
 protected:
  IoArchive() { fs::create_directory(folder_.path() / "out"); }

  std::string run(const Request& request) {
    auto answer = test::run_io_helper(request);
    if (!answer) {
      error_ = answer.error();
      return error_.code;
    }
    auto value = from_cbor(*answer);
    return value ? to_json_text(*value) : value.error().code;
  }
  ArchiveExtract ask(const std::string& archive) {
    ArchiveExtract out;
    out.archive = place_of(folder_.path() / archive);
    out.folder = place_of(folder_.path() / "out");
    return out;
  }
  /// Extracts a tar made of entries into out/.
  std::string tar(const std::string& entries) {
    folder_.write("a.tar", entries + tar_end());
    return run(ask("a.tar"));
  }
  std::string list(const std::string& archive) {
    return run(ArchiveList{place_of(folder_.path() / archive), {}});
  }
  std::string create(const std::string& name, const std::vector<ArchiveSource>& sources,
                     std::optional<double> mtime = std::nullopt) {
    return run(ArchiveCreate{place_of(folder_.path()), name, sources, mtime});
  }
  mode_t mode(const std::string& name) const {
    struct stat info {};
    EXPECT_EQ(::lstat((folder_.path() / name).c_str(), &info), 0) << name;
    return info.st_mode;
  }
  bool there(const std::string& name) const { return fs::exists(fs::symlink_status(folder_.path() / name)); }

  test::Folder folder_;
  Error error_;
};

TEST_F(IoArchive, ExtractsFilesFoldersAndLinks) {
  EXPECT_EQ(tar(tar_entry("d/", '5', "", "", 0755) + tar_entry("./d/a.txt", '0', "hello", "", 06777) +
                tar_entry("d/l", '2', "", "../d/a.txt") + tar_entry("d/h", '1', "", "d/a.txt") +
                tar_entry("deep/er/x", '0', std::string(5000, 'x'))),
            R"({"bytes":5005,"files":4})");
  EXPECT_EQ(folder_.read("out/d/a.txt"), "hello");
  EXPECT_EQ(mode("out/d/a.txt"), static_cast<mode_t>(S_IFREG | 0755)) << "setuid and other writers dropped";
  EXPECT_EQ(fs::read_symlink(folder_.path() / "out/d/l"), "../d/a.txt");
  EXPECT_EQ(fs::hard_link_count(folder_.path() / "out/d/h"), 2U);
  EXPECT_EQ(folder_.read("out/deep/er/x").size(), 5000U);
  struct stat info {};
  ASSERT_EQ(::stat((folder_.path() / "out/d").c_str(), &info), 0);
  EXPECT_EQ(info.st_mtime, 1000000000);
}

TEST_F(IoArchive, StripAndInclude) {
  folder_.write("a.tar", tar_entry("p-1/a.txt", '0', "a") + tar_entry("p-1/sub/b.txt", '0', "b") +
                             tar_entry("p-1/c.bin", '0', "c") + tar_entry("top", '0', "t") + tar_end());
  ArchiveExtract request = ask("a.tar");
  request.strip = 1;
  request.include = {"*.txt", "top"};
  EXPECT_EQ(run(request), R"({"bytes":2,"files":2})");
  EXPECT_EQ(folder_.read("out/sub/b.txt"), "b");
  EXPECT_FALSE(there("out/c.bin"));
  EXPECT_FALSE(there("out/top"));
}

TEST_F(IoArchive, IntoReplacesFilesAndNeverWritesThroughLinks) {
  folder_.write("a.tar", tar_entry("a", '0', "new") + tar_entry("l", '0', "mine") + tar_end());
  folder_.write("out/a", "old");
  folder_.write("victim", "untouched");
  fs::create_symlink("../victim", folder_.path() / "out/l");
  ArchiveExtract request = ask("a.tar");
  request.into = true;
  EXPECT_EQ(run(request), R"({"bytes":7,"files":2})");
  EXPECT_EQ(folder_.read("out/a"), "new");
  EXPECT_EQ(folder_.read("out/l"), "mine");
  EXPECT_EQ(folder_.read("victim"), "untouched");
  fs::create_directory(folder_.path() / "elsewhere");
  fs::create_symlink("../elsewhere", folder_.path() / "out/f");
  folder_.write("a.tar", tar_entry("f/x", '0', "new") + tar_end());
  request.archive = place_of(folder_.path() / "a.tar");
  EXPECT_EQ(run(request), "archive.link");
  EXPECT_FALSE(there("elsewhere/x"));
  folder_.write("a.tar", tar_entry("a", '0', "1") + tar_entry("a", '0', "2") + tar_end());
  EXPECT_EQ(run(request), "archive.duplicate");
  folder_.write("a.tar", tar_entry("h", '1', "", "l") + tar_end());
  EXPECT_EQ(run(request), "archive.link") << "a hard link to what was there before";
  fs::create_directory(folder_.path() / "out/folder");
  folder_.write("a.tar", tar_entry("folder", '0', "1") + tar_end());
  EXPECT_EQ(run(request), "archive.exists");
}

TEST_F(IoArchive, Traversal) {
  for (const char* name : {"../x", "/etc/x", "a/../../x", "a/..", "..", "/"}) {
    EXPECT_EQ(tar(tar_entry(name, '0', "evil")), "archive.traversal") << name;
  }
  EXPECT_FALSE(there("x"));
  EXPECT_EQ(tar(tar_entry("h", '1', "", "../x")), "archive.traversal") << "a hard link's target";
}

TEST_F(IoArchive, LinksThatLeadOut) {
  for (const char* target : {"/etc/passwd", "..", "../x", "a/../../x", "b/..", ""}) {
    EXPECT_EQ(tar(tar_entry("l", '2', "", target)), "archive.link") << target;
  }
  EXPECT_EQ(tar(tar_entry("d/l", '2', "", "../../x")), "archive.link");
  EXPECT_EQ(tar(tar_entry("d/e/up", '2', "", "../..") + tar_entry("l", '2', "", "d/e/up/..")), "archive.link")
      << "on paper that is d/e";
  EXPECT_EQ(tar(tar_entry("h", '1', "", "not/there")), "archive.link");
}

TEST_F(IoArchive, NothingIsWrittenThroughItsOwnLinks) {
  fs::create_directory(folder_.path() / "victim");
  EXPECT_EQ(tar(tar_entry("real/", '5') + tar_entry("l", '2', "", "real") + tar_entry("l/x", '0', "evil")),
            "archive.link");
  EXPECT_FALSE(there("out/real/x"));
  EXPECT_EQ(tar(tar_entry("m", '2', "", "real") + tar_entry("h", '1', "", "m/x")), "archive.link");
  EXPECT_EQ(tar(tar_entry("n", '2', "", "real/x") + tar_entry("n", '0', "evil")), "archive.duplicate");
  EXPECT_EQ(tar(tar_entry("file", '0', "x") + tar_entry("file/y", '0', "x")), "archive.link");
}

TEST_F(IoArchive, Devices) {
  for (char type : {'3', '4', '6'}) EXPECT_EQ(tar(tar_entry("d", type)), "archive.device") << type;
  EXPECT_FALSE(there("out/d"));
}

TEST_F(IoArchive, TwiceTheSame) {
  EXPECT_EQ(tar(tar_entry("a", '0', "1") + tar_entry("./a", '0', "2")), "archive.duplicate");
}

TEST_F(IoArchive, Names) {
  std::string deep;
  for (int i = 0; i < 40; ++i) deep += "d/";
  // A GNU long name: the content of an entry of type L.
  const auto with_name = [](const std::string& name) {
    return tar_entry("././@LongLink", 'L', name + std::string(1, '\0')) + tar_entry("x", '0', "x");
  };
  EXPECT_EQ(tar(with_name(deep + "x")), R"({"bytes":1,"files":1})");
  EXPECT_EQ(tar(with_name(std::string(256, 'n'))), "archive.name");
  std::string deeper;
  for (int i = 0; i < 300; ++i) deeper += "d/";
  EXPECT_EQ(tar(with_name(deeper + "x")), "archive.name");
  std::string longer;
  for (int i = 0; i < 20; ++i) longer += std::string(250, 'n') + "/";
  EXPECT_EQ(tar(with_name(longer + "x")), "archive.name");
}

TEST_F(IoArchive, Bombs) {
  folder_.write("a.tar", tar_entry("a", '0', std::string(5000, 'a')) + tar_entry("b", '0', "b") + tar_end());
  ArchiveExtract request = ask("a.tar");
  request.limits.max_size = 5000;
  EXPECT_EQ(run(request), "archive.bomb");
  EXPECT_EQ(error_.hint, "where this is meant, raise `max_size`");
  fs::remove_all(folder_.path() / "out");
  fs::create_directory(folder_.path() / "out");
  request = ask("a.tar");
  request.limits.max_files = 1;
  EXPECT_EQ(run(request), "archive.bomb");
  EXPECT_EQ(error_.hint, "where this is meant, raise `max_files`");
  // 80 MiB of zeros: gzip makes about a thousandth of it.
  fs::create_directory(folder_.path() / "in");
  { std::ofstream(folder_.path() / "in/zeros").close(); }
  fs::resize_file(folder_.path() / "in/zeros", 80U << 20);
  for (const char* name : {"z.tar.gz", "z.tar.zst", "z.tar.xz", "z.tar.bz2", "z.zip"}) {
    EXPECT_TRUE(create(name, {{place_of(folder_.path() / "in"), ""}}).starts_with("{\"bytes\":83886080,"))
        << name;
    fs::remove_all(folder_.path() / "out");
    fs::create_directory(folder_.path() / "out");
    request = ask(name);
    EXPECT_EQ(run(request), "archive.bomb") << name;
    EXPECT_EQ(error_.hint, "where this is meant, raise `max_ratio`");
    if (std::string(name) != "z.zip") {
      EXPECT_EQ(list(name), "archive.bomb") << name;
    }
  }
  request.limits.max_ratio = 1e6;
  fs::remove_all(folder_.path() / "out");
  fs::create_directory(folder_.path() / "out");
  request.folder = place_of(folder_.path() / "out");
  EXPECT_EQ(run(request), R"({"bytes":83886080,"files":1})");
}

TEST_F(IoArchive, DamagedAndForeign) {
  folder_.write("a.tar", tar_entry("a", '0', std::string(5000, 'a')).substr(0, 2000));
  EXPECT_EQ(run(ask("a.tar")), "archive.damaged");
  folder_.write("text", "this is no archive");
  EXPECT_EQ(run(ask("text")), "archive.format");
  EXPECT_EQ(list("text"), "archive.format");
  folder_.write("empty", "");
  EXPECT_EQ(list("empty"), "archive.format");
  EXPECT_EQ(run(ArchiveList{place_of(folder_.path() / "out"), {}}), "archive.format") << "a folder";
  ASSERT_EQ(::mkfifo((folder_.path() / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(list("pipe"), "archive.format");
  std::string gz = test::run({{"sh", "-c", "printf %s x | gzip -c | gzip -c"}, ".", {}, 0}).out;
  folder_.write("twice", gz);
  EXPECT_EQ(list("twice"), "archive.format");
}

TEST_F(IoArchive, Passwords) {
  folder_.write("a.zip", test::zip_of("a", "0123456789abcdef", 1));
  EXPECT_EQ(run(ask("a.zip")), "archive.password");
  EXPECT_EQ(list("a.zip"), "archive.password");
  folder_.write("b.zip", test::zip_of("b", "plain"));
  EXPECT_EQ(run(ask("b.zip")), R"({"bytes":5,"files":1})");
  folder_.write("c.zip", test::zip_of("../c", "plain"));
  EXPECT_EQ(run(ask("c.zip")), "archive.traversal");
}

TEST_F(IoArchive, Lists) {
  folder_.write("a.tar", tar_entry("d/", '5', "", "", 0750) + tar_entry("d/\xc3\xa9", '0', "abc") +
                             tar_entry("l", '2', "", "d") + tar_entry("/abs", '6') + tar_end());
  EXPECT_EQ(list("a.tar"),
            R"([{"mode":488,"mtime":1000000000,"path":"d/","size":0,"type":"folder"},)"
            R"({"mode":420,"mtime":1000000000,"path":"d/é","size":3,"type":"file"},)"
            R"({"mode":420,"mtime":1000000000,"path":"l","size":0,"target":"d","type":"link"},)"
            R"({"mode":420,"mtime":1000000000,"path":"/abs","size":0,"type":"other"}])");
}

TEST_F(IoArchive, TooMuchToList) {
  std::string all;
  for (int i = 0; i < 60'000; ++i) all += tar_entry(std::string(95, 'n') + std::to_string(i % 1000), '0');
  folder_.write("a.tar", all + tar_end());
  EXPECT_EQ(list("a.tar"), "archive.too_big");
}

TEST_F(IoArchive, CreatedArchivesComeBack) {
  folder_.write("in/b.txt", "bbb");
  folder_.write("in/a/x", std::string(100'000, 'x'));
  fs::create_symlink("../b.txt", folder_.path() / "in/a/link");
  fs::permissions(folder_.path() / "in/b.txt", fs::perms(0700));
  for (const char* name : {"t.tar", "t.tar.gz", "t.tgz", "t.tar.bz2", "t.tar.xz", "t.tar.zst", "t.zip"}) {
    const std::string made = create(name, {{place_of(folder_.path() / "in"), "top"}}, 1234567890);
    EXPECT_EQ(made, "{\"bytes\":100003,\"files\":3,\"size\":" +
                        std::to_string(fs::file_size(folder_.path() / name)) + "}");
    fs::remove_all(folder_.path() / "out");
    fs::create_directory(folder_.path() / "out");
    EXPECT_EQ(run(ask(name)), R"({"bytes":100003,"files":3})") << name;
    EXPECT_EQ(folder_.read("out/top/a/link"), "bbb") << name;
    EXPECT_EQ(mode("out/top/b.txt"), static_cast<mode_t>(S_IFREG | 0755)) << name;
    struct stat info {};
    ASSERT_EQ(::stat((folder_.path() / "out/top/a/x").c_str(), &info), 0);
    EXPECT_EQ(info.st_mtime, 1234567890) << name;
    // The same again: the same bytes, though the files' times and modes have changed.
    const std::string before = folder_.read(name);
    fs::remove(folder_.path() / name);
    folder_.write("in/a/x", std::string(100'000, 'x'));
    fs::permissions(folder_.path() / "in/a/x", fs::perms(0600));
    create(name, {{place_of(folder_.path() / "in"), "top"}}, 1234567890);
    EXPECT_TRUE(folder_.read(name) == before) << name;
  }
  EXPECT_TRUE(list("t.tar").starts_with(
      R"([{"mode":493,"mtime":1234567890,"path":"top/","size":0,"type":"folder"},)"));
}

TEST_F(IoArchive, CreateRefuses) {
  folder_.write("in/a", "a");
  const ArchiveSource in{place_of(folder_.path() / "in"), ""};
  EXPECT_EQ(create("x.rar", {in}), "archive.format");
  fs::create_symlink("/etc/passwd", folder_.path() / "in/l");
  EXPECT_EQ(create("x.tar", {in}), "archive.link");
  fs::remove(folder_.path() / "in/l");
  ASSERT_EQ(::mkfifo((folder_.path() / "in/p").c_str(), 0600), 0);
  EXPECT_EQ(create("y.tar", {in}), "archive.device");
  fs::remove(folder_.path() / "in/p");
  EXPECT_EQ(create("y.tar", {in}), "os.eexist");
  // A single file has its own name.
  EXPECT_EQ(create("z.tar", {{place_of(folder_.path() / "in/a"), ""}}).substr(0, 21),
            R"({"bytes":1,"files":1,)");
  EXPECT_EQ(list("z.tar").find("\"path\":\"a\"") != std::string::npos, true);
}

}  // namespace
}  // namespace pf::services::io
