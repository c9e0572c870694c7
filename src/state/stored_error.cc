#include "state/stored_error.h"

#include "base/json.h"

namespace pf::state {

std::string error_to_json(const Error& error) {
  Json out = {{"code", error.code}, {"message", error.message}, {"hint", error.hint}};
  if (!error.where.text().empty()) out["where"] = error.where.text();
  if (!error.traceback.empty()) out["traceback"] = error.traceback;
  if (!error.retryable) out["retryable"] = false;
  return to_json_text(out);
}

Error error_from_json(std::string_view text) {
  Error out;
  const auto json = parse_json(text);
  if (!json || !json->is_object()) {
    out.message = text;
    return out;
  }
  const auto get = [&](const char* key) {
    const auto found = json->find(key);
    return found != json->end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  const auto position = [&](const char* key) -> uint32_t {
    const auto found = json->find(key);
    return found != json->end() && found->is_number_unsigned() ? found->get<uint32_t>() : 0;
  };
  out.code = get("code");
  out.message = get("message");
  out.hint = get("hint");
  out.traceback = get("traceback");
  out.where = {get("file"), position("line"), position("column"), get("path")};
  if (out.where.file.empty()) out.where.file = get("where");
  const auto retryable = json->find("retryable");
  out.retryable = retryable == json->end() || *retryable != false;
  return out;
}

}  // namespace pf::state
