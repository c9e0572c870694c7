// How a worker gives up what it does not need, before anything of an extension is read. Child side only.
//
// Order: the process first (descriptors, limits, capabilities, no_new_privs, Landlock), while it has one
// thread, because Landlock binds only the calling thread and those made later; then the VM's thread is made;
// then that thread installs the seccomp filter for both. Run as root, a worker keeps uid 0 (so that files of
// its kind belong to nobody new) but no capability at all: neither permitted, effective, inheritable, ambient
// nor in the bounding set.
#pragma once

#include <cstdint>
#include <string>

#include "base/error.h"
#include "worker/landlock.h"
#include "worker/seccomp_filter.h"

namespace pf::worker {

/// What is in force in this process.
struct Confinement {
  bool seccomp = false;
  bool no_new_privs = false;
  bool capabilities_dropped = false;  // permitted, effective, inheritable and ambient are empty
  bool bounding_set_empty =
      false;  // only who has CAP_SETPCAP can empty it; without the others it grants nothing
  Landlock landlock;
  uint64_t address_space = 0;  // bytes, RLIMIT_AS; 0 = not limited (sanitizer builds)

  /// The map of a ready frame: see worker/sandbox.h.
  std::string encode() const;
};

/// Makes `socket` descriptor kSocketFd, /dev/null 0 to 2, and closes everything else. False when that is not
/// possible.
bool keep_only(int socket);
/// Empties the capability sets of the calling process. False when the kernel refuses that.
bool drop_capabilities(Confinement& out);
/// The part before the VM's thread is made. `memory`: bytes of Lua heap. Errors: `sandbox.unavailable` where
/// the kernel refuses no_new_privs, a limit, or to drop capabilities.
Result<void> confine_process(uint64_t memory, Confinement& out);
/// The part after it; the filter binds all threads. Errors: `sandbox.unavailable`.
Result<void> confine_threads(const SeccompFilter& filter, Confinement& out);

}  // namespace pf::worker
