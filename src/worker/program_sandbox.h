// The OS sandbox of programs: what Landlock lets them reach and seccomp lets them do. Unlike a worker's it is
// made to run ordinary tools, and what it takes away is what reaches beyond the program's own folders. Child
// side only, in a shim; single-threaded.
#pragma once

#include <linux/filter.h>

#include <memory>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "worker/program_protocol.h"

namespace pf::worker {

/// Landlock rulesets for programs. Keeps the descriptors of the folders that every program may use.
class ProgramRules {
 public:
  ProgramRules();
  /// The kernel's ABI; 0 where it has no Landlock.
  int abi() const { return abi_; }
  /// Confines the calling process, a shim, so far that its descendants can signal nothing outside, and it can
  /// still start them. True when that was seen to hold. Needs no_new_privs.
  bool scope_signals() const;
  /// A ruleset for a program, to be given to restrict_self; -1 with errno, and `grant` the index of the path
  /// that cannot be granted, or UINT32_MAX.
  ///
  /// Granted always: read and execute /usr /bin /sbin /lib* /etc /opt; read /proc and parts of /sys, urandom,
  /// random; read, write and ioctl of null, zero, full, tty.
  UniqueFd make(const ProgramSpec& spec, uint32_t& grant);
  /// Async-signal-safe: for the child of vfork. 0, or -1 with errno.
  static int restrict_self(int ruleset);

 private:
  struct Base {
    UniqueFd fd;
    uint64_t access;
  };
  uint64_t handled_ = 0;
  int abi_ = 0;
  std::vector<Base> base_;
};

/// The seccomp filter of programs: everything is allowed but what follows.
/// - sockets, where there is no network: EACCES (a socketpair of a stream or packets is one program's own
/// business);
///   with network only those of the Internet, of netlink, and Unix ones;
/// - io_uring, which would pass by the filter, and clone3, whose arguments no filter can see: ENOSYS;
/// - namespaces, other processes' limits, the kernel's keys, bpf, perf, userfaultfd, ptrace of others' memory
/// by
///   number, TIOCSTI: EPERM;
/// - system calls of another architecture: the process is killed.
class ProgramFilter {
 public:
  /// Errors: `sandbox.unavailable`.
  static Result<ProgramFilter> build(bool network);
  /// On the calling thread and all that descends from it. Needs no_new_privs. 0, or -1 with errno.
  int install() const;

 private:
  std::vector<sock_filter> program_;
};

}  // namespace pf::worker
