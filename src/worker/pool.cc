#include "worker/pool.h"

#include <algorithm>

#include "registry/frames.h"
#include "worker/hub.h"
#include "worker/tuning.h"

namespace pf::worker {
namespace {
// What stands before the body in a run frame, and before the map in a load frame, at most.
constexpr size_t kFrameHead = 16;
}  // namespace

Error frame_error(const std::string& what, size_t size) {
  Error error;
  error.code = "limit.frame";
  error.message = what + " has " + std::to_string(size) + " bytes; at most " +
                  std::to_string(frames::kMaxFrame) + " can be sent to a worker at once";
  error.hint = "pass big data through files";
  error.retryable = false;
  return error;
}

Error cancelled_error() {
  Error error;
  error.code = "job.cancelled";
  error.message = "cancelled";
  error.retryable = false;
  return error;
}

PoolCore::PoolCore(std::shared_ptr<Hub> hub, const Package& package, Client& client)
    : hub_(std::move(hub)), package_(package), client_(&client) {
  if (package.load.size() + kFrameHead > frames::kMaxFrame) {
    load_error_ = frame_error("the package of extension '" + package.name + "'", package.load.size());
  }
}

// ---- from the client

bool PoolCore::offer(Job& job, bool may_start) {
  if (client_ == nullptr || !hub_->open()) return false;
  if (load_error_ || job.body.size() + kFrameHead > frames::kMaxFrame) {
    end_later(job.id, Done::Status::failed,
              load_error_ ? *load_error_ : frame_error("the configuration of the instance", job.body.size()));
    return true;
  }
  if (!backlog_.empty()) {
    // Who came first goes first, also with the permission that came with this one.
    const size_t before = backlog_.size();
    drain_backlog(may_start ? 1 : 0);
    if (backlog_.size() < before) may_start = false;
  }
  Sent sent;
  sent.job = std::move(job);
  if (backlog_.empty() && place(sent, may_start)) return true;
  job = std::move(sent.job);
  refused_ = true;
  room_ = false;
  hub_->check_by(next_check(hub_->now()));
  return false;
}

int PoolCore::running() const {
  return static_cast<int>(std::count_if(workers_.begin(), workers_.end(),
                                        [](const auto& worker) { return !worker->queue().empty(); }));
}

void PoolCore::reply(uint64_t job, uint32_t request, const Result<std::string>& value) {
  for (const auto& worker : workers_) {
    if (worker->reply(job, request, value)) return;
  }
}

void PoolCore::cancel(uint64_t job) {
  for (const auto& worker : workers_) {
    if (worker->cancel(job)) return;
  }
  const auto found =
      std::find_if(backlog_.begin(), backlog_.end(), [&](const Sent& sent) { return sent.job.id == job; });
  if (found == backlog_.end()) return;
  backlog_.erase(found);
  end_later(job, Done::Status::cancelled, cancelled_error());
}

void PoolCore::fail(uint64_t job, Error error) {
  for (const auto& worker : workers_) {
    if (!worker->queue().empty() && worker->queue().front().job.id == job) {
      return worker->die(Done::Status::failed, std::move(error));
    }
  }
}

void PoolCore::close() {
  client_ = nullptr;
  backlog_.clear();
  for (const auto& worker : workers_) worker->orphan();
  workers_.clear();
}

void PoolCore::end_later(uint64_t job, Done::Status status, Error error) {
  Done done;
  done.status = status;
  done.error = std::move(error);
  hub_->later([self = shared_from_this(), job, done = std::move(done)] { self->finish(job, done); });
}

// ---- where a job goes

bool PoolCore::known_short() const {
  return counted_ >= kKnown && average_us_ < static_cast<double>(kShort.count());
}

bool PoolCore::can_grow(SteadyTime now) const {
  int starting = 0;
  int ready = 0;
  bool all_long = true;
  for (const auto& worker : workers_) {
    if (!worker->alive()) continue;
    ++(worker->state() == Remote::State::starting ? starting : ready);
    all_long = all_long && worker->running_for(kLong, now);
  }
  if (starting + ready == 0) return true;
  if (starting + ready >= hub_->options().max_workers) return false;
  // Doubling: by the time that the first is ready it is often seen that no second is needed.
  if (starting >= std::max(1, ready)) return false;
  return !known_short() || all_long;
}

bool PoolCore::place(Sent& sent, bool may_start) {
  if (hub_->holding()) return false;
  const SteadyTime now = hub_->now();
  if (may_start) {
    Remote* idle = nullptr;  // the one used last: its memory is warm, and the others may end
    for (const auto& worker : workers_) {
      if (worker->idle() && (idle == nullptr || worker->idle_since() > idle->idle_since()))
        idle = worker.get();
    }
    if (idle != nullptr) {
      idle->send(std::move(sent));
      return true;
    }
    if (can_grow(now)) {
      grow(std::move(sent));
      return true;
    }
  }
  if (!known_short()) return false;
  Remote* shortest = nullptr;
  for (const auto& worker : workers_) {
    const size_t depth = worker->queue().size();
    if (!worker->alive() || depth == 0 || depth >= kDepth || worker->running_for(kLong, now)) continue;
    if (shortest == nullptr || depth < shortest->queue().size()) shortest = worker.get();
  }
  if (shortest == nullptr) return false;
  shortest->send(std::move(sent));
  return true;
}

void PoolCore::grow(Sent sent) {
  auto worker = hub_->launch(*this);
  if (!worker) return end_later(sent.job.id, Done::Status::crashed, std::move(worker.error()));
  workers_.push_back(*worker);
  (*worker)->start(package_);
  (*worker)->send(std::move(sent));
}

void PoolCore::drain_backlog(int free) {
  while (!backlog_.empty() && client_ != nullptr && !hub_->holding()) {
    const int before = running();
    if (!place(backlog_.front(), free > 0 || client_->may_start())) break;
    backlog_.pop_front();
    if (running() > before) --free;
  }
  if (!backlog_.empty()) hub_->check_by(hub_->now() + kBacklog);
}

void PoolCore::room_may_be() {
  room_ = true;
  if (refused_) hub_->room_later(shared_from_this());
}

void PoolCore::tell_room() {
  if (!refused_ || !room_ || client_ == nullptr) return;
  refused_ = false;
  client_->room();
}

// ---- from its workers

void PoolCore::ready(Remote& worker) {
  if (worker.queue().empty()) hub_->check_by(hub_->now() + hub_->options().idle_timeout);
  room_may_be();
}

void PoolCore::load_failed(const Error& error) {
  if (!load_error_) load_error_ = error;
}

void PoolCore::done(Remote& worker, Sent sent, Done done) {
  const auto took = std::chrono::duration<double, std::micro>(hub_->now() - sent.start).count();
  average_us_ = counted_ == 0 ? took : average_us_ + (took - average_us_) / 8;
  if (counted_ < kKnown) ++counted_;
  // Before the client hears of the end: it would give the place to another job.
  if (worker.queue().empty()) {
    if (!backlog_.empty()) drain_backlog(1);
    if (workers_.size() > 1) hub_->check_by(hub_->now() + hub_->options().idle_timeout);
  }
  room_may_be();
  finish(sent.job.id, std::move(done));
}

void PoolCore::returned(Remote& worker, Sent sent) {
  const int free = worker.idle() ? 1 : 0;  // it was the worker's only one: its place is free
  if (sent.cancelled) {
    Done done;
    done.status = Done::Status::cancelled;
    done.error = cancelled_error();
    if (free > 0) drain_backlog(free);
    room_may_be();
    return finish(sent.job.id, std::move(done));
  }
  backlog_.push_back(std::move(sent));
  drain_backlog(free);
  room_may_be();
}

void PoolCore::gone(Remote& worker, std::deque<Sent> queue, Done done) {
  const auto self = shared_from_this();
  std::erase_if(workers_, [&](const auto& held) { return held.get() == &worker; });
  const bool ran = !queue.empty();
  std::vector<std::pair<uint64_t, Done>> ended;
  const auto end_as = [&](const Sent& sent, Done::Status status, const Error& error) {
    Done out;
    out.status = status;
    out.error = error;
    ended.emplace_back(sent.job.id, std::move(out));
  };
  if (ran && !load_error_) {
    const Sent& head = queue.front();
    // Asked back at the last moment, and nothing heard of it: not started as far as anyone can tell, and it
    // did nothing.
    const bool unstarted = head.revoked && !head.heard && !head.announced;
    if (!unstarted) {
      ended.emplace_back(head.job.id, std::move(done));
      queue.pop_front();
    }
  }
  while (!queue.empty()) {
    Sent sent = std::move(queue.back());
    queue.pop_back();
    if (sent.cancelled)
      end_as(sent, Done::Status::cancelled, cancelled_error());
    else
      backlog_.push_front(std::move(sent));
  }
  if (load_error_) {
    for (const auto& sent : backlog_) end_as(sent, Done::Status::failed, *load_error_);
    backlog_.clear();
  }
  if (ran) drain_backlog(1);
  room_may_be();
  for (auto& [job, out] : ended) finish(job, std::move(out));
}

// ---- time

void PoolCore::check(SteadyTime now) {
  const auto workers = workers_;
  for (const auto& worker : workers) worker->check(now);
  if (!backlog_.empty()) drain_backlog(0);
  // The one that is kept is the one used last.
  const Remote* last = nullptr;
  size_t alive = 0;
  for (const auto& worker : workers_) {
    alive += worker->alive() ? 1 : 0;
    if (worker->idle() && (last == nullptr || worker->idle_since() > last->idle_since())) last = worker.get();
  }
  for (const auto& worker : workers) {
    if (alive <= 1) break;
    if (worker->idle() && worker.get() != last &&
        now - worker->idle_since() >= hub_->options().idle_timeout) {
      worker->die(Done::Status::cancelled, {});
      --alive;
    }
  }
  // While another one runs, also the last idle one may end.
  if (alive > 1 && last != nullptr && now - last->idle_since() >= hub_->options().idle_timeout) {
    for (const auto& worker : workers) {
      if (worker.get() == last) worker->die(Done::Status::cancelled, {});
    }
  }
  if (refused_ && can_grow(now)) room_may_be();
}

SteadyTime PoolCore::next_check(SteadyTime now) const {
  SteadyTime next = SteadyTime::max();
  SteadyTime all_long{};
  bool growing = refused_ && known_short();
  const auto alive =
      std::count_if(workers_.begin(), workers_.end(), [](const auto& worker) { return worker->alive(); });
  for (const auto& worker : workers_) {
    next = std::min(next, worker->next_check());
    if (worker->idle() && alive > 1) {
      next = std::min(next, worker->idle_since() + hub_->options().idle_timeout);
    }
    if (!worker->alive()) continue;
    if (worker->state() != Remote::State::ready || worker->queue().empty())
      growing = false;
    else
      all_long = std::max(all_long, worker->queue().front().start + kLong);
  }
  if (growing && all_long > now) next = std::min(next, all_long);
  if (!backlog_.empty()) next = std::min(next, now + kBacklog);
  return next;
}

}  // namespace pf::worker
