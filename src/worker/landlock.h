// Landlock (Documentation/userspace-api/landlock.rst): takes every access to files, TCP and foreign processes
// away from the calling thread and those that it makes later. Child side only. Thread-safe; no state.
#pragma once

#include <string>

namespace pf::worker {

/// What Landlock has in force for the calling thread, feature by feature.
struct Landlock {
  int abi = 0;                    // of the kernel; 0 = none
  bool files = false;             // ABI 1: no file can be opened, made, removed or executed
  bool refer = false;             // ABI 2: nor linked or moved between folders
  bool truncate = false;          // ABI 3
  bool tcp = false;               // ABI 4: no bind, no connect
  bool device_ioctl = false;      // ABI 5
  bool abstract_sockets = false;  // ABI 6: abstract Unix sockets outside are out of reach
  bool signals = false;           // ABI 6: processes outside cannot be signalled
  std::string problem;            // why nothing is in force although abi > 0; else empty
};

/// The kernel's Landlock ABI; 0 where it has none or it was disabled at boot.
int landlock_abi();
/// Restricts the calling thread with every feature of the kernel's ABI that is known here, and grants
/// nothing. Needs no_new_privs or CAP_SYS_ADMIN. Never fails: the result says what is in force.
Landlock landlock_restrict_all();

}  // namespace pf::worker
