// Which instances of a pipeline are meant: --only, --skip, --from, --until. Pure; thread-safe.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "base/json_fwd.h"
#include "pipeline/pipeline.h"

namespace pf::orchestrator {

/// What the flags say. Each is a list of globs over addresses (`*` any run, `?` one character; brackets mean
/// themselves).
struct Selection {
  std::vector<std::string> only;   // keeps these
  std::vector<std::string> skip;   // leaves these out
  std::vector<std::string> from;   // keeps these and what needs them
  std::vector<std::string> until;  // keeps these and what they need
  std::string affected;      // a commit: keeps what differs from it, see affected.h; empty: not asked for
  std::vector<bool> marked;  // by instance: what `affected` came to, filled by find_affected()

  bool all() const { return only.empty() && skip.empty() && from.empty() && until.empty() && marked.empty(); }
};

/// As runs and plans keep it: an object of what was given, without `marked`; null where nothing was.
Json selection_to_json(const Selection& selection);
/// Of what is no such object: the selection of everything.
Selection selection_from_json(const Json& kept);

/// By instance: true where it is selected. `marked` has to be filled. Errors: `selection.unknown` (a pattern
/// that matches nothing, with "did you mean"), `selection.empty`.
tl::expected<std::vector<bool>, Errors> select(const pipeline::Pipeline& pipeline,
                                               const Selection& selection);

/// Adds all that the marked ones need, or with `down` all that need them.
void close_over(const pipeline::Pipeline& pipeline, bool down, std::vector<bool>& marked);

}  // namespace pf::orchestrator
