#include "worker/guardian_launcher.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <string>
#include <vector>

#include "base/cbor.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/version.h"
#include "registry/frames.h"

extern char** environ;

namespace pf::worker {
namespace {

constexpr Milliseconds kProbePatience{10000};
constexpr Milliseconds kEndPatience{2000};
constexpr uint64_t kProbeMemory = 256ULL << 20;

tl::unexpected<Error> not_started(std::string what) {
  return pf::fail("worker.start", std::move(what), "check the installation with `pangeo-forge doctor`");
}

std::string describe(int status) {
  if (WIFSIGNALED(status)) {
    const char* name = sigabbrev_np(WTERMSIG(status));
    return "was killed by SIG" + std::string(name != nullptr ? name : std::to_string(WTERMSIG(status)));
  }
  if (WEXITSTATUS(status) == kExitUsage) return "is not of version " + std::string(kVersion);
  return "ended with exit status " + std::to_string(WEXITSTATUS(status));
}

/// What of our environment the guardian gets: nothing that is anybody's secret, since workers are forks of
/// it.
std::vector<char*> clean_environment() {
  std::vector<char*> out;
  static constexpr std::string_view kKept[] = {
      "LD_LIBRARY_PATH=",
#ifdef PF_SANITIZED
      "ASAN_OPTIONS=",    "UBSAN_OPTIONS=", "TSAN_OPTIONS=", "LSAN_OPTIONS=",
#endif
  };
  for (char** entry = environ; *entry != nullptr; ++entry) {
    for (const auto prefix : kKept) {
      if (std::string_view(*entry).starts_with(prefix)) out.push_back(*entry);
    }
  }
  out.push_back(nullptr);
  return out;
}

Result<std::pair<UniqueFd, UniqueFd>> socket_pair(int type) {
  int fds[2];
  if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds) != 0) {
    return not_started(std::string("no sockets for a worker: ") + strerror(errno));
  }
  return std::pair(UniqueFd(fds[0]), UniqueFd(fds[1]));
}

/// posix_spawn of the guardian with `socket` as its descriptor kSocketFd; the pid, or -errno.
int spawn_guardian(const std::filesystem::path& program, int socket) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  int rc = posix_spawn_file_actions_adddup2(&actions, socket, kSocketFd);
  const auto to_null = [&](int fd) {
    if (rc == 0) rc = posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
  };
  to_null(STDIN_FILENO);
  to_null(STDOUT_FILENO);
#ifndef PF_SANITIZED
  to_null(STDERR_FILENO);
#endif
  if (rc == 0) rc = posix_spawn_file_actions_addclosefrom_np(&actions, kSocketFd + 1);
  // All signals blocked from the first moment: a Ctrl-C between exec and setsid must not reach it.
  sigset_t all;
  sigfillset(&all);
  if (rc == 0) rc = posix_spawnattr_setsigmask(&attributes, &all);
  if (rc == 0) rc = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  std::string name = "pangeo-forge-worker";
  std::string word = kGuardianWord;
  std::string version = kVersion;
  char* arguments[] = {name.data(), word.data(), version.data(), nullptr};
  pid_t pid = -1;
  if (rc == 0) {
    rc = posix_spawn(&pid, program.c_str(), &actions, &attributes, arguments, clean_environment().data());
  }
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  return rc == 0 ? pid : -rc;
}

}  // namespace

/// Outlives the launcher while a handler of the loop holds it.
struct GuardianLauncher::Connection {
  Connection(asio::io_context& loop, int fd) : socket(loop, fd) {}
  asio::posix::stream_descriptor socket;
  std::deque<Request> waiting;
  bool writing = false;
};

GuardianLauncher::GuardianLauncher(asio::io_context& loop, std::filesystem::path program)
    : loop_(loop), program_(std::move(program)) {}

GuardianLauncher::~GuardianLauncher() { end(kEndPatience); }

Result<void> GuardianLauncher::ensure() {
  if (connection_) return {};
  auto pair = socket_pair(SOCK_SEQPACKET);
  if (!pair) return tl::unexpected(pair.error());
  auto& [ours, theirs] = *pair;
  const int pid = spawn_guardian(program_, theirs.get());
  if (pid < 0) return not_started("cannot start " + program_.string() + ": " + strerror(-pid));
  pid_ = pid;
  connection_ = std::make_shared<Connection>(loop_, ours.release());
  if (events_ != nullptr) wait_to_read();
  return {};
}

void GuardianLauncher::listen(Events& events) {
  events_ = &events;
  if (connection_) wait_to_read();
}

// How the probe's worker, or else the guardian, ended: for a message. Ends the guardian.
std::string GuardianLauncher::end_of_probe() {
  pollfd wait{connection_->socket.native_handle(), POLLIN, 0};
  GuardianReport report;
  while (poll(&wait, 1, 1000) > 0 && recv(wait.fd, &report, sizeof report, 0) == sizeof report) {
    if (report.kind == GuardianReport::Kind::spawned) continue;
    end(kEndPatience);
    if (report.kind == GuardianReport::Kind::exited) return "its worker " + describe(report.status);
    return std::string("it could not fork: ") + strerror(report.error);
  }
  return "it " + end(Milliseconds(100));
}

Result<Json> GuardianLauncher::probe() {
  if (auto started = ensure(); !started) return tl::unexpected(started.error());
  auto pair = socket_pair(SOCK_STREAM);
  if (!pair) return tl::unexpected(pair.error());
  auto& [ours, theirs] = *pair;
  GuardianRequest data;
  data.kind = GuardianRequest::Kind::probe;
  data.memory = kProbeMemory;
  send({data, std::move(theirs)});

  // Whatever goes wrong on the way closes the other end.
  std::string answer;
  frames::Split frame;
  const SteadyTime give_up = Clock::system().steady() + kProbePatience;
  while ((frame = frames::split(answer)).status == frames::Split::Status::incomplete) {
    const auto left = std::chrono::duration_cast<Milliseconds>(give_up - Clock::system().steady());
    pollfd wait{ours.get(), POLLIN, 0};
    const int ready = poll(&wait, 1, static_cast<int>(std::max<int64_t>(left.count(), 0)));
    if (ready < 0 && errno == EINTR) continue;
    char buffer[4096];
    const ssize_t n = ready > 0 ? recv(ours.get(), buffer, sizeof buffer, 0) : -1;
    if (n <= 0) {
      if (ready > 0) return not_started(program_.string() + " gave no answer: " + end_of_probe());
      end(Milliseconds(0));
      return not_started(program_.string() + " gave no answer within 10 s");
    }
    answer.append(buffer, static_cast<size_t>(n));
  }
  cbor::Reader in(frame.payload);
  if (frame.status == frames::Split::Status::complete && cbor::scan(frame.payload) && in.array() == 2) {
    const uint64_t kind = in.unsigned_int();
    if (kind == static_cast<uint64_t>(frames::Kind::load_failed)) {
      Error error = frames::read_error(in);
      if (in.ok()) {
        end(kEndPatience);
        error.retryable = false;
        return tl::unexpected(std::move(error));
      }
    } else if (kind == static_cast<uint64_t>(frames::Kind::ready)) {
      auto report = from_cbor(in.next_raw());
      if (report && report->is_object()) return std::move(*report);
    }
  }
  end(kEndPatience);
  return not_started(program_.string() + " answered what no worker of this version does");
}

Result<void> GuardianLauncher::launch(uint32_t worker, UniqueFd socket, uint64_t memory) {
  if (auto started = ensure(); !started) return started;
  GuardianRequest data;
  data.kind = GuardianRequest::Kind::spawn;
  data.worker = worker;
  data.memory = memory;
  send({data, std::move(socket)});
  return {};
}

Result<void> GuardianLauncher::launch_shim(uint32_t number, UniqueFd socket, bool confined, bool degraded) {
  if (auto started = ensure(); !started) return started;
  GuardianRequest data;
  data.kind = GuardianRequest::Kind::shim;
  data.worker = number;
  data.unconfined = confined ? 0 : 1;
  data.degraded = degraded ? 1 : 0;
  send({data, std::move(socket)});
  return {};
}

void GuardianLauncher::kill(uint32_t worker) {
  if (!connection_) return;
  GuardianRequest data;
  data.kind = GuardianRequest::Kind::kill;
  data.worker = worker;
  send({data, {}});
}

// True when it is on its way, or never can be: then the reader sees the end of the socket.
bool GuardianLauncher::send_now(Connection& connection, const Request& request) {
  GuardianRequest data = request.data;
  iovec part{&data, sizeof data};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (request.socket) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    const int fd = request.socket.get();
    std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  }
  ssize_t n = 0;
  while ((n = sendmsg(connection.socket.native_handle(), &message, MSG_DONTWAIT | MSG_NOSIGNAL)) < 0 &&
         errno == EINTR) {
  }
  // ETOOMANYREFS: more descriptors under way than the kernel allows us; the guardian is taking them.
  return n >= 0 || (errno != EAGAIN && errno != ENOBUFS && errno != ETOOMANYREFS);
}

void GuardianLauncher::send(Request request) {
  if (connection_->waiting.empty() && send_now(*connection_, request)) return;
  connection_->waiting.push_back(std::move(request));
  wait_to_write();
}

void GuardianLauncher::wait_to_write() {
  if (connection_->writing) return;
  connection_->writing = true;
  connection_->socket.async_wait(asio::posix::stream_descriptor::wait_write,
                                 [this, connection = connection_](std::error_code code) {
                                   connection->writing = false;
                                   if (code) return;
                                   auto& waiting = connection->waiting;
                                   while (!waiting.empty() && send_now(*connection, waiting.front())) {
                                     waiting.pop_front();
                                   }
                                   if (!waiting.empty()) wait_to_write();
                                 });
}

void GuardianLauncher::wait_to_read() {
  connection_->socket.async_wait(asio::posix::stream_descriptor::wait_read,
                                 [this, connection = connection_](std::error_code code) {
                                   // A closed connection cancels this, and then there may be no launcher
                                   // either.
                                   if (!code && connection->socket.is_open()) read();
                                 });
}

void GuardianLauncher::read() {
  const auto connection = connection_;
  while (connection == connection_) {
    GuardianReport report;
    const ssize_t n = recv(connection->socket.native_handle(), &report, sizeof report, MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return wait_to_read();
    if (n != static_cast<ssize_t>(sizeof report)) return lost();
    switch (report.kind) {
      case GuardianReport::Kind::spawned: events_->worker_spawned(report.worker, report.pid); break;
      case GuardianReport::Kind::exited: {
        const Exit exit{report.status, report.cpu_us, report.max_rss};
        events_->worker_exited(report.worker, exit);
        break;
      }
      case GuardianReport::Kind::spawn_failed: {
        auto error = not_started(std::string("no process for a worker: ") + strerror(report.error));
        events_->worker_not_spawned(report.worker, error.value());
        break;
      }
    }
  }
}

std::string GuardianLauncher::end(Milliseconds patience) {
  if (pid_ < 0) return "had ended";
  connection_->socket.close();  // its signal to end all that descends from it, and itself
  connection_.reset();
  UniqueFd process(static_cast<int>(syscall(SYS_pidfd_open, pid_, 0)));
  pollfd wait{process.get(), POLLIN, 0};
  // Without a pidfd (kernels before 5.3) it is not given the time, its workers die with it.
  int ready = 0;
  const SteadyTime give_up = Clock::system().steady() + patience;
  while (process) {
    const auto left = std::chrono::duration_cast<Milliseconds>(give_up - Clock::system().steady());
    ready = poll(&wait, 1, static_cast<int>(std::max<int64_t>(left.count(), 0)));
    if (ready >= 0 || errno != EINTR) break;
  }
  if (ready <= 0) ::kill(pid_, SIGKILL);
  int status = 0;
  pid_t reaped = 0;
  while ((reaped = waitpid(pid_, &status, 0)) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  return reaped < 0 ? "had ended" : describe(status);
}

void GuardianLauncher::lost() {
  const std::string how = end(Milliseconds(100));
  events_->launcher_lost("the guardian process " + how);
}

}  // namespace pf::worker
