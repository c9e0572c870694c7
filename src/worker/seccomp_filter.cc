#include "worker/seccomp_filter.h"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "base/file.h"

namespace pf::worker {
namespace {

// Stands for the worker's own pid, which is not known when the filter is built; larger than any pid
// (PID_MAX_LIMIT is 4194304), so that nothing else in the program looks like it.
constexpr uint32_t kOwnPid = 0x7e57ab1e;

constexpr int kAllowed[] = {
    // its socket; there is no other descriptor but /dev/null
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(recvfrom),
    SCMP_SYS(sendto),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    // memory; mmap and mprotect have rules of their own
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(brk),
    // threads and time
    SCMP_SYS(futex),
    SCMP_SYS(sched_yield),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_getres),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(nanosleep),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    SCMP_SYS(getrusage),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    // the deadline's timer and signals to itself
    SCMP_SYS(timer_create),
    SCMP_SYS(timer_settime),
    SCMP_SYS(timer_gettime),
    SCMP_SYS(timer_delete),
    SCMP_SYS(timer_getoverrun),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigpending),
    SCMP_SYS(rt_sigtimedwait),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(getrandom),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
#if defined(__SANITIZE_THREAD__)
    // COMPAT: TSan makes a thread of its own in every fork, which may still be starting when the filter
    // comes: glibc
    // aborts without these.
    SCMP_SYS(rseq),
    SCMP_SYS(set_robust_list),
#endif
};

constexpr int kKilled[] = {
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(fork),
    SCMP_SYS(vfork),
    SCMP_SYS(clone),
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(kcmp),
    SCMP_SYS(pidfd_open),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(pidfd_send_signal),
    SCMP_SYS(kill),
    SCMP_SYS(tkill),
    SCMP_SYS(rt_sigqueueinfo),
    SCMP_SYS(rt_tgsigqueueinfo),
    SCMP_SYS(connect),
    SCMP_SYS(bind),
    SCMP_SYS(listen),
    SCMP_SYS(accept),
    SCMP_SYS(accept4),
    SCMP_SYS(socketpair),
    SCMP_SYS(sendmsg),
    SCMP_SYS(recvmsg),
    SCMP_SYS(sendmmsg),
    SCMP_SYS(recvmmsg),
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(move_mount),
    SCMP_SYS(open_tree),
    SCMP_SYS(fsopen),
    SCMP_SYS(fsmount),
    SCMP_SYS(pivot_root),
    SCMP_SYS(chroot),
    SCMP_SYS(unshare),
    SCMP_SYS(setns),
    SCMP_SYS(bpf),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(io_uring_enter),
    SCMP_SYS(io_uring_register),
    SCMP_SYS(keyctl),
    SCMP_SYS(add_key),
    SCMP_SYS(request_key),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(delete_module),
    SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load),
    SCMP_SYS(reboot),
    SCMP_SYS(swapon),
    SCMP_SYS(swapoff),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(setuid),
    SCMP_SYS(setgid),
    SCMP_SYS(setresuid),
    SCMP_SYS(setresgid),
    SCMP_SYS(setreuid),
    SCMP_SYS(setregid),
    SCMP_SYS(setgroups),
    SCMP_SYS(capset),
};

tl::unexpected<Error> unavailable(std::string what) {
  return refuse("sandbox.unavailable", std::move(what),
                "extensions run only where the kernel has seccomp filters (CONFIG_SECCOMP_FILTER); run "
                "`pangeo-forge doctor`");
}

struct Release {
  void operator()(void* context) const { seccomp_release(context); }
};

int add_rules(scmp_filter_ctx context) {
  for (const int call : kAllowed) {
    // -EDOM: this architecture has no such call.
    if (const int rc = seccomp_rule_add(context, SCMP_ACT_ALLOW, call, 0); rc != 0 && rc != -EDOM) return rc;
  }
  for (const int call : kKilled) {
    if (const int rc = seccomp_rule_add(context, SCMP_ACT_KILL_PROCESS, call, 0); rc != 0 && rc != -EDOM)
      return rc;
  }
  // The JIT is off: nothing ever needs memory that can be executed.
  for (const int call : {SCMP_SYS(mmap), SCMP_SYS(mprotect)}) {
    const int rc =
        seccomp_rule_add(context, SCMP_ACT_ALLOW, call, 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    if (rc != 0) return rc;
  }
  // raise() and abort(); to another process it is EPERM.
  if (const int rc =
          seccomp_rule_add(context, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, SCMP_A0(SCMP_CMP_EQ, kOwnPid));
      rc != 0) {
    return rc;
  }
  return seccomp_rule_add(context, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
}

}  // namespace

Result<SeccompFilter> SeccompFilter::build() {
  std::unique_ptr<void, Release> context(seccomp_init(SCMP_ACT_ERRNO(EPERM)));
  if (!context) return unavailable("libseccomp cannot start a filter");
  // int 0x80 and x32 would pass by a list of numbers.
  int rc = seccomp_attr_set(context.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
  if (rc == 0) rc = add_rules(context.get());
  UniqueFd file(memfd_create("filter", MFD_CLOEXEC));
  if (!file) return unavailable(std::string("no memory file for the seccomp filter: ") + strerror(errno));
  if (rc == 0) rc = seccomp_export_bpf(context.get(), file.get());
  if (rc != 0) return unavailable(std::string("libseccomp cannot build the filter: ") + strerror(-rc));

  struct stat info {};
  if (fstat(file.get(), &info) != 0 || info.st_size <= 0 || info.st_size % sizeof(sock_filter) != 0) {
    return unavailable("libseccomp gave no whole filter");
  }
  SeccompFilter out;
  out.program_.resize(static_cast<size_t>(info.st_size) / sizeof(sock_filter));
  if (pread(file.get(), out.program_.data(), static_cast<size_t>(info.st_size), 0) != info.st_size) {
    return unavailable("libseccomp's filter cannot be read back");
  }
  int own = 0;
  for (const auto& instruction : out.program_) own += instruction.k == kOwnPid ? 1 : 0;
  if (own != 1) return unavailable("libseccomp's filter has no single place for the worker's own number");
  return out;
}

Result<void> SeccompFilter::install() const {
  std::vector<sock_filter> program = program_;
  for (auto& instruction : program) {
    if (instruction.k == kOwnPid) instruction.k = static_cast<uint32_t>(getpid());
  }
  sock_fprog code{};
  code.len = static_cast<unsigned short>(program.size());
  code.filter = program.data();
  const long rc = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &code);
  if (rc < 0)
    return unavailable(std::string("the kernel does not take the seccomp filter: ") + strerror(errno));
  if (rc > 0) return unavailable("the seccomp filter does not bind all threads");

  // Believed only when seen.
  UniqueFd root(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (root || errno != EPERM)
    return unavailable("the seccomp filter is installed, but open() is not refused");
  UniqueFd other(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (other || errno != EPERM)
    return unavailable("the seccomp filter is installed, but socket() is not refused");
  return {};
}

}  // namespace pf::worker
