// The reference that the scheduler is held against: what becomes of each instance, as set logic over the
// graph. There is no order of events in it. What time decides (how far something had come when a signal came)
// it is told as facts.
#pragma once

#include <map>
#include <set>

#include "orchestrator/simulation_plan.h"

namespace pf::orchestrator::simulation {

struct Result {
  R result = R::none;
  uint32_t attempts = 0;
  bool operator==(const Result& other) const { return result == other.result && attempts == other.attempts; }
};
using Results = std::map<Key, Result>;

/// What was seen of one instance in one part of a run.
struct Fact {
  // From the journal of earlier parts.
  uint32_t failed = 0;
  bool again = false;
  std::optional<Result> done;
  // Of this part.
  bool answered = false;    // an offer ended it, or a group was expanded
  uint32_t begun = 0;       // number of the last attempt that was taken; 0: none
  bool late = false;        // that attempt ended when nothing more was to start
  std::optional<R> killed;  // that attempt was ended from outside, as this
  std::set<uint32_t> cut;   // attempts that the instance's deadline ended
  bool expired = false;     // the deadline had passed before the next attempt
};
struct Facts {
  bool stopped = false;
  bool abandoned = false;
  std::map<Key, Fact> of;
};

bool broke(R result);
/// Whether those that wait for it go on: it succeeded, or need not have.
bool good(R result, bool allow_failure);
/// What the edges say: none (it may run), blocked or skipped.
R verdict(const Plan& plan, uint32_t item, const std::map<Key, R>& results);
/// What a group is when its instances ended so.
R group_result(const std::vector<R>& children, bool allow_failure);
/// Whether attempt `n`, which ended so, is followed by another without anybody asking for it.
bool retried(const pipeline::Settings& settings, const Outcome& end, uint32_t n, bool extra);

/// How everything ends. An expanded group has its result and no attempts.
Results expected(const Plan& plan, const Facts& facts);

}  // namespace pf::orchestrator::simulation
