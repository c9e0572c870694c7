// What hooks are given, and what each stage may decide.
#include "hooks_fixture.h"

namespace pf::orchestrator {
namespace {

// ---- what a hook is given

TEST_F(HooksTest, GetsTheEventOfItsStage) {
  add(HookStage::after_instance, "hooks/show.lua",
      "local forge = require 'forge'\nreturn function(event) event.project = nil; "
      "forge.log.info(forge.json.encode(event)) "
      "end");
  EXPECT_EQ(decided(HookStage::after_instance, 1,
                    R"({"attempt": 2, "result": "failed", "duration_ms": 1500, "outputs": null,
                        "error": {"code": "a.b", "message": "no"}})"),
            "none");
  ASSERT_EQ(told_.logs.size(), 1U);
  EXPECT_EQ(told_.logs[0].substr(0, 4), "1 1 ");
  EXPECT_EQ(
      parse(told_.logs[0].substr(4)),
      parse(R"({"stage": "after_instance", "pipeline": "climate", "instance": "example.second", "attempt": 2,
                      "result": "failed", "duration_ms": 1500, "error": {"code": "a.b", "message": "no"}})"));
  EXPECT_THAT(ran_, ElementsAre("after_instance 1 hooks/show.lua none "));
}

TEST_F(HooksTest, ThePipelinesHooksHaveNoInstance) {
  add(HookStage::after_plan, "hooks/plan.lua",
      "local forge = require 'forge'\nreturn function(event) forge.log.warn(event.plan[1].decision .. ' ' .. "
      "tostring(event.instance) .. ' ' .. event.project) end");
  EXPECT_EQ(decided(HookStage::after_plan, {},
                    R"({"plan": [{"instance": "example.first", "decision": "run", "why": ""}]})"),
            "none");
  EXPECT_THAT(told_.logs, ElementsAre("pipeline 2 run nil " + pipeline_->folder.string()));
  EXPECT_THAT(ran_, ElementsAre("after_plan -1 hooks/plan.lua none "));
}

TEST_F(HooksTest, KnowsWhichStagesHaveHooks) {
  add(HookStage::before_pipeline, "hooks/a.lua", "return function() end");
  add(HookStage::on_error, "hooks/a.lua", "");
  add(HookStage::before_instance, "hooks/b.lua", "return function() return end", {.instance = 1});
  add(HookStage::after_pipeline, "hooks/b.lua", "", {.instance = 1});  // not an instance's to have: never run
  EXPECT_TRUE(hooks().any(HookStage::before_pipeline));
  EXPECT_FALSE(hooks().any(HookStage::after_pipeline));
  EXPECT_TRUE(hooks().any(HookStage::on_error, 0));
  EXPECT_TRUE(hooks().any(HookStage::on_error, 1));
  EXPECT_FALSE(hooks().any(HookStage::before_instance, 0));
  EXPECT_TRUE(hooks().any(HookStage::before_instance, 1));
  EXPECT_FALSE(hooks().any(HookStage::after_instance, 1));
  EXPECT_EQ(set_.scripts.size(), 2U);
}

TEST_F(HooksTest, TheDigestIsOfTheTextsThatMayPatch) {
  add(HookStage::before_instance, "hooks/a.lua", "return function() end");
  add(HookStage::on_error, "hooks/b.lua", "return function() return end");
  EXPECT_EQ(hooks().digest(0), hooks().digest(1));
  const std::string first = hooks().digest(0);
  EXPECT_EQ(first.size(), 64U);
  hooks_.reset();
  add(HookStage::before_instance, "hooks/b.lua", "", {.instance = 1});
  EXPECT_EQ(hooks().digest(0), first);
  EXPECT_NE(hooks().digest(1), first);
  hooks_.reset();
  folder_.write("hooks/a.lua", "return function() return nil end");
  EXPECT_NE(hooks().digest(0), first);
  hooks_.reset();
  pipeline_->core_hooks.clear();
  EXPECT_EQ(hooks().digest(0), "");
}

TEST_F(HooksTest, AStageWithoutHooksEndsAsNone) {
  EXPECT_EQ(decided(HookStage::before_instance, 0), "none");
  EXPECT_TRUE(ran_.empty());
}

// ---- decisions

TEST_F(HooksTest, ErrorVetoesWhatTheStageGuards) {
  const std::string lua = "return function()\n  error('no deployments on Fridays', 0)\nend";
  for (const auto stage : {HookStage::before_pipeline, HookStage::after_plan, HookStage::before_instance}) {
    EXPECT_EQ(said(lua, stage), "veto [hook.veto]: no deployments on Fridays");
  }
  EXPECT_THAT(ran_, ElementsAre("before_pipeline -1 hooks/one.lua veto no deployments on Fridays",
                                "after_plan -1 hooks/one.lua veto no deployments on Fridays",
                                "before_instance 0 hooks/one.lua veto no deployments on Fridays"));
}

TEST_F(HooksTest, AVetoKeepsTextHintAndPlace) {
  add(HookStage::before_instance, "hooks/a.lua",
      "local forge = require 'forge'\nlocal function stop()\n  forge.fail { code = 'my.code', message = "
      "'no', hint = "
      "'wait' }\nend\nreturn function()\n  stop()\nend");
  const Decision decision = run(HookStage::before_instance, 0);
  EXPECT_EQ(words(decision), "veto [hook.veto]: no");
  EXPECT_EQ(decision.error.hint, "wait");
  EXPECT_EQ(decision.error.where.line, 7U);
  EXPECT_EQ(decision.error.where.path, "hooks.before_instance");
  EXPECT_FALSE(decision.error.retryable);
  EXPECT_THAT(decision.error.traceback, HasSubstr("hooks/a.lua:3"));
  EXPECT_THAT(decision.error.traceback, HasSubstr("hooks/a.lua:6"));
}

TEST_F(HooksTest, LuasOwnErrorsVetoToo) {
  EXPECT_EQ(said("return function(event)\n  return event.none.such\nend"),
            "veto [hook.veto]: hooks/one.lua:2: attempt to index field 'none' (a nil value)");
  EXPECT_EQ(said("return function() error { message = 'a table' } end"), "veto [hook.veto]: a table");
  EXPECT_EQ(said("return function() error() end"), "veto [hook.veto]: nil was raised");
}

TEST_F(HooksTest, ElsewhereAnErrorIsAFailure) {
  const std::string lua = "return function() error('broken', 0) end";
  for (const auto stage :
       {HookStage::on_retry, HookStage::after_instance, HookStage::on_error, HookStage::after_pipeline}) {
    EXPECT_EQ(said(lua, stage), "failed [hook.failed]: broken");
  }
}

TEST_F(HooksTest, Skips) {
  EXPECT_EQ(said("return function() return { skip = 'not today' } end"), "skip: not today");
}

TEST_F(HooksTest, PatchesTheConfiguration) {
  add(HookStage::before_instance, "hooks/a.lua",
      "return function(e) return { config = { region = 'us', deep = { a = 5, list = { 1, 2 } } } } end");
  const Decision decision =
      run(HookStage::before_instance, 0,
          R"({"config": {"region": "eu", "file": "x", "deep": {"a": 1, "b": 2, "list": [9]}}})");
  EXPECT_EQ(words(decision), R"(config: deep.a: 1 -> 5, deep.list: [9] -> [1,2], region: "eu" -> "us")");
  Json config = parse(R"({"region": "eu", "file": "x", "deep": {"a": 1, "b": 2, "list": [9]}})");
  merge_patch(config, *decision.config);
  EXPECT_EQ(config, parse(R"({"region": "us", "file": "x", "deep": {"a": 5, "b": 2, "list": [1, 2]}})"));
}

TEST_F(HooksTest, SeveralPatchesSeeEachOther) {
  const std::string lua =
      "return function(e) return { config = { n = e.config.n + %d, m = { [e.instance] = e.config.n } } } end";
  const auto adds = [&](int n) { return std::string(lua).replace(lua.find("%d"), 2, std::to_string(n)); };
  add(HookStage::before_instance, "hooks/c.lua", adds(100), {.instance = 0});
  add(HookStage::before_instance, "hooks/a.lua", adds(1));
  add(HookStage::before_instance, "hooks/b.lua", adds(10));
  const Decision decision = run(HookStage::before_instance, 0, R"({"config": {"n": 0}})");
  ASSERT_EQ(decision.kind, Kind::config);
  EXPECT_EQ(*decision.config, parse(R"({"n": 111, "m": {"example.first": 11}})"));
  ASSERT_EQ(ran_.size(), 3U);
  EXPECT_THAT(ran_[0], HasSubstr("hooks/a.lua config m.example.first: (not set) -> 0, n: 0 -> 1"));
  EXPECT_THAT(ran_[1], HasSubstr("hooks/b.lua config"));
  EXPECT_THAT(ran_[2], HasSubstr("hooks/c.lua config"));
}

TEST_F(HooksTest, WhatRepeatsTheConfigurationChangesNothing) {
  EXPECT_EQ(said("return function(e) return { config = e.config } end", HookStage::before_instance,
                 R"({"config": {"a": {"b": [1]}, "empty": {}}})"),
            "none");
  EXPECT_EQ(said("return function(e) e.config.a.b = 2 return { config = e.config } end",
                 HookStage::before_instance, R"({"config": {"a": {"b": 1, "c": 3}}})"),
            "config: a.b: 1 -> 2");
}

TEST_F(HooksTest, AsksForOneMoreAttempt) {
  EXPECT_EQ(said("return function(e) return { retry = e.attempt < 2 } end", HookStage::on_error,
                 R"({"attempt": 1})"),
            "retry");
  EXPECT_EQ(said("return function(e) return { retry = e.attempt < 2 } end", HookStage::on_error,
                 R"({"attempt": 2})"),
            "none");
}

TEST_F(HooksTest, AVetoOrASkipEndsTheStage) {
  add(HookStage::before_instance, "hooks/a.lua", "return function() return { config = { a = 1 } } end");
  add(HookStage::before_instance, "hooks/b.lua", "return function() return { skip = 'why' } end");
  add(HookStage::before_instance, "hooks/c.lua", "return function() error('never reached') end");
  const Decision decision = run(HookStage::before_instance, 0);
  EXPECT_EQ(words(decision), "skip: why");
  EXPECT_FALSE(decision.config);
  EXPECT_EQ(ran_.size(), 2U);
}

TEST_F(HooksTest, AfterwardsAllHooksRunAndTheFirstErrorCounts) {
  add(HookStage::after_pipeline, "hooks/a.lua", "return function() error('first', 0) end");
  add(HookStage::after_pipeline, "hooks/b.lua", "return function() error('second', 0) end");
  add(HookStage::after_pipeline, "hooks/c.lua", "return function() end");
  EXPECT_EQ(decided(HookStage::after_pipeline), "failed [hook.failed]: first");
  EXPECT_EQ(ran_.size(), 3U);
}

TEST_F(HooksTest, StagesOfManyInstancesRunSideBySide) {
  add(HookStage::before_instance, "hooks/a.lua",
      "return function(e) return { config = { me = e.instance } } end");
  std::vector<std::string> got(40);
  size_t open = got.size();
  for (uint32_t i = 0; i < got.size(); ++i) {
    hooks().run(HookStage::before_instance, i % 2, Json::object(), [&, i](Decision decision) {
      got[i] = words(decision);
      --open;
    });
  }
  EXPECT_EQ(hooks().running(), got.size());
  run_until([&] { return open == 0; });
  for (uint32_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(got[i],
              std::string("config: me: (not set) -> \"example.") + (i % 2 == 0 ? "first" : "second") + "\"");
  }
  EXPECT_EQ(hooks().running(), 0U);
}

TEST_F(HooksTest, NothingIsLeftOfTheCallBefore) {
  add(HookStage::on_retry, "hooks/a.lua",
      "local forge = require 'forge'\nlocal n = 0\nreturn function() n = n + 1; seen = (seen or 0) + 1; "
      "forge.log.info(n .. ' ' .. seen) end");
  EXPECT_EQ(decided(HookStage::on_retry, 0), "none");
  EXPECT_EQ(decided(HookStage::on_retry, 0), "none");
  EXPECT_THAT(told_.logs, ElementsAre("0 1 1 1", "0 1 1 1"));
}

}  // namespace
}  // namespace pf::orchestrator
