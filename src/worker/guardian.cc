#include "worker/guardian.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/file.h"
#include "worker/protocol.h"
#include "worker/serve.h"
#include "worker/shim.h"

namespace pf::worker {
namespace {

std::string read_small(const char* path) {
  std::string out;
  UniqueFd file(open(path, O_RDONLY | O_CLOEXEC));
  char buffer[4096];
  for (ssize_t n = 0; file && (n = read(file.get(), buffer, sizeof buffer)) > 0;) {
    out.append(buffer, static_cast<size_t>(n));
  }
  return out;
}

/// Children by a walk over all processes, for kernels without the `children` file.
std::vector<pid_t> children_by_walk() {
  std::vector<pid_t> out;
  DIR* folder = opendir("/proc");
  if (folder == nullptr) return out;
  while (const dirent* entry = readdir(folder)) {
    const std::string_view name = entry->d_name;
    pid_t pid = 0;
    if (std::from_chars(name.data(), name.data() + name.size(), pid).ptr != name.data() + name.size())
      continue;
    const std::string stat = read_small(("/proc/" + std::string(name) + "/stat").c_str());
    // `pid (name) state ppid …`: the name may hold anything, so from its last parenthesis.
    const size_t end = stat.rfind(')');
    pid_t parent = 0;
    if (end != std::string::npos && std::sscanf(stat.c_str() + end + 1, " %*c %d", &parent) == 1 &&
        parent == getpid()) {
      out.push_back(pid);
    }
  }
  closedir(folder);
  return out;
}

std::vector<pid_t> children() {
  // We have one thread, so that its children are all of ours.
  UniqueFd file(open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC));
  if (!file) return children_by_walk();
  file.reset();
  std::vector<pid_t> out;
  const std::string text = read_small("/proc/thread-self/children");
  const char* at = text.data();
  const char* end = at + text.size();
  while (at < end) {
    pid_t pid = 0;
    const auto parsed = std::from_chars(at, end, pid);
    if (parsed.ec != std::errc{}) break;
    out.push_back(pid);
    at = parsed.ptr;
    while (at < end && *at == ' ') ++at;
  }
  return out;
}

class Guardian {
 public:
  explicit Guardian(int socket) : socket_(socket), filter_(SeccompFilter::build()) {}

  void run(int signals) {
    pollfd waits[2] = {{socket_, POLLIN, 0}, {signals, POLLIN, 0}};
    while (true) {
      if (poll(waits, 2, -1) < 0) {
        if (errno == EINTR) continue;
        return;
      }
      if (waits[1].revents != 0) {
        signalfd_siginfo info[16];
        // Signals of one kind merge: what has ended is asked of the kernel, not counted.
        if (read(signals, info, sizeof info) > 0) reap();
      }
      if (waits[0].revents != 0 && !take_request()) return;
    }
  }

 private:
  void tell(const GuardianReport& report) {
    // Blocks while the core is slow to read; an error means that it is gone, which the loop sees by itself.
    while (send(socket_, &report, sizeof report, MSG_NOSIGNAL) < 0 && errno == EINTR) {
    }
  }

  void reap() {
    int status = 0;
    rusage usage{};
    pid_t pid = 0;
    bool orphans = false;
    while ((pid = wait4(-1, &status, WNOHANG, &usage)) > 0) {
      const auto found = numbers_.find(pid);
      if (found == numbers_.end()) {  // an orphan that we adopted
        orphans = true;
        continue;
      }
      // A shim that was killed leaves its programs to us.
      if (shims_.erase(pid) > 0) orphans = true;
      GuardianReport report;
      report.kind = GuardianReport::Kind::exited;
      report.worker = found->second;
      report.pid = pid;
      report.status = status;
      const auto micros = [](const timeval& t) {
        return static_cast<uint64_t>(t.tv_sec) * 1000000 + static_cast<uint64_t>(t.tv_usec);
      };
      report.cpu_us = micros(usage.ru_utime) + micros(usage.ru_stime);
      report.max_rss = static_cast<uint64_t>(usage.ru_maxrss) * 1024;
      pids_.erase(found->second);
      numbers_.erase(found);
      tell(report);
    }
    if (!orphans) return;
    for (const pid_t child : children()) {
      if (!numbers_.contains(child)) kill(child, SIGKILL);
    }
  }

  /// False when the core is gone, or is no core of ours.
  bool take_request() {
    GuardianRequest request;
    iovec data{&request, sizeof request};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    ssize_t n = 0;
    while ((n = recvmsg(socket_, &message, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR) {
    }
    if (n != static_cast<ssize_t>(sizeof request)) return false;
    UniqueFd passed;
    const cmsghdr* header = CMSG_FIRSTHDR(&message);
    if (header != nullptr && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
      passed.reset(fd);
    }
    switch (request.kind) {
      case GuardianRequest::Kind::spawn:
      case GuardianRequest::Kind::probe:
      case GuardianRequest::Kind::shim: spawn(request, std::move(passed)); return true;
      case GuardianRequest::Kind::kill:
        if (const auto found = pids_.find(request.worker); found != pids_.end()) kill(found->second, SIGKILL);
        return true;
    }
    return false;
  }

  [[noreturn]] void child(const GuardianRequest& request, int socket, pid_t parent) {
    if (request.kind == GuardianRequest::Kind::shim) {
      shim({socket, parent, request.unconfined == 0, request.degraded != 0}, *program_filters_);
    }
    serve({socket, parent, request.memory, request.kind == GuardianRequest::Kind::probe}, filter_);
  }

  void spawn(const GuardianRequest& request, UniqueFd socket) {
    GuardianReport report;
    report.worker = request.worker;
    const bool is_shim = request.kind == GuardianRequest::Kind::shim;
    if (is_shim && !program_filters_) program_filters_ = std::make_unique<ProgramFilters>();
    const pid_t parent = getpid();
    // Without a descriptor (the core's message lost it: our table is full) there is nothing to serve.
    const pid_t pid = socket ? fork() : -1;
    if (!socket) errno = EMFILE;
    if (pid == 0) child(request, socket.get(), parent);
    if (pid < 0) {
      report.kind = GuardianReport::Kind::spawn_failed;
      report.error = errno;
    } else {
      report.kind = GuardianReport::Kind::spawned;
      report.pid = pid;
      pids_[request.worker] = pid;
      numbers_[pid] = request.worker;
      if (is_shim) shims_.insert(pid);
    }
    tell(report);
  }

  int socket_;
  Result<SeccompFilter> filter_;
  std::map<uint32_t, pid_t> pids_;
  std::map<pid_t, uint32_t> numbers_;
  std::set<pid_t> shims_;
  std::unique_ptr<ProgramFilters> program_filters_;  // made with the first shim
};

}  // namespace

void kill_children() {
  for (const pid_t pid : children()) kill(pid, SIGKILL);
}

void end_descendants() {
  while (true) {
    kill_children();
    // One at a time: the death of a child may make its children ours.
    if (waitpid(-1, nullptr, 0) < 0 && errno != EINTR) return;
  }
}

int guardian(int socket) {
  // The session first: a terminal's Ctrl-C goes to the foreground group of the core's. A leader already: as
  // good.
  if (setsid() < 0 && getsid(0) != getpid()) return kExitSetup;
  if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) return kExitSetup;
  // Only the end of the socket ends a guardian (and SIGKILL, which takes its workers along).
  sigset_t all;
  sigfillset(&all);
  if (sigprocmask(SIG_SETMASK, &all, nullptr) != 0) return kExitSetup;
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  UniqueFd signals(signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals) return kExitSetup;
  Guardian(socket).run(signals.get());
  end_descendants();
  return 0;
}

}  // namespace pf::worker
