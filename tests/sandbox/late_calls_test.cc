// Calls, tasks and handles that outlive their instance.
#include <gmock/gmock.h>

#include "support/attack.h"

namespace pf::test {
namespace {

TEST(LateCalls, ATaskEndsWithItsInstance) {
  Project project;
  const auto run =
      run_attack(project,
                 "forge.async.spawn(function()\n"
                 "  for i = 1, 100000 do forge.time.sleep(0.01) forge.fs.append('late', 'x') end\nend)\n"
                 "forge.async.await(forge.async.spawn(function()\n"
                 "  while not forge.fs.exists('late') do forge.time.sleep(0.01) end\nend))\n"
                 "outputs.begun = true");
  EXPECT_EQ(run.outputs("attack.bad"), Json({{"begun", true}})) << run.output.out;
  EXPECT_LT(project.read(".pangeo-forge/work/attack/bad/late").size(), 100000U);
}

TEST(LateCalls, AProgramEndsWithItsInstance) {
  Project project(unprivileged_user());
  const auto run =
      run_attack(project,
                 "forge.async.spawn(function() forge.process.run({'sleep', '1000'}) end)\n"
                 "forge.process.start({'sleep', '1000'})\nforge.time.sleep(0.2)\noutputs.done = true",
                 "permissions: {programs: [sleep]}\n");
  EXPECT_EQ(run.outputs("attack.bad"), Json({{"done", true}})) << run.output.out;
}

TEST(LateCalls, AnUploadEndsWithItsInstance) {
  Project project;
  const auto run = run_attack(project,
                              "for i = 1, 20 do forge.async.spawn(function()\n"
                              "  forge.fs.write('big' .. i, ('x'):rep(1e6) .. i) end) end\n"
                              "error('gone before they are written')");
  EXPECT_EQ(run.error_code("attack.bad"), "extension.error");
}

TEST(LateCalls, HandlesOfOneInstanceAreNothingToTheNext) {
  // One worker, one after the other: the first keeps a program, a repository and a task wherever it can.
  Project project;
  project.extension("attack", execute(R"(
    local shared = require 'shared'
    if self.name == 'first' then
      shared.program = forge.process.start({'sleep', '1000'})
      shared.task = forge.async.spawn(function() forge.time.sleep(1000) end)
      forge.fs.write('mine', 'MINE')
      keep = shared
      outputs.program, outputs.path = shared.program, 'mine'
    else
      outputs.kept = shared.program ~= nil or rawget(_G, 'keep') ~= nil
      outputs.read = select(2, forge.try(forge.process.read, 1)).code
      outputs.kill = select(2, forge.try(forge.process.kill, 1)).code
      outputs.file = select(2, forge.try(forge.fs.read, '../first/mine')).code
      outputs.repository = select(2, forge.try(forge.git.open, '../first')).code
    end
  )"),
                    "permissions: {programs: [sleep]}\n");
  project.write("extensions/attack/shared.lua", "return {}");
  const auto run = run_pipeline(project,
                                "p:\n  core: {execution_defaults: {max_parallel: 1}}\n"
                                "  attack: [{name: first}, {name: second}]\n");
  EXPECT_EQ(run.outputs("attack.first"), Json({{"program", 1}, {"path", "mine"}})) << run.output.out;
  EXPECT_EQ(run.outputs("attack.second"), Json({{"kept", false},
                                                {"read", "process.handle"},
                                                {"kill", "process.handle"},
                                                {"file", "permission.read"},
                                                {"repository", "permission.read"}}))
      << run.output.out;
  EXPECT_THAT(run.left, testing::IsEmpty());
}

}  // namespace
}  // namespace pf::test
