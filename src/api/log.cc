// forge.log.* and forge.progress: no permission, no answer, and a limit on their volume. What is longer than
// 64 KiB is cut, with a note.
#include <cmath>

#include "api/attempt.h"
#include "base/json.h"
#include "base/text.h"

namespace pf::api {
namespace {

constexpr size_t kLongestLine = 64U << 10;

void log_line(const Request& request, int level) {
  const Arguments& in = request.arguments;
  if (!request.attempt->may_log(in.text(0).size() + (in.has(1) ? in.raw(1).size() : 0))) return;
  const Caller& caller = request.attempt->caller;
  const Mask& mask = request.attempt->hall.secrets.mask();
  // Before it is cut: half a secret would not be known any more.
  const std::string text = cut_text(mask.apply(in.text(0)), kLongestLine);
  if (!in.has(1)) {
    request.attempt->hall.sink.log(caller.index, level, text, nullptr);
    return;
  }
  Json fields;
  if (in.raw(1).size() > kLongestLine) {
    fields = Json{{"note", "fields of " + std::to_string(in.raw(1).size()) + " bytes were left out"}};
  } else if (auto decoded = from_cbor(in.raw(1))) {
    fields = std::move(*decoded);
  } else {
    fields = Json{{"note", "fields were left out: " + decoded.error().message}};
  }
  mask.apply(fields);
  request.attempt->hall.sink.log(caller.index, level, text, &fields);
}

void log_debug(Request request) { log_line(request, 0); }
void log_info(Request request) { log_line(request, 1); }
void log_warn(Request request) { log_line(request, 2); }
void log_error(Request request) { log_line(request, 3); }

void progress(Request request) {
  const Arguments& in = request.arguments;
  if (!request.attempt->may_log(in.has(2) ? in.text(2).size() : 0)) return;
  const std::string text =
      in.has(2) ? cut_text(request.attempt->hall.secrets.mask().apply(in.text(2)), kLongestLine)
                : std::string();
  request.attempt->hall.sink.progress(request.attempt->caller.index, in.number(0),
                                      in.has(1) ? in.number(1) : 0, text);
}

constexpr Handled kCalls[] = {
    {"log.debug", log_debug}, {"log.info", log_info}, {"log.warn", log_warn},
    {"log.error", log_error}, {"progress", progress},
};

}  // namespace

std::span<const Handled> log_calls() { return kCalls; }

}  // namespace pf::api
