// Turns packages and instances into what workers take: load and run frames in the form of registry/frames.h.
// Pure functions; thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "extension/package.h"
#include "worker/supervisor.h"

namespace pf::extension {

/// The package as its workers load it. `memory` is the most that one of its instances may take.
worker::Package worker_package(const Package& package, uint64_t memory = 0);

/// Evaluates models.lua; the job's value is {model name: description}.
worker::Job models_job(uint64_t id, const Manifest& manifest);
/// Runs the function that bootstrap.lua returns; the job's value is `self.runtime`.
worker::Job bootstrap_job(uint64_t id, const Limits& limits);
/// Calls the function of a hook's script with the event, encoded CBOR; an empty one only runs the script up
/// to its function. `script` is the module's name.
worker::Job hook_job(uint64_t id, std::string_view script, std::string_view event, Milliseconds timeout,
                     const Limits& limits);

/// What an attempt does: `execute` and what belongs to it, or what its name says.
enum class Verb : uint8_t { execute, destroy, refresh };

/// One attempt of an instance. Encoded values are CBOR; empty state or runtime means none.
struct InstanceJob {
  std::string_view name;  // instance name
  std::string_view type;  // section
  std::string_view stack;
  std::string_view config;
  std::string_view state;
  std::string_view runtime;
  uint32_t attempt = 1;
  Milliseconds timeout{0};  // of the attempt; 0 = none
  Verb verb = Verb::execute;
};
worker::Job instance_job(uint64_t id, const InstanceJob& job, const Limits& limits);

/// How long after its soft deadline a worker is killed.
inline constexpr Milliseconds kGrace{1000};

}  // namespace pf::extension
