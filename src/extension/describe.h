// Evaluates the models.lua of packages in sandboxed workers, before anything else of them runs.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/json_fwd.h"
#include "extension/package.h"

namespace pf::extension {

/// The descriptions ({model name: description}) of packages, in their order, or the errors of those that
/// failed. Blocks; starts a guardian and one worker for each package. Errors: what models.lua raised
/// (`lua.*`, `extension.error`), `worker.*`, `sandbox.unavailable`; where.file is the package's models.lua.
tl::expected<std::vector<Json>, Errors> describe(const std::vector<const Package*>& packages);

}  // namespace pf::extension
