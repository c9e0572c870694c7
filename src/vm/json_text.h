// JSON text -> Lua values, and CBOR -> JSON or YAML text. No state but the caller's buffers; used on the VM's
// thread.
#pragma once

#include <lua.hpp>
#include <string>
#include <string_view>

#include "base/error.h"

namespace pf::vm {

/// Pushes the value of JSON text (RFC 8259; of a key given twice, the last counts). False with `error` filled
/// in
/// (`json.syntax` with line and column, `json.depth`, `json.not_utf8`); then what is on the stack does not
/// matter. `scratch` is for texts with escapes. Raises Lua errors when memory runs out. With `path`, an empty
/// text to work with, also pushes a table from path (`recipes[1].id`) to {line, column}; a map's entry stands
/// where its key does.
bool push_json(lua_State* L, std::string_view text, std::string& scratch, Error& error, std::string* path);

/// Appends one well-formed CBOR item as JSON, compact or in lines (two spaces for each level), without a
/// final line feed.
void append_json(std::string& out, std::string_view cbor, bool pretty);
/// Appends one well-formed CBOR item as YAML in block style, with a final line feed.
void append_yaml(std::string& out, std::string_view cbor);

}  // namespace pf::vm
