#include "report/keyboard.h"

#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>

namespace pf::report {
namespace {

constexpr std::array<int, 9> kSignals = {SIGTSTP, SIGCONT, SIGHUP, SIGQUIT, SIGSEGV,
                                         SIGBUS,  SIGFPE,  SIGILL, SIGABRT};

// What signal handlers may touch. `before` is written while `raw` is false.
struct Held {
  int fd = -1;
  termios before{};
  std::atomic<bool> raw{false};
  std::atomic<bool> went_on{false};
  std::array<struct sigaction, kSignals.size()> old{};
};
Held held;

// Changing a terminal from the background stops the process (SIGTTOU). One that is not our controlling
// terminal has no background.
bool in_foreground(int fd) {
  const pid_t group = ::tcgetpgrp(fd);
  return group == -1 || group == ::getpgrp();
}

void on_stop(int) {
  const int saved = errno;
  restore_terminal();
  // SIGTSTP again would come only after this handler; this one nobody can miss.
  ::kill(::getpid(), SIGSTOP);
  errno = saved;
}

void on_continue(int) { held.went_on = true; }

void on_end(int number) {
  const int saved = errno;
  restore_terminal();
  for (size_t i = 0; i < kSignals.size(); ++i) {
    if (kSignals[i] == number) ::sigaction(number, &held.old[i], nullptr);
  }
  ::raise(number);  // delivered when this handler returns
  errno = saved;
}

class TerminalKeys final : public Keys {
 public:
  explicit TerminalKeys(int fd) : fd_(fd), terminal_(::isatty(fd) == 1) {}
  ~TerminalKeys() override { close(); }

  void open() override {
    open_ = true;
    held.fd = fd_;
    held.went_on = false;
    for (size_t i = 0; i < kSignals.size(); ++i) {
      struct sigaction action {};
      sigemptyset(&action.sa_mask);
      action.sa_flags = SA_RESTART | SA_ONSTACK;
      const int number = kSignals[i];
      action.sa_handler = number == SIGTSTP ? on_stop : number == SIGCONT ? on_continue : on_end;
      ::sigaction(number, &action, &held.old[i]);
      // What was ignored stays so: nohup, and shells without job control.
      if (held.old[i].sa_handler == SIG_IGN) ::sigaction(number, &held.old[i], nullptr);
    }
    take_terminal();
  }

  std::string take() override {
    std::string out;
    if (!open_ || !terminal_ || !in_foreground(fd_)) return out;
    if (!held.raw) take_terminal();
    char buffer[64];
    // Reading is bounded: a paste must not hold up the run.
    for (int i = 0; i < 16; ++i) {
      pollfd ready{fd_, POLLIN, 0};
      if (::poll(&ready, 1, 0) != 1) break;
      const ssize_t n = ::read(fd_, buffer, sizeof buffer);
      if (n <= 0) {
        if (n == 0 || (errno != EINTR && errno != EAGAIN)) terminal_ = (ready.revents & POLLHUP) == 0;
        break;
      }
      out.append(buffer, static_cast<size_t>(n));
    }
    return out;
  }

  bool foreground() override { return !terminal_ || in_foreground(fd_); }

  bool resumed() override {
    if (!open_ || !held.went_on.exchange(false)) return false;
    held.raw = false;  // a shell has set the terminal as it likes it meanwhile
    return true;
  }

  void close() override {
    if (!open_) return;
    open_ = false;
    restore_terminal();
    for (size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], &held.old[i], nullptr);
  }

 private:
  void take_terminal() {
    if (!terminal_ || !in_foreground(fd_)) return;
    if (!known_ && ::tcgetattr(fd_, &held.before) != 0) {
      terminal_ = false;
      return;
    }
    known_ = true;
    termios raw = held.before;
    raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    held.raw = true;
    if (::tcsetattr(fd_, TCSANOW, &raw) != 0) {
      held.raw = false;
      terminal_ = false;
    }
  }

  int fd_;
  bool terminal_;
  bool known_ = false;  // held.before is what we found
  bool open_ = false;
};

}  // namespace

void restore_terminal() {
  if (held.raw.exchange(false) && in_foreground(held.fd)) ::tcsetattr(held.fd, TCSANOW, &held.before);
}

std::shared_ptr<Keys> open_terminal_keys(int fd) { return std::make_shared<TerminalKeys>(fd); }

}  // namespace pf::report
