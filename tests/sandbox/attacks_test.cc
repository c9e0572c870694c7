// Attacks from Lua, by real extensions in the real program: each ends as that instance's failure, within its
// deadline, while its sibling succeeds and nothing is left running.
#include <gtest/gtest.h>

#include <fstream>

#include "support/pipelines.h"

namespace pf::test {
namespace {

// Runs `attack` beside a well-behaved instance of another and of the same extension.
// `timeout` is short only where the attack is expected to run into it.
RunResult attack_beside_siblings(const std::string& body, const std::string& manifest = "",
                                 const std::string& timeout = "30s") {
  Project project;
  project.extension("attack", execute("if config == nil then return end\n" + body), manifest);
  project.extension("quiet", execute("outputs.fine = true"));
  const auto started = std::chrono::steady_clock::now();
  auto run =
      run_pipeline(project, "p:\n  core: {execution_defaults: {timeout: " + timeout +
                                "}}\n  attack: [{name: bad}]\n  quiet: [{name: before}, {name: after}]\n");
  EXPECT_LT(std::chrono::steady_clock::now() - started, std::chrono::seconds(40));
  EXPECT_EQ(run.output.code, 1) << run.output.err;
  EXPECT_EQ(run.result("quiet.before"), "succeeded");
  EXPECT_EQ(run.result("quiet.after"), "succeeded");
  EXPECT_EQ(run.outputs("quiet.after"), Json({{"fine", true}}));
  return run;
}

TEST(Attack, AnEndlessLoopTimesOut) {
  const auto run = attack_beside_siblings("while true do end", "", "2s");
  EXPECT_EQ(run.result("attack.bad"), "timed_out");
  EXPECT_EQ(run.error_code("attack.bad"), "deadline.attempt");
}

TEST(Attack, AnEndlessLoopInsidePcallTimesOut) {
  const auto run =
      attack_beside_siblings("while true do pcall(function() while true do end end) end", "", "2s");
  EXPECT_EQ(run.result("attack.bad"), "timed_out");
}

TEST(Attack, AnEndlessLoopInsideACoroutineTimesOut) {
  const auto run = attack_beside_siblings(
      "while true do local c = coroutine.wrap(function() while true do end end); pcall(c) end", "", "2s");
  EXPECT_EQ(run.result("attack.bad"), "timed_out");
}

TEST(Attack, ABombInACFunctionIsKilledAtTheHardDeadline) {
  // Backtracking that takes ages inside one C call, where no hook ever fires.
  const auto run = attack_beside_siblings("string.find(('a'):rep(300000), ('.-'):rep(60) .. 'b')", "", "2s");
  EXPECT_EQ(run.result("attack.bad"), "timed_out");
  EXPECT_EQ(run.error_code("attack.bad"), "deadline.hard");
}

TEST(Attack, WithoutATimeoutItsCpuTimeBoundsAnEndlessLoop) {
  Project project;
  project.extension("attack", execute("while true do end"), "limits: {cpu: 300ms}\n");
  const auto run = run_pipeline(project, "p:\n  attack: [{name: bad}]\n");
  EXPECT_EQ(run.result("attack.bad"), "failed");
  EXPECT_EQ(run.error_code("attack.bad"), "limit.cpu");
}

TEST(Attack, WithoutATimeoutItsCpuTimeBoundsABombInACFunction) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "TSan delivers no signal to code that it did not build";
#endif
  Project project;
  project.extension("attack", execute("string.find(('a'):rep(300000), ('.-'):rep(60) .. 'b')"),
                    "limits: {cpu: 300ms}\n");
  project.extension("quiet", execute("outputs.fine = true"));
  const auto run = run_pipeline(project, "p:\n  attack: [{name: bad}]\n  quiet: [{name: a}]\n");
  EXPECT_EQ(run.result("attack.bad"), "failed");
  EXPECT_EQ(run.error_code("attack.bad"), "limit.cpu");
  EXPECT_EQ(run.result("quiet.a"), "succeeded");
}

TEST(Attack, AMemoryBombOfTextsFails) {
  const auto run = attack_beside_siblings("local t = 'x'; while true do t = t .. t end");
  EXPECT_EQ(run.result("attack.bad"), "failed");
  EXPECT_EQ(run.error_code("attack.bad"), "limit.memory");
}

TEST(Attack, AMemoryBombOfTablesFails) {
  const auto run =
      attack_beside_siblings("local t = {}; while true do t[#t + 1] = {t} end", "limits: {memory: 32MiB}\n");
  EXPECT_EQ(run.result("attack.bad"), "failed");
  EXPECT_EQ(run.error_code("attack.bad"), "limit.memory");
}

TEST(Attack, EndlessRecursionFails) {
  const auto run = attack_beside_siblings("local function f() return 1 + f() end f()");
  EXPECT_EQ(run.result("attack.bad"), "failed");
}

TEST(Attack, DeepRecursionThroughCFunctionsFails) {
  const auto run = attack_beside_siblings("local function f(s) return (s:gsub('.', f)) end f('x')");
  EXPECT_EQ(run.result("attack.bad"), "failed");
}

TEST(Attack, ASystemFileIsRefusedWithTheLineToAdd) {
  const auto run = attack_beside_siblings("forge.fs.read('/etc/hostname')");
  EXPECT_EQ(run.result("attack.bad"), "failed");
  EXPECT_EQ(run.error_code("attack.bad"), "permission.read");
  const Json refused = last(run.all, "refused");
  ASSERT_TRUE(refused.is_object());
  EXPECT_EQ(refused["instance"], "attack.bad");
  EXPECT_EQ(refused["call"], "fs.read");
  EXPECT_EQ(refused["code"], "permission.read");
  EXPECT_NE(run.finished.dump().find("read: [/etc/hostname]"), std::string::npos) << run.finished.dump(2);
}

TEST(Attack, WritingOutsideOfTheWorkFolderIsRefused) {
  const auto run = attack_beside_siblings("forge.fs.write('../../../../escaped', 'x')");
  EXPECT_EQ(run.result("attack.bad"), "failed");
  EXPECT_EQ(run.error_code("attack.bad").rfind("permission.", 0), 0U) << run.error_code("attack.bad");
}

TEST(Attack, AnUndeclaredHostIsRefusedBeforeAnyRequest) {
  const auto run = attack_beside_siblings("forge.http.get('https://example.org/')");
  EXPECT_EQ(run.error_code("attack.bad"), "permission.http");
  EXPECT_NE(run.finished.dump().find("http: [example.org]"), std::string::npos);
}

TEST(Attack, NamesThatOpenTheSystemAreNotThereAndSayWhatToUse) {
  struct Case {
    const char* lua;
    const char* says;
  };
  for (const Case& c :
       {Case{"io.open('/etc/hostname')", "forge.fs.read"}, Case{"os.execute('id')", "forge"},
        Case{"load('return 1')", "load"}, Case{"loadstring('return 1')", "loadstring"},
        Case{"dofile('/etc/hostname')", "dofile"}, Case{"debug.getregistry()", "debug"},
        Case{"local f = ffi.C.open", "ffi"}, Case{"package.loadlib('libc.so.6', 'system')", "package"}}) {
    Project project;
    project.extension("attack", execute(c.lua));
    const auto run = run_pipeline(project, "p:\n  attack: [{name: bad}]\n");
    EXPECT_EQ(run.result("attack.bad"), "failed") << c.lua;
    EXPECT_NE(run.error_message("attack.bad").find("not available"), std::string::npos)
        << c.lua << ": " << run.error_message("attack.bad");
    EXPECT_NE(run.finished.dump().find(c.says), std::string::npos) << c.lua << ": " << run.finished.dump();
  }
}

TEST(Attack, ModulesOfTheSystemCannotBeRequired) {
  for (const char* name : {"ffi", "jit", "socket", "../secret", "/etc/hostname", "os"}) {
    Project project;
    project.extension("attack", execute(std::string("require('") + name + "')"));
    const auto run = run_pipeline(project, "p:\n  attack: [{name: bad}]\n");
    EXPECT_EQ(run.result("attack.bad"), "failed") << name;
  }
}

TEST(Attack, BytecodeIsNotLoaded) {
  Project project;
  project.extension("attack", "\x1bLJ\x02 garbage");
  const auto run = run_pipeline(project, "p:\n  attack: [{name: bad}]\n");
  EXPECT_NE(run.output.code, 0);
}

TEST(Attack, OutputsThatAreNoDataFail) {
  for (const char* lua :
       {"outputs.f = function() end", "outputs.t = outputs", "outputs.n = 0/0",
        "outputs.c = coroutine.create(function() end)",
        "setmetatable(outputs, {__pairs = error, __index = error})\nrawset(outputs, 'x', print)"}) {
    const auto run = attack_beside_siblings(lua);
    EXPECT_EQ(run.result("attack.bad"), "failed") << lua;
    EXPECT_EQ(run.error_code("attack.bad"), "extension.outputs") << lua;
  }
}

TEST(Attack, OutputsOverTheLimitFail) {
  const auto run = attack_beside_siblings("outputs.big = ('x'):rep(3 * 1024 * 1024)");
  EXPECT_EQ(run.error_code("attack.bad"), "limit.output");
}

TEST(Attack, StrangeErrorsFailPlainly) {
  for (const char* lua :
       {"error()", "error(nil)", "error(setmetatable({}, {__tostring = function() error('again') end}))",
        "error({})", "error(42)"}) {
    const auto run = attack_beside_siblings(lua);
    EXPECT_EQ(run.result("attack.bad"), "failed") << lua;
    EXPECT_FALSE(run.error_message("attack.bad").empty()) << lua;
  }
}

TEST(Attack, AnErrorKeepsItsText) {
  const auto run = attack_beside_siblings("error('the chart 7 is gone')");
  EXPECT_NE(run.error_message("attack.bad").find("the chart 7 is gone"), std::string::npos);
}

TEST(Attack, EscapeSequencesDoNotReachTheTerminal) {
  Project project;
  project.extension("attack", execute("forge.log.warn('\\27[2Jgone\\7') error('\\27]0;title\\7')"));
  project.write("p.yaml", "p:\n  attack: [{name: bad}]\n");
  const auto output = project.forge({"run", "p.yaml"});
  EXPECT_EQ(output.out.find('\x1b'), std::string::npos);
  EXPECT_EQ(output.err.find('\x1b'), std::string::npos);
  EXPECT_EQ(output.out.find('\x07'), std::string::npos);
}

}  // namespace
}  // namespace pf::test
