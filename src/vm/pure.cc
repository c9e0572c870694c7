#include "vm/pure.h"

namespace pf::vm {

const registry::Call& checked_call(lua_State* L) {
  const registry::Call& call = registry::calls()[static_cast<size_t>(lua_tointeger(L, lua_upvalueindex(1)))];
  check_arguments(L, call, 1);
  return call;
}

std::string_view text_argument(lua_State* L, int index) {
  size_t size = 0;
  const char* text = lua_tolstring(L, index, &size);
  return {text, size};
}

bool flag(lua_State* L, int index, const char* name) {
  if (lua_type(L, index) != LUA_TTABLE) return false;
  lua_pushstring(L, name);
  lua_rawget(L, index);
  const bool set = lua_toboolean(L, -1) != 0;
  lua_pop(L, 1);
  return set;
}

int push_scratch(lua_State* L, Machine& m) {
  lua_pushlstring(L, m.scratch.data(), m.scratch.size());
  if (m.scratch.capacity() > (1U << 20)) std::string().swap(m.scratch);
  return 1;
}

lua_CFunction pure_call(std::string_view name) {
  for (const auto part : {value_calls(), digest_calls(), time_calls()}) {
    for (const PureCall& entry : part) {
      if (entry.name == name) return entry.function;
    }
  }
  return nullptr;
}

}  // namespace pf::vm
