// CBOR <-> Lua values. Raw access only: no metamethod ever runs. Used by the VM's C functions, on its thread.
//
// nil and forge.null are null. Tables with keys 1 to n are lists, with text keys maps (written with sorted
// keys); an empty one is a map unless it carries the list mark (a metatable; see Slot). Decoded lists and
// empty maps are marked. Text that is no UTF-8 crosses as bytes. Whole numbers up to 2^53 and all finite
// doubles cross exactly.
#pragma once

#include <lua.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/cbor.h"
#include "base/error.h"

namespace pf::vm {

/// Where C functions find what they and the prelude made, in the registry.
enum Slot : int {
  kStart = 1,  // the prelude's function that runs a job
  kModules,    // name -> compiled function, of the package's modules and some standard ones
  kErrorMeta,  // metatable of error tables
  kListMeta,   // marks lists
  kMapMeta,    // marks empty maps
  kLastError,  // the value that Machine::traceback belongs to
  kOnError,    // C functions of Machine::run
  kBody,
  kDescribe,
};

/// Lua -> CBOR. Keeps its buffers from one use to the next.
class Encoder {
 public:
  struct Bounds {
    size_t bytes = SIZE_MAX;  // of `out` as a whole
    bool utf8_only = false;   // refuse text that is no UTF-8
    bool map_only = false;    // the value itself must be a map
  };
  enum class Problem : uint8_t { none, value, size };

  /// Appends the value at `index`. On failure `message` says why, beginning with the path from `root`
  /// (`outputs.a[3].b: a function cannot be converted to JSON`). Raises only when the Lua stack cannot grow.
  Problem encode(lua_State* L, int index, std::string_view root, std::string& out, const Bounds& bounds);
  const std::string& message() const { return message_; }

 private:
  struct Step {
    std::string_view key;  // of a map
    size_t index = 0;      // of a list, from 1
    const void* table = nullptr;
  };
  struct Entry {
    std::string_view key;
    size_t begin;
    size_t end;
  };

  bool value(int index, int depth);
  bool table(int index, int depth);
  bool list(int index, size_t count, int depth);
  bool map(int index, size_t count, int depth);
  bool text(std::string_view bytes, std::string_view what);
  bool fail(int depth, std::string_view what);

  lua_State* L_ = nullptr;
  std::string* out_ = nullptr;
  Bounds bounds_;
  std::string_view root_;
  Step path_[cbor::kMaxDepth + 1];
  std::vector<Entry> entries_;
  std::string scratch_;
  std::string message_;
  bool too_big_ = false;
  int depth_ = 0;
};

/// Pushes the next value of `in`. False when it is malformed or nested over cbor::kMaxDepth; then nothing is
/// pushed that matters. Raises Lua errors when memory runs out.
bool push(lua_State* L, cbor::Reader& in);
/// Pushes a table marked as list or map where the kind needs it.
void push_list(lua_State* L, size_t expected);
void mark_empty_map(lua_State* L);
/// Pushes forge.null.
inline void push_null(lua_State* L) { lua_pushlightuserdata(L, nullptr); }

/// `.key` or `["key"]`, as a path in messages and in tables of positions goes on.
void append_key(std::string& path, std::string_view key);
void append_index(std::string& path, size_t index);

}  // namespace pf::vm
