// The calls of the registry that run in the worker: json, yaml, digest, base64.
#include "base/digest.h"
#include "base/text.h"
#include "pipeline/reader.h"
#include "vm/json_text.h"
#include "vm/machine.h"

namespace pf::vm {
namespace {

/// No text made of a value may be larger.
constexpr size_t kMaxText = 64U << 20;

/// The call that this C function was bound to, its arguments checked.
const registry::Call& checked(lua_State* L) {
  const registry::Call& call = registry::calls()[static_cast<size_t>(lua_tointeger(L, lua_upvalueindex(1)))];
  check_arguments(L, call, 1);
  return call;
}

std::string_view text_argument(lua_State* L, int index) {
  size_t size = 0;
  const char* text = lua_tolstring(L, index, &size);
  return {text, size};
}

/// Pushes machine.scratch, and lets go of its memory where that is much.
int push_scratch(lua_State* L, Machine& m) {
  lua_pushlstring(L, m.scratch.data(), m.scratch.size());
  if (m.scratch.capacity() > (1U << 20)) std::string().swap(m.scratch);
  return 1;
}

/// Argument 1 as CBOR in machine.encoded; raises.
void encode_argument(lua_State* L, Machine& m, const registry::Call& call) {
  auto problem = Encoder::Problem::none;
  const bool ok = m.guarded([&] {
    m.encoded.clear();
    Encoder::Bounds bounds;
    bounds.bytes = kMaxText;
    bounds.utf8_only = true;
    problem = m.encoder.encode(L, 1, "value", m.encoded, bounds);
    if (problem == Encoder::Problem::none) return;
    m.error = Error{};
    m.error.code = problem == Encoder::Problem::value ? "call.argument" : "limit.frame";
    m.error.message = "forge." + std::string(call.name) + ": ";
    if (problem == Encoder::Problem::value)
      m.error.message += m.encoder.message();
    else
      m.error.message += "the value takes more than " + format_bytes(kMaxText);
    m.error.retryable = false;
  });
  if (!ok || problem != Encoder::Problem::none) raise_error(L);
}

int json_encode(lua_State* L) {
  const registry::Call& call = checked(L);
  Machine& m = Machine::of(L);
  encode_argument(L, m, call);
  const bool ok = m.guarded([&] {
    m.scratch.clear();
    append_json(m.scratch, m.encoded);
  });
  return ok ? push_scratch(L, m) : raise_error(L);
}

int yaml_encode(lua_State* L) {
  const registry::Call& call = checked(L);
  Machine& m = Machine::of(L);
  encode_argument(L, m, call);
  const bool ok = m.guarded([&] {
    m.scratch.clear();
    append_yaml(m.scratch, m.encoded);
  });
  return ok ? push_scratch(L, m) : raise_error(L);
}

int json_decode(lua_State* L) {
  checked(L);
  Machine& m = Machine::of(L);
  bool parsed = false;
  const bool ok = m.guarded([&] { parsed = push_json(L, text_argument(L, 1), m.scratch, m.error); });
  return ok && parsed ? 1 : raise_error(L);
}

void push_node(lua_State* L, const pipeline::Node& node) {
  using pipeline::Kind;
  switch (node.kind) {
    case Kind::null: push_null(L); break;
    case Kind::boolean: lua_pushboolean(L, node.boolean); break;
    case Kind::integer: lua_pushnumber(L, static_cast<double>(node.integer)); break;
    case Kind::number: lua_pushnumber(L, node.number); break;
    case Kind::string: lua_pushlstring(L, node.text, node.size); break;
    case Kind::list: {
      push_list(L, node.size);
      int i = 0;
      for (const pipeline::Node& item : node.list()) {
        push_node(L, item);
        lua_rawseti(L, -2, ++i);
      }
      break;
    }
    case Kind::map:
      lua_createtable(L, 0, static_cast<int>(std::min<uint32_t>(node.size, 65536)));
      if (node.size == 0) mark_empty_map(L);
      for (const pipeline::Entry& entry : node.map()) {
        lua_pushlstring(L, entry.key.text, entry.key.size);
        push_node(L, entry.value);
        lua_rawset(L, -3);
      }
      break;
  }
}

/// Adds `path -> {line, column}` of a node and all in it to the table on top. `path` is put back as it was. A
/// map's entry stands where its key does.
void push_positions(lua_State* L, const pipeline::Node& node, const pipeline::Node& at, std::string& path) {
  lua_pushlstring(L, path.data(), path.size());
  lua_createtable(L, 0, 2);
  lua_pushnumber(L, at.line);
  lua_setfield(L, -2, "line");
  lua_pushnumber(L, at.column);
  lua_setfield(L, -2, "column");
  lua_rawset(L, -3);
  const size_t size = path.size();
  size_t i = 0;
  for (const pipeline::Node& item : node.list()) {
    append_index(path, ++i);
    push_positions(L, item, item, path);
    path.resize(size);
  }
  for (const pipeline::Entry& entry : node.map()) {
    append_key(path, entry.key.string());
    push_positions(L, entry.value, entry.key, path);
    path.resize(size);
  }
}

/// Whether the options ask for positions; raises for what is no option.
bool wants_positions(lua_State* L, Machine& m) {
  if (lua_isnoneornil(L, 2)) return false;
  bool positions = false;
  bool bad = false;
  lua_pushnil(L);
  while (!bad && lua_next(L, 2) != 0) {
    bad = lua_type(L, -2) != LUA_TSTRING || text_argument(L, -2) != "positions" ||
          lua_type(L, -1) != LUA_TBOOLEAN;
    positions = lua_toboolean(L, -1) != 0;
    lua_pop(L, 1);
  }
  if (bad) {
    m.guarded([&] {
      m.error = Error{};
      m.error.code = "call.argument";
      m.error.message = "forge.yaml.decode: the only option is positions = true or false";
      m.error.retryable = false;
    });
    raise_error(L);
  }
  return positions;
}

int yaml_decode(lua_State* L) {
  checked(L);
  Machine& m = Machine::of(L);
  const bool positions = wants_positions(L, m);
  bool read = false;
  const bool ok = m.guarded([&] {
    pipeline::ReadLimits limits;
    limits.depth = cbor::kMaxDepth;
    auto document = pipeline::read_yaml(text_argument(L, 1), "", {}, limits);
    read = document.has_value();
    if (read) {
      m.document = std::move(*document);
      return;
    }
    m.error = std::move(document.error());
    m.error.where.file.clear();
    if (m.error.where.line != 0) {
      m.error.message = "not YAML at line " + std::to_string(m.error.where.line) + ", column " +
                        std::to_string(m.error.where.column) + ": " + m.error.message;
    }
  });
  if (!ok || !read) return raise_error(L);
  luaL_checkstack(L, 6 * cbor::kMaxDepth, "a value is nested too deeply");
  push_node(L, m.document->root());
  if (positions) {
    lua_newtable(L);
    const bool added = m.guarded([&] {
      m.scratch.clear();
      push_positions(L, m.document->root(), m.document->root(), m.scratch);
    });
    if (!added) return raise_error(L);
  }
  m.document.reset();
  return positions ? 2 : 1;
}

int digest_sha256(lua_State* L) {
  checked(L);
  Machine& m = Machine::of(L);
  const bool ok = m.guarded([&] { m.scratch = sha256_hex(text_argument(L, 1)); });
  return ok ? push_scratch(L, m) : raise_error(L);
}

int base64_encode_call(lua_State* L) {
  checked(L);
  Machine& m = Machine::of(L);
  const bool ok = m.guarded([&] { m.scratch = base64_encode(text_argument(L, 1)); });
  return ok ? push_scratch(L, m) : raise_error(L);
}

int base64_decode_call(lua_State* L) {
  checked(L);
  Machine& m = Machine::of(L);
  bool decoded = false;
  const bool ok = m.guarded([&] {
    auto bytes = base64_decode(text_argument(L, 1));
    decoded = bytes.has_value();
    if (decoded)
      m.scratch = std::move(*bytes);
    else
      m.error = std::move(bytes.error());
  });
  return ok && decoded ? push_scratch(L, m) : raise_error(L);
}

}  // namespace

lua_CFunction pure_call(std::string_view name) {
  struct Entry {
    std::string_view name;
    lua_CFunction function;
  };
  static constexpr Entry kEntries[] = {
      {"json.encode", json_encode},          {"json.decode", json_decode},
      {"yaml.encode", yaml_encode},          {"yaml.decode", yaml_decode},
      {"digest.sha256", digest_sha256},      {"base64.encode", base64_encode_call},
      {"base64.decode", base64_decode_call},
  };
  for (const Entry& entry : kEntries) {
    if (entry.name == name) return entry.function;
  }
  return nullptr;
}

}  // namespace pf::vm
