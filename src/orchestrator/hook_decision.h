// What a hook's script said, read and checked against its stage; and how patches of a configuration add up.
// Pure functions; thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/json_fwd.h"
#include "pipeline/pipeline.h"

namespace pf::orchestrator {

/// What the hooks of a stage came to.
struct Decision {
  enum class Kind : uint8_t {
    none,    // go on
    skip,    // before_instance: the instance is skipped; `text` says why
    config,  // before_instance: `config` is to be merged over the configuration
    retry,   // on_error: one more attempt
    veto,    // before_pipeline, after_plan, before_instance: what it guards must not run; `error` has the
             // reason
    failed,  // a hook that may not fail did, or was cancelled (code job.cancelled); `error` says how
  } kind = Kind::none;
  std::string text;                    // skip: why; config: what changed; veto, failed: the error's message
  std::shared_ptr<const Json> config;  // config: the patches of all hooks, merged; see merge_patch()
  Error error;                         // veto, failed
};
std::string_view to_text(Decision::Kind kind);

/// Whether the stage guards something: then error(…) in its hooks vetoes, and the first hook that does not
/// let go on is the last that runs. Elsewhere every hook of the stage runs.
bool guards(pipeline::HookStage stage);

/// What a script returned, as the decision of one hook. `seen` is the configuration that the hook was shown,
/// secrets masked: what it repeats from there is no change, so that a hook may return all of it. Errors
/// `hook.result`.
Result<Decision> read_decision(pipeline::HookStage stage, const Json& returned, const Json& seen);

/// Merges `patch` (an object) over `config`: maps key by key, at every level; anything else takes the place
/// of what was there.
void merge_patch(Json& config, const Json& patch);

}  // namespace pf::orchestrator
