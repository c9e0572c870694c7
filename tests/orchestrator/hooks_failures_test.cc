// Hooks that fail, never end, or return what makes no sense; and what is refused before anything runs.
#include "hooks_fixture.h"

namespace pf::orchestrator {
namespace {

// ---- failures

TEST_F(HooksTest, AHookThatMayFailIsToldAndIgnored) {
  add(HookStage::before_instance, "hooks/a.lua",
      "local forge = require 'forge'\nreturn function() forge.env.get('HOME') end", {.allow_failure = true});
  add(HookStage::before_instance, "hooks/b.lua", "return function() return { skip = 'second' } end");
  EXPECT_EQ(decided(HookStage::before_instance, 1), "skip: second");
  ASSERT_EQ(ran_.size(), 2U);
  EXPECT_THAT(ran_[0], HasSubstr("before_instance 1 hooks/a.lua failed hook:before_instance:example.second"));
  ASSERT_EQ(told_.logs.size(), 1U);
  EXPECT_THAT(told_.logs[0],
              HasSubstr("1 2 hook:before_instance:example.second (hooks/a.lua) tried forge.env.get"));
  EXPECT_THAT(told_.logs[0], HasSubstr("[permission.env] (a failure that is allowed)"));
}

TEST_F(HooksTest, AHookThatMayFailVetoesNoneTheLess) {
  add(HookStage::before_instance, "hooks/a.lua", "return function() error('meant', 0) end",
      {.allow_failure = true});
  EXPECT_EQ(decided(HookStage::before_instance, 0), "veto [hook.veto]: meant");
}

TEST_F(HooksTest, EndlessLoopsEnd) {
  for (const char* loop : {"while true do end", "while true do pcall(function() while true do end end) end",
                           "local forge = require 'forge' forge.time.sleep(600)"}) {
    hooks_.reset();
    pipeline_->core_hooks.clear();
    add(HookStage::before_instance, "hooks/a.lua", std::string("return function() ") + loop + " end",
        {.timeout = Milliseconds(300)});
    const Decision decision = run(HookStage::before_instance, 0);
    EXPECT_EQ(words(decision),
              "failed [hook.timeout]: the hook hooks/a.lua of before_instance took longer than its timeout "
              "of 300ms")
        << loop;
  }
}

TEST_F(HooksTest, ALoopInALibraryFunctionIsKilled) {
  add(HookStage::after_pipeline, "hooks/a.lua",
      "return function() local s = ('a'):rep(200000) s:find(('a*'):rep(40) .. 'b') end",
      {.timeout = Milliseconds(200)});
  EXPECT_THAT(decided(HookStage::after_pipeline), HasSubstr("failed [hook.timeout]"));
}

TEST_F(HooksTest, ACrashIsAFailure) {
  add(HookStage::on_error, "hooks/a.lua",
      "local forge = require 'forge'\nreturn function() forge.log.info('here') while true do end end");
  told_.on_log = [] {
    // Whatever descends from us and has a parent that does: the workers of our guardian.
    std::map<pid_t, pid_t> parents;
    for (const auto& entry : fs::directory_iterator("/proc")) {
      std::ifstream in(entry.path() / "stat");
      std::string line;
      if (!std::getline(in, line) || line.rfind(')') == std::string::npos) continue;
      std::istringstream rest(line.substr(line.rfind(')') + 1));
      char state = 0;
      pid_t parent = 0;
      rest >> state >> parent;
      parents[static_cast<pid_t>(std::atoi(line.c_str()))] = parent;
    }
    for (const auto& [pid, parent] : parents) {
      if (parent > 1 && parents.contains(parent) && parents[parent] == getpid()) kill(pid, SIGKILL);
    }
  };
  EXPECT_EQ(decided(HookStage::on_error, 0),
            "failed [worker.crashed]: the hook hooks/a.lua of on_error failed: the worker was killed by "
            "SIGKILL from "
            "outside of pangeo-forge, as the kernel does when memory runs out");
  told_.on_log = nullptr;
}

TEST_F(HooksTest, MemoryIsBounded) {
  EXPECT_THAT(
      said("return function() local t = {} while true do t[#t + 1] = ('x'):rep(1000000) .. #t end end"),
      HasSubstr("failed [limit.memory]: the hook hooks/one.lua of before_instance failed: "));
}

TEST_F(HooksTest, CancelEndsWhatRunsAndWaits) {
  add(HookStage::on_retry, "hooks/a.lua",
      "local forge = require 'forge'\nreturn function() forge.log.info('running') while true do end end");
  add(HookStage::on_error, "hooks/b.lua", "return function() return { retry = true } end");
  std::vector<std::string> got;
  for (int i = 0; i < 40; ++i) {  // more than there are workers
    hooks().run(HookStage::on_retry, 0, Json::object(), [&](Decision decision) {
      got.push_back(words(decision));
      if (got.size() == 1) {
        hooks().run(HookStage::on_error, 0, Json::object(),
                    [&](Decision after) { got.push_back(words(after)); });
      }
    });
  }
  run_until([&] { return !told_.logs.empty(); });
  hooks().cancel();
  run_until([&] { return got.size() == 41; });
  EXPECT_EQ(std::count(got.begin(), got.end(), "failed [job.cancelled]: the hook was cancelled"), 40);
  EXPECT_EQ(std::count(got.begin(), got.end(), "retry"), 1);
}

TEST_F(HooksTest, AnEndInTheMiddleTellsNobody) {
  add(HookStage::on_retry, "hooks/a.lua",
      "local forge = require 'forge'\nreturn function() forge.log.info('running') forge.time.sleep(600) end");
  hooks().run(HookStage::on_retry, 0, Json::object(), [&](const Decision&) { ADD_FAILURE() << "told"; });
  run_until([&] { return !told_.logs.empty(); });
  hooks().run(HookStage::on_retry, 0, Json::object(), [&](const Decision&) { ADD_FAILURE() << "told"; });
  hooks_.reset();
  loop_.restart();
  loop_.poll();
}

// ---- what it returns

TEST_F(HooksTest, WhatMeansNothingIsRefused) {
  const std::string start = "failed [hook.result]: the hook hooks/one.lua of before_instance: ";
  EXPECT_EQ(said("return function() return 5 end"),
            start + "expected the hook to return a table with names, found 5");
  EXPECT_EQ(said("return function() return { 'skip' } end"),
            start + "expected the hook to return a table with names, found [\"skip\"]");
  EXPECT_EQ(said("return function() return { skpi = 'x' } end"),
            start + "the hook returned 'skpi', which means nothing here");
  EXPECT_EQ(said("return function() return { retry = true } end"),
            start + "the hook returned 'retry', which means nothing here");
  EXPECT_EQ(said("return function() return { skip = true } end"),
            start + "skip: expected a text that says why, found true");
  EXPECT_EQ(said("return function() return { skip = '' } end"),
            start + "skip: expected a text that says why, found \"\"");
  EXPECT_EQ(said("return function() return { config = 'x' } end"),
            start + "config: expected a table with names, found \"x\"");
  EXPECT_EQ(said("return function() return { config = { a = '\\255' } } end"),
            start + "config.a: expected text in UTF-8");
  EXPECT_EQ(said("return function() return { skip = 'x', config = { a = 1 } } end"),
            start + "the hook returned both 'skip' and 'config': what is skipped has no use for a patch");
  EXPECT_EQ(
      said("return function() return { retry = 'x' } end", HookStage::on_error),
      "failed [hook.result]: the hook hooks/one.lua of on_error: retry: expected true or false, found \"x\"");
  EXPECT_EQ(said("return function() return { skip = 'x' } end", HookStage::before_pipeline),
            "failed [hook.result]: the hook hooks/one.lua of before_pipeline: the hook returned 'skip', "
            "which means "
            "nothing here");
  EXPECT_EQ(said("return function() return { config = {} } end"), "none");
  EXPECT_EQ(said("return function() return {} end", HookStage::after_pipeline), "none");
}

TEST_F(HooksTest, TheHintSaysWhatTheStageAllows) {
  add(HookStage::on_error, "hooks/a.lua", "return function() return { skip = 'x' } end");
  EXPECT_EQ(run(HookStage::on_error, 0).error.hint,
            "a hook of this stage may return {retry = true}, or nothing");
  hooks_.reset();
  add(HookStage::after_plan, "hooks/b.lua", "return function() return { skip = 'x' } end");
  EXPECT_EQ(run(HookStage::after_plan).error.hint,
            "a hook of this stage may return nothing; error(\"why\") keeps the pipeline from running");
}

TEST_F(HooksTest, HostileResultsAreRefused) {
  EXPECT_THAT(
      said("return function() local t = {} t.config = t return t end"),
      HasSubstr(
          "failed [hook.result]: the hook hooks/one.lua of before_instance: result.config: a table that "
          "contains itself"));
  EXPECT_THAT(said("return function() return { config = { f = print } } end"),
              HasSubstr("result.config.f: a function cannot be converted to JSON"));
  EXPECT_THAT(said("return function() return { config = { n = 0/0 } } end"),
              HasSubstr("result.config.n: NaN"));
  EXPECT_THAT(
      said("return function() return { skip = ('x'):rep(3000000) } end"),
      HasSubstr(
          "failed [hook.result]: the hook hooks/one.lua of before_instance: what the hook returns takes more "
          "than 1.0 MiB"));
  EXPECT_THAT(
      said(
          "return function() local t = {} for i = 1, 100 do t = { t } end return { config = { t = t } } end"),
      HasSubstr("failed [hook.result]"));
  EXPECT_THAT(said("return function() return setmetatable({}, { __index = function() error('x') end }) end"),
              "none");
}

// ---- before anything runs

TEST_F(HooksTest, BadScriptsAreRefusedBeforeAnythingRuns) {
  add(HookStage::before_instance, "hooks/syntax.lua", "return function(event)\n  if then\nend");
  add(HookStage::before_instance, "hooks/nothing.lua", "local x = 1");
  add(HookStage::before_instance, "hooks/table.lua", "return { run = function() end }");
  add(HookStage::before_instance, "hooks/raises.lua", "\nerror('at the top')");
  add(HookStage::before_instance, "hooks/loop.lua", "return function() end");
  add(HookStage::before_instance, "hooks/good.lua", "return function() end");
  EXPECT_THAT(refused(),
              ElementsAre("lua.syntax syntax.lua:2 unexpected symbol near 'then'",
                          "hook.script nothing.lua:0 the script must return a function, found nothing",
                          "hook.script table.lua:0 the script must return a function, found table",
                          "hook.failed raises.lua:2 at the top"));
}

TEST_F(HooksTest, AScriptThatNeverReturnsItsFunctionIsRefused) {
  folder_.write("loop.lua", "while true do end");
  const auto script = extension::read_hook_script(folder_.path() / "loop.lua", folder_.path());
  ASSERT_TRUE(script);
  const Errors errors = extension::check_hook_scripts({script->get()}, Milliseconds(300));
  ASSERT_EQ(errors.size(), 1U);
  EXPECT_EQ(errors[0].text(), (folder_.path() / "loop.lua").string() +
                                  ": the script takes longer than 300ms to return its function "
                                  "[hook.timeout]\n  hint: do the work in "
                                  "the function, and only define it at the top of the file");
}

TEST_F(HooksTest, CallsAtTheTopOfAScriptAreNotMadeBefore) {
  add(HookStage::on_retry, "hooks/a.lua",
      "local forge = require 'forge'\nforge.fs.write('made', 'x')\nreturn function() forge.log.info('ran') "
      "end");
  EXPECT_THAT(refused(), ElementsAre());
  EXPECT_FALSE(fs::exists(folder_.path() / "state"));
  EXPECT_EQ(decided(HookStage::on_retry, 0), "none");
  EXPECT_TRUE(fs::exists(folder_.path() / "state/hooks/hooks%2Fa.lua/example.first/made"));
}

TEST_F(HooksTest, BadPermissionsAreRefused) {
  add(HookStage::before_instance, "hooks/a.lua", "return function() end",
      {.permissions = R"({"htpp": ["x.org"]})"});
  add(HookStage::before_instance, "hooks/a.lua", "", {.permissions = R"({"http": ["x y"]})"});
  add(HookStage::before_instance, "hooks/a.lua", "", {.permissions = R"({"read": ["${config.file}"]})"});
  const auto found = refused();
  ASSERT_EQ(found.size(), 3U);
  EXPECT_THAT(found[0],
              HasSubstr("manifest.unknown_key p.yaml:7 hooks.before_instance.permissions.htpp: unknown key"));
  EXPECT_THAT(
      found[1],
      HasSubstr("manifest.permission p.yaml:7 hooks.before_instance.permissions.http[0]: expected host"));
  EXPECT_EQ(
      found[2],
      "hook.permission p.yaml:7 expected plain text, found '${config.file}': a hook has no configuration");
}

TEST_F(HooksTest, AFileThatCannotBeReadIsRefused) {
  add(HookStage::before_instance, "hooks/a.txt", "return function() end");
  add(HookStage::before_instance, "hooks/none.lua", "return function() end");
  fs::remove(folder_.path() / "hooks/none.lua");
  const auto found = refused();
  ASSERT_EQ(found.size(), 2U);
  EXPECT_THAT(found[0], HasSubstr("hook.file p.yaml:7 expected a file whose name ends in .lua, found '"));
  EXPECT_THAT(found[1], HasSubstr("hook.file p.yaml:7 the script cannot be read: "));
}

TEST_F(HooksTest, AnEventThatIsTooBigIsRefused) {
  add(HookStage::after_plan, "hooks/a.lua", "return function() end");
  EXPECT_THAT(
      decided(HookStage::after_plan, {}, "{\"plan\": \"" + std::string(17 << 20, 'x') + "\"}"),
      HasSubstr("failed [limit.frame]: the hook hooks/a.lua of after_plan failed: the event has 17.0 MiB"));
}

}  // namespace
}  // namespace pf::orchestrator
