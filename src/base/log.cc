#include "base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>

namespace pf::log {
namespace {

std::atomic<Level> current{Level::warn};

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::debug: return spdlog::level::debug;
    case Level::info: return spdlog::level::info;
    case Level::warn: return spdlog::level::warn;
    case Level::error: return spdlog::level::err;
    case Level::off: break;
  }
  return spdlog::level::off;
}

// Made on first use: a program that logs nothing pays nothing.
spdlog::logger& logger() {
  static spdlog::logger instance = [] {
    spdlog::logger made("pangeo-forge", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made.set_pattern("%H:%M:%S.%e %l: %v");
    made.set_level(spdlog::level::trace);
    return made;
  }();
  return instance;
}

}  // namespace

void set_level(Level level) { current = level; }
bool enabled(Level level) { return level >= current && current != Level::off; }

void write(Level level, std::string_view text) {
  if (enabled(level)) logger().log(to_spdlog(level), spdlog::string_view_t(text.data(), text.size()));
}

}  // namespace pf::log
