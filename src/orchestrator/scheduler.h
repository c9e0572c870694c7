// Decides what runs next: readiness over the pipeline's graph, retries, and what an end means for those that
// wait. It knows neither clocks nor workers nor the store: they are behind Actions. Belongs to one thread;
// Actions may not call back into it, except where said.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "pipeline/pipeline.h"
#include "state/store.h"

namespace pf::orchestrator {

using state::InstanceResult;

/// How an attempt ended: succeeded, failed, timed_out, crashed or cancelled.
struct AttemptEnd {
  InstanceResult result = InstanceResult::succeeded;
  Error error;
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

  /// What the scheduler asks of the world.
  class Actions {
   public:
    virtual ~Actions() = default;
    /// Starts an attempt (1-based). With may_start false the attempt may only wait behind a running one.
    virtual Offer offer(uint32_t instance, uint32_t attempt, bool may_start, Answer& answer) = 0;
    /// How many attempts run now, those offered but not begun included where they will run side by side.
    virtual uint32_t running() const = 0;
    /// The instance's final result; `cause` is the upstream that blocked or skipped it, or -1. Once for each
    /// instance.
    virtual void conclude(uint32_t instance, InstanceResult result, uint32_t attempts, const Error* error,
                          int64_t cause) = 0;
    /// An attempt failed and another follows: call ready_again(instance) after the delay.
    virtual void retry(uint32_t instance, uint32_t failed_attempt, const Error& error,
                       Milliseconds delay) = 0;
    /// A number in [0, 1), for jitter.
    virtual double random() = 0;
  };

  struct Options {
    uint32_t max_parallel = 16;
    bool fail_fast = false;
  };

  Scheduler(const pipeline::Pipeline& pipeline, Options options, Actions& actions);

  /// Makes ready what waits for nothing, then pumps.
  void start();
  /// Offers what is ready while there is room. Call it when room may have come.
  void pump();
  void attempt_ended(uint32_t instance, AttemptEnd end);
  /// A delay or what it waited for (Offer::wait) is over.
  void ready_again(uint32_t instance);
  /// Nothing more starts: what is ready or backs off is cancelled, what waits for it blocked. Running
  /// attempts end as they do.
  void stop();

  bool finished() const { return open_ == 0; }
  InstanceResult result(uint32_t instance) const { return items_[instance].result; }
  /// Whether something failed that was not allowed to.
  bool failed() const { return failed_; }

 private:
  enum class Phase : uint8_t { waiting, ready, preparing, attempting, backing_off, concluded };
  struct Item {
    uint32_t missing = 0;  // upstream instances that are not concluded
    uint32_t attempt = 1;  // the one that runs or comes next
    Phase phase = Phase::waiting;
    InstanceResult result = InstanceResult::none;
  };

  bool good(uint32_t upstream) const;
  bool may_retry(uint32_t instance, const Error& error) const;
  Milliseconds backoff(uint32_t instance);
  void decide(uint32_t instance);
  void make_ready(uint32_t instance);
  void conclude(uint32_t instance, InstanceResult result, uint32_t attempts, const Error* error,
                int64_t cause);
  void settle();

  const pipeline::Pipeline& pipeline_;
  const Options options_;
  Actions& actions_;
  std::vector<Item> items_;
  std::vector<std::deque<uint32_t>> ready_;  // by section
  std::vector<uint32_t> concluded_;          // whose downstream is still to be told
  size_t open_ = 0;                          // not concluded
  bool stopped_ = false;
  bool failed_ = false;
  bool settling_ = false;
};

}  // namespace pf::orchestrator
