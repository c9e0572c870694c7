#include <sys/random.h>
#include <unistd.h>

#include <cstdio>
#include <ctime>

#include "state/store.h"

namespace pf::state {

std::string_view to_text(InstanceResult result) {
  switch (result) {
    case InstanceResult::none: return "none";
    case InstanceResult::succeeded: return "succeeded";
    case InstanceResult::cached: return "cached";
    case InstanceResult::failed: return "failed";
    case InstanceResult::timed_out: return "timed_out";
    case InstanceResult::crashed: return "crashed";
    case InstanceResult::cancelled: return "cancelled";
    case InstanceResult::skipped: return "skipped";
    case InstanceResult::blocked: return "blocked";
    case InstanceResult::excluded: return "excluded";
  }
  return "none";
}

bool is_failure(InstanceResult result) {
  return result == InstanceResult::failed || result == InstanceResult::timed_out ||
         result == InstanceResult::crashed;
}

std::string_view to_text(RunResult result) {
  switch (result) {
    case RunResult::none: return "none";
    case RunResult::succeeded: return "succeeded";
    case RunResult::failed: return "failed";
    case RunResult::cancelled: return "cancelled";
    case RunResult::timed_out: return "timed_out";
  }
  return "none";
}

std::string_view to_text(RunKind kind) {
  switch (kind) {
    case RunKind::run: return "run";
    case RunKind::destroy: return "destroy";
    case RunKind::refresh: return "refresh";
    case RunKind::cleanup: return "cleanup";
  }
  return "run";
}

std::string new_run_id(WallTime now) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  uint8_t random[3];
  // Three bytes from the kernel's pool, which is ready long before any program of this kind can run.
  while (::getrandom(random, sizeof random, 0) != static_cast<ssize_t>(sizeof random)) {
  }
  char text[64];
  std::snprintf(text, sizeof text, "%04d%02d%02d-%02d%02d%02d-%02x%02x%02x", parts.tm_year + 1900,
                parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, random[0],
                random[1], random[2]);
  return text;
}

}  // namespace pf::state
