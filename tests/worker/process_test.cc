// The real guardian and real workers, with the double of the VM in them.
#include <gmock/gmock.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <fstream>

#include "base/file.h"
#include "base/json.h"
#include "harness.h"
#include "worker/guardian.h"
#include "worker/guardian_launcher.h"
#include "worker/sandbox.h"
#include "worker/supervise.h"

namespace pf::worker {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

pid_t parent_of(pid_t pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string text((std::istreambuf_iterator<char>(stat)), {});
  int parent = -1;
  if (const size_t end = text.rfind(')'); end != std::string::npos) {
    if (sscanf(text.c_str() + end + 1, " %*c %d", &parent) != 1) parent = -1;
  }
  return parent;
}

UniqueFd pidfd(pid_t pid) { return UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0))); }

/// Whether the process ends within 30 s.
bool ends(const UniqueFd& process) {
  pollfd wait{process.get(), POLLIN, 0};
  return poll(&wait, 1, 30000) == 1;
}

class Processes : public testing::Test {
 protected:
  void start(Options options = {}) {
    options.program = PF_WORKER_WITH_DOUBLE;
    auto made = Supervisor::start(loop, options);
    ASSERT_TRUE(made) << made.error().text();
    supervisor = std::move(*made);
    pool = supervisor->pool(package, client);
  }
  void submit(Job job) {
    run_until(loop, [&] { return pool->offer(job, true); });
  }
  /// Runs one job and returns what came of it.
  Done run(Job job) {
    const uint64_t id = job.id;
    submit(std::move(job));
    run_until(loop, [&] { return client.done.contains(id); });
    return client.done[id];
  }
  std::string output(uint64_t id, std::string_view name) {
    const Done done = run(make_job(id, name));
    if (done.status != Done::Status::succeeded) return done.error.text();
    const auto value = from_cbor(done.value);
    return value ? (value->is_string() ? value->get<std::string>() : value->dump()) : "no CBOR";
  }
  pid_t worker_pid(uint64_t id) { return std::stoi(output(id, "pid")); }

  asio::io_context loop{1};
  Recorder client;
  Package package = make_package();
  std::unique_ptr<Supervisor> supervisor;
  std::unique_ptr<Pool> pool;
};

TEST_F(Processes, ReportTheSandbox) {
  start();
  const Json& sandbox = supervisor->sandbox();
  EXPECT_EQ(sandbox["seccomp"], true);
  EXPECT_EQ(sandbox["no_new_privs"], true);
  EXPECT_EQ(sandbox["capabilities_dropped"], true);
  EXPECT_EQ(sandbox["rlimits"]["files"], 4);
  EXPECT_EQ(sandbox["rlimits"]["core"], 0);
  if (sandbox["landlock_abi"] >= 7) {
    EXPECT_THAT(sandbox_gaps(sandbox), ElementsAre());
  }
}

TEST_F(Processes, RunJobsWithWhatTheirFramesSay) {
  package = make_package();
  start();
  EXPECT_EQ(output(1, "describe"), "demo 1.2.3 -- extension | type prod-1 1 | soft 0 cpu 0");
  const Done bounded = run(make_job(2, "describe", Milliseconds(0), "\xa0", "\xf6", 50, 100));
  EXPECT_EQ(from_cbor(bounded.value), "demo 1.2.3 -- extension | type prod-2 1 | soft 50 cpu 100");
  const Done echo = run(make_job(3, "echo", Milliseconds(0), "\x82\x01\x02", text_value("kept")));
  EXPECT_EQ(echo.value, "\x82\x01\x02");
  EXPECT_EQ(echo.state, text_value("kept"));
  EXPECT_EQ(echo.cpu_us, 7U);
  EXPECT_EQ(echo.peak_bytes, 4096U);
  Job models;
  models.id = 4;
  models.items = 6;
  models.body = std::string("\x02\x00\x00\x10\x10\x01", 6);
  EXPECT_EQ(run(models).value, text_value("models"));
  const Done failed = run(make_job(5, "fail"));
  EXPECT_EQ(failed.status, Done::Status::failed);
  EXPECT_EQ(failed.error.code, "lua.error");
  EXPECT_EQ(failed.error.message, "as asked");
  EXPECT_EQ(failed.error.traceback, "in double");
}

TEST_F(Processes, AnswerHostCalls) {
  start();
  client.on_call = [&](const Recorder::Call& call) {
    if (call.job == 4) return;  // answers only to those who wait
    if (call.job == 1)
      pool->reply(1, call.request, text_value("answer"));
    else
      pool->reply(call.job, call.request, tl::unexpected(Error{"fs.missing", "none", "look", {}, false, ""}));
  };
  const Done done = run(make_job(1, "ask", Milliseconds(0), text_value("path")));
  EXPECT_EQ(done.value, text_value("answer"));
  EXPECT_EQ(client.calls[0].arguments, "\x81" + text_value("path"));
  const Done refused = run(make_job(2, "ask"));
  EXPECT_EQ(refused.error.code, "fs.missing");
  EXPECT_EQ(refused.error.hint, "look");
  EXPECT_FALSE(refused.error.retryable);
  EXPECT_EQ(run(make_job(3, "ask-all")).status, Done::Status::succeeded);
  EXPECT_EQ(run(make_job(4, "flood")).error.code, "worker.protocol");
  EXPECT_EQ(run(make_job(5, "log")).status, Done::Status::succeeded);
  EXPECT_EQ(client.calls.back().request, 0U);
}

TEST_F(Processes, PassAnswersOfManyMebibytes) {
  start();
  const std::string big = text_value(std::string(15 << 20, 'y'));
  client.on_call = [&](const Recorder::Call& call) { pool->reply(call.job, call.request, big); };
  EXPECT_EQ(run(make_job(1, "ask")).value, big);
  EXPECT_EQ(run(make_job(2, "ask")).value, big);
}

TEST_F(Processes, TurnWhatFitsInNoFrameIntoAFailureOfTheJob) {
  start();
  for (const char* name : {"deep", "big", "big-call"}) {
    const Done done = run(make_job(1, name));
    EXPECT_EQ(done.status, Done::Status::failed) << name;
    EXPECT_EQ(done.error.code, "limit.frame") << name;
    client.done.clear();
  }
  EXPECT_EQ(output(2, "noop"), "{}");
}

TEST_F(Processes, TellWhatALoadSays) {
  package = make_package({"extension", "broken"});
  start();
  const Done done = run(make_job(1, "noop"));
  EXPECT_EQ(done.status, Done::Status::failed);
  EXPECT_EQ(done.error.code, "lua.syntax");
  EXPECT_FALSE(done.error.retryable);
  EXPECT_EQ(run(make_job(2, "noop")).error.code, "lua.syntax");
}

TEST_F(Processes, EndAloneWhenAWorkerDies) {
  start();
  client.on_call = [](const Recorder::Call&) {};
  submit(make_job(1, "ask"));
  run_until(loop, [&] { return !client.calls.empty(); });  // worker 1 waits for our answer
  const struct {
    const char* name;
    const char* message;
  } deaths[] = {
      {"segv", "killed by SIGSEGV: a fault in memory"},
      {"abort", "killed by SIGABRT: it gave up"},
      {"exit", "ended with exit status 9"},
      {"exec", "killed by SIGSYS: it made a forbidden system call"},
  };
  uint64_t id = 2;
  for (const auto& death : deaths) {
    const Done done = run(make_job(id++, death.name));
    EXPECT_EQ(done.status, Done::Status::crashed) << death.name;
    EXPECT_EQ(done.error.code, "worker.crashed");
    EXPECT_THAT(done.error.message, HasSubstr(death.message));
  }
  pool->reply(1, client.calls[0].request, text_value("late, but there"));
  run_until(loop, [&] { return client.done.contains(1); });
  EXPECT_EQ(client.done[1].value, text_value("late, but there"));
}

TEST_F(Processes, AreKilledFromOutsideAndReplaced) {
  start();
  const pid_t pid = worker_pid(1);
  submit(make_job(2, "loop"));
  run_until(loop, [&] { return client.told.back() == "started 2"; });
  ASSERT_EQ(kill(pid, SIGKILL), 0);
  run_until(loop, [&] { return client.done.contains(2); });
  EXPECT_EQ(client.done[2].error.code, "worker.crashed");
  EXPECT_THAT(client.done[2].error.message, HasSubstr("SIGKILL from outside"));
  EXPECT_NE(worker_pid(3), pid);
}

TEST_F(Processes, AreKilledAtTheHardDeadline) {
  start();
  const Done done = run(make_job(1, "loop", Milliseconds(30)));
  EXPECT_EQ(done.status, Done::Status::timed_out);
  EXPECT_EQ(done.error.code, "deadline.hard");
  EXPECT_EQ(output(2, "noop"), "{}");
}

TEST_F(Processes, AreCancelled) {
  start();
  submit(make_job(1, "loop"));
  run_until(loop, [&] { return client.told.size() == 1; });
  pool->cancel(1);
  run_until(loop, [&] { return client.done.contains(1); });
  EXPECT_EQ(client.done[1].status, Done::Status::cancelled);
}

TEST_F(Processes, MayHaveNoMoreMemoryThanTheirLimit) {
#ifdef PF_SANITIZED
  GTEST_SKIP() << "sanitizer builds map terabytes: no RLIMIT_AS in them";
#endif
  package = make_package({"extension"}, 64ULL << 20);
  start();
  const Done done = run(make_job(1, "eat"));
  EXPECT_EQ(done.status, Done::Status::crashed);
  EXPECT_EQ(done.error.message, "the worker ran out of memory");
  EXPECT_THAT(done.error.hint, HasSubstr("64"));
  EXPECT_EQ(output(2, "noop"), "{}");
}

TEST_F(Processes, HaveABigStack) {
  start();
  EXPECT_EQ(output(1, "stack"), "allowed");
}

TEST_F(Processes, CanOpenNothing) {
  start();
  EXPECT_EQ(output(1, "open"), "EPERM");
  EXPECT_EQ(output(2, "socket"), "EPERM");
}

TEST_F(Processes, HoldNothingButTheirSocket) {
  const UniqueFd kept(dup(0));  // no close-on-exec: it must not reach them either
  start();
  const pid_t pid = worker_pid(1);
  for (const pid_t process : {pid, parent_of(pid)}) {
    if (process == pid && getuid() != 0) continue;  // a worker lets nobody but root look into it
    std::vector<std::string> held;
    for (const auto& entry :
         std::filesystem::directory_iterator("/proc/" + std::to_string(process) + "/fd")) {
      std::string target = std::filesystem::read_symlink(entry).string();
      held.push_back(entry.path().filename().string() + " " + target.substr(0, target.find('[')));
    }
    std::sort(held.begin(), held.end());
#ifndef PF_SANITIZED
    std::vector<std::string> expected = {"0 /dev/null", "1 /dev/null", "2 /dev/null", "3 socket:"};
    if (process != pid) expected.emplace_back("4 anon_inode:");  // the guardian's signalfd
    EXPECT_EQ(held, expected);
#else
    EXPECT_EQ(held.size(), process == pid ? 4U : 5U);
#endif
  }
}

TEST_F(Processes, KnowNothingOfOurEnvironment) {
  setenv("PANGEO_FORGE_SECRET_TEST", "verysecret", 1);
  start();
  const pid_t guardian = parent_of(worker_pid(1));
  std::ifstream environment("/proc/" + std::to_string(guardian) + "/environ");
  const std::string text((std::istreambuf_iterator<char>(environment)), {});
  EXPECT_EQ(text.find("verysecret"), std::string::npos);
  unsetenv("PANGEO_FORGE_SECRET_TEST");
}

TEST_F(Processes, DoNotHearTheTerminal) {
  start();
  const pid_t pid = worker_pid(1);
  const pid_t guardian = parent_of(pid);
  EXPECT_NE(getsid(guardian), getsid(0));
  EXPECT_EQ(getsid(pid), guardian);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) ASSERT_EQ(kill(guardian, signal), 0);
  EXPECT_EQ(worker_pid(2), pid);
  EXPECT_EQ(run(make_job(3, "exit")).status, Done::Status::crashed);  // and the guardian still tells
}

TEST_F(Processes, EndWithTheSupervisor) {
  start();
  const pid_t pid = worker_pid(1);
  submit(make_job(2, "loop"));
  run_until(loop, [&] { return client.told.back() == "started 2"; });
  const UniqueFd worker = pidfd(pid);
  const UniqueFd guardian = pidfd(parent_of(pid));
  supervisor.reset();
  EXPECT_TRUE(ends(worker));
  EXPECT_TRUE(ends(guardian));
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1);  // and is reaped
}

TEST_F(Processes, DieWithTheGuardianAndComeBackWithAnother) {
  start();
  const pid_t pid = worker_pid(1);
  const pid_t guardian = parent_of(pid);
  submit(make_job(2, "loop"));
  run_until(loop, [&] { return client.told.back() == "started 2"; });
  const UniqueFd worker = pidfd(pid);
  ASSERT_EQ(kill(guardian, SIGKILL), 0);
  run_until(loop, [&] { return client.done.contains(2); });
  EXPECT_EQ(client.done[2].status, Done::Status::crashed);
  EXPECT_EQ(client.done[2].error.code, "worker.guardian");
  EXPECT_THAT(client.done[2].error.message, HasSubstr("the guardian process was killed by SIGKILL"));
  EXPECT_TRUE(ends(worker));
  const pid_t next = worker_pid(3);
  EXPECT_NE(parent_of(next), guardian);
}

// The "core" is a child of the test: it starts workers, writes their numbers down, and is killed.
TEST_F(Processes, LeaveNothingWhenTheCoreIsKilled) {
  int pipe_fds[2];
  ASSERT_EQ(pipe2(pipe_fds, O_CLOEXEC), 0);
  UniqueFd in(pipe_fds[0]);
  UniqueFd out(pipe_fds[1]);
  const pid_t core = fork();
  if (core == 0) {
    Options options;
    options.program = PF_WORKER_WITH_DOUBLE;
    auto made = Supervisor::start(loop, options);
    if (!made) _exit(1);
    auto mine = (*made)->pool(package, client);
    for (uint64_t id = 1; id <= 3; ++id) {
      Job job = make_job(id, id == 1 ? "pid" : "loop");
      run_until(loop, [&] { return mine->offer(job, true); });
      if (id == 1) run_until(loop, [&] { return client.done.contains(1); });
    }
    const auto told = [&](const char* what) {
      return std::find(client.told.begin(), client.told.end(), what) != client.told.end();
    };
    run_until(loop, [&] { return told("started 2") && told("started 3"); });
    const auto pid = from_cbor(client.done[1].value)->get<pid_t>();
    if (write(out.get(), &pid, sizeof pid) != sizeof pid) _exit(1);
    loop.restart();
    loop.run();
    _exit(0);
  }
  ASSERT_GT(core, 0);
  out.reset();
  pid_t first = 0;
  ASSERT_EQ(read(in.get(), &first, sizeof first), static_cast<ssize_t>(sizeof first));
  const pid_t guardian = parent_of(first);
  std::vector<UniqueFd> processes;
  processes.push_back(pidfd(guardian));
  std::ifstream children("/proc/" + std::to_string(guardian) + "/task/" + std::to_string(guardian) +
                         "/children");
  pid_t child = 0;
  while (children >> child) processes.push_back(pidfd(child));
  EXPECT_GE(processes.size(), 3U);  // the guardian and two workers, which loop
  ASSERT_EQ(kill(core, SIGKILL), 0);
  for (const auto& process : processes) EXPECT_TRUE(ends(process));
  EXPECT_EQ(waitpid(core, nullptr, 0), core);
}

TEST_F(Processes, AreReportedWhenTheProgramCannotStart) {
  Options options;
  options.program = "/nowhere/pangeo-forge-worker";
  auto made = Supervisor::start(loop, options);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, "worker.start");
  EXPECT_EQ(made.error().message, "cannot start /nowhere/pangeo-forge-worker: No such file or directory");
  options.program = "/bin/true";
  made = Supervisor::start(loop, options);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().message, "/bin/true gave no answer: it ended with exit status 0");
}

TEST(Guardian, EndsAdoptedOrphansToo) {
  int pipe_fds[2];
  ASSERT_EQ(pipe2(pipe_fds, O_CLOEXEC), 0);
  UniqueFd in(pipe_fds[0]);
  UniqueFd out(pipe_fds[1]);
  const pid_t guardian = fork();
  if (guardian == 0) {
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    // A child with a daemon of its own (setsid, double fork), and one that stays.
    for (int i = 0; i < 2; ++i) {
      if (fork() == 0) {
        if (fork() == 0) {
          setsid();
          if (fork() == 0) {
            if (write(out.get(), "x", 1) != 1) _exit(1);
            while (true) pause();
          }
          _exit(0);
        }
        if (i == 1) _exit(0);
        while (true) pause();
      }
    }
    char ready[2];
    for (int n = 0; n < 2;) {
      const ssize_t got = read(in.get(), ready, 1);
      if (got != 1) _exit(1);
      ++n;
    }
    end_descendants();
    _exit(7);
  }
  ASSERT_GT(guardian, 0);
  out.reset();
  int status = 0;
  ASSERT_EQ(waitpid(guardian, &status, 0), guardian);
  EXPECT_EQ(WEXITSTATUS(status), 7);
  char rest;
  EXPECT_EQ(read(in.get(), &rest, 1), 0);  // no process holds the other end any more
}

}  // namespace
}  // namespace pf::worker
