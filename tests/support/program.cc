#include "support/program.h"

#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <sstream>

namespace pf::test {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

Folder::Folder() {
  char name[] = "/tmp/pf-test-XXXXXX";
  if (mkdtemp(name) == nullptr) throw std::runtime_error("mkdtemp");
  path_ = name;
}

Folder::~Folder() {
  std::error_code code;
  fs::remove_all(path_, code);
}

void Folder::write(const std::string& name, const std::string& text) const {
  fs::create_directories((path_ / name).parent_path());
  std::ofstream file(path_ / name, std::ios::binary);
  file << text;
  if (!file) throw std::runtime_error("cannot write " + name);
}

std::string Folder::read(const std::string& name) const {
  std::ifstream file(path_ / name, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

Process::Process(Options options) {
  int out[2];
  int err[2];
  if (pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
  std::vector<char*> argv;
  for (auto& word : options.argv) argv.push_back(word.data());
  argv.push_back(nullptr);
  pid_ = fork();
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int null = open("/dev/null", O_RDONLY);
    dup2(null, 0);
    dup2(out[1], 1);
    dup2(err[1], 2);
    for (const auto& [name, value] : options.environment) setenv(name.c_str(), value.c_str(), 1);
    if (chdir(options.folder.c_str()) != 0) _exit(126);
    const rlimit processes{options.processes, options.processes};
    if (options.processes != 0 && setrlimit(RLIMIT_NPROC, &processes) != 0) _exit(126);
    if (options.uid != 0 &&
        (setgroups(0, nullptr) != 0 || setgid(options.uid) != 0 || setuid(options.uid) != 0)) {
      _exit(126);
    }
    execvp(argv[0], argv.data());
    _exit(127);
  }
  close(out[1]);
  close(err[1]);
  out_fd_ = out[0];
  err_fd_ = err[0];
}

Process::~Process() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  if (out_fd_ >= 0) close(out_fd_);
  if (err_fd_ >= 0) close(err_fd_);
}

void Process::send(int signal) const { kill(pid_, signal); }

// Reads what is there; false when both pipes have ended.
bool Process::pump(int timeout_ms) {
  pollfd fds[2] = {{out_fd_, POLLIN, 0}, {err_fd_, POLLIN, 0}};
  if (out_fd_ < 0 && err_fd_ < 0) return false;
  if (poll(fds, 2, timeout_ms) <= 0) return true;
  const auto take = [](pollfd& polled, int& fd, std::string& text) {
    if (polled.revents == 0) return;
    char buffer[65536];
    const ssize_t n = read(fd, buffer, sizeof buffer);
    if (n > 0) {
      text.append(buffer, static_cast<size_t>(n));
    } else if (n == 0 || errno != EINTR) {
      close(fd);
      fd = -1;
    }
  };
  take(fds[0], out_fd_, output_.out);
  take(fds[1], err_fd_, output_.err);
  return out_fd_ >= 0 || err_fd_ >= 0;
}

bool Process::wait_for(const std::function<bool(const std::string&)>& seen, std::chrono::seconds limit) {
  const auto end = Clock::now() + limit;
  while (!seen(output_.out)) {
    if (Clock::now() >= end || !pump(100)) return seen(output_.out);
  }
  return true;
}

Output Process::finish(std::chrono::seconds limit) {
  const auto end = Clock::now() + limit;
  bool open = true;
  while (open && Clock::now() < end) open = pump(100);
  if (open) {
    output_.timed_out = true;
    kill(pid_, SIGKILL);
  }
  int status = 0;
  rusage usage{};
  while (wait4(pid_, &status, 0, &usage) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  output_.max_rss = static_cast<uint64_t>(usage.ru_maxrss) * 1024;
  output_.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return output_;
}

Output run(Process::Options options) { return Process(std::move(options)).finish(); }

uid_t unprivileged_user() {
  // One for each test program: the number of processes is counted by user.
  return geteuid() == 0 ? 100000 + static_cast<uid_t>(getpid()) : 0;
}

std::string program() {
  const char* path = std::getenv("PF_PROGRAM");
  return path != nullptr ? path : fs::read_symlink("/proc/self/exe").parent_path() / "pangeo-forge";
}

}  // namespace pf::test
