// The examples of our pages, executed as they stand there (support/pages.h). What they take to be there (the
// extensions terraform and kubectl, folders, files) is in tests/e2e/pages.
#include "support/pages.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

namespace pf::test {
namespace {

namespace fs = std::filesystem;

std::string page(const std::string& name) {
  std::stringstream text;
  text << std::ifstream(fs::path(PF_SOURCE_DIR) / name).rdbuf();
  return text.str();
}

// How many were executed.
int execute_examples(const std::string& name) {
  Examples examples(fs::path(PF_SOURCE_DIR) / "tests/e2e/pages");
  fs::copy(fs::path(PF_SOURCE_DIR) / "examples/hooks/hooks", examples.project().path() / "hooks");
  int count = 0;
  for (const Block& block : blocks_of(page(name))) {
    if (block.language != "yaml" && block.language != "lua" && block.language != "console") continue;
    const std::string wrong = examples.check(block);
    EXPECT_EQ(wrong, "") << name << ", the block at line " << block.line;
    ++count;
  }
  return count;
}

TEST(Pages, PipelinesHasExamplesThatHold) { EXPECT_GE(execute_examples("docs/pipelines.md"), 20); }
TEST(Pages, PermissionsHasExamplesThatHold) { EXPECT_GE(execute_examples("docs/permissions.md"), 1); }
TEST(Pages, TheReadmeHasExamplesThatHold) { EXPECT_GE(execute_examples("README.md"), 1); }

// The scripts of the page are those that people copy from examples/hooks, which tests/orchestrator runs.
TEST(Pages, HooksAreThoseOfTheExamples) {
  int count = 0;
  for (const Block& block : blocks_of(page("docs/pipelines.md"))) {
    if (block.language != "lua") continue;
    EXPECT_EQ(block.text, page("examples/hooks/" + block.words.at("file"))) << "line " << block.line;
    ++count;
  }
  EXPECT_EQ(count, 6);
}

// ---- the mechanism itself

TEST(Pages, BlocksHaveTheirWords) {
  const auto blocks =
      blocks_of("# A\n```yaml file=a.yaml run setup=\"x y\"\na: 1\n```\n## B\ntext\n```\nplain\n```\n");
  ASSERT_EQ(blocks.size(), 2U);
  EXPECT_EQ(blocks[0].line, 3);
  EXPECT_EQ(blocks[0].language, "yaml");
  EXPECT_EQ(blocks[0].words,
            (std::map<std::string, std::string>{{"file", "a.yaml"}, {"run", ""}, {"setup", "x y"}}));
  EXPECT_EQ(blocks[0].text, "a: 1\n");
  EXPECT_EQ(blocks[1].section, "B");
  EXPECT_EQ(blocks[1].language, "");
}

TEST(Pages, OnlyWhatChangesFromRunToRunMayDiffer) {
  std::map<std::string, std::string> runs;
  const auto same = [&](std::string_view a, std::string_view b) { return same_line(a, b, runs); };
  EXPECT_TRUE(same("p succeeded after 1.2s: 2 succeeded", "p succeeded after 61ms: 2 succeeded"));
  EXPECT_FALSE(same("p succeeded after 1.2s: 2 succeeded", "p succeeded after 61ms: 3 succeeded"));
  EXPECT_TRUE(same("the oldest result is 3 h old", "the oldest result is 0 s old"));
  EXPECT_TRUE(same("a: tree:0123abcd… -> x", "a: tree:4567cdef… -> x"));
  EXPECT_FALSE(same("a: tree:0123abcd… -> x", "a: sha256:4567cdef… -> x"));
  EXPECT_TRUE(same("2026-11-21 14:47:38  failed", "2027-01-01 00:00:00  failed"));
  EXPECT_FALSE(same("2 instances", "3 instances"));
  EXPECT_FALSE(same("at prod.yaml:5:15", "at prod.yaml:6:15"));
  EXPECT_FALSE(same("region10s", "region11s"));
  EXPECT_TRUE(same("20261121-144738-e79529 a", "20270101-000000-aaaaaa a"));
  EXPECT_TRUE(same("20261121-144738-e79529 b", "20270101-000000-aaaaaa b"));
  EXPECT_FALSE(same("20261121-144738-e79529 b", "20270101-000000-bbbbbb b"));
}

TEST(Pages, AnExampleThatIsWrongIsFound) {
  Examples examples(fs::path(PF_SOURCE_DIR) / "tests/e2e/pages");
  const auto check = [&](const std::string& text) {
    const auto blocks = blocks_of(text);
    std::string out;
    for (const auto& block : blocks) out += examples.check(block);
    return out;
  };
  EXPECT_EQ(check("```yaml file=a.yaml run\np:\n  terraform: [{name: a}]\n```\n"), "");
  EXPECT_NE(check("```yaml file=a.yaml\np:\n  terraform: [{name: a, regoin: x}]\n```\n"), "");
  EXPECT_NE(check("```yaml\np:\n  terraform: [{name: a}]\n```\n"), "");
  EXPECT_NE(check("```lua file=h.lua hook=on_error\nreturn 1\n```\n"), "");
  EXPECT_EQ(check("```console\n$ echo one; echo two; echo three\n…\nthree\n$ echo x\nx\n```\n"), "");
  EXPECT_NE(check("```console\n$ echo one; echo two\none\n```\n"), "");
  EXPECT_NE(check("```console\n$ echo one\none\ntwo\n```\n"), "");
  EXPECT_NE(check("```console\n$ exit 3\n```\n"), "");
  EXPECT_EQ(check("```console exit=3\n$ exit 3\n```\n"), "");
}

}  // namespace
}  // namespace pf::test
