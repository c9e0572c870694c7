// Running the io helper: the door asks for it through this interface, whoever starts processes implements it.
// Belongs to one thread, the loop's: all functions are called there, and so are Progress and Done.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "services/usage.h"

namespace pf::services {

/// A file or folder that the helper may use. `fd` is opened with O_PATH: what stands in a rule of Landlock
/// should be made of it rather than of the path, which may lead elsewhere by then.
struct IoGrant {
  std::filesystem::path path;  // absolute, without links when it was opened
  std::shared_ptr<const UniqueFd> fd;
};

/// One operation of the io helper (services/io_protocol.h).
struct IoJob {
  std::string request;  // for its stdin
  std::vector<IoGrant> read, write;
  bool network = false;
  Milliseconds timeout{0};       // after which it is killed
  std::shared_ptr<Usage> usage;  // counts what the helper used; null: nothing does
};

class IoRunner {
 public:
  using Progress = std::function<void(double done, double total, std::string_view text)>;
  /// The encoded value, or an error: the helper's own, `io.timeout`, `io.crashed`, `io.protocol`,
  /// `io.stopped`, or why it could not be started.
  using Done = std::function<void(Result<std::string>)>;

  virtual ~IoRunner() = default;
  /// Done is called once, when the process has ended, never from inside run(). The job's number, for
  /// cancel().
  virtual uint64_t run(IoJob job, Progress progress, Done done) = 0;
  /// Kills the process; Done gets `io.stopped` once it is gone. Nothing for a number that has ended.
  virtual void cancel(uint64_t id) = 0;
};

}  // namespace pf::services
