// The one table of host calls: what an extension can ask for, with types, permission, and where it runs. The
// binding in the VM, the door's check and the audit record are made from it. Immutable; thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace pf::registry {

enum class Type : uint8_t { any, boolean, integer, number, string, table, list, function };
std::string_view describe(Type type);

/// Which list of extension.yaml's `permissions` a call needs an entry in.
enum class Permission : uint8_t { none, read, write, http, env, programs, git, secrets };
/// The key in extension.yaml; empty for none.
std::string_view key(Permission permission);

/// Where a call runs.
enum class Place : uint8_t {
  worker,  // pure: inside the sandboxed process
  core,    // touches the world: a host call through the door
};

struct Argument {
  std::string_view name;
  Type type = Type::any;
  bool optional = false;
  std::string_view doc;
};

struct Call {
  std::string_view name;  // as after `forge.`: "fs.read"
  Place place = Place::core;
  Permission permission = Permission::none;
  bool replies = true;  // false: the VM does not wait (log, progress)
  std::span<const Argument> arguments;
  std::string_view result;  // type and meaning, for people
  std::string_view doc;     // one sentence
};

/// All calls; a call's index is its number in frames.
std::span<const Call> calls();
/// Its index, or -1.
int find(std::string_view name);

}  // namespace pf::registry
