#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "fixture.h"

namespace pf::api {
namespace {

namespace fs = std::filesystem;

class FsTest : public DoorTest {
 protected:
  FsTest() {
    folder_.write("data/in.txt", "input");
    folder_.write("data/sub/deep.txt", "deep");
    folder_.write("data2/in.txt", "SECRET");
    folder_.write("secret", "SECRET");
  }
  std::string at(const std::string& name) const { return folder_.path() / name; }
  fs::path work(const std::string& name) const { return folder_.path() / "state/work/example/first" / name; }
  static Json bytes(const std::string& text) { return Json::binary({text.begin(), text.end()}); }
};

TEST_F(FsTest, TheWorkFolderNeedsNoPermission) {
  EXPECT_FALSE(fs::exists(work("")));
  EXPECT_EQ(value("fs.write", {"a.txt", "one"}), "null");
  EXPECT_EQ(value("fs.append", {"a.txt", " two"}), "null");
  EXPECT_EQ(value("fs.read", {"a.txt"}), "\"one two\"");
  EXPECT_EQ(value("fs.exists", {"a.txt"}), "true");
  EXPECT_EQ(value("fs.mkdir", {"b/c"}), "null");
  EXPECT_EQ(value("fs.copy", {"a.txt", "b/c/d.txt"}), "null");
  EXPECT_EQ(value("fs.move", {"a.txt", "b/e.txt"}), "null");
  EXPECT_EQ(value("fs.list", {"."}), "[\"b\",\"tmp\"]");
  EXPECT_EQ(value("fs.glob", {"**/*.txt"}), "[\"b/c/d.txt\",\"b/e.txt\"]");
  EXPECT_EQ(value("fs.glob", {"b/*.txt"}), "[\"b/e.txt\"]");
  EXPECT_EQ(value("fs.glob", {"b/e.txt"}), "[\"b/e.txt\"]");
  EXPECT_EQ(value("fs.glob", {"b/none"}), "[]");
  EXPECT_EQ(value("fs.glob", {"none/*"}), "[]");
  auto stat = call("fs.stat", {"b/e.txt"});
  EXPECT_EQ((*stat)["type"], "file");
  EXPECT_EQ((*stat)["size"], 7);
  EXPECT_GT((*stat)["modified"].get<double>(), 1.7e9);
  EXPECT_EQ(value("fs.remove", {"b"}), "true");
  EXPECT_EQ(value("fs.remove", {"b"}), "false");
  EXPECT_EQ(value("fs.write", {"x/../y", "lexically"}), "null");
  EXPECT_EQ(value("fs.read", {work("y").string()}), "\"lexically\"");
  EXPECT_EQ(value("fs.glob", {work("*").string()}), (Json{work("tmp").string(), work("y").string()}.dump()));
  EXPECT_TRUE(sink_.refusals.empty());
  EXPECT_TRUE(audit().empty());
}

TEST_F(FsTest, BytesCrossAsTheyAre) {
  const std::string raw("\0\xff\xfe", 3);
  EXPECT_EQ(value("fs.write", {"b", bytes(raw)}), "null");
  EXPECT_EQ(*call("fs.read", {"b"}), bytes(raw));
  EXPECT_EQ(value("fs.read", Json::array({bytes("b")})), to_json_text(bytes(raw)));
}

TEST_F(FsTest, TmpIsEmptiedOnceAnAttempt) {
  EXPECT_EQ(value("fs.write", {"tmp/x", "1"}), "null");
  EXPECT_EQ(value("fs.write", {"kept", "1"}), "null");
  EXPECT_EQ(value("fs.exists", {"tmp/x"}), "true");
  open({});
  EXPECT_EQ(value("fs.list", {"tmp"}), "[]");
  EXPECT_EQ(value("fs.exists", {"kept"}), "true");
}

TEST_F(FsTest, WithoutPermissionEveryCallIsRefused) {
  const std::string in = at("data/in.txt");
  EXPECT_EQ(value("fs.write", {"mine", "x"}), "null");
  const std::vector<std::pair<std::string, Json>> reads = {
      {"fs.read", {in}}, {"fs.exists", {in}},    {"fs.list", {at("data")}}, {"fs.glob", {at("data/*")}},
      {"fs.stat", {in}}, {"fs.copy", {in, "x"}}, {"fs.move", {in, "x"}}};
  const std::vector<std::pair<std::string, Json>> writes = {
      {"fs.write", {in, "x"}}, {"fs.append", {in, "x"}},  {"fs.mkdir", {at("data/new")}},
      {"fs.remove", {in}},     {"fs.copy", {"mine", in}}, {"fs.move", {"mine", in}}};
  for (const auto& [name, arguments] : reads)
    EXPECT_EQ(error(name, arguments).code, "permission.read") << name;
  for (const auto& [name, arguments] : writes)
    EXPECT_EQ(error(name, arguments).code, "permission.write") << name;
  EXPECT_EQ(door_->refused(), reads.size() + writes.size());
  EXPECT_EQ(sink_.refusals.size(), reads.size() + writes.size());
  EXPECT_EQ(sink_.refusals[0], "7 fs.read permission.read");
  const Error e = error("fs.read", {in});
  EXPECT_FALSE(e.retryable);
  EXPECT_EQ(e.message, "example.first (extension example) tried forge.fs.read: " + in +
                           ", which no entry of `read` covers");
  EXPECT_EQ(e.hint, "add to /x/extension.yaml:\n  permissions:\n    read: [" + in + "]");
  EXPECT_EQ(folder_.read("data/in.txt"), "input");
  EXPECT_EQ(audit()[0], (Json{{"instance", "example.first"},
                              {"call", "fs.read"},
                              {"target", in},
                              {"allowed", false},
                              {"code", "permission.read"}}));
}

TEST_F(FsTest, AnOddPathIsQuotedInTheHint) {
  EXPECT_TRUE(error("fs.read", {"/a: b]"}).hint.ends_with("read: [\"/a: b]\"]"));
}

TEST_F(FsTest, AGrantedFolder) {
  open({{{at("data") + "/./", true}}, {}, {}});
  EXPECT_EQ(value("fs.read", {at("data/in.txt")}), "\"input\"");
  EXPECT_EQ(value("fs.read", {at("data/../data//sub/./deep.txt")}), "\"deep\"");
  EXPECT_EQ(value("fs.list", {at("data")}), "[\"in.txt\",\"sub\"]");
  EXPECT_EQ(value("fs.exists", {at("data/none")}), "false");
  EXPECT_EQ(value("fs.glob", {at("data/**/*.txt")}),
            (Json{at("data/in.txt"), at("data/sub/deep.txt")}.dump()));
  EXPECT_EQ(value("fs.glob", {at("data/in.txt")}), Json{at("data/in.txt")}.dump());
  EXPECT_EQ(value("fs.copy", {at("data/in.txt"), "copied"}), "null");
  EXPECT_EQ(value("fs.read", {"copied"}), "\"input\"");
  EXPECT_EQ(error("fs.read", {at("data/none")}).message,
            "cannot read " + at("data/none") + ": No such file or directory");
  EXPECT_EQ(value("fs.read", {at("data2/in.txt")}), "permission.read") << "a prefix that ends within a name";
  EXPECT_EQ(value("fs.read", {at("data/../secret")}), "permission.read");
  EXPECT_EQ(value("fs.glob", {at("*/in.txt")}), "permission.read");
  EXPECT_EQ(value("fs.glob", {at("data/*/../../secret")}), "call.argument");
  EXPECT_EQ(value("fs.write", {at("data/new"), "x"}), "permission.write");
  EXPECT_EQ(value("fs.move", {at("data/in.txt"), "stolen"}), "permission.write");
  EXPECT_EQ(folder_.read("data/in.txt"), "input");
  const auto lines = audit();
  EXPECT_EQ(lines[0], (Json{{"instance", "example.first"},
                            {"call", "fs.read"},
                            {"target", at("data/in.txt")},
                            {"allowed", true},
                            {"code", nullptr}}));
  EXPECT_EQ(
      std::count_if(lines.begin(), lines.end(), [](const Json& line) { return line["allowed"] == false; }),
      5);
  const auto copied =
      std::find_if(lines.begin(), lines.end(), [](const Json& line) { return line["call"] == "fs.copy"; });
  ASSERT_NE(copied, lines.end());
  EXPECT_EQ((*copied)["to"], work("copied").string());
}

TEST_F(FsTest, AWriteGrantIsNoReadGrant) {
  open({{}, {{at("data"), true}}, {}});
  EXPECT_EQ(value("fs.write", {at("data/new.txt"), "x"}), "null");
  EXPECT_EQ(value("fs.append", {at("data/new.txt"), "y"}), "null");
  EXPECT_EQ(folder_.read("data/new.txt"), "xy");
  EXPECT_EQ(value("fs.mkdir", {at("data/a/b")}), "null");
  EXPECT_EQ(value("fs.remove", {at("data/sub")}), "true");
  EXPECT_EQ(value("fs.read", {at("data/new.txt")}), "permission.read");
  EXPECT_EQ(value("fs.copy", {at("data/new.txt"), "stolen"}), "permission.read");
  EXPECT_EQ(value("fs.move", {at("data/new.txt"), "stolen"}), "permission.read");
  EXPECT_EQ(value("fs.remove", {at("data")}), "file.path") << "the granted folder itself stays";
  EXPECT_EQ(value("fs.write", {"mine", "m"}), "null");
  EXPECT_EQ(value("fs.move", {"mine", at("data/moved")}), "null");
  EXPECT_EQ(folder_.read("data/moved"), "m");
}

TEST_F(FsTest, AGrantedFile) {
  open({{{at("data/in.txt"), true}}, {{at("out/report.txt"), true}, {at("data/fresh"), true}}, {}});
  EXPECT_EQ(value("fs.read", {at("data/in.txt")}), "\"input\"");
  EXPECT_EQ(value("fs.stat", {at("data")}), "permission.read");
  EXPECT_EQ(value("fs.read", {at("data/in.txt.old")}), "permission.read");
  EXPECT_EQ(value("fs.read", {at("data/in.txt/x")}), "os.enotdir");
  EXPECT_EQ(value("fs.write", {at("out/report.txt"), "r"}), "os.enoent") << "the folder above is not granted";
  fs::create_directory(at("out"));
  EXPECT_EQ(value("fs.write", {at("out/report.txt"), "r"}), "null");
  EXPECT_EQ(folder_.read("out/report.txt"), "r");
  EXPECT_EQ(value("fs.remove", {at("out/report.txt")}), "true");
  EXPECT_EQ(value("fs.mkdir", {at("data/fresh/inner")}), "null");
  EXPECT_EQ(value("fs.write", {at("data/fresh/inner/f"), "f"}), "null");
  EXPECT_EQ(folder_.read("data/fresh/inner/f"), "f");
}

TEST_F(FsTest, LinksThatThePersonPutOnTheWayAreFollowed) {
  fs::create_directory_symlink(at("data"), at("door"));
  fs::create_symlink(at("data/in.txt"), at("current.txt"));
  open({{{at("door"), true}, {at("current.txt"), true}}, {}, {}});
  EXPECT_EQ(value("fs.read", {at("door/sub/deep.txt")}), "\"deep\"");
  EXPECT_EQ(value("fs.read", {at("current.txt")}), "\"input\"");
}

TEST_F(FsTest, LinksOnTheWayToAPathFromElsewhereAreNot) {
  fs::create_directory_symlink(at("data"), at("door"));
  fs::create_symlink(at("secret"), at("data/result.txt"));
  open({{{at("door"), false}, {at("data/result.txt"), false}, {at("data/in.txt"), false}}, {}, {}});
  EXPECT_EQ(value("fs.read", {at("data/in.txt")}), "\"input\"");
  EXPECT_EQ(value("fs.read", {at("door/in.txt")}), "permission.read");
  EXPECT_EQ(value("fs.read", {at("data/result.txt")}), "permission.read");
  EXPECT_EQ(door_->refused(), 2U);
}

// Who may write above a granted path could put a link there: it does not count as the person's.
TEST_F(FsTest, LinksWithinAWriteGrantAreNobodysPromise) {
  fs::remove_all(at("data/sub"));
  fs::create_directory_symlink("/etc", at("data/sub"));
  fs::create_directories(work(""));
  fs::create_directory_symlink("/etc", work("link"));
  open({{{at("data/sub"), true}, {work("link").string(), true}}, {{at("data"), true}}, {}});
  EXPECT_EQ(value("fs.read", {at("data/sub/passwd")}), "permission.read");
  EXPECT_EQ(value("fs.read", {work("link/passwd").string()}), "permission.read");
}

TEST_F(FsTest, LinksThatLeadOutOfTheWorkFolderAreRefused) {
  EXPECT_EQ(value("fs.write", {"own", "x"}), "null");
  fs::create_directory_symlink(at("data"), work("out"));
  fs::create_symlink("/etc/passwd", work("passwd"));
  const Error e = error("fs.read", {"passwd"});
  EXPECT_EQ(e.code, "permission.read");
  EXPECT_EQ(e.message,
            "example.first (extension example) tried forge.fs.read: cannot read passwd: a symbolic link "
            "leads out of the folder");
  EXPECT_EQ(value("fs.write", {"out/x", "x"}), "permission.write");
  EXPECT_EQ(value("fs.copy", {"own", "out/x"}), "permission.write");
  EXPECT_EQ(value("fs.copy", {"out/in.txt", "x"}), "permission.read");
  EXPECT_EQ(value("fs.remove", {"out/in.txt"}), "permission.write");
  EXPECT_EQ(value("fs.list", {"out"}), "permission.read");
  EXPECT_EQ(value("fs.glob", {"out/*"}), "permission.read");
  EXPECT_EQ(value("fs.glob", {"*/in.txt"}), "[]");
  EXPECT_EQ(door_->refused(), 7U);
  EXPECT_EQ(audit().size(), 7U);
  EXPECT_EQ(folder_.read("data/in.txt"), "input");
}

TEST_F(FsTest, TmpThatIsALinkIsNotEmptiedThroughIt) {
  fs::create_directories(work(""));
  fs::create_directory_symlink(at("data"), work("tmp"));
  EXPECT_EQ(value("fs.list", {"tmp"}), "[]");
  EXPECT_EQ(folder_.read("data/in.txt"), "input");
}

TEST_F(FsTest, RelativePathsStayBelowTheWorkFolder) {
  const Error e = error("fs.read", {"../other/file"});
  EXPECT_EQ(e.code, "permission.read");
  EXPECT_EQ(e.message,
            "example.first (extension example) tried forge.fs.read: ../other/file, which leads out of the "
            "work folder");
  EXPECT_TRUE(e.hint.starts_with("a relative path stays below the work folder")) << e.hint;
  EXPECT_EQ(value("fs.write", {"a/../../x", ""}), "permission.write");
  EXPECT_EQ(value("fs.glob", {"../*"}), "permission.read");
  EXPECT_EQ(value("fs.remove", {"."}), "file.path");
}

TEST_F(FsTest, PathsThatAreNone) {
  for (const char* name :
       {"fs.read", "fs.exists", "fs.list", "fs.stat", "fs.mkdir", "fs.remove", "fs.glob"}) {
    EXPECT_EQ(value(name, {""}), "call.argument") << name;
    EXPECT_EQ(value(name, {std::string("a\0b", 3)}), "call.argument") << name;
    EXPECT_EQ(value(name, {std::string(4096, 'a')}), "call.argument") << name;
  }
  EXPECT_EQ(door_->refused(), 0U);
}

TEST_F(FsTest, ErrorsOfEachCall) {
  EXPECT_EQ(value("fs.mkdir", {"folder"}), "null");
  EXPECT_EQ(value("fs.write", {"file", "x"}), "null");
  EXPECT_EQ(value("fs.read", {"none"}), "os.enoent");
  EXPECT_EQ(value("fs.read", {"folder"}), "file.not_regular");
  EXPECT_EQ(value("fs.write", {"folder", "x"}), "os.eisdir");
  EXPECT_EQ(value("fs.write", {"none/x", "x"}), "os.enoent");
  EXPECT_EQ(value("fs.append", {"folder", "x"}), "os.eisdir");
  EXPECT_EQ(value("fs.list", {"none"}), "os.enoent");
  EXPECT_EQ(value("fs.list", {"file"}), "os.enotdir");
  EXPECT_EQ(value("fs.stat", {"none"}), "os.enoent");
  EXPECT_EQ(value("fs.mkdir", {"file"}), "os.enotdir");
  EXPECT_EQ(value("fs.copy", {"none", "x"}), "os.enoent");
  EXPECT_EQ(value("fs.copy", {"folder", "x"}), "file.not_regular");
  EXPECT_EQ(value("fs.copy", {"file", "none/x"}), "os.enoent");
  EXPECT_EQ(value("fs.move", {"none", "x"}), "os.enoent");
  EXPECT_EQ(value("fs.move", {"file", "folder"}), "os.eisdir");
  ASSERT_EQ(::mkfifo(work("pipe").c_str(), 0666), 0);
  EXPECT_EQ(value("fs.read", {"pipe"}), "file.not_regular");
  ASSERT_EQ(::truncate(work("file").c_str(), (15 << 20) + 1), 0);
  EXPECT_EQ(value("fs.read", {"file"}), "file.too_big");
}

TEST_F(FsTest, AWorkFolderThatCannotBeMade) {
  folder_.write("state", "a file");
  EXPECT_EQ(value("fs.write", {"x", "x"}), "os.enotdir");
}

TEST_F(FsTest, ManyAtOnceShareOneWorkFolder) {
  int left = 100;
  for (int i = 0; i < 100; ++i) {
    session_->call(registry::find("fs.write"), to_cbor(Json{"f" + std::to_string(i), "x"}),
                   [&](Result<std::string> r) {
                     EXPECT_TRUE(r) << r.error().text();
                     --left;
                   });
  }
  loop_.restart();
  loop_.run();
  EXPECT_EQ(left, 0);
  EXPECT_EQ(call("fs.list", {"."})->size(), 101U);
}

}  // namespace
}  // namespace pf::api
