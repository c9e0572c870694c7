// The seccomp filter of workers: an allow-list of what LuaJIT, the C library's allocator and one socket need.
// Built once in the guardian, installed in every worker. Child side only; one thread builds, any may install.
//
// What happens to a call that is not on the list:
// - KILL (SIGSYS, the whole process): what no honest code of a worker ever tries and no C library falls back
// to:
//   execve, fork, clone, ptrace, signals to others, mount, namespaces, other processes' memory, more sockets,
//   io_uring, bpf, keys, kernel modules. The first attempt ends the worker and is told as a forbidden system
//   call.
// - EPERM: everything else, open and socket among them. C libraries open files of their own accord (locale,
// time zone,
//   overcommit settings) and live with a refusal; and a worker tries open and socket itself before it loads
//   anything, to see the filter work.
// - ENOSYS: clone3, whose arguments no filter can see; the C library then tries clone, and that is killed.
#pragma once

#include <linux/filter.h>

#include <vector>

#include "base/error.h"

namespace pf::worker {

/// A compiled filter.
class SeccompFilter {
 public:
  /// Errors: `sandbox.unavailable`.
  static Result<SeccompFilter> build();
  /// Installs it for all threads of the process and checks that it works. Needs no_new_privs. After it
  /// nothing can be opened. Errors: `sandbox.unavailable`.
  Result<void> install() const;
  size_t instructions() const { return program_.size(); }

 private:
  std::vector<sock_filter> program_;
};

}  // namespace pf::worker
