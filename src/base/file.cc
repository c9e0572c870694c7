#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

namespace pf {

void UniqueFd::reset(int fd) {
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

Result<std::string> read_file(const std::filesystem::path& path, uint64_t limit) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd) return tl::unexpected(system_error("cannot read " + path.string(), errno));
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0)
    return tl::unexpected(system_error("cannot read " + path.string(), errno));
  if (!S_ISREG(info.st_mode)) {
    return refuse("file.not_regular", "cannot read " + path.string() + ": it is no regular file");
  }
  auto too_big = [&] {
    return refuse("file.too_big",
                  "cannot read " + path.string() + ": it is larger than " + std::to_string(limit) + " bytes");
  };
  if (static_cast<uint64_t>(info.st_size) > limit) return too_big();
  std::string out;
  out.resize(static_cast<size_t>(info.st_size) + 1);  // one more, to see the end in the same read
  size_t have = 0;
  while (true) {
    ssize_t n = ::read(fd.get(), out.data() + have, out.size() - have);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return tl::unexpected(system_error("cannot read " + path.string(), errno));
    if (n == 0) break;
    have += static_cast<size_t>(n);
    if (have > limit) return too_big();
    if (have == out.size()) out.resize(out.size() * 2);
  }
  out.resize(have);
  return out;
}

Result<void> write_all(int fd, std::string_view data) {
  while (!data.empty()) {
    ssize_t n = ::write(fd, data.data(), data.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return tl::unexpected(system_error("write", errno));
    data.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

Result<void> write_file(const std::filesystem::path& path, std::string_view content, bool durable,
                        unsigned mode) {
  static std::atomic<uint64_t> counter{0};
  const auto failed = [&](int code) {
    return tl::unexpected(system_error("cannot write " + path.string(), code));
  };
  std::filesystem::path temporary = path;
  temporary += "." + std::to_string(::getpid()) + "." + std::to_string(counter++) + ".tmp";
  UniqueFd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  if (!fd) return failed(errno);
  auto written = write_all(fd.get(), content);
  int code = written ? 0 : errno;
  if (code == 0 && durable && ::fsync(fd.get()) != 0) code = errno;
  fd.reset();
  if (code == 0 && ::rename(temporary.c_str(), path.c_str()) != 0) code = errno;
  if (code != 0) {
    ::unlink(temporary.c_str());
    return failed(code);
  }
  if (durable) {
    const auto parent = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
    UniqueFd folder(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder || ::fsync(folder.get()) != 0) return failed(errno);
  }
  return {};
}

Result<void> make_folders(const std::filesystem::path& path) {
  std::error_code code;
  std::filesystem::create_directories(path, code);
  if (code) return tl::unexpected(system_error("cannot make folder " + path.string(), code.value()));
  return {};
}

}  // namespace pf
