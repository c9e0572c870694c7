// Hooks in real workers: what each stage may decide, what is refused, what a hook gets to see, and how it is
// bounded.
#include "orchestrator/hooks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <asio/steady_timer.hpp>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "base/json.h"
#include "base/places.h"
#include "support/http_peers.h"
#include "support/program.h"

namespace pf::orchestrator {
namespace {

namespace fs = std::filesystem;
using pipeline::HookStage;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using Kind = Decision::Kind;

Json parse(const std::string& text) { return parse_json(text).value(); }

/// Keeps what the door and the hooks tell.
class Told final : public api::Sink {
 public:
  void log(uint32_t index, int level, std::string_view text, const Json*) override {
    logs.push_back((index == Hooks::kPipeline ? "pipeline" : std::to_string(index)) + " " +
                   std::to_string(level) + " " + std::string(text));
    if (on_log) on_log();
  }
  void progress(uint32_t, double, double, std::string_view) override {}
  void refused(uint32_t index, std::string_view call, const Error& error) override {
    refusals.push_back(std::to_string(index) + " " + std::string(call) + " " + error.code);
  }
  std::vector<std::string> logs, refusals;
  std::function<void()> on_log;
};

/// A pipeline `climate` with the instances example.first (0) and example.second (1).
class HooksTest : public testing::Test {
 protected:
  HooksTest() {
    folder_.write("p.yaml",
                  "climate:\n  example:\n    - {name: first, file: x}\n    - {name: second, file: x}\n");
    pipeline::LoadOptions options;
    options.file = folder_.path() / "p.yaml";
    auto loaded = pipeline::load(options);
    pipeline_ = std::move(loaded.value());
    worker::Options workers;
    workers.program = places::worker_program();
    auto supervisor = worker::Supervisor::start(loop_, workers);
    EXPECT_TRUE(supervisor) << supervisor.error().text();
    supervisor_ = std::move(*supervisor);
    door_ = api::Door::make(loop_, told_, folder_.path() / "audit.jsonl", secrets_, &supervisor_->programs());
  }
  ~HooksTest() override {
    hooks_.reset();
    door_.reset();
  }

  struct More {
    std::string permissions = {};  // JSON
    Milliseconds timeout{20000};
    bool allow_failure = false;
    int instance = -1;  // -1: core's
  };

  /// A hook as the pipeline file would give it, at line 7, column 3.
  void add(HookStage stage, const std::string& file, const std::string& lua, const More& more) {
    if (!lua.empty()) folder_.write(file, lua);
    auto& document = *pipeline_->document;
    pipeline::Hook hook;
    hook.stage = stage;
    hook.script = fs::canonical(folder_.path()) / file;
    pipeline::Node at;
    at.line = 7;
    at.column = 3;
    hook.at = document.make_string(file, at);
    if (!more.permissions.empty()) hook.permissions = document.make_json(parse(more.permissions), at);
    hook.timeout = more.timeout;
    hook.allow_failure = more.allow_failure;
    if (more.instance < 0) {
      pipeline_->core_hooks.push_back(std::move(hook));
      return;
    }
    auto& instance = pipeline_->instances[static_cast<size_t>(more.instance)];
    if (instance.hooks == 0) {
      instance.hooks = static_cast<uint32_t>(pipeline_->hooks.size());
      pipeline_->hooks.emplace_back();
    }
    pipeline_->hooks[instance.hooks].push_back(std::move(hook));
  }
  void add(HookStage stage, const std::string& file, const std::string& lua) { add(stage, file, lua, {}); }

  /// The texts of what load_hooks() refuses, each as `CODE LINE MESSAGE`; empty when it is all good.
  std::vector<std::string> refused() {
    auto set = load_hooks(*pipeline_);
    std::vector<std::string> out;
    if (set) return out;
    for (const Error& error : set.error()) {
      out.push_back(error.code + " " + fs::path(error.where.file).filename().string() + ":" +
                    std::to_string(error.where.line) + " " + error.message);
    }
    return out;
  }

  Hooks& hooks() {
    if (hooks_) return *hooks_;
    auto set = load_hooks(*pipeline_);
    if (!set) throw std::runtime_error(set.error().front().text());
    set_ = std::move(*set);
    hooks_ = std::make_unique<Hooks>(
        HookParts{loop_, *pipeline_, set_, folder_.path() / "state", *supervisor_, *door_, told_, secrets_,
                  [this](const HookRan& ran) {
                    ran_.push_back(std::string(ran.stage) + " " + std::to_string(ran.index) + " " +
                                   std::string(ran.script) + " " + std::string(ran.decision) + " " +
                                   std::string(ran.text));
                  }});
    return *hooks_;
  }

  void run_until(const std::function<bool()>& condition) {
    bool late = false;
    asio::steady_timer limit(loop_, std::chrono::seconds(60));
    limit.async_wait([&](std::error_code code) { late = !code; });
    while (!condition() && !late) {
      loop_.restart();
      loop_.run_one();
    }
    EXPECT_FALSE(late) << "nothing came within 60 s";
    limit.cancel();
    loop_.restart();
    loop_.poll();
  }

  Decision run(HookStage stage, std::optional<uint32_t> instance = {}, const std::string& event = "{}") {
    std::optional<Decision> out;
    hooks().run(stage, instance, parse(event), [&](Decision decision) {
      EXPECT_FALSE(out) << "told twice";
      out = std::move(decision);
    });
    EXPECT_FALSE(out) << "told from inside run()";
    run_until([&] { return out.has_value(); });
    return out.value_or(Decision{});
  }
  /// `KIND: TEXT`, with the code where there is an error.
  static std::string words(const Decision& decision) {
    std::string out(to_text(decision.kind));
    if (!decision.error.code.empty()) out += " [" + decision.error.code + "]";
    if (!decision.text.empty()) out += ": " + decision.text;
    return out;
  }
  std::string decided(HookStage stage, std::optional<uint32_t> instance = {},
                      const std::string& event = "{}") {
    return words(run(stage, instance, event));
  }
  std::string said(const std::string& lua, HookStage stage = HookStage::before_instance,
                   const std::string& event = "{}") {
    hooks_.reset();
    pipeline_->core_hooks.clear();
    add(stage, "hooks/one.lua", lua);
    const bool instance = stage != HookStage::before_pipeline && stage != HookStage::after_plan &&
                          stage != HookStage::after_pipeline;
    return decided(stage, instance ? std::optional<uint32_t>(0) : std::nullopt, event);
  }

  test::Folder folder_;
  asio::io_context loop_;
  Told told_;
  api::Secrets secrets_;
  std::unique_ptr<pipeline::Pipeline> pipeline_;
  std::unique_ptr<worker::Supervisor> supervisor_;
  std::unique_ptr<api::Door> door_;
  HookSet set_;
  std::unique_ptr<Hooks> hooks_;
  std::vector<std::string> ran_;
};

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

// ---- permissions, secrets, files

TEST_F(HooksTest, NothingIsGrantedUnlessThePipelineFileGrantsIt) {
  add(HookStage::on_error, "hooks/a.lua",
      "local forge = require 'forge'\nreturn function() forge.http.get('https://hooks.example.org/x') end");
  const Decision decision = run(HookStage::on_error, 1);
  EXPECT_EQ(words(decision),
            "failed [permission.http]: hook:on_error:example.second (hooks/a.lua) tried "
            "forge.http.get: "
            "https://hooks.example.org/x, which no entry of `http` covers");
  EXPECT_EQ(decision.error.hint,
            "write at " + pipeline_->file.string() +
                ":7:3, in `hooks:` under on_error:\n  script: hooks/a.lua\n  permissions:\n    http: "
                "[hooks.example.org]");
  EXPECT_FALSE(decision.error.retryable);
  EXPECT_THAT(told_.refusals, ElementsAre("1 http.get permission.http"));
  hooks_.reset();
  door_.reset();
  EXPECT_THAT(folder_.read("audit.jsonl"), HasSubstr("\"instance\":\"hook:on_error:example.second\""));
}

TEST_F(HooksTest, EachKindOfPermissionIsAsked) {
  const std::vector<std::pair<std::string, std::string>> calls = {
      {"forge.fs.read('/etc/hostname')", "permission.read"},
      {"forge.fs.write('/tmp/x', 'x')", "permission.write"},
      {"forge.env.get('HOME')", "permission.env"},
      {"forge.secret.get('TOKEN')", "permission.secrets"},
      {"forge.process.run({'true'})", "permission.programs"}};
  for (const auto& [call, code] : calls) {
    EXPECT_THAT(
        said("local forge = require 'forge'\nreturn function() " + call + " end", HookStage::after_pipeline),
        HasSubstr("failed [" + code + "]"))
        << call;
  }
}

TEST_F(HooksTest, GrantsStartAtTheProject) {
  folder_.write("notes/a.txt", "from the project");
  add(HookStage::before_pipeline, "hooks/a.lua",
      "local forge = require 'forge'\nreturn function(e) error(forge.fs.read(e.project .. '/notes/a.txt'), "
      "0) end",
      {.permissions = R"({"read": ["notes"]})"});
  EXPECT_EQ(decided(HookStage::before_pipeline), "veto [hook.veto]: from the project");
}

TEST_F(HooksTest, TwoHooksOfOneScriptHaveTheirOwnGrants) {
  ::setenv("PF_HOOKS_TEST", "seen", 1);
  const std::string lua =
      "local forge = require 'forge'\nreturn function() forge.log.info(forge.env.get('PF_HOOKS_TEST')) end";
  add(HookStage::on_retry, "hooks/a.lua", lua, {.permissions = R"({"env": ["PF_HOOKS_TEST"]})"});
  add(HookStage::on_error, "hooks/a.lua", "");
  EXPECT_EQ(decided(HookStage::on_retry, 0), "none");
  EXPECT_THAT(decided(HookStage::on_error, 0), HasSubstr("failed [permission.env]"));
  EXPECT_THAT(told_.logs, ElementsAre("0 1 seen"));
  ::unsetenv("PF_HOOKS_TEST");
}

TEST_F(HooksTest, AWorkFolderLastsFromCallToCall) {
  const std::string lua =
      "local forge = require 'forge'\nreturn function() local n = forge.fs.exists('n') and "
      "forge.fs.read('n') or '' "
      "forge.fs.write('n', n .. 'x') forge.log.info(n) end";
  add(HookStage::on_retry, "hooks/a.lua", lua);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(decided(HookStage::on_retry, 0), "none");
  EXPECT_EQ(decided(HookStage::on_retry, 1), "none");
  EXPECT_THAT(told_.logs, ElementsAre("0 1 ", "0 1 x", "1 1 "));
  EXPECT_EQ(folder_.read("state/hooks/hooks%2Fa.lua/example.first/n"), "xx");
}

TEST_F(HooksTest, RunsPrograms) {
  add(HookStage::after_pipeline, "hooks/a.lua",
      "local forge = require 'forge'\nreturn function() forge.log.info(forge.process.run({'echo', "
      "'told'}).stdout) end",
      {.permissions = R"({"programs": ["echo"]})"});
  EXPECT_EQ(decided(HookStage::after_pipeline), "none");
  EXPECT_THAT(told_.logs, ElementsAre("pipeline 1 told\n"));
}

TEST_F(HooksTest, SecretsInTheEventAreMasked) {
  ASSERT_TRUE(secrets_.mark("s3cr3t-value"));
  EXPECT_EQ(
      said("return function(e) return { skip = e.outputs.url .. ' ' .. e.error.message } end",
           HookStage::before_instance,
           R"({"outputs": {"url": "https://s3cr3t-value@host"}, "error": {"message": "s3cr3t-value?"}})"),
      "skip: https://[secret]@host [secret]?");
}

TEST_F(HooksTest, ASecretThatIsGrantedIsHadAndMasked) {
  ::setenv("PANGEO_FORGE_SECRET_HOOK_TOKEN", "t0ken-of-the-hook", 1);
  add(HookStage::before_instance, "hooks/a.lua",
      "local forge = require 'forge'\nreturn function() return { config = { token = "
      "forge.secret.get('HOOK_TOKEN') } } "
      "end",
      {.permissions = R"({"secrets": ["HOOK_TOKEN"]})"});
  add(HookStage::before_instance, "hooks/b.lua", "return function(e) error(e.config.token, 0) end",
      {.instance = 1});
  const Decision decision = run(HookStage::before_instance, 0);
  EXPECT_EQ(words(decision), "config: token: (not set) -> \"[secret]\"");
  EXPECT_EQ(*decision.config, parse(R"({"token": "t0ken-of-the-hook"})"));
  EXPECT_EQ(decided(HookStage::before_instance, 1), "veto [hook.veto]: [secret]");
  ::unsetenv("PANGEO_FORGE_SECRET_HOOK_TOKEN");
}

TEST_F(HooksTest, WhatIsMaskedIsNeverPatchedIn) {
  ASSERT_TRUE(secrets_.mark("s3cr3t-value"));
  const std::string event = R"({"config": {"password": "s3cr3t-value", "n": 1}})";
  EXPECT_EQ(said("return function(e) e.config.n = 2 return { config = e.config } end",
                 HookStage::before_instance, event),
            "config: n: 1 -> 2");
  EXPECT_EQ(said("return function(e) return { config = { other = e.config.password } } end",
                 HookStage::before_instance, event),
            "failed [hook.result]: the hook hooks/one.lua of before_instance: config.other holds [secret], "
            "which stands in "
            "an event for what the hook may not see");
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

// ---- the examples of docs/pipelines.md

TEST_F(HooksTest, ExamplesAreInTheDocumentation) {
  std::stringstream page;
  for (const char* name : {"pipelines.md"}) {
    std::ifstream in(fs::path(PF_SOURCE_DIR) / "docs" / name);
    if (in) page << in.rdbuf();
  }
  int seen = 0;
  for (const auto& entry : fs::directory_iterator(fs::path(PF_SOURCE_DIR) / "examples/hooks/hooks")) {
    std::stringstream text;
    text << std::ifstream(entry.path()).rdbuf();
    EXPECT_THAT(page.str(), HasSubstr("```lua\n" + text.str() + "```")) << entry.path();
    ++seen;
  }
  EXPECT_EQ(seen, 6);
}

class ExampleHooks : public HooksTest {
 protected:
  void example(HookStage stage, const std::string& name, const More& more = {}) {
    fs::create_directories(folder_.path() / "hooks");
    fs::copy_file(fs::path(PF_SOURCE_DIR) / "examples/hooks/hooks" / name, folder_.path() / "hooks" / name);
    add(stage, "hooks/" + name, "", more);
  }
};

TEST_F(ExampleHooks, Announce) {
  example(HookStage::after_instance, "announce.lua");
  EXPECT_EQ(decided(HookStage::after_instance, 0, R"({"result": "succeeded"})"), "none");
  EXPECT_THAT(told_.logs, ElementsAre("0 1 after_instance: example.first"));
}

TEST_F(ExampleHooks, Freeze) {
  example(HookStage::before_pipeline, "freeze.lua", {.permissions = R"({"read": ["FREEZE"]})"});
  EXPECT_EQ(decided(HookStage::before_pipeline), "none");
  folder_.write("FREEZE", "the auditors are here");
  EXPECT_EQ(decided(HookStage::before_pipeline), "veto [hook.veto]: frozen: the auditors are here");
}

TEST_F(ExampleHooks, Region) {
  example(HookStage::before_instance, "region.lua");
  EXPECT_EQ(decided(HookStage::before_instance, 0, R"({"config": {"tags": {"a": 1}}})"),
            "config: region: (not set) -> \"eu-west-1\", tags.owner: (not set) -> \"platform\"");
  EXPECT_EQ(decided(HookStage::before_instance, 0,
                    R"({"config": {"region": "us", "tags": {"owner": "platform"}}})"),
            "none");
}

TEST_F(ExampleHooks, OnceMore) {
  example(HookStage::on_error, "once_more.lua");
  EXPECT_EQ(decided(HookStage::on_error, 0, R"({"attempt": 1, "error": {"message": "over quota"}})"),
            "retry");
  EXPECT_EQ(decided(HookStage::on_error, 0, R"({"attempt": 1, "error": {"message": "other"}})"), "none");
}

TEST_F(ExampleHooks, OfficeHours) {
  example(HookStage::before_instance, "office_hours.lua");
  const std::string said = decided(HookStage::before_instance, 0);
  EXPECT_TRUE(said == "none" || said.starts_with("skip: it is ")) << said;
}

TEST_F(ExampleHooks, NotifyPostsToTheSecretAddress) {
  test::RawServer server([](const std::string&) {
    return test::RawServer::Reply{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"};
  });
  ::setenv("PANGEO_FORGE_SECRET_SLACK_URL", server.url("/services/T0/B0/long-secret").c_str(), 1);
  example(HookStage::on_error, "notify.lua",
          {.permissions = "{\"http\": [\"127.0.0.1:" + std::to_string(server.port()) +
                          "\"], \"secrets\": [\"SLACK_URL\"]}"});
  EXPECT_EQ(decided(HookStage::on_error, 0, R"({"result": "failed"})"), "none");
  ASSERT_EQ(server.requests().size(), 1U);
  const std::string request = server.requests()[0];
  EXPECT_THAT(request, HasSubstr("POST /services/T0/B0/long-secret HTTP/1.1"));
  EXPECT_EQ(parse(request.substr(request.find("\r\n\r\n") + 4)),
            parse(R"({"text": ":construction: *climate* example.first failed"})"));
  hooks_.reset();
  door_.reset();
  EXPECT_THAT(folder_.read("audit.jsonl"), Not(HasSubstr("long-secret")));
  ::unsetenv("PANGEO_FORGE_SECRET_SLACK_URL");
}

TEST_F(ExampleHooks, NotifySaysNothingOfOtherStages) {
  example(HookStage::after_instance, "notify.lua");
  EXPECT_EQ(decided(HookStage::after_instance, 0), "none");
  EXPECT_TRUE(told_.refusals.empty());
}

}  // namespace
}  // namespace pf::orchestrator
