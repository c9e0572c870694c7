// A manifest that asks for everything: each list wants names, and what is wide is said in plain words.
#include <gmock/gmock.h>

#include "support/attack.h"

namespace pf::test {
namespace {

using testing::HasSubstr;

TEST(Everything, IsNoEntryOfAnyList) {
  const std::map<std::string, std::vector<std::string>> lists = {
      {"http", {"*", "**", "*.*", "?", "[a-z]", "", "*:443", "http://*/"}},
      {"git", {"*", "**", "*.*", "?", ""}},
      {"programs", {"*", "**", "?", "[a-z]*", "", "*/*"}},
      {"env", {"*", "**", "?", "A*", ""}},
      {"secrets", {"*", "**", "?", "A*", ""}},
      {"read", {"*", "**", "/*", "/**", "./*", "?", "~", ""}},
      {"write", {"*", "**", "/*", "~/x", ""}}};
  for (const auto& [list, entries] : lists) {
    Project project;
    std::string manifest;
    for (const auto& entry : entries) manifest += (manifest.empty() ? "'" : ", '") + entry + "'";
    project.extension("attack", execute(""), "permissions: {" + list + ": [" + manifest + "]}\n");
    project.extension("quiet", execute("outputs.fine = true"));
    const auto run = run_pipeline(project, "p:\n  attack: [{name: bad}]\n  quiet: [{name: a}]\n");
    EXPECT_EQ(run.output.code, 3) << list << run.output.out;
    size_t found = 0;
    for (const auto& event : run.all) found += event.value("code", "") == "manifest.permission" ? 1U : 0U;
    EXPECT_EQ(found, entries.size()) << list << run.output.out;
  }
}

TEST(Everything, ThatCanBeSaidIsShownInPlainWords) {
  Project project;
  project.extension(
      "attack", execute(""),
      "permissions: {read: [/], write: [/], http: ['*.org'], programs: [{name: sh, network: true}]}\n");
  const auto shown = project.forge({"extension", "show", "attack", "--extensions", "extensions"});
  EXPECT_EQ(shown.code, 0) << shown.err;
  EXPECT_THAT(shown.out, HasSubstr("reads the file or folder /"));
  EXPECT_THAT(shown.out, HasSubstr("writes the file or folder /"));
  EXPECT_THAT(shown.out, HasSubstr("talks to any host below org"));
  EXPECT_THAT(shown.out, HasSubstr("runs the program sh, with the network"));
}

TEST(Everything, OfAnUnconfinedProgramIsTheOperatorsToGrant) {
  Project project;
  project.extension("attack", execute(""), "permissions: {programs: [{name: sh, confined: false}]}\n");
  const auto run = run_pipeline(project, "p:\n  attack: [{name: bad}]\n");
  EXPECT_EQ(run.output.code, 3);
  EXPECT_THAT(run.output.out, HasSubstr("only the operator's pipeline file can grant that"));
}

}  // namespace
}  // namespace pf::test
