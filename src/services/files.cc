#include "services/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <memory>

#include "services/file_calls.h"

namespace pf::services {

int open_at2(int folder, const char* path, uint64_t flags, uint64_t mode, uint64_t resolve) {
  open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.mode = mode;
  how.resolve = resolve;
  for (int tries = 0;; ++tries) {
    const long fd = ::syscall(SYS_openat2, folder, path, &how, sizeof how);
    if (fd >= 0 || (errno != EAGAIN && errno != EINTR) || tries == 1000) return static_cast<int>(fd);
  }
}

int read_entries(int fd, std::vector<Entry>& out) {
  const int own = ::openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (own < 0) return errno;
  std::unique_ptr<DIR, int (*)(DIR*)> folder(::fdopendir(own), ::closedir);
  if (!folder) {
    const int code = errno;
    ::close(own);
    return code;
  }
  while (true) {
    errno = 0;
    const dirent* entry = ::readdir(folder.get());
    if (entry == nullptr) return errno;
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    unsigned char type = entry->d_type;
    if (type == DT_UNKNOWN) {
      struct stat info {};
      if (::fstatat(fd, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0) continue;  // gone meanwhile
      type = static_cast<unsigned char>(IFTODT(info.st_mode));
    }
    out.push_back({std::string(name), type});
  }
}

std::string temporary_name() {
  static std::atomic<uint64_t> counter{0};
  return ".pangeo-forge-" + std::to_string(::getpid()) + "-" + std::to_string(counter++) + ".tmp";
}

std::string_view describe(FileType type) {
  switch (type) {
    case FileType::file: return "file";
    case FileType::folder: return "folder";
    case FileType::link: return "link";
    case FileType::other: return "other";
  }
  return "";
}

namespace {

FileType type_of(mode_t mode) {
  if (S_ISREG(mode)) return FileType::file;
  if (S_ISDIR(mode)) return FileType::folder;
  if (S_ISLNK(mode)) return FileType::link;
  return FileType::other;
}

bool stopped(Stop stop) { return stop != nullptr && stop->load(std::memory_order_relaxed); }

/// A file in the making beside its final name; taken away again unless put in place.
class Draft {
 public:
  Draft(int folder, mode_t mode) : folder_(folder), name_(temporary_name()) {
    fd_.reset(::openat(folder_, name_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
    code_ = fd_ ? 0 : errno;
  }
  ~Draft() {
    if (fd_) ::unlinkat(folder_, name_.c_str(), 0);
  }
  Draft(const Draft&) = delete;
  Draft& operator=(const Draft&) = delete;

  int fd() const { return fd_.get(); }
  int code() const { return code_; }
  /// errno, or 0.
  int put(const std::string& name) {
    if (::renameat(folder_, name_.c_str(), folder_, name.c_str()) != 0) return errno;
    fd_.reset();
    return 0;
  }

 private:
  int folder_;
  std::string name_;
  UniqueFd fd_;
  int code_ = 0;
};

int write_whole(int fd, const char* data, size_t size) {
  while (size > 0) {
    const ssize_t n = ::write(fd, data, size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    data += n;
    size -= static_cast<size_t>(n);
  }
  return 0;
}

// The mode of a regular file that will be replaced, so that replacing it changes its content only.
void keep_mode(int folder, const std::string& name, int draft) {
  struct stat before {};
  if (::fstatat(folder, name.c_str(), &before, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(before.st_mode)) {
    if (::fchmod(draft, before.st_mode & 0777) != 0) return;  // a file system without modes
  }
}

}  // namespace

Result<Folder> Folder::open(const std::filesystem::path& path) {
  Folder out;
  out.fd_.reset(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!out.fd_) return tl::unexpected(system_error("cannot open folder " + path.string(), errno));
  return out;
}

Result<Folder> Folder::inner(std::string_view path, uint64_t more_resolve) const {
  if (auto ok = check(path); !ok) return tl::unexpected(ok.error());
  Folder out;
  out.fd_.reset(open_beneath(path, O_PATH | O_DIRECTORY, 0, more_resolve));
  if (!out.fd_) {
    if (errno == ELOOP && (more_resolve & RESOLVE_NO_SYMLINKS) != 0) {
      return refuse("file.outside",
                    "cannot open folder " + shown(path) + ": a symbolic link is on the way to it",
                    "name the folder by its real path");
    }
    return tl::unexpected(failure("open folder", path, errno));
  }
  out.label_ = path == "." ? label_ : shown(path);
  out.no_links_ = no_links_;
  return out;
}

Result<Folder> Folder::below(std::string_view path) const { return inner(path, RESOLVE_NO_SYMLINKS); }
Result<Folder> Folder::enter(std::string_view path) const { return inner(path, 0); }

Result<Located> Folder::locate(std::string_view path) const {
  if (auto ok = check(path); !ok) return tl::unexpected(ok.error());
  Located out;
  out.fd.reset(open_beneath(path, O_PATH, 0));
  struct stat info {};
  if (!out.fd || ::fstat(out.fd.get(), &info) != 0) return tl::unexpected(failure("open", path, errno));
  out.device = info.st_dev;
  out.inode = info.st_ino;
  out.type = type_of(info.st_mode);
  std::string name(PATH_MAX, '\0');
  const ssize_t n =
      ::readlink(("/proc/self/fd/" + std::to_string(out.fd.get())).c_str(), name.data(), name.size());
  if (n <= 0 || n >= PATH_MAX) return tl::unexpected(failure("open", path, n < 0 ? errno : ENAMETOOLONG));
  name.resize(static_cast<size_t>(n));
  out.path = std::move(name);
  return out;
}

std::string Folder::shown(std::string_view path) const {
  if (label_.empty()) return std::string(path);
  if (path == ".") return label_;
  return (label_ == "/" ? label_ : label_ + "/") + std::string(path);
}

Result<void> Folder::check(std::string_view path) const {
  const auto wrong = [&](const char* why, const char* hint) {
    std::string visible(path.substr(0, 200));
    std::replace(visible.begin(), visible.end(), '\0', '?');
    return refuse("file.path", "'" + visible + "' is no usable path: " + why, hint);
  };
  if (path.empty()) return wrong("it is empty", "the folder itself is '.'");
  if (path.find('\0') != std::string_view::npos)
    return wrong("it holds a NUL byte", "names cannot hold NUL bytes");
  if (path.front() == '/') return wrong("it is absolute", "give it relative to the folder");
  if (path.size() >= PATH_MAX) return wrong("it is too long", "a path has at most 4095 bytes");
  for (size_t at = 0; at <= path.size();) {
    size_t end = path.find('/', at);
    if (end == std::string_view::npos) end = path.size();
    if (path.substr(at, end - at) == "..") return wrong("it holds '..'", "a path leads downwards only");
    at = end + 1;
  }
  return {};
}

int Folder::open_beneath(std::string_view path, uint64_t flags, uint64_t mode, uint64_t more_resolve) const {
  const uint64_t resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | more_resolve |
                           (no_links_ ? static_cast<uint64_t>(RESOLVE_NO_SYMLINKS) : 0);
  return open_at2(fd_.get(), std::string(path).c_str(), flags, mode, resolve);
}

Error Folder::failure(std::string_view verb, std::string_view path, int code) const {
  const std::string what = "cannot " + std::string(verb) + " " + shown(path);
  Error error;
  error.retryable = false;
  if (code == EXDEV || (code == ELOOP && no_links_)) {
    error.code = "file.outside";
    error.message = what + ": a symbolic link leads out of the folder";
    error.hint = "name the file by its real path";
    return error;
  }
  if (code == ENOSYS) {
    error.code = "file.unsupported";
    error.message = what + ": this kernel cannot confine paths (it has no openat2)";
    error.hint = "use Linux 5.6 or later, and a container runtime that allows openat2";
    return error;
  }
  if (code == ENXIO) {
    error.code = "file.not_regular";
    error.message = what + ": it is a pipe, socket or device, not a regular file";
    return error;
  }
  if (code == ECANCELED) {
    error.code = "file.stopped";
    error.message = what + ": it was stopped";
    return error;
  }
  error = system_error(what, code);
  if (code == ENOENT && verb == "write") error.hint = "make the folder first, with forge.fs.mkdir";
  return error;
}

Result<UniqueFd> Folder::open_file(std::string_view verb, std::string_view path, int flags, int mode) const {
  if (auto ok = check(path); !ok) return tl::unexpected(ok.error());
  UniqueFd fd(
      open_beneath(path, static_cast<uint64_t>(flags | O_NONBLOCK | O_NOCTTY), static_cast<uint64_t>(mode)));
  if (!fd) return tl::unexpected(failure(verb, path, errno));
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return tl::unexpected(failure(verb, path, errno));
  if (!S_ISREG(info.st_mode)) {
    return refuse("file.not_regular", "cannot " + std::string(verb) + " " + shown(path) + ": it is " +
                                          (S_ISDIR(info.st_mode) ? "a folder" : "a pipe, socket or device") +
                                          ", not a regular file");
  }
  return fd;
}

Result<Folder::Parent> Folder::parent(std::string_view verb, std::string_view path) const {
  if (auto ok = check(path); !ok) return tl::unexpected(ok.error());
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  const size_t slash = path.rfind('/');
  Parent out;
  out.name = path.substr(slash == std::string_view::npos ? 0 : slash + 1);
  if (out.name == "." || out.name.empty()) {
    return refuse("file.path",
                  "cannot " + std::string(verb) + " " + shown(path) + ": it is the folder itself",
                  "name something in it");
  }
  const std::string_view above =
      slash == std::string_view::npos ? std::string_view(".") : path.substr(0, slash);
  out.fd.reset(open_beneath(above, O_PATH | O_DIRECTORY, 0));
  if (!out.fd) return tl::unexpected(failure(verb, path, errno));
  return out;
}

Result<std::string> Folder::read(std::string_view path, uint64_t limit) const {
  auto fd = open_file("read", path, O_RDONLY, 0);
  if (!fd) return tl::unexpected(fd.error());
  struct stat info {};
  if (::fstat(fd->get(), &info) != 0) return tl::unexpected(failure("read", path, errno));
  const auto too_big = [&] {
    return refuse("file.too_big",
                  "cannot read " + shown(path) + ": it is larger than " + std::to_string(limit) + " bytes",
                  "read a smaller file, or let a program work on it");
  };
  if (static_cast<uint64_t>(info.st_size) > limit) return too_big();
  std::string out;
  out.resize(static_cast<size_t>(info.st_size) + 1);  // one more, to see the end in the same read
  size_t have = 0;
  while (true) {
    const ssize_t n = ::read(fd->get(), out.data() + have, out.size() - have);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return tl::unexpected(failure("read", path, errno));
    if (n == 0) break;
    have += static_cast<size_t>(n);
    if (have > limit) return too_big();
    if (have == out.size()) out.resize(out.size() * 2);
  }
  out.resize(have);
  return out;
}

Result<void> Folder::write(std::string_view path, std::string_view content) const {
  auto at = parent("write", path);
  if (!at) return tl::unexpected(at.error());
  Draft draft(at->fd.get(), 0666);
  int code = draft.code();
  if (code == 0) keep_mode(at->fd.get(), at->name, draft.fd());
  if (code == 0) code = write_whole(draft.fd(), content.data(), content.size());
  if (code == 0) code = draft.put(at->name);
  if (code != 0) return tl::unexpected(failure("write", path, code));
  return {};
}

Result<void> Folder::append(std::string_view path, std::string_view content) const {
  auto fd = open_file("write", path, O_WRONLY | O_APPEND | O_CREAT, 0666);
  if (!fd) return tl::unexpected(fd.error());
  if (int code = write_whole(fd->get(), content.data(), content.size()); code != 0) {
    return tl::unexpected(failure("write", path, code));
  }
  return {};
}

Result<UniqueFd> Folder::open_file(std::string_view path) const {
  return open_file("read", path, O_RDONLY, 0);
}

Result<FileTarget> Folder::target(std::string_view path) const {
  auto at = parent("write", path);
  if (!at) return tl::unexpected(at.error());
  return FileTarget{std::make_shared<const UniqueFd>(std::move(at->fd)), std::move(at->name), shown(path)};
}

Result<bool> Folder::exists(std::string_view path) const {
  if (auto ok = check(path); !ok) return tl::unexpected(ok.error());
  UniqueFd fd(open_beneath(path, O_PATH | O_NOFOLLOW, 0));
  if (fd) return true;
  if (errno == ENOENT || errno == ENOTDIR) return false;
  // With links refused, a link in the last place is still something.
  if (errno == ELOOP && no_links_ && path.find('/') == std::string_view::npos) return true;
  return tl::unexpected(failure("look at", path, errno));
}

Result<FileInfo> Folder::stat(std::string_view path) const {
  if (auto ok = check(path); !ok) return tl::unexpected(ok.error());
  UniqueFd fd(open_beneath(path, O_PATH | O_NOFOLLOW, 0));
  struct stat info {};
  if (!fd || ::fstat(fd.get(), &info) != 0) return tl::unexpected(failure("look at", path, errno));
  FileInfo out;
  out.type = type_of(info.st_mode);
  out.size = static_cast<uint64_t>(info.st_size);
  out.modified = static_cast<double>(info.st_mtim.tv_sec) + static_cast<double>(info.st_mtim.tv_nsec) * 1e-9;
  return out;
}

Result<std::vector<std::string>> Folder::list(std::string_view path) const {
  if (auto ok = check(path); !ok) return tl::unexpected(ok.error());
  UniqueFd fd(open_beneath(path, O_RDONLY | O_DIRECTORY, 0));
  if (!fd) return tl::unexpected(failure("list", path, errno));
  std::vector<Entry> entries;
  if (int code = read_entries(fd.get(), entries); code != 0)
    return tl::unexpected(failure("list", path, code));
  size_t bytes = 0;
  std::vector<std::string> out;
  out.reserve(entries.size());
  for (Entry& entry : entries) {
    bytes += entry.name.size() + 8;
    out.push_back(std::move(entry.name));
  }
  if (bytes > kMaxListing) {
    return refuse(
        "file.too_big",
        "cannot list " + shown(path) + ": its names take more than " + std::to_string(kMaxListing) + " bytes",
        "use forge.fs.glob with a narrower pattern");
  }
  std::sort(out.begin(), out.end());
  return out;
}

Result<void> Folder::mkdir(std::string_view path) const {
  if (auto ok = check(path); !ok) return tl::unexpected(ok.error());
  for (size_t at = 0; at <= path.size();) {
    size_t end = path.find('/', at);
    if (end == std::string_view::npos) end = path.size();
    const std::string_view part = path.substr(at, end - at);
    const std::string_view whole = path.substr(0, end);
    at = end + 1;
    if (part.empty() || part == ".") continue;
    UniqueFd there(open_beneath(whole, O_PATH | O_DIRECTORY, 0));
    if (there) continue;
    if (errno != ENOENT) return tl::unexpected(failure("make folder", whole, errno));
    auto above = parent("make folder", whole);
    if (!above) return tl::unexpected(above.error());
    if (::mkdirat(above->fd.get(), above->name.c_str(), 0777) != 0 && errno != EEXIST) {
      return tl::unexpected(failure("make folder", whole, errno));
    }
    there.reset(
        open_beneath(whole, O_PATH | O_DIRECTORY, 0));  // EEXIST may have been a link that leads nowhere
    if (!there) return tl::unexpected(failure("make folder", whole, errno));
  }
  return {};
}

Result<uint64_t> Folder::copy(const Folder& from, std::string_view source, const Folder& to,
                              std::string_view target, Stop stop) {
  auto in = from.open_file("copy", source, O_RDONLY, 0);
  if (!in) return tl::unexpected(in.error());
  struct stat info {};
  if (::fstat(in->get(), &info) != 0) return tl::unexpected(from.failure("copy", source, errno));
  auto at = to.parent("write", target);
  if (!at) return tl::unexpected(at.error());
  Draft draft(at->fd.get(), info.st_mode & 0777);
  if (draft.code() != 0) return tl::unexpected(to.failure("write", target, draft.code()));
  std::vector<char> buffer(256U << 10);
  uint64_t size = 0;
  while (true) {
    if (stopped(stop)) return tl::unexpected(from.failure("copy", source, ECANCELED));
    const ssize_t n = ::read(in->get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return tl::unexpected(from.failure("copy", source, errno));
    if (n == 0) break;
    if (int code = write_whole(draft.fd(), buffer.data(), static_cast<size_t>(n)); code != 0) {
      return tl::unexpected(to.failure("write", target, code));
    }
    size += static_cast<uint64_t>(n);
  }
  if (int code = draft.put(at->name); code != 0) return tl::unexpected(to.failure("write", target, code));
  return size;
}

Result<void> Folder::move(const Folder& from, std::string_view source, const Folder& to,
                          std::string_view target, Stop stop) {
  auto old_place = from.parent("move", source);
  if (!old_place) return tl::unexpected(old_place.error());
  auto new_place = to.parent("write", target);
  if (!new_place) return tl::unexpected(new_place.error());
  if (::renameat(old_place->fd.get(), old_place->name.c_str(), new_place->fd.get(),
                 new_place->name.c_str()) == 0) {
    return {};
  }
  int code = errno;
  struct stat info {};
  if (code == EXDEV &&
      ::fstatat(old_place->fd.get(), old_place->name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 &&
      S_ISREG(info.st_mode)) {
    if (auto copied = copy(from, source, to, target, stop); !copied) return tl::unexpected(copied.error());
    if (::unlinkat(old_place->fd.get(), old_place->name.c_str(), 0) == 0) return {};
    code = errno;
  }
  if (code != EXDEV) return tl::unexpected(from.failure("move", source, code));
  // This EXDEV is rename's: two file systems, not a way out.
  Error error = system_error("cannot move " + from.shown(source) + " to " + to.shown(target), EXDEV);
  error.retryable = false;
  error.hint = "a folder cannot be moved to another file system: copy its files";
  return tl::unexpected(std::move(error));
}

Result<bool> Folder::remove(std::string_view path, Stop stop) const {
  auto at = parent("remove", path);
  if (!at) {
    if (at.error().code == "os.enoent" || at.error().code == "os.enotdir") return false;
    return tl::unexpected(at.error());
  }
  const int code = remove_tree(at->fd.get(), at->name, stop);
  if (code == 0) return true;
  if (code == ENOENT) return false;
  if (code == EXDEV) {  // of the walk: a mount
    return refuse("os.ebusy", "cannot remove " + shown(path) + ": something is mounted in it",
                  "unmount it first");
  }
  return tl::unexpected(failure("remove", path, code));
}

}  // namespace pf::services
