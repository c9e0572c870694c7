#include "vm/machine.h"

#include <sys/random.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "base/text.h"
#include "vm/embedded.h"

namespace pf::vm {
namespace {

constexpr const char* kNotEnoughMemory = "not enough memory";  // LuaJIT's own words

int on_panic(lua_State*) {
  std::fputs("pangeo-forge-worker: Lua raised an error outside of a protected call\n", stderr);
  std::abort();
}

/// SplitMix64 (Steele, Lea, Flood 2014): one step, and the value of it.
uint64_t split_mix(uint64_t& seed) {
  uint64_t z = (seed += 0x9e3779b97f4a7c15ULL);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

void open(lua_State* L, lua_CFunction function, const char* name) {
  lua_pushcfunction(L, function);
  lua_pushstring(L, name);
  lua_call(L, 1, 0);
}

/// part(name): a file of lua/, compiled.
int load_part(lua_State* L) {
  const std::string_view name = lua_tostring(L, 1);
  for (const EmbeddedModule& module : embedded_prelude()) {
    if (module.name != name) continue;
    if (luaL_loadbufferx(L, module.code.data(), module.code.size(), "=prelude", "b") != 0)
      return lua_error(L);
    return 1;
  }
  return luaL_error(L, "there is no lua/%s.lua", lua_tostring(L, 1));
}

std::string file_of(std::string_view module) {
  std::string out(module);
  if (out.ends_with(".lua")) return out;  // a hook's script goes by the name of its file
  std::replace(out.begin(), out.end(), '.', '/');
  return out + ".lua";
}

/// Whether a module's text names another one in quotes: then it is worth having in the snapshot.
bool names(const std::string& source, std::string_view module) {
  return source.find('"' + std::string(module) + '"') != std::string::npos ||
         source.find('\'' + std::string(module) + '\'') != std::string::npos;
}

Error memory_error(uint64_t memory) {
  Error e;
  e.code = "limit.memory";
  e.message = "the extension needs more than its " + format_bytes(memory) + " of memory";
  e.hint = "raise limits.memory, or keep less in memory at once";
  return e;
}

}  // namespace

Result<std::unique_ptr<Machine>> Machine::make(Load load) {
  std::unique_ptr<Machine> machine(new Machine);
  machine->load = std::move(load);
  auto built = machine->build();
  if (!built) return tl::unexpected(std::move(built.error()));
  return machine;
}

/// Everything that comes before the snapshot, but the garbage collection.
int Machine::on_build(lua_State* L) {
  Machine& m = Machine::of(L);
  lua_settop(L, 0);
  luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
  open(L, luaopen_base, "");
  open(L, luaopen_table, LUA_TABLIBNAME);
  open(L, luaopen_string, LUA_STRLIBNAME);
  open(L, luaopen_math, LUA_MATHLIBNAME);
  open(L, luaopen_bit, LUA_BITLIBNAME);
  // The prelude has no use for these either: they must not even exist.
  for (const char* name : {"load", "loadstring", "loadfile", "dofile", "getfenv", "setfenv", "newproxy",
                           "collectgarbage", "gcinfo", "print", "module", "require"}) {
    lua_pushnil(L);
    lua_setglobal(L, name);
  }
  lua_getglobal(L, LUA_STRLIBNAME);
  lua_pushnil(L);
  lua_setfield(L, -2, "dump");
  lua_pop(L, 1);
  for (const char* name : {"_LOADED", "_PRELOAD"}) {
    lua_pushnil(L);
    lua_setfield(L, LUA_REGISTRYINDEX, name);
  }
  lua_newtable(L);
  lua_rawseti(L, LUA_REGISTRYINDEX, kModules);
  lua_pushboolean(L, 0);
  lua_rawseti(L, LUA_REGISTRYINDEX, kLastError);
  lua_pushcfunction(L, on_error);
  lua_rawseti(L, LUA_REGISTRYINDEX, kOnError);
  lua_pushcfunction(L, on_body);
  lua_rawseti(L, LUA_REGISTRYINDEX, kBody);
  lua_pushcfunction(L, describe);
  lua_rawseti(L, LUA_REGISTRYINDEX, kDescribe);

  lua_pushcfunction(L, load_part);
  lua_pushliteral(L, "prelude");
  lua_call(L, 1, 1);
  push_host(L);
  lua_pushvalue(L, LUA_GLOBALSINDEX);
  lua_pushcfunction(L, load_part);
  lua_call(L, 3, 5);
  lua_rawseti(L, LUA_REGISTRYINDEX, kMapMeta);
  lua_rawseti(L, LUA_REGISTRYINDEX, kListMeta);
  lua_rawseti(L, LUA_REGISTRYINDEX, kErrorMeta);
  lua_replace(L, LUA_GLOBALSINDEX);
  lua_rawseti(L, LUA_REGISTRYINDEX, kStart);

  lua_rawgeti(L, LUA_REGISTRYINDEX, kModules);
  for (const EmbeddedModule& module : embedded_stdlib()) {
    const bool used = std::any_of(m.load.modules.begin(), m.load.modules.end(),
                                  [&](const auto& own) { return names(own.second, module.name); });
    if (!used) continue;
    if (luaL_loadbufferx(L, module.code.data(), module.code.size(), "=stdlib", "b") != 0) return lua_error(L);
    lua_setfield(L, -2, std::string(module.name).c_str());
  }
  for (const auto& [name, source] : m.load.modules) {
    m.guarded([&] { m.scratch = '@' + file_of(name); });
    const int status = luaL_loadbufferx(L, source.data(), source.size(), m.scratch.c_str(), "t");
    if (status == LUA_ERRSYNTAX) {
      m.guarded([&] {
        m.error.code = "lua.syntax";
        m.error.message = lua_tostring(L, -1);
        m.error.retryable = false;
        if (source.starts_with(LUA_SIGNATURE[0])) {
          m.error.message = m.scratch.substr(1) + ": is compiled Lua; expected Lua source";
          m.error.hint = "put the source file into the package";
        }
      });
    }
    if (status != 0) return lua_error(L);
    lua_setfield(L, -2, name.c_str());
  }
  return 0;
}

int Machine::on_collect(lua_State* L) {
  lua_gc(L, LUA_GCCOLLECT, 0);
  lua_gc(L, LUA_GCCOLLECT, 0);
  return 0;
}

Result<void> Machine::build() {
  auto arena = Arena::make();
  if (!arena) return tl::unexpected(std::move(arena.error()));
  arena_ = std::move(*arena);
  arena_->owner = this;
  L_ = lua_newstate(Arena::allocate, arena_.get());
  if (L_ == nullptr) return refuse("limit.memory", "no memory for a Lua VM");
  arena_->set_cap(load.memory);
  lua_atpanic(L_, on_panic);
  for (const auto& [name, source] : load.modules) {
    own_modules.insert(name);
    if (!module_names.empty()) module_names += ", ";
    module_names += '`' + name + '`';
  }
  if (const auto standard = embedded_stdlib(); !standard.empty()) {
    module_names += "; standard modules are";
    for (const EmbeddedModule& module : standard) module_names += " `" + std::string(module.name) + '`';
  }
  int status = lua_cpcall(L_, on_build, nullptr);
  if (status == 0) status = lua_cpcall(L_, on_collect, nullptr);
  if (status != 0) {
    if (status == LUA_ERRMEM) return tl::unexpected(memory_error(load.memory));
    if (!error.code.empty()) return tl::unexpected(std::move(error));
    const std::string text = lua_type(L_, -1) == LUA_TSTRING ? lua_tostring(L_, -1) : "an error without text";
    if (text == kNotEnoughMemory) return tl::unexpected(memory_error(load.memory));
    return refuse("vm.internal", "the VM could not be built: " + text);
  }
  load.modules.clear();
  ssize_t drawn = getrandom(&seed_, sizeof seed_, GRND_NONBLOCK);
  if (drawn != static_cast<ssize_t>(sizeof seed_)) {
    seed_ = static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
  }
  lua_settop(L_, 0);
  if (auto started = deadlines.start(L_); !started) return started;
  return arena_->seal();
}

/// Pushes a value that came with the job; nil where it is null, or nothing. Raises where it is malformed.
void Machine::push_data(lua_State* L, std::string_view encoded) {
  cbor::Reader in(encoded);
  if (encoded.empty()) {
    lua_pushnil(L);
  } else if (!push(L, in) || !in.at_end()) {
    Machine& m = Machine::of(L);
    m.guarded([&] {
      m.error = Error{};
      m.error.code = "frame.malformed";
      m.error.message = "the job's data is malformed";
      m.error.retryable = false;
    });
    raise_error(L);
  } else if (lua_type(L, -1) == LUA_TLIGHTUSERDATA) {
    lua_pop(L, 1);
    lua_pushnil(L);
  }
}

/// Runs one job inside of the protected call of run().
int Machine::on_body(lua_State* L) {
  Machine& m = Machine::of(L);
  const Job& job = *m.job;
  lua_rawgeti(L, LUA_REGISTRYINDEX, kStart);
  lua_pushinteger(L, static_cast<int>(job.kind));
  lua_pushnumber(L, static_cast<double>(split_mix(m.seed_) >> 11));
  if (!frames::is_of_instance(job.kind) && job.kind != frames::JobKind::hook) {
    lua_call(L, 2, 0);
    return 0;
  }
  lua_pushlstring(L, job.name.data(), job.name.size());
  if (job.kind == frames::JobKind::hook) {
    push_data(L, job.config);
    lua_call(L, 4, 0);
    return 0;
  }
  lua_pushlstring(L, job.stack.data(), job.stack.size());
  lua_pushnumber(L, job.attempt);
  for (const std::string_view encoded : {job.config, job.state, job.runtime}) push_data(L, encoded);
  lua_call(L, 8, 0);
  return 0;
}

Outcome Machine::run(const Job& a_job, Host& a_host) {
  Outcome out;
  arena_->restore();
  job = &a_job;
  host = &a_host;
  next_request = 1;
  open_calls = 0;
  arena_->set_cap(a_job.memory);
  value.clear();
  state.clear();
  traceback.clear();
  document.reset();
  const int64_t before = Deadlines::cpu_now();
  deadlines.begin(a_job.soft, a_job.cpu);
  // Nothing is allocated before Lua is inside of the protected call: what it takes is in the registry.
  lua_rawgeti(L_, LUA_REGISTRYINDEX, kOnError);
  lua_rawgeti(L_, LUA_REGISTRYINDEX, kBody);
  const int status = lua_pcall(L_, 0, 0, 1);
  const Expiry expired = deadlines.expired();
  if (status == 0 && expired == Expiry::none) {
    deadlines.end();
    out.ok = true;
    out.value.swap(value);
    out.state.swap(state);
  } else {
    if (!guarded([&] { describe_failure(status, expired, out); })) out.error = std::move(error);
    deadlines.end();
  }
  out.cpu_us = static_cast<uint64_t>(std::max<int64_t>(0, Deadlines::cpu_now() - before)) / 1000;
  out.peak_bytes = arena_->peak();
  job = nullptr;
  host = nullptr;
  return out;
}

void Machine::describe_failure(int status, Expiry expired, Outcome& out) {
  if (expired == Expiry::none) {
    bool memory = status == LUA_ERRMEM;
    if (!memory) {
      problem = Error{};
      lua_rawgeti(L_, LUA_REGISTRYINDEX, kDescribe);
      lua_insert(L_, -2);
      const int described = lua_pcall(L_, 1, 0, 0);
      if (described == LUA_ERRMEM)
        memory = true;
      else if (described != 0 || problem.code.empty())
        problem.code = "extension.error";
      // coroutine.wrap puts a place in front of it, and Lua's pcall hides the status.
      if (arena_->refused() && problem.message.ends_with(kNotEnoughMemory)) memory = true;
      if (problem.message.empty()) problem.message = "an error without a message was raised";
      expired = deadlines.expired();  // the author's __tostring may have taken all that was left
    }
    if (expired == Expiry::none) out.error = memory ? memory_error(job->memory) : std::move(problem);
  }
  if (expired == Expiry::wall) {
    out.error = Error{};
    out.error.code = "deadline.attempt";
    out.error.message = "the attempt took longer than its timeout of " + format_duration(job->soft);
    out.error.hint = "raise the instance's `timeout`, or see in the traceback where the time went";
  } else if (expired == Expiry::cpu) {
    out.error = Error{};
    out.error.code = "limit.cpu";
    out.error.message = "the attempt used more than its " + format_duration(job->cpu) + " of CPU time";
    out.error.hint = "raise limits.cpu, or do less in one instance";
  }
  out.error.traceback = traceback;
}

}  // namespace pf::vm
