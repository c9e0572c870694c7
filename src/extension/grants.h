// From the permissions that a manifest asks for to what one instance is granted, and to words for people.
// Pure functions; thread-safe.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "api/door.h"
#include "base/error.h"
#include "base/json_fwd.h"
#include "extension/manifest.h"

namespace pf::extension {

/// A permission entry taken apart: literal texts and `${config.…}` expressions in turn.
struct EntryPart {
  bool is_config = false;
  std::string text;               // the literal, or the path after `config.` as written
  std::vector<std::string> path;  // keys and indexes (`[0]` is "0") of a configuration path
};
/// `${config.x}`, `${config.x.y[0]}`, `${config["a b"]}`, also within text. The error's message says what was
/// found; it has no place, and the code `manifest.permission`.
Result<std::vector<EntryPart>> parse_entry(std::string_view entry);

/// What the permissions come to for one instance. `config` is its checked configuration (JSON object, paths
/// absolute); `from_outputs` the configuration paths whose values came from other instances, as
/// pipeline::evaluate writes them: keys joined by dots, never quoted, and `[0]`. An expression grants nothing
/// where its value is not set, came from other instances, is empty, or holds control characters; a list
/// grants each text in it. Relative paths start at `project_folder`, an absolute one. Never fails: what is no
/// plain text in the end grants nothing.
api::Grants make_grants(const Permissions& permissions, const Json& config,
                        const std::vector<std::string>& from_outputs,
                        const std::filesystem::path& project_folder);

/// What an extension may do, one phrase an entry, such as `reads the file or folder in its config field
/// 'file'`.
std::vector<std::string> plain_words(const Permissions& permissions, const Limits& limits);

}  // namespace pf::extension
