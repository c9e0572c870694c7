#include "worker/program_sandbox.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "worker/landlock.h"
#include "worker/landlock_abi.h"

namespace pf::worker {
namespace {
using namespace landlock_abi_detail;

constexpr uint64_t kRead = kReadFile | kReadDir;
constexpr uint64_t kOfFile = kExecute | kWriteFile | kReadFile | kTruncate | kIoctlDev;

struct Grant {
  const char* path;
  uint64_t access;
};
constexpr Grant kAlways[] = {
    {"/usr", kRead | kExecute},
    {"/bin", kRead | kExecute},
    {"/sbin", kRead | kExecute},
    {"/lib", kRead | kExecute},
    {"/lib32", kRead | kExecute},
    {"/lib64", kRead | kExecute},
    {"/libx32", kRead | kExecute},
    {"/etc", kRead | kExecute},
    {"/opt", kRead | kExecute},
    {"/nix/store", kRead | kExecute},
    {"/proc", kRead},
    {"/sys/devices/system/cpu", kRead},
    {"/sys/devices/system/node", kRead},
    {"/sys/fs/cgroup", kRead},
    {"/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", kRead},
    {"/dev/urandom", kRead},
    {"/dev/random", kRead},
    {"/dev/null", kRead | kWriteFile | kIoctlDev},
    {"/dev/zero", kRead | kWriteFile | kIoctlDev},
    {"/dev/full", kRead | kWriteFile | kIoctlDev},
    {"/dev/tty", kRead | kWriteFile | kIoctlDev},
};
constexpr uint64_t kAll = kFilesAbi1 | kRefer | kTruncate | kIoctlDev;
constexpr uint64_t kAllButDevices = kAll & ~(kMakeChar | kMakeBlock | kIoctlDev);

UniqueFd open_path(const char* path) { return UniqueFd(open(path, O_PATH | O_CLOEXEC)); }

/// Follows links on the trusted part of a path only.
UniqueFd open_granted(const ProgramPath& path) {
  if (path.trusted >= path.path.size()) return open_path(path.path.c_str());
  const std::string above = path.trusted == 0 ? "/" : path.path.substr(0, path.trusted);
  UniqueFd folder(open(above.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return {};
  std::string rest = path.path.substr(path.trusted);
  rest.erase(0, rest.find_first_not_of('/'));
  if (rest.empty()) return folder;
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  return UniqueFd(static_cast<int>(syscall(SYS_openat2, folder.get(), rest.c_str(), &how, sizeof how)));
}

bool add_rule(int ruleset, int path, uint64_t access, uint64_t handled) {
  struct stat info {};
  if (fstat(path, &info) != 0) return false;
  access &= handled;
  if (!S_ISDIR(info.st_mode)) access &= kOfFile;
  PathBeneath rule{access, path};
  return syscall(kSysAddRule, ruleset, kRulePathBeneath, &rule, 0) == 0;
}

UniqueFd create(const RulesetAttributes& attributes) {
  return UniqueFd(static_cast<int>(syscall(kSysCreateRuleset, &attributes, sizeof attributes, 0)));
}

struct Release {
  void operator()(void* context) const { seccomp_release(context); }
};

tl::unexpected<Error> unavailable(std::string what) {
  return refuse(
      "sandbox.unavailable", std::move(what),
      "programs run only where the kernel has seccomp filters (CONFIG_SECCOMP_FILTER); run `pangeo-forge "
      "doctor`");
}

// All that clone() takes; CLONE_NEWTIME is for clone3 and unshare.
constexpr uint64_t kNamespaces[] = {CLONE_NEWNS,   CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
                                    CLONE_NEWUSER, CLONE_NEWPID,    CLONE_NEWNET};
// The kernel looks at the low half of an int only, so that the filter must, too.
constexpr scmp_datum_t kInt = 0xffffffff;

int add_rules(scmp_filter_ctx context, bool network) {
  const auto refuse_call = [&](int call, int code) {
    const int rc = seccomp_rule_add(context, SCMP_ACT_ERRNO(static_cast<uint16_t>(code)), call, 0);
    return rc == -EDOM ? 0 : rc;
  };
  const auto refuse_if = [&](int call, int code, scmp_arg_cmp argument) {
    const int rc = seccomp_rule_add(context, SCMP_ACT_ERRNO(static_cast<uint16_t>(code)), call, 1, argument);
    return rc == -EDOM ? 0 : rc;
  };
  int rc = 0;
  for (const int call :
       {SCMP_SYS(io_uring_setup), SCMP_SYS(io_uring_enter), SCMP_SYS(io_uring_register), SCMP_SYS(clone3)}) {
    if (rc == 0) rc = refuse_call(call, ENOSYS);
  }
  // Memory, queues and semaphores of System V and queues of POSIX are shared with all processes of the user,
  // whatever files are granted, and stay when the program has ended.
  for (const int call :
       {SCMP_SYS(shmget), SCMP_SYS(shmat), SCMP_SYS(shmctl), SCMP_SYS(msgget), SCMP_SYS(msgsnd),
        SCMP_SYS(msgrcv), SCMP_SYS(msgctl), SCMP_SYS(semget), SCMP_SYS(semop), SCMP_SYS(semtimedop),
        SCMP_SYS(semctl), SCMP_SYS(mq_open), SCMP_SYS(mq_unlink)}) {
    if (rc == 0) rc = refuse_call(call, ENOSYS);
  }
  for (const int call : {SCMP_SYS(unshare),
                         SCMP_SYS(setns),
                         SCMP_SYS(bpf),
                         SCMP_SYS(perf_event_open),
                         SCMP_SYS(userfaultfd),
                         SCMP_SYS(keyctl),
                         SCMP_SYS(add_key),
                         SCMP_SYS(request_key),
                         SCMP_SYS(init_module),
                         SCMP_SYS(finit_module),
                         SCMP_SYS(delete_module),
                         SCMP_SYS(kexec_load),
                         SCMP_SYS(kexec_file_load),
                         SCMP_SYS(open_by_handle_at),
                         SCMP_SYS(process_vm_readv),
                         SCMP_SYS(process_vm_writev),
                         SCMP_SYS(pidfd_getfd),
                         SCMP_SYS(kcmp),
                         SCMP_SYS(migrate_pages),
                         SCMP_SYS(move_pages)}) {
    if (rc == 0) rc = refuse_call(call, EPERM);
  }
  // Namespaces give capabilities inside them, and with these a way to far more of the kernel.
  for (const uint64_t bit : kNamespaces) {
    if (rc == 0) rc = refuse_if(SCMP_SYS(clone), EPERM, SCMP_A0(SCMP_CMP_MASKED_EQ, bit, bit));
  }
  // Landlock does not cover limits: a program could lower the core's.
  if (rc == 0) rc = refuse_if(SCMP_SYS(prlimit64), EPERM, SCMP_A0(SCMP_CMP_NE, 0));
  if (rc == 0) rc = refuse_if(SCMP_SYS(ioctl), EPERM, SCMP_A1(SCMP_CMP_MASKED_EQ, kInt, TIOCSTI));
  if (!network) {
    if (rc == 0) rc = refuse_call(SCMP_SYS(socket), EACCES);
    // A pair of datagram sockets can be connected anew, to a path; Unix takes SOCK_RAW for SOCK_DGRAM.
    for (const int type : {SOCK_DGRAM, SOCK_RAW}) {
      if (rc == 0) {
        rc = refuse_if(SCMP_SYS(socketpair), EACCES,
                       SCMP_A1(SCMP_CMP_MASKED_EQ, 0xf, static_cast<scmp_datum_t>(type)));
      }
    }
    return rc;
  }
  for (int family = 0; family < AF_MAX + 16 && rc == 0; ++family) {
    if (family == AF_UNIX || family == AF_INET || family == AF_INET6 || family == AF_NETLINK) continue;
    rc = refuse_if(SCMP_SYS(socket), EACCES,
                   SCMP_A0(SCMP_CMP_MASKED_EQ, kInt, static_cast<scmp_datum_t>(family)));
  }
  return rc;
}

}  // namespace

ProgramRules::ProgramRules() : abi_(landlock_abi()) {
  if (abi_ == 0) return;
  handled_ = kFilesAbi1;
  if (abi_ >= 2) handled_ |= kRefer;
  if (abi_ >= 3) handled_ |= kTruncate;
  if (abi_ >= 5) handled_ |= kIoctlDev;
  for (const Grant& grant : kAlways) {
    if (UniqueFd fd = open_path(grant.path)) base_.push_back({std::move(fd), grant.access});
  }
}

bool ProgramRules::scope_signals() const {
  if (abi_ < 6) return false;
  // A layer that does not handle REFER forbids it altogether.
  RulesetAttributes attributes{};
  attributes.handled_access_fs = kRefer;
  attributes.scoped = kScopeSignal;
  UniqueFd ruleset = create(attributes);
  UniqueFd root = open_path("/");
  if (!ruleset || !root || !add_rule(ruleset.get(), root.get(), kRefer, kRefer)) return false;
  if (restrict_self(ruleset.get()) != 0) return false;
  return kill(getppid(), 0) != 0 && errno == EPERM;
}

UniqueFd ProgramRules::make(const ProgramSpec& spec, uint32_t& grant) {
  grant = UINT32_MAX;
  if (abi_ == 0) {
    errno = ENOSYS;
    return {};
  }
  RulesetAttributes attributes{};
  attributes.handled_access_fs = handled_;
  if (abi_ >= 6) attributes.scoped = kScopeAbstractUnix | kScopeSignal;
  UniqueFd ruleset = create(attributes);
  if (!ruleset) return {};
  for (const Base& base : base_) {
    if (!add_rule(ruleset.get(), base.fd.get(), base.access, handled_)) return {};
  }
  const auto optional = [&](const char* path, uint64_t access) {
    if (const UniqueFd fd = open_path(path)) return add_rule(ruleset.get(), fd.get(), access, handled_);
    return true;
  };
  if (spec.shm && !optional("/dev/shm", kAllButDevices)) return {};
  if (spec.pty && !(optional("/dev/ptmx", kRead | kWriteFile | kIoctlDev) &&
                    optional("/dev/pts", kRead | kWriteFile | kIoctlDev))) {
    return {};
  }
  // Often a link to a file of the resolver's below /run.
  if (spec.network) {
    if (char target[PATH_MAX]; realpath("/etc/resolv.conf", target) != nullptr) {
      if (!optional(target, kRead)) return {};
    }
  }
  uint32_t index = 0;
  for (const auto* list : {&spec.read, &spec.write}) {
    const uint64_t access = list == &spec.read ? kRead | kExecute : kAllButDevices;
    for (const ProgramPath& path : *list) {
      grant = index++;
      const UniqueFd fd = open_granted(path);
      // What is granted need not be there; what is reached by somebody else's link is not granted.
      if (!fd && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == EXDEV)) continue;
      if (!fd || !add_rule(ruleset.get(), fd.get(), access, handled_)) return {};
    }
  }
  grant = UINT32_MAX;
  if (!spec.grant_file) return ruleset;
  const UniqueFd file = open_path(spec.file.c_str());
  if (file && !add_rule(ruleset.get(), file.get(), kReadFile | kExecute, handled_)) return {};
  return ruleset;
}

int ProgramRules::restrict_self(int ruleset) {
  return static_cast<int>(syscall(kSysRestrictSelf, ruleset, 0));
}

Result<ProgramFilter> ProgramFilter::build(bool network) {
  std::unique_ptr<void, Release> context(seccomp_init(SCMP_ACT_ALLOW));
  if (!context) return unavailable("libseccomp cannot start a filter");
  int rc = seccomp_attr_set(context.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
  // Hundreds of rules: a tree instead of a chain.
  if (rc == 0) rc = seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);
  if (rc == 0) rc = add_rules(context.get(), network);
  UniqueFd file(memfd_create("filter", MFD_CLOEXEC));
  if (!file) return unavailable(std::string("no memory file for the seccomp filter: ") + strerror(errno));
  if (rc == 0) rc = seccomp_export_bpf(context.get(), file.get());
  if (rc != 0) return unavailable(std::string("libseccomp cannot build the filter: ") + strerror(-rc));
  struct stat info {};
  if (fstat(file.get(), &info) != 0 || info.st_size <= 0 || info.st_size % sizeof(sock_filter) != 0) {
    return unavailable("libseccomp gave no whole filter");
  }
  ProgramFilter out;
  out.program_.resize(static_cast<size_t>(info.st_size) / sizeof(sock_filter));
  if (pread(file.get(), out.program_.data(), static_cast<size_t>(info.st_size), 0) != info.st_size) {
    return unavailable("libseccomp's filter cannot be read back");
  }
  return out;
}

int ProgramFilter::install() const {
  sock_fprog code{};
  code.len = static_cast<unsigned short>(program_.size());
  code.filter = const_cast<sock_filter*>(program_.data());
  return static_cast<int>(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &code));
}

}  // namespace pf::worker
