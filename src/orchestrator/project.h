// A pipeline file together with the extensions that it uses, loaded and checked: everything that must hold
// before anything runs. Used by run, validate, graph and whatever else looks at a pipeline.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/json_fwd.h"
#include "extension/package.h"
#include "orchestrator/hooks.h"
#include "pipeline/pipeline.h"
#include "pipeline/schema.h"

namespace pf::orchestrator {

/// What the flags of every command that takes FILE say.
struct ProjectOptions {
  std::filesystem::path file;
  std::string pipeline;                                        // --pipeline
  std::string profile;                                         // --profile
  std::vector<std::pair<std::string, std::string>> variables;  // --var
  std::vector<std::filesystem::path> extensions;               // --extensions
  std::filesystem::path state_folder;  // --state-dir; empty: `.pangeo-forge` beside FILE
};

/// One section's extension.
struct Loaded {
  extension::Package package;
  std::unique_ptr<pipeline::Schema>
      schema;  // of models.lua's Config; null when the package has no models.lua
  bool has_bootstrap = false;
};

/// Everything that a run needs to know, and nothing that was executed.
struct Project {
  std::filesystem::path state_folder;  // absolute; need not exist
  std::unique_ptr<pipeline::Pipeline> pipeline;
  std::map<std::string, Loaded> extensions;                // by section type
  std::map<uint32_t, extension::Permissions> permissions;  // of instances that have some of their own
  std::map<uint32_t, extension::Limits> limits;            // likewise
  HookSet hooks;
  std::vector<std::pair<std::string, Json>>
      fresh;  // package digest and description: evaluated now, not cached yet
  /// What the operator and the manifest let an instance ask for.
  const extension::Permissions& permissions_of(uint32_t instance) const;
  const extension::Limits& limits_of(uint32_t instance) const;
  /// What bootstrap.lua may ask for, which works for all instances of a section: what all of them may.
  extension::Permissions bootstrap_permissions(uint32_t section) const;
  Project();
  ~Project();
};

/// Loads and checks; writes no file. models.lua is evaluated in sandboxed workers, unless
/// `<state>/cache/models` has its description. Prints nothing; errors are sorted by position.
tl::expected<std::unique_ptr<Project>, Errors> open_project(const ProjectOptions& options);
/// Reads what the operator wrote for single instances (permissions, limits), from `first` on: a for_each over
/// outputs adds some.
Errors read_operators_keys(Project& project, uint32_t first);
/// Finds and reads one more extension, which the pipeline file does not use; nothing where it is there
/// already.
tl::expected<void, Errors> load_extension(Project& project, const ProjectOptions& options,
                                          const std::string& type);
/// Caches the descriptions that open_project evaluated, and the files that it parsed. Needs the state
/// folder's lock.
void keep_descriptions(const Project& project);

}  // namespace pf::orchestrator
