// The one table of host calls: what an extension can ask for, with types, permission, errors, and where it
// runs. The binding in the VM, the door's checks and the audit record, lua/meta and docs/lua-api.md are made
// from it. Each namespace has its rows in calls_<namespace>.cc. Immutable; thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace pf::registry {

enum class Type : uint8_t { nothing, any, boolean, integer, number, string, table, list, function };
std::string_view describe(Type type);

/// Which list of extension.yaml's `permissions` a call needs an entry in.
enum class Permission : uint8_t { none, read, write, http, env, programs, git, secrets };
/// The key in extension.yaml; empty for none.
std::string_view key(Permission permission);

/// Where a call runs.
enum class Place : uint8_t {
  worker,   // pure: C++ inside the sandboxed process
  prelude,  // Lua of the prelude (lua/), out of other calls
  core,     // touches the world: a host call through the door
};

/// A name in a table that is an argument or a result.
struct Field {
  std::string_view name;
  Type type = Type::any;
  bool optional = false;
  std::string_view doc;  // with the unit, and the default of an optional one
};

struct Argument {
  std::string_view name;
  Type type = Type::any;
  bool optional = false;
  std::string_view doc;
  std::span<const Field> fields{};  // of a table: the door refuses any other name; empty: anything goes
};

/// What a call returns.
struct Returns {
  Type type = Type::nothing;
  std::string_view doc;
  std::span<const Field> fields{};  // of a table
};

struct Call {
  std::string_view name;  // as after `forge.`: "fs.read"
  Place place = Place::core;
  Permission permission = Permission::none;
  bool replies = true;  // false: the VM does not wait (log, progress)
  std::span<const Argument> arguments;
  Returns returns;
  /// Codes of the errors that are its own. Any call may also raise `call.argument`, one that needs a
  /// permission `permission.KEY`, and one of the core `limit.calls` and `limit.frame`. `os.*` stands for the
  /// system's.
  std::span<const std::string_view> errors;
  std::string_view doc;  // one sentence or more
};

/// All calls; a call's index is its number in frames.
std::span<const Call> calls();
/// Its index, or -1.
int find(std::string_view name);
/// Whether the core answers a call at once, or after a look at a file: then waiting awake costs less than
/// going to sleep and being woken.
bool is_quick(const Call& call);

}  // namespace pf::registry
