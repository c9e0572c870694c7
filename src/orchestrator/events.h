// What happens in a run, as the orchestrator tells it: report/ turns it into a live view, lines, or JSON.
// Events come on the loop's thread, in order; those that tell a result come only after it is durable. Views
// are valid during the call.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/json_fwd.h"
#include "state/store.h"

namespace pf::orchestrator {

/// An instance as reports know it; `index` is its place in RunStarted::instances.
struct InstanceInfo {
  std::string address;  // `type.name` or `type.name["key"]`
  std::string type;
};

struct RunStarted {
  std::string run, pipeline, file;
  WallTime time{};
  const std::vector<InstanceInfo>* instances = nullptr;  // lives as long as the run
  const Json* sandbox = nullptr;
  std::string log_file;  // where the run's log lines are kept
  std::string profile;   // empty: none
  bool resumed = false;  // goes on with an earlier run, whose id it keeps
  uint32_t max_parallel = 0;
  /// By index: how long each took when it last succeeded; 0: not known. Null: nothing is known.
  const std::vector<Milliseconds>* expected = nullptr;
  /// What each waits for, by index; lives as long as the run. Null: not told.
  const std::vector<std::vector<uint32_t>>* upstream = nullptr;
};

/// A for_each over outputs was expanded: RunStarted::instances has grown by `count`, from `first` on.
struct Expanded {
  uint32_t group;
  uint32_t first;
  uint32_t count;
  WallTime time;
};

struct InstanceStarted {
  uint32_t index;
  uint32_t attempt;
  WallTime time;
  std::string_view why = {};  // `never succeeded before`, `region: a -> b at prod.yaml:14:7`; lines
};

struct AttemptFailed {
  uint32_t index;
  uint32_t attempt;
  WallTime time;
  const Error* error;
  Milliseconds retry_in;
};

struct InstanceFinished {
  uint32_t index;
  WallTime time;
  state::InstanceResult result;
  uint32_t attempts;
  Milliseconds duration;
  std::string_view outputs;      // CBOR map, or empty
  const Error* error;            // null when there is none
  std::string_view blocked_by;   // address; for blocked and skipped
  std::string_view work_folder;  // where a failed attempt's files were kept; else empty
  uint64_t cpu_us = 0;           // of all attempts
  uint64_t peak_bytes = 0;       // of memory
  uint64_t read_bytes = 0;       // of all attempts; what counts says services/usage.h
  uint64_t write_bytes = 0;
  WallTime cached_at{};       // when it last ran; for cached
  std::string_view why = {};  // why it ran, or why not; lines
};

/// What a hook did.
struct HookRan {
  WallTime time;
  std::string_view stage;     // `before_instance`
  int64_t index;              // of the instance; -1: the pipeline's
  std::string_view script;    // path
  std::string_view decision;  // `none`, `skip`, `config`, `retry`, `veto`, `failed`
  std::string_view text;      // the reason, or what changed; may be empty
  Milliseconds duration;
};

enum class LogLevel : uint8_t { debug, info, warn, error };
struct LogLine {
  uint32_t index;
  WallTime time;
  LogLevel level;
  std::string_view message;
  const Json* fields;
};
struct Progress {
  uint32_t index;
  WallTime time;
  double done;
  double total;
  std::string_view text;
};  // total 0: unknown
struct Refused {
  uint32_t index;
  WallTime time;
  std::string_view call;
  const Error* error;
};
struct RunFailure {
  WallTime time;
  const Error* error;
};  // an error of the run itself, such as a full disk

struct RunFinished {
  WallTime time;
  state::RunResult result;
  Milliseconds duration;
  const std::vector<state::InstanceRecord>* instances;  // in index order
  uint32_t refused_calls;
  std::string command;                 // what to type to go on, or empty
  WallTime oldest{};                   // of the cached results; epoch 0: none was cached
  std::string_view first_failed = {};  // address; empty: nothing failed
};

/// Receives a run's events.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void on(const RunStarted&) = 0;
  virtual void on(const InstanceStarted&) = 0;
  virtual void on(const AttemptFailed&) = 0;
  virtual void on(const InstanceFinished&) = 0;
  virtual void on(const LogLine&) = 0;
  virtual void on(const Progress&) = 0;
  virtual void on(const Refused&) = 0;
  virtual void on(const Expanded&) {}
  virtual void on(const HookRan&) {}
  virtual void on(const RunFailure&) = 0;
  virtual void on(const RunFinished&) = 0;
  /// A tick about ten times a second while a run goes on, for what redraws.
  virtual void tick(SteadyTime now) = 0;
  /// The process ends at once, without RunFinished: what was changed of the terminal is put back.
  virtual void leaving() {}
};

}  // namespace pf::orchestrator
