// From arguments to the pipeline and the state that they mean. Main thread.
#pragma once

#include <filesystem>
#include <string>

#include "base/error.h"
#include "cli/command_line.h"
#include "orchestrator/project.h"
#include "orchestrator/selection.h"

namespace pf::cli {

orchestrator::ProjectOptions project_options(const Arguments& arguments);
orchestrator::Selection selection(const Arguments& arguments);

/// A pipeline's name and state folder, for commands that look at what earlier runs left.
struct Located {
  std::string pipeline;
  std::filesystem::path state_folder;
};
/// Reads FILE, and what it includes, only as far as the top level, so that what was run can be looked at
/// while the file is being changed. Errors as of pipeline::load: yaml.*, `pipeline.empty`, `pipeline.choose`,
/// `pipeline.unknown`.
Result<Located> locate(const Arguments& arguments);

}  // namespace pf::cli
