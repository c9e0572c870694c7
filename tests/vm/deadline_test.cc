// Deadlines: what runs for ever ends, whatever it does to go on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness.h"

namespace pf::vm::testing {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

constexpr const char* kLoops[] = {
    "while true do end",
    "while true do pcall(function() while true do end end) end",
    "while true do pcall(error, 'x') end",
    "local function f() return pcall(f) or f() end while true do f() end",
    "while true do local co = coroutine.wrap(function() while true do end end) pcall(co) end",
    "while true do coroutine.resume(coroutine.create(function() pcall(function() while true do end end) "
    "end)) end",
    "xpcall(function() while true do end end, function() while true do end end) while true do end",
    "while true do xpcall(function() while true do end end, function(e) while true do end return e end) end",
    "while true do xpcall(error, function() while true do end end) end",
    "while true do forge.try(function() while true do end end) end",
    "while true do ('x'):rep(1000):gsub('x', function() pcall(function() while true do end end) end) end",
    "forge.async.await(forge.async.spawn(function() while true do pcall(function() while true do end end) "
    "end end))",
    "forge.async.spawn(function() while true do coroutine.yield() end end) "
    "forge.async.await(forge.async.spawn(function() while true do coroutine.yield() end end))",
    "setmetatable(self, { __index = function(t, k) while true do end end }) local x = self.nothing",
    "error(setmetatable({}, { __tostring = function() while true do end end }))",
    "while true do local t = setmetatable({}, { __index = error }) pcall(function() return t.x end) end",
    "self.outputs = setmetatable({}, { __index = function() while true do end end }) return self.outputs.x",
    "while true do pcall(forge.fs.read, 'x') end",
    "for i = 1, math.huge do local t = {} for j = 1, 100 do t[j] = { j } end end",
};

TEST(Deadline, WallTimeEndsEveryLoop) {
  on_big_stack([] {
    for (const char* loop : kLoops) {
      Case c;
      c.modules["extension"] = extension(loop);
      c.soft = milliseconds(20);
      auto vm = Vm::load(make_load(c));
      ASSERT_TRUE(vm.has_value());
      FakeHost host;
      const auto start = std::chrono::steady_clock::now();
      const Outcome out = run_job(**vm, host, c);
      const auto took = std::chrono::steady_clock::now() - start;
      EXPECT_EQ(out.error.code, "deadline.attempt") << loop;
      EXPECT_GE(took, milliseconds(20)) << loop;
      EXPECT_LT(took, std::chrono::seconds(10)) << loop;
    }
  });
}

TEST(Deadline, CpuTimeEndsEveryLoop) {
  on_big_stack([] {
    for (const char* loop : kLoops) {
      Case c;
      c.modules["extension"] = extension(loop);
      c.cpu = milliseconds(20);
      auto vm = Vm::load(make_load(c));
      ASSERT_TRUE(vm.has_value());
      FakeHost host;
      const Outcome out = run_job(**vm, host, c);
      EXPECT_EQ(out.error.code, "limit.cpu") << loop;
      EXPECT_GE(out.cpu_us, 19'000U) << loop;
    }
  });
}

TEST(Deadline, MessageAndTraceback) {
  Case c;
  c.soft = milliseconds(20);
  const Outcome out = execute("local function forever()\n while true do end\n end\nforever()", c);
  EXPECT_EQ(out.error.message, "the attempt took longer than its timeout of 20ms");
  EXPECT_THAT(out.error.traceback, HasSubstr("extension.lua:3: in forever\n  extension.lua:5: "));
  EXPECT_TRUE(out.error.retryable);
}

TEST(Deadline, CleanupDoesNotRunOn) {
  Case c;
  c.soft = milliseconds(20);
  c.modules["extension"] = extension("while true do end end function E:cleanup() print('cleanup')");
  FakeHost host;
  EXPECT_EQ(run(c, host).error.code, "deadline.attempt");
  EXPECT_TRUE(host.logged().empty());
}

TEST(Deadline, WhenItPassesDuringAHostCallTheJobFails) {
  Case c;
  c.soft = milliseconds(20);
  FakeHost host;
  host.answer = [](const std::string&, const Json&) {
    const auto until = std::chrono::steady_clock::now() + milliseconds(30);
    while (std::chrono::steady_clock::now() < until) {
    }
    return Json("x");
  };
  EXPECT_EQ(execute("self.outputs.text = forge.fs.read('x')", host, c).error.code, "deadline.attempt");
}

TEST(Deadline, TheNextJobHasItsOwn) {
  on_big_stack([] {
    Case c;
    c.modules["extension"] = extension("while self.config.loop do end self.outputs.n = 1");
    auto vm = Vm::load(make_load(c));
    ASSERT_TRUE(vm.has_value());
    FakeHost host;
    for (int i = 0; i < 10; ++i) {
      c.config["loop"] = true;
      c.soft = milliseconds(5);
      EXPECT_EQ(run_job(**vm, host, c).error.code, "deadline.attempt");
      c.config["loop"] = false;
      c.soft = i % 2 == 0 ? milliseconds(0) : milliseconds(60'000);
      EXPECT_EQ(outputs(run_job(**vm, host, c)), parse(R"({"n": 1})"));
    }
  });
}

// A timer that is armed for the last job fires in this one, which has more time.
TEST(Deadline, AnEarlierJobsTimerDoesNotEndThisOne) {
  on_big_stack([] {
    Case c;
    c.modules["extension"] = extension(R"(
      local n = 0
      for i = 1, self.config.rounds do n = n + i % 7 end
      self.outputs.n = n)");
    auto vm = Vm::load(make_load(c));
    ASSERT_TRUE(vm.has_value());
    FakeHost host;
    c.config["rounds"] = 1;
    c.soft = milliseconds(10);
    c.cpu = milliseconds(10);
    ASSERT_TRUE(run_job(**vm, host, c).ok);
    c.config["rounds"] = 10'000'000;
    c.soft = milliseconds(60'000);
    c.cpu = milliseconds(60'000);
    const Outcome out = run_job(**vm, host, c);
    EXPECT_TRUE(out.ok) << out.error.code;
    EXPECT_GT(out.cpu_us, 10'000U);
    c.soft = milliseconds(15);
    c.cpu = milliseconds(0);
    c.config["rounds"] = 1e15;
    EXPECT_EQ(run_job(**vm, host, c).error.code, "deadline.attempt");
  });
}

}  // namespace
}  // namespace pf::vm::testing
