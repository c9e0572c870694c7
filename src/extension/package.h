// An extension package: a folder with extension.yaml and extension.lua, found by the search order.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "extension/manifest.h"

namespace pf::extension {

struct Package {
  Manifest manifest;
  std::filesystem::path folder;
  std::map<std::string, std::string> modules;  // `extension`, `models`, `lib.words` -> Lua source
  std::string digest;                          // SHA-256 over names and contents of all its files, hex
  std::string source;                          // which rule of the search order found it, for people
};

struct SearchOptions {
  std::vector<std::filesystem::path> folders;  // --extensions, in order: each holds packages, or is one
  std::filesystem::path project;               // the pipeline file's folder: `extensions/` in it is searched
};

/// Where packages are looked for, in order: --extensions, `extensions/` beside the pipeline file, the user's
/// folder, the bundled ones.
std::vector<std::filesystem::path> search_folders(const SearchOptions& options);
/// Finds and reads one by name. Errors: `extension.unknown` (with "did you mean" and where was looked),
/// `extension.version` (this core is outside of requires.core), `extension.file_missing`, `manifest.*`.
tl::expected<Package, Errors> find_package(const SearchOptions& options, const std::string& name);
/// Reads the package in a folder.
tl::expected<Package, Errors> read_package(const std::filesystem::path& folder);
/// All packages that would be found, the first of each name, sorted; those that cannot be read as errors.
std::vector<tl::expected<Package, Errors>> list_packages(const SearchOptions& options);

}  // namespace pf::extension
