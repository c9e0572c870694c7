// What people and editors read of the table of host calls: docs/lua-api.md, and stubs for lua-language-server
// (https://luals.github.io/wiki/annotations/). Made by a test (tests/registry), which fails when the files in
// the repository are not what comes out here. Pure functions; thread-safe.
#pragma once

#include <map>
#include <string>

namespace pf::registry {

/// docs/lua-api.md.
std::string lua_api_page();
/// The files of lua/meta/, by name.
std::map<std::string, std::string> lua_stubs();

}  // namespace pf::registry
