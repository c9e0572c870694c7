#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "state/layout.h"
#include "state/store.h"

namespace pf::state {
namespace {

namespace fs = std::filesystem;

std::string host_name() {
  char name[256] = {};
  if (::gethostname(name, sizeof name - 1) != 0) return "unknown";
  return name;
}

// "pid 42 on host h since 2026-… (pangeo-forge run a.yaml)"; whatever is not as we write it is nobody's word.
std::string describe_holder(int fd) {
  char buffer[4096];
  const ssize_t have = ::pread(fd, buffer, sizeof buffer, 0);
  if (have <= 0) return "another process";
  auto value = parse_json({buffer, static_cast<size_t>(have)});
  if (!value || !value->is_object()) return "another process";
  const auto text = [&](const char* key) {
    const auto found = value->find(key);
    return found != value->end() && found->is_string() ? shorten(found->get_ref<const std::string&>(), 200)
                                                       : std::string();
  };
  const auto pid = value->find("pid");
  if (pid == value->end() || !pid->is_number_integer() || text("host").empty()) return "another process";
  std::string out = "pid " + std::to_string(pid->get<int64_t>()) + " on host " + text("host");
  if (!text("since").empty()) out += " since " + text("since");
  if (!text("command").empty()) out += " (" + text("command") + ")";
  return out;
}

int try_lock(int fd) {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  while (::fcntl(fd, F_OFD_SETLK, &lock) != 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

}  // namespace

Result<Lock> Lock::acquire(const fs::path& state_folder, const std::string& command) {
  const Layout layout(state_folder);
  if (auto made = layout.make_folder(); !made) return tl::unexpected(made.error());
  const fs::path path = layout.lock();
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600));
  if (!fd) return tl::unexpected(folder_error("cannot open the lock", path, errno));
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return tl::unexpected(folder_error("cannot open the lock", path, errno));
  if (!S_ISREG(info.st_mode)) {
    return refuse("file.not_regular", "cannot use the lock " + path.string() + ": it is no regular file",
                  "remove it, or keep the state elsewhere with --state-dir DIR");
  }
  if (const int code = try_lock(fd.get()); code == EAGAIN || code == EACCES) {
    return fail("state.locked",
                "the state folder " + state_folder.string() + " is in use by " + describe_holder(fd.get()),
                "wait until that ends, or give this run a state folder of its own with --state-dir DIR");
  } else if (code != 0) {
    Error error = folder_error("cannot lock", path, code);
    error.hint = "this file system does not offer locks: keep the state on a local disk with --state-dir DIR";
    return tl::unexpected(std::move(error));
  }
  const Json content = {{"host", host_name()},
                        {"pid", static_cast<int64_t>(::getpid())},
                        {"since", rfc3339(Clock::system().wall())},
                        {"command", command}};
  if (::ftruncate(fd.get(), 0) != 0 || !write_all(fd.get(), to_json_text(content) + "\n")) {
    return tl::unexpected(folder_error("cannot write the lock", path, errno));
  }
  return Lock(fd.release());
}

std::optional<std::string> Lock::held_by(const fs::path& state_folder) {
  const fs::path path = Layout(state_folder).lock();
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
  if (!fd) return std::nullopt;
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  if (::fcntl(fd.get(), F_OFD_GETLK, &lock) != 0 || lock.l_type == F_UNLCK) return std::nullopt;
  return describe_holder(fd.get());
}

Lock::Lock(Lock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

Lock& Lock::operator=(Lock&& other) noexcept {
  if (this != &other) {
    Lock old(std::exchange(fd_, std::exchange(other.fd_, -1)));
  }
  return *this;
}

Lock::~Lock() {
  if (fd_ < 0) return;
  // The file stays: whoever removed it could remove the one that a third process has just locked.
  (void)!::ftruncate(fd_, 0);
  ::close(fd_);
}

}  // namespace pf::state
