#include "orchestrator/errors.h"

#include "base/json.h"
#include "base/text.h"

namespace pf::orchestrator {

Error instance_deadline(Milliseconds deadline) {
  Error error;
  error.code = "deadline.instance";
  error.message = "the instance took longer than its deadline of " + format_duration(deadline) +
                  ", counted over all of its attempts";
  error.hint = "raise its deadline, or see in the log what its attempts did";
  error.retryable = false;
  return error;
}

Error pipeline_deadline(Milliseconds deadline) {
  Error error;
  error.code = "deadline.pipeline";
  error.message = "the pipeline took longer than its deadline of " + format_duration(deadline);
  error.hint = "go on with `run --resume`, or raise core.deadline";
  error.retryable = false;
  return error;
}

Error program_interrupted() {
  Error error;
  error.code = "job.cancelled";
  error.message = "cancelled: a program of this attempt was interrupted, and did not end with status 0";
  error.hint = "go on with `run --resume`";
  error.retryable = false;
  return error;
}

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
  if (!json || !json->is_object()) return out;
  const auto get = [&](const char* key) {
    const auto found = json->find(key);
    return found != json->end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  out.code = get("code");
  out.message = get("message");
  out.hint = get("hint");
  out.where.path = get("where");
  out.traceback = get("traceback");
  const auto retryable = json->find("retryable");
  out.retryable = retryable == json->end() || *retryable != false;
  return out;
}

}  // namespace pf::orchestrator
