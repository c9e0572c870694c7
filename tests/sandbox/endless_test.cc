// Loops without end, also such as catch every error: they end at their deadline, or at their bound of CPU
// time.
#include <gmock/gmock.h>

#include "support/attack.h"

namespace pf::test {
namespace {

TEST(Endless, LoopsEndAtTheDeadline) {
  Project project;
  Attack attack;
  attack.keys = ", timeout: 3s";
  attack.bodies = {
      {"plain", "while true do end"},
      {"swallowed", "while true do pcall(function() while true do end end) end"},
      {"coroutine", "while true do local c = coroutine.wrap(function() while true do end end); pcall(c) end"},
      {"handler",
       "while true do xpcall(function() while true do end end, function() while true do end end) end"},
      {"try", "while true do forge.try(function() while true do end end) end"},
      {"waiting", "while true do pcall(forge.time.sleep, 100) end"}};
  const auto run = run_attack(project, attack);
  for (const auto& [name, body] : attack.bodies) {
    EXPECT_EQ(run.result("attack." + name), "timed_out") << name;
    EXPECT_THAT(run.error_code("attack." + name), testing::AnyOf("deadline.attempt", "deadline.hard"))
        << name;
  }
  EXPECT_EQ(run.error_code("attack.plain"), "deadline.attempt");
}

TEST(Endless, LoopsOfMetamethodsAndCallbacksEndAtTheDeadline) {
  Project project;
  Attack attack;
  attack.keys = ", timeout: 3s";
  attack.bodies = {
      {"index", "local t = setmetatable({}, {__index = function() while true do end end}) local x = t.x"},
      {"sort",
       "local t = {} for i = 1, 100 do t[i] = i end while true do pcall(table.sort, t, function() return "
       "true end) end"},
      {"gsub", "('x'):rep(100):gsub('.', function() while true do end end)"},
      {"iterator", "for x in function() return 1 end do end"},
      {"tasks",
       "local function f() while true do coroutine.yield() end end forge.async.all {"
       "forge.async.spawn(f), forge.async.spawn(f)}"},
      {"cleanup", "forge.finally(function() error('x') end, function() while true do end end)"}};
  const auto run = run_attack(project, attack);
  for (const auto& [name, body] : attack.bodies) {
    EXPECT_EQ(run.result("attack." + name), "timed_out") << name << run.error_message("attack." + name);
  }
}

TEST(Endless, ACFunctionIsKilledAtTheHardDeadline) {
  // Backtracking that takes ages inside one call, where no hook ever fires.
  Project project;
  const auto run =
      run_attack(project, "string.find(('a'):rep(300000), ('.-'):rep(60) .. 'b')", "", ", timeout: 3s");
  EXPECT_EQ(run.result("attack.bad"), "timed_out");
  EXPECT_EQ(run.error_code("attack.bad"), "deadline.hard");
}

TEST(Endless, WithoutATimeoutCpuTimeBoundsALoop) {
  Project project;
  const auto run = run_attack(project, "while true do pcall(function() while true do end end) end",
                              "limits: {cpu: 300ms}\n");
  EXPECT_EQ(run.result("attack.bad"), "failed");
  EXPECT_EQ(run.error_code("attack.bad"), "limit.cpu");
}

TEST(Endless, WithoutATimeoutCpuTimeBoundsACFunction) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "TSan delivers no signal to code that it did not build";
#endif
  Project project;
  const auto run =
      run_attack(project, "string.find(('a'):rep(300000), ('.-'):rep(60) .. 'b')", "limits: {cpu: 300ms}\n");
  EXPECT_EQ(run.result("attack.bad"), "failed");
  EXPECT_EQ(run.error_code("attack.bad"), "limit.cpu");
}

}  // namespace
}  // namespace pf::test
