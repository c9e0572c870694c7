// Plays a Plan: a fake clock with its queue of events, fake workers and a fake store around the real
// scheduler. Everything that the scheduler does is checked while it happens, and its results against the
// model at the end.
#pragma once

#include <string>
#include <vector>

#include "orchestrator/simulation_model.h"
#include "orchestrator/simulation_plan.h"

namespace pf::orchestrator::simulation {

/// One durable write. A crash leaves a prefix of them, and nothing else.
struct Record {
  enum class Kind : uint8_t { began, failed, concluded, expanded };
  Kind kind = Kind::began;
  Key key = 0;
  uint32_t attempt = 0;
  bool again = false;     // failed: a hook asked for the next attempt
  R result = R::none;     // concluded
  bool for_good = false;  // concluded: not only because the run was ended from outside
};
using Journal = std::vector<Record>;

/// What came of one part of a run.
struct Played {
  Journal journal;  // that of earlier parts, then its own
  Results results;
  std::vector<std::string> problems;  // empty: all is well
};

/// Goes on from `before` to the end. `interrupts`: the plan's signals and deadline come.
Played play(const Plan& plan, const Journal& before, bool interrupts);

/// All of a seed: an undisturbed or interrupted run, then one that resumes after a crash at each durable
/// write, and some that crash twice. Returns what is wrong, or an empty text.
std::string check(uint64_t seed);

}  // namespace pf::orchestrator::simulation
