// A Launcher whose workers are the test itself: it holds the other end of each worker's socket, reads what
// the core sends and writes what it likes. And a clock that only moves when told.
#pragma once

#include <sys/socket.h>

#include <asio/post.hpp>
#include <csignal>
#include <map>
#include <memory>
#include <vector>

#include "base/json.h"
#include "harness.h"
#include "registry/calls.h"
#include "registry/frames.h"
#include "worker/supervise.h"

namespace pf::worker {

class TickedClock final : public Clock {
 public:
  SteadyTime steady() const override { return now; }
  WallTime wall() const override { return {}; }
  void advance(std::chrono::microseconds time) { now += time; }
  SteadyTime now{std::chrono::hours(1)};
};

class ScriptedLauncher final : public Launcher {
 public:
  explicit ScriptedLauncher(asio::io_context& loop) : loop_(loop) {}
  void listen(Events& events) override { events_ = &events; }
  Result<void> launch(uint32_t worker, UniqueFd socket, uint64_t memory) override {
    if (refuse_next) return pf::fail("worker.start", "as asked");
    sockets[worker] = std::move(socket);
    memories[worker] = memory;
    return {};
  }
  Result<void> launch_shim(uint32_t, UniqueFd, bool, bool) override {
    return pf::fail("worker.start", "there are no shims here");
  }
  void kill(uint32_t worker) override {
    killed.push_back(worker);
    if (sockets.erase(worker) == 0) return;
    asio::post(loop_, [this, worker, alive = std::weak_ptr<int>(alive_)] {
      if (!alive.expired()) events_->worker_exited(worker, {SIGKILL, 900, 0});
    });
  }
  /// The process ends by itself.
  void exit(uint32_t worker, int status) {
    sockets.erase(worker);
    events_->worker_exited(worker, {status, 900, 0});
  }
  void not_spawned(uint32_t worker, const Error& error) {
    sockets.erase(worker);
    events_->worker_not_spawned(worker, error);
  }
  void lose(const std::string& why) {
    sockets.clear();
    events_->launcher_lost(why);
  }

  std::map<uint32_t, UniqueFd> sockets;
  std::map<uint32_t, uint64_t> memories;
  std::vector<uint32_t> killed;
  bool refuse_next = false;

 private:
  asio::io_context& loop_;
  Events* events_ = nullptr;
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

/// A supervisor over a ScriptedLauncher, one pool, and the words to drive both ends.
class Scripted : public testing::Test {
 protected:
  Scripted() {
    Options options;
    options.max_workers = 3;
    auto made = std::make_unique<ScriptedLauncher>(loop);
    launcher = made.get();
    hub = std::make_shared<Hub>(loop, options, std::move(made), clock);
    supervisor = supervise(hub, Json::object());
    pool = supervisor->pool(package, client);
  }

  void settle() {
    loop.restart();
    while (loop.poll() > 0) loop.restart();
  }
  /// Offers a job of its name `noop`, and lets it go out.
  bool offer(uint64_t id, bool may_start, Milliseconds hard = Milliseconds(0)) {
    Job job = make_job(id, "noop", hard);
    const bool taken = pool->offer(job, may_start);
    EXPECT_TRUE(taken || !job.body.empty());  // a refused job is left as it was
    settle();
    return taken;
  }
  void tick(std::chrono::microseconds time) {
    clock.advance(time);
    hub->tick();
    settle();
  }

  /// The frames that the core has sent to a worker since the last time, as text: `load`, `run 1`, `revoke 1`,
  /// `reply 1 5`.
  std::vector<std::string> sent_to(uint32_t worker) {
    std::string& bytes = unread[worker];
    char buffer[65536];
    ssize_t n = 0;
    while ((n = recv(launcher->sockets.at(worker).get(), buffer, sizeof buffer, MSG_DONTWAIT)) > 0) {
      bytes.append(buffer, static_cast<size_t>(n));
    }
    std::vector<std::string> out;
    while (true) {
      const auto split = frames::split(bytes);
      if (split.status != frames::Split::Status::complete) return out;
      EXPECT_TRUE(cbor::scan(split.payload));
      cbor::Reader in(split.payload);
      in.array();
      const uint64_t kind = in.unsigned_int();
      if (kind == 1) out.emplace_back("load");
      if (kind == 2) out.push_back("run " + std::to_string(in.unsigned_int()));
      if (kind == 3) {
        out.push_back("reply " + std::to_string(in.unsigned_int()));
        out.back() += " " + std::to_string(in.unsigned_int());
        if (!in.boolean()) out.back() += " " + frames::read_error(in).code;
      }
      if (kind == 4) out.push_back("revoke " + std::to_string(in.unsigned_int()));
      bytes.erase(0, split.consumed);
    }
  }

  void write_raw(uint32_t worker, std::string_view bytes) {
    ASSERT_EQ(send(launcher->sockets.at(worker).get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  static std::string framed(std::string_view payload) {
    std::string out;
    const size_t start = frames::begin(out);
    out += payload;
    frames::finish(out, start);
    return out;
  }
  void say(uint32_t worker, std::string_view payload) {
    write_raw(worker, framed(payload));
    settle();
  }

  static std::string ready_frame() { return std::string("\x82\x10\xa0"); }
  static std::string done_frame(uint64_t epoch) {
    std::string out;
    cbor::Writer w(out);
    w.array(7);
    w.unsigned_integer(18);
    w.unsigned_integer(epoch);
    w.boolean(true);
    w.map(0);
    w.null();
    w.unsigned_integer(5);
    w.unsigned_integer(6);
    return out;
  }
  static std::string returned_frame(uint64_t epoch) {
    std::string out;
    cbor::Writer w(out);
    w.array(2);
    w.unsigned_integer(19);
    w.unsigned_integer(epoch);
    return out;
  }
  static std::string call_frame(uint64_t epoch, uint64_t request, int64_t call) {
    std::string out;
    cbor::Writer w(out);
    w.array(5);
    w.unsigned_integer(17);
    w.unsigned_integer(epoch);
    w.unsigned_integer(request);
    w.integer(call);
    w.array(0);
    return out;
  }

  /// Worker 1 is ready and sixteen jobs (ids 1001 to 1016, epochs 1 to 16) have each taken no time: jobs are
  /// short.
  void learn_that_jobs_are_short() {
    for (uint64_t i = 1; i <= 16; ++i) {
      ASSERT_TRUE(offer(1000 + i, true));
      if (i == 1) say(1, ready_frame());
      say(1, done_frame(i));
    }
    sent_to(1);
    client.take();
  }

  asio::io_context loop{1};
  TickedClock clock;
  Recorder client;
  Package package = make_package();
  ScriptedLauncher* launcher = nullptr;
  std::shared_ptr<Hub> hub;
  std::unique_ptr<Supervisor> supervisor;
  std::unique_ptr<Pool> pool;
  std::map<uint32_t, std::string> unread;
};

}  // namespace pf::worker
