// The workers of one package and the decision where a job goes: to an idle worker, to a new one, or behind a
// running job. See tuning.h for the numbers. Shared by its handle, the Hub and its workers; everything on the
// loop's thread.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "worker/remote.h"
#include "worker/supervisor.h"

namespace pf::worker {

class Hub;

/// `limit.frame`: something of `size` bytes does not fit into a frame.
Error frame_error(const std::string& what, size_t size);
/// `job.cancelled`.
Error cancelled_error();

/// What stands behind a Pool.
class PoolCore final : public std::enable_shared_from_this<PoolCore> {
 public:
  PoolCore(std::shared_ptr<Hub> hub, const Package& package, Client& client);

  bool offer(Job& job, bool may_start);
  int running() const;
  void reply(uint64_t job, uint32_t request, const Result<std::string>& value);
  void cancel(uint64_t job);
  void fail(uint64_t job, Error error);
  /// Kills its workers; nothing is told to the client any more.
  void close();

  const Package& package() const { return package_; }
  const std::vector<std::shared_ptr<Remote>>& workers() const { return workers_; }
  size_t backlog() const { return backlog_.size(); }

  // From its workers.
  void ready(Remote& worker);
  void load_failed(const Error& error);
  void job_started(uint64_t job) {
    if (client_ != nullptr) client_->job_started(job);
  }
  void host_call(uint64_t job, uint32_t request, int call, std::string_view arguments) {
    client_->host_call(job, request, call, arguments);
  }
  void cancel_call(uint64_t job, uint32_t request) { client_->cancel_call(job, request); }
  void done(Remote& worker, Sent sent, Done done);
  void returned(Remote& worker, Sent sent);
  void gone(Remote& worker, std::deque<Sent> queue, Done done);

  // From the Hub.
  void check(SteadyTime now);
  SteadyTime next_check(SteadyTime now) const;
  /// At the end of a turn: tells the client that there is room, when it was refused and there may be.
  void tell_room();

 private:
  bool known_short() const;
  bool can_grow(SteadyTime now) const;
  /// Sends the job to a worker; false and untouched when there is none for it.
  bool place(Sent& sent, bool may_start);
  void grow(Sent sent);
  /// Finds places for jobs that came back, `free` of them without asking the client.
  void drain_backlog(int free);
  /// Ends a job, not from inside the client's own call.
  void end_later(uint64_t job, Done::Status status, Error error);
  void finish(uint64_t job, Done done) {
    if (client_ != nullptr) client_->job_done(job, std::move(done));
  }
  void room_may_be();

  std::shared_ptr<Hub> hub_;
  const Package& package_;
  Client* client_;  // null after close()
  std::vector<std::shared_ptr<Remote>> workers_;
  std::deque<Sent> backlog_;         // came back unstarted: they go before new ones
  std::optional<Error> load_error_;  // then no worker is started any more
  double average_us_ = 0;
  int counted_ = 0;
  bool refused_ = false;  // the client waits for room()
  bool room_ = false;     // something has changed since
};

}  // namespace pf::worker
