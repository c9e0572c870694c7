// A shim: the parent of one program at a time, and of all that the program starts. A fork of the guardian, so
// that it is small; a subreaper, so that what daemonises stays its descendant; the holder of a Landlock layer
// that keeps signals of its descendants inside it, so that kill(-1) reaches exactly these. When a program
// ends, what it left running is killed before that is reported. A shim serves one program after the other, of
// any instance; it keeps nothing of the last one. When the core or the guardian is gone it kills what it has
// and ends. One thread.
#pragma once

#include <sys/types.h>

#include <memory>

#include "base/error.h"
#include "worker/program_sandbox.h"

namespace pf::worker {

/// What the guardian makes once and its shims inherit.
struct ProgramFilters {
  Result<ProgramFilter> offline = ProgramFilter::build(false);
  Result<ProgramFilter> online = ProgramFilter::build(true);
};

struct ShimOptions {
  int socket = -1;        // SOCK_SEQPACKET to the core; everything else is closed
  pid_t parent = 0;       // the guardian
  bool confined = true;   // false: programs get the rights of the user, for those that need setuid tools
  bool degraded = false;  // confined, but go on without Landlock
};

/// Serves the core until one of the two is gone; never returns. The caller must have one thread.
[[noreturn]] void shim(const ShimOptions& options, const ProgramFilters& filters);

}  // namespace pf::worker
