// What the core and a shim say to each other over a SOCK_SEQPACKET pair, one struct a packet. The two are one
// build. Constants and plain structs only; thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pf::worker {

/// core -> shim.
struct ShimRequest {
  enum class Kind : uint32_t {
    run = 1,        // with four descriptors: a memory file with a ProgramSpec, and the program's 0, 1 and 2
    terminate = 2,  // SIGTERM to the program's process group
    kill = 3,       // SIGKILL to the program and all that descends from it
    interrupt = 4,  // SIGINT to the program's process group
  } kind = Kind::kill;
};
inline constexpr int kProgramFds = 4;

/// shim -> core.
struct ShimReport {
  enum class Kind : uint32_t {
    failed = 1,  // error, step: the program did not start; the shim is idle again
    exited = 2,  // status, cpu_us and what follows: all that it had started is gone; the shim is idle again
  } kind = Kind::failed;
  /// Which part of a start failed.
  enum class Step : uint32_t { request, folder, grant, confine, fork, exec } step = Step::request;
  int32_t status = 0;    // as waitpid gives it
  int32_t error = 0;     // errno
  uint32_t grant = 0;    // with Step::grant: the index of the path, reads before writes
  uint32_t left = 0;     // processes that it left running, which were killed
  uint64_t cpu_us = 0;   // user and system time, with those of its children that it waited for
  uint64_t max_rss = 0;  // bytes, of the largest of these processes
  uint64_t read_bytes = 0, write_bytes = 0;  // that read and write calls of these processes moved
};

/// A path that a program is granted.
struct ProgramPath {
  std::string path;  // absolute, normalised
  /// The part of it, in bytes, on which symbolic links are followed: what lies behind could be made by
  /// somebody who is not trusted, and no link counts there.
  size_t trusted = SIZE_MAX;
};

/// What a program is started with.
struct ProgramSpec {
  std::string file;  // absolute path of the executable
  /// Whether it may be read and executed wherever it lies, and wherever it leads: found by the operator's
  /// PATH, not by a path that an extension gave.
  bool grant_file = true;
  std::vector<std::string> arguments;    // argv, the program's own name first
  std::vector<std::string> environment;  // NAME=value
  std::string folder;                    // working directory, absolute
  // Ignored by an unconfined shim, but for file_size.
  bool network = false;
  bool shm = false;                // /dev/shm, which it shares with the user's other programs
  bool pty = false;                // /dev/ptmx and /dev/pts
  std::vector<ProgramPath> read;   // read and execute, with all that is in them
  std::vector<ProgramPath> write;  // everything but devices
  uint64_t file_size = 0;          // bytes that a file may grow to; 0 = any
};

std::string encode(const ProgramSpec& spec);
/// False where the text is none.
bool decode(std::string_view text, ProgramSpec& out);

}  // namespace pf::worker
