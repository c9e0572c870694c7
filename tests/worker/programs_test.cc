// Programs below the real guardian and its shims: ordinary ones, and such as try to get away.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "base/json.h"
#include "harness.h"
#include "worker/programs.h"
#include "worker/supervisor.h"

namespace pf::worker {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

struct Outcome {
  ProgramEnd end;
  std::string out, err;
  bool done = false;
  int code() const { return WIFEXITED(end.status) ? WEXITSTATUS(end.status) : -1; }
  int signal() const { return WIFSIGNALED(end.status) ? WTERMSIG(end.status) : 0; }
};

class ProgramsTest : public testing::Test {
 protected:
  void SetUp() override {
    signal(SIGPIPE, SIG_IGN);
    std::string pattern = "/tmp/pf-programs-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder = pattern;
    Options options;
    options.program = PF_WORKER_WITH_DOUBLE;
    auto made = Supervisor::start(loop, options);
    ASSERT_TRUE(made) << made.error().text();
    supervisor = std::move(*made);
  }
  void TearDown() override {
    supervisor.reset();
    std::error_code code;
    std::filesystem::remove_all(folder, code);
  }

  Program shell(const std::string& script) const {
    Program out;
    out.spec.file = "/bin/sh";
    out.spec.arguments = {"sh", "-c", script};
    out.spec.environment = {"PATH=/usr/bin:/bin", "HOME=" + folder.string()};
    out.spec.folder = folder.string();
    out.spec.write = {{folder.string()}};
    return out;
  }
  Program python(const std::string& script) const {
    Program out = shell("");
    out.spec.file = "/usr/bin/python3";
    out.spec.arguments = {"python3", "-c", script};
    return out;
  }
  uint64_t start(Program program, Outcome& to) {
    return supervisor->programs().start(
        std::move(program),
        [&to](int stream, std::string_view bytes) { (stream == 1 ? to.out : to.err) += bytes; },
        [&to](ProgramEnd end) {
          to.end = std::move(end);
          to.done = true;
        });
  }
  Outcome run(Program program) {
    Outcome out;
    start(std::move(program), out);
    run_until(loop, [&] { return out.done; });
    return out;
  }

  asio::io_context loop{1};
  std::filesystem::path folder;
  std::unique_ptr<Supervisor> supervisor;
};

/// For what is no event of the loop.
template <class Condition>
void poll_until(asio::io_context& loop, Condition done) {
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!done()) {
    ASSERT_LT(std::chrono::steady_clock::now(), give_up);
    loop.restart();
    loop.run_for(std::chrono::milliseconds(5));
  }
}

bool alive(pid_t pid) { return kill(pid, 0) == 0 || errno != ESRCH; }

TEST_F(ProgramsTest, GiveOutputAndExitStatus) {
  Program program = shell("echo out; echo err >&2; cat; exit 7");
  program.input = "typed\n";
  const Outcome got = run(program);
  ASSERT_FALSE(got.end.error) << got.end.error->text();
  EXPECT_EQ(got.out, "out\ntyped\n");
  EXPECT_EQ(got.err, "err\n");
  EXPECT_EQ(got.code(), 7);
  EXPECT_EQ(got.end.left, 0U);
  EXPECT_GT(got.end.max_rss, 100000U);
}

TEST_F(ProgramsTest, EndOfInputWhereThereIsNone) { EXPECT_EQ(run(shell("cat; echo done")).out, "done\n"); }

TEST_F(ProgramsTest, ManyMebibytesGoThrough) {
  Program program = shell("cat");
  program.input.assign(20U << 20, 'x');
  const Outcome got = run(program);
  EXPECT_EQ(got.out.size(), 20U << 20);
  EXPECT_EQ(run(shell("head -c 100 /dev/zero; exec >&-; exec sleep 0")).code(), 0);
  Program unread = shell("exit 3");
  unread.input.assign(20U << 20, 'x');
  EXPECT_EQ(run(unread).code(), 3);
}

TEST_F(ProgramsTest, HaveThreeDescriptorsAndNoSignalsBlocked) {
  const Outcome got = run(
      python("import os, signal\n"
             "print(sorted(int(f) for f in os.listdir('/proc/self/fd'))[:3], "
             "signal.pthread_sigmask(signal.SIG_BLOCK, []))\n"
             "print(signal.getsignal(signal.SIGPIPE) is not None, os.getsid(0) == os.getpid(), os.getcwd())\n"
             "print(len(os.listdir('/proc/self/fd')))\n"));
  EXPECT_EQ(got.out, "[0, 1, 2] set()\nTrue True " + folder.string() + "\n4\n") << got.err;
}

TEST_F(ProgramsTest, ReuseTheirShim) {
  const Outcome one = run(shell("echo $PPID"));
  const Outcome two = run(shell("echo $PPID"));
  EXPECT_EQ(one.out, two.out);
  Outcome a;
  Outcome b;
  start(shell("echo $PPID; read x < fifo || true"), a);
  start(shell("echo $PPID"), b);
  run_until(loop, [&] { return a.done && b.done; });
  EXPECT_NE(a.out, b.out);
}

TEST_F(ProgramsTest, SayWhyTheyDoNotStart) {
  Program none = shell("");
  none.spec.file = "/usr/bin/no-such-program";
  Outcome got = run(none);
  ASSERT_TRUE(got.end.error);
  EXPECT_EQ(got.end.error->code, "process.start");
  EXPECT_EQ(got.end.error->message, "cannot execute /usr/bin/no-such-program: No such file or directory");
  Program nowhere = shell("");
  nowhere.spec.folder += "/missing";
  got = run(nowhere);
  ASSERT_TRUE(got.end.error);
  EXPECT_THAT(got.end.error->message,
              HasSubstr("its working folder " + folder.string() + "/missing: No such file"));
  Program data = shell("");
  data.spec.file = "/etc/passwd";
  got = run(data);
  ASSERT_TRUE(got.end.error);
  EXPECT_EQ(got.end.error->message, "cannot execute /etc/passwd: Permission denied");
  EXPECT_EQ(run(shell("exit 4")).code(), 4);  // and the shim goes on
}

TEST_F(ProgramsTest, MayBeMany) {
  std::vector<Outcome> got(60);
  for (size_t i = 0; i < got.size(); ++i) start(shell("echo " + std::to_string(i)), got[i]);
  run_until(loop,
            [&] { return std::all_of(got.begin(), got.end(), [](const Outcome& o) { return o.done; }); });
  for (size_t i = 0; i < got.size(); ++i) EXPECT_EQ(got[i].out, std::to_string(i) + "\n");
}

TEST_F(ProgramsTest, AreEndedAtTheirTimeout) {
  Program program = shell("trap 'echo bye; exit 3' TERM; echo go; while :; do sleep 0.01; done");
  program.timeout = Milliseconds(200);
  Outcome got = run(program);
  EXPECT_TRUE(got.end.timed_out);
  EXPECT_EQ(got.out, "go\nbye\n");
  EXPECT_EQ(got.code(), 3);
  Program stubborn = shell("trap '' TERM; while :; do sleep 0.01; done");
  stubborn.timeout = Milliseconds(100);
  stubborn.grace = Milliseconds(100);
  got = run(stubborn);
  EXPECT_TRUE(got.end.timed_out);
  EXPECT_EQ(got.signal(), SIGKILL);
}

TEST_F(ProgramsTest, AreKilledOnDemand) {
  Outcome got;
  const uint64_t id = start(shell("echo $$; sleep 1000"), got);
  run_until(loop, [&] { return !got.out.empty(); });
  supervisor->programs().kill(id);
  run_until(loop, [&] { return got.done; });
  EXPECT_TRUE(got.end.killed);
  EXPECT_EQ(got.signal(), SIGKILL);
}

TEST_F(ProgramsTest, NothingIsToldOfOneThatWasDropped) {
  Outcome dropped;
  const uint64_t id = start(shell("echo $$ > pid; sleep 1000"), dropped);
  poll_until(loop, [&] {
    return std::filesystem::exists(folder / "pid") && std::filesystem::file_size(folder / "pid") > 1;
  });
  pid_t pid = 0;
  std::ifstream(folder / "pid") >> pid;
  ASSERT_GT(pid, 1);
  supervisor->programs().drop(id);
  poll_until(loop, [&] { return !alive(pid); });
  EXPECT_FALSE(dropped.done);
  EXPECT_EQ(run(shell("exit 5")).code(), 5);
}

TEST_F(ProgramsTest, WaitWhileTheirOutputIsNotRead) {
  Outcome got;
  const uint64_t id = start(shell("head -c 3000000 /dev/zero; touch end"), got);
  supervisor->programs().pause(id, true);
  EXPECT_EQ(run(shell("exit 5")).code(), 5);
  EXPECT_FALSE(got.done);
  EXPECT_FALSE(std::filesystem::exists(folder / "end"));
  supervisor->programs().pause(id, false);
  run_until(loop, [&] { return got.done; });
  EXPECT_EQ(got.out.size(), 3000000U);
}

TEST_F(ProgramsTest, MayNotWriteLargerFilesThanTheirLimit) {
  Program program = shell("head -c 100000 /dev/zero > big; echo $?; wc -c < big");
  program.spec.file_size = 65536;
  const Outcome got = run(program);
  EXPECT_THAT(got.out, HasSubstr("65536"));
}

// ---- the ways out

TEST_F(ProgramsTest, WhatTheyLeaveRunningEndsWithThem) {
  const Outcome got =
      run(shell("sleep 1000 & echo $!\n"
                "setsid sh -c 'echo $$ > daemon; sleep 1000' > /dev/null 2>&1 &\n"
                "while ! [ -s daemon ]; do sleep 0.01; done"));
  EXPECT_GE(got.end.left, 2U);
  EXPECT_FALSE(alive(std::stoi(got.out)));
  pid_t daemon = 0;
  std::ifstream(folder / "daemon") >> daemon;
  ASSERT_GT(daemon, 1);
  EXPECT_FALSE(alive(daemon));
}

TEST_F(ProgramsTest, ADaemonThatHoldsThePipesDoesNotHoldUs) {
  const Outcome got =
      run(python("import os, time\n"
                 "if os.fork() == 0:\n"
                 "  os.setsid()\n"
                 "  if os.fork() == 0: time.sleep(1000)\n"
                 "  os._exit(0)\n"
                 "print('gone')\n"));
  EXPECT_EQ(got.out, "gone\n");
  EXPECT_GE(got.end.left, 1U);
}

TEST_F(ProgramsTest, AForkBombEndsAtItsTimeout) {
  Program bomb = python(
      "import os, signal\n"
      "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
      "n = 0\n"
      "while n < 8:\n"
      "  n += 1\n"
      "  if os.fork() == 0: os.setsid()\n"
      "while True: signal.pause()\n");
  bomb.timeout = Milliseconds(300);
  bomb.grace = Milliseconds(50);
  const Outcome got = run(bomb);
  EXPECT_TRUE(got.end.timed_out);
  EXPECT_EQ(got.signal(), SIGKILL);
  EXPECT_GT(got.end.left, 8U);
}

TEST_F(ProgramsTest, CanSignalNothingOutside) {
  const Outcome got =
      run(python("import os, signal\n"
                 "def attempt(pid):\n"
                 "  try: os.kill(pid, 0); return 'reached'\n"
                 "  except OSError as e: return e.strerror\n"
                 "print(attempt(os.getppid()), '|', attempt(" +
                 std::to_string(getpid()) +
                 "))\n"
                 "import resource\n"
                 "try: resource.prlimit(" +
                 std::to_string(getpid()) +
                 ", resource.RLIMIT_NOFILE, (5, 5)); print('limited')\n"
                 "except OSError as e: print(e.strerror)\n"));
  EXPECT_EQ(got.out, "Operation not permitted | Operation not permitted\nOperation not permitted\n")
      << got.err;
}

TEST_F(ProgramsTest, SeeOnlyWhatIsGranted) {
  const auto secret = std::filesystem::path(folder.string() + "-secret");
  ASSERT_TRUE(make_folders(secret));
  ASSERT_TRUE(write_file(secret / "key", "SECRET"));
  struct Remove {
    std::filesystem::path path;
    ~Remove() { std::filesystem::remove_all(path); }
  } remove{secret};
  const std::string script = "cat " + (secret / "key").string() + "; ls /root; ls /tmp; echo x > " +
                             (secret / "new").string() + "; ln -s " + (secret / "key").string() +
                             " link; cat link; echo mine > own; cat own";
  Outcome got = run(shell(script));
  EXPECT_EQ(got.out, "mine\n") << got.err;
  EXPECT_FALSE(std::filesystem::exists(secret / "new"));
  Program granted = shell(script);
  granted.spec.read = {{secret.string()}};
  got = run(granted);
  EXPECT_EQ(got.out, "SECRETSECRETmine\n");
  EXPECT_FALSE(std::filesystem::exists(secret / "new"));
}

TEST_F(ProgramsTest, AreGrantedNothingThroughLinksThatCouldBeAnybodys) {
  const auto secret = std::filesystem::path(folder.string() + "-secret");
  ASSERT_TRUE(make_folders(secret));
  ASSERT_TRUE(write_file(secret / "key", "SECRET"));
  struct Remove {
    std::filesystem::path path;
    ~Remove() { std::filesystem::remove_all(path); }
  } remove{secret};
  std::filesystem::create_directory_symlink(secret, folder / "link");
  const auto seen = [&](size_t trusted) {
    Program program = shell("cat link/key");
    program.spec.read = {{(folder / "link").string(), trusted}};
    return run(program).out;
  };
  EXPECT_EQ(seen(SIZE_MAX), "SECRET");
  EXPECT_EQ(seen(0), "");
  EXPECT_EQ(seen(folder.string().size()), "");
}

TEST_F(ProgramsTest, HaveNoCapabilitiesAndGainNone) {
  const Outcome got = run(shell("grep -E 'Cap(Eff|Prm|Bnd|Amb|Inh)|NoNewPrivs|Seccomp:' /proc/self/status"));
  EXPECT_EQ(got.out,
            "CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n"
            "CapBnd:\t0000000000000000\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n");
}

TEST_F(ProgramsTest, HaveNoNetworkUnlessGranted) {
  UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(listener.get(), 1), 0);
  ASSERT_EQ(getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  const std::string script =
      "import socket\n"
      "def attempt(*a):\n"
      "  try: return socket.socket(*a) and 'made'\n"
      "  except OSError as e: return e.strerror\n"
      "for a in [(socket.AF_INET, socket.SOCK_STREAM), (socket.AF_INET6, socket.SOCK_DGRAM), "
      "(socket.AF_UNIX,),\n"
      "          (socket.AF_PACKET, socket.SOCK_RAW), (socket.AF_VSOCK,)]: print(attempt(*a))\n"
      "socket.socketpair()\n"
      "try: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM); print('pair')\n"
      "except OSError as e: print(e.strerror)\n"
      "try: socket.create_connection(('127.0.0.1', " +
      std::to_string(ntohs(address.sin_port)) +
      ")); print('connected')\n"
      "except OSError as e: print(e.strerror)\n";
  Program program = python(script);
  const std::string no = "Permission denied\n";
  EXPECT_EQ(run(program).out, no + no + no + no + no + no + no);
  program.spec.network = true;
  const Outcome got = run(program);
  EXPECT_EQ(got.out, "made\nmade\nmade\n" + no + no + "pair\nconnected\n") << got.err;
}

TEST_F(ProgramsTest, MakeNoNamespacesAndNoRings) {
  const Outcome got =
      run(python("import ctypes, os\n"
                 "c = ctypes.CDLL(None, use_errno=True)\n"
                 "def attempt(*a):\n"
                 "  r = c.syscall(*a); return os.strerror(ctypes.get_errno()) if r < 0 else 'made'\n"
                 "print(attempt(272, 0x10000000))\n"                  // unshare(CLONE_NEWUSER)
                 "print(attempt(56, 0x10000000 | 17, 0, 0, 0, 0))\n"  // clone(CLONE_NEWUSER | SIGCHLD)
                 "print(attempt(425, 8, 0))\n"                        // io_uring_setup
                 "print(attempt(321, 0, 0, 0))\n"                     // bpf
                 "print(attempt(165, b'none', b'/tmp', b'tmpfs', 0, 0))\n"));  // mount
#if defined(__x86_64__)
  EXPECT_EQ(
      got.out,
      "Operation not permitted\nOperation not permitted\nFunction not implemented\nOperation not permitted\n"
      "Operation not permitted\n")
      << got.err;
#endif
}

TEST_F(ProgramsTest, AnUnconfinedOneHasTheUsersRightsAndIsKilledWholeAllTheSame) {
  Program program = shell(
      "ls /tmp > /dev/null && echo seen\n"
      "setsid sh -c 'echo $$ > daemon; exec sleep 1000' > /dev/null 2>&1 &\n"
      "while ! [ -s daemon ]; do sleep 0.01; done");
  program.confined = false;
  const Outcome got = run(program);
  EXPECT_EQ(got.out, "seen\n");
  EXPECT_GE(got.end.left, 1U);
  pid_t daemon = 0;
  std::ifstream(folder / "daemon") >> daemon;
  ASSERT_GT(daemon, 1);
  EXPECT_FALSE(alive(daemon));
}

TEST_F(ProgramsTest, NothingOutlivesTheSupervisor) {
  Outcome got;
  start(shell("setsid sh -c 'echo $$ > daemon; exec sleep 1000' > /dev/null 2>&1 & while ! [ -s daemon ]; do "
              "sleep 0.01; done; echo $$; exec sleep 1000"),
        got);
  run_until(loop, [&] { return !got.out.empty(); });
  pid_t daemon = 0;
  std::ifstream(folder / "daemon") >> daemon;
  supervisor.reset();
  EXPECT_FALSE(alive(daemon));
  EXPECT_FALSE(alive(std::stoi(got.out)));
}

TEST_F(ProgramsTest, AShimThatIsKilledTakesItsProgramsAlong) {
  Outcome got;
  start(shell("setsid sh -c 'echo $$ > daemon; exec sleep 1000' > /dev/null 2>&1 & while ! [ -s daemon ]; do "
              "sleep 0.01; done; echo $PPID; exec sleep 1000"),
        got);
  run_until(loop, [&] { return !got.out.empty(); });
  pid_t daemon = 0;
  std::ifstream(folder / "daemon") >> daemon;
  ASSERT_GT(daemon, 1);
  ASSERT_EQ(kill(std::stoi(got.out), SIGKILL), 0);
  poll_until(loop, [&] { return got.done && !alive(daemon); });
  ASSERT_TRUE(got.end.error);
  EXPECT_EQ(got.end.error->code, "process.lost");
  EXPECT_EQ(run(shell("exit 6")).code(), 6);
}

}  // namespace
}  // namespace pf::worker
