// What the pools of one Supervisor share: the launcher, the numbers of workers, one timer, and the turn, at
// whose end everything that was written is sent and everything that must not be told from inside a client's
// call is told. Shared by the Supervisor and its pools; everything on the loop's thread.
#pragma once

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "worker/launcher.h"
#include "worker/supervisor.h"

namespace pf::worker {

class Link;
class PoolCore;
class Remote;

/// The middle of the core's side.
class Hub final : public std::enable_shared_from_this<Hub>, private Launcher::Events {
 public:
  /// Time comes from `clock`, so that a test can tick it; see tick().
  Hub(asio::io_context& loop, Options options, std::unique_ptr<Launcher> launcher, Clock& clock);
  ~Hub() override;

  /// Something of the loop calls into us: its end is the end of the turn.
  class Turn {
   public:
    explicit Turn(Hub& hub) : hub_(hub.shared_from_this()) { ++hub_->depth_; }
    ~Turn() {
      if (hub_->depth_ == 1) hub_->end_turn();
      --hub_->depth_;
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

   private:
    std::shared_ptr<Hub> hub_;
  };

  asio::io_context& loop() { return loop_; }
  const Options& options() const { return options_; }
  SteadyTime now() const { return clock_.steady(); }
  bool open() const { return launcher_ != nullptr; }
  /// All workers are lost and not all of their pools know it yet: no job may be placed.
  bool holding() const { return holding_; }

  void add(PoolCore& pool);
  void remove(PoolCore& pool);
  /// A new worker for the pool; errors `worker.start`.
  Result<std::shared_ptr<Remote>> launch(PoolCore& pool);
  void kill(uint32_t worker);
  /// A new shim with `socket` as its end; errors `worker.start`.
  Result<void> launch_shim(UniqueFd socket, bool confined);

  /// A call was answered after which another one may follow at once.
  void stay_awake();
  bool awake() const;

  void flush_later(std::shared_ptr<Link> link);
  void announce_later(std::shared_ptr<Remote> worker);
  void room_later(std::shared_ptr<PoolCore> pool);
  void later(std::function<void()> what);
  /// tick() is due at that time at the latest.
  void check_by(SteadyTime time);
  /// Does what the time has come for.
  void tick();
  /// Kills and forgets everything.
  void close();

 private:
  void worker_spawned(uint32_t worker, int pid) override;
  void worker_exited(uint32_t worker, const Exit& exit) override;
  void worker_not_spawned(uint32_t worker, const Error& error) override;
  void launcher_lost(const std::string& why) override;

  void need_turn();
  void end_turn();
  std::vector<std::shared_ptr<PoolCore>> pools() const;

  SteadyTime awake_until_{};

  asio::io_context& loop_;
  Options options_;
  std::unique_ptr<Launcher> launcher_;
  Clock& clock_;
  asio::steady_timer timer_;
  SteadyTime armed_ = SteadyTime::max();
  std::unordered_map<uint32_t, std::shared_ptr<Remote>> workers_;  // until their process has ended
  std::vector<PoolCore*> pools_;
  uint32_t last_number_ = 0;
  int depth_ = 0;
  bool posted_ = false;
  bool holding_ = false;
  std::vector<std::shared_ptr<Link>> dirty_;
  std::vector<std::shared_ptr<Remote>> announced_;
  std::vector<std::shared_ptr<PoolCore>> roomy_;
  std::vector<std::function<void()>> later_;
};

}  // namespace pf::worker
