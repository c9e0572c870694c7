// The C functions that the prelude (lua/) is given: host calls, errors, modules.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/text.h"
#include "vm/embedded.h"
#include "vm/machine.h"

namespace pf::vm {
namespace {

constexpr int kTracebackLines = 24;
constexpr size_t kMaxMessage = 1U << 20;  // the core masks it, and cuts it to what people read
/// Leaves room in a frame for what stands around the data.
constexpr size_t kMaxArguments = frames::kMaxFrame - (64U << 10);

std::string_view view(lua_State* L, int index) {
  size_t size = 0;
  const char* text = lua_tolstring(L, index, &size);
  return {text, size};
}

bool is_author(const lua_Debug& frame) { return frame.source != nullptr && frame.source[0] == '@'; }

/// One line for each frame of the author's, innermost first; the prelude's and C's are not shown.
void append_traceback(lua_State* L, std::string& out) {
  lua_Debug frame{};
  int lines = 0;
  for (int level = 0; lua_getstack(L, level, &frame) != 0; ++level) {
    if (lua_getinfo(L, "Snl", &frame) == 0 || !is_author(frame)) continue;
    if (lines++ == kTracebackLines) {
      out += "\n  …";
      return;
    }
    if (!out.empty()) out += '\n';
    out += "  ";
    out += frame.source + 1;
    if (frame.currentline > 0) out += ':' + std::to_string(frame.currentline);
    if (std::strcmp(frame.what, "main") == 0) {
      out += ": at the top of the file";
    } else if (frame.name != nullptr && frame.name[0] != '\0') {
      out += ": in ";
      out += frame.name;
    } else {
      out += ": in the function of line " + std::to_string(frame.linedefined);
    }
  }
}

void set_text(lua_State* L, const char* key, std::string_view text) {
  lua_pushstring(L, key);
  lua_pushlstring(L, text.data(), text.size());
  lua_rawset(L, -3);
}

void push_error(lua_State* L, const Error& e) {
  lua_createtable(L, 0, 6);
  set_text(L, "code", e.code);
  set_text(L, "message", e.message);
  if (!e.hint.empty()) set_text(L, "hint", e.hint);
  lua_pushliteral(L, "retryable");
  lua_pushboolean(L, e.retryable);
  lua_rawset(L, -3);
  if (e.where.line != 0) {
    lua_pushliteral(L, "line");
    lua_pushnumber(L, e.where.line);
    lua_rawset(L, -3);
    lua_pushliteral(L, "column");
    lua_pushnumber(L, e.where.column);
    lua_rawset(L, -3);
  }
  lua_rawgeti(L, LUA_REGISTRYINDEX, kErrorMeta);
  lua_setmetatable(L, -2);
}

/// host.raise(code, message, hint, retryable, line, column): with the author's line in front of the message,
/// unless the error is in a text that has lines of its own.
int host_raise(lua_State* L) {
  Machine& m = Machine::of(L);
  const bool ok = m.guarded([&] {
    m.error = Error{};
    if (lua_type(L, 5) == LUA_TNUMBER) {
      m.error.where.line = static_cast<uint32_t>(lua_tonumber(L, 5));
      m.error.where.column = static_cast<uint32_t>(lua_tonumber(L, 6));
    } else {
      author_place(L, m.error.message);
      if (!m.error.message.empty()) m.error.message += ": ";
    }
    m.error.code = view(L, 1);
    m.error.message += view(L, 2);
    if (lua_type(L, 3) == LUA_TSTRING) m.error.hint = view(L, 3);
    m.error.retryable = lua_toboolean(L, 4) != 0;
  });
  (void)ok;  // m.error is the one to raise in either case
  return raise_error(L);
}

/// host.rethrow(value, traceback): raises a value whose traceback is known already.
int host_rethrow(lua_State* L) {
  Machine& m = Machine::of(L);
  m.guarded([&] { m.traceback = view(L, 2); });
  lua_settop(L, 1);
  lua_pushvalue(L, 1);
  lua_rawseti(L, LUA_REGISTRYINDEX, kLastError);
  return lua_error(L);
}

/// host.traceback(coroutine) -> text
int host_traceback(lua_State* L) {
  Machine& m = Machine::of(L);
  lua_State* from = lua_tothread(L, 1);
  m.scratch.clear();
  m.guarded([&] {
    if (from != nullptr) append_traceback(from, m.scratch);
  });
  lua_pushlstring(L, m.scratch.data(), m.scratch.size());
  return 1;
}

/// host.where() -> "extension.lua:12"
int host_where(lua_State* L) {
  Machine& m = Machine::of(L);
  m.scratch.clear();
  m.guarded([&] { author_place(L, m.scratch); });
  lua_pushlstring(L, m.scratch.data(), m.scratch.size());
  return 1;
}

/// host.expired() -> whether a deadline has passed
int host_expired(lua_State* L) {
  lua_pushboolean(L, Machine::of(L).deadlines.expired() != Expiry::none);
  return 1;
}

/// host.nearest(word, table) -> the table's key most like the word, or ""
int host_nearest(lua_State* L) {
  Machine& m = Machine::of(L);
  m.scratch.clear();
  m.guarded([&] {
    std::vector<std::string> names;
    lua_pushnil(L);
    while (lua_next(L, 2) != 0) {
      lua_pop(L, 1);
      if (lua_type(L, -1) == LUA_TSTRING) names.emplace_back(view(L, -1));
    }
    std::sort(names.begin(), names.end());
    m.scratch = nearest(view(L, 1), names);
  });
  lua_pushlstring(L, m.scratch.data(), m.scratch.size());
  return 1;
}

/// Pushes a standard module's function, not run; false when there is no such module.
bool push_standard(lua_State* L, std::string_view name) {
  for (const EmbeddedModule& module : embedded_stdlib()) {
    if (module.name != name) continue;
    if (luaL_loadbufferx(L, module.code.data(), module.code.size(), "=stdlib", "b") != 0) lua_error(L);
    return true;
  }
  return false;
}

/// host.module(name) -> the module's function, not run, and whether it is a standard one; or nothing
int host_module(lua_State* L) {
  const Machine& m = Machine::of(L);
  const std::string_view name = view(L, 1);
  const bool own = m.own_modules.find(name) != m.own_modules.end();
  lua_rawgeti(L, LUA_REGISTRYINDEX, kModules);
  lua_pushvalue(L, 1);
  lua_rawget(L, -2);
  if (lua_isnil(L, -1) && !push_standard(L, name)) return 0;
  lua_pushboolean(L, !own);
  return 2;
}

/// host.standard(name) -> the standard module's function, not run
int host_standard(lua_State* L) {
  return push_standard(L, view(L, 1)) ? 1
                                      : luaL_error(L, "there is no standard module %s", lua_tostring(L, 1));
}

/// host.modules() -> names of the package's modules, as text
int host_modules(lua_State* L) {
  const Machine& m = Machine::of(L);
  lua_pushlstring(L, m.module_names.data(), m.module_names.size());
  return 1;
}

/// host.keep(what, value): encodes what the job leaves behind.
int host_keep(lua_State* L) {
  Machine& m = Machine::of(L);
  lua_settop(L, 2);
  const std::string_view what = view(L, 1);
  const bool is_state = what == "state";
  const bool is_hook = m.job->kind == frames::JobKind::hook;
  std::string& out = is_state ? m.state : m.value;
  Encoder::Bounds bounds;
  bounds.bytes = std::min<uint64_t>(m.job->output, kMaxArguments / 2);
  bounds.map_only = is_state || what == "outputs" || what == "models";
  auto problem = Encoder::Problem::none;
  const bool ok = m.guarded([&] {
    out.clear();
    problem = m.encoder.encode(L, 2, what, out, bounds);
    if (problem == Encoder::Problem::none && out.size() <= bounds.bytes) return;
    m.error = Error{};
    if (problem == Encoder::Problem::value) {
      m.error.code = is_state ? "extension.state" : is_hook ? "hook.result" : "extension.outputs";
      m.error.message = m.encoder.message();
      m.error.hint = "keep nil, booleans, finite numbers, text, lists and maps with text keys";
    } else {
      problem = Encoder::Problem::size;
      m.error.code = "limit.output";
      m.error.message = std::string(what) + " take more than " + format_bytes(bounds.bytes);
      m.error.hint = "write large data to a file and keep its path, or raise limits.output";
      if (is_hook) {
        m.error.code = "hook.result";
        m.error.message = "what the hook returns takes more than " + format_bytes(bounds.bytes);
        m.error.hint = "return only what should change";
      }
    }
    m.error.retryable = false;
  });
  if (!ok || problem != Encoder::Problem::none) {
    out.clear();
    return raise_error(L);
  }
  return 0;
}

/// host.send(call, …) -> the request's number, or nothing where no reply will come.
int host_send(lua_State* L) {
  Machine& m = Machine::of(L);
  const auto index = static_cast<int>(lua_tointeger(L, 1));
  const registry::Call& call = registry::calls()[static_cast<size_t>(index)];
  check_arguments(L, call, 2);
  int last = lua_gettop(L);
  while (last > 1 && lua_isnil(L, last)) --last;
  if (call.replies && m.open_calls >= m.job->calls) {
    m.guarded([&] {
      m.error = Error{};
      m.error.code = "limit.calls";
      author_place(L, m.error.message);
      if (!m.error.message.empty()) m.error.message += ": ";
      m.error.message += "forge." + std::string(call.name) + ": " + std::to_string(m.open_calls) +
                         " host calls wait for their replies already, the most that limits.calls allows";
      m.error.hint = "use forge.async.map(list, f, {limit = 8}), or raise limits.calls";
      m.error.retryable = false;
    });
    return raise_error(L);
  }
  const uint32_t request = call.replies ? m.next_request : 0;
  auto problem = Encoder::Problem::none;
  const bool ok = m.guarded([&] {
    m.encoded.clear();
    cbor::Writer(m.encoded).array(static_cast<size_t>(last - 1));
    for (int i = 2; i <= last && problem == Encoder::Problem::none; ++i) {
      problem =
          m.encoder.encode(L, i, call.arguments[static_cast<size_t>(i - 2)].name, m.encoded, {kMaxArguments});
    }
    if (problem == Encoder::Problem::none) {
      m.host->call(request, index, m.encoded);
      return;
    }
    m.error = Error{};
    author_place(L, m.error.message);
    if (!m.error.message.empty()) m.error.message += ": ";
    m.error.message += "forge." + std::string(call.name) + ": ";
    m.error.retryable = false;
    if (problem == Encoder::Problem::value) {
      m.error.code = "call.argument";
      m.error.message += m.encoder.message();
    } else {
      m.error.code = "limit.frame";
      m.error.message += "the arguments take more than " + format_bytes(kMaxArguments);
      m.error.hint = "send the data in parts (forge.fs.append adds to a file)";
    }
  });
  if (m.encoded.capacity() > (1U << 20)) std::string().swap(m.encoded);
  if (!ok || problem != Encoder::Problem::none) return raise_error(L);
  if (request == 0) return 0;
  ++m.next_request;
  ++m.open_calls;
  lua_pushinteger(L, request);
  return 1;
}

/// host.cancel(request)
int host_cancel(lua_State* L) {
  Machine& m = Machine::of(L);
  const auto request = static_cast<uint32_t>(lua_tointeger(L, 1));
  if (!m.guarded([&] { m.host->cancel(request); })) return raise_error(L);
  return 0;
}

/// host.wait() -> request, true, value; or request, false, error
int host_wait(lua_State* L) {
  Machine& m = Machine::of(L);
  if (!m.guarded([&] { m.reply = m.host->wait(); })) return raise_error(L);
  --m.open_calls;
  lua_pushinteger(L, m.reply.request);
  if (m.reply.value) {
    lua_pushboolean(L, 1);
    cbor::Reader in(*m.reply.value);
    if (push(L, in) && in.at_end()) {
      // A call that returns nothing says null.
      if (lua_type(L, -1) == LUA_TLIGHTUSERDATA) {
        lua_pop(L, 1);
        lua_pushnil(L);
      }
      m.reply = Reply{};
      return 3;
    }
    m.guarded([&] {
      m.error = Error{};
      m.error.code = "frame.malformed";
      m.error.message = "the reply to a host call is malformed";
    });
  } else {
    std::swap(m.error, m.reply.value.error());
  }
  const uint32_t request = m.reply.request;
  m.reply = Reply{};
  lua_settop(L, 0);
  lua_pushinteger(L, request);
  lua_pushboolean(L, 0);
  push_error(L, m.error);
  return 3;
}

std::string_view raw_text_field(lua_State* L, int table, const char* key) {
  lua_pushstring(L, key);
  lua_rawget(L, table);
  if (lua_type(L, -1) != LUA_TSTRING) return {};
  return view(L, -1);
}

}  // namespace

void author_place(lua_State* L, std::string& out) {
  lua_Debug frame{};
  for (int level = 0; lua_getstack(L, level, &frame) != 0; ++level) {
    if (lua_getinfo(L, "Sl", &frame) != 0 && is_author(frame) && frame.currentline > 0) {
      out = frame.source + 1;
      out += ':' + std::to_string(frame.currentline);
      return;
    }
  }
  out.clear();
}

int raise_error(lua_State* L) {
  push_error(L, Machine::of(L).error);
  return lua_error(L);
}

int on_error(lua_State* L) {
  Machine& m = Machine::of(L);
  lua_settop(L, 1);
  lua_rawgeti(L, LUA_REGISTRYINDEX, kLastError);
  const bool known = lua_rawequal(L, 1, 2) != 0;
  lua_settop(L, 1);
  if (known) return 1;
  lua_pushvalue(L, 1);
  lua_rawseti(L, LUA_REGISTRYINDEX, kLastError);
  m.guarded([&] {
    m.traceback.clear();
    append_traceback(L, m.traceback);
  });
  return 1;
}

int describe(lua_State* L) {
  Machine& m = Machine::of(L);
  lua_settop(L, 1);
  const int type = lua_type(L, 1);
  std::string_view message;
  std::string_view code;
  std::string_view hint;
  bool retryable = true;
  if (type == LUA_TTABLE) {
    luaL_checkstack(L, 16, "");
    code = raw_text_field(L, 1, "code");
    hint = raw_text_field(L, 1, "hint");
    message = raw_text_field(L, 1, "message");
    lua_pushliteral(L, "retryable");
    lua_rawget(L, 1);
    retryable = lua_type(L, -1) != LUA_TBOOLEAN || lua_toboolean(L, -1) != 0;
    // The author's own __tostring, protected by the caller and bounded by the deadline.
    if (message.data() == nullptr && luaL_callmeta(L, 1, "__tostring") != 0 &&
        lua_type(L, -1) == LUA_TSTRING) {
      message = view(L, -1);
    }
    if (message.data() == nullptr) message = "a table without a message was raised";
  } else if (type == LUA_TSTRING) {
    message = view(L, 1);
  } else if (type == LUA_TNUMBER) {
    message = view(L, 1);
  } else if (type == LUA_TBOOLEAN) {
    message = lua_toboolean(L, 1) != 0 ? "true was raised" : "false was raised";
  } else if (type == LUA_TNIL) {
    message = "nil was raised";
  } else {
    lua_pushfstring(L, "a %s was raised", lua_typename(L, type));
    message = view(L, -1);
  }
  m.guarded([&] {
    m.problem = Error{};
    m.problem.code = code.empty() ? "extension.error" : cut_text(code, kMaxMessage);
    m.problem.message = cut_text(message, kMaxMessage);
    m.problem.hint = cut_text(hint, kMaxMessage);
    m.problem.retryable = retryable;
    if (type != LUA_TSTRING && type != LUA_TTABLE) m.problem.hint = "raise text: error(\"what went wrong\")";
  });
  return 0;
}

void push_host(lua_State* L) {
  static constexpr luaL_Reg kFunctions[] = {
      {"raise", host_raise},   {"rethrow", host_rethrow},   {"traceback", host_traceback},
      {"where", host_where},   {"expired", host_expired},   {"nearest", host_nearest},
      {"module", host_module}, {"standard", host_standard}, {"modules", host_modules},
      {"keep", host_keep},     {"send", host_send},         {"wait", host_wait},
      {"on_error", on_error},  {"cancel", host_cancel},
  };
  lua_newtable(L);
  for (const luaL_Reg& function : kFunctions) {
    lua_pushcfunction(L, function.func);
    lua_setfield(L, -2, function.name);
  }
  push_null(L);
  lua_setfield(L, -2, "null");
  lua_newtable(L);
  int number = 0;
  int bound = 0;
  for (const registry::Call& call : registry::calls()) {
    ++number;
    if (call.place == registry::Place::prelude) continue;
    lua_newtable(L);
    set_text(L, "name", call.name);
    lua_pushinteger(L, number - 1);
    lua_setfield(L, -2, "index");
    lua_pushboolean(L, call.replies);
    lua_setfield(L, -2, "replies");
    if (call.place == registry::Place::worker) {
      const lua_CFunction run = pure_call(call.name);
      if (run == nullptr)
        luaL_error(L, "the call %s has no function in the worker", std::string(call.name).c_str());
      lua_pushinteger(L, number - 1);
      lua_pushcclosure(L, run, 1);
      lua_setfield(L, -2, "run");
    }
    lua_rawseti(L, -2, ++bound);
  }
  lua_setfield(L, -2, "calls");
}

}  // namespace pf::vm
