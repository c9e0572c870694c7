// A sandboxed LuaJIT VM for one extension, made fresh for each job from a snapshot. Lives in a worker process
// only. One thread: the one that called load() (it needs a stack of 256 MiB; see worker/).
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "registry/frames.h"

namespace pf::vm {

/// The answer to a host call: an encoded value, or an error.
struct Reply {
  uint32_t request = 0;
  Result<std::string> value;  // CBOR
};

/// The VM's only way out, implemented by the worker's main loop over its socket.
class Host {
 public:
  virtual ~Host() = default;
  /// Sends a host call of the current job. `arguments` is an encoded CBOR array. Request 0: no reply will
  /// come.
  virtual void call(uint32_t request, int call, std::string_view arguments) = 0;
  /// Nobody wants the reply of this call any more: what it began may be ended. The reply still comes.
  virtual void cancel(uint32_t request) = 0;
  /// Blocks until a reply to any outstanding request of the current job comes.
  virtual Reply wait() = 0;
};

/// What a load frame carries.
struct Load {
  std::string name;
  std::string version;
  std::map<std::string, std::string>
      modules;                     // module name ("extension", "models", "lib.words") -> Lua source
  uint64_t memory = 256ULL << 20;  // bytes of Lua heap, while it is loaded
};

/// One job, decoded from a run frame; the views point into the frame.
struct Job {
  frames::JobKind kind = frames::JobKind::instance;
  std::chrono::milliseconds soft{0};        // wall time after which the deadline hook raises; 0 = none
  std::chrono::milliseconds cpu{0};         // CPU time of the VM's thread; 0 = none
  uint64_t memory = 256ULL << 20;           // bytes of Lua heap
  uint64_t output = 1ULL << 20;             // encoded bytes of outputs, and of state
  uint32_t calls = 64;                      // host calls that wait for their replies at once
  std::string_view name, type, stack;       // instance
  std::string_view config, state, runtime;  // instance: encoded CBOR values (state, runtime may encode null)
                                            // hook: `name` is the script, `config` the event or null
  uint32_t attempt = 1;
};

/// What came of a job.
struct Outcome {
  bool ok = false;
  std::string value;  // CBOR: outputs (a map), or what the job's function returned
  std::string state;  // CBOR: self.state at cleanup, or empty when there was none
  Error error;        // where not ok
  uint64_t cpu_us = 0;
  uint64_t peak_bytes = 0;  // of the Lua heap
};

/// Holds the arena, the snapshot and the rules of the sandbox.
class Vm {
 public:
  /// Builds VM, prelude and the compiled (not run) modules, and takes the snapshot. Errors: `lua.syntax` with
  /// the module's file name and line, `limit.memory`.
  static Result<std::unique_ptr<Vm>> load(Load load);
  virtual ~Vm() = default;
  /// Runs one job in a fresh VM. Whatever Lua does ends here as an Outcome; only killing the process bounds a
  /// C function that loops.
  virtual Outcome run(const Job& job, Host& host) = 0;
};

}  // namespace pf::vm
