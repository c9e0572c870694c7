// What the OS sandbox of workers has in force, as a worker itself reports it (see confine.h), for `doctor`, a
// run's record and its first event. A JSON object:
//   seccomp               true; without it no worker runs
//   no_new_privs          true
//   capabilities_dropped  no capability is left
//   bounding_set_empty    none can come back either; an ordinary user cannot empty it and has nothing in it
//   to use landlock_abi          the kernel's; 0 = none. landlock_problem: why nothing is in force although
//   there is one landlock              {files, refer, truncate, tcp, device_ioctl, abstract_sockets,
//   signals}: what is taken away rlimits               {address_space (bytes of a worker of 256 MiB of Lua
//   heap, null in sanitizer builds), files,
//                          core, file_size, processes}
// Pure functions; thread-safe.
#pragma once

#include <string>
#include <vector>

#include "base/json_fwd.h"

namespace pf::worker {

/// One line for each thing that a newer or otherwise configured kernel would add; empty when all is in force.
std::vector<std::string> sandbox_gaps(const Json& sandbox);
/// Whether Landlock takes files away: the condition for running programs without `core.sandbox: degraded`.
bool landlock_in_force(const Json& sandbox);

}  // namespace pf::worker
