// for_each over folders: patterns and what they match. Thread-safe: no state but the file system's.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"

namespace pf::pipeline {

/// One folder that matched.
struct FolderMatch {
  std::string key;    // its path from the pattern's first part with a wildcard on: `a/b`
  std::string value;  // its path as the pattern gives it, relative where the pattern is
};

/// The folders that a pattern matches, sorted by path bytes. Parts are globs (`*`, `?`, `[abc]`), `**` is any
/// number of folders; hidden ones match only where the part begins with a dot; `**` follows no links.
/// Relative to `base`. Errors `pipeline.folders`: the fixed beginning is no folder, something cannot be
/// listed, over 100,000 matches.
Result<std::vector<FolderMatch>> match_folders(const std::string& pattern, const std::filesystem::path& base);

}  // namespace pf::pipeline
