#include "support/io_runner.h"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <asio/post.hpp>
#include <cerrno>
#include <stdexcept>

#include "base/places.h"

namespace pf::test {

using Clock = std::chrono::steady_clock;

Result<std::string> run_io_helper(const std::string& request, Milliseconds timeout,
                                  const services::IoRunner::Progress& progress, const IoFault& fault) {
  int in[2], out[2];
  if (::pipe2(in, O_CLOEXEC) != 0 || ::pipe2(out, O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
  const std::string program = fault.program.empty() ? places::io_program().string() : fault.program;
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (fault.file_bytes) {
      ::signal(SIGXFSZ, SIG_IGN);
      const rlimit limit{*fault.file_bytes, *fault.file_bytes};
      ::setrlimit(RLIMIT_FSIZE, &limit);
    }
    ::dup2(in[0], 0);
    ::dup2(out[1], 1);
    char name[] = "pangeo-forge-io";
    char* argv[] = {name, nullptr};
    ::execv(program.c_str(), argv);
    ::_exit(127);
  }
  ::close(in[0]);
  ::close(out[1]);
  ::signal(SIGPIPE, SIG_IGN);
  // A program in the helper's place need not read it.
  const bool sent = write_all(in[1], request).has_value();
  EXPECT_TRUE(sent || !fault.program.empty());
  ::close(in[1]);
  services::io::AnswerReader reader(progress);
  const auto end = Clock::now() + timeout;
  bool late = false;
  Result<void> fed;
  while (true) {
    const auto left = std::chrono::duration_cast<Milliseconds>(end - Clock::now()).count();
    pollfd polled{out[0], POLLIN, 0};
    if (left <= 0 || ::poll(&polled, 1, static_cast<int>(left)) == 0) {
      late = true;
      break;
    }
    char buffer[65536];
    const ssize_t n = ::read(out[0], buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    fed = reader.feed({buffer, static_cast<size_t>(n)});
    if (!fed) break;
  }
  if (late || !fed) ::kill(pid, SIGKILL);
  ::close(out[0]);
  ::waitpid(pid, nullptr, 0);
  if (late) return fail("io.timeout", "the io helper was killed at its timeout");
  if (!fed) return tl::unexpected(fed.error());
  return reader.finish();
}

Result<std::string> run_io_helper(const services::io::Request& request) {
  return run_io_helper(services::io::encode(request), Milliseconds(120'000));
}

services::io::Place place_of(const std::filesystem::path& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) throw std::runtime_error("lstat " + path.string());
  return {std::filesystem::canonical(path.parent_path()) / path.filename(), info.st_dev, info.st_ino};
}

uint64_t PlainIoRunner::run(services::IoJob job, Progress progress, Done done) {
  const uint64_t id = next_++;
  jobs.push_back(job);
  asio::post(loop_, [this, id, job = std::move(job), progress = std::move(progress), done = std::move(done)] {
    if (std::count(cancelled_.begin(), cancelled_.end(), id) != 0) {
      done(fail("io.stopped", "it was cancelled"));
      return;
    }
    if (before) before(job);
    done(run_io_helper(job.request, job.timeout, progress, fault));
  });
  return id;
}

}  // namespace pf::test
