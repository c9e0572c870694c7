// forge.env.get: the core's own environment, variable by variable.
#include <algorithm>
#include <cstdlib>

#include "api/attempt.h"

namespace pf::api {
namespace {

void get(Request request) {
  const std::string name(request.arguments.text(0));
  const auto& granted = request.attempt->caller.grants.env;
  if (std::find(granted.begin(), granted.end(), name) == granted.end()) {
    request.answer(tl::unexpected(request.attempt->refuse(
        request.call, registry::Permission::env, name + ", which no entry of `env` names", name, name)));
    return;
  }
  request.attempt->allow(request.call, name);
  std::string out;
  cbor::Writer writer(out);
  const char* value = std::getenv(name.c_str());
  request.attempt->reads.add("env", name, env_version(value));
  if (value != nullptr)
    writer.text_or_bytes(value);
  else
    writer.null();
  request.answer(std::move(out));
}

constexpr Handled kCalls[] = {{"env.get", get}};

}  // namespace

std::span<const Handled> env_calls() { return kCalls; }

}  // namespace pf::api
