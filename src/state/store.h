// The run store: what ran, with what result and outputs, in SQLite. Writes are queued to one writer thread
// that commits in groups; nothing is reported before its on_durable callback. Reading is possible from any
// process while a run goes on. See design.md "Durability".
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/json_fwd.h"

namespace pf::state {

/// The vocabulary of results (docs/interface.md). `none` = not finished.
enum class InstanceResult : uint8_t {
  none,
  succeeded,
  cached,
  failed,
  timed_out,
  crashed,
  cancelled,
  skipped,
  blocked,
  excluded,
};
std::string_view to_text(InstanceResult result);
/// Whether it ran and did not succeed: failed, timed_out or crashed.
bool is_failure(InstanceResult result);
enum class RunResult : uint8_t { none, succeeded, failed, cancelled, timed_out };
std::string_view to_text(RunResult result);

/// What a run was for.
enum class RunKind : uint8_t {
  run,
  destroy,
  refresh,
  cleanup,  // makes up for what runs owed that died
};
std::string_view to_text(RunKind kind);

struct RunRecord {
  std::string id;  // time-ordered, unique: `20261121-101205-7f3a`
  std::string pipeline;
  std::string file;  // absolute path of the pipeline file
  WallTime started{};
  WallTime finished{};  // epoch 0 while running, or when the process died
  RunResult result = RunResult::none;
  uint32_t instances = 0;
  // JSON text: sandbox, refused calls, command line; `due_again`: {address: row} of cleanups that had ended
  // when the run was resumed, and are due again unless they ended once more
  std::string details;
  RunKind kind = RunKind::run;
  std::string profile = {};   // empty: none
  std::string cleanups = {};  // JSON text: a list of the addresses whose cleanup is intended; empty: none
};

struct AttemptRecord {
  uint32_t instance = 0;     // index in the run
  uint32_t attempt = 1;      // 1-based
  std::string address = {};  // names the instance where the run dies before it finishes; may be empty
};

/// How one attempt ended; as Reader::attempts has it, with the result `none`, one that runs or was
/// interrupted.
struct AttemptEnd {
  uint32_t instance = 0;  // index in the run
  uint32_t attempt = 1;   // 1-based
  std::string address = {};
  InstanceResult result = InstanceResult::none;
  WallTime started{};
  Milliseconds duration{0};
  uint64_t cpu_us = 0;
  uint64_t peak_bytes = 0;
  uint64_t read_bytes = 0;
  uint64_t write_bytes = 0;
  std::string error = {};  // JSON text {code, message, hint, …}; empty when it succeeded
};

/// What a hook did.
struct HookRecord {
  std::string stage;     // `before_instance`
  std::string address;   // of the instance; empty: the pipeline's
  std::string script;    // path
  std::string decision;  // `none`, `skip`, `config`, `retry`, `veto`, `failed`
  std::string text;      // the reason, or what changed; may be empty
  Milliseconds duration{0};
  WallTime at{};
};

/// How an instance ended in one run.
struct InstanceRecord {
  uint32_t instance = 0;  // index in the run
  std::string address;    // `type.name` or `type.name["key"]`
  InstanceResult result = InstanceResult::none;
  uint32_t attempts = 0;
  WallTime started{};
  Milliseconds duration{0};
  std::string outputs;     // CBOR map; empty when there are none
  std::string error;       // JSON text {code, message, hint, …}; empty when it succeeded
  std::string blocked_by;  // address
  uint64_t cpu_us = 0;
  uint64_t peak_bytes = 0;
  std::string reads = {};  // JSON text: a list of what its last attempt read (api/reads.h); empty when
                           // nothing. Kept apart: only Reader::reads and latest give it
  // What a success was made of, so that a later run can tell whether anything has changed; latest gives it.
  std::string config = {};   // CBOR: the normalised configuration, secrets as keyed digests
  std::string context = {};  // JSON text: what else counts, the same for many instances
  std::string sealed = {};   // outputs with their secrets, encrypted (vault.h); empty when they hold none
  int64_t row = 0;           // of this record in the store, as Reader has it
  std::string run = {};      // id of the run that it ran in, as Reader::latest has it, and Reader::instances
                             // of one that was reused
  std::string sealed_as = {};  // the address that it ran under, where it has moved since (Writer::move):
                               // `sealed` is bound to it; else empty
};

/// A run that died while instances that clean up were still to come.
struct PendingCleanups {
  RunRecord run;
  std::vector<std::string> addresses;  // in the order of RunRecord::cleanups
  /// One that has ended, after which others were begun that clean up nothing. It is due again where it cleans
  /// up after one of those, which happens when a run is resumed with a changed file.
  struct Overtaken {
    std::string address;
    std::vector<std::string> by;
  };
  std::vector<Overtaken> overtaken = {};
};

/// Holds the state folder exclusively (OFD lock and `lock` file that says who) while it lives.
/// Error `state.locked` (exit code 4) names host, pid, since and command of the holder.
class Lock {
 public:
  static Result<Lock> acquire(const std::filesystem::path& state_folder, const std::string& command);
  /// Who holds the folder now, as messages name it (`pid 42 on host h since …`); nullopt: nobody. Writes
  /// nothing.
  static std::optional<std::string> held_by(const std::filesystem::path& state_folder);
  Lock(Lock&&) noexcept;
  Lock& operator=(Lock&&) noexcept;
  ~Lock();

 private:
  explicit Lock(int fd) : fd_(fd) {}
  int fd_ = -1;
};

/// Writes one run at a time. The owner holds the Lock. Methods are called from one thread; callbacks come
/// through `post`, which must be callable from the writer thread (for an io_context: asio::post).
class Writer {
 public:
  using Callback = std::function<void()>;
  using Post = std::function<void(Callback)>;
  /// Opens or makes `state.db`. Errors: `state.damaged`, `state.newer`, `state.read_only`, `state.full`,
  /// `state.busy`, `state.failed`, `os.*`; each names the file. `on_error` comes once, through `post` like
  /// the callbacks: after it nothing more is written, and the callbacks of what was not durable by then never
  /// come.
  static Result<std::unique_ptr<Writer>> open(const std::filesystem::path& state_folder, Post post,
                                              std::function<void(Error)> on_error);
  virtual ~Writer() = default;  // drains the queue
  /// Written at once, as is finish_run; the others wait for company, at most about 5 ms.
  virtual void begin_run(const RunRecord& run, Callback on_durable) = 0;
  /// Goes on with a run that was begun before: it has no result and end any more. `details` replaces those of
  /// begin_run unless it is empty.
  virtual void resume_run(const std::string& id, std::string details, Callback on_durable) = 0;
  virtual void start_attempt(const AttemptRecord& attempt, WallTime at) = 0;
  /// For attempts that did not succeed, or were not the first.
  virtual void end_attempt(AttemptEnd end, Callback on_durable) = 0;
  virtual void finish_instance(InstanceRecord record, Callback on_durable) = 0;
  /// The instance is `cached` in this run: its outputs are those of a row that Reader::latest gave under
  /// this address.
  virtual void reuse_instance(uint32_t instance, int64_t row, std::string address, Callback on_durable) = 0;
  /// How a for_each over outputs was expanded (pipeline::expansion).
  virtual void expanded(std::string group, std::string expansion, Callback on_durable) = 0;
  virtual void hook(HookRecord hook, Callback on_durable) = 0;
  /// Reader::latest knows as `to` what it knew as `from`; without any, nothing changes. Outside of a run too.
  virtual void move(std::string pipeline, std::string from, std::string to, Callback on_durable) = 0;
  /// Reader::pending_cleanups leaves this run out from now on. Outside of a run too.
  virtual void cleanups_done(const std::string& id, Callback on_durable) = 0;
  virtual void finish_run(const std::string& id, RunResult result, WallTime at, std::string details,
                          Callback on_durable) = 0;
  /// Blocks until everything queued is durable or failed.
  virtual Result<void> drain() = 0;
};

/// Reads; opens the database read-only and creates no file. Any thread, one at a time.
class Reader {
 public:
  /// Error `state.none` when there is no state.db; `state.damaged`, `state.newer`, `state.busy`, `os.*`. The
  /// calls below have the same errors: each opens the file anew and sees one consistent moment of it.
  static Result<std::unique_ptr<Reader>> open(const std::filesystem::path& state_folder);
  virtual ~Reader() = default;
  virtual Result<std::optional<RunRecord>> last_run(const std::string& pipeline) = 0;
  /// Newest first.
  virtual Result<std::vector<RunRecord>> runs(const std::string& pipeline, size_t limit) = 0;
  virtual Result<std::optional<RunRecord>> run(const std::string& id) = 0;
  /// All instances of a run that are finished, and those started with result `none`, by index. Empty for an
  /// unknown run. One that was reused is `cached`, has no attempts, and the outputs, started and duration of
  /// what it reused. Without config, context, reads and sealed.
  virtual Result<std::vector<InstanceRecord>> instances(const std::string& run) = 0;
  /// InstanceRecord::reads of a run, by index; what read nothing is left out.
  virtual Result<std::map<uint32_t, std::string>> reads(const std::string& run) = 0;
  /// The same with config, context, reads and sealed, of what was reused too.
  virtual Result<std::vector<InstanceRecord>> instances_in_full(const std::string& run) = 0;
  /// All that is known of a run's attempts, by instance and attempt. Of an attempt that was repeated under
  /// its number the last.
  virtual Result<std::vector<AttemptEnd>> attempts(const std::string& run) = 0;
  /// Group address to expansion; the last one of each.
  virtual Result<std::map<std::string, std::string>> expansions(const std::string& run) = 0;
  /// In the order in which they ran.
  virtual Result<std::vector<HookRecord>> hooks(const std::string& run) = 0;
  /// Runs of kind `run` and `cleanup` that never ended, with those of their cleanups that have not ended;
  /// newest first. The one that goes on now is among them.
  virtual Result<std::vector<PendingCleanups>> pending_cleanups(const std::string& pipeline) = 0;
  /// The last success of each address of a pipeline, in any run of kind `run` or `cleanup`; newest first.
  /// `cached` is no success of its own. A later success in a run of kind `destroy` makes it forgotten.
  virtual Result<std::vector<InstanceRecord>> latest(const std::string& pipeline) = 0;
};

/// A run id for now: sorts by time, unique within the folder.
std::string new_run_id(WallTime now);

}  // namespace pf::state
