// What the core and its guardian say to each other over a SOCK_SEQPACKET pair (one struct a packet), and what
// both sides know of a worker process. The two are one build: the core passes its version to the guardian,
// which refuses another one. Constants and plain structs only; thread-safe.
#pragma once

#include <cstdint>

namespace pf::worker {

/// The descriptor on which the guardian finds its socket to the core, and a worker its own.
inline constexpr int kSocketFd = 3;
/// The first argument of the guardian; the second is the version of the program.
inline constexpr const char* kGuardianWord = "--guardian";

/// core -> guardian.
struct GuardianRequest {
  enum class Kind : uint32_t {
    spawn = 1,  // with the worker's socket in SCM_RIGHTS
    probe = 2,  // the same; the worker reports its sandbox in a ready frame and exits, nothing is loaded
    kill = 3,   // SIGKILL; of a worker that has ended: nothing
    shim = 4,   // with the shim's socket; see worker/shim.h
  } kind = Kind::kill;
  uint32_t worker = 0;      // the core's number for it, never used twice with one guardian
  uint64_t memory = 0;      // bytes of Lua heap that the worker's limits must leave room for
  uint32_t unconfined = 0;  // of a shim: 1 = its programs get the rights of the user
  uint32_t degraded = 0;    // of a shim: 1 = it goes on where the kernel has no Landlock
};

/// guardian -> core.
struct GuardianReport {
  enum class Kind : uint32_t {
    spawned = 1,       // pid
    exited = 2,        // status, cpu_us, max_rss
    spawn_failed = 3,  // error
  } kind = Kind::exited;
  uint32_t worker = 0;
  int32_t pid = 0;
  int32_t status = 0;    // as waitpid gives it
  int32_t error = 0;     // errno
  uint64_t cpu_us = 0;   // user and system time of the whole life
  uint64_t max_rss = 0;  // bytes; the guardian's own at the fork is its lower bound
};

/// Exit codes of the guardian and of workers.
inline constexpr int kExitUsage = 2;         // not started by a core of this version
inline constexpr int kExitProtocol = 70;     // the core sent what no core of ours sends
inline constexpr int kExitLoadFailed = 71;   // after a load_failed frame
inline constexpr int kExitOutOfMemory = 72;  // C++ code could not allocate within RLIMIT_AS
inline constexpr int kExitInternal = 73;     // an exception that nothing handles
inline constexpr int kExitSetup = 74;        // descriptors, thread or stack of a worker could not be made

/// What a worker's address space is given beyond the Lua heap and what is mapped at its start.
inline constexpr uint64_t kStackBytes = 256ULL << 20;
inline constexpr uint64_t kSlackBytes = 64ULL << 20;

}  // namespace pf::worker
