// Errors that are no text, or fight back: each is told plainly.
#include <gmock/gmock.h>

#include "support/attack.h"

namespace pf::test {
namespace {

TEST(StrangeErrors, FailPlainly) {
  Project project;
  Attack attack;
  attack.bodies = {
      {"none", "error()"},
      {"nothing", "error(forge.null)"},
      {"number", "error(42)"},
      {"table", "error({})"},
      {"thread", "error(coroutine.create(print))"},
      {"tostring", "error(setmetatable({}, {__tostring = function() error('again') end}))"},
      {"other", "error(setmetatable({}, {__tostring = function() return 5 end}))"},
      {"index", "error(setmetatable({}, {__index = function() error('index') end, __metatable = 'no'}))"},
      {"fields", "error({message = function() end, code = {}, hint = 7, retryable = 'x'})"},
      {"bytes", "error('\\255\\254\\0text')"},
      {"huge", "error(('x'):rep(5e6))"},
      {"fail", "forge.fail {message = ('x'):rep(5e6)}"},
      {"nested", "local e = {} e.message = e error(e)"}};
  const auto run = run_attack(project, attack);
  for (const auto& [name, body] : attack.bodies) {
    EXPECT_EQ(run.result("attack." + name), "failed") << name;
    EXPECT_FALSE(run.error_code("attack." + name).empty()) << name;
    EXPECT_FALSE(run.error_message("attack." + name).empty()) << name;
    EXPECT_LT(run.error_message("attack." + name).size(), 200000U) << name;
  }
  EXPECT_EQ(run.error_message("attack.none"), "nil was raised");
  EXPECT_EQ(run.error_message("attack.table"), "a table without a message was raised");
}

TEST(StrangeErrors, AToStringThatNeverEndsTimesOut) {
  Project project;
  const auto run =
      run_attack(project, "error(setmetatable({}, {__tostring = function() while true do end end}))", "",
                 ", timeout: 3s");
  EXPECT_THAT(run.result("attack.bad"), testing::AnyOf("timed_out", "failed"));
  EXPECT_FALSE(run.error_message("attack.bad").empty());
}

TEST(StrangeErrors, AnErrorKeepsItsText) {
  Project project;
  const auto run = run_attack(project, "error('the chart 7 is gone')");
  EXPECT_THAT(run.error_message("attack.bad"), testing::HasSubstr("the chart 7 is gone"));
}

}  // namespace
}  // namespace pf::test
