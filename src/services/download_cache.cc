#include "services/download_cache.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <vector>

#include "base/digest.h"
#include "services/file_calls.h"

namespace pf::services {
namespace {

constexpr size_t kPiece = 256U << 10;

// Seconds since 1970, between 2001 and 2035: file systems keep whole seconds at least.
time_t stamp_of(const std::string& sha256, uint64_t size) {
  uint64_t number = 0;
  std::from_chars(sha256.data(), sha256.data() + 15, number, 16);
  number ^= size * 0x9e3779b97f4a7c15ULL;
  return static_cast<time_t>(1'000'000'000 + (number >> 20) % (1ULL << 30));
}

void stamp(int fd, const std::string& sha256, uint64_t size) {
  timespec times[2]{};
  times[0].tv_nsec = UTIME_OMIT;
  times[1].tv_sec = stamp_of(sha256, size);
  if (::futimens(fd, times) != 0) return;  // then it is hashed before its next use
}

bool stamped(const struct stat& info, const std::string& sha256) {
  return info.st_mtim.tv_nsec == 0 &&
         info.st_mtim.tv_sec == stamp_of(sha256, static_cast<uint64_t>(info.st_size));
}

std::string digest_of(int fd) {
  Sha256 digest;
  std::vector<char> buffer(kPiece);
  for (off_t at = 0;;) {
    const ssize_t n = ::pread(fd, buffer.data(), buffer.size(), at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return {};
    if (n == 0) break;
    digest.update({buffer.data(), static_cast<size_t>(n)});
    at += n;
  }
  const auto bytes = digest.finish();
  return to_hex({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

}  // namespace

int copy_content(int from, int to, uint64_t size) {
  if (::ioctl(to, FICLONE, from) == 0) return 0;
  off_t in = 0;
  off_t out = 0;
  bool by_hand = false;
  std::vector<char> buffer;
  while (static_cast<uint64_t>(in) < size) {
    const uint64_t left = size - static_cast<uint64_t>(in);
    if (!by_hand) {
      const ssize_t n = ::copy_file_range(from, &in, to, &out, std::min<uint64_t>(left, 1U << 30), 0);
      if (n > 0) continue;
      if (n == 0) return EIO;  // it became shorter
      if (errno == EINTR) continue;
      if (errno == ENOSPC || errno == EDQUOT || errno == EIO) return errno;
      by_hand = true;
      buffer.resize(kPiece);
    }
    const ssize_t n = ::pread(from, buffer.data(), std::min<uint64_t>(left, buffer.size()), in);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return n == 0 ? EIO : errno;
    for (ssize_t done = 0; done < n;) {
      const ssize_t put = ::pwrite(to, buffer.data() + done, static_cast<size_t>(n - done), in + done);
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) return errno;
      done += put;
    }
    in += n;
  }
  return 0;
}

DownloadCache::Entry& DownloadCache::Entry::operator=(Entry&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(path_, other.path_);
  return *this;
}

DownloadCache::Entry::~Entry() {
  if (fd_) ::unlink(path_.c_str());
}

std::optional<DownloadCache::Hit> DownloadCache::find(const std::string& sha256) const {
  if (!enabled()) return std::nullopt;
  const auto file = path(sha256);
  Hit hit;
  hit.fd.reset(::open(file.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat info {};
  if (!hit.fd || ::fstat(hit.fd.get(), &info) != 0 || !S_ISREG(info.st_mode)) return std::nullopt;
  hit.size = static_cast<uint64_t>(info.st_size);
  if (stamped(info, sha256)) return hit;
  if (digest_of(hit.fd.get()) != sha256) {
    ::unlink(file.c_str());
    return std::nullopt;
  }
  stamp(hit.fd.get(), sha256, hit.size);
  return hit;
}

DownloadCache::Entry DownloadCache::make() const {
  Entry entry;
  if (!enabled()) return entry;
  const auto folder = folder_ / "sha256";
  entry.path_ = folder / temporary_name();
  const auto open = [&] {
    entry.fd_.reset(::open(entry.path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  };
  open();
  if (!entry.fd_ && errno == ENOENT && make_folders(folder)) open();
  return entry;
}

void DownloadCache::keep(Entry entry, const std::string& sha256, uint64_t size) const {
  if (!entry) return;
  stamp(entry.fd(), sha256, size);
  if (::rename(entry.path_.c_str(), path(sha256).c_str()) == 0) entry.fd_.reset();
}

}  // namespace pf::services
