#include "vm/convert.h"

#include <algorithm>
#include <cmath>

namespace pf::vm {
namespace {

constexpr int kMaxStack = 5 * cbor::kMaxDepth + 16;
constexpr size_t kMaxPrealloc = 65536;

bool is_name(std::string_view key) {
  if (key.empty() || (key[0] >= '0' && key[0] <= '9')) return false;
  return std::all_of(key.begin(), key.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
}

std::string_view raw_text(lua_State* L, int index) {
  size_t size = 0;
  const char* text = lua_tolstring(L, index, &size);  // of a string: converts nothing, allocates nothing
  return {text, size};
}

bool push_at(lua_State* L, cbor::Reader& in, int depth) {
  cbor::Item item = in.next();
  switch (item.type) {
    case cbor::Type::unsigned_int: lua_pushnumber(L, static_cast<double>(item.number)); return true;
    case cbor::Type::negative_int: lua_pushnumber(L, -1.0 - static_cast<double>(item.number)); return true;
    case cbor::Type::number: lua_pushnumber(L, item.real); return true;
    case cbor::Type::bytes:
    case cbor::Type::text: lua_pushlstring(L, item.text.data(), item.text.size()); return true;
    case cbor::Type::boolean: lua_pushboolean(L, item.number != 0); return true;
    case cbor::Type::null: push_null(L); return true;
    case cbor::Type::array:
      if (depth == cbor::kMaxDepth) return false;
      push_list(L, item.number);
      for (uint64_t i = 1; i <= item.number; ++i) {
        if (!push_at(L, in, depth + 1)) return false;
        lua_rawseti(L, -2, static_cast<int>(i));
      }
      return true;
    case cbor::Type::map:
      if (depth == cbor::kMaxDepth) return false;
      lua_createtable(L, 0, static_cast<int>(std::min<uint64_t>(item.number, kMaxPrealloc)));
      if (item.number == 0) mark_empty_map(L);
      for (uint64_t i = 0; i < item.number; ++i) {
        cbor::Item key = in.next();
        if (key.type != cbor::Type::text && key.type != cbor::Type::bytes) return false;
        lua_pushlstring(L, key.text.data(), key.text.size());
        if (!push_at(L, in, depth + 1)) return false;
        lua_rawset(L, -3);
      }
      return true;
    case cbor::Type::end: return false;
  }
  return false;
}

}  // namespace

void append_key(std::string& path, std::string_view key) {
  if (is_name(key)) {
    if (!path.empty()) path += '.';
    path += key;
    return;
  }
  path += "[\"";
  for (char c : key.substr(0, 80)) {
    if (c == '"' || c == '\\') path += '\\';
    path += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  path += "\"]";
}

void append_index(std::string& path, size_t index) { path += '[' + std::to_string(index) + ']'; }

void push_list(lua_State* L, size_t expected) {
  lua_createtable(L, static_cast<int>(std::min(expected, kMaxPrealloc)), 0);
  lua_rawgeti(L, LUA_REGISTRYINDEX, kListMeta);
  lua_setmetatable(L, -2);
}

void mark_empty_map(lua_State* L) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, kMapMeta);
  lua_setmetatable(L, -2);
}

bool push(lua_State* L, cbor::Reader& in) {
  luaL_checkstack(L, kMaxStack, "a value is nested too deeply");
  return push_at(L, in, 0);
}

Encoder::Problem Encoder::encode(lua_State* L, int index, std::string_view root, std::string& out,
                                 const Bounds& bounds) {
  luaL_checkstack(L, kMaxStack, "a value is nested too deeply");
  if (index < 0 && index > LUA_REGISTRYINDEX) index = lua_gettop(L) + index + 1;
  L_ = L;
  out_ = &out;
  bounds_ = bounds;
  root_ = root;
  too_big_ = false;
  entries_.clear();
  const int top = lua_gettop(L);
  const bool ok = value(index, 0);
  lua_settop(L, top);
  if (ok) return Problem::none;
  return too_big_ ? Problem::size : Problem::value;
}

bool Encoder::fail(int depth, std::string_view what) {
  message_ = root_;
  for (int i = 0; i < depth; ++i) {
    if (path_[i].index != 0)
      append_index(message_, path_[i].index);
    else
      append_key(message_, path_[i].key);
  }
  if (!message_.empty()) message_ += ": ";
  message_ += what;
  return false;
}

bool Encoder::text(std::string_view bytes, std::string_view what) {
  if (bounds_.utf8_only && !cbor::is_utf8(bytes)) {
    return fail(depth_, std::string(what) + " that is not UTF-8 cannot be written; use forge.base64.encode");
  }
  if (out_->size() + bytes.size() > bounds_.bytes) {
    too_big_ = true;
    return fail(depth_, "too much data");
  }
  cbor::Writer(*out_).text_or_bytes(bytes);
  return true;
}

bool Encoder::value(int index, int depth) {
  depth_ = depth;
  cbor::Writer w(*out_);
  if (out_->size() > bounds_.bytes) {
    too_big_ = true;
    return fail(depth, "too much data");
  }
  const int type = lua_type(L_, index);
  if (depth == 0 && bounds_.map_only && type != LUA_TTABLE) {
    return fail(0, std::string("must be a table with text keys, found ") + lua_typename(L_, type));
  }
  switch (type) {
    case LUA_TNIL: w.null(); return true;
    case LUA_TBOOLEAN: w.boolean(lua_toboolean(L_, index) != 0); return true;
    case LUA_TNUMBER: {
      const double number = lua_tonumber(L_, index);
      if (std::isnan(number)) return fail(depth, "NaN cannot be converted to JSON");
      if (std::isinf(number)) return fail(depth, "an infinite number cannot be converted to JSON");
      w.number(number);
      return true;
    }
    case LUA_TSTRING: return text(raw_text(L_, index), "text");
    case LUA_TLIGHTUSERDATA:
      if (lua_touserdata(L_, index) == nullptr) {
        w.null();
        return true;
      }
      return fail(depth, "a userdata cannot be converted to JSON");
    case LUA_TTABLE: return table(index, depth);
    case LUA_TTHREAD: return fail(depth, "a coroutine cannot be converted to JSON");
    default: return fail(depth, std::string("a ") + lua_typename(L_, type) + " cannot be converted to JSON");
  }
}

bool Encoder::table(int index, int depth) {
  const void* self = lua_topointer(L_, index);
  for (int i = 0; i < depth; ++i) {
    if (path_[i].table == self)
      return fail(depth, "a table that contains itself cannot be converted to JSON");
  }
  if (depth == cbor::kMaxDepth) {
    return fail(depth, "tables nested deeper than " + std::to_string(cbor::kMaxDepth) +
                           " levels cannot be converted");
  }
  path_[depth].table = self;
  size_t texts = 0;
  size_t numbers = 0;
  double highest = 0;
  lua_pushnil(L_);
  while (lua_next(L_, index) != 0) {
    lua_pop(L_, 1);
    const int type = lua_type(L_, -1);
    if (type == LUA_TSTRING) {
      ++texts;
    } else if (type == LUA_TNUMBER) {
      const double key = lua_tonumber(L_, -1);
      if (!(key >= 1) || key != std::floor(key)) {
        return fail(depth,
                    "the key of a list must be a whole number from 1; use tostring for the key of a map");
      }
      ++numbers;
      highest = std::max(highest, key);
    } else {
      return fail(
          depth, std::string("the key of a table must be text or a number, found ") + lua_typename(L_, type));
    }
  }
  if (texts != 0 && numbers != 0) {
    return fail(depth, "a table with both text keys and numbered items cannot be converted to JSON");
  }
  if (numbers != 0) {
    if (highest != static_cast<double>(numbers)) {
      return fail(depth, "a list with gaps cannot be converted to JSON; use forge.null for what is missing");
    }
    return list(index, numbers, depth);
  }
  if (texts == 0 && lua_getmetatable(L_, index) != 0) {
    lua_rawgeti(L_, LUA_REGISTRYINDEX, kListMeta);
    const bool marked = lua_rawequal(L_, -1, -2) != 0;
    lua_pop(L_, 2);
    if (marked) return list(index, 0, depth);
  }
  return map(index, texts, depth);
}

bool Encoder::list(int index, size_t count, int depth) {
  if (depth == 0 && bounds_.map_only) return fail(0, "must be a table with text keys, found a list");
  cbor::Writer(*out_).array(count);
  for (size_t i = 1; i <= count; ++i) {
    path_[depth].index = i;
    lua_rawgeti(L_, index, static_cast<int>(i));
    if (!value(lua_gettop(L_), depth + 1)) return false;
    lua_pop(L_, 1);
  }
  return true;
}

bool Encoder::map(int index, size_t count, int depth) {
  cbor::Writer(*out_).map(count);
  path_[depth].index = 0;
  const size_t base = entries_.size();
  const size_t start = out_->size();
  bool sorted = true;
  lua_pushnil(L_);
  while (lua_next(L_, index) != 0) {
    const std::string_view key = raw_text(L_, -2);
    const size_t begin = out_->size();
    depth_ = depth;
    path_[depth].key = key;
    if (!text(key, "a key") || !value(lua_gettop(L_), depth + 1)) return false;
    lua_pop(L_, 1);
    if (entries_.size() > base && key < entries_.back().key) sorted = false;
    entries_.push_back({key, begin, out_->size()});
  }
  if (!sorted) {  // in place: the entries are written already, only their order is wrong
    std::sort(entries_.begin() + static_cast<ptrdiff_t>(base), entries_.end(),
              [](const Entry& a, const Entry& b) { return a.key < b.key; });
    scratch_.assign(*out_, start);
    out_->resize(start);
    for (size_t i = base; i < entries_.size(); ++i) {
      out_->append(scratch_, entries_[i].begin - start, entries_[i].end - entries_[i].begin);
    }
  }
  entries_.resize(base);
  return true;
}

}  // namespace pf::vm
