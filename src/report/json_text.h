// JSON written straight into a buffer, without building values first: events and outputs are many.
// Thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace pf::report {

/// A quoted JSON string. Control, C1 and text-reordering characters are escaped, so that a terminal that
/// shows the JSON is not driven by it; bytes that are no UTF-8 become U+FFFD.
void append_json_string(std::string& out, std::string_view text);
/// One number: an integer where the value is one.
void append_json_number(std::string& out, double value);
/// An encoded CBOR item as compact JSON, byte strings as base64. False, and nothing appended, where it is
/// malformed or has a key that is not text. Stops early, leaving a prefix, once more than `limit` bytes were
/// appended.
bool append_json_value(std::string& out, std::string_view cbor, size_t limit = SIZE_MAX);
/// `"code":…,"message":…,"hint":…,"file":…,"line":…,"column":…` (null where unknown), then `path` and
/// `traceback` where there are any; no braces.
void append_error_fields(std::string& out, const Error& error);

}  // namespace pf::report
