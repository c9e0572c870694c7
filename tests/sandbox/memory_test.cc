// Bombs of memory in Lua: each ends at the instance's own bound.
#include <gmock/gmock.h>

#include "support/attack.h"

namespace pf::test {
namespace {

using testing::HasSubstr;

TEST(MemoryBomb, EndsAtTheInstancesBound) {
  Project project;
  Attack attack;
  attack.manifest = "limits: {memory: 16MiB}\n";
  attack.bodies = {
      {"rep", "local t = ('x'):rep(1e9)"},
      {"concat", "local t = 'x'; while true do t = t .. t end"},
      {"list",
       "local t = {}; for i = 1, 1e5 do t[i] = ('x'):rep(1000) .. i end; outputs.x = table.concat(t)"},
      {"tables", "local t = {}; while true do t[#t + 1] = {t} end"},
      {"keys", "local t = {}; local i = 0; while true do i = i + 1; t[i * 7919] = i end"},
      {"closures", "local t = {}; while true do t[#t + 1] = function() return t end end"},
      {"coroutines", "local t = {}; while true do t[#t + 1] = coroutine.create(print) end"},
      {"gsub", "local t = ('x'):rep(1e6); while true do t = t:gsub('x', 'xx') end"},
      {"format", "local t = 'x'; while true do t = string.format('%s%s', t, t) end"},
      {"unpack",
       "local t = {}; for i = 1, 7000 do t[i] = ('x'):rep(1000) .. i end; local u = {}\n"
       "while true do u[#u + 1] = {unpack(t)} end"},
      {"tasks", "while true do forge.async.spawn(function() coroutine.yield() end) end"},
      {"caught", "local t = {}; while true do pcall(function() while true do t[#t + 1] = {t} end end) end"},
      {"error", "local t = 'x'; while true do local ok, e = pcall(error, t) t = e .. e end"},
      {"traceback", "local function f(t) t = t .. t; return f(t) end f('x')"}};
  const auto run = run_attack(project, attack);
  for (const auto& [name, body] : attack.bodies) {
    EXPECT_EQ(run.result("attack." + name), "failed") << name;
    EXPECT_EQ(run.error_code("attack." + name), "limit.memory")
        << name << run.error_message("attack." + name);
    EXPECT_THAT(run.error_message("attack." + name), HasSubstr("16.0 MiB")) << name;
  }
}

}  // namespace
}  // namespace pf::test
