#include "extension/hook_script.h"

#include <algorithm>
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>

#include "base/cbor.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/places.h"
#include "base/text.h"
#include "extension/lifecycle.h"
#include "extension/package.h"

namespace pf::extension {
namespace {

constexpr uint64_t kMaxScript = 1U << 20;  // bytes

// Where Lua put FILE:LINE: in front of a message, as a place of its own. Lua shortens long names from the
// left.
void find_place(const HookScript& script, Error& error) {
  error.where.file = script.file.string();
  constexpr std::string_view kEnd = ".lua:";
  const size_t at = error.message.find(kEnd);
  if (at == std::string::npos) return;
  const std::string_view name = std::string_view(error.message).substr(0, at + kEnd.size() - 1);
  if (name != script.name && !name.starts_with("...")) return;
  size_t digit = at + kEnd.size();
  uint32_t line = 0;
  while (digit < error.message.size() && error.message[digit] >= '0' && error.message[digit] <= '9' &&
         line < 1000000) {
    line = line * 10 + static_cast<uint32_t>(error.message[digit++] - '0');
  }
  if (line == 0 || error.message.compare(digit, 2, ": ") != 0) return;
  error.where.line = line;
  error.message.erase(0, digit + 2);
}

// One script's job; counts itself off the jobs that are still out.
class Checker final : public worker::Client {
 public:
  Checker(worker::Supervisor& supervisor, asio::io_context& loop, const HookScript& script,
          Milliseconds timeout, size_t& open)
      : loop_(loop),
        script_(script),
        timeout_(timeout),
        open_(open),
        pool_(supervisor.pool(script.package, *this)) {
    job_ = hook_job(0, script, {}, timeout);
    offered_ = pool_->offer(job_, true);
  }

  void job_started(uint64_t) override {}

  // The rest of the file rests on what this call would give: it is good as far as anyone can tell now.
  void host_call(uint64_t job, uint32_t request, int, std::string_view) override {
    if (request == 0 || called_) return;
    called_ = true;
    asio::post(loop_, [this, job] { pool_->cancel(job); });
  }
  void cancel_call(uint64_t, uint32_t) override {}

  void job_done(uint64_t, worker::Done done) override {
    using Status = worker::Done::Status;
    if (done.status != Status::succeeded && !called_) {
      error = std::move(done.error);
      if (done.status == Status::timed_out || error.code == "deadline.attempt") {
        error.code = "hook.timeout";
        error.message =
            "the script takes longer than " + format_duration(timeout_) + " to return its function";
        error.hint = "do the work in the function, and only define it at the top of the file";
      } else if (error.code == "extension.error") {
        error.code = "hook.failed";
      }
      error.retryable = false;
      find_place(script_, error);
    }
    if (--open_ == 0) loop_.stop();
  }

  void room() override {
    if (!offered_) offered_ = pool_->offer(job_, true);
  }

  Error error;

 private:
  asio::io_context& loop_;
  const HookScript& script_;
  Milliseconds timeout_;
  size_t& open_;
  std::unique_ptr<worker::Pool> pool_;
  worker::Job job_;
  bool offered_ = false;
  bool called_ = false;
};

}  // namespace

Result<std::unique_ptr<const HookScript>> read_hook_script(const std::filesystem::path& file,
                                                           const std::filesystem::path& project) {
  const std::string hint = "name a Lua file that returns `function(event) … end`";
  const Where where{file.string(), 0, 0, {}};
  if (file.extension() != ".lua") {
    return refuse("hook.file", "expected a file whose name ends in .lua, found '" + file.string() + "'", hint,
                  where);
  }
  auto text = read_file(file, kMaxScript);
  if (!text) return refuse("hook.file", "the script cannot be read: " + text.error().message, hint, where);
  auto script = std::make_unique<HookScript>();
  script->file = file;
  const auto below = file.lexically_normal().lexically_relative(project.lexically_normal());
  const bool inside = !below.empty() && *below.begin() != "..";
  script->name = inside ? below.string() : file.string();
  script->digest = sha256_hex(*text);
  Package package;
  package.manifest.name = script->name;
  package.manifest.version = "0.0.0";
  package.manifest.limits = hook_limits();
  package.modules.emplace(script->name, std::move(*text));
  script->package = worker_package(package);
  return script;
}

Limits hook_limits() {
  Limits limits;
  limits.cpu = Milliseconds(0);
  return limits;
}

worker::Job hook_job(uint64_t id, const HookScript& script, std::string_view event, Milliseconds timeout) {
  return hook_job(id, script.name, event, timeout, hook_limits());
}

Errors check_hook_scripts(const std::vector<const HookScript*>& scripts, Milliseconds timeout) {
  Errors errors(scripts.size());
  if (scripts.empty()) return errors;
  asio::io_context loop(1);
  worker::Options options;
  options.program = places::worker_program();
  options.max_workers = 1;
  auto supervisor = worker::Supervisor::start(loop, options);
  if (!supervisor) {
    std::fill(errors.begin(), errors.end(), supervisor.error());
    return errors;
  }
  size_t open = scripts.size();
  std::vector<std::unique_ptr<Checker>> checkers;
  for (const HookScript* script : scripts) {
    checkers.push_back(std::make_unique<Checker>(**supervisor, loop, *script, timeout, open));
  }
  auto work = asio::make_work_guard(loop);
  loop.run();
  for (size_t i = 0; i < checkers.size(); ++i) errors[i] = std::move(checkers[i]->error);
  checkers.clear();  // their pools end before the supervisor
  return errors;
}

}  // namespace pf::extension
