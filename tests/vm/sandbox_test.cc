// The rows of reference/lua-sandbox.md that concern the VM, but memory and deadlines (memory_test,
// deadline_test).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness.h"

namespace pf::vm::testing {
namespace {

using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string failure(const std::string& body) {
  const Outcome out = execute(body);
  return out.ok ? "no error" : out.error.code + ": " + out.error.message;
}

TEST(Sandbox, GlobalsAreTheAllowList) {
  EXPECT_EQ(
      outputs(execute(R"(
    local names = {}
    for name in pairs(_G) do names[#names + 1] = name end
    table.sort(names)
    self.outputs.names = table.concat(names, " "))")),
      parse(
          R"({"names": "_G _VERSION assert bit coroutine error getmetatable ipairs math next pairs pcall print rawequal rawget rawset require select setmetatable string table tonumber tostring type unpack xpcall"})"));
}

TEST(Sandbox, LibrariesAreTheAllowList) {
  EXPECT_EQ(outputs(execute(R"(
    for _, library in ipairs { "bit", "coroutine", "math", "string", "table" } do
      local names = {}
      for name in pairs(_G[library]) do names[#names + 1] = name end
      table.sort(names)
      self.outputs[library] = table.concat(names, " ")
    end)")),
            parse(R"({
    "bit": "arshift band bnot bor bswap bxor lshift rol ror rshift tobit tohex",
    "coroutine": "create isyieldable resume running status wrap yield",
    "math": "abs acos asin atan atan2 ceil cos cosh deg exp floor fmod frexp huge ldexp log log10 max min modf pi pow rad random randomseed sin sinh sqrt tan tanh",
    "string": "byte char find format gmatch gsub len lower match rep reverse sub upper",
    "table": "concat foreach foreachi getn insert maxn move remove sort"})"));
}

TEST(Sandbox, NamesThatAreNotThereSayWhatToUse) {
  EXPECT_EQ(failure("local f = io.open('x')"),
            "lua.absent: extension.lua:2: `io` is not available in extensions; use forge.fs.read(path) and "
            "grant `read`");
  EXPECT_EQ(failure("local t = os.time()").substr(0, 78),
            "lua.absent: extension.lua:2: `os` is not available in extensions; use forge.ti");
  for (const char* name : {"load", "loadstring", "loadfile", "dofile", "module", "package", "debug", "ffi",
                           "jit", "collectgarbage", "gcinfo", "getfenv", "setfenv", "newproxy", "forge"}) {
    const std::string prefix =
        std::string("lua.absent: extension.lua:2: `") + name + "` is not available in extensions; ";
    EXPECT_THAT(failure(std::string("local x = _G.") + name), HasSubstr(prefix));
    const std::string shadow = std::string("local forge = nil\nlocal x = ") + name;
    if (std::string(name) != "forge") {
      EXPECT_THAT(failure(shadow), HasSubstr(std::string("`") + name + "` is not available in extensions; "));
    }
  }
  EXPECT_EQ(failure("local d = string.dump"),
            "lua.absent: extension.lua:2: `string.dump` is not available in extensions; put the code into a "
            "module of "
            "the package and `require` it");
  EXPECT_EQ(failure("local d = ('x').dump"), failure("local d = string.dump"));
}

TEST(Sandbox, OtherUndefinedGlobalsAreNilAndAssignmentsWork) {
  EXPECT_EQ(outputs(execute(
                "self.outputs.before = undefined == nil\nundefined = 1\nself.outputs.after = undefined")),
            parse(R"({"before": true, "after": 1})"));
  EXPECT_EQ(failure("undefined()"),
            "extension.error: extension.lua:2: attempt to call global 'undefined' (a nil value)");
}

TEST(Sandbox, RawAccessFindsNothingHidden) {
  EXPECT_EQ(outputs(execute(R"(
    local found = {}
    for _, name in ipairs { "io", "os", "load", "loadstring", "ffi", "jit", "debug", "package", "getfenv", "newproxy" } do
      if rawget(_G, name) ~= nil then found[#found + 1] = name end
    end
    self.outputs.found = #found
    self.outputs.dump = rawget(string, "dump") == nil)")),
            parse(R"({"found": 0, "dump": true})"));
}

TEST(Sandbox, MetatablesOfTheHouseAreClosed) {
  EXPECT_EQ(outputs(execute(R"(
    self.outputs = { string = getmetatable(""), globals = getmetatable(_G), forge = getmetatable(forge),
      fs = getmetatable(forge.fs), null = getmetatable(forge.null) == nil, library = getmetatable(string) })")),
            parse(R"({"string": "string", "globals": "globals", "forge": "namespace", "fs": "namespace",
                      "null": true, "library": "string"})"));
  EXPECT_THAT(failure("setmetatable(_G, {})"), HasSubstr("cannot change a protected metatable"));
  EXPECT_THAT(failure("setmetatable(string, {})"), HasSubstr("cannot change a protected metatable"));
}

TEST(Sandbox, ReplacedStringFunctionsDoNotReachThePrelude) {
  EXPECT_EQ(outputs(execute(R"(
    for name in pairs(string) do string[name] = function() error("mine") end end
    for name in pairs(table) do table[name] = function() error("mine") end end
    pairs, next, type, tostring, setmetatable, error, select = nil, nil, nil, nil, nil, nil, nil
    print("still", 1)
    local ok, e = forge.try(forge.fs.read, 5)
    self.outputs = { ok = ok == nil, code = e.code, list = forge.async.map({ 1, 2 }, function(x) return x end) })")),
            parse(R"({"ok": true, "code": "call.argument", "list": [1, 2]})"));
}

TEST(Sandbox, PrintLogs) {
  FakeHost host;
  EXPECT_TRUE(
      execute("print('a', 1, nil, true, setmetatable({}, {__tostring = function() return 'T' end})) print()",
              host)
          .ok);
  EXPECT_THAT(host.logged(), ElementsAre("info: a\t1\tnil\ttrue\tT", "info: "));
}

TEST(Sandbox, ResultsWithMetamethodsAreReadRaw) {
  EXPECT_EQ(outputs(execute(R"(
    local trap = setmetatable({ a = 1 }, { __index = function() error("index") end, __len = function() return 1e9 end,
      __pairs = function() error("pairs") end, __tostring = function() error("tostring") end })
    self.outputs = setmetatable({ trap = trap }, { __index = error, __newindex = error })
  )")),
            parse(R"({"trap": {"a": 1}})"));
}

TEST(Sandbox, DeepRecursionEndsAsAnError) {
  EXPECT_THAT(failure(R"(
    local function deep(s) return (s:gsub(".", deep)) end
    deep("x"))"),
              HasSubstr("stack overflow"));
  EXPECT_THAT(failure(R"(
    local function deep() return coroutine.wrap(deep)() end
    deep())"),
              AnyOf(HasSubstr("stack overflow"), HasSubstr("limit.memory")));
  EXPECT_THAT(failure("local function deep() return 1 + deep() end deep()"), HasSubstr("stack overflow"));
  EXPECT_THAT(
      failure("local t = setmetatable({}, {}) getmetatable(t).__index = function(_, k) return t[k + 1] end "
              "local x = t[1]"),
      HasSubstr("stack overflow"));
  EXPECT_THAT(failure("local t = {} t = setmetatable(t, {__tostring = function() local s = tostring(t) "
                      "return s end}) print(t)"),
              HasSubstr("stack overflow"));
  EXPECT_THAT(
      failure("local function f() return pcall(f) end f() local function g() return xpcall(g, g) end g() "
              "error('survived')"),
      HasSubstr("survived"));
  EXPECT_THAT(failure("local function deep() forge.async.await(forge.async.spawn(deep)) end deep()"),
              AnyOf(HasSubstr("stack overflow"), HasSubstr("limit.memory")));
  EXPECT_THAT(
      failure(
          "local function deep() table.sort({3, 2, 1}, function(a, b) deep() return a < b end) end deep()"),
      HasSubstr("stack overflow"));
}

TEST(Sandbox, NestedSourceAndPatternsEndAsErrors) {
  FakeHost host;
  Case c;
  c.modules["extension"] = "return " + std::string(100000, '(') + "1" + std::string(100000, ')');
  EXPECT_EQ(run(c, host).error.code, "lua.syntax");
  c.modules["extension"] = "return " + std::string(100000, '{') + std::string(100000, '}');
  EXPECT_EQ(run(c, host).error.code, "lua.syntax");
  EXPECT_THAT(failure("(('x'):rep(300000)):find(('x?'):rep(300000) .. 'y')"), HasSubstr("too complex"));
}

TEST(Sandbox, RandomNumbersDifferFromJobToJob) {
  on_big_stack([] {
    Case c;
    c.modules["extension"] =
        extension("self.outputs.n = math.random() math.randomseed(7) self.outputs.m = math.random()");
    auto vm = Vm::load(make_load(c));
    ASSERT_TRUE(vm.has_value());
    FakeHost host;
    const Json first = outputs(run_job(**vm, host, c));
    const Json second = outputs(run_job(**vm, host, c));
    EXPECT_NE(first["n"], second["n"]);
    EXPECT_EQ(first["m"], second["m"]);
  });
}

// A job that leaves as much behind as it can; the next one looks for it.
constexpr const char* kPolluting = R"(
  local seen = {}
  if polluted ~= nil then seen[#seen + 1] = "global" end
  if string.marker or ("x").marker then seen[#seen + 1] = "string" end
  if math.floor(1.5) ~= 1 then seen[#seen + 1] = "math" end
  if forge.marker_of_mine_is_there then seen[#seen + 1] = "forge" end
  if require("lib.shared").n ~= 0 then seen[#seen + 1] = "module" end
  if forge.null == nil then seen[#seen + 1] = "null" end
  if self.config.list[1] ~= 1 then seen[#seen + 1] = "config" end
  if next(self.outputs) ~= nil then seen[#seen + 1] = "outputs" end
  if getmetatable(self.config.list).__index then seen[#seen + 1] = "mark" end
  if forge.async.awaited then seen[#seen + 1] = "async" end
  polluted = {}
  for i = 1, 2000 do polluted[i] = { ("text %d"):format(i + math.random(1000)) } end
  string.marker = true
  math.floor = function() return 5 end
  forge.marker_of_mine_is_there = true
  forge.async.awaited = true
  require("lib.shared").n = 1
  self.config.list[1] = 2
  getmetatable(self.config.list).__index = function() return "x" end
  local all = _G
  getmetatable(self).cleanup = function() for name in pairs(all) do all[name] = nil end end
  forge.async.spawn(function() forge.fs.read("never") end)
  self.outputs.seen = table.concat(seen, " ")
)";

TEST(Isolation, NothingIsLeftOfEightHundredPollutingJobs) {
  on_big_stack([] {
    Case c;
    std::string body = kPolluting;
    // Unknown names of a namespace raise, so what is not there is looked for with rawget.
    const auto raw = [&](const std::string& from, const std::string& to) {
      body.replace(body.find(from), from.size(), to);
    };
    raw("if forge.marker_of_mine_is_there", "if rawget(forge, 'marker_of_mine_is_there')");
    raw("if forge.async.awaited", "if rawget(forge.async, 'awaited')");
    c.modules["extension"] = extension(body);
    c.modules["lib.shared"] = "return { n = 0 }";
    c.config = parse(R"({"list": [1]})");
    auto vm = Vm::load(make_load(c));
    ASSERT_TRUE(vm.has_value()) << vm.error().message;
    FakeHost host;
    for (int i = 0; i < 800; ++i) {
      const Outcome out = run_job(**vm, host, c);
      if (i % 100 == 0) host = FakeHost{};
      if (!out.ok || outputs(out) != parse(R"({"seen": ""})")) {
        FAIL() << "job " << i << " saw " << outputs(out).dump();
      }
    }
  });
}

TEST(Isolation, TwoVmsShareNothing) {
  on_big_stack([] {
    Case c;
    c.modules["extension"] = extension("self.outputs.n = (n or 0) + 1 n = 1 string.upper = nil");
    auto one = Vm::load(make_load(c));
    auto two = Vm::load(make_load(c));
    ASSERT_TRUE(one.has_value() && two.has_value());
    FakeHost host;
    for (Vm* vm : {one->get(), two->get(), one->get()}) {
      EXPECT_EQ(outputs(run_job(*vm, host, c)), parse(R"({"n": 1})"));
    }
  });
}

}  // namespace
}  // namespace pf::vm::testing
