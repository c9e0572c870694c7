// What is looked at in YAML text before and beside yaml-cpp: its bytes, and the nesting of brackets, which
// yaml-cpp would otherwise buffer as a whole. Iterative and linear. Thread-safe: no state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace pf::pipeline {

/// A place in a text: line and column are 1-based, the column in code points.
struct Place {
  uint32_t line = 1;
  uint32_t column = 1;
};
Place place_of(std::string_view text, size_t offset);

/// Whether text consists of ASCII bytes alone. Errors: `yaml.not_utf8`, and `yaml.syntax` for control
/// characters.
Result<bool> check_bytes(std::string_view text, const std::string& name);

/// What scan_flow found; kNone where there was nothing.
struct FlowScan {
  static constexpr size_t kNone = static_cast<size_t>(-1);
  size_t too_deep = kNone;    // offset of the first bracket that is inside more than `max_open` others
  size_t open_quote = kNone;  // offset of a quote that nothing closes
  size_t commas = 0;          // separators inside brackets
  size_t open = kNone;        // offset of the outermost bracket that nothing closes
  std::string closing;        // what would close all that is open, at `too_deep` or at the end
};
/// Follows quotes, comments, block texts and plain texts closely enough to tell which brackets open
/// collections. A text that YAML itself refuses may be followed wrongly, so what this finds is checked
/// against the parser.
FlowScan scan_flow(std::string_view text, size_t max_open);

}  // namespace pf::pipeline
