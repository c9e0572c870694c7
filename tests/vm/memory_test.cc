// Memory: the cap in every situation, and the arena by itself.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

#include "harness.h"
#include "vm/arena.h"

namespace pf::vm::testing {
namespace {

constexpr const char* kBombs[] = {
    "local s = ('x'):rep(2^30)",
    "local s = 'x' while true do s = s .. s end",
    "local t = {} for i = 1, 1e9 do t[i] = { i } end",
    "local t = {} for i = 1, 1e9 do t[i] = 'text ' .. i end",
    "local t = {} for i = 1, 1e9 do t['k' .. i] = true end",
    "local t = {} for i = 1, 1e9 do t[i] = coroutine.create(print) end",
    "local t = {} for i = 1, 1e9 do t[i] = function() return t end end",
    "local t = {} for i = 1, 30 do t[i] = ('x'):rep(2^20) end local s = {} for i = 1, 1e6 do s[i] = "
    "table.concat(t) end",
    "local s = ('x'):rep(2^20):gsub('x', ('y'):rep(2^12))",
    "local t = {} for i = 1, 1e9 do t[i] = forge.async.spawn(function() forge.fs.read('x') end) end",
    "local s = ('[1,'):rep(50) .. '1' local j = '[' .. (('[[],[]],'):rep(2^20)) .. '1]' local t = "
    "forge.json.decode(j)",
    "local t = { unpack({}, 1, 1e6) }",
    "string.format(('%99d'):rep(1e6), unpack({}, 1, 7000))",
};

TEST(Memory, BombsEndAsLimitMemoryAndTheNextJobIsFine) {
  on_big_stack([] {
    for (const char* bomb : kBombs) {
      Case c;
      c.modules["extension"] =
          extension(std::string("if self.config.bomb then ") + bomb + " end self.outputs.n = 1");
      c.memory = 24U << 20;
      auto vm = Vm::load(make_load(c));
      ASSERT_TRUE(vm.has_value());
      for (int round = 0; round < 2; ++round) {
        FakeHost host;
        c.config["bomb"] = true;
        const Outcome out = run_job(**vm, host, c);
        const std::string code = out.ok ? "none" : out.error.code;
        if (std::strstr(bomb, "unpack") != nullptr) {
          EXPECT_FALSE(out.ok) << bomb;
        } else {
          EXPECT_EQ(code, "limit.memory") << bomb << ": " << out.error.message;
        }
        EXPECT_LE(out.peak_bytes, c.memory) << bomb;
        c.config["bomb"] = false;
        EXPECT_EQ(outputs(run_job(**vm, host, c)), parse(R"({"n": 1})")) << bomb;
      }
    }
  });
}

TEST(Memory, TheMessageNamesTheLimit) {
  Case c;
  c.memory = 2U << 20;
  const Outcome out = execute("local s = ('x'):rep(2^22)", c);
  EXPECT_EQ(out.error.code, "limit.memory");
  EXPECT_EQ(out.error.message, "the extension needs more than its 2.0 MiB of memory");
}

TEST(Memory, AnErrorThatWasCaughtIsNoFailure) {
  Case c;
  c.memory = 2U << 20;
  EXPECT_EQ(outputs(execute("self.outputs.ok = pcall(string.rep, 'x', 2^22)\n"
                            "local _, e = forge.try(string.rep, 'x', 2^22) self.outputs.code = e.code",
                            c)),
            parse(R"({"ok": false, "code": "limit.memory"})"));
}

// Every place at which memory can end: caps in small steps from far too little to enough.
TEST(Memory, NoCapCrashes) {
  on_big_stack([] {
    Case c;
    c.modules["models"] = "local s = require 'schema' return { Config = s.object { a = s.string {} } }";
    c.modules["extension"] = extension(R"(
      local models = require "models"
      local list = forge.json.decode('{"a": [1, 2, {"b": "text \\n"}], "c": {}}')
      self.outputs.json = forge.json.encode(list)
      self.outputs.yaml, self.outputs.positions = forge.yaml.decode("a: [1, 2]\nb:\n  c: x\n", { positions = true })
      self.outputs.digest = forge.digest.sha256("x")
      self.outputs.all = forge.async.map({ 1, 2, 3 }, function(n) return forge.fs.read("f" .. n) end)
      local ok, e = forge.try(forge.fs.read, {})
      self.outputs.error = tostring(e) .. #(("x"):rep(5000))
      self.state.x = { 1, 2, 3 }
      print(pcall(error, setmetatable({}, { __tostring = function() return "t" end })))
      local co = coroutine.wrap(function() coroutine.yield(1) end)
      co()
      if self.config.fail then error({ code = "a.b", message = ("long"):rep(100) }) end)");
    c.config = parse(R"({"a": "text", "list": [1, 2, 3], "fail": false})");
    int loaded = 0;
    int succeeded = 0;
    uint64_t enough = 0;
    for (uint64_t cap = 50'000; enough == 0 || cap < enough + 4000; cap += 1000) {
      ASSERT_LT(cap, 2'000'000U);
      c.memory = cap;
      auto vm = Vm::load(make_load(c));
      if (!vm) {
        ASSERT_EQ(vm.error().code, "limit.memory") << vm.error().message;
        continue;
      }
      ++loaded;
      FakeHost host;
      host.answer = [](const std::string&, const Json&) { return Json("content of the file"); };
      for (const bool fail : {true, false}) {
        c.config["fail"] = fail;
        const Outcome out = run_job(**vm, host, c);
        if (out.ok) {
          ASSERT_FALSE(fail);
          ++succeeded;
          if (enough == 0) enough = cap;
        } else if (out.error.code != "limit.memory") {
          ASSERT_TRUE(fail);
          ASSERT_EQ(out.error.code, "a.b") << cap << ": " << out.error.message;
        }
      }
    }
    EXPECT_GT(loaded, 10);
    EXPECT_EQ(succeeded, 4);
  });
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
// In a process with the address space of a worker: memory + 256 MiB of stack + 64 MiB.
TEST(Memory, FitsTheWorkersAddressSpace) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    int failures = 0;
    Case c;
    c.memory = 128U << 20;
    rlimit limit{};
    limit.rlim_cur = limit.rlim_max = c.memory + (256U << 20) + (64U << 20);
    if (setrlimit(RLIMIT_AS, &limit) != 0) _exit(100);
    on_big_stack([&] {
      c.modules["extension"] = extension(R"(
        local total = 0
        for size = 10, 20 do                        -- blocks of all sizes, one kind after the other
          local t = {}
          for i = 1, 20 * 2^20 / 2^size do t[i] = ("x"):rep(2^size - 40) .. i end
          total = total + #t
        end
        self.outputs.total = total)");
      auto vm = Vm::load(make_load(c));
      if (!vm) {
        failures = 1;
        return;
      }
      FakeHost host;
      for (int i = 0; i < 3; ++i) {
        const Outcome out = run_job(**vm, host, c);
        if (!out.ok) ++failures;
      }
    });
    _exit(failures);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}
#endif

/// A block with a pattern in it that depends on its address and size.
struct Block {
  unsigned char* at;
  size_t size;
  unsigned char mark;
  void fill() const { std::memset(at, mark, size); }
  bool intact() const {
    return std::all_of(at, at + size, [&](unsigned char c) { return c == mark; });
  }
};

/// Random allocations, resizes and frees; true when no block was ever damaged.
bool churn(Arena& arena, std::vector<Block>& blocks, std::mt19937& random, int steps) {
  const auto size = [&]() -> size_t {
    switch (random() % 8) {
      case 0: return random() % 8 != 0 ? 1 + random() % 200 : 1 + random() % 700'000;
      case 1: return 1 + random() % 60'000;
      case 2: return 1 + random() % 9'000;
      default: return 1 + random() % 600;
    }
  };
  for (int i = 0; i < steps; ++i) {
    const auto choice = random() % 10;
    if (blocks.empty() || (choice < 5 && blocks.size() < 400)) {
      const size_t bytes = size();
      auto* at = static_cast<unsigned char*>(Arena::allocate(&arena, nullptr, 0, bytes));
      if (at == nullptr || reinterpret_cast<uintptr_t>(at) % 16 != 0) return false;
      blocks.push_back({at, bytes, static_cast<unsigned char>(random())});
      blocks.back().fill();
      continue;
    }
    Block& block = blocks[random() % blocks.size()];
    if (!block.intact()) return false;
    if (choice < 8) {
      const size_t bytes = size();
      auto* at = static_cast<unsigned char*>(Arena::allocate(&arena, block.at, block.size, bytes));
      if (at == nullptr) return false;
      const Block kept{at, std::min(bytes, block.size), block.mark};
      if (!kept.intact()) return false;
      block.at = at;
      block.size = bytes;
      block.fill();
    } else {
      Arena::allocate(&arena, block.at, block.size, 0);
      block = blocks.back();
      blocks.pop_back();
    }
  }
  return std::all_of(blocks.begin(), blocks.end(), [](const Block& b) { return b.intact(); });
}

TEST(Arena, RandomUseDamagesNothing) {
  auto arena = Arena::make();
  ASSERT_TRUE(arena.has_value());
  std::mt19937 random(20240601);
  std::vector<Block> blocks;
  EXPECT_TRUE(churn(**arena, blocks, random, 20'000));
  for (const Block& block : blocks) Arena::allocate(arena->get(), block.at, block.size, 0);
  EXPECT_EQ((*arena)->live(), 0U);
}

TEST(Arena, RestoreBringsEveryByteBack) {
  auto arena = Arena::make();
  ASSERT_TRUE(arena.has_value());
  std::mt19937 random(7);
  std::vector<Block> sealed;
  ASSERT_TRUE(churn(**arena, sealed, random, 2'000));
  ASSERT_TRUE((*arena)->seal().has_value());
  const uint64_t live = (*arena)->live();
  const uint64_t held = (*arena)->held();
  for (int round = 0; round < 10; ++round) {
    std::vector<Block> blocks = sealed;
    ASSERT_TRUE(churn(**arena, blocks, random, 1'000)) << round;
    (*arena)->restore();
    EXPECT_TRUE(std::all_of(sealed.begin(), sealed.end(), [](const Block& b) { return b.intact(); }))
        << round;
    EXPECT_EQ((*arena)->live(), live);
    EXPECT_EQ((*arena)->peak(), live);
    EXPECT_LE((*arena)->held(), held + (4U << 20));
  }
}

TEST(Arena, TheCapHoldsAndShrinkingAlwaysWorks) {
  auto arena = Arena::make();
  ASSERT_TRUE(arena.has_value());
  (*arena)->set_cap(1U << 20);
  EXPECT_EQ(Arena::allocate(arena->get(), nullptr, 0, 2U << 20), nullptr);
  void* block = Arena::allocate(arena->get(), nullptr, 0, 900'000);
  ASSERT_NE(block, nullptr);
  EXPECT_EQ(Arena::allocate(arena->get(), nullptr, 0, 200'000), nullptr);
  EXPECT_EQ(Arena::allocate(arena->get(), block, 900'000, 1'100'000), nullptr);
  std::vector<void*> small;
  while (void* one = Arena::allocate(arena->get(), nullptr, 0, 100)) small.push_back(one);
  EXPECT_GT(small.size(), 1000U);
  EXPECT_LE((*arena)->live(), 1U << 20);
  size_t size = 900'000;
  for (const size_t next : {300'000U, 200'000U, 9'000U, 8'000U, 100U, 10U}) {
    block = Arena::allocate(arena->get(), block, size, next);
    ASSERT_NE(block, nullptr) << next;
    size = next;
  }
}

TEST(Arena, RoundingIsCounted) {
  auto arena = Arena::make();
  ASSERT_TRUE(arena.has_value());
  const auto counted = [&](size_t size) {
    const uint64_t before = (*arena)->live();
    Arena::allocate(arena->get(), nullptr, 0, size);
    return (*arena)->live() - before;
  };
  EXPECT_EQ(counted(1), 16U);
  EXPECT_EQ(counted(16), 16U);
  EXPECT_EQ(counted(17), 32U);
  EXPECT_EQ(counted(257), 320U);
  EXPECT_EQ(counted(8192), 8192U);
  EXPECT_EQ(counted(8193), 12288U);
  EXPECT_EQ(counted(262144), 262144U);
  EXPECT_EQ(counted(262145), 266240U);
}

TEST(Arena, EmptySpansServeOtherClasses) {
  auto arena = Arena::make();
  ASSERT_TRUE(arena.has_value());
  (*arena)->set_cap(8U << 20);
  for (const size_t size : {16U, 48U, 100U, 700U, 3000U, 20'000U}) {
    std::vector<void*> blocks;
    while (void* one = Arena::allocate(arena->get(), nullptr, 0, size)) blocks.push_back(one);
    EXPECT_GT((*arena)->live(), 7U << 20) << size;
    for (void* one : blocks) Arena::allocate(arena->get(), one, size, 0);
    EXPECT_EQ((*arena)->live(), 0U);
    EXPECT_LT((*arena)->held(), 12U << 20);
  }
}

}  // namespace
}  // namespace pf::vm::testing
