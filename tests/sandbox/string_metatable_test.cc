// The functions that all texts share: replaced ones deceive neither the host's own code nor another instance.
#include <gtest/gtest.h>

#include "support/attack.h"

namespace pf::test {
namespace {

TEST(StringMetatable, IsClosed) {
  Project project;
  const auto run = run_attack(project, R"(
    outputs.it = getmetatable('')
    outputs.set = not pcall(setmetatable, string, {})
    outputs.replaced = not pcall(function() getmetatable('').__index = {} end)
  )");
  EXPECT_EQ(run.outputs("attack.bad"), Json({{"it", "string"}, {"set", true}, {"replaced", true}}));
}

TEST(StringMetatable, ReplacedFunctionsDoNotDeceiveTheHost) {
  Project project;
  const auto run = run_attack(project, R"(
    for _, library in ipairs {string, table, math} do
      for name in pairs(library) do library[name] = function() return '/dev/null' end end
    end
    tostring, type, pairs, next, select = function() return 'x' end, nil, nil, nil, nil
    local _, e = forge.try(forge.fs.read, '/etc/hostname')
    outputs.code = e.code
    forge.fs.write('a', 'b')
    outputs.read = forge.fs.read('a')
  )");
  EXPECT_EQ(run.outputs("attack.bad"), Json({{"code", "permission.read"}, {"read", "b"}})) << run.output.out;
}

TEST(StringMetatable, TheNextInstanceOfTheSameWorkerHasItsOwn) {
  Project project;
  project.extension("nosy",
                    execute("outputs.upper = ('x'):upper()\n"
                            "for name in pairs(string) do string[name] = function() return '?' end end"));
  const auto run = run_pipeline(project,
                                "p:\n  core: {execution_defaults: {max_parallel: 1}}\n"
                                "  nosy: [{name: a}, {name: b}, {name: c}]\n");
  for (const char* name : {"nosy.a", "nosy.b", "nosy.c"}) {
    EXPECT_EQ(run.outputs(name), Json({{"upper", "X"}})) << run.output.out;
  }
}

}  // namespace
}  // namespace pf::test
