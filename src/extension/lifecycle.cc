#include "extension/lifecycle.h"

#include <algorithm>

#include "base/cbor.h"
#include "registry/frames.h"

namespace pf::extension {
namespace {

// Long enough for a venv or a chart to be made, short enough that a run does not hang for ever.
constexpr Milliseconds kBootstrapTimeout{600000};
constexpr Milliseconds kModelsTimeout{5000};

uint64_t count(Milliseconds duration) { return static_cast<uint64_t>(duration.count()); }

constexpr uint32_t kHeadItems = 6;

worker::Job begin_job(uint64_t id, frames::JobKind kind, Milliseconds soft, const Limits& limits) {
  worker::Job job;
  job.id = id;
  job.items = kHeadItems;
  job.hard = soft.count() == 0 ? Milliseconds(0) : soft + kGrace;
  job.calls = limits.calls;
  job.memory = limits.memory;
  cbor::Writer w(job.body);
  w.unsigned_integer(static_cast<uint64_t>(kind));
  w.unsigned_integer(count(soft));
  w.unsigned_integer(count(limits.cpu));
  w.unsigned_integer(limits.memory);
  w.unsigned_integer(limits.output);
  w.unsigned_integer(limits.calls);
  return job;
}

void value_or_null(cbor::Writer& w, std::string_view encoded) {
  if (encoded.empty())
    w.null();
  else
    w.raw(encoded);
}

}  // namespace

worker::Package worker_package(const Package& package, uint64_t memory) {
  worker::Package out;
  const Manifest& manifest = package.manifest;
  out.name = manifest.name;
  out.version = manifest.version;
  out.memory = std::max(memory, manifest.limits.memory);
  cbor::Writer w(out.load);
  w.map(4);
  w.text("name");
  w.text(manifest.name);
  w.text("version");
  w.text(manifest.version);
  w.text("modules");
  w.map(package.modules.size());
  for (const auto& [name, source] : package.modules) {
    w.text(name);
    w.text_or_bytes(source);
  }
  w.text("memory");
  w.unsigned_integer(out.memory);
  return out;
}

worker::Job models_job(uint64_t id, const Manifest& manifest) {
  Limits limits = manifest.limits;
  limits.cpu = kModelsTimeout;
  return begin_job(id, frames::JobKind::models, kModelsTimeout, limits);
}

worker::Job bootstrap_job(uint64_t id, const Limits& limits) {
  return begin_job(id, frames::JobKind::bootstrap, kBootstrapTimeout, limits);
}

worker::Job hook_job(uint64_t id, std::string_view script, std::string_view event, Milliseconds timeout,
                     const Limits& limits) {
  worker::Job job = begin_job(id, frames::JobKind::hook, timeout, limits);
  job.items += 2;
  cbor::Writer w(job.body);
  w.text(script);
  value_or_null(w, event);
  return job;
}

worker::Job instance_job(uint64_t id, const InstanceJob& in, const Limits& limits) {
  static constexpr frames::JobKind kKinds[] = {frames::JobKind::instance, frames::JobKind::destroy,
                                               frames::JobKind::refresh};
  worker::Job job = begin_job(id, kKinds[static_cast<size_t>(in.verb)], in.timeout, limits);
  job.items += 7;
  job.body.reserve(96 + in.name.size() + in.config.size() + in.state.size() + in.runtime.size());
  cbor::Writer w(job.body);
  w.text(in.name);
  w.text(in.type);
  w.text(in.stack);
  w.raw(in.config);
  value_or_null(w, in.state);
  value_or_null(w, in.runtime);
  w.unsigned_integer(in.attempt);
  return job;
}

}  // namespace pf::extension
