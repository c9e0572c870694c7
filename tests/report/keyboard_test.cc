#include "report/keyboard.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

namespace pf::report {
namespace {

/// A pseudo terminal: what is written to `user` was typed.
struct Terminal {
  Terminal() {
    user = ::posix_openpt(O_RDWR | O_NOCTTY);
    ::grantpt(user);
    ::unlockpt(user);
    own = ::open(::ptsname(user), O_RDWR | O_NOCTTY);
  }
  ~Terminal() {
    ::close(user);
    ::close(own);
  }
  bool edits() const {
    termios now{};
    ::tcgetattr(own, &now);
    return (now.c_lflag & ICANON) != 0 && (now.c_lflag & ECHO) != 0;
  }
  void type(const std::string& text) const {
    ASSERT_EQ(::write(user, text.data(), text.size()), static_cast<ssize_t>(text.size()));
    pollfd ready{own, POLLIN, 0};
    ASSERT_EQ(::poll(&ready, 1, 10'000), 1);
  }
  int user = -1, own = -1;
};

TEST(Keyboard, reads_keys_without_editing_and_echo) {
  Terminal terminal;
  ASSERT_TRUE(terminal.edits());
  const auto keys = open_terminal_keys(terminal.own);
  EXPECT_TRUE(terminal.edits());  // not before open()
  keys->open();
  EXPECT_FALSE(terminal.edits());
  EXPECT_EQ(keys->take(), "");
  terminal.type("l\x1b[A");
  EXPECT_EQ(keys->take(), "l\x1b[A");
  EXPECT_EQ(keys->take(), "");
  keys->close();
  EXPECT_TRUE(terminal.edits());
  EXPECT_EQ(keys->take(), "");
}

TEST(Keyboard, puts_the_terminal_back_when_it_is_destroyed) {
  Terminal terminal;
  {
    const auto keys = open_terminal_keys(terminal.own);
    keys->open();
    EXPECT_FALSE(terminal.edits());
  }
  EXPECT_TRUE(terminal.edits());
}

TEST(Keyboard, no_terminal_has_no_keys) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const auto keys = open_terminal_keys(ends[0]);
  keys->open();
  ASSERT_EQ(::write(ends[1], "q", 1), 1);
  EXPECT_EQ(keys->take(), "");
  EXPECT_TRUE(keys->foreground());
  ::close(ends[0]);
  ::close(ends[1]);
}

// In a child, which is ended or stopped by the signal.
class KeyboardSignal : public testing::TestWithParam<int> {};

TEST_P(KeyboardSignal, puts_the_terminal_back) {
  const int number = GetParam();
  Terminal terminal;
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    std::signal(number, SIG_DFL);
    const auto keys = open_terminal_keys(terminal.own);
    keys->open();
    (void)!::write(ready[1], terminal.edits() ? "e" : "r", 1);
    ::raise(number);
    // Only SIGTSTP gets here, after SIGCONT.
    const bool seen = keys->resumed() && !keys->resumed();
    (void)keys->take();  // takes the terminal again
    ::_exit(seen && !terminal.edits() ? 0 : 1);
  }
  char state = 0;
  ASSERT_EQ(::read(ready[0], &state, 1), 1);
  EXPECT_EQ(state, 'r');
  int status = 0;
  if (number == SIGTSTP) {
    ASSERT_EQ(::waitpid(child, &status, WUNTRACED), child);
    EXPECT_TRUE(WIFSTOPPED(status));
    EXPECT_TRUE(terminal.edits());
    ::kill(child, SIGCONT);
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 0);
  } else {
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status));
    EXPECT_EQ(WTERMSIG(status), number);
    EXPECT_TRUE(terminal.edits());
  }
  ::close(ready[0]);
  ::close(ready[1]);
}

INSTANTIATE_TEST_SUITE_P(All, KeyboardSignal,
                         testing::Values(SIGTSTP, SIGHUP, SIGQUIT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT));

}  // namespace
}  // namespace pf::report
