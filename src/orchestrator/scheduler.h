// Decides what runs next: readiness over the pipeline's graph, priorities and limits, retries, groups,
// cleanup, and what an end means for those that wait. It knows neither clocks nor workers nor the store: they
// are behind Actions. Belongs to one thread; Actions may not call back into it, except where said.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "orchestrator/ready_queue.h"
#include "pipeline/pipeline.h"
#include "state/store.h"

namespace pf::orchestrator {

using state::InstanceResult;

/// How an attempt ended: succeeded, failed, timed_out, crashed or cancelled.
struct AttemptEnd {
  InstanceResult result = InstanceResult::succeeded;
  Error error = {};
  /// A hook asks for another attempt, although none may be left or the error is one that is never retried. An
  /// instance gets one such attempt at most, and none after a refused permission.
  bool again = false;
};

class Scheduler {
 public:
  /// What came of offering an instance.
  enum class Offer : uint8_t {
    taken,    // attempt_ended() will follow
    no_room,  // offer it again when pump() is called next
    wait,     // something has to be done before: ready_again() will follow, and it is offered again
    reuse,    // it need not run: Answer says how it ended earlier
    skip,     // its `when` is false, or a hook says so
    refused,  // it cannot run: error says why; never retried
    expired,  // its deadline has passed: error says so
  };
  struct Answer {
    Error error;                                     // refused, expired; and of a reused failure
    InstanceResult result = InstanceResult::cached;  // reuse
    uint32_t attempts = 0;                           // reuse: that it took
  };

  /// What is known of an instance before it runs.
  struct Known {
    uint32_t failed = 0;       // its attempts that failed in earlier parts of a resumed run
    bool again = false;        // a hook has asked for one attempt more than there are: see AttemptEnd
    bool excluded = false;     // not selected: it ends as `excluded`, which counts as succeeded
    Milliseconds expected{0};  // how long it took when it last succeeded; 0: not known
  };

  /// What came of asking for a group's instances.
  enum class Expansion : uint8_t {
    done,    // pipeline.instances has grown by [first, first + count)
    wait,    // as Offer::wait
    skip,    // its `when` is false: the group is skipped
    failed,  // error says why; never retried
  };
  struct Children {
    uint32_t first = 0;
    uint32_t count = 0;
    std::vector<Known> known;  // of each; may be shorter: the others are as Known{}
    Error error;
  };

  /// What the scheduler asks of the world.
  class Actions {
   public:
    virtual ~Actions() = default;
    /// Starts an attempt (1-based). With may_start false the attempt may only wait behind a running one.
    /// Where no attempt is left in a resumed run, it is asked with the number of the last one, so that it can
    /// answer `reuse` (or `refused`) with how that ended.
    virtual Offer offer(uint32_t instance, uint32_t attempt, bool may_start, Answer& answer) = 0;
    /// How many attempts run now, those offered but not begun included where they will run side by side.
    virtual uint32_t running() const = 0;
    /// The instance's final result; `cause` is the upstream that blocked or skipped it, or -1. Once for each
    /// instance, but not for groups that were expanded: see group_ended.
    virtual void conclude(uint32_t instance, InstanceResult result, uint32_t attempts, const Error* error,
                          int64_t cause) = 0;
    /// An attempt failed and another follows: call ready_again(instance) after the delay.
    virtual void retry(uint32_t instance, uint32_t failed_attempt, const Error& error,
                       Milliseconds delay) = 0;
    /// A number in [0, 1), for jitter.
    virtual double random() = 0;
    /// Appends a group's instances to the pipeline; they wait for nothing. A world without groups need not
    /// know it: they fail then, without an error.
    virtual Expansion expand(uint32_t /*group*/, Children& /*children*/) { return Expansion::failed; }
    /// All instances of an expanded group have ended. It is nothing of its own to report; `cause` is the
    /// instance that made it what it is, or -1.
    virtual void group_ended(uint32_t /*group*/, InstanceResult /*result*/, int64_t /*cause*/) {}
  };

  struct Options {
    uint32_t max_parallel = 16;
    bool fail_fast = false;
    std::vector<Known> known = {};  // by instance; may be shorter
  };

  /// The pipeline may grow by what Actions::expand appends; nothing else of it may change.
  Scheduler(const pipeline::Pipeline& pipeline, Options options, Actions& actions);

  /// Concludes what is excluded, makes ready what waits for nothing, then pumps.
  void start();
  /// Offers what is ready while there is room, the best first. Call it when room may have come.
  void pump();
  /// Of an instance that has no attempt under way: nothing.
  void attempt_ended(uint32_t instance, AttemptEnd end);
  /// A delay or what it waited for (Offer::wait, Expansion::wait) is over.
  void ready_again(uint32_t instance);

  /// Whether the instance will not be attempted again when its attempt ends like this.
  bool is_last(uint32_t instance, const AttemptEnd& end) const {
    return halted(items_[instance]) || end.result == InstanceResult::cancelled || !may_retry(instance, end);
  }

  /// Whether another attempt is worth its while after this error, as far as settings and code tell.
  static bool may_mend(const pipeline::Settings& settings, const Error& error);

  enum class Stop : uint8_t { cancelled, fail_fast, deadline };
  /// Nothing more starts but `finally` instances: what is ready or backs off is cancelled, what waits for it
  /// blocked. Running attempts end as they do and are not repeated. The first reason stays.
  void stop(Stop reason = Stop::cancelled);
  /// As stop(), and of `finally` instances, too, nothing more starts.
  void abandon();
  std::optional<Stop> stopped() const { return stopped_; }

  bool finished() const { return open_ == 0; }
  InstanceResult result(uint32_t instance) const { return items_[instance].result; }
  /// Whether something failed that was not allowed to.
  bool failed() const { return first_failed_ >= 0; }
  /// The first instance that failed and was not allowed to, whose error is the run's; -1: none.
  int64_t first_failed() const { return first_failed_; }

 private:
  enum class Phase : uint8_t { waiting, ready, preparing, attempting, backing_off, expanded, concluded };
  static constexpr uint32_t kNone = UINT32_MAX;
  struct Item {
    uint32_t missing = 0;    // upstream instances that are not concluded
    uint32_t failed = 0;     // attempts that have failed
    uint32_t attempt = 1;    // the one that runs or comes next
    uint32_t group = kNone;  // index into groups_: what it is an instance of; of a group: its own
    Phase phase = Phase::waiting;
    InstanceResult result = InstanceResult::none;
    bool finally : 1 = false;
    bool allowed : 1 = false;  // to fail
    bool again : 1 = false;    // its one attempt that a hook may ask for was asked for
  };
  struct Group {
    uint32_t instance = 0;
    uint32_t first = 0;
    uint32_t count = 0;
    uint32_t open = 0;
    uint32_t next = 0;  // of a sequential section: the first that was not let go yet
  };

  const pipeline::Settings& settings(uint32_t instance) const {
    return pipeline_.settings[pipeline_.instances[instance].settings];
  }
  void take_up(uint32_t instance, const Known& known);
  uint64_t most_attempts(uint32_t instance) const;
  bool good(uint32_t upstream) const;
  bool halted(const Item& item) const { return item.finally ? abandoned_ : stopped_.has_value(); }
  bool mends(uint32_t instance, const Error& error) const;
  bool may_retry(uint32_t instance, const AttemptEnd& end) const;
  Milliseconds backoff(uint32_t instance);
  void decide(uint32_t instance);
  void make_ready(uint32_t instance);
  void offer(uint32_t instance);
  void expand(uint32_t group);
  void conclude(uint32_t instance, InstanceResult result, uint32_t attempts, const Error* error,
                int64_t cause);
  void close(uint32_t instance, InstanceResult result);
  void end_group(uint32_t group);
  void release_child(Group& group);
  void released(uint32_t instance);
  bool is_child(uint32_t instance) const;
  void halt(Stop reason);
  void cancel_halted();
  void settle();

  const pipeline::Pipeline& pipeline_;
  const uint32_t max_parallel_;
  const bool fail_fast_;
  Actions& actions_;
  std::vector<Item> items_;
  std::vector<double> paths_;       // critical ones, with what is expected
  std::vector<Group> groups_;       // that were expanded
  std::vector<uint32_t> excluded_;  // until start()
  std::vector<uint32_t> last_;      // `finally` instances that wait for all others; from start() on
  ReadyQueue ready_;
  std::vector<uint32_t> concluded_;  // whose downstream is still to be told
  // What is excluded ends at once, but keeps its place in an order: those that follow it there wait until all
  // that it would have waited for is over. By what is excluded.
  std::unordered_map<uint32_t, std::vector<uint32_t>> followers_;
  std::vector<uint32_t> passed_;  // excluded, and their place has come; whose followers are still to be told
  double usual_ = 1;              // what an instance is expected to take where that is not known
  size_t open_ = 0;               // not concluded
  size_t open_main_ = 0;          // of these, not finally
  int64_t first_failed_ = -1;
  std::optional<Stop> stopped_;
  bool abandoned_ = false;
  bool settling_ = false;
};

}  // namespace pf::orchestrator
