// The Lua files of lua/ and stdlib/ as bytecode, made at build time by embed.cc with the LuaJIT that is
// linked here. Trusted; read-only data; thread-safe.
#pragma once

#include <span>
#include <string_view>

namespace pf::vm {

/// One Lua file, compiled.
struct EmbeddedModule {
  std::string_view name;  // without folder and .lua
  std::string_view code;
};

/// The files of lua/, sorted by name.
std::span<const EmbeddedModule> embedded_prelude();
/// The files of stdlib/, sorted by name.
std::span<const EmbeddedModule> embedded_stdlib();

}  // namespace pf::vm
