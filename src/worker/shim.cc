#include "worker/shim.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "worker/confine.h"
#include "worker/guardian.h"
#include "worker/program_protocol.h"
#include "worker/protocol.h"

namespace pf::worker {
namespace {

using Step = ShimReport::Step;

/// Of the processes that the user may have, so many (at most a quarter) are not for confined programs: one
/// that forks without end must not keep workers and other programs from being started.
constexpr rlim_t kKeptProcesses = 256;

[[noreturn]] void leave(int code) { _exit(code); }

/// All that the child of vfork needs, prepared before it; and where it says what went wrong. The child shares
/// our memory, so it makes system calls and nothing else.
struct Start {
  const char* file;
  char* const* arguments;
  char* const* environment;
  int folder;
  int in, out, err;
  int ruleset;  // -1: unconfined
  bool confined;
  uint64_t file_size;
  pid_t parent;
  volatile int error;
  volatile Step step;
};

void child(Start& start) {
  const auto give_up = [&](Step step) {
    start.step = step;
    start.error = errno;
    _exit(127);
  };
  start.step = Step::confine;
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) give_up(Step::confine);
  if (getppid() != start.parent) _exit(127);
  if (setsid() < 0) give_up(Step::fork);
  // Ours are above 2 and close on exec.
  if (dup2(start.in, 0) < 0 || dup2(start.out, 1) < 0 || dup2(start.err, 2) < 0) give_up(Step::fork);
  if (fchdir(start.folder) != 0) give_up(Step::folder);
  if (start.file_size != 0) {
    const rlimit limit{start.file_size, start.file_size};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) give_up(Step::confine);
  }
  if (start.confined) {
    rlimit processes{};
    if (getrlimit(RLIMIT_NPROC, &processes) != 0) give_up(Step::confine);
    if (processes.rlim_cur != RLIM_INFINITY) {
      const rlim_t quarter = processes.rlim_cur / 4;
      processes.rlim_cur -= quarter < kKeptProcesses ? quarter : kKeptProcesses;
      processes.rlim_max = processes.rlim_cur;
      if (setrlimit(RLIMIT_NPROC, &processes) != 0) give_up(Step::confine);
    }
  }
  if (start.ruleset >= 0 && ProgramRules::restrict_self(start.ruleset) != 0) give_up(Step::confine);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  execve(start.file, start.arguments, start.environment);
  give_up(Step::exec);
}

// In a function of its own, whose frame nothing of ours lives in.
[[gnu::noinline]] pid_t spawn(Start& start) {
  const pid_t pid = vfork();
  if (pid == 0) child(start);
  return pid;
}

std::vector<char*> pointers(std::vector<std::string>& list) {
  std::vector<char*> out;
  out.reserve(list.size() + 1);
  for (auto& text : list) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

/// The whole content of a memory file.
std::string content(int fd) {
  struct stat info {};
  std::string out;
  if (fstat(fd, &info) != 0 || info.st_size < 0) return out;
  out.resize(static_cast<size_t>(info.st_size));
  if (pread(fd, out.data(), out.size(), 0) != info.st_size) out.clear();
  return out;
}

/// The value of a line `NAME: NUMBER` of /proc/PID/io.
uint64_t value_of(const char* text, const char* name) {
  const char* at = std::strstr(text, name);
  return at == nullptr ? 0 : std::strtoull(at + std::strlen(name), nullptr, 10);
}

/// What a process has read and written. Nothing where the kernel does not count (CONFIG_TASK_IO_ACCOUNTING),
/// or does not tell us.
void count_io(pid_t pid, ShimReport& report) {
  char path[32];
  std::snprintf(path, sizeof path, "/proc/%d/io", static_cast<int>(pid));
  const UniqueFd file(open(path, O_RDONLY | O_CLOEXEC));
  if (!file) return;
  char text[512];
  const ssize_t n = read(file.get(), text, sizeof text - 1);
  if (n <= 0) return;
  text[n] = '\0';
  report.read_bytes = value_of(text, "rchar: ");
  report.write_bytes = value_of(text, "wchar: ");
}

class Shim {
 public:
  Shim(const ShimOptions& options, const ProgramFilters& filters) : options_(options), filters_(filters) {}

  [[noreturn]] void run() {
    scoped_ = options_.confined && rules_.scope_signals();
    sigset_t child_signal;
    sigemptyset(&child_signal);
    sigaddset(&child_signal, SIGCHLD);
    UniqueFd signals(signalfd(-1, &child_signal, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!signals) leave(kExitSetup);
    pollfd waits[2] = {{kSocketFd, POLLIN, 0}, {signals.get(), POLLIN, 0}};
    while (true) {
      if (poll(waits, 2, -1) < 0 && errno != EINTR) break;
      if (waits[1].revents != 0) {
        signalfd_siginfo info[16];
        if (read(signals.get(), info, sizeof info) > 0) reap();
      }
      if (waits[0].revents != 0 && !take_request()) break;
    }
    end_all();
    leave(0);
  }

 private:
  void tell(const ShimReport& report) {
    while (send(kSocketFd, &report, sizeof report, MSG_NOSIGNAL) < 0 && errno == EINTR) {
    }
  }

  /// Kills all descendants and reaps them. Returns how many children there were.
  uint32_t end_all() {
    uint32_t count = 0;
    // What an ended process leaves behind is our child at once: without children there is nothing, and the
    // search of all processes is spared.
    siginfo_t unused;
    if (waitid(P_ALL, 0, &unused, WEXITED | WNOHANG | WNOWAIT) != 0 && errno == ECHILD) return 0;
    while (true) {
      // In its Landlock layer this reaches exactly what descends from us, at once; else child by child, until
      // the last one that became ours is gone.
      if (scoped_)
        kill(-1, SIGKILL);
      else
        kill_children();
      const pid_t pid = waitpid(-1, nullptr, 0);
      if (pid > 0)
        ++count;
      else if (errno != EINTR)
        return count;
    }
  }

  void reap() {
    int status = 0;
    rusage usage{};
    pid_t pid = 0;
    ShimReport report;
    siginfo_t ended{};
    // While it waits to be reaped, the kernel has it all together, with those of its children that it waited
    // for.
    if (program_ > 0 &&
        waitid(P_PID, static_cast<id_t>(program_), &ended, WEXITED | WNOHANG | WNOWAIT) == 0 &&
        ended.si_pid == program_) {
      count_io(program_, report);
    }
    while ((pid = wait4(-1, &status, WNOHANG, &usage)) > 0) {
      if (pid != program_) continue;
      program_ = -1;
      report.kind = ShimReport::Kind::exited;
      report.status = status;
      const auto micros = [](const timeval& t) {
        return static_cast<uint64_t>(t.tv_sec) * 1000000 + static_cast<uint64_t>(t.tv_usec);
      };
      report.cpu_us = micros(usage.ru_utime) + micros(usage.ru_stime);
      report.max_rss = static_cast<uint64_t>(usage.ru_maxrss) * 1024;
      report.left = end_all();
      tell(report);
      return;
    }
  }

  /// False when the core is gone, or is no core of ours.
  bool take_request() {
    ShimRequest request;
    iovec data{&request, sizeof request};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kProgramFds)] = {};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    ssize_t n = 0;
    while ((n = recvmsg(kSocketFd, &message, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR) {
    }
    if (n != static_cast<ssize_t>(sizeof request)) return false;
    UniqueFd fds[kProgramFds];
    const cmsghdr* header = CMSG_FIRSTHDR(&message);
    if (header != nullptr && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
      const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (size_t i = 0; i < count && i < kProgramFds; ++i) {
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
        fds[i].reset(fd);
      }
    }
    switch (request.kind) {
      case ShimRequest::Kind::run: return start(fds);
      case ShimRequest::Kind::terminate:
        if (program_ > 0) kill(-program_, SIGTERM);
        return true;
      case ShimRequest::Kind::interrupt:
        if (program_ > 0) kill(-program_, SIGINT);
        return true;
      case ShimRequest::Kind::kill:
        if (program_ > 0) {
          if (scoped_)
            kill(-1, SIGKILL);  // what it forks meanwhile ends with it: see reap()
          else
            kill_children();
        }
        return true;
    }
    return false;
  }

  void fail(Step step, int error, uint32_t grant = 0) {
    ShimReport report;
    report.kind = ShimReport::Kind::failed;
    report.step = step;
    report.error = error;
    report.grant = grant;
    tell(report);
  }

  /// The filter of its programs, on itself: they inherit it, and it costs more to make than a program to
  /// start. What a shim does itself passes it. The core asks one shim for one kind of program only.
  bool filter_self(bool network) {
    if (filtered_) {
      errno = EINVAL;
      return *filtered_ == network;
    }
    const auto& filter = network ? filters_.online : filters_.offline;
    errno = ENOSYS;
    if (!filter || filter->install() != 0) return false;
    filtered_ = network;
    return true;
  }

  bool start(UniqueFd (&fds)[kProgramFds]) {
    if (program_ > 0) return false;
    for (const UniqueFd& fd : fds) {
      // The core's message lost some: our table is full.
      if (!fd) return fail(Step::request, EMFILE), true;
    }
    ProgramSpec spec;
    if (!decode(content(fds[0].get()), spec)) return false;
    UniqueFd folder(open(spec.folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!folder) return fail(Step::folder, errno), true;
    auto arguments = pointers(spec.arguments);
    auto environment = pointers(spec.environment);
    Start start{};
    start.file = spec.file.c_str();
    start.arguments = arguments.data();
    start.environment = environment.data();
    start.folder = folder.get();
    start.in = fds[1].get();
    start.out = fds[2].get();
    start.err = fds[3].get();
    start.ruleset = -1;
    start.file_size = spec.file_size;
    start.parent = getpid();
    UniqueFd ruleset;
    if (options_.confined) {
      if (!filter_self(spec.network)) return fail(Step::confine, errno), true;
      start.confined = true;
      uint32_t grant = 0;
      ruleset = rules_.make(spec, grant);
      if (!ruleset && grant != UINT32_MAX) return fail(Step::grant, errno, grant), true;
      if (!ruleset && !(options_.degraded && rules_.abi() == 0)) return fail(Step::confine, errno), true;
      start.ruleset = ruleset.get();
    }
    program_ = spawn(start);
    if (program_ < 0) return fail(Step::fork, errno), true;
    if (start.error != 0) {
      while (waitpid(program_, nullptr, 0) < 0 && errno == EINTR) {
      }
      program_ = -1;
      return fail(start.step, start.error), true;
    }
    return true;
  }

  const ShimOptions& options_;
  const ProgramFilters& filters_;
  ProgramRules rules_;
  std::optional<bool> filtered_;  // which filter it has taken on itself
  pid_t program_ = -1;
  bool scoped_ = false;
};

}  // namespace

void shim(const ShimOptions& options, const ProgramFilters& filters) {
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) leave(kExitSetup);
  if (getppid() != options.parent) leave(0);  // it died before we asked to die with it
  // Dispositions that are ignored would go on to programs. All signals are blocked since the guardian.
  for (int number = 1; number < NSIG; ++number) signal(number, SIG_DFL);
  if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0 || !keep_only(options.socket)) leave(kExitSetup);
  // Like everything else that is opened here: programs get 0 to 2.
  if (fcntl(kSocketFd, F_SETFD, FD_CLOEXEC) != 0) leave(kExitSetup);
  const rlimit none{0, 0};
  if (setrlimit(RLIMIT_CORE, &none) != 0) leave(kExitSetup);
  if (options.confined) {
    Confinement unused;
    if (!drop_capabilities(unused) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) leave(kExitSetup);
  }
  Shim(options, filters).run();
}

}  // namespace pf::worker
