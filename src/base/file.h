// Files and descriptors. Functions are thread-safe; a UniqueFd belongs to one owner.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace pf {

/// Owns a file descriptor and closes it.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    reset(other.release());
    return *this;
  }
  ~UniqueFd() { reset(); }
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1);

 private:
  int fd_ = -1;
};

/// Reads a regular file of at most `limit` bytes; never blocks on a pipe or device.
/// Errors `os.*`, `file.too_big`, `file.not_regular`.
Result<std::string> read_file(const std::filesystem::path& path, uint64_t limit = UINT64_MAX);
/// Replaces a file's content as a whole: temporary file in the same folder, fsync where `durable`, rename.
/// `mode` is narrowed by the umask.
Result<void> write_file(const std::filesystem::path& path, std::string_view content, bool durable = false,
                        unsigned mode = 0666);
/// Writes all of `data`, through short writes and EINTR.
Result<void> write_all(int fd, std::string_view data);
Result<void> make_folders(const std::filesystem::path& path);

}  // namespace pf
