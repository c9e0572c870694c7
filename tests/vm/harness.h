// Runs Lua text in a VM as a worker would: on a thread with a big stack, with a host that answers from a
// function.
#pragma once

#include <pthread.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "registry/calls.h"
#include "vm/vm.h"

namespace pf::vm::testing {

/// Runs `f` to its end on a thread with a stack of 256 MiB, as a worker runs its VM.
inline void on_big_stack(std::function<void()> f) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 256U << 20);
  pthread_t thread;
  if (pthread_create(
          &thread, &attributes,
          [](void* body) -> void* {
            (*static_cast<std::function<void()>*>(body))();
            return nullptr;
          },
          &f) != 0) {
    throw std::runtime_error("no thread");
  }
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
}

/// Records host calls and answers them with a function; replies come in the order of the calls, or newest
/// first.
class FakeHost final : public Host {
 public:
  struct Call {
    std::string name;
    Json arguments;
  };
  std::function<Result<Json>(const std::string& name, const Json& arguments)> answer;
  bool newest_first = false;
  std::vector<Call> calls;
  int waits = 0;
  std::vector<uint32_t> cancelled;

  void call(uint32_t request, int call, std::string_view arguments) override {
    const std::string name(registry::calls()[static_cast<size_t>(call)].name);
    calls.push_back({name, from_cbor(arguments).value()});
    if (request == 0) return;
    Reply reply;
    reply.request = request;
    auto value = answer ? answer(name, calls.back().arguments) : Result<Json>(nullptr);
    if (value)
      reply.value = to_cbor(*value);
    else
      reply.value = tl::unexpected(value.error());
    pending_.push_back(std::move(reply));
  }
  void cancel(uint32_t request) override { cancelled.push_back(request); }
  Reply wait() override {
    ++waits;
    if (pending_.empty()) throw std::runtime_error("nothing is outstanding");
    Reply reply = std::move(newest_first ? pending_.back() : pending_.front());
    if (newest_first)
      pending_.pop_back();
    else
      pending_.pop_front();
    return reply;
  }
  /// The texts that were logged, as "level: text".
  std::vector<std::string> logged() const {
    std::vector<std::string> out;
    for (const Call& call : calls) {
      if (call.name.starts_with("log."))
        out.push_back(call.name.substr(4) + ": " + call.arguments[0].get<std::string>());
    }
    return out;
  }

 private:
  std::deque<Reply> pending_;
};

/// A package and one job for it, with defaults for everything.
struct Case {
  std::map<std::string, std::string> modules;
  frames::JobKind kind = frames::JobKind::instance;
  Json config = Json::object();
  Json state;
  Json runtime;
  uint64_t memory = 64ULL << 20;
  uint64_t output_limit = 1ULL << 20;
  uint32_t calls = 64;
  std::chrono::milliseconds soft{0};
  std::chrono::milliseconds cpu{0};
  uint32_t attempt = 1;
};

inline Outcome run_job(Vm& vm, Host& host, const Case& c) {
  const std::string config = to_cbor(c.config);
  const std::string state = to_cbor(c.state);
  const std::string runtime = to_cbor(c.runtime);
  Job job;
  job.kind = c.kind;
  job.soft = c.soft;
  job.cpu = c.cpu;
  job.memory = c.memory;
  job.output = c.output_limit;
  job.calls = c.calls;
  job.name = "first";
  job.type = "example";
  job.stack = "prod-first";
  job.config = config;
  job.state = state;
  job.runtime = runtime;
  job.attempt = c.attempt;
  return vm.run(job, host);
}

inline Load make_load(const Case& c) {
  Load load;
  load.name = "example";
  load.version = "1.0.0";
  load.modules = c.modules;
  load.memory = c.memory;
  return load;
}

/// Loads the package and runs its job. A load that fails is an outcome with its error.
inline Outcome run(const Case& c, FakeHost& host) {
  Outcome out;
  on_big_stack([&] {
    auto vm = Vm::load(make_load(c));
    if (vm)
      out = run_job(**vm, host, c);
    else
      out.error = vm.error();
  });
  return out;
}

/// An extension whose execute is `body`, which begins at line 2.
inline std::string extension(const std::string& body) {
  return "local forge = require 'forge'; local E = forge.extension {}; function E:execute()\n" + body +
         "\nend return E";
}

/// Runs `body` as the execute of an extension.
inline Outcome execute(const std::string& body, FakeHost& host, Case c = {}) {
  c.modules["extension"] = extension(body);
  return run(c, host);
}

inline Outcome execute(const std::string& body, Case c = {}) {
  FakeHost host;
  return execute(body, host, std::move(c));
}

/// The outputs; where the job failed a text that shows how.
inline Json outputs(const Outcome& outcome) {
  if (!outcome.ok) return "FAILED " + outcome.error.code + ": " + outcome.error.message;
  return from_cbor(outcome.value).value();
}

inline Json parse(const std::string& text) { return parse_json(text).value(); }

}  // namespace pf::vm::testing
