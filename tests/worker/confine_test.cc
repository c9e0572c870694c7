// What a worker may not do, tried in C by a child process under a worker's confinement, as root and as
// nobody.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>

#include "base/json.h"
#include "harness.h"
#include "worker/confine.h"
#include "worker/protocol.h"
#include "worker/serve.h"

namespace pf::worker {
namespace {

enum class As { root, nobody };

/// What became of `attempt` in a confined child: an errno's name, "allowed", or "killed by SIGSYS".
std::string confined(As as, const std::function<long()>& attempt) {
  const auto filter = SeccompFilter::build();
  if (!filter) return filter.error().text();
  const pid_t pid = fork();
  if (pid == 0) {
    if (as == As::nobody && (setgroups(0, nullptr) != 0 || setgid(65534) != 0 || setuid(65534) != 0))
      _exit(250);
    Confinement in_force;
    if (!confine_process(256ULL << 20, in_force)) _exit(251);
    if (!confine_threads(*filter, in_force)) _exit(252);
    errno = 0;
    _exit(attempt() >= 0 ? 0 : errno);
  }
  int status = 0;
  if (pid < 0 || waitpid(pid, &status, 0) != pid) return "no child";
  if (WIFSIGNALED(status)) return std::string("killed by SIG") + sigabbrev_np(WTERMSIG(status));
  if (WEXITSTATUS(status) >= 250) return "not confined: " + std::to_string(WEXITSTATUS(status));
  return WEXITSTATUS(status) == 0 ? "allowed" : strerrorname_np(WEXITSTATUS(status));
}

class Confined : public testing::TestWithParam<As> {
 protected:
  void SetUp() override {
    if (GetParam() == As::nobody && getuid() != 0) GTEST_SKIP() << "only root can become nobody";
  }
  std::string attempt(const std::function<long()>& what) { return confined(GetParam(), what); }
};

TEST_P(Confined, OpensNoFile) {
  EXPECT_EQ(attempt([] { return open("/etc/passwd", O_RDONLY); }), "EPERM");
  EXPECT_EQ(attempt([] { return syscall(SYS_openat, AT_FDCWD, "/tmp/x", O_CREAT | O_WRONLY, 0600); }),
            "EPERM");
  EXPECT_EQ(attempt([] { return access("/etc/passwd", F_OK); }), "EPERM");
  EXPECT_EQ(attempt([] { return unlink("/tmp/nothing-of-that-name"); }), "EPERM");
  EXPECT_EQ(attempt([] { return chdir("/"); }), "EPERM");
  EXPECT_EQ(attempt([] { return memfd_create("x", 0); }), "EPERM");
  EXPECT_EQ(attempt([] { return dup(1); }), "EPERM");
}

TEST_P(Confined, MakesNoSocket) {
  EXPECT_EQ(attempt([] { return socket(AF_INET, SOCK_STREAM, 0); }), "EPERM");
  EXPECT_EQ(attempt([] { return socket(AF_UNIX, SOCK_DGRAM, 0); }), "EPERM");
  int fds[2];
  EXPECT_EQ(attempt([&] { return socketpair(AF_UNIX, SOCK_STREAM, 0, fds); }), "killed by SIGSYS");
  const sockaddr none{};
  EXPECT_EQ(attempt([&] { return connect(0, &none, sizeof none); }), "killed by SIGSYS");
}

TEST_P(Confined, StartsNoProcess) {
  char* none[] = {nullptr};
  EXPECT_EQ(attempt([&] { return execve("/bin/true", none, none); }), "killed by SIGSYS");
  EXPECT_EQ(attempt([] { return fork(); }), "killed by SIGSYS");
  EXPECT_EQ(attempt([] { return syscall(SYS_clone, CLONE_VM | CLONE_THREAD | CLONE_SIGHAND, 0, 0, 0, 0); }),
            "killed by SIGSYS");
  EXPECT_EQ(attempt([] { return syscall(SYS_clone3, nullptr, 0); }), "ENOSYS");
}

TEST_P(Confined, TouchesNoOtherProcess) {
  EXPECT_EQ(attempt([] { return kill(getppid(), SIGKILL); }), "killed by SIGSYS");
  EXPECT_EQ(attempt([] { return kill(getppid(), 0); }), "killed by SIGSYS");
  const pid_t us = getpid();
  EXPECT_EQ(attempt([=] { return syscall(SYS_tgkill, us, us, SIGTERM); }), "EPERM");
  EXPECT_EQ(attempt([] { return ptrace(PTRACE_TRACEME, 0, nullptr, nullptr); }), "killed by SIGSYS");
  iovec part{};
  EXPECT_EQ(attempt([&] { return syscall(SYS_process_vm_readv, us, &part, 1, &part, 1, 0); }),
            "killed by SIGSYS");
  rlimit limits{};
  EXPECT_EQ(attempt([&] { return prlimit(us, RLIMIT_NOFILE, &limits, nullptr); }), "EPERM");
}

TEST_P(Confined, ChangesNothingOfTheSystem) {
  EXPECT_EQ(attempt([] { return mount("none", "/tmp", "tmpfs", 0, nullptr); }), "killed by SIGSYS");
  EXPECT_EQ(attempt([] { return unshare(CLONE_NEWUSER); }), "killed by SIGSYS");
  EXPECT_EQ(attempt([] { return setuid(0); }), "killed by SIGSYS");
  EXPECT_EQ(attempt([] { return syscall(SYS_bpf, 0, nullptr, 0); }), "killed by SIGSYS");
  EXPECT_EQ(attempt([] { return syscall(SYS_io_uring_setup, 1, nullptr); }), "killed by SIGSYS");
}

TEST_P(Confined, HasNoMemoryThatCanBeExecuted) {
  const auto map = [](int protection) {
    void* page = mmap(nullptr, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return page == MAP_FAILED ? -1L : 0L;
  };
  EXPECT_EQ(attempt([&] { return map(PROT_READ | PROT_WRITE); }), "allowed");
  EXPECT_EQ(attempt([&] { return map(PROT_READ | PROT_EXEC); }), "EPERM");
  EXPECT_EQ(attempt([&] {
              void* page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
              return static_cast<long>(mprotect(page, 4096, PROT_READ | PROT_EXEC));
            }),
            "EPERM");
}

TEST_P(Confined, MayStillAbortAndKeepTime) {
  EXPECT_EQ(attempt([]() -> long { abort(); }), "killed by SIGABRT");
  EXPECT_EQ(attempt([] {
              sigevent event{};
              event.sigev_notify = SIGEV_THREAD_ID;
              event.sigev_signo = SIGUSR1;
              event._sigev_un._tid = static_cast<int>(syscall(SYS_gettid));
              timer_t timer{};
              itimerspec none{};
              if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0) return -1;
              if (timer_settime(timer, 0, &none, nullptr) != 0) return -1;
              return timer_delete(timer);
            }),
            "allowed");
}

#ifndef PF_SANITIZED
TEST_P(Confined, HasALimitOfAddressSpace) {
  EXPECT_EQ(attempt([] {
              void* big = mmap(nullptr, 700ULL << 20, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
              return big == MAP_FAILED ? -1L : 0L;
            }),
            "ENOMEM");
}
#endif

INSTANTIATE_TEST_SUITE_P(Users, Confined, testing::Values(As::root, As::nobody),
                         [](const auto& about) { return about.param == As::root ? "Root" : "Nobody"; });

// Landlock alone, without seccomp behind which it stands.
TEST(LandlockAlone, TakesFilesAndSignalsAway) {
  if (landlock_abi() < 6) GTEST_SKIP() << "this kernel's Landlock has no scopes";
  const pid_t pid = fork();
  if (pid == 0) {
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    const Landlock in_force = landlock_restrict_all();
    if (!in_force.files || !in_force.tcp || !in_force.signals) _exit(1);
    if (open("/etc/passwd", O_RDONLY) >= 0 || errno != EACCES) _exit(2);
    if (kill(getppid(), 0) == 0 || errno != EPERM) _exit(3);
    if (truncate("/nothing", 0) == 0) _exit(4);
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

/// Makes a system call fail with ENOSYS in this process and its children, as an old kernel does.
bool without_call(int call) {
  scmp_filter_ctx context = seccomp_init(SCMP_ACT_ALLOW);
  const bool done = context != nullptr && seccomp_rule_add(context, SCMP_ACT_ERRNO(ENOSYS), call, 0) == 0 &&
                    seccomp_load(context) == 0;
  seccomp_release(context);
  return done;
}

/// What Supervisor::start says on a kernel without `call`: runs in a child process and comes back as text.
std::string started_without(int call, const std::function<std::string(const Json&)>& tell) {
  int fds[2];
  if (pipe(fds) != 0) return "no pipe";
  const pid_t pid = fork();
  if (pid == 0) {
    std::string text = "no filter";
    if (without_call(call)) {
      asio::io_context loop(1);
      Options options;
      options.program = PF_WORKER_WITH_DOUBLE;
      auto made = Supervisor::start(loop, options);
      text = made ? tell((*made)->sandbox()) : made.error().code + ": " + made.error().message;
    }
    if (write(fds[1], text.data(), text.size()) < 0) _exit(1);
    _exit(0);
  }
  close(fds[1]);
  std::string out;
  char buffer[1024];
  for (ssize_t n = 0; (n = read(fds[0], buffer, sizeof buffer)) > 0;)
    out.append(buffer, static_cast<size_t>(n));
  close(fds[0]);
  int status = 0;
  waitpid(pid, &status, 0);
  return out;
}

TEST(OlderKernels, WithoutSeccompRunNothing) {
  EXPECT_THAT(started_without(SCMP_SYS(seccomp), [](const Json&) { return "started"; }),
              testing::StartsWith("sandbox.unavailable: "));
}

TEST(OlderKernels, WithoutLandlockRunAndSaySo) {
  EXPECT_EQ(started_without(SCMP_SYS(landlock_create_ruleset),
                            [](const Json& sandbox) {
                              return sandbox["landlock_abi"].dump() + " " +
                                     sandbox["landlock"]["files"].dump() + " " + sandbox["seccomp"].dump();
                            }),
            "0 false true");
}

}  // namespace
}  // namespace pf::worker
