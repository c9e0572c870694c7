#include "api/secrets.h"

#include <algorithm>
#include <cstdlib>

#include "api/attempt.h"

namespace pf::api {
namespace {

tl::unexpected<Error> too_short(const std::string& which) {
  return refuse("secret.short",
                which + " has fewer than " + std::to_string(Mask::kShortest) +
                    " bytes: it could not be told from ordinary text",
                "use a longer one");
}

void get(Request request) {
  Attempt& attempt = *request.attempt;
  const std::string name(request.arguments.text(0));
  const auto& granted = attempt.caller.grants.secrets;
  if (std::find(granted.begin(), granted.end(), name) == granted.end()) {
    return request.answer(tl::unexpected(
        attempt.refuse(request.call, registry::Permission::secrets,
                       "the secret " + name + ", which no entry of `secrets` names", name, name)));
  }
  attempt.allow(request.call, name);
  auto value = attempt.hall.secrets.get(name);
  if (!value) return request.answer(tl::unexpected(std::move(value.error())));
  std::string out;
  cbor::Writer(out).text_or_bytes(*value);
  request.answer(std::move(out));
}

void mark(Request request) {
  auto marked = request.attempt->hall.secrets.mark(request.arguments.text(0));
  if (!marked) return request.answer(tl::unexpected(std::move(marked.error())));
  request.answer(nothing());
}

constexpr Handled kCalls[] = {{"secret.get", get}, {"secret.mark", mark}};

}  // namespace

std::span<const Handled> secret_calls() { return kCalls; }

Result<std::string> Secrets::get(std::string_view name) {
  const std::string variable = "PANGEO_FORGE_SECRET_" + std::string(name);
  const char* value = std::getenv(variable.c_str());
  if (value == nullptr) {
    return refuse("secret.missing", "there is no secret " + std::string(name),
                  "set the environment variable " + variable);
  }
  if (!mask_.add(value)) return too_short("the secret " + std::string(name));
  return std::string(value);
}

Result<void> Secrets::mark(std::string_view value) {
  if (!mask_.add(value)) return too_short("the value");
  return {};
}

}  // namespace pf::api
