// What lua/git.lua makes of the calls of forge.git.
#include <gtest/gtest.h>

#include "harness.h"

namespace pf::vm::testing {
namespace {

TEST(Git, ARepositoryHasTheCallsAsMethods) {
  FakeHost host;
  std::vector<std::string> calls;
  host.answer = [&](const std::string& name, const Json& arguments) -> Result<Json> {
    calls.push_back(name + " " + to_json_text(arguments));
    if (name == "git.clone" || name == "git.open")
      return Json{{"path", arguments[name == "git.clone" ? 1 : 0]},
                  {"head", {{"commit", "c"}, {"branch", "main"}}}};
    return Json("done");
  };
  const Outcome out = execute(R"(
    local repo = forge.git.clone("https://example.org/x", "here", { ref = "v1" })
    self.outputs = { path = repo.path, branch = repo.head.branch, url = repo.url == nil,
      tag = repo:tag("v2", { ref = "HEAD" }), commit = repo:commit("why", { author = { name = "A", email = "a@b" } }),
      log = forge.git.open("there"):log { max = 1 } })",
                              host);
  ASSERT_TRUE(out.ok) << out.error.text();
  EXPECT_EQ(calls, (std::vector<std::string>{
                       R"(git.clone ["https://example.org/x","here",{"ref":"v1"}])",
                       R"(git.tag ["here","v2",{"ref":"HEAD"}])",
                       R"(git.commit ["here","why",{"author":{"email":"a@b","name":"A"}}])",
                       R"(git.open ["there"])",
                       R"(git.log ["there",{"max":1}])",
                   }));
}

TEST(Git, WhatARepositoryHasNot) {
  FakeHost host;
  host.answer = [](const std::string&, const Json&) -> Result<Json> { return Json{{"path", "x"}}; };
  EXPECT_EQ(execute("local f = forge.git.open('x').rebase", host).error.code, "call.unknown");
  EXPECT_EQ(execute("forge.git.open('x').log()", host).error.code, "call.argument");
}

}  // namespace
}  // namespace pf::vm::testing
