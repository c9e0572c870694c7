// Carries out what the scheduler decides: finds out what need not run, prepares attempts, hands them to
// worker pools, serves their host calls through the door, exports stacks, journals results and tells the
// observer. Belongs to the loop's thread. Its parts: runner.cc (results and ends), runner_offer.cc (what
// comes before an attempt), runner_attempt.cc (attempts and their host calls), runner_hooks.cc,
// runner_stop.cc (cancelling).
#pragma once

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <asio/thread_pool.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "api/door.h"
#include "api/secrets.h"
#include "api/versions.h"
#include "extension/lifecycle.h"
#include "iac/engine.h"
#include "orchestrator/disk_watch.h"
#include "orchestrator/events.h"
#include "orchestrator/history.h"
#include "orchestrator/hooks.h"
#include "orchestrator/preparation.h"
#include "orchestrator/project.h"
#include "orchestrator/scheduler.h"
#include "orchestrator/tools.h"
#include "state/layout.h"
#include "state/log_file.h"
#include "state/store.h"
#include "worker/io_programs.h"
#include "worker/supervisor.h"

namespace pf::orchestrator {

/// What an earlier part of a resumed run left.
struct Earlier {
  std::map<std::string, state::InstanceRecord> ended;  // by address
  std::map<std::string, uint32_t> failed;              // attempts that did, by address
  std::map<std::string, uint32_t> last;                // number of the last attempt, by address
  std::map<std::string, std::string> expansions;       // by the group's address, JSON text

  const state::InstanceRecord* find(const std::string& address) const {
    const auto found = ended.find(address);
    return found == ended.end() ? nullptr : &found->second;
  }
  /// What the scheduler is told of an instance.
  Scheduler::Known known(const std::string& address, uint32_t max_attempts) const {
    Scheduler::Known out;
    out.failed = failed_attempts(address);
    const auto found = last.find(address);
    out.again = found != last.end() && found->second > max_attempts;  // a hook had asked for it
    return out;
  }
  uint32_t failed_attempts(const std::string& address) const {
    const auto found = failed.find(address);
    return found == failed.end() ? 0 : found->second;
  }
};

/// What a runner works with; all of it outlives the runner.
struct RunnerParts {
  asio::io_context& loop;
  Project& project;
  /// Starts workers at its first call; errors as of Supervisor::start.
  std::function<Result<worker::Supervisor*>()> supervisor;
  state::Writer& writer;
  iac::Engine& engine;
  Observer& observer;
  api::Secrets& secrets;
  api::Versions& versions;
  const History& history;
  const Earlier* earlier = nullptr;  // of a resumed run
  // What is done to instances; of `destroy` and `refresh` the outputs are those that were kept.
  state::RunKind kind = state::RunKind::run;
  const pipeline::Pipeline* graph = nullptr;  // who waits for whom, with the pipeline's indexes; null: as the
                                              // pipeline says
  // Keep outputs that hold secrets, by address; null: there is no passphrase.
  std::function<Result<std::string>(const std::string& address, std::string_view plain)> seal = {};
  std::function<Result<std::string>(const std::string& address, std::string_view sealed)> unseal = {};
  std::string run = {};  // id
  Scheduler::Options scheduling = {};
  bool force = false;                   // nothing is cached
  const ToolVersions* tools = nullptr;  // of all extensions
  std::vector<std::string> notes = {};  // warnings about the run, for its log
};

class Runner final : private Scheduler::Actions,
                     private worker::Client,
                     private api::Sink,
                     private pipeline::Outputs {
 public:
  explicit Runner(RunnerParts parts);
  ~Runner() override;

  /// Starts; the loop is stopped when the last result is durable.
  void start();
  /// Cancels: nothing more starts but cleanups, programs of running attempts get the signal (SIGINT or
  /// SIGTERM), and these have 2 s to end by themselves, those with programs 8 s, before they are killed.
  /// Called again it gives up cleanups, too: programs get SIGTERM and 1 s, all else is killed at once.
  void cancel(int signal);
  /// The pipeline's deadline has passed: as cancel(SIGTERM), but what runs has timed out.
  void expire();
  /// The store failed: nothing can be reported as durable any more. Kills, and stops the loop.
  void abort();
  /// For redrawing and flushing; about ten times a second.
  void tick();

  bool cancelled() const { return cancelled_; }
  bool expired() const { return expired_; }
  bool failed() const { return run_failed_ || scheduler_.failed(); }
  uint32_t refused() const { return door_ ? door_->refused() : 0; }
  /// How each instance ended, in index order, without groups that were expanded. At the end, once.
  std::vector<state::InstanceRecord> take_records();
  /// The first that failed; empty: none.
  std::string first_failed() const;
  /// When the oldest of the results that were taken as unchanged was made; epoch 0: none was.
  WallTime oldest() const { return oldest_; }

 private:
  // An instance that was offered and not taken yet: what was found out about it is kept for the next offer.
  struct Upcoming {
    enum class Stage : uint8_t {
      fresh,
      made,        // its configuration is known
      needed,      // it is not cached
      hooked,      // its hooks were asked
      considered,  // it has to run
    } stage = Stage::fresh;
    bool warmed = false;
    Making making;
    std::vector<api::Caller::Input> inputs;  // what it reads in any case
    std::string kept;   // its configuration as it is kept, before hooks patched it; empty: they did not
    Decision decision;  // of its hooks
    Error refusal;      // of hooks before another attempt; empty: none
  };
  // An attempt whose worker is done, and whose programs may still end.
  struct Ending;
  // An attempt that was offered to a pool and has not ended.
  struct Attempt {
    uint32_t number = 1;
    bool begun = false;  // at the head of a worker's queue
    Upcoming from;
    std::unique_ptr<api::Session> session;  // at its first host call
    bool had_stack = false;                 // its stack held something before
    Milliseconds timeout{0};                // 0 = none
    bool last = false;                      // the timeout is what the instance's deadline leaves
    bool interrupted = false;               // its programs got our signal, since the run was stopped
    SteadyTime lenient{};                   // the run was stopped: when a program of it was last seen to run
    std::shared_ptr<Ending> ending;         // it timed out, and its programs have not ended
    WallTime started{};
    SteadyTime since{};
    uint64_t cpu_us = 0;
    uint64_t peak_bytes = 0;
    uint64_t read_bytes = 0, write_bytes = 0;
  };
  // The destruction of what a failed instance may have made (on_failure: destroy).
  struct Undoing {
    worker::Job job;
    Attempt attempt;
    AttemptEnd end;  // of the instance
    bool offered = false;
  };
  // What the instances of one section share.
  struct Section {
    const Loaded* loaded = nullptr;
    worker::Package package;
    std::unique_ptr<worker::Pool> pool;  // at the first attempt
    enum class Bootstrap : uint8_t { none, needed, running, done, failed } bootstrap = Bootstrap::none;
    worker::Job bootstrap_job;
    bool bootstrap_offered = false;
    std::unique_ptr<api::Session> bootstrap_session;
    SteadyTime bootstrap_lenient{};
    uint32_t bootstrap_for = 0;  // the instance that its log lines go to
    std::string runtime;         // CBOR
    std::string reads;           // of the bootstrap and the declared tools, which count for every instance
    Error error;                 // of a failed bootstrap
    // A prepared job that found no room; offered again before anything else of the section.
    int64_t prepared = -1;
    worker::Job job;
    Attempt attempt;
  };
  // A failed attempt, which is told when it is on disk; what follows comes after that.
  struct Failure {
    bool durable = false;
    std::function<void()> then;  // once it is decided that another attempt follows
  };
  struct Timing {
    WallTime started{};
    SteadyTime begun{};
  };

  // Scheduler::Actions
  Scheduler::Offer offer(uint32_t instance, uint32_t attempt, bool may_start,
                         Scheduler::Answer& answer) override;
  uint32_t running() const override;
  void conclude(uint32_t instance, InstanceResult result, uint32_t attempts, const Error* error,
                int64_t cause) override;
  void retry(uint32_t instance, uint32_t failed_attempt, const Error& error, Milliseconds delay) override;
  double random() override;
  Scheduler::Expansion expand(uint32_t group, Scheduler::Children& children) override;
  void group_ended(uint32_t group, InstanceResult result, int64_t cause) override;
  // worker::Client
  void job_started(uint64_t job) override;
  void host_call(uint64_t job, uint32_t request, int call, std::string_view arguments) override;
  void cancel_call(uint64_t job, uint32_t request) override;
  void job_done(uint64_t job, worker::Done done) override;
  void room() override;
  bool may_start() override { return running() < parts_.scheduling.max_parallel; }
  // api::Sink
  void log(uint32_t index, int level, std::string_view text, const Json* fields) override;
  void progress(uint32_t index, double done, double total, std::string_view text) override;
  void refused(uint32_t index, std::string_view call, const Error& error) override;
  // pipeline::Outputs
  const Json* of(uint32_t instance) override;
  Result<std::string> secret(std::string_view name) override { return parts_.secrets.get(name); }

  // runner_offer.cc
  Scheduler::Offer consider(uint32_t instance, uint32_t attempt, Upcoming& up, Scheduler::Answer& answer);
  Scheduler::Offer consider_kept(uint32_t instance, Upcoming& up, Scheduler::Answer& answer);
  bool reuse_earlier(uint32_t instance, const Upcoming& up, Scheduler::Answer& answer);
  bool reuse_last(uint32_t instance, Upcoming& up, Scheduler::Answer& answer);
  bool warm(uint32_t instance, Upcoming& up);
  void read_inputs(uint32_t instance, Upcoming& up);
  Result<void> open_door();
  Result<void> open_workers(Section& section);
  bool unseal(uint32_t instance, const state::InstanceRecord& record);
  std::string context_of(uint32_t instance) const;
  bool bootstrapped(uint32_t instance, Section& section, bool may_start, Scheduler::Offer& offer,
                    Error& error);
  void bootstrap_done(Section& section, worker::Done done);
  Scheduler::Offer prepare(uint32_t instance, uint32_t attempt, Section& section, Upcoming& up, Error& error);
  Result<worker::Job> make_job(uint64_t id, extension::Verb verb, const Making& making, Attempt& attempt);
  Milliseconds deadline_of(uint32_t instance) const;
  Milliseconds deadline_left(uint32_t instance, Milliseconds deadline) const;

  // runner_hooks.cc
  void open_hooks();
  void begin();
  void tell_started();
  void refuse_run(const Error& error);
  Json plan_event();
  bool ask_before_instance(uint32_t instance, uint32_t attempt, Upcoming& up);
  Scheduler::Offer follow_hooks(uint32_t instance, Upcoming& up, Scheduler::Answer& answer);
  Json event_of(uint32_t instance, uint32_t attempt, const AttemptEnd& end);
  void end_attempt(uint32_t instance, uint32_t attempt, AttemptEnd end);
  void ask_after_instance(uint32_t instance, uint32_t attempt, AttemptEnd end);
  void hook_ran(const HookRan& ran);
  bool ask_after_pipeline();

  // runner_attempt.cc
  std::unique_ptr<api::Session> open_session(uint64_t job, uint32_t instance, const Attempt& attempt,
                                             const Section& section,
                                             const extension::Permissions& permissions,
                                             const extension::Limits& limits);
  void attempt_done(uint32_t instance, worker::Done done);
  void export_stack(uint32_t instance, worker::Done done);
  Attempt& attempt_of(uint64_t job);
  bool undo(uint32_t instance, AttemptEnd& end);
  void offer_undoings();
  void undone(uint32_t instance, worker::Done done);
  void finish_attempt(uint32_t instance, AttemptEnd end);
  void remove_all(uint32_t instance);
  void export_state(uint32_t instance, worker::Done done);
  void attempt_succeeded(uint32_t instance, std::string outputs);
  void attempt_failed(uint32_t instance, InstanceResult result, Error error);
  void keep_secret_outputs(uint32_t instance, const std::string& outputs);
  Attempt take_attempt(uint32_t instance);
  void journal_attempt(uint32_t instance, const Attempt& attempt, InstanceResult result, const Error& error,
                       state::Writer::Callback on_durable);
  void failure_durable(uint32_t instance);
  std::string masked(std::string_view outputs) const;
  Error shown(const Error& error) const;
  void log_failure(uint32_t instance, uint32_t attempt, const Error& error);

  // runner.cc
  void know(uint32_t first);
  void durable(uint32_t instance);
  void durable_later(uint32_t instance);
  void back_off(uint32_t instance, Milliseconds delay);
  void finish_if_done();
  void watch_disk();
  void end_who_fills_the_disk(const std::vector<std::pair<uint32_t, uint64_t>>& sizes);
  iac::StackId stack_of(uint32_t instance) const;
  Section& section_of(uint32_t instance);
  std::string work_folder(uint32_t instance) const;

  // runner_stop.cc
  bool spared(uint32_t instance) const;
  bool stopping(uint32_t instance) const { return (cancelled_ || expired_) && !spared(instance); }
  void stop(int signal);
  void end_running();
  bool programs_may_end(uint64_t job, worker::Done& done);
  void job_over(uint64_t job, worker::Done done);

  // Job ids: an instance's index, or this bit and a section's index for its bootstrap.
  static constexpr uint64_t kBootstrapJob = 1ULL << 32;
  // An instance's index and this bit: its destruction after it failed for good.
  static constexpr uint64_t kDestroyJob = 1ULL << 33;

  RunnerParts parts_;
  const pipeline::Pipeline& pipeline_;
  state::Layout layout_;
  state::LogFile log_file_;
  Preparation preparation_;
  worker::Supervisor* supervisor_ = nullptr;  // once something has to run
  std::unique_ptr<worker::IoPrograms> io_;
  std::unique_ptr<api::Door> door_;
  std::unique_ptr<Hooks> hooks_;  // null: there are none
  std::vector<InstanceInfo> infos_;
  std::vector<Milliseconds> expected_;
  std::vector<std::vector<uint32_t>> upstream_;
  std::vector<Section> sections_;
  std::unordered_map<uint32_t, Upcoming> upcoming_;
  std::unordered_map<uint32_t, Attempt> attempts_;
  std::map<uint32_t, Undoing> undoings_;
  std::unordered_map<uint32_t, Failure> failures_;
  std::vector<Timing> timing_;
  std::vector<state::InstanceRecord> records_;  // filled when concluded
  struct Io {
    uint64_t read_bytes = 0, write_bytes = 0;
  };
  std::unordered_map<uint32_t, Io> used_io_;        // of those that read or wrote, over all attempts
  std::unordered_map<uint32_t, Error> errors_;      // of concluded instances, until they are reported
  std::unordered_map<uint32_t, std::string> whys_;  // likewise
  std::unordered_map<uint32_t, Json> decoded_;      // outputs that somebody refers to
  // Outputs that hold secrets, as others get them; records_ has what is kept and shown.
  std::unordered_map<uint32_t, std::string> plain_outputs_;
  std::unordered_map<uint32_t, std::string> reads_;  // of last attempts, until they are written
  std::unordered_map<uint32_t, std::pair<std::string, std::string>> made_of_;  // config and context, likewise
  std::unordered_map<uint32_t, std::string> sealed_;                           // likewise
  std::vector<uint32_t> expanded_;                                             // groups
  std::unordered_map<uint32_t, uint32_t> group_causes_;  // by group: the instance that made it what it is
  std::unordered_map<uint32_t, std::unique_ptr<asio::steady_timer>> backoff_;
  asio::steady_timer grace_timer_;
  asio::thread_pool helpers_{2};  // stack exports, which wait for fsync, and reading of files
  std::mt19937_64 random_{std::random_device{}()};
  Scheduler scheduler_;
  size_t undurable_ = 0;  // concluded, but not on disk yet
  DiskWatch disk_;
  WallTime oldest_{};
  bool measuring_ = false;  // work folders, off the loop
  bool disk_told_ = false;  // that it is almost full and nobody of ours to blame
  bool backend_exists_ = false;
  bool started_ = false;      // RunStarted was told
  bool begun_ = false;        // the scheduler has
  bool main_ran_ = false;     // an attempt was made of what is not `finally`
  bool run_failed_ = false;   // a hook of the pipeline refused or failed
  bool after_asked_ = false;  // hooks after the pipeline
  SteadyTime since_{};
  bool cancelled_ = false;
  bool expired_ = false;
  bool abandoned_ = false;  // a second cancel
  int signal_ = 0;          // what programs get, once the run was stopped
  SteadyTime hard_end_{};   // then everything is killed
  bool aborted_ = false;
};

}  // namespace pf::orchestrator
