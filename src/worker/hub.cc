#include "worker/hub.h"

#include <sys/socket.h>

#include <algorithm>
#include <asio/post.hpp>
#include <cerrno>
#include <cstring>

#include "worker/link.h"
#include "worker/pool.h"
#include "worker/remote.h"
#include "worker/tuning.h"

namespace pf::worker {

Hub::Hub(asio::io_context& loop, Options options, std::unique_ptr<Launcher> launcher, Clock& clock)
    : loop_(loop), options_(std::move(options)), launcher_(std::move(launcher)), clock_(clock), timer_(loop) {
  launcher_->listen(*this);
}

Hub::~Hub() = default;

void Hub::close() {
  for (const auto& pool : pools()) pool->close();
  pools_.clear();
  for (const auto& [number, worker] : workers_) worker->orphan();
  launcher_.reset();
  workers_.clear();
  timer_.cancel();
}

// ---- workers

void Hub::add(PoolCore& pool) { pools_.push_back(&pool); }

void Hub::remove(PoolCore& pool) { std::erase(pools_, &pool); }

std::vector<std::shared_ptr<PoolCore>> Hub::pools() const {
  std::vector<std::shared_ptr<PoolCore>> out;
  out.reserve(pools_.size());
  for (PoolCore* pool : pools_) out.push_back(pool->shared_from_this());
  return out;
}

Result<std::shared_ptr<Remote>> Hub::launch(PoolCore& pool) {
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) {
    return pf::fail("worker.start", std::string("no sockets for a worker: ") + strerror(errno),
                    "raise the limit of open files (ulimit -n) or lower max_parallel");
  }
  UniqueFd ours(fds[0]);
  UniqueFd theirs(fds[1]);
  const uint32_t number = ++last_number_;
  if (auto launched = launcher_->launch(number, std::move(theirs), pool.package().memory); !launched) {
    return tl::unexpected(std::move(launched.error()));
  }
  auto worker = std::make_shared<Remote>(*this, pool, number, std::move(ours));
  workers_.emplace(number, worker);
  return worker;
}

void Hub::kill(uint32_t worker) {
  if (launcher_) launcher_->kill(worker);
}

Result<void> Hub::launch_shim(UniqueFd socket, bool confined) {
  if (!launcher_) return pf::fail("worker.start", "the run has ended");
  return launcher_->launch_shim(++last_number_, std::move(socket), confined, options_.degraded);
}

void Hub::worker_spawned(uint32_t worker, int pid) {
  if (const auto found = workers_.find(worker); found != workers_.end()) found->second->spawned(pid);
}

void Hub::worker_exited(uint32_t worker, const Exit& exit) {
  Turn turn(*this);
  const auto found = workers_.find(worker);
  if (found == workers_.end()) return;  // the probe's
  const auto remote = std::move(found->second);
  workers_.erase(found);
  remote->exited(exit);
}

void Hub::worker_not_spawned(uint32_t worker, const Error& error) {
  Turn turn(*this);
  const auto found = workers_.find(worker);
  if (found == workers_.end()) return;
  const auto remote = std::move(found->second);
  workers_.erase(found);
  remote->lose(error);
  remote->exited({});
}

void Hub::launcher_lost(const std::string& why) {
  Turn turn(*this);
  const auto lost = std::move(workers_);
  workers_.clear();
  // All of them first: a job that comes back must not go to a worker that is lost as well.
  holding_ = true;
  Error error;
  error.code = "worker.guardian";
  error.message = why + ", and all workers with it";
  error.hint = "look into the kernel's log for what killed it; the next job starts a new one";
  for (const auto& [number, worker] : lost) {
    if (worker->alive()) worker->drain();
    worker->lose(error);
  }
  holding_ = false;
  for (const auto& [number, worker] : lost) worker->exited({});
}

// ---- turns

void Hub::stay_awake() { awake_until_ = now() + kAwake; }
bool Hub::awake() const { return now() < awake_until_; }

void Hub::flush_later(std::shared_ptr<Link> link) {
  dirty_.push_back(std::move(link));
  need_turn();
}

void Hub::announce_later(std::shared_ptr<Remote> worker) {
  announced_.push_back(std::move(worker));
  need_turn();
}

void Hub::room_later(std::shared_ptr<PoolCore> pool) {
  roomy_.push_back(std::move(pool));
  need_turn();
}

void Hub::later(std::function<void()> what) {
  later_.push_back(std::move(what));
  need_turn();
}

void Hub::need_turn() {
  if (depth_ > 0 || posted_) return;
  posted_ = true;
  asio::post(loop_, [weak = weak_from_this()] {
    if (const auto hub = weak.lock()) {
      hub->posted_ = false;
      Turn turn(*hub);
    }
  });
}

void Hub::end_turn() {
  // What is sent goes first: workers begin while the client hears what they have done. Each step may make
  // more of all.
  while (true) {
    if (!dirty_.empty()) {
      const auto links = std::exchange(dirty_, {});
      for (const auto& link : links) link->flush();
    } else if (!announced_.empty()) {
      const auto workers = std::exchange(announced_, {});
      for (const auto& worker : workers) worker->announce();
    } else if (!later_.empty()) {
      const auto all = std::exchange(later_, {});
      for (const auto& what : all) what();
    } else if (!roomy_.empty()) {
      const auto pools = std::exchange(roomy_, {});
      for (const auto& pool : pools) pool->tell_room();
    } else {
      return;
    }
  }
}

// ---- time

void Hub::check_by(SteadyTime time) {
  if (time >= armed_ || !open()) return;
  armed_ = time;
  timer_.expires_after(std::max(time - now(), SteadyTime::duration::zero()));
  timer_.async_wait([weak = weak_from_this()](std::error_code code) {
    if (code) return;  // armed anew, or the end
    if (const auto hub = weak.lock()) hub->tick();
  });
}

void Hub::tick() {
  if (!open()) return;
  Turn turn(*this);
  armed_ = SteadyTime::max();
  const SteadyTime time = now();
  for (const auto& pool : pools()) pool->check(time);
  SteadyTime next = SteadyTime::max();
  for (const auto& pool : pools()) next = std::min(next, pool->next_check(time));
  if (next != SteadyTime::max()) check_by(next);
}

}  // namespace pf::worker
