// Names of Lua's that open the system: they are not there, and say what to use.
#include <gmock/gmock.h>

#include "support/attack.h"

namespace pf::test {
namespace {

using testing::HasSubstr;

TEST(AbsentNames, SayWhatToUse) {
  const std::map<std::string, std::pair<std::string, std::string>> cases = {
      {"io", {"io.open('/etc/hostname')", "forge.fs.read"}},
      {"os", {"os.execute('id')", "forge"}},
      {"load", {"load('return 1')", "load"}},
      {"loadstring", {"loadstring('return 1')", "loadstring"}},
      {"loadfile", {"loadfile('/etc/hostname')", "loadfile"}},
      {"dofile", {"dofile('/etc/hostname')", "dofile"}},
      {"debug", {"debug.getregistry()", "debug"}},
      {"ffi", {"local f = ffi.C.malloc", "ffi"}},
      {"jit", {"jit.on()", "jit"}},
      {"package", {"package.loadlib('libc.so.6', 'system')", "package"}},
      {"getfenv", {"getfenv(0)", "getfenv"}},
      {"setfenv", {"setfenv(1, {})", "setfenv"}},
      {"newproxy", {"newproxy(true)", "newproxy"}},
      {"collectgarbage", {"collectgarbage('stop')", "collectgarbage"}},
      {"gcinfo", {"gcinfo()", "gcinfo"}},
      {"module", {"module('x')", "module"}}};
  Attack attack;
  for (const auto& [name, said] : cases) attack.bodies[name] = said.first;
  Project project;
  const auto run = run_attack(project, attack);
  for (const auto& [name, said] : cases) {
    EXPECT_EQ(run.error_code("attack." + name), "lua.absent") << name;
    EXPECT_THAT(run.error_message("attack." + name), HasSubstr("is not available in extensions"));
    EXPECT_THAT(run.error_message("attack." + name), HasSubstr(said.second));
  }
}

TEST(AbsentNames, AreHiddenNowhere) {
  // Everything that can be reached from what an extension is given.
  Project project;
  const auto run = run_attack(project, R"(
    local absent = {io = 1, os = 1, debug = 1, package = 1, ffi = 1, jit = 1, load = 1, loadstring = 1,
      loadfile = 1, dofile = 1, dump = 1, getfenv = 1, setfenv = 1, newproxy = 1, collectgarbage = 1,
      getregistry = 1, loadlib = 1}
    local seen, found, count = {}, {}, 0
    local function visit(value)
      if type(value) ~= 'table' or seen[value] then return end
      seen[value], count = true, count + 1
      for key, item in next, value do
        if absent[key] and value ~= forge.log then found[#found + 1] = key end
        visit(key)
        visit(item)
      end
      visit(getmetatable(value))
    end
    visit(_G) visit(forge) visit(self) visit(getmetatable('')) visit(require 'schema') visit(require 'retry')
    table.sort(found)
    outputs.found = table.concat(found, ' ')
    outputs.enough = count > 20
  )");
  EXPECT_EQ(run.outputs("attack.bad"), Json({{"found", ""}, {"enough", true}})) << run.output.out;
}

TEST(AbsentNames, CannotBeRequired) {
  const std::map<std::string, std::string> codes = {{"ffi", "lua.absent"},
                                                    {"jit", "lua.absent"},
                                                    {"os", "lua.absent"},
                                                    {"io", "lua.absent"},
                                                    {"debug", "lua.absent"},
                                                    {"package", "lua.absent"},
                                                    {"jit.util", "module.missing"},
                                                    {"table.new", "module.missing"},
                                                    {"string.buffer", "module.missing"},
                                                    {"socket", "module.missing"},
                                                    {"../secret", "module.name"},
                                                    {"/etc/hostname", "module.name"},
                                                    {"..quiet.extension", "module.name"},
                                                    {"quiet/extension", "module.name"}};
  std::string body;
  for (const auto& [name, code] : codes) {
    body += "outputs['" + name + "'] = select(2, forge.try(require, '" + name + "')).code\n";
  }
  Project project;
  project.write("secret.lua", "return 'SECRET'");
  const auto run = run_attack(project, body);
  EXPECT_EQ(run.outputs("attack.bad"), Json(codes)) << run.output.out;
}

}  // namespace
}  // namespace pf::test
