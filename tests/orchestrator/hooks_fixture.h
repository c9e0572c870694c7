// Hooks in real workers, for tests that call them without a run. One test's thread.
#pragma once

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
#include "orchestrator/hooks.h"
#include "support/program.h"

namespace pf::orchestrator {

namespace fs = std::filesystem;
using pipeline::HookStage;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using Kind = Decision::Kind;

inline Json parse(const std::string& text) { return parse_json(text).value(); }

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

}  // namespace pf::orchestrator
