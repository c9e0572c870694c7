#include "extension/lifecycle.h"

#include "base/cbor.h"
#include "registry/frames.h"

namespace pf::extension {
namespace {

// Long enough for a venv or a chart to be made, short enough that a run does not hang for ever.
constexpr Milliseconds kBootstrapTimeout{600000};
constexpr Milliseconds kModelsTimeout{5000};

uint64_t count(Milliseconds duration) { return static_cast<uint64_t>(duration.count()); }

void head(cbor::Writer& w, frames::JobKind kind, Milliseconds soft, Milliseconds cpu) {
  w.unsigned_integer(static_cast<uint64_t>(kind));
  w.unsigned_integer(count(soft));
  w.unsigned_integer(count(cpu));
}

worker::Job simple_job(uint64_t id, frames::JobKind kind, Milliseconds timeout, Milliseconds cpu) {
  worker::Job job;
  job.id = id;
  job.items = 3;
  job.hard = timeout + kGrace;
  cbor::Writer w(job.body);
  head(w, kind, timeout, cpu);
  return job;
}

void value_or_null(cbor::Writer& w, std::string_view encoded) {
  if (encoded.empty())
    w.null();
  else
    w.raw(encoded);
}

}  // namespace

worker::Package worker_package(const Package& package) {
  worker::Package out;
  const Manifest& manifest = package.manifest;
  out.name = manifest.name;
  out.version = manifest.version;
  out.memory = manifest.limits.memory;
  cbor::Writer w(out.load);
  w.map(6);
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
  w.unsigned_integer(manifest.limits.memory);
  w.text("output_limit");
  w.unsigned_integer(manifest.limits.output);
  w.text("cpu_ms");
  w.unsigned_integer(count(manifest.limits.cpu));
  return out;
}

worker::Job models_job(uint64_t id) {
  return simple_job(id, frames::JobKind::models, kModelsTimeout, kModelsTimeout);
}

worker::Job bootstrap_job(uint64_t id, const Manifest& manifest) {
  return simple_job(id, frames::JobKind::bootstrap, kBootstrapTimeout, manifest.limits.cpu);
}

worker::Job instance_job(uint64_t id, const InstanceJob& in, const Manifest& manifest) {
  worker::Job job;
  job.id = id;
  job.items = 10;
  job.hard = in.timeout.count() == 0 ? Milliseconds(0) : in.timeout + kGrace;
  job.body.reserve(64 + in.name.size() + in.config.size() + in.state.size() + in.runtime.size());
  cbor::Writer w(job.body);
  head(w, frames::JobKind::instance, in.timeout, manifest.limits.cpu);
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
