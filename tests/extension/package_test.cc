#include "extension/package.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <optional>

#include "base/file.h"

namespace pf::extension {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Key;

/// A folder that goes away, and a home that holds nothing of the machine's own.
class Packages : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/pf-package-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    root = name;
    if (const char* old = ::getenv("XDG_DATA_HOME")) data_home_ = old;
    ::setenv("XDG_DATA_HOME", (root / "home").c_str(), 1);
  }
  void TearDown() override {
    if (data_home_)
      ::setenv("XDG_DATA_HOME", data_home_->c_str(), 1);
    else
      ::unsetenv("XDG_DATA_HOME");
    fs::remove_all(root);
  }

  void put(const fs::path& file, std::string_view text) {
    fs::create_directories((root / file).parent_path());
    ASSERT_TRUE(write_file(root / file, text));
  }
  void package(const fs::path& folder, const std::string& name, const std::string& more = "") {
    put(folder / "extension.yaml", "name: " + name + "\nversion: 1.0.0\n" + more);
    put(folder / "extension.lua", "return 1");
  }
  std::string digest(const fs::path& folder) {
    auto read = read_package(root / folder);
    EXPECT_TRUE(read) << read.error().front().text();
    return read ? read->digest : "";
  }
  // The first finding, the temporary folder written as ROOT.
  std::string error(const tl::expected<Package, Errors>& package) {
    if (package) return "none";
    std::string text = package.error().front().text();
    for (size_t at = 0; (at = text.find(root.string())) != std::string::npos;)
      text.replace(at, root.string().size(), "ROOT");
    return text;
  }
  SearchOptions options(std::vector<fs::path> folders = {}) { return {std::move(folders), root / "project"}; }

  fs::path root;

 private:
  std::optional<std::string> data_home_;
};

TEST_F(Packages, ModulesAreNamedByTheirPaths) {
  package("p", "p");
  put("p/init.lua", "return require 'extension'");
  put("p/models.lua", "m");
  put("p/lib/words.lua", "w");
  put("p/lib/init.lua", "i");
  put("p/spec/p_spec.lua", "s");
  put("p/.git/x.lua", "g");
  put("p/data/table.csv", "1,2");
  auto read = read_package(root / "p");
  ASSERT_TRUE(read) << read.error().front().text();
  EXPECT_EQ(read->manifest.name, "p");
  EXPECT_EQ(read->folder, root / "p");
  EXPECT_THAT(read->modules, ElementsAre(Key("extension"), Key("lib.init"), Key("lib.words"), Key("models")));
  EXPECT_EQ(read->modules["lib.words"], "w");
}

TEST_F(Packages, TheDigestIsThatOfNamesAndContents) {
  package("p", "p");
  put("p/data.csv", "1");
  const std::string first = digest("p");
  // SHA-256 over (name's length, name, content's length, content), lengths as little-endian 64 bits, in order
  // of names.
  EXPECT_EQ(first, "f533f26830acbb327cefc2c0f651098efd97b4dc7d048d6721c762d398851c7b");
  put("p/README.md", "words");
  put("p/README", "words");
  put("p/docs/more.md", "words");
  put("p/spec/a_spec.lua", "words");
  put("p/.hidden", "words");
  EXPECT_EQ(digest("p"), first);
  put("p/data.csv", "2");
  const std::string second = digest("p");
  EXPECT_NE(second, first);
  put("p/data.csv", "1");
  EXPECT_EQ(digest("p"), first);
  fs::rename(root / "p/data.csv", root / "p/date.csv");
  EXPECT_NE(digest("p"), first);
  fs::rename(root / "p/date.csv", root / "p/data.csv");
  put("p/lib/spec/x.lua", "");
  EXPECT_NE(digest("p"), first);
}

TEST_F(Packages, WhatIsMissing) {
  fs::create_directories(root / "p");
  EXPECT_EQ(error(read_package(root / "p")),
            "ROOT/p/extension.yaml: the package ROOT/p has no extension.yaml [extension.file_missing]\n"
            "  hint: a package has extension.yaml and extension.lua at least");
  put("p/extension.yaml", "name: p\nversion: 1.0.0\n");
  EXPECT_EQ(error(read_package(root / "p")),
            "ROOT/p/extension.lua: the package ROOT/p has no extension.lua [extension.file_missing]\n"
            "  hint: a package has extension.yaml and extension.lua at least");
  put("p/extension.lua", "");
  put("p/extension.yaml", "name: p\nversion: 1\n");
  EXPECT_THAT(error(read_package(root / "p")),
              HasSubstr("ROOT/p/extension.yaml:2:10: version: expected a version"));
}

TEST_F(Packages, LinksStayInside) {
  package("p", "p");
  put("outside.lua", "secret");
  put("p/lib/a.lua", "a");
  fs::create_symlink("lib/a.lua", root / "p/alias.lua");
  auto read = read_package(root / "p");
  ASSERT_TRUE(read) << read.error().front().text();
  EXPECT_EQ(read->modules["alias"], "a");
  const std::string message =
      "the package ROOT/p holds a symbolic link that does not lead to a file of the package "
      "[extension.link]\n"
      "  hint: a package holds Lua files and small data files";
  for (const char* target : {"../outside.lua", "/etc/hostname", "gone", "lib", ".", "bad.lua"}) {
    fs::create_symlink(target, root / "p/bad.lua");
    EXPECT_EQ(error(read_package(root / "p")), "ROOT/p/bad.lua: " + message) << target;
    fs::remove(root / "p/bad.lua");
  }
  // A sibling whose name begins like the package's folder is outside, too.
  put("p2/x.lua", "x");
  fs::create_symlink("../p2/x.lua", root / "p/bad.lua");
  EXPECT_EQ(error(read_package(root / "p")), "ROOT/p/bad.lua: " + message);
}

TEST_F(Packages, APackageMayItselfBeALink) {
  package("real", "p");
  fs::create_directories(root / "all");
  fs::create_symlink("../real", root / "all/p");
  auto found = find_package(options({root / "all"}), "p");
  EXPECT_TRUE(found) << found.error().front().text();
}

TEST_F(Packages, OtherThingsThanFiles) {
  package("p", "p");
  ASSERT_EQ(::mkfifo((root / "p/pipe.lua").c_str(), 0600), 0);
  EXPECT_THAT(error(read_package(root / "p")),
              HasSubstr("holds 'pipe.lua', which is neither a file nor a folder [extension.file_kind]"));
}

TEST_F(Packages, Bounds) {
  package("many", "many");
  for (int i = 0; i < 999; ++i) put("many/d/" + std::to_string(i), "");
  EXPECT_THAT(error(read_package(root / "many")),
              HasSubstr("the package ROOT/many holds more than 1000 files [extension.too_big]"));
  package("big", "big");
  for (int i = 0; i < 9; ++i) put("big/m" + std::to_string(i) + ".lua", std::string(1 << 20, '-'));
  EXPECT_THAT(error(read_package(root / "big")),
              HasSubstr("the package ROOT/big holds more than 8.0 MiB of Lua [extension.too_big]"));
  package("deep", "deep");
  std::string folder = "deep";
  for (int i = 0; i < 20; ++i) folder += "/d";
  put(folder + "/x", "");
  EXPECT_THAT(error(read_package(root / "deep")),
              HasSubstr("is nested deeper than 16 folders [extension.too_big]"));
}

TEST_F(Packages, ModuleNames) {
  for (const char* bad : {"a b.lua", "a.b.lua", "lib/ä.lua", "lib/.x/../a+.lua"}) {
    const fs::path folder = "p";
    fs::remove_all(root / folder);
    package(folder, "p");
    fs::create_directories(root / folder / "lib/.x");
    put(folder / bad, "");
    EXPECT_THAT(error(read_package(root / folder)),
                HasSubstr("cannot be required: its name has other characters than letters, digits, _ and - "
                          "[extension.module_name]"))
        << bad;
  }
}

TEST_F(Packages, TheSearchOrder) {
  package("given/a", "a");
  package("project/extensions/a", "a", "summary: project's\n");
  package("project/extensions/b", "b");
  package("home/pangeo-forge/extensions/b", "b", "summary: own\n");
  package("home/pangeo-forge/extensions/c", "c");
  const auto order = search_folders(options({root / "given"}));
  ASSERT_EQ(order.size(), 4U);
  EXPECT_EQ(order[0], root / "given");
  EXPECT_EQ(order[1], root / "project/extensions");
  EXPECT_EQ(order[2], root / "home/pangeo-forge/extensions");
  const auto source = [&](const char* name) {
    auto found = find_package(options({root / "given"}), name);
    return found ? found->source + " " + found->folder.lexically_relative(root).string()
                 : found.error().front().text();
  };
  EXPECT_EQ(source("a"), "--extensions " + root.string() + "/given given/a");
  EXPECT_EQ(source("b"), "extensions/ beside the pipeline file project/extensions/b");
  EXPECT_EQ(source("c"), "your own extensions home/pangeo-forge/extensions/c");
}

TEST_F(Packages, ExtensionsMayNameOnePackage) {
  package("work/my folder", "mine");
  auto found = find_package(options({root / "work/my folder"}), "mine");
  ASSERT_TRUE(found) << found.error().front().text();
  EXPECT_EQ(found->folder, root / "work/my folder");
  EXPECT_THAT(error(find_package(options({root / "nowhere"}), "mine")),
              HasSubstr("--extensions names 'ROOT/nowhere', which is no folder [extension.folder_missing]"));
}

TEST_F(Packages, AnUnknownName) {
  package("given/example", "example");
  const std::string text = error(find_package(options({root / "given"}), "exmaple"));
  EXPECT_THAT(
      text,
      HasSubstr(
          "no extension is called 'exmaple' [extension.unknown]\n  hint: did you mean 'example'? looked in: "
          "ROOT/given, ROOT/project/extensions, ROOT/home/pangeo-forge/extensions, "));
  for (const char* name : {"", "..", "../given/example", ".", "a/b"}) {
    EXPECT_THAT(error(find_package(options({root / "given"}), name)), HasSubstr("[extension.unknown]"))
        << name;
  }
}

TEST_F(Packages, TheFolderIsCalledAsThePackage) {
  package("given/other", "example");
  EXPECT_THAT(error(find_package(options({root / "given"}), "other")),
              HasSubstr("ROOT/given/other/extension.yaml: the package in the folder 'other' calls itself "
                        "'example' [manifest.name]"));
  fs::create_directories(root / "given/empty");
  EXPECT_THAT(error(find_package(options({root / "given"}), "empty")), HasSubstr("[extension.file_missing]"));
}

TEST_F(Packages, TheCoreMustFit) {
  package("given/new", "new", "requires: {core: \">=99\"}\n");
  EXPECT_THAT(error(find_package(options({root / "given"}), "new")),
              HasSubstr("'new' 1.0.0 needs pangeo-forge >=99, this is " PF_VERSION " [extension.version]"));
}

TEST_F(Packages, AListHoldsTheFirstOfEachNameAndWhatIsBroken) {
  package("given/b", "b", "summary: given\n");
  package("project/extensions/b", "b");
  package("project/extensions/a", "a");
  package("project/extensions/c", "wrong name");
  fs::create_directories(root / "project/extensions/no-package");
  const auto all = list_packages(options({root / "given"}));
  std::vector<std::string> seen;
  for (const auto& package : all) {
    // The bundled ones of the build tree may follow.
    if (package && package->source == "bundled") continue;
    seen.push_back(package ? package->manifest.name + " " + package->manifest.summary
                           : package.error().front().code);
  }
  EXPECT_THAT(seen, ElementsAre("a ", "b given", "manifest.name"));
}

}  // namespace
}  // namespace pf::extension
