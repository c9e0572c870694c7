#include "orchestrator/disk_watch.h"

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>

namespace pf::orchestrator {
namespace {

constexpr uint64_t kMostReserve = 1ULL << 30;
constexpr uint64_t kShare = 8;
constexpr uint64_t kBlock = 512;  // what st_blocks counts: stat(2)

}  // namespace

DiskWatch::DiskWatch(std::filesystem::path folder) : folder_(std::move(folder)) {
  start_ = left_ = free_now();
  reserve_ = std::min(kMostReserve, start_ / kShare);
}

uint64_t DiskWatch::free_now() const {
  struct statvfs info {};
  // A file system that does not say is not watched.
  if (::statvfs(folder_.c_str(), &info) != 0) return start_;
  return static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
}

bool DiskWatch::low() {
  left_ = std::min(free_now(), start_);
  return left_ < reserve_;
}

uint64_t DiskWatch::measure(const std::filesystem::path& folder, uint64_t most) {
  namespace fs = std::filesystem;
  uint64_t bytes = 0;
  std::error_code code;
  fs::recursive_directory_iterator at(folder, fs::directory_options::skip_permission_denied, code);
  for (uint64_t seen = 0; !code && at != fs::recursive_directory_iterator() && seen < most; ++seen) {
    struct stat info {};
    if (::lstat(at->path().c_str(), &info) == 0) bytes += static_cast<uint64_t>(info.st_blocks) * kBlock;
    at.increment(code);
  }
  return bytes;
}

}  // namespace pf::orchestrator
