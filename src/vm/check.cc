// The arguments of calls, against the registry.
#include <algorithm>
#include <cmath>
#include <vector>

#include "base/text.h"
#include "vm/machine.h"

namespace pf::vm {
namespace {

bool matches(lua_State* L, int index, registry::Type type) {
  const int found = lua_type(L, index);
  switch (type) {
    case registry::Type::nothing: return false;
    case registry::Type::any: return true;
    case registry::Type::boolean: return found == LUA_TBOOLEAN;
    case registry::Type::integer: {
      if (found != LUA_TNUMBER) return false;
      const double number = lua_tonumber(L, index);
      return number == std::floor(number) && std::abs(number) <= 9007199254740992.0;
    }
    case registry::Type::number: return found == LUA_TNUMBER;
    case registry::Type::string: return found == LUA_TSTRING;
    case registry::Type::table:
    case registry::Type::list: return found == LUA_TTABLE;
    case registry::Type::function: return found == LUA_TFUNCTION;
  }
  return false;
}

const char* type_name(lua_State* L, int index) {
  const int type = lua_type(L, index);
  if (type == LUA_TLIGHTUSERDATA && lua_touserdata(L, index) == nullptr) return "forge.null";
  return type == LUA_TNONE ? "nil" : lua_typename(L, type);
}

std::string a_type(registry::Type type) {
  const std::string_view name = registry::describe(type);
  return (name.find(' ') != std::string_view::npos ? ""
          : name.front() == 'i'                    ? "an "
                                                   : "a ") +
         std::string(name);
}

bool wrong_argument(lua_State* L, const registry::Call& call, int first, std::string& what) {
  const int given = lua_gettop(L) - first + 1;
  const auto count = static_cast<int>(call.arguments.size());
  for (int i = 0; i < count; ++i) {
    const registry::Argument& argument = call.arguments[static_cast<size_t>(i)];
    const int index = first + i;
    if (lua_isnoneornil(L, index)) {
      if (argument.optional || (argument.type == registry::Type::any && i < given)) continue;
    } else if (matches(L, index, argument.type)) {
      continue;
    }
    what = "argument " + std::to_string(i + 1) + " (" + std::string(argument.name) + ") must be " +
           a_type(argument.type) + ", found " + type_name(L, index);
    return true;
  }
  if (given > count) {
    what = "takes " +
           std::string(count == 0   ? "no arguments"
                       : count == 1 ? "1 argument"
                                    : std::to_string(count) + " arguments") +
           ", found " + std::to_string(given);
    return true;
  }
  return false;
}

/// The fields of the table at `index`, against those that the registry lists. `hint` says what would be
/// right.
bool wrong_field(lua_State* L, const registry::Argument& argument, int index, std::string& what,
                 std::string& hint) {
  std::vector<bool> given(argument.fields.size());
  lua_pushnil(L);
  while (lua_next(L, index) != 0) {
    if (lua_type(L, -2) != LUA_TSTRING) {
      what = "`" + std::string(argument.name) + "` must have names, as {" +
             std::string(argument.fields.front().name) + " = …}";
      return true;
    }
    const std::string_view name = lua_tostring(L, -2);
    const auto field = std::find_if(argument.fields.begin(), argument.fields.end(),
                                    [&](const auto& f) { return f.name == name; });
    if (field == argument.fields.end()) {
      std::vector<std::string> names;
      for (const auto& f : argument.fields) names.emplace_back(f.name);
      what = "there is no option '" + shorten(name, 60) + "'";
      hint = did_you_mean(name, names);
      if (hint.empty()) hint = "options are " + join(names, ", ");
      return true;
    }
    if (!matches(L, lua_gettop(L), field->type)) {
      what = "`" + std::string(name) + "` must be " + a_type(field->type) + ", found " +
             type_name(L, lua_gettop(L));
      hint = std::string(name) + ": " + std::string(field->doc);
      return true;
    }
    given[static_cast<size_t>(field - argument.fields.begin())] = true;
    lua_pop(L, 1);
  }
  for (size_t i = 0; i < given.size(); ++i) {
    if (argument.fields[i].optional || given[i]) continue;
    what = "`" + std::string(argument.fields[i].name) + "` is missing: it must be " +
           a_type(argument.fields[i].type);
    return true;
  }
  return false;
}

bool wrong_fields(lua_State* L, const registry::Call& call, int first, std::string& what, std::string& hint) {
  if (call.place != registry::Place::worker) return false;
  for (size_t i = 0; i < call.arguments.size(); ++i) {
    const int index = first + static_cast<int>(i);
    if (call.arguments[i].fields.empty() || lua_type(L, index) != LUA_TTABLE) continue;
    const int top = lua_gettop(L);
    const bool wrong = wrong_field(L, call.arguments[i], index, what, hint);
    lua_settop(L, top);
    if (wrong) return true;
  }
  return false;
}

/// machine.error as a `call.argument` of the call.
void describe_wrong(lua_State* L, const registry::Call& call, std::string_view what, std::string_view hint) {
  Error& error = Machine::of(L).error;
  error = Error{};
  author_place(L, error.message);
  if (!error.message.empty()) error.message += ": ";
  error.message += "forge." + std::string(call.name) + ": " + std::string(what);
  error.code = "call.argument";
  error.hint = hint;
  error.retryable = false;
}

}  // namespace

int raise_argument(lua_State* L, const registry::Call& call, std::string_view what, std::string_view hint) {
  Machine::of(L).guarded([&] { describe_wrong(L, call, what, hint); });
  return raise_error(L);
}

void check_arguments(lua_State* L, const registry::Call& call, int first) {
  bool wrong = false;
  const bool ok = Machine::of(L).guarded([&] {
    std::string what;
    std::string hint;
    wrong = wrong_argument(L, call, first, what) || wrong_fields(L, call, first, what, hint);
    if (wrong) describe_wrong(L, call, what, hint);
  });
  if (!ok || wrong) raise_error(L);
}

}  // namespace pf::vm
