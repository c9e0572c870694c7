// What a hostile worker can send: its bytes reach the same end however they are cut, the frames are those
// that split() finds in them as a whole, and whatever they say, every job ends once, host calls come for the
// job that runs and with a list of arguments, and nothing is told after the worker was killed. Input: the
// bytes that the first worker sends, of a pool with three jobs.

#include <sys/socket.h>

#include <asio/post.hpp>
#include <csignal>
#include <map>

#include "fuzz/fuzz.h"
#include "registry/calls.h"
#include "registry/frames.h"
#include "worker/hub.h"
#include "worker/link.h"
#include "worker/pool.h"

namespace pf::worker {
namespace {

using fuzz::check;

class StillClock final : public Clock {
 public:
  SteadyTime steady() const override { return SteadyTime(std::chrono::hours(1)); }
  WallTime wall() const override { return {}; }
};

/// Workers are sockets, whose other end the target holds.
class Sockets final : public Launcher {
 public:
  explicit Sockets(asio::io_context& loop) : loop_(loop) {}
  void listen(Events& events) override { events_ = &events; }
  Result<void> launch(uint32_t worker, UniqueFd socket, uint64_t) override {
    open[worker] = std::move(socket);
    return {};
  }
  Result<void> launch_shim(uint32_t, UniqueFd, bool, bool) override {
    return fail("worker.start", "no shims");
  }
  void kill(uint32_t worker) override {
    killed += " " + std::to_string(worker);
    if (open.erase(worker) == 0) return;
    asio::post(loop_, [this, worker, alive = std::weak_ptr<int>(alive_)] {
      if (!alive.expired()) events_->worker_exited(worker, {SIGKILL, 0, 0});
    });
  }
  void exit(uint32_t worker) {
    open.erase(worker);
    events_->worker_exited(worker, {0, 0, 0});
  }

  std::map<uint32_t, UniqueFd> open;
  std::string killed;

 private:
  asio::io_context& loop_;
  Events* events_ = nullptr;
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

/// Writes down what it is told; answers a call with an odd request at once, others never.
class Listener final : public Client {
 public:
  void job_started(uint64_t job) override {
    check(ended_[job] == 0, "no job starts after its end");
    told += "started " + std::to_string(job) + "\n";
  }
  void host_call(uint64_t job, uint32_t request, int call, std::string_view arguments) override {
    check(ended_[job] == 0, "no call comes after the end of its job");
    check(call >= 0 && static_cast<size_t>(call) < registry::calls().size() &&
              registry::calls()[static_cast<size_t>(call)].place == registry::Place::core,
          "a call is one of the core's");
    check(cbor::scan(arguments).has_value() && cbor::Reader(arguments).next().type == cbor::Type::array,
          "arguments are one list");
    told += "call " + std::to_string(job) + " " + std::to_string(request) + " " + std::to_string(call) + " " +
            std::to_string(arguments.size()) + "\n";
    if (request % 2 == 1) pool->reply(job, request, std::string("\xf6"));
  }
  void cancel_call(uint64_t job, uint32_t request) override {
    check(ended_[job] == 0, "nothing is cancelled after the end of its job");
    told += "cancel " + std::to_string(job) + " " + std::to_string(request) + "\n";
  }
  void job_done(uint64_t job, Done done) override {
    check(++ended_[job] == 1, "a job ends once", told);
    told += "done " + std::to_string(job) + " " + std::to_string(static_cast<int>(done.status)) + " " +
            done.error.code + "\n";
    if (done.status == Done::Status::succeeded)
      check(cbor::scan(done.value).has_value(), "outputs are one item");
  }
  void room() override {}
  size_t ended() const {
    size_t out = 0;
    for (const auto& [job, times] : ended_) out += times;
    return out;
  }

  std::string told;
  PoolCore* pool = nullptr;

 private:
  std::map<uint64_t, size_t> ended_;
};

void settle(asio::io_context& loop) {
  loop.restart();
  while (loop.poll() > 0) loop.restart();
}

Package package() {
  Package out;
  out.name = "demo";
  out.version = "1.2.3";
  out.load = "\xa0";
  return out;
}

/// Writes pieces while the other end is there. What does not fit into the socket is read first.
void write_pieces(asio::io_context& loop, const std::map<uint32_t, UniqueFd>& open, uint32_t number,
                  const std::vector<std::string_view>& pieces) {
  for (std::string_view piece : pieces) {
    while (!piece.empty()) {
      const auto socket = open.find(number);
      if (socket == open.end()) return;
      const ssize_t n = send(socket->second.get(), piece.data(), piece.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (n < 0) check(errno == EAGAIN || errno == EPIPE || errno == ECONNRESET, "the socket takes bytes");
      if (n < 0 && errno != EAGAIN) return;
      if (n > 0) piece.remove_prefix(static_cast<size_t>(n));
      settle(loop);
    }
  }
}

/// What a pool makes of them, as text.
std::string through_pool(const std::vector<std::string_view>& pieces) {
  constexpr uint64_t kJobs = 3;
  static const Package kPackage = package();
  static StillClock clock;
  asio::io_context loop{1};
  Listener client;
  auto made = std::make_unique<Sockets>(loop);
  Sockets& sockets = *made;
  Options options;
  options.max_workers = 1;
  auto hub = std::make_shared<Hub>(loop, options, std::move(made), clock);
  const auto pool = std::make_shared<PoolCore>(hub, kPackage, client);
  hub->add(*pool);
  client.pool = pool.get();
  uint64_t offered = 0;
  for (uint64_t id = 1; id <= kJobs; ++id) {
    Job job;
    job.id = id;
    job.items = 1;
    job.body = std::string(1, '\x01');
    if (pool->offer(job, true)) ++offered;
  }
  settle(loop);
  write_pieces(loop, sockets.open, 1, pieces);
  settle(loop);
  std::string told = client.told + "killed" + sockets.killed + "\n";
  // Every process ends at last; a job that was not started goes to the next.
  for (uint32_t worker = 1; worker < 20 && client.ended() < offered; ++worker) {
    if (sockets.open.contains(worker)) sockets.exit(worker);
    settle(loop);
  }
  check(client.ended() == offered, "every job ends", client.told);
  hub->remove(*pool);
  pool->close();
  hub->close();
  settle(loop);
  return told;
}

/// The frames that a Link reads, one after the other as [size]payload, and how it ended.
std::string through_link(const std::vector<std::string_view>& pieces) {
  struct Frames final : Link::Events {
    std::string text;
    void frame(std::string_view payload) override {
      text += "[" + std::to_string(payload.size()) + "]";
      text += payload;
    }
    bool over = false;
    void oversized(uint32_t) override {
      text += "[oversized]";
      over = true;
    }
    void ended() override {}
  };
  static StillClock clock;
  asio::io_context loop{1};
  auto hub = std::make_shared<Hub>(loop, Options{}, std::make_unique<Sockets>(loop), clock);
  int ends[2];
  check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0, "a pair of sockets");
  Frames frames;
  const auto link = std::make_shared<Link>(*hub, UniqueFd(ends[0]), frames);
  std::map<uint32_t, UniqueFd> open;
  open[1] = UniqueFd(ends[1]);
  link->start();
  // After an oversized frame nothing is read any more, so that the rest may not fit.
  for (const std::string_view piece : pieces) {
    if (frames.over) break;
    write_pieces(loop, open, 1, {piece});
  }
  settle(loop);
  link->close();
  hub->close();
  settle(loop);
  return frames.text;
}

void one(std::string_view input) {
  std::string expected;
  for (std::string_view rest = input;;) {
    const auto split = frames::split(rest);
    if (split.status == frames::Split::Status::oversized) expected += "[oversized]";
    if (split.status != frames::Split::Status::complete) break;
    check(split.consumed == split.payload.size() + frames::kHeader, "split() takes header and payload");
    expected += "[" + std::to_string(split.payload.size()) + "]" + std::string(split.payload);
    rest.remove_prefix(split.consumed);
  }
  const auto cut = fuzz::pieces(input, 24);
  check(through_link({input}) == expected, "a link reads the frames that are there");
  check(through_link(cut) == expected, "a link reads the same frames however they are cut");
  const std::string whole = through_pool({input});
  const std::string pieces = through_pool(cut);
  check(whole == pieces, "cuts change nothing", whole + "--\n" + pieces);
}

}  // namespace
}  // namespace pf::worker

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  pf::worker::one(pf::fuzz::view(data, std::min<size_t>(size, 65536)));
  return 0;
}
