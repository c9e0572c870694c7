// json and yaml.
#include "base/text.h"
#include "pipeline/reader.h"
#include "vm/json_text.h"
#include "vm/pure.h"

namespace pf::vm {
namespace {

/// No text made of a value may be larger.
constexpr size_t kMaxText = 64U << 20;

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
  const registry::Call& call = checked_call(L);
  Machine& m = Machine::of(L);
  encode_argument(L, m, call);
  const bool pretty = flag(L, 2, "pretty");
  return scratch_call(L, [&](Machine&) {
    m.scratch.clear();
    append_json(m.scratch, m.encoded, pretty);
    return true;
  });
}

int yaml_encode(lua_State* L) {
  const registry::Call& call = checked_call(L);
  Machine& m = Machine::of(L);
  encode_argument(L, m, call);
  return scratch_call(L, [&](Machine&) {
    m.scratch.clear();
    append_yaml(m.scratch, m.encoded);
    return true;
  });
}

int json_decode(lua_State* L) {
  checked_call(L);
  Machine& m = Machine::of(L);
  const bool positions = flag(L, 2, "positions");
  bool parsed = false;
  const bool ok = m.guarded([&] {
    m.encoded.clear();
    parsed = push_json(L, text_argument(L, 1), m.scratch, m.error, positions ? &m.encoded : nullptr);
  });
  if (!ok || !parsed) return raise_error(L);
  return positions ? 2 : 1;
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

int yaml_decode(lua_State* L) {
  checked_call(L);
  Machine& m = Machine::of(L);
  const bool positions = flag(L, 2, "positions");
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

constexpr PureCall kCalls[] = {
    {"json.encode", json_encode},
    {"json.decode", json_decode},
    {"yaml.encode", yaml_encode},
    {"yaml.decode", yaml_decode},
};

}  // namespace

std::span<const PureCall> value_calls() { return kCalls; }

}  // namespace pf::vm
