#include "support/attack.h"

#include <gmock/gmock.h>

namespace pf::test {

RunResult run_attack(const Project& project, const Attack& attack) {
  std::string lua =
      "local forge = require 'forge'\nlocal E = forge.extension {}\nlocal bodies = {}\n"
      "function bodies.good(self)\n  forge.fs.write('mine', self.name)\n"
      "  self.outputs.fine = forge.fs.read('mine') == 'good'\nend\n";
  // All at once: who only computes takes a place of max_parallel until its bound of CPU time.
  std::string yaml = "p:\n  core: {execution_defaults: {max_parallel: 64}}\n  attack:\n    - {name: good" +
                     attack.keys + "}\n";
  for (const auto& [name, body] : attack.bodies) {
    lua += "bodies['" + name + "'] = function(self)\nlocal config, outputs = self.config, self.outputs;\n" +
           body + "\nend\n";
    yaml += "    - {name: '" + name + "'" + attack.keys + "}\n";
  }
  lua += "function E:execute() bodies[self.name](self) end\nreturn E\n";
  project.extension("attack", lua, attack.manifest, attack.models);
  project.extension("quiet", execute("forge.fs.write('mine', self.name)\n"
                                     "outputs.fine = forge.fs.read('mine') == self.name"));
  yaml += "  quiet: [{name: a}, {name: b}, {name: c}]\n";
  auto environment = attack.environment;
  environment.emplace("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");  // programs that confined ones can read, too
  // What succeeded in an attack before this one runs again.
  auto run = run_pipeline(project, yaml, {"--force"}, environment, attack.processes);
  EXPECT_THAT(run.output.code, testing::AnyOf(0, 1)) << run.output.out << run.output.err;
  for (const char* sibling : {"attack.good", "quiet.a", "quiet.b", "quiet.c"}) {
    EXPECT_EQ(run.result(sibling), "succeeded") << sibling << run.output.out << run.output.err;
    EXPECT_EQ(run.outputs(sibling), Json({{"fine", true}})) << sibling;
  }
  EXPECT_THAT(run.left, testing::IsEmpty());
  return run;
}

RunResult run_attack(const Project& project, const std::string& body, const std::string& manifest,
                     const std::string& keys) {
  Attack attack;
  attack.bodies["bad"] = body;
  attack.manifest = manifest;
  attack.keys = keys;
  return run_attack(project, attack);
}

std::string python(const std::string& script, const std::string& options, const std::string& arguments) {
  return "forge.process.run({'python3', '-c', [==[\n" + script + "]==]" +
         (arguments.empty() ? "" : ", " + arguments) + "}, " + options + ")";
}

}  // namespace pf::test
