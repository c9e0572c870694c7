// JSON values: parsing, printing, and CBOR (RFC 8949) to and from nlohmann::json. Thread-safe: no state.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/json_fwd.h"

namespace pf {

/// Parses JSON text; error `json.syntax` with line and column. Nesting over `cbor::kMaxDepth` is refused
/// first.
Result<Json> parse_json(std::string_view text);
/// Compact JSON text; bytes that are no UTF-8 become U+FFFD, CBOR byte strings a base64 string.
std::string to_json_text(const Json& value, int indent = -1);
/// One CBOR item; scanned for depth and truncation first, so hostile input cannot exhaust the stack. `cbor.*`
/// errors.
Result<Json> from_cbor(std::string_view bytes);
void append_cbor(std::string& out, const Json& value);
std::string to_cbor(const Json& value);

}  // namespace pf
