// A run as an observer sees it, told by a test: a clock that is ticked, a terminal of a given size, and what
// was written.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "orchestrator/events.h"
#include "report/observer.h"

namespace pf::report::test {

class TickedClock final : public Clock {
 public:
  SteadyTime steady() const override { return SteadyTime(now_); }
  WallTime wall() const override {
    return WallTime(std::chrono::seconds(1795255200) + now_);
  }  // 2026-11-21 10:00:00 UTC
  void advance(Milliseconds time) { now_ += time; }

 private:
  Milliseconds now_{0};
};

/// Tells a test what a report told the view.
class Told final : public orchestrator::Observer {
 public:
  void on(const orchestrator::RunStarted&) override {}
  void on(const orchestrator::InstanceStarted&) override {}
  void on(const orchestrator::AttemptFailed&) override {}
  void on(const orchestrator::InstanceFinished&) override {}
  void on(const orchestrator::LogLine&) override {}
  void on(const orchestrator::Progress&) override {}
  void on(const orchestrator::Refused&) override {}
  void on(const orchestrator::RunFailure& event) override { errors.push_back(*event.error); }
  void on(const orchestrator::RunFinished&) override {}
  void tick(SteadyTime) override {}
  Errors errors;
};

class WatchedRun {
 public:
  WatchedRun(Mode mode, std::vector<std::string> addresses, ObserverOptions options = {},
             Size size = {80, 24})
      : terminal(size), fd_(::memfd_create("report", MFD_CLOEXEC)) {
    ::setenv("TZ", "UTC", 1);
    for (auto& address : addresses) infos_.push_back({address, address.substr(0, address.find('.'))});
    for (uint32_t i = 0; i < infos_.size(); ++i) {
      records_.emplace_back();
      records_[i].instance = i;
      records_[i].address = infos_[i].address;
    }
    options.fd = fd_;
    options.clock = &clock;
    options.size = [this] { return terminal; };
    observer_ = make_observer(mode, std::move(options));
  }
  /// A run that this observer sees; text() stays empty.
  WatchedRun(std::vector<std::string> addresses, std::unique_ptr<orchestrator::Observer> observer)
      : WatchedRun(Mode::lines, std::move(addresses)) {
    observer_ = std::move(observer);
  }
  ~WatchedRun() { ::close(fd_); }

  void begin() {
    orchestrator::RunStarted event;
    event.run = "20261121-100000-7f3a";
    event.pipeline = "climate";
    event.file = "prod.yaml";
    event.time = clock.wall();
    event.instances = &infos_;
    event.sandbox = &sandbox_;
    event.log_file = "/state/runs/r/log.jsonl";
    event.max_parallel = 16;
    if (!expected.empty()) event.expected = &expected;
    if (!upstream.empty()) event.upstream = &upstream;
    if (change) change(event);
    observer_->on(event);
  }
  void start(uint32_t index, uint32_t attempt = 1, const std::string& why = {}) {
    observer_->on(orchestrator::InstanceStarted{index, attempt, clock.wall(), why});
  }
  void cached(uint32_t index, Milliseconds age, const Json& outputs = nullptr) {
    auto& record = records_[index];
    record.result = state::InstanceResult::cached;
    if (!outputs.is_null()) record.outputs = to_cbor(outputs);
    orchestrator::InstanceFinished event = of(index);
    event.cached_at = clock.wall() - age;
    event.why = "nothing has changed";
    observer_->on(event);
  }
  void expand(uint32_t group, const std::vector<std::string>& addresses) {
    const auto first = static_cast<uint32_t>(infos_.size());
    for (const auto& address : addresses) {
      infos_.push_back({address, address.substr(0, address.find('.'))});
      records_.emplace_back();
      records_.back().instance = static_cast<uint32_t>(records_.size() - 1);
      records_.back().address = address;
    }
    observer_->on(
        orchestrator::Expanded{group, first, static_cast<uint32_t>(addresses.size()), clock.wall()});
  }
  void hook(const std::string& stage, int64_t index, const std::string& decision, const std::string& text) {
    observer_->on(orchestrator::HookRan{clock.wall(), stage, index, "hooks/window.lua", decision, text,
                                        Milliseconds(12)});
  }
  void attempt_failed(uint32_t index, uint32_t attempt, const Error& error, Milliseconds retry_in) {
    observer_->on(orchestrator::AttemptFailed{index, attempt, clock.wall(), &error, retry_in});
  }
  /// What the next finish() or fail() of an instance says that it took.
  void resources(uint32_t index, uint64_t cpu_us, uint64_t peak_bytes, uint64_t read_bytes = 0,
                 uint64_t write_bytes = 0) {
    io_[index] = {read_bytes, write_bytes};
    records_[index].cpu_us = cpu_us;
    records_[index].peak_bytes = peak_bytes;
  }
  void finish(uint32_t index, state::InstanceResult result, Milliseconds duration,
              const Json& outputs = nullptr, uint32_t attempts = 1) {
    auto& record = records_[index];
    record.result = result;
    record.duration = duration;
    record.attempts = attempts;
    if (!outputs.is_null()) record.outputs = to_cbor(outputs);
    tell(index, nullptr, {});
  }
  void fail(uint32_t index, const Error& error, uint32_t attempts = 1, const std::string& work_folder = {},
            state::InstanceResult result = state::InstanceResult::failed) {
    auto& record = records_[index];
    record.result = result;
    record.duration = Milliseconds(300);
    record.attempts = attempts;
    record.error = to_json_text({{"code", error.code}, {"message", error.message}, {"hint", error.hint}});
    tell(index, &error, work_folder);
  }
  void block(uint32_t index, const std::string& cause) {
    records_[index].result = state::InstanceResult::blocked;
    records_[index].blocked_by = cause;
    tell(index, nullptr, {});
  }
  void log(uint32_t index, orchestrator::LogLevel level, const std::string& message,
           const Json& fields = nullptr) {
    observer_->on(
        orchestrator::LogLine{index, clock.wall(), level, message, fields.is_null() ? nullptr : &fields});
  }
  void progress(uint32_t index, double done, double total, const std::string& text) {
    observer_->on(orchestrator::Progress{index, clock.wall(), done, total, text});
  }
  void refuse(uint32_t index, const std::string& call, const Error& error) {
    observer_->on(orchestrator::Refused{index, clock.wall(), call, &error});
  }
  void break_down(const Error& error) { observer_->on(orchestrator::RunFailure{clock.wall(), &error}); }
  void end(state::RunResult result, Milliseconds duration, const std::string& command = {},
           uint32_t refused = 0, Milliseconds oldest = Milliseconds(0),
           const std::string& first_failed = {}) {
    orchestrator::RunFinished event{clock.wall(), result, duration, &records_, refused, command};
    if (oldest.count() > 0) event.oldest = clock.wall() - oldest;
    event.first_failed = first_failed;
    observer_->on(event);
  }
  void tick(Milliseconds after) {
    clock.advance(after);
    observer_->tick(clock.steady());
  }

  /// What was written since the last call.
  std::string text() {
    std::string out;
    char buffer[4096];
    for (ssize_t n = 0; (n = ::pread(fd_, buffer, sizeof buffer, read_)) > 0; read_ += n) {
      out.append(buffer, static_cast<size_t>(n));
    }
    return out;
  }

  TickedClock clock;
  Size terminal;
  std::vector<Milliseconds> expected;  // as RunStarted has them; set before begin()
  std::vector<std::vector<uint32_t>> upstream;
  std::function<void(orchestrator::RunStarted&)> change;  // what else begin() tells

 private:
  orchestrator::InstanceFinished of(uint32_t index) {
    const auto& record = records_[index];
    orchestrator::InstanceFinished event{};
    event.index = index;
    event.time = clock.wall();
    event.result = record.result;
    event.attempts = record.attempts;
    event.duration = record.duration;
    event.outputs = record.outputs;
    event.blocked_by = record.blocked_by;
    event.cpu_us = record.cpu_us;
    event.peak_bytes = record.peak_bytes;
    if (const auto io = io_.find(index); io != io_.end()) {
      event.read_bytes = io->second.first;
      event.write_bytes = io->second.second;
    }
    return event;
  }
  void tell(uint32_t index, const Error* error, const std::string& work_folder) {
    orchestrator::InstanceFinished event = of(index);
    event.error = error;
    event.work_folder = work_folder;
    observer_->on(event);
  }

  int fd_;
  off_t read_ = 0;
  Json sandbox_ = {{"seccomp", true}};
  std::vector<orchestrator::InstanceInfo> infos_;
  std::vector<state::InstanceRecord> records_;
  std::map<uint32_t, std::pair<uint64_t, uint64_t>> io_;
  std::unique_ptr<orchestrator::Observer> observer_;
};

inline Error an_error() {
  Error error;
  error.code = "lua.error";
  error.message = "the file is empty";
  error.hint = "put words into it";
  error.where = {"prod.yaml", 12, 5, "example.b"};
  error.traceback = "extension.lua:12: in function 'execute'";
  return error;
}

}  // namespace pf::report::test
