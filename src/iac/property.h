// Values as Pulumi's state files hold them: JSON as Go's encoding/json writes it, with the object keys
// sorted. Thread-safe: no state.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "base/json_fwd.h"

namespace pf::iac {

/// Parses the JSON of a state file. All numbers are doubles to Pulumi: integers beyond 2^53 become doubles,
/// and `-0` stays one. Errors `json.syntax`, `json.depth`.
Result<Json> parse_state_json(std::string_view text);

/// Appends compact JSON as Go writes it: `<>&` raw, U+2028 and U+2029 escaped, `1e+21`, `1e-7`, `-0`; doubles
/// as the shortest text that reads back the same.
void append_go_json(std::string& out, const Json& value);
std::string go_string(std::string_view text);

/// The JSON text of a CBOR map; empty for an empty one or none. `name` begins the paths in messages. Errors:
/// `cbor.*`, `stack.value` (no map), `stack.bytes`, `stack.number`, `stack.reserved`.
Result<std::string> to_state_json(std::string_view cbor, const std::string& name);

/// The path below `path` to what only Pulumi gives a meaning: a secret, an asset, an unknown. Empty: there is
/// none.
std::string find_special(const Json& value, const std::string& path);

}  // namespace pf::iac
