// What the tests of this floor share: a client that records, job bodies, a package, and a loop that runs
// until something has come about.
#pragma once

#include <gtest/gtest.h>

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/cbor.h"
#include "worker/supervisor.h"

namespace pf::worker {

inline std::string text_value(std::string_view text) {
  std::string out;
  cbor::Writer(out).text_or_bytes(text);
  return out;
}

/// The map of a load frame.
inline Package make_package(std::vector<std::string> modules = {"extension"},
                            uint64_t memory = 256ULL << 20) {
  Package out;
  out.name = "demo";
  out.version = "1.2.3";
  out.memory = memory;
  cbor::Writer w(out.load);
  w.map(4);
  w.text("name");
  w.text("demo");
  w.text("version");
  w.text("1.2.3");
  w.text("modules");
  w.map(modules.size());
  for (const auto& module : modules) {
    w.text(module);
    w.text("-- " + module);
  }
  w.text("memory");
  w.unsigned_integer(memory);
  return out;
}

/// A job that the double of the VM knows by its name.
inline Job make_job(uint64_t id, std::string_view name, Milliseconds hard = Milliseconds(0),
                    std::string_view config = "\xa0", std::string_view state = "\xf6", uint64_t soft = 0,
                    uint64_t cpu = 0) {
  Job job;
  job.id = id;
  job.items = 13;
  job.hard = hard;
  cbor::Writer w(job.body);
  w.unsigned_integer(0);
  w.unsigned_integer(soft);
  w.unsigned_integer(cpu);
  w.unsigned_integer(64 << 20);  // memory
  w.unsigned_integer(1 << 20);   // output
  w.unsigned_integer(64);        // calls
  w.text(name);
  w.text("type");
  w.text("prod-" + std::to_string(id));
  w.raw(config);
  w.raw(state);
  w.null();
  w.unsigned_integer(1);
  return job;
}

/// Writes down what it is told, as `started 1`, `call 1 fs.read`, `done 1 succeeded`.
class Recorder final : public Client {
 public:
  struct Call {
    uint64_t job;
    uint32_t request;
    int call;
    std::string arguments;
  };

  void job_started(uint64_t job) override { told.push_back("started " + std::to_string(job)); }
  void host_call(uint64_t job, uint32_t request, int call, std::string_view arguments) override {
    calls.push_back({job, request, call, std::string(arguments)});
    if (on_call) on_call(calls.back());
  }
  void cancel_call(uint64_t job, uint32_t request) override {
    told.push_back("cancel " + std::to_string(job) + " " + std::to_string(request));
  }
  void job_done(uint64_t job, Done result) override {
    static constexpr const char* kNames[] = {"succeeded", "failed", "timed_out", "crashed", "cancelled"};
    std::string line = "done " + std::to_string(job) + " " + kNames[static_cast<int>(result.status)];
    if (result.status != Done::Status::succeeded) line += " " + result.error.code;
    told.push_back(line);
    done[job] = std::move(result);
    if (on_done) on_done(job);
  }
  void room() override {
    ++rooms;
    if (on_room) on_room();
  }
  bool may_start() override { return may; }

  /// What was told since the last time.
  std::vector<std::string> take() { return std::exchange(told, {}); }

  std::vector<std::string> told;
  std::vector<Call> calls;
  std::map<uint64_t, Done> done;
  int rooms = 0;
  bool may = false;
  std::function<void(const Call&)> on_call;
  std::function<void(uint64_t)> on_done;
  std::function<void()> on_room;
};

/// Runs the loop until `condition`; a failure when it has not come about after 30 s.
inline bool run_until(asio::io_context& loop, const std::function<bool()>& condition) {
  bool late = false;
  asio::steady_timer limit(loop, std::chrono::seconds(30));
  limit.async_wait([&](std::error_code code) { late = !code; });
  while (!condition() && !late) {
    loop.restart();
    loop.run_one();
  }
  limit.cancel();
  loop.restart();
  loop.poll();
  EXPECT_FALSE(late) << "nothing came within 30 s";
  return !late;
}

}  // namespace pf::worker
