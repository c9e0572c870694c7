// A real worker, spoken to frame by frame: what it does with what the core sends.
#include <gmock/gmock.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <optional>

#include "harness.h"
#include "registry/frames.h"
#include "worker/guardian_launcher.h"
#include "worker/protocol.h"

namespace pf::worker {
namespace {

using testing::ElementsAre;

class Worker : public testing::Test, private Launcher::Events {
 protected:
  void SetUp() override {
    int fds[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    socket_.reset(fds[0]);
    launcher_.listen(*this);
    auto launched = launcher_.launch(1, UniqueFd(fds[1]), 256ULL << 20);
    ASSERT_TRUE(launched) << launched.error().text();
  }

  static std::string frame(const std::string& payload) {
    std::string out;
    const size_t start = frames::begin(out);
    out += payload;
    frames::finish(out, start);
    return out;
  }
  static std::string load() { return frame("\x82\x01" + make_package().load); }
  static std::string run(uint64_t epoch, std::string_view name) {
    std::string out;
    cbor::Writer w(out);
    w.array(15);
    w.unsigned_integer(2);
    w.unsigned_integer(epoch);
    w.raw(make_job(epoch, name).body);
    return frame(out);
  }
  static std::string revoke(uint64_t epoch) {
    return frame(std::string("\x82\x04") + static_cast<char>(epoch));
  }
  static std::string reply(uint64_t epoch, uint64_t request) {
    return frame(std::string("\x85\x03") + static_cast<char>(epoch) + static_cast<char>(request) +
                 "\xf5\x01");
  }
  void write(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      ASSERT_GT(n, 0);
      bytes.remove_prefix(static_cast<size_t>(n));
    }
  }
  /// The next frame as `ready`, `call 1 5`, `done 1`, `failed 1 code`, `returned 2`, or `end`.
  std::string next() {
    frames::Split split;
    while ((split = frames::split(in_)).status != frames::Split::Status::complete) {
      pollfd wait{socket_.get(), POLLIN, 0};
      if (poll(&wait, 1, 30000) != 1) return "nothing within 30 s";
      char buffer[65536];
      const ssize_t n = recv(socket_.get(), buffer, sizeof buffer, 0);
      if (n <= 0) return "end";
      in_.append(buffer, static_cast<size_t>(n));
    }
    std::string out = "malformed";
    cbor::Reader in(split.payload);
    in.array();
    const uint64_t kind = in.unsigned_int();
    if (kind == 16) out = "ready";
    if (kind == 17) {
      out = "call " + std::to_string(in.unsigned_int());
      out += " " + std::to_string(in.unsigned_int());
    }
    if (kind == 18) {
      const std::string epoch = std::to_string(in.unsigned_int());
      out = in.boolean() ? "done " + epoch : "failed " + epoch + " " + frames::read_error(in).code;
    }
    if (kind == 19) out = "returned " + std::to_string(in.unsigned_int());
    if (kind == 20) out = "load_failed " + frames::read_error(in).code;
    in_.erase(0, split.consumed);
    return out;
  }
  std::vector<std::string> next(int count) {
    std::vector<std::string> out;
    for (int i = 0; i < count; ++i) out.push_back(next());
    return out;
  }
  /// How the process ended.
  int status() {
    run_until(loop_, [&] { return exit_.has_value(); });
    return exit_ ? exit_->status : -1;
  }

  UniqueFd socket_;

 private:
  void worker_spawned(uint32_t, int) override {}
  void worker_exited(uint32_t, const Exit& exit) override { exit_ = exit; }
  void worker_not_spawned(uint32_t, const Error& error) override { ADD_FAILURE() << error.text(); }
  void launcher_lost(const std::string& why) override { ADD_FAILURE() << why; }

  std::string in_;
  std::optional<Exit> exit_;
  asio::io_context loop_{1};
  GuardianLauncher launcher_{loop_, PF_WORKER_WITH_DOUBLE};
};

TEST_F(Worker, RunsWhatCameTogetherWithItsLoadInOrder) {
  write(load() + run(1, "noop") + run(2, "fail") + run(3, "noop"));
  EXPECT_THAT(next(4), ElementsAre("ready", "done 1", "failed 2 lua.error", "done 3"));
}

TEST_F(Worker, TakesFramesByteByByte) {
  for (const char byte : load() + run(1, "noop")) write({&byte, 1});
  EXPECT_THAT(next(2), ElementsAre("ready", "done 1"));
}

TEST_F(Worker, GivesBackWhatItHasNotStarted) {
  write(load() + run(1, "ask") + run(2, "noop") + run(3, "noop"));
  EXPECT_THAT(next(2), ElementsAre("ready", "call 1 1"));
  write(revoke(2) + revoke(1) + revoke(9) + run(4, "noop"));  // 1 runs, 9 is unknown: nothing to say
  EXPECT_EQ(next(), "returned 2");
  write(reply(1, 1));
  EXPECT_THAT(next(3), ElementsAre("done 1", "done 3", "done 4"));
  write(revoke(4) + run(5, "noop"));  // 4 has ended
  EXPECT_EQ(next(), "done 5");
}

TEST_F(Worker, GivesBackWhatCameInOneReadWithTheRevoke) {
  write(load());
  EXPECT_EQ(next(), "ready");
  write(run(1, "ask") + run(2, "noop") + revoke(2));
  EXPECT_THAT(next(2), testing::UnorderedElementsAre("returned 2", "call 1 1"));
}

TEST_F(Worker, DropsRepliesOfAJobThatHasEnded) {
  write(load() + run(1, "noop"));
  EXPECT_THAT(next(2), ElementsAre("ready", "done 1"));
  write(reply(1, 1) + run(2, "ask"));
  EXPECT_EQ(next(), "call 2 1");
  write(reply(1, 1) + reply(2, 1));
  EXPECT_EQ(next(), "done 2");
}

TEST_F(Worker, EndsWithItsSocket) {
  write(load());
  EXPECT_EQ(next(), "ready");
  socket_.reset();
  EXPECT_EQ(status(), 0);
}

TEST_F(Worker, EndsWithItsSocketWhileItWaits) {
  write(load() + run(1, "ask"));
  EXPECT_THAT(next(2), ElementsAre("ready", "call 1 1"));
  socket_.reset();
  EXPECT_EQ(status(), 0);
}

TEST_F(Worker, LeavesWhenTheCoreSendsWhatItNeverDoes) {
  write(load() + frame(std::string("\x82\x12\x01")));
  EXPECT_THAT(next(2), ElementsAre("ready", "end"));
  EXPECT_EQ(WEXITSTATUS(status()), kExitProtocol);
}

TEST_F(Worker, LeavesOnALoadWithAnUnknownKey) {
  write(frame(std::string("\x82\x01\xa1\x61") + "x\x01"));
  EXPECT_EQ(next(), "end");
  EXPECT_EQ(WEXITSTATUS(status()), kExitProtocol);
}

TEST_F(Worker, LeavesOnAnOversizedFrame) {
  write(load() + "\xff\xff\xff\x7f");
  EXPECT_THAT(next(2), ElementsAre("ready", "end"));
  EXPECT_EQ(WEXITSTATUS(status()), kExitProtocol);
}

}  // namespace
}  // namespace pf::worker
