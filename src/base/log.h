// The program's own diagnostics (`-v`, `--log-level`), to stderr through spdlog. What an extension logs is
// not this: it is an event of its run. Thread-safe.
#pragma once

#include <string>
#include <string_view>

namespace pf::log {

enum class Level { debug, info, warn, error, off };

void set_level(Level level);
bool enabled(Level level);
void write(Level level, std::string_view text);
inline void debug(std::string_view text) { write(Level::debug, text); }
inline void info(std::string_view text) { write(Level::info, text); }
inline void warn(std::string_view text) { write(Level::warn, text); }
inline void error(std::string_view text) { write(Level::error, text); }

}  // namespace pf::log
