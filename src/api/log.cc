// forge.log.* and forge.progress: no permission, no answer, and a limit on their volume. What is longer than
// 64 KiB is cut, with a note.
#include <cmath>

#include "api/attempt.h"
#include "base/json.h"

namespace pf::api {
namespace {

constexpr size_t kLongestLine = 64U << 10;

// At most kLongestLine bytes, cut between characters.
std::string bounded(std::string_view text) {
  if (text.size() <= kLongestLine) return std::string(text);
  size_t end = kLongestLine;
  while (end > kLongestLine - 4 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return std::string(text.substr(0, end)) + "… (" + std::to_string(text.size() - end) + " bytes were cut)";
}

void log_line(const Request& request, int level) {
  const Arguments& in = request.arguments;
  if (!request.attempt->may_log(in.text(0).size() + (in.has(1) ? in.raw(1).size() : 0))) return;
  const Caller& caller = request.attempt->caller;
  const Mask& mask = request.attempt->hall.secrets.mask();
  // Before it is cut: half a secret would not be known any more.
  const std::string text = bounded(mask.apply(in.text(0)));
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
      in.has(2) ? bounded(request.attempt->hall.secrets.mask().apply(in.text(2))) : std::string();
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
