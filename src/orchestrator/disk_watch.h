// Looks after the disk that the state folder is on: an instance that fills it is found and ended while there
// is still room for the others and for the run store. Belongs to one thread, but for measure().
#pragma once

#include <cstdint>
#include <filesystem>

namespace pf::orchestrator {

class DiskWatch {
 public:
  /// `folder` exists. What is free now is what the run may use, but for a reserve: an eighth of it, at most 1
  /// GiB.
  explicit DiskWatch(std::filesystem::path folder);

  /// Whether less than the reserve is left. One system call.
  bool low();
  /// Bytes that were left when low() was called last.
  uint64_t left() const { return left_; }
  /// Whether a work folder of so many bytes is to blame: it takes at least half of what has gone since the
  /// start. An instance that took little is never ended for another one's sake, nor for a stranger's.
  bool to_blame(uint64_t bytes) const { return bytes > 0 && bytes >= (start_ - left_) / 2; }

  /// The bytes on disk below a folder, links not followed; stops after `most` entries. Thread-safe.
  static uint64_t measure(const std::filesystem::path& folder, uint64_t most = 1'000'000);

 private:
  uint64_t free_now() const;

  std::filesystem::path folder_;
  uint64_t start_ = 0;
  uint64_t reserve_ = 0;
  uint64_t left_ = 0;
};

}  // namespace pf::orchestrator
