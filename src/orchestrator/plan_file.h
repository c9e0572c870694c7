// A plan that was looked at, kept in a file, so that a later run carries out that and nothing else. The file
// is JSON: `{plan: 1, pipeline, profile, file, created, selection, force, instances: {"type.name": {action,
// key}}}`; `key` is the SHA-256 of what the plan rests on (the instance's configuration with its secrets as
// keyed digests, its package, permissions and hooks, its last success, and what has changed since). It holds
// no values. Thread-safe: no state.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "orchestrator/plan.h"

namespace pf::orchestrator {

struct PlanFile {
  struct Instance {
    std::string action;  // as to_text(Planned::Action) has it, or `orphaned`
    std::string key;     // empty for what will not run by itself: skipped, blocked, excluded, orphaned
    bool operator==(const Instance&) const = default;
  };
  std::filesystem::path path;
  std::string pipeline, profile;
  Selection selection;
  bool force = false;
  std::map<std::string, Instance> instances;  // by address
};

/// Keeps a plan that was made with PlanOptions::keys; replaces no file but a plan (`plan.file`). Errors
/// `os.*`.
Result<void> write_plan(const std::filesystem::path& path, const Plan& plan, const PlanOptions& options);
/// Error `plan.file`: it cannot be read, is no plan, or one of a newer version.
Result<PlanFile> read_plan(const std::filesystem::path& path);
/// Whether a run would do now what the plan says; to be asked while the state folder is locked. Errors
/// `plan.other` (it is of another pipeline or profile), `plan.stale`, with the instances that differ; and
/// those of make_plan().
tl::expected<void, Errors> check_plan(const PlanFile& kept, const ProjectOptions& project);

}  // namespace pf::orchestrator
