// Inside the io helper: what its operations share. The program is started anew for each operation, confined
// to the folders that the request names, has one thread, and ends after its answer.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/file.h"
#include "services/io_protocol.h"

namespace pf::services::io {

/// Tells the core how far the operation is, ten times a second at most.
class Reporter {
 public:
  explicit Reporter(int fd) : fd_(fd) {}
  void progress(double done, double total, std::string_view text);
  /// What may be said now; progress() asks it itself.
  bool due() const;

 private:
  int fd_;
  std::chrono::steady_clock::time_point last_{};
  uint32_t said_ = 0;
};

/// Opens a file or folder that the request names, and looks whether it is still the same one. Never follows a
/// link at its end, never waits for a pipe. Errors: `io.moved`, `os.*`.
Result<UniqueFd> open_place(const Place& place, int flags);

/// Each returns the encoded value of its answer.
Result<std::string> archive_list(const ArchiveList& request, Reporter& reporter);
Result<std::string> archive_extract(const ArchiveExtract& request, Reporter& reporter);
Result<std::string> archive_create(const ArchiveCreate& request, Reporter& reporter);
Result<std::string> git(const GitRequest& request, Reporter& reporter);

}  // namespace pf::services::io
