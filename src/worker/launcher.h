// How worker processes come and go, as the core needs it: behind an interface, so that a test can put a peer
// of its own at the other end of a worker's socket. Owned by the Hub; everything on the loop's thread.
#pragma once

#include <cstdint>
#include <string>

#include "base/error.h"
#include "base/file.h"

namespace pf::worker {

/// How a worker process ended.
struct Exit {
  int status = 0;        // as waitpid gives it
  uint64_t cpu_us = 0;   // of its whole life
  uint64_t max_rss = 0;  // bytes
};

/// Starts and kills workers by number.
class Launcher {
 public:
  /// Told from the loop, never from inside launch() or kill().
  class Events {
   public:
    virtual ~Events() = default;
    virtual void worker_spawned(uint32_t worker, int pid) = 0;
    virtual void worker_exited(uint32_t worker, const Exit& exit) = 0;
    virtual void worker_not_spawned(uint32_t worker, const Error& error) = 0;
    /// All workers are gone or going, and none of them will be told of.
    virtual void launcher_lost(const std::string& why) = 0;
  };

  virtual ~Launcher() = default;
  virtual void listen(Events& events) = 0;
  /// Starts a worker with `socket` as its end; `memory` in bytes of Lua heap. Errors: `worker.start`.
  virtual Result<void> launch(uint32_t worker, UniqueFd socket, uint64_t memory) = 0;
  /// Starts a shim (shim.h) with `socket` as its end; nothing is told of it, but its socket ends when it
  /// does. With `degraded` it goes on where the kernel has no Landlock. Errors: `worker.start`.
  virtual Result<void> launch_shim(uint32_t number, UniqueFd socket, bool confined, bool degraded) = 0;
  /// SIGKILL; worker_exited comes as always. Of an unknown worker: nothing.
  virtual void kill(uint32_t worker) = 0;
};

}  // namespace pf::worker
