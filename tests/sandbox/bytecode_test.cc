// Bytecode in place of source: it could crash the VM, so that none is ever loaded.
#include <gmock/gmock.h>

#include "support/attack.h"

namespace pf::test {
namespace {

using testing::HasSubstr;

// How LuaJIT's own begins.
constexpr const char* kBytecode = "\x1bLJ\x02\x02\x0f\x02\x00\x02\x03garbage";

TEST(Bytecode, IsNoExtension) {
  Project project;
  project.extension("attack", kBytecode);
  project.extension("quiet", execute("outputs.fine = true"));
  const auto run = run_pipeline(project, "p:\n  attack: [{name: bad}]\n  quiet: [{name: a}]\n");
  EXPECT_EQ(run.result("attack.bad"), "failed");
  EXPECT_EQ(run.error_code("attack.bad"), "lua.syntax");
  EXPECT_THAT(run.error_message("attack.bad"),
              HasSubstr("extension.lua: is compiled Lua; expected Lua source"));
  EXPECT_EQ(run.result("quiet.a"), "succeeded");
  EXPECT_THAT(run.left, testing::IsEmpty());
}

TEST(Bytecode, IsNoModule) {
  Project project;
  project.extension("attack", execute("require('hidden')"));
  project.write("extensions/attack/hidden.lua", kBytecode);
  project.extension("quiet", execute("outputs.fine = true"));
  const auto run = run_pipeline(project, "p:\n  attack: [{name: bad}]\n  quiet: [{name: a}]\n");
  EXPECT_EQ(run.error_code("attack.bad"), "lua.syntax");
  EXPECT_THAT(run.error_message("attack.bad"), HasSubstr("hidden.lua: is compiled Lua"));
  EXPECT_EQ(run.result("quiet.a"), "succeeded");
}

TEST(Bytecode, CannotBeMadeOrRead) {
  Project project;
  Attack attack;
  attack.bodies = {{"dump", "string.dump(function() end)"},
                   {"load", "load(config.x, 'x', 'b')"},
                   {"loadstring", "loadstring('\\27LJ')"},
                   {"method", "local f = ('x').dump"}};
  const auto run = run_attack(project, attack);
  for (const auto& [name, body] : attack.bodies) {
    EXPECT_EQ(run.error_code("attack." + name), "lua.absent") << name;
  }
}

}  // namespace
}  // namespace pf::test
