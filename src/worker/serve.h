// A worker's life after the fork: confine, load, and run jobs until the socket to the core ends. Child side
// only; runs in a process of its own and never returns.
#pragma once

#include <sys/types.h>

#include "base/error.h"
#include "worker/seccomp_filter.h"

namespace pf::worker {

/// What the guardian tells the worker that it forks.
struct ServeOptions {
  int socket = -1;      // SOCK_STREAM to the core; everything else is closed
  pid_t parent = 0;     // the guardian: when it is gone, so is the worker
  uint64_t memory = 0;  // bytes of Lua heap
  bool probe = false;   // report the sandbox and exit
};

/// Confines this process and serves the core. `filter` may hold the error of its making: then the worker says
/// so in a load_failed frame and exits. The caller must have one thread.
[[noreturn]] void serve(const ServeOptions& options, const Result<SeccompFilter>& filter);

}  // namespace pf::worker
