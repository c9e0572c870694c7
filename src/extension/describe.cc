#include "extension/describe.h"

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <memory>
#include <optional>

#include "base/json.h"
#include "base/places.h"
#include "extension/lifecycle.h"
#include "worker/supervisor.h"

namespace pf::extension {
namespace {

// One package's models job; counts itself off the jobs that are still out.
class Describer final : public worker::Client {
 public:
  Describer(worker::Supervisor& supervisor, asio::io_context& loop, const Package& package, size_t& open)
      : loop_(loop), package_(package), worker_package_(worker_package(package)), open_(open) {
    pool_ = supervisor.pool(worker_package_, *this);
    job_ = models_job(0, package.manifest);
    offered_ = pool_->offer(job_, true);
  }

  void job_started(uint64_t) override {}

  void host_call(uint64_t, uint32_t request, int, std::string_view) override {
    if (request == 0) return;  // log lines of models.lua: nobody to show them to yet
    Error error;
    error.code = "extension.models_call";
    error.message = "models.lua made a host call";
    error.hint =
        "models.lua may only describe the configuration; move the call to extension.lua or bootstrap.lua";
    error.retryable = false;
    pool_->reply(0, request, tl::unexpected(std::move(error)));
  }

  void cancel_call(uint64_t, uint32_t) override {}
  void job_done(uint64_t, worker::Done done) override {
    if (done.status == worker::Done::Status::succeeded) {
      result = from_cbor(done.value);
    } else {
      done.error.where.file = (package_.folder / "models.lua").string();
      result = tl::unexpected(std::move(done.error));
    }
    if (--open_ == 0) loop_.stop();
  }

  void room() override {
    if (!offered_) offered_ = pool_->offer(job_, true);
  }

  std::optional<Result<Json>> result;

 private:
  asio::io_context& loop_;
  const Package& package_;
  worker::Package worker_package_;
  size_t& open_;
  std::unique_ptr<worker::Pool> pool_;
  worker::Job job_;
  bool offered_ = false;
};

}  // namespace

tl::expected<std::vector<Json>, Errors> describe(const std::vector<const Package*>& packages) {
  std::vector<Json> out;
  if (packages.empty()) return out;
  asio::io_context loop(1);
  worker::Options options;
  options.program = places::worker_program();
  options.max_workers = 1;
  auto supervisor = worker::Supervisor::start(loop, options);
  if (!supervisor) return tl::unexpected(Errors{supervisor.error()});

  size_t open = packages.size();
  std::vector<std::unique_ptr<Describer>> describers;
  for (const Package* package : packages) {
    describers.push_back(std::make_unique<Describer>(**supervisor, loop, *package, open));
  }
  auto work = asio::make_work_guard(loop);
  loop.run();

  Errors errors;
  for (auto& describer : describers) {
    if (*describer->result)
      out.push_back(std::move(**describer->result));
    else
      errors.push_back(describer->result->error());
  }
  describers.clear();  // their pools end before the supervisor
  if (!errors.empty()) return tl::unexpected(std::move(errors));
  return out;
}

}  // namespace pf::extension
