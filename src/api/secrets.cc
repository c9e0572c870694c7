#include "api/secrets.h"

#include <sys/random.h>

#include <algorithm>
#include <cstdlib>

#include "api/attempt.h"
#include "base/digest.h"
#include "base/file.h"

namespace pf::api {
namespace {

constexpr size_t kKeyBytes = 32;

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
  attempt.reads.add("secret", name, attempt.hall.secrets.version(*value));
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
  if (const auto source = sources_.find(name); source != sources_.end()) {
    if (const auto known = values_.find(name); known != values_.end()) return known->second;
    auto value = source->second();
    if (!value) return value;
    if (!mask_.add(*value)) return too_short("the secret " + std::string(name));
    values_.emplace(name, *value);
    return value;
  }
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

std::optional<std::string> Secrets::version(std::string_view value) {
  if (key_.empty() && !key_file_.empty()) {
    auto kept = read_file(key_file_, kKeyBytes);
    if (kept && kept->size() == kKeyBytes) {
      key_ = std::move(*kept);
    } else if (may_make_key_ && !kept && kept.error().code == "os.enoent") {
      std::string made(kKeyBytes, '\0');
      const bool drawn = ::getrandom(made.data(), made.size(), 0) == static_cast<ssize_t>(made.size());
      if (drawn && write_file(key_file_, made, true, 0600)) key_ = std::move(made);
    }
  }
  if (key_.empty()) return std::nullopt;
  return "hmac:" + hmac_sha256_hex(key_, value);
}

}  // namespace pf::api
