// Which instances are concerned by what git says has changed: `--affected`. Asks the git program of this
// machine. Blocks; any one thread.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "orchestrator/project.h"
#include "orchestrator/selection.h"

namespace pf::orchestrator {

/// By instance: true where its lines in the pipeline's files, its extension, its hooks or a path that its
/// configuration names differ from `reference` (a commit; the working tree counts, untracked files too), and
/// for all that need such an instance. What changed in `core`, or anywhere else that is no instance's,
/// concerns all. Errors `affected.git` (no repository, no such commit, no git), `affected.nothing`.
Result<std::vector<bool>> affected(const Project& project, const std::string& reference);

/// Fills `selection.marked` where `selection.affected` asks for it.
Result<void> find_affected(const Project& project, Selection& selection);

}  // namespace pf::orchestrator
