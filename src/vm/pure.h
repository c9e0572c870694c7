// What the files of pure calls (pure_*.cc) share. Private to this floor; the rules of machine.h hold.
#pragma once

#include <span>
#include <string_view>

#include "vm/machine.h"

namespace pf::vm {

/// A call with Place::worker and its C function, which is bound to the call's index as upvalue 1.
struct PureCall {
  std::string_view name;
  lua_CFunction function;
};

std::span<const PureCall> value_calls();   // pure_value.cc: json, yaml
std::span<const PureCall> digest_calls();  // pure_digest.cc: digest, hex, base64, uuid
std::span<const PureCall> time_calls();    // pure_time.cc: time.format, time.parse

/// The call that the running C function was bound to, its arguments checked.
const registry::Call& checked_call(lua_State* L);
/// Of an argument that the check found to be a string.
std::string_view text_argument(lua_State* L, int index);
/// An option of the table at `index`, which may be missing: whether it is true.
bool flag(lua_State* L, int index, const char* name);
/// Pushes machine.scratch, and lets go of its memory where that is much.
int push_scratch(lua_State* L, Machine& m);

/// The body of a call from text to text: `f(Machine&)` fills machine.scratch, or machine.error and returns
/// false.
template <class F>
int scratch_call(lua_State* L, F&& f) {
  Machine& m = Machine::of(L);
  bool done = false;
  const bool ok = m.guarded([&] { done = f(m); });
  return ok && done ? push_scratch(L, m) : raise_error(L);
}

}  // namespace pf::vm
