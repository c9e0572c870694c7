#include "services/capture.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "base/file.h"
#include "base/text.h"

extern char** environ;

namespace pf::services {
namespace {

constexpr size_t kMost = 1 << 20;

tl::unexpected<Error> failed(const std::string& program, const std::string& what) {
  return fail("command.failed", "the command " + program + " " + what,
              "run it by hand to see what it says; its output is taken as it is");
}

// What comes until the end of file, or an error. The pipe's other end is the child's alone.
Result<std::string> read_all(int fd, const std::string& program, SteadyTime end) {
  std::string out;
  char block[4096];
  while (true) {
    const auto left = std::chrono::duration_cast<Milliseconds>(end - Clock::system().steady());
    if (left.count() <= 0) return failed(program, "did not end in time");
    struct pollfd wait {
      fd, POLLIN, 0
    };
    const int ready = ::poll(&wait, 1, static_cast<int>(left.count()));
    if (ready < 0 && errno != EINTR) return tl::unexpected(system_error("cannot wait for " + program, errno));
    if (ready <= 0) continue;
    const ssize_t n = ::read(fd, block, sizeof block);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return tl::unexpected(system_error("cannot read what " + program + " prints", errno));
    if (n == 0) return out;
    out.append(block, static_cast<size_t>(n));
    if (out.size() > kMost) return failed(program, "printed more than " + format_bytes(kMost));
  }
}

}  // namespace

Result<std::string> capture(const std::vector<std::string>& argv, Milliseconds timeout) {
  const SteadyTime end = Clock::system().steady() + timeout;
  int pipe[2];
  if (::pipe2(pipe, O_CLOEXEC) != 0) return tl::unexpected(system_error("cannot make a pipe", errno));
  const UniqueFd from(pipe[0]);
  UniqueFd to(pipe[1]);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, to.get(), 1);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  // In a group of its own, so that what it starts ends with it.
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  std::vector<char*> words;
  for (const std::string& word : argv) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  pid_t child = 0;
  const int code = ::posix_spawnp(&child, words[0], &actions, &attributes, words.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (code != 0) {
    return fail("command.missing", "cannot run " + argv[0] + ": " + system_error({}, code).message,
                "install it, or write its whole path");
  }
  to.reset();
  auto text = read_all(from.get(), argv[0], end);
  if (!text) ::kill(-child, SIGKILL);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  if (!text) return text;
  if (!WIFEXITED(status)) return failed(argv[0], "was ended by signal " + std::to_string(WTERMSIG(status)));
  if (WEXITSTATUS(status) != 0) {
    return failed(argv[0], "ended with exit code " + std::to_string(WEXITSTATUS(status)));
  }
  return text;
}

}  // namespace pf::services
