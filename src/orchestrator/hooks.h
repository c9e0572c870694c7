// Hooks: operators' Lua scripts that run at named stages of a pipeline, in sandboxed workers of their own and
// with no permission but what the pipeline file grants each of them. A HookSet is read once and immutable;
// Hooks is owned by the runner and belongs to the loop's thread.
#pragma once

#include <asio/io_context.hpp>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/door.h"
#include "api/secrets.h"
#include "base/error.h"
#include "base/json_fwd.h"
#include "extension/hook_script.h"
#include "extension/manifest.h"
#include "orchestrator/events.h"
#include "orchestrator/hook_decision.h"
#include "pipeline/pipeline.h"
#include "worker/supervisor.h"

namespace pf::orchestrator {

/// Every hook of a pipeline with its script, read and compiled, and what it may ask for.
struct HookSet {
  struct Loaded {
    pipeline::Hook hook;
    uint32_t script = 0;  // index into `scripts`
    extension::Permissions permissions;
  };
  std::vector<std::unique_ptr<const extension::HookScript>> scripts;  // each file once
  std::vector<Loaded> core;                                           // as Pipeline::core_hooks
  std::vector<std::vector<Loaded>> instances;                         // as Pipeline::hooks
};

/// Reads the scripts, compiles each in a worker and runs it to the function that it returns, and reads the
/// permissions. Blocks; starts nothing where there are no hooks. Nothing is written and no host call is made.
/// All errors at once: `hook.file`, `hook.script`, `hook.timeout`, `hook.permission`, `lua.syntax`, what the
/// script raised, `manifest.*` of permissions, `worker.*`, `sandbox.unavailable`.
tl::expected<HookSet, Errors> load_hooks(const pipeline::Pipeline& pipeline);

/// Of the texts of all hooks that may patch the instance's configuration: part of what makes it unchanged.
/// Empty when there are none.
std::string patching_digest(const HookSet& set, const pipeline::Pipeline& pipeline, uint32_t instance);

/// What hooks work with; all of it outlives them.
struct HookParts {
  asio::io_context& loop;
  const pipeline::Pipeline& pipeline;
  const HookSet& set;
  std::filesystem::path state_folder;
  worker::Supervisor& supervisor;
  api::Door& door;  // its sink gets log lines and refusals, with Hooks::kPipeline as the index of the
                    // pipeline's hooks
  api::Sink& sink;  // gets a warning for each failure of a hook that may fail
  const api::Secrets& secrets;
  std::function<void(const HookRan&)> told;  // each hook that ran, once; the views last for the call
};

/// Runs the hooks of stages.
class Hooks {
 public:
  /// The index that a hook of the pipeline has in the sinks, in place of an instance's.
  static constexpr uint32_t kPipeline = UINT32_MAX;

  explicit Hooks(HookParts parts);
  /// Ends what runs; no callback comes any more. Before the supervisor, the door and the session's sink end.
  ~Hooks();
  Hooks(const Hooks&) = delete;
  Hooks& operator=(const Hooks&) = delete;

  /// Whether run() would run anything. Cheap.
  bool any(pipeline::HookStage stage) const { return has(core_stages_, stage); }
  bool any(pipeline::HookStage stage, uint32_t instance) const {
    return has(core_stages_ | stages_[parts_.pipeline.instances[instance].hooks], stage);
  }
  /// See patching_digest().
  std::string digest(uint32_t instance) const {
    return patching_digest(parts_.set, parts_.pipeline, instance);
  }

  /// Runs the stage's hooks one after the other, core's before the instance's, each in written order.
  /// `instance` is given for before_instance, on_retry, after_instance and on_error, and only there. `event`
  /// is what the scripts get, an object; here it is given `stage`, `pipeline`, `project` (the pipeline file's
  /// folder) and `instance`, and secrets in it are masked; null members are left out. In before_instance
  /// `event.config` is the configuration; a hook sees there what those before it have patched. `done` is
  /// called once, on the loop's thread, never from inside run(). It may call run() again.
  void run(pipeline::HookStage stage, std::optional<uint32_t> instance, const Json& event,
           std::function<void(Decision)> done);
  /// Ends every hook that runs or waits now: their `done` gets failed, job.cancelled. What is run later is
  /// not touched.
  void cancel();
  /// Sends SIGINT or SIGTERM to the programs of hooks that run now.
  void interrupt(int signal);
  /// Stages that are under way.
  size_t running() const;

 private:
  class Runs;
  static bool has(uint8_t stages, pipeline::HookStage stage) {
    return ((stages >> static_cast<unsigned>(stage)) & 1U) != 0;
  }

  HookParts parts_;
  uint8_t core_stages_ = 0;      // a bit for each stage
  std::vector<uint8_t> stages_;  // likewise, by Instance::hooks
  std::unique_ptr<Runs> runs_;
};

}  // namespace pf::orchestrator
