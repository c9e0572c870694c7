// One worker as the core sees it: what was sent to it, what it may say now, and the checks of all that it
// does say. A worker is hostile: the first thing that no worker of ours sends ends it. Owned by its pool and,
// until its process has ended, by the Hub; everything on the loop's thread.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/cbor.h"
#include "base/clock.h"
#include "worker/launcher.h"
#include "worker/link.h"
#include "worker/supervisor.h"

namespace pf::worker {

class Hub;
class PoolCore;

/// A job in a worker's queue or in its pool's backlog.
struct Sent {
  Job job;
  uint64_t epoch = 0;
  SteadyTime start{};      // since when it is the head of a ready worker's queue
  bool announced = false;  // the client was told that it started; never told twice
  bool revoked = false;    // asked back
  bool cancelled = false;  // ends as cancelled as soon as it is back, or its worker gone
  bool heard = false;      // the worker made a call for it: it has been started
};

/// One worker process.
class Remote final : public std::enable_shared_from_this<Remote>, private Link::Events {
 public:
  enum class State : uint8_t {
    starting,  // the load frame is sent; jobs may be queued
    ready,
    dying,  // killed, or asked to end: nothing it says counts
    gone,   // its process has ended
  };

  Remote(Hub& hub, PoolCore& pool, uint32_t number, UniqueFd socket);
  /// Sends the load frame and begins to listen.
  void start(const Package& package);

  State state() const { return state_; }
  uint32_t number() const { return number_; }
  int pid() const { return pid_; }
  void spawned(int pid) { pid_ = pid; }
  /// Starting or ready.
  bool alive() const { return state_ == State::starting || state_ == State::ready; }
  bool idle() const { return state_ == State::ready && queue_.empty(); }
  const std::deque<Sent>& queue() const { return queue_; }
  SteadyTime idle_since() const { return idle_since_; }
  /// The head has run at least so long.
  bool running_for(Milliseconds time, SteadyTime now) const {
    return state_ == State::ready && !queue_.empty() && now - queue_.front().start >= time;
  }

  void send(Sent sent);
  /// False when `job` is not at the head, or has no such request.
  bool reply(uint64_t job, uint32_t request, const Result<std::string>& value);
  /// False when it does not hold the job.
  bool cancel(uint64_t job);
  /// Tells the client of a head that it was not told of yet.
  void announce();
  /// Kills it. Its head ends so; an idle worker has none.
  void die(Done::Status status, Error error);
  /// It is lost, or will be seen no more; why, unless we had killed it ourselves.
  void lose(Error error);
  /// Takes what has come from a worker whose process has ended, or will be seen no more.
  void drain() { link_->drain(); }
  /// Its process has ended.
  void exited(const Exit& exit);
  /// Its pool is gone.
  void orphan();

  void check(SteadyTime now);
  /// When check() has something to do, if nothing else happens; SteadyTime::max() = never.
  SteadyTime next_check() const;

 private:
  void frame(std::string_view payload) override;
  void oversized(uint32_t size) override;
  void ended() override;

  void take_ready(cbor::Reader& in, uint64_t items);
  void take_load_failed(cbor::Reader& in, uint64_t items);
  void take_call(cbor::Reader& in, uint64_t items);
  void take_done(cbor::Reader& in, uint64_t items);
  void take_returned(cbor::Reader& in, uint64_t items);
  void take_cancel(cbor::Reader& in, uint64_t items);
  void protest(const std::string& what);
  void revoke(Sent& sent);
  void start_head();
  Done how_it_died(const Exit& exit) const;

  Hub& hub_;
  PoolCore* pool_;
  uint32_t number_;
  int pid_ = -1;
  State state_ = State::starting;
  std::shared_ptr<Link> link_;
  std::deque<Sent> queue_;             // the front one runs
  std::vector<uint32_t> outstanding_;  // requests of the head
  uint64_t last_epoch_ = 0;
  SteadyTime launched_;
  SteadyTime idle_since_{};
  uint64_t reported_cpu_us_ = 0;
  std::optional<Done> fate_;  // why we killed it
};

}  // namespace pf::worker
