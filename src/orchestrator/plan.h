// What a run would do, and why, before anything runs: for `preview` and `why`. Writes no file. Blocks; any
// one thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "orchestrator/history.h"
#include "orchestrator/project.h"
#include "orchestrator/scheduler.h"
#include "orchestrator/selection.h"

namespace pf::orchestrator {

struct PlanOptions {
  ProjectOptions project;
  Selection selection;
  bool force = false;  // as of run
  bool keys = false;   // fills Planned::key; the key of secrets' digests is made where there is none
};

/// What will become of one instance, as far as it can be told.
struct Planned {
  enum class Action : uint8_t { run, cached, skipped, blocked, excluded } action = Action::run;
  std::string reason;           // in words, where `changes` does not say it all
  std::vector<Change> changes;  // of what runs
  bool depends = false;         // on what runs before it: it may turn out to be cached or skipped
  WallTime last{};              // when it last succeeded; epoch 0: never
  std::string last_run;         // its id
  std::string key;              // SHA-256 over all that was looked at, in hex; where PlanOptions::keys asks
};
std::string_view to_text(Planned::Action action);

/// An instance that earlier runs made and that the pipeline does not hold any more.
struct Orphan {
  std::string address;
  WallTime last{};
  std::string last_run;
};

struct Plan {
  std::unique_ptr<Project> project;  // with what for_each over known outputs was expanded to
  std::vector<Planned> instances;    // by index
  std::vector<bool> shown;           // false: a group that was expanded
  std::vector<Orphan> orphans;       // by address

  size_t count(Planned::Action action) const;
  /// Whether a run would change anything: something runs that does not merely clean up.
  bool pending() const;
};

tl::expected<Plan, Errors> make_plan(const PlanOptions& options);

/// The same for a run that is about to begin, by index; nothing is expanded. `hooks` gives the digest of the
/// hooks that may patch an instance.
std::vector<Planned> foresee(Project& project, const History& history, api::Secrets& secrets,
                             api::Versions& versions, const Scheduler::Options& scheduling, bool force,
                             std::function<std::string(uint32_t)> hooks);

}  // namespace pf::orchestrator
