// Colours of a terminal (ECMA-48, SGR). Thread-safe: no state.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "report/tally.h"

namespace pf::report {

enum class Style : uint8_t { plain, bold, red, green, yellow, dim };

inline std::string_view sgr(Style style) {
  switch (style) {
    case Style::plain: break;
    case Style::bold: return "\x1b[1m";
    case Style::red: return "\x1b[31m";
    case Style::green: return "\x1b[32m";
    case Style::yellow: return "\x1b[33m";
    case Style::dim: return "\x1b[2m";
  }
  return {};
}

/// Appends text in a style where `color` says so.
inline void paint(std::string& out, bool color, Style style, std::string_view text) {
  if (!color || style == Style::plain) {
    out += text;
    return;
  }
  out.append(sgr(style)).append(text).append("\x1b[0m");
}

/// Red for what failed, yellow for what did not come to run, green for what succeeded.
inline Style style_of(InstanceResult result) {
  if (is_failure(result)) return Style::red;
  if (result == InstanceResult::succeeded || result == InstanceResult::cached) return Style::green;
  return Style::yellow;
}

}  // namespace pf::report
