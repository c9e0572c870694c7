// The one implementation of Vm, as its C functions see it. Private to this floor; one thread.
//
// Rules for everything that touches Lua here: it runs inside lua_pcall or lua_cpcall; C++ objects that own
// something and must live across a call that can raise are members of the Machine; std::exception is caught
// before Lua is entered again; `catch (...)` is never written, for it would swallow Lua's own errors.
#pragma once

#include <lua.hpp>
#include <memory>
#include <new>
#include <set>
#include <string>

#include "pipeline/node.h"
#include "registry/calls.h"
#include "vm/arena.h"
#include "vm/convert.h"
#include "vm/deadline.h"
#include "vm/vm.h"

namespace pf::vm {

/// A VM: arena, Lua state, deadlines, and what the running job needs.
class Machine final : public Vm {
 public:
  static Result<std::unique_ptr<Machine>> make(Load load);
  ~Machine() override = default;
  Outcome run(const Job& job, Host& host) override;

  /// The machine that a Lua state belongs to.
  static Machine& of(lua_State* L) {
    void* arena = nullptr;
    lua_getallocf(L, &arena);
    return *static_cast<Machine*>(static_cast<Arena*>(arena)->owner);
  }

  /// Runs `f`, which may throw; false with `error` filled in when it did.
  template <class F>
  bool guarded(F&& f) {
    try {
      f();
      return true;
    } catch (const std::bad_alloc&) {
      error = Error{};
      error.code = "limit.memory";
      error.message = "the worker has no memory left";
    } catch (const std::exception& e) {
      error = Error{};
      error.code = "vm.internal";
      error.message = std::string("inside of the worker: ") + e.what();
    }
    return false;
  }

  // What the C functions work with.
  Load load;
  std::string module_names;                        // for messages
  std::set<std::string, std::less<>> own_modules;  // names of the package's modules
  const Job* job = nullptr;
  Host* host = nullptr;
  uint32_t next_request = 1;
  uint32_t open_calls = 0;  // sent, and their replies not taken yet
  Error error;              // what raise_error() raises
  Encoder encoder;
  std::string encoded;  // arguments on their way out
  std::string scratch;
  std::string value;  // the outcome's
  std::string state;
  std::string traceback;  // of the value in kLastError
  Reply reply;
  std::unique_ptr<pipeline::Document> document;  // of yaml.decode, while it is turned into Lua values
  Error problem;                                 // what describe() found
  Deadlines deadlines;

 private:
  Machine() = default;
  Result<void> build();
  void describe_failure(int status, Expiry expired, Outcome& out);
  static int on_build(lua_State* L);
  static int on_collect(lua_State* L);
  static void push_data(lua_State* L, std::string_view encoded);
  static int on_body(lua_State* L);

  std::unique_ptr<Arena> arena_;
  lua_State* L_ = nullptr;  // in the arena: never closed
  uint64_t seed_ = 0;
};

// host.cc: the functions that the prelude is given, and how C raises.

/// Pushes the table of C functions, with one entry in `calls` for each call of the registry.
void push_host(lua_State* L);
/// Raises machine.error as an error table; never returns.
int raise_error(lua_State* L);
/// The message handler of protected calls: keeps the traceback of the error value, and returns the value.
int on_error(lua_State* L);
/// Reads the error value at index 1 into machine.problem. To be called protected.
int describe(lua_State* L);
/// `extension.lua:12`, of the innermost frame that is the author's, or empty.
void author_place(lua_State* L, std::string& out);

// check.cc: arguments.

/// Checks the arguments from `first` on against the registry; of a call that runs in the worker also the
/// fields of its tables (the door does that for the others). Raises `call.argument`.
void check_arguments(lua_State* L, const registry::Call& call, int first);
/// Raises `call.argument`: "extension.lua:2: forge.CALL: WHAT"; never returns.
int raise_argument(lua_State* L, const registry::Call& call, std::string_view what,
                   std::string_view hint = {});

// pure.cc: the calls that run in the worker.

/// The C function of a call with Place::worker; null when there is none.
lua_CFunction pure_call(std::string_view name);

}  // namespace pf::vm
