#include "state/layout.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include "state/helpers.h"

namespace pf::state {
namespace {

TEST(Layout, NamesTheFilesOfAStateFolder) {
  const Layout layout("/s");
  EXPECT_EQ(layout.database(), "/s/state.db");
  EXPECT_EQ(layout.lock(), "/s/lock");
  EXPECT_EQ(layout.log("20261121-101205-7f3a2c"), "/s/runs/20261121-101205-7f3a2c/log.jsonl");
  EXPECT_EQ(layout.audit("20261121-101205-7f3a2c"), "/s/runs/20261121-101205-7f3a2c/audit.jsonl");
  EXPECT_EQ(layout.work("example", "first"), "/s/work/example/first");
  EXPECT_EQ(layout.cache(), "/s/cache");
  EXPECT_EQ(layout.backend(), "/s/pulumi");
}

TEST(Layout, MakesOneLegalFileNameOfAnyText) {
  EXPECT_EQ(Layout::file_name("plain-Name_1.x"), "plain-Name_1.x");
  EXPECT_EQ(Layout::file_name("word[\"a/b c\"]"), "word%5B%22a%2Fb%20c%22%5D");
  EXPECT_EQ(Layout::file_name(".."), "%2E.");
  EXPECT_EQ(Layout::file_name("."), "%2E");
  EXPECT_EQ(Layout::file_name(""), "%");
  EXPECT_EQ(Layout::file_name("a%2Fb"), "a%252Fb");
  EXPECT_EQ(Layout::file_name(std::string("a\0b", 3)), "a%00b");
  EXPECT_EQ(Layout::file_name("é"), "%C3%A9");
}

TEST(Layout, CutsLongNamesAndKeepsThemDifferent) {
  const std::string one = Layout::file_name(std::string(500, 'x') + "1");
  const std::string two = Layout::file_name(std::string(500, 'x') + "2");
  EXPECT_NE(one, two);
  EXPECT_EQ(one.substr(0, 122), std::string(120, 'x') + "%-");
  EXPECT_EQ(one.size(), 186U);
  EXPECT_LE(Layout::file_name(std::string(500, '/')).size(), 255U);
  EXPECT_EQ(Layout::file_name(std::string(200, 'x')), std::string(200, 'x'));
}

TEST(Layout, MakesThePrivateFolderThatGitIgnores) {
  TempFolder temp;
  const Layout layout(temp / "a" / "b");
  ASSERT_TRUE(layout.make_folder());
  struct stat info {};
  ASSERT_EQ(::stat(layout.folder().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700U);
  EXPECT_EQ(content_of(layout.folder() / ".gitignore"), "*\n");
  EXPECT_TRUE(layout.make_folder());
}

TEST(Layout, LeavesAFolderThatHoldsSomethingAsItIs) {
  TempFolder temp;
  put(temp / "mine", "1");
  ASSERT_TRUE(Layout(temp.path()).make_folder());
  EXPECT_EQ(snapshot(temp.path()).size(), 1U);
}

TEST(Layout, SaysThatTheFolderIsAFile) {
  TempFolder temp;
  put(temp / "state", "1");
  auto made = Layout(temp / "state").make_folder();
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, "os.enotdir");
  EXPECT_THAT(made.error().message, testing::HasSubstr((temp / "state").string()));
  EXPECT_THAT(made.error().hint, testing::HasSubstr("--state-dir"));
}

TEST(Layout, SaysThatTheFolderCannotBeMade) {
  TempFolder temp;
  std::filesystem::permissions(temp.path(), std::filesystem::perms(0555));
  EXPECT_EQ(in_child(true,
                     [&] {
                       auto made = Layout(temp / "state").make_folder();
                       return made || made.error().code != "state.read_only" ||
                                      made.error().hint.find("--state-dir") == std::string::npos
                                  ? 1
                                  : 0;
                     }),
            0);
}

TEST(RunId, BeginsWithTheTimeAndDiffers) {
  const WallTime now{std::chrono::seconds(1795255925)};
  const std::string one = new_run_id(now);
  EXPECT_THAT(one, testing::MatchesRegex("20261121-101205-[0-9a-f]{6}"));
  EXPECT_NE(one, new_run_id(now));
}

TEST(Results, HaveTheWordsOfTheInterface) {
  EXPECT_EQ(to_text(InstanceResult::timed_out), "timed_out");
  EXPECT_EQ(to_text(InstanceResult::excluded), "excluded");
  EXPECT_EQ(to_text(RunResult::none), "none");
  EXPECT_EQ(to_text(RunResult::cancelled), "cancelled");
}

}  // namespace
}  // namespace pf::state
