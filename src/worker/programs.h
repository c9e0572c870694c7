// Programs: executables that run confined below a shim (worker/shim.h), their output read as it comes, killed
// whole at their timeout. Owned by the Supervisor; everything on the loop's thread, callbacks never from
// inside start(). The process must ignore SIGPIPE: a program need not read its input.
//
// Shims are kept and used again, as many as programs ran at once: a program costs a fork and an exec, not
// two.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"
#include "services/usage.h"
#include "worker/program_protocol.h"

namespace pf::worker {

/// One program to run.
struct Program {
  ProgramSpec spec;
  bool confined = true;
  std::string input;         // what it reads on stdin; then the end of the file
  Milliseconds timeout{0};   // 0 = none
  Milliseconds grace{2000};  // between SIGTERM and SIGKILL, at the timeout
};

/// How a program ended.
struct ProgramEnd {
  /// It did not start, or was lost: `process.start`, `process.grant`, `process.lost`, `sandbox.unavailable`.
  std::optional<Error> error;
  int status = 0;                            // as waitpid gives it, where there is no error
  bool timed_out = false;                    // killed for its timeout
  bool killed = false;                       // by kill()
  uint32_t left = 0;                         // processes that it left running, which were killed
  uint64_t cpu_us = 0;                       // with those of its children that it waited for
  uint64_t max_rss = 0;                      // bytes, of the largest of these processes
  uint64_t read_bytes = 0, write_bytes = 0;  // of read and write calls; see services/usage.h

  void count(services::Usage& usage) const {
    usage.read(read_bytes);
    usage.write(write_bytes);
    usage.program(cpu_us, max_rss);
  }
};

class Programs {
 public:
  /// `stream` is 1 or 2.
  using Output = std::function<void(int stream, std::string_view bytes)>;
  /// Called once, when the program has ended, all that it started is gone, and its output has been told.
  using Ended = std::function<void(ProgramEnd end)>;

  virtual ~Programs() = default;
  /// The program's number, for the others.
  virtual uint64_t start(Program program, Output output, Ended ended) = 0;
  /// SIGINT, or else SIGTERM, to its process group. It ends when it likes. Of an unknown one: nothing.
  virtual void signal(uint64_t program, int number) = 0;
  /// SIGKILL to it and all that descends from it. It ends as always. Of an unknown one: nothing.
  virtual void kill(uint64_t program) = 0;
  /// The same, and nothing of it is told any more.
  virtual void drop(uint64_t program) = 0;
  /// Stops reading its output, which then fills its pipes and makes it wait, or goes on.
  virtual void pause(uint64_t program, bool paused) = 0;
};

}  // namespace pf::worker
