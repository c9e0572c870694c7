// Carries out what the scheduler decides: prepares attempts, hands them to worker pools, serves their host
// calls through the door, exports stacks, journals results and tells the observer. Belongs to the loop's
// thread.
#pragma once

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <asio/thread_pool.hpp>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

#include "api/door.h"
#include "api/secrets.h"
#include "iac/engine.h"
#include "orchestrator/disk_watch.h"
#include "orchestrator/events.h"
#include "orchestrator/project.h"
#include "orchestrator/scheduler.h"
#include "orchestrator/tools.h"
#include "state/layout.h"
#include "state/log_file.h"
#include "state/store.h"
#include "worker/io_programs.h"
#include "worker/supervisor.h"

namespace pf::orchestrator {

/// What a runner works with; all of it outlives the runner.
struct RunnerParts {
  asio::io_context& loop;
  const Project& project;
  worker::Supervisor& supervisor;
  state::Writer& writer;
  iac::Engine& engine;
  Observer& observer;
  std::string run;  // id
  uint32_t max_parallel = 16;
  bool fail_fast = false;
  const ToolVersions* tools = nullptr;  // of all extensions
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
  /// Cancels: nothing more starts, running attempts have `grace` to end by themselves and are then killed.
  /// Called again it kills at once.
  void cancel(Milliseconds grace);
  /// The store failed: nothing can be reported as durable any more. Kills, and stops the loop.
  void abort();
  /// For redrawing and flushing; about ten times a second.
  void tick();

  bool cancelled() const { return cancelled_; }
  bool failed() const { return scheduler_.failed(); }
  uint32_t refused() const { return door_->refused(); }
  /// How each instance ended, in index order.
  const std::vector<state::InstanceRecord>& records() const { return records_; }

 private:
  // An attempt that was offered to a pool and has not ended.
  struct Attempt {
    uint32_t number = 1;
    bool begun = false;  // at the head of a worker's queue
    std::string config;  // CBOR
    std::vector<pipeline::Evaluated::FromOutputs> from_outputs;
    std::unique_ptr<api::Session> session;  // at its first host call
    bool had_stack = false;                 // its stack held something before
    Milliseconds timeout{0};                // 0 = none
    bool last = false;                      // the timeout is what the instance's deadline leaves
  };
  // What the instances of one section share.
  struct Section {
    const Loaded* loaded = nullptr;
    worker::Package package;
    std::unique_ptr<worker::Pool> pool;
    enum class Bootstrap : uint8_t { none, needed, running, done, failed } bootstrap = Bootstrap::none;
    worker::Job bootstrap_job;
    bool bootstrap_offered = false;
    std::unique_ptr<api::Session> bootstrap_session;
    uint32_t bootstrap_for = 0;  // the instance that its log lines go to
    std::string runtime;         // CBOR
    std::string reads;           // of the bootstrap and the declared tools, which count for every instance
    Error error;                 // of a failed bootstrap
    // A prepared job that found no room; offered again before anything else of the section.
    int64_t prepared = -1;
    worker::Job job;
    Attempt attempt;
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
  // worker::Client
  void job_started(uint64_t job) override;
  void host_call(uint64_t job, uint32_t request, int call, std::string_view arguments) override;
  void cancel_call(uint64_t job, uint32_t request) override;
  void job_done(uint64_t job, worker::Done done) override;
  void room() override;
  bool may_start() override { return running() < parts_.max_parallel; }
  // api::Sink
  void log(uint32_t index, int level, std::string_view text, const Json* fields) override;
  void progress(uint32_t index, double done, double total, std::string_view text) override;
  void refused(uint32_t index, std::string_view call, const Error& error) override;
  // pipeline::Outputs
  const Json* of(uint32_t instance) override;
  Result<std::string> secret(std::string_view name) override { return secrets_.get(name); }

  bool bootstrapped(uint32_t instance, Section& section, bool may_start, Scheduler::Offer& offer,
                    Error& error);
  void bootstrap_done(Section& section, worker::Done done);
  Scheduler::Offer prepare(uint32_t instance, uint32_t attempt, Section& section, Error& error);
  Result<std::string> encode_config(uint32_t instance, Attempt& attempt);
  std::unique_ptr<api::Session> open_session(uint64_t job, uint32_t instance, const Attempt& attempt,
                                             const Section& section,
                                             const extension::Permissions& permissions,
                                             const extension::Limits& limits);
  Milliseconds deadline_left(uint32_t instance, Milliseconds deadline) const;
  void export_stack(uint32_t instance, worker::Done done);
  void attempt_succeeded(uint32_t instance, std::string outputs);
  void attempt_failed(uint32_t instance, InstanceResult result, Error error);
  std::string masked(std::string_view outputs) const;
  Error shown(const Error& error) const;
  void log_failure(uint32_t instance, uint32_t attempt, const Error& error);
  void durable(uint32_t instance);
  void finish_if_done();
  void kill_running();
  void watch_disk();
  void end_who_fills_the_disk(const std::vector<std::pair<uint32_t, uint64_t>>& sizes);
  iac::StackId stack_of(uint32_t instance) const;
  Section& section_of(uint32_t instance);
  std::string work_folder(uint32_t instance) const;

  RunnerParts parts_;
  const pipeline::Pipeline& pipeline_;
  state::Layout layout_;
  state::LogFile log_file_;
  api::Secrets secrets_;
  worker::IoPrograms io_;
  std::unique_ptr<api::Door> door_;
  std::vector<InstanceInfo> infos_;
  std::vector<Section> sections_;
  std::unordered_map<uint32_t, Attempt> attempts_;
  std::vector<Timing> timing_;
  std::vector<state::InstanceRecord> records_;  // filled when concluded
  std::unordered_map<uint32_t, Error> errors_;  // of concluded instances, until they are reported
  std::unordered_map<uint32_t, Json> decoded_;  // outputs that somebody refers to
  // Outputs that hold secrets, as others get them; records_ has what is kept and shown.
  std::unordered_map<uint32_t, std::string> plain_outputs_;
  std::unordered_map<uint32_t, std::string> reads_;  // of last attempts, until they are written
  std::unordered_map<uint32_t, std::unique_ptr<asio::steady_timer>> backoff_;
  asio::steady_timer grace_timer_;
  asio::thread_pool exporters_{2};  // stack exports wait for fsync
  std::mt19937_64 random_{std::random_device{}()};
  Scheduler scheduler_;
  size_t undurable_ = 0;  // concluded, but not on disk yet
  DiskWatch disk_;
  bool measuring_ = false;  // work folders, off the loop
  bool disk_told_ = false;  // that it is almost full and nobody of ours to blame
  bool backend_exists_ = false;
  bool cancelled_ = false;
  bool killed_ = false;
  bool aborted_ = false;
};

}  // namespace pf::orchestrator
