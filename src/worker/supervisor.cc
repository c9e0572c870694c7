#include "worker/supervisor.h"

#include <sched.h>

#include "base/json.h"
#include "worker/guardian_launcher.h"
#include "worker/patience.h"
#include "worker/programs_impl.h"
#include "worker/supervise.h"
#include "worker/tuning.h"

namespace pf::worker {
namespace {

/// A pool's owner holds this; the workers may outlive it by the time that they take to die.
class PoolHandle final : public Pool {
 public:
  PoolHandle(std::shared_ptr<Hub> hub, const Package& package, Client& client)
      : hub_(hub), core_(std::make_shared<PoolCore>(hub, package, client)) {
    hub_->add(*core_);
  }
  ~PoolHandle() override {
    hub_->remove(*core_);
    core_->close();
  }
  bool offer(Job& job, bool may_start) override { return core_->offer(job, may_start); }
  int running() const override { return core_->running(); }
  void reply(uint64_t job, uint32_t request, const Result<std::string>& value) override {
    core_->reply(job, request, value);
  }
  void cancel(uint64_t job) override { core_->cancel(job); }
  void fail(uint64_t job, Error error) override { core_->fail(job, std::move(error)); }

 private:
  std::shared_ptr<Hub> hub_;
  std::shared_ptr<PoolCore> core_;
};

class HubSupervisor final : public Supervisor {
 public:
  HubSupervisor(std::shared_ptr<Hub> hub, Json sandbox)
      : hub_(std::move(hub)),
        sandbox_(std::move(sandbox)),
        programs_(
            std::make_shared<ShimPrograms>(hub_->loop(), [hub = hub_.get()](UniqueFd socket, bool confined) {
              return hub->launch_shim(std::move(socket), confined);
            })) {}
  ~HubSupervisor() override {
    programs_->close();
    hub_->close();
  }
  std::unique_ptr<Pool> pool(const Package& package, Client& client) override {
    return std::make_unique<PoolHandle>(hub_, package, client);
  }
  Programs& programs() override { return *programs_; }
  const Json& sandbox() const override { return sandbox_; }
  bool awake() const override { return hub_->awake(); }

 private:
  std::shared_ptr<Hub> hub_;
  Json sandbox_;
  std::shared_ptr<ShimPrograms> programs_;
};

}  // namespace

std::unique_ptr<Supervisor> supervise(std::shared_ptr<Hub> hub, Json sandbox) {
  return std::make_unique<HubSupervisor>(std::move(hub), std::move(sandbox));
}

void run_awake(asio::io_context& loop, const std::unique_ptr<Supervisor>& supervisor) {
  Patience patience;
  while (loop.run_one() > 0) {
    while (supervisor && supervisor->awake() && !loop.stopped() && patience.pays()) {
      const auto begun = std::chrono::steady_clock::now();
      size_t came = 0;
      while (came == 0 && supervisor->awake()) {
        came = loop.poll();
        if (came == 0) sched_yield();
      }
      patience.went(came > 0 && std::chrono::steady_clock::now() - begun < kSoon);
    }
  }
}

Result<std::unique_ptr<Supervisor>> Supervisor::start(asio::io_context& loop, Options options) {
  auto launcher = std::make_unique<GuardianLauncher>(loop, options.program);
  auto sandbox = launcher->probe();
  if (!sandbox) return tl::unexpected(std::move(sandbox.error()));
  auto hub = std::make_shared<Hub>(loop, std::move(options), std::move(launcher), Clock::system());
  return supervise(std::move(hub), std::move(*sandbox));
}

}  // namespace pf::worker
