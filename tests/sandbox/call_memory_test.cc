// The end of memory in the middle of a host call, where arguments and results are converted: an error in Lua.
#include <gmock/gmock.h>

#include "support/attack.h"

namespace pf::test {
namespace {

TEST(CallMemory, RunsOutWhileResultsAreMade) {
  Project project;
  Attack attack;
  attack.manifest = "limits: {memory: 12MiB}\npermissions: {programs: [head]}\n";
  const std::string fill = "local keep = {} while true do keep[#keep + 1] = ";
  attack.bodies = {
      // No two texts are the same: Lua would keep one.
      {"read",
       "for i = 1, 20 do forge.fs.write('f' .. i, tostring(i):rep(1e6)) end\n"
       "local keep = {} for i = 1, 20 do keep[i] = forge.fs.read('f' .. i) end"},
      {"list", "for i = 1, 500 do forge.fs.write('f' .. i, '') end " + fill + "forge.fs.list('.') end"},
      {"json", "local text = '[' .. ('[1,2,3],'):rep(5000) .. '0]' " + fill + "forge.json.decode(text) end"},
      {"yaml", "local text = ('- [1, 2, 3]\\n'):rep(2000) " + fill + "forge.yaml.decode(text) end"},
      {"base64", fill + "forge.base64.encode(('x'):rep(1e6) .. #keep) end"},
      {"encode", "local t = {} for i = 1, 1e4 do t[i] = i end " + fill + "forge.json.encode({#keep, t}) end"},
      {"template", fill + "forge.template.render('{{x}}', {x = ('y'):rep(1e6) .. #keep}) end"},
      {"program",
       fill + "forge.process.run({'head', '-c', '3000000', '/dev/urandom'}, {max_output = 4000000}) end"}};
  const auto run = run_attack(project, attack);
  for (const auto& [name, body] : attack.bodies) {
    EXPECT_EQ(run.error_code("attack." + name), "limit.memory")
        << name << run.error_message("attack." + name);
  }
}

TEST(CallMemory, RunsOutWhileArgumentsAreMade) {
  // All but a little of the heap is taken; then calls are tried with arguments of all sizes.
  Project project;
  Attack attack;
  attack.manifest = "limits: {memory: 24MiB}\n";
  attack.bodies = {{"caught", R"(
    local keep, codes = {}, {}
    pcall(function() while true do keep[#keep + 1] = ('x'):rep(1000) .. #keep end end)
    for i = 1, 300 do
      keep[#keep] = nil
      local ok, e = pcall(function()
        forge.log.debug('x', {a = ('y'):rep(i * 100)})
        forge.fs.write('f', ('z'):rep(i * 100))
        return forge.fs.read('f')
      end)
    end
    keep = nil
    outputs.alive = forge.fs.exists('.'))"}};
  const auto run = run_attack(project, attack);
  EXPECT_THAT(run.error_code("attack.caught"), testing::AnyOf("", "limit.memory")) << run.output.out;
  EXPECT_THAT(run.result("attack.caught"), testing::AnyOf("succeeded", "failed"));
}

TEST(CallMemory, ArgumentsLargerThanAFrameAreRefused) {
  Project project;
  Attack attack;
  attack.bodies = {{"write", "forge.fs.write('f', ('x'):rep(17e6))"},
                   {"log", "forge.log.info(('x'):rep(17e6))"},
                   {"stdin", "forge.process.run({'true'}, {stdin = ('x'):rep(17e6)})"}};
  attack.manifest = "permissions: {programs: ['true']}\n";
  const auto run = run_attack(project, attack);
  for (const auto& [name, body] : attack.bodies) {
    EXPECT_EQ(run.error_code("attack." + name), "limit.frame") << name << run.error_message("attack." + name);
  }
}

}  // namespace
}  // namespace pf::test
