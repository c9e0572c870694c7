// The file of one stack, in the format of Pulumi's DIY backend (version 3), as far as this engine writes it:
// the Stack resource with its outputs and, where there is state, a Stash with the default provider.
// Thread-safe: no state.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"
#include "iac/engine.h"

namespace pf::iac {

/// What the CLI keeps of a resource besides its content. The times may be empty: they were in the file that
/// we found.
struct Identity {
  std::string id;       // empty for the Stack, which has none
  std::string created;  // RFC 3339
  std::string modified;
};

/// A stack's content and all that has to be kept of its file. Texts are JSON as append_go_json writes it.
struct Checkpoint {
  bool has_stack = false;  // false: never updated, or destroyed
  bool has_stash = false;  // then the provider is there, too
  Identity stack, provider, stash;
  std::string state;              // the Stash's input; empty when there is none
  std::string outputs;            // the Stack's outputs; empty when there are none
  std::string secrets_providers;  // kept for the CLI; empty when there is none
};

/// Error `stack.damaged` for what no program would write, `stack.unsupported` for what this one does not
/// know; both name the file and the key.
Result<Checkpoint> parse_checkpoint(std::string_view text, const StackId& id,
                                    const std::filesystem::path& file);

std::string print_checkpoint(const Checkpoint& checkpoint, const StackId& id, WallTime now);

}  // namespace pf::iac
