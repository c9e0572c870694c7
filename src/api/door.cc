#include "api/door.h"

#include <sys/stat.h>

#include <algorithm>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <cstdlib>

#include "api/attempt.h"
#include "base/file.h"
#include "base/json.h"
#include "base/text.h"

namespace pf::api {
namespace {

/// Handlers by call number; null for calls of the worker.
const std::vector<Handler>& handlers() {
  static const std::vector<Handler> all = [] {
    std::vector<Handler> out(registry::calls().size(), nullptr);
    for (auto space : {log_calls(), fs_calls(), http_calls(), download_calls(), git_calls(), archive_calls(),
                       process_calls(), env_calls(), secret_calls(), time_calls()}) {
      for (const Handled& handled : space) {
        if (const int at = registry::find(handled.name); at >= 0)
          out[static_cast<size_t>(at)] = handled.handler;
      }
    }
    return out;
  }();
  return all;
}

class SessionImpl final : public Session {
 public:
  SessionImpl(Hall& hall, Caller caller) : attempt_(std::make_shared<Attempt>(hall, std::move(caller))) {}
  ~SessionImpl() override { attempt_->close(); }
  SessionImpl(const SessionImpl&) = delete;
  SessionImpl& operator=(const SessionImpl&) = delete;

  std::string reads() const override { return attempt_->reads.items(attempt_->hall.secrets.mask()); }

  const services::Usage& usage() const override { return *attempt_->usage; }

  // An answer may destroy this session: nothing of it is touched afterwards.
  void call(int number, std::string_view encoded, Answer answer, uint32_t request) override {
    const auto all = registry::calls();
    if (number < 0 || static_cast<size_t>(number) >= all.size() ||
        handlers()[static_cast<size_t>(number)] == nullptr) {
      answer(refuse("call.unknown", "there is no host call of number " + std::to_string(number)));
      return;
    }
    const registry::Call& call = all[static_cast<size_t>(number)];
    auto arguments = Arguments::decode(call, encoded);
    if (!arguments) {
      // Nobody waits for the answer of a log line: the mistake must be seen elsewhere.
      if (!call.replies)
        attempt_->hall.sink.log(attempt_->caller.index, 2, arguments.error().message, nullptr);
      else
        answer(tl::unexpected(std::move(arguments.error())));
      return;
    }
    handlers()[static_cast<size_t>(number)]({attempt_, call, *arguments, std::move(answer), request});
  }

  bool cancel(uint32_t request) override { return attempt_->cancel(request); }
  bool interrupt(int signal, std::function<void()> ended) override {
    return attempt_->interrupt(signal, std::move(ended));
  }
  Interrupted interrupted() const override { return attempt_->interrupted; }

 private:
  std::shared_ptr<Attempt> attempt_;
};

class DoorImpl final : public Door {
 public:
  DoorImpl(asio::io_context& loop, Sink& sink, std::filesystem::path audit_file, Secrets& secrets,
           worker::Programs* programs)
      : hall_(loop, sink, std::move(audit_file), programs, secrets) {}
  std::unique_ptr<Session> open(Caller caller) override {
    return std::make_unique<SessionImpl>(hall_, std::move(caller));
  }
  uint32_t refused() const override { return hall_.refused; }
  void set_io(services::IoRunner& runner, std::filesystem::path cache) override {
    hall_.io = &runner;
    hall_.cache = std::move(cache);
  }
  void set_download_cache(std::filesystem::path folder) override { hall_.download_cache = std::move(folder); }

 private:
  Hall hall_;
};

// As it may stand in a YAML flow list.
std::string yaml_text(std::string_view text) {
  const bool plain = !text.empty() &&
                     text.find_first_not_of(
                         "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                         "0123456789./_-:") == std::string_view::npos &&
                     text.front() != '-' && text.front() != ':' && text.back() != ':' &&
                     text.find_first_not_of("0123456789.:") != std::string_view::npos;
  return plain ? std::string(text) : to_json_text(Json(text));
}

}  // namespace

std::unique_ptr<Door> Door::make(asio::io_context& loop, Sink& sink, std::filesystem::path audit_file,
                                 Secrets& secrets, worker::Programs* programs) {
  return std::make_unique<DoorImpl>(loop, sink, std::move(audit_file), secrets, programs);
}

Hall::~Hall() {
  downloads_.reset();
  http_.reset();
  // Every session is closed by now, so that what still runs ends soon; what waits is dropped.
  if (pool_) {
    pool_->stop();
    pool_->join();
  }
}

asio::thread_pool& Hall::pool() {
  if (!pool_) pool_ = std::make_unique<asio::thread_pool>(2);
  return *pool_;
}

services::Http& Hall::http() {
  if (!http_) {
    services::Http::Options options;
    // OpenSSL's own variable: sites with an authority of their own set it for all programs.
    if (const char* file = std::getenv("SSL_CERT_FILE"); file != nullptr) options.ca_file = file;
    options.after = after();
    http_ = services::Http::make(post(), options);
  }
  return *http_;
}

services::Downloads& Hall::downloads() {
  if (!downloads_) downloads_ = services::Downloads::make(http(), post(), after(), download_cache);
  return *downloads_;
}

services::Http::Post Hall::post() {
  return [this](std::function<void()> f) { asio::post(loop, std::move(f)); };
}

services::Http::After Hall::after() {
  return [this](Milliseconds wait, std::function<void()> f) -> std::function<void()> {
    auto timer = std::make_shared<asio::steady_timer>(loop);
    timer->expires_after(wait);
    timer->async_wait([timer, f = std::move(f)](std::error_code code) {
      if (!code) f();
    });
    return [timer] { timer->cancel(); };
  };
}

Error Attempt::refuse(const registry::Call& call, registry::Permission permission, std::string_view tried,
                      std::string_view target, std::string_view entry, int hop) {
  Error error;
  error.code = "permission." + std::string(registry::key(permission));
  error.message = caller.address + (caller.hook.empty() ? " (extension " : " (") + caller.extension +
                  ") tried forge." + std::string(call.name) + ": " +
                  shorten(hall.secrets.mask().apply(tried), 2000);
  error.hint = grant_hint(caller, permission, entry);
  error.retryable = false;
  hall.secrets.mask().apply(error);
  ++hall.refused;
  hall.audit.add({caller.address, call.name, target, {}, hop, error.code});
  hall.sink.refused(caller.index, call.name, error);
  return error;
}

void Attempt::allow(const registry::Call& call, std::string_view target, std::string_view to, int hop) {
  hall.audit.add({caller.address, call.name, target, to, hop, {}});
}

bool Attempt::may_log(size_t bytes) {
  const bool over = logged_ > caller.log;
  logged_ += log_cost(bytes);
  if (logged_ <= caller.log) return true;
  if (!over && caller.fail) {
    Error error;
    error.code = "limit.log";
    error.message = "the attempt sent more than " + format_bytes(caller.log) + " of log lines and progress";
    error.hint = "log less, or raise limits.log; what is long belongs into a file of the work folder";
    error.retryable = false;
    caller.fail(std::move(error));
  }
  return false;
}

void Attempt::close() {
  open = false;
  stop = true;
  const auto ended = std::move(streams);  // they hold us
  programs_ended_ = nullptr;
  auto cancels = std::move(cancels_);
  cancels_.clear();
  for (auto& [id, under_way] : cancels) under_way.cancel();
}

uint64_t Attempt::on_close(std::function<void()> cancel, uint32_t request,
                           std::function<void(int signal)> interrupt) {
  const uint64_t id = next_cancel_++;
  cancels_.emplace(id, UnderWay{request, std::move(cancel), std::move(interrupt)});
  return id;
}

void Attempt::forget(uint64_t id) {
  cancels_.erase(id);
  if (!programs_ended_ || runs_programs()) return;
  asio::post(hall.loop, std::exchange(programs_ended_, nullptr));
}

bool Attempt::runs_programs() const {
  return std::any_of(cancels_.begin(), cancels_.end(),
                     [](const auto& entry) { return entry.second.interrupt != nullptr; });
}

bool Attempt::interrupt(int signal, std::function<void()> ended) {
  if (!runs_programs()) return false;
  if (ended) programs_ended_ = std::move(ended);
  interrupted.told = true;
  for (auto& [id, under_way] : cancels_) {
    if (under_way.interrupt) under_way.interrupt(signal);
  }
  return true;
}

bool Attempt::cancel(uint32_t request) {
  const auto found = std::find_if(cancels_.begin(), cancels_.end(), [&](const auto& entry) {
    return request != 0 && entry.second.request == request;
  });
  if (found == cancels_.end()) return false;
  const auto under_way = std::move(found->second);
  cancels_.erase(found);
  under_way.cancel();
  return true;
}

Result<const services::Folder*> Attempt::work() {
  std::lock_guard lock(work_mutex_);
  if (!work_) {
    if (auto made = make_folders(caller.work_folder); !made) return tl::unexpected(made.error());
    auto folder = services::Folder::open(caller.work_folder);
    if (!folder) return tl::unexpected(folder.error());
    if (auto emptied = folder->remove("tmp", &stop); !emptied) return tl::unexpected(emptied.error());
    if (auto made = folder->mkdir("tmp"); !made) return tl::unexpected(made.error());
    work_ = std::move(*folder);
  }
  return &*work_;
}

std::string grant_hint(const Caller& caller, registry::Permission permission, std::string_view entry) {
  return (caller.hook.empty() ? "add to " + caller.manifest + ":" : caller.hook) + "\n  permissions:\n    " +
         std::string(registry::key(permission)) + ": [" + yaml_text(entry) + "]";
}

std::string nothing() {
  std::string out;
  cbor::Writer(out).null();
  return out;
}

}  // namespace pf::api
