// The core's side of workers: starts the guardian, keeps a pool of workers for each extension package, sends
// jobs and host call replies, kills what is past its hard deadline. Everything here belongs to the thread
// that runs the io_context; callbacks come on that thread, never from inside submit(), reply() or cancel().
#pragma once

#include <asio/io_context.hpp>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"
#include "base/json_fwd.h"

namespace pf::worker {

class Programs;

/// What workers need to know of an extension package.
struct Package {
  std::string name;
  std::string version;
  std::string load;                // the payload of a load frame after its kind: one encoded map
  uint64_t memory = 256ULL << 20;  // bytes; RLIMIT_AS follows from it
};

/// One piece of work for one worker.
struct Job {
  uint64_t id = 0;       // the client's own; unique among unfinished jobs
  std::string body;      // encoded items of a run frame after the epoch: JobKind and soft_ms, cpu_ms, …
  uint32_t items = 0;    // how many items `body` holds
  Milliseconds hard{0};  // SIGKILL so long after the job's start; 0 = never
  uint64_t memory = 256ULL << 20;  // bytes of answers that it has not taken: more end it
  uint32_t calls = 64;  // host calls that wait for their replies at once; no worker of ours makes more
};

/// What came of a job.
struct Done {
  enum class Status : uint8_t {
    succeeded,
    failed,     // the extension raised, or a limit of the VM was met: see error.code
    timed_out,  // killed at the hard deadline (the soft one ends as failed with code `deadline.attempt`)
    crashed,    // the worker died, or sent what no worker of ours sends
    cancelled,  // by cancel()
  } status = Status::failed;
  std::string value;  // CBOR, where succeeded
  std::string state;  // CBOR, empty where there is none
  Error error;        // where not succeeded
  uint64_t cpu_us = 0;
  uint64_t peak_bytes = 0;
};

/// Who submitted the jobs of a pool.
class Client {
 public:
  virtual ~Client() = default;
  /// The job is at the head of its worker's queue: it runs now.
  virtual void job_started(uint64_t job) = 0;
  /// A host call. `arguments` is an encoded CBOR array, valid during the call. Answer with Pool::reply unless
  /// request is 0.
  virtual void host_call(uint64_t job, uint32_t request, int call, std::string_view arguments) = 0;
  /// Nobody wants the reply of a call that waits for one: what it began may be ended. Reply none the less.
  virtual void cancel_call(uint64_t job, uint32_t request) = 0;
  virtual void job_done(uint64_t job, Done done) = 0;
  /// The pool may take jobs that it refused before.
  virtual void room() = 0;
  /// Whether the number of running jobs may grow now: asked when jobs that were queued behind one that takes
  /// long have been given back. While it is false they wait for a worker of their pool to become free.
  virtual bool may_start() { return false; }
};

/// The workers of one package.
class Pool {
 public:
  virtual ~Pool() = default;
  /// Takes the job, or leaves it and returns false when no worker has room: then Client::room comes later.
  /// With `may_start` false the job is only queued behind a running one of the same pool (when jobs are
  /// short), so that the number of running jobs does not grow.
  virtual bool offer(Job& job, bool may_start) = 0;
  /// Workers with a running job.
  virtual int running() const = 0;
  /// `value` is encoded CBOR. A reply to a job that has ended meanwhile is dropped.
  virtual void reply(uint64_t job, uint32_t request, const Result<std::string>& value) = 0;
  /// Ends as job_done(cancelled): a queued job is taken back, a running one's worker is killed.
  virtual void cancel(uint64_t job) = 0;
  /// Kills the worker of a running job, which ends as job_done(failed) with the error. Of a job that does not
  /// run: nothing.
  virtual void fail(uint64_t job, Error error) = 0;
};

struct Options {
  std::filesystem::path program;     // pangeo-forge-worker
  int max_workers = 16;              // of each pool
  Milliseconds idle_timeout{10000};  // idle workers beyond the first of a pool end after this
  bool degraded = false;             // programs run also where the kernel has no Landlock
};

class Supervisor {
 public:
  /// Starts the guardian. Errors: `worker.start`; `sandbox.unavailable` where the kernel has no seccomp.
  static Result<std::unique_ptr<Supervisor>> start(asio::io_context& loop, Options options);
  /// Kills and forgets everything, and waits until the guardian is reaped (about a millisecond, at most two
  /// seconds). Not from inside a callback of Client. Nobody else may reap it (no waitpid(-1) in the program).
  virtual ~Supervisor() = default;
  /// The package and the client must outlive the pool.
  virtual std::unique_ptr<Pool> pool(const Package& package, Client& client) = 0;
  /// Runs programs, below the same guardian. Lives as long as the supervisor.
  virtual Programs& programs() = 0;
  /// Whether the next event is expected so soon that the loop should not sleep before it; see run_awake().
  virtual bool awake() const = 0;
  /// What the OS sandbox of workers has in force, as probed in a worker: {seccomp, landlock_abi, …}; see
  /// sandbox.h.
  virtual const Json& sandbox() const = 0;
};

/// Runs the loop as its run() does, but does not sleep while the supervisor expects a call at once. The
/// supervisor may be started while the loop runs: null until then.
void run_awake(asio::io_context& loop, const std::unique_ptr<Supervisor>& supervisor);

}  // namespace pf::worker
