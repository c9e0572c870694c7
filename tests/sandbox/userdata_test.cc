// Userdata with destructors or open metatables, through which C code could be called twice: there is none.
#include <gtest/gtest.h>

#include "support/attack.h"

namespace pf::test {
namespace {

TEST(Userdata, NothingButNullIsOne) {
  Project project;
  const auto run = run_attack(project,
                              R"(
    local seen, found = {}, 0
    local function visit(value)
      if type(value) == 'userdata' then
        if value ~= forge.null or getmetatable(value) ~= nil then found = found + 1 end
        return
      end
      if type(value) ~= 'table' or seen[value] then return end
      seen[value] = true
      for key, item in next, value do visit(key) visit(item) end
      visit(getmetatable(value))
    end
    visit(_G) visit(forge) visit(self)
    visit(forge.fs.stat('.'))
    visit(forge.process.run({'true'}))
    visit(forge.async.spawn(function() return 1 end))
    outputs.found = found
    outputs.null = type(forge.null)
  )",
                              "permissions: {programs: ['true']}\n");
  EXPECT_EQ(run.outputs("attack.bad"), Json({{"found", 0}, {"null", "userdata"}})) << run.output.out;
}

TEST(Userdata, NoDestructorRunsWhenAVmEnds) {
  // Lua 5.1 knows __gc of userdata only; a table's must not run either.
  Project project;
  const auto run = run_attack(project, R"(
    hold = setmetatable({}, {__gc = function() while true do end end})
    hold = nil
    for i = 1, 1e5 do local t = {i} end
    outputs.done = true
  )");
  EXPECT_EQ(run.outputs("attack.bad"), Json({{"done", true}})) << run.output.out;
}

}  // namespace
}  // namespace pf::test
