// Extensions that run programs, through the real program.
#include <gmock/gmock.h>

#include <csignal>

#include "support/pipelines.h"

namespace pf::test {
namespace {

using testing::HasSubstr;

RunResult run_one(const std::string& body, const std::string& manifest,
                  std::map<std::string, std::string> environment = {}) {
  Project project;
  project.extension("tool", execute(body), manifest);
  return run_pipeline(project, "p:\n  core: {execution_defaults: {timeout: 20s}}\n  tool: [{name: a}]\n", {},
                      std::move(environment));
}

TEST(Process, RunsWithItsOutputAndStatus) {
  const auto run = run_one(
      "local r = forge.process.run({'sh', '-c', 'echo $GREETING; exit 3'}, {env = {GREETING = 'hello'}})\n"
      "outputs.code, outputs.text = r.code, r.stdout",
      "permissions: {programs: [sh]}\n");
  EXPECT_EQ(run.outputs("tool.a"), Json({{"code", 3}, {"text", "hello\n"}})) << run.output.out;
}

TEST(Process, LinesComeWhileItRuns) {
  // The second line is printed only once the first has been seen.
  const auto run = run_one(
      "local seen = {}\n"
      "local r = forge.process.run({'sh', '-c', 'echo one; while ! [ -e go ]; do sleep 0.01; done; echo two "
      ">&2'},\n"
      "  {on_line = function(line, stream) seen[#seen + 1] = stream .. ':' .. line; forge.fs.write('go', '') "
      "end})\n"
      "outputs.seen, outputs.code = seen, r.code",
      "permissions: {programs: [sh]}\n");
  EXPECT_EQ(run.outputs("tool.a"), Json({{"code", 0}, {"seen", {"stdout:one", "stderr:two"}}}))
      << run.output.out;
}

TEST(Process, AnErrorInOnLineEndsTheProgram) {
  const auto run = run_one(
      "local ok, e = forge.try(forge.process.run, {'sh', '-c', 'echo one; exec sleep 1000'},\n"
      "  {on_line = function() forge.fail{code = 'mine', message = 'enough'} end})\n"
      "outputs.code = e.code",
      "permissions: {programs: [sh]}\n");
  EXPECT_EQ(run.outputs("tool.a"), Json({{"code", "mine"}})) << run.output.out;
}

TEST(Process, ManyRunSideBySide) {
  const auto run = run_one(
      "local list = {}\nfor i = 1, 50 do list[i] = i end\n"
      "local out = forge.async.map(list, function(i) return forge.process.run({'sh', '-c', 'echo ' .. "
      "i}).stdout end,\n"
      "  {limit = 8})\n"
      "outputs.all = table.concat(out)",
      "permissions: {programs: [sh]}\n");
  std::string expected;
  for (int i = 1; i <= 50; ++i) expected += std::to_string(i) + "\n";
  EXPECT_EQ(run.outputs("tool.a"), Json({{"all", expected}})) << run.output.out;
}

TEST(Process, TheLineToAddIsTold) {
  const auto run = run_one("forge.process.run({'sh', '-c', 'true'})", "");
  EXPECT_EQ(run.error_code("tool.a"), "permission.programs");
  EXPECT_THAT(run.finished.dump(), HasSubstr("programs: [sh]"));
  const auto env = run_one("forge.env.get('AWS_REGION')", "");
  EXPECT_EQ(env.error_code("tool.a"), "permission.env");
  EXPECT_THAT(env.finished.dump(), HasSubstr("env: [AWS_REGION]"));
}

TEST(Process, DeclaredVariablesOfTheEnvironment) {
  const auto run = run_one(
      "outputs.set, outputs.unset = forge.env.get('PF_TEST_ONE'), forge.env.get('PF_TEST_TWO') == nil\n"
      "outputs.seen = forge.process.run({'sh', '-c', 'echo $PF_TEST_ONE'}).stdout",
      "permissions: {programs: [sh], env: [PF_TEST_ONE, PF_TEST_TWO]}\n", {{"PF_TEST_ONE", "1"}});
  EXPECT_EQ(run.outputs("tool.a"), Json({{"set", "1"}, {"unset", true}, {"seen", "1\n"}})) << run.output.out;
}

TEST(Process, GrantsReachItAndNothingElse) {
  Project project;
  project.extension(
      "tool", execute(R"(
local r = forge.process.run({'sh', '-c', 'cat "$1"; cat "$2"; echo changed > "$1"', 'sh', config.file, config.other})
outputs.out, outputs.err = r.stdout, (r.stderr:gsub("[^\n]*/", ""))
)"),
      "permissions: {programs: [sh], read: ['${config.file}']}\n",
      "local s = require 'schema'\n"
      "return {Config = s.object {file = s.path {kind = 'file'}, other = s.path {kind = 'file'}}}");
  project.write("granted.txt", "granted\n");
  project.write("private.txt", "private\n");
  const auto run = run_pipeline(project, "p:\n  tool: [{name: a, file: granted.txt, other: private.txt}]\n");
  EXPECT_EQ(run.outputs("tool.a")["out"], "granted\n") << run.output.out;
  EXPECT_THAT(run.outputs("tool.a")["err"], HasSubstr("private.txt: Permission denied"));
  EXPECT_EQ(project.read("granted.txt"), "granted\n");
}

TEST(Process, AProgramEndsWithItsAttempt) {
  Project project;
  project.extension("tool", execute("forge.process.run({'sh', '-c', 'echo $$ > pid; exec sleep 1000'})"),
                    "permissions: {programs: [sh]}\n");
  const auto run = run_pipeline(project, "p:\n  tool: [{name: a, timeout: 500ms}]\n");
  EXPECT_EQ(run.result("tool.a"), "timed_out") << run.output.out;
  const pid_t pid = std::stoi(project.read(".pangeo-forge/work/tool/a/pid"));
  EXPECT_NE(kill(pid, 0), 0);
}

// The task that waits for it is cancelled, the attempt goes on: the program is ended at once, not with the
// attempt.
TEST(Process, ACancelledTaskEndsItsProgram) {
  Project project;
  project.extension("t", execute(R"(
    local first = forge.async.race {
      function() forge.process.run {'sh', '-c', 'while :; do echo x >> beat; sleep 0.02; done'} return 'program' end,
      function() repeat forge.time.sleep(0.01) until forge.fs.exists('beat') return 'sleep' end,
    }
    local function size() return forge.fs.stat('beat').size end
    local give_up = forge.time.now() + 20
    repeat
      local before = size()
      forge.time.sleep(0.3)
      outputs.still = size() == before
    until outputs.still or forge.time.now() > give_up
    outputs.first = first)"),
                    "permissions: {programs: [sh, sleep]}\n");
  const auto run = run_pipeline(project, "p:\n  t: [{name: a}]\n", {}, {{"PATH", "/usr/bin:/bin"}});
  EXPECT_EQ(run.outputs("t.a"), Json({{"first", "sleep"}, {"still", true}})) << run.output.out;
}

}  // namespace
}  // namespace pf::test
