#include "worker/confine.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/cbor.h"
#include "base/file.h"
#include "worker/protocol.h"

namespace pf::worker {
namespace {

// 0 to 2 and the socket: a number beyond them cannot be made.
constexpr rlim_t kFiles = kSocketFd + 1;

tl::unexpected<Error> unavailable(const char* what) {
  return refuse("sandbox.unavailable",
                std::string("the worker's sandbox cannot be set up: ") + what + ": " + strerror(errno),
                "run `pangeo-forge doctor`");
}

bool limit(decltype(RLIMIT_AS) resource, rlim_t value) {
  const rlimit both{value, value};
  return setrlimit(resource, &both) == 0;
}

#ifndef PF_SANITIZED
/// Bytes of address space in use; 0 when unknown.
uint64_t mapped_now() {
  UniqueFd file(open("/proc/self/statm", O_RDONLY | O_CLOEXEC));
  char text[128];
  const ssize_t n = file ? read(file.get(), text, sizeof text - 1) : -1;
  if (n <= 0) return 0;
  text[n] = '\0';
  unsigned long pages = 0;
  if (std::sscanf(text, "%lu", &pages) != 1) return 0;
  return static_cast<uint64_t>(pages) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}
#endif

}  // namespace

bool drop_capabilities(Confinement& out) {
  out.bounding_set_empty = true;
  for (unsigned long capability = 0; capability < 64; ++capability) {
    const int has = prctl(PR_CAPBSET_READ, capability, 0, 0, 0);
    if (has < 0) break;  // beyond the kernel's last one
    if (has == 1 && prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0) {
      out.bounding_set_empty = false;
      break;
    }
  }
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0) return false;
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {};
  if (syscall(SYS_capset, &header, none) != 0) return false;
  if (syscall(SYS_capget, &header, none) != 0) return false;
  for (const auto& set : none) {
    if ((set.effective | set.permitted | set.inheritable) != 0) return false;
  }
  out.capabilities_dropped = true;
  return true;
}

bool keep_only(int socket) {
  if (socket != kSocketFd && dup2(socket, kSocketFd) != kSocketFd) return false;
  UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null) return false;
  for (int fd = 0; fd < kSocketFd; ++fd) {
#ifdef PF_SANITIZED
    if (fd == STDERR_FILENO) continue;  // what the sanitizer says must be seen
#endif
    if (dup2(null.get(), fd) != fd) return false;
  }
  null.reset();
  return syscall(SYS_close_range, static_cast<unsigned>(kSocketFd + 1), ~0U, 0) == 0;
}

Result<void> confine_process(uint64_t memory, Confinement& out) {
  // The kernel shall take a worker before the core when memory runs out. A kernel without the file loses only
  // that.
  if (UniqueFd score(open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC)); score) {
    if (write(score.get(), "500", 3) != 3) errno = 0;
  }
#ifndef PF_SANITIZED
  // A core dump through a pipe of the system's ignores RLIMIT_CORE; and a worker's memory is no other
  // program's business.
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return unavailable("PR_SET_DUMPABLE");
  out.address_space = memory + kStackBytes + kSlackBytes + mapped_now();
  if (!limit(RLIMIT_AS, out.address_space)) return unavailable("RLIMIT_AS");
#else
  (void)memory;
#endif
  if (!limit(RLIMIT_CORE, 0)) return unavailable("RLIMIT_CORE");
  if (!limit(RLIMIT_FSIZE, 0)) return unavailable("RLIMIT_FSIZE");
  if (!drop_capabilities(out)) return unavailable("capset");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) {
    return unavailable("PR_SET_NO_NEW_PRIVS");
  }
  out.no_new_privs = true;
  out.landlock = landlock_restrict_all();
  // After Landlock, which needs a descriptor for its rules and opens one to see them work.
  if (!limit(RLIMIT_NOFILE, kFiles)) return unavailable("RLIMIT_NOFILE");
  return {};
}

Result<void> confine_threads(const SeccompFilter& filter, Confinement& out) {
  // After the VM's thread, which counts. The kernel does not apply it to root.
  if (!limit(RLIMIT_NPROC, 0)) return unavailable("RLIMIT_NPROC");
  if (auto installed = filter.install(); !installed) return installed;
  out.seccomp = true;
  return {};
}

std::string Confinement::encode() const {
  std::string bytes;
  cbor::Writer w(bytes);
  auto flag = [&](const char* name, bool value) {
    w.text(name);
    w.boolean(value);
  };
  auto number = [&](const char* name, uint64_t value) {
    w.text(name);
    w.unsigned_integer(value);
  };
  w.map(landlock.problem.empty() ? 7 : 8);
  flag("seccomp", seccomp);
  flag("no_new_privs", no_new_privs);
  flag("capabilities_dropped", capabilities_dropped);
  flag("bounding_set_empty", bounding_set_empty);
  number("landlock_abi", static_cast<uint64_t>(landlock.abi));
  if (!landlock.problem.empty()) {
    w.text("landlock_problem");
    w.text_or_bytes(landlock.problem);
  }
  w.text("landlock");
  w.map(7);
  flag("files", landlock.files);
  flag("refer", landlock.refer);
  flag("truncate", landlock.truncate);
  flag("tcp", landlock.tcp);
  flag("device_ioctl", landlock.device_ioctl);
  flag("abstract_sockets", landlock.abstract_sockets);
  flag("signals", landlock.signals);
  w.text("rlimits");
  w.map(5);
  w.text("address_space");
  if (address_space != 0)
    w.unsigned_integer(address_space);
  else
    w.null();
  number("files", kFiles);
  number("core", 0);
  number("file_size", 0);
  number("processes", 0);
  return bytes;
}

}  // namespace pf::worker
