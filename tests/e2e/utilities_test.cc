// What runs inside of the worker and the standard library, in the real program: sandboxed, with a real
// Python.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>

#include "support/pipelines.h"

namespace pf::test {
namespace {

using ::testing::HasSubstr;

TEST(Utilities, PureCallsInTheSandbox) {
  Project project;
  project.extension("t", execute(R"(
    outputs.md5 = forge.digest.md5('abc')
    outputs.sha512 = #forge.digest.sha512('abc')
    outputs.uuid = forge.uuid() ~= forge.uuid()
    outputs.text = forge.template.render('{% for v in list %}{{ v | json }};{% end %}', {list = {1, 'a'}})
    outputs.time = forge.time.format(forge.time.parse('2026-11-21T11:12:05+01:00'))
    outputs.pretty = forge.json.encode({b = 1, a = 2}, {pretty = true})
  )"));
  const auto run = run_pipeline(project, "p:\n  t: [{name: a}]\n");
  EXPECT_EQ(run.outputs("t.a"), Json({{"md5", "900150983cd24fb0d6963f7d28e17f72"},
                                      {"sha512", 128},
                                      {"uuid", true},
                                      {"text", "1;\"a\";"},
                                      {"time", "2026-11-21T10:12:05Z"},
                                      {"pretty", "{\n  \"a\": 2,\n  \"b\": 1\n}"}}))
      << run.output.out;
}

TEST(Utilities, ATemplateErrorNamesItsPlace) {
  Project project;
  project.extension("t", execute("forge.template.render('a\\n{{ nme }}', {name = 1}, {name = 'page.md'})"));
  const auto run =
      run_pipeline(project, "p:\n  core: {execution_defaults: {max_attempts: 3}}\n  t: [{name: a}]\n");
  EXPECT_EQ(run.error_code("t.a"), "template.unknown");
  EXPECT_EQ(run.error_message("t.a"),
            "page.md:2:4: unknown name `nme`; did you mean `name`?; there are name");
  EXPECT_EQ(run.finished["instances"]["t.a"]["attempts"], 1);
}

TEST(Utilities, WhatIsCancelledIsNotWaitedFor) {
  Project project;
  project.extension("t", execute(R"(
    local said = {}
    local value = forge.async.race {
      function() forge.fs.write('quick', 'x') return 'quick' end,
      function()
        forge.finally(function() forge.time.sleep(3600) end, function() forge.fs.write('cleaned', 'yes') end)
      end,
    }
    local task = forge.async.spawn(forge.time.sleep, 3600)
    forge.async.cancel(task)
    outputs.value, outputs.cleaned = value, forge.fs.read('cleaned')
    outputs.code = select(2, forge.try(forge.async.await, task)).code
  )"));
  const auto run = run_pipeline(project, "p:\n  t: [{name: a, timeout: 60s}]\n");
  EXPECT_EQ(run.outputs("t.a"), Json({{"value", "quick"}, {"cleaned", "yes"}, {"code", "async.cancelled"}}))
      << run.output.out;
}

TEST(Utilities, RetryGoesOnUntilAProgramSucceeds) {
  Project project;
  project.extension("t", execute(R"(
    local retry = require 'retry'
    local tries = 0
    local r = retry.call(function(attempt)
      tries = attempt
      return forge.process.run({'sh', '-c', '[ -e once ] || { touch once; exit 1; }'}, {check = true})
    end, {delay = 0, on = {'process.failed'}})
    outputs.tries, outputs.code = tries, r.code
  )"),
                    "permissions: {programs: [sh]}\n");
  const auto run = run_pipeline(project, "p:\n  t: [{name: a}]\n");
  EXPECT_EQ(run.outputs("t.a"), Json({{"tries", 2}, {"code", 0}})) << run.output.out;
}

TEST(Utilities, ACancelledTaskEndsTheProgramWhoseLinesItReads) {
  Project project;
  project.extension("t", execute(R"(
    local pid
    local code = select(2, forge.try(forge.async.all, {
      function()
        forge.process.run({'sh', '-c', 'echo $$ >pid; echo; exec sleep 1000'}, {on_line = function() pid = true end})
      end,
      function()
        while not pid do forge.time.sleep(0.01) end
        forge.fail {code = 'mine', message = 'enough'}
      end,
    })).code
    local gone = forge.process.run({'sh', '-c', 'while [ -e /proc/$(cat pid) ]; do sleep 0.01; done'}).code
    outputs.code, outputs.gone = code, gone
  )"),
                    "permissions: {programs: [sh]}\n");
  const auto run = run_pipeline(project, "p:\n  t: [{name: a, timeout: 60s}]\n");
  EXPECT_EQ(run.outputs("t.a"), Json({{"code", "mine"}, {"gone", 0}})) << run.output.out;
}

/// A Python of the system with venv, or empty.
bool has_python() {
  return std::system("PATH=/usr/bin:/bin python3 -c 'import ensurepip, venv' >/dev/null 2>&1") == 0;
}

#define NEED_PYTHON()                                                                                       \
  if (!has_python()) {                                                                                      \
    if (std::getenv("FORGE_REQUIRE_REAL") != nullptr) FAIL() << "no /usr/bin/python3 with the module venv"; \
    GTEST_SKIP() << "no /usr/bin/python3 with the module venv";                                             \
  }

/// A wheel of the package `answer`, made by hand: no index is asked.
void make_wheel(const Project& project) {
  project.write("make.py", R"(
import os, sys, zipfile
os.makedirs('wheels', exist_ok=True)
with zipfile.ZipFile('wheels/answer-1.0-py3-none-any.whl', 'w') as z:
    z.writestr('answer.py', 'def main():\n    print(42)\n')
    z.writestr('answer-1.0.dist-info/METADATA', 'Metadata-Version: 2.1\nName: answer\nVersion: 1.0\n')
    z.writestr('answer-1.0.dist-info/WHEEL', 'Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n')
    z.writestr('answer-1.0.dist-info/entry_points.txt', '[console_scripts]\nanswer = answer:main\n')
    z.writestr('answer-1.0.dist-info/RECORD', '')
)");
  const auto made = run({{"/usr/bin/python3", "make.py"}, project.path(), {}, 0});
  ASSERT_EQ(made.code, 0) << made.err;
}

constexpr char kModels[] = R"(local s = require 'schema'
return {Config = s.object {wheels = s.path {kind = 'folder'}, shared = s.path {input = false}}}
)";
constexpr char kManifest[] =
    "permissions: {programs: [python3], read: ['${config.wheels}', '${config.shared}'], write: "
    "['${config.shared}']}\n";
constexpr char kVenv[] = R"(
  local venv = require 'venv'
  local env = venv.make {requirements = {'--no-index', '--find-links ' .. config.wheels, 'answer==1.0'},
    folder = config.shared, installer = 'pip'}
  outputs.made = env.made
  outputs.key = env.key
  outputs.imported = env:run({'python', '-c', 'import answer; answer.main()'}, {check = true}).stdout
  outputs.script = env:run({'answer'}, {check = true}).stdout
)";

TEST(Utilities, InstancesShareAPythonEnvironment) {
  NEED_PYTHON();
  Project project;
  make_wheel(project);
  project.extension("t", execute(kVenv), kManifest, kModels);
  const std::string yaml = R"(p:
  t:
    - {name: a, wheels: wheels, shared: environments}
    - {name: b, wheels: wheels, shared: environments}
    - {name: c, wheels: wheels, shared: environments}
)";
  const std::map<std::string, std::string> path = {{"PATH", "/usr/bin:/bin"}};
  const auto first = run_pipeline(project, yaml, {}, path);
  ASSERT_EQ(first.output.code, 0) << first.output.out << first.output.err;
  int made = 0;
  for (const char* name : {"t.a", "t.b", "t.c"}) {
    const Json outputs = first.outputs(name);
    made += outputs["made"] == true ? 1 : 0;
    EXPECT_EQ(outputs["imported"], "42\n");
    EXPECT_EQ(outputs["script"], "42\n");
    EXPECT_EQ(outputs["key"], first.outputs("t.a")["key"]);
  }
  EXPECT_EQ(made, 1);
  // One environment, no lock and nothing half-made.
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(project.path() / "environments")) {
    names.push_back(entry.path().filename());
  }
  EXPECT_EQ(names, std::vector<std::string>{first.outputs("t.a")["key"]});
  const auto second = run_pipeline(project, yaml, {}, path);
  EXPECT_EQ(second.outputs("t.b")["made"], false) << second.output.out;
}

TEST(Utilities, AnEnvironmentThatCannotBeMadeSaysWhy) {
  NEED_PYTHON();
  Project project;
  make_wheel(project);
  project.extension("t", execute(kVenv), kManifest, kModels);
  std::filesystem::remove(project.path() / "wheels" / "answer-1.0-py3-none-any.whl");
  const auto run = run_pipeline(project, "p:\n  t: [{name: a, wheels: wheels, shared: environments}]\n", {},
                                {{"PATH", "/usr/bin:/bin"}});
  EXPECT_EQ(run.error_code("t.a"), "venv.failed") << run.output.out;
  EXPECT_THAT(run.error_message("t.a"), HasSubstr("pip install failed with exit code 1:"));
  EXPECT_THAT(run.error_message("t.a"), HasSubstr("No matching distribution found for answer==1.0"));
}

}  // namespace
}  // namespace pf::test
