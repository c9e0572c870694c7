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

/// A value of a configuration that came from outputs of other instances.
struct FromOutputs {
  std::string path;  // in the configuration, as pipeline::evaluate writes it: keys joined by dots, never
                     // quoted, `[0]`
  std::vector<std::string> folders;  // the work folders of these instances, absolute
};

/// Where an instance belongs.
struct Surroundings {
  std::filesystem::path project;  // absolute: where relative paths start
  std::filesystem::path state;    // the state folder, absolute
  std::vector<FromOutputs> from_outputs;
};

/// What the permissions come to for one instance. `config` is its checked configuration (JSON object, paths
/// absolute). An expression grants nothing where its value is not set, is empty, or holds control characters;
/// a list grants each text in it. A value that came from other instances grants no host, program,
/// variable or secret, and a path only below the project (but not the state folder) or the work folder of one
/// of these instances; such an entry is not `literal`. Never fails: what is no plain text in the end grants
/// nothing.
api::Grants make_grants(const Permissions& permissions, const Json& config, const Surroundings& surroundings);

/// What an extension may do, one phrase an entry, such as `reads the file or folder in its config field
/// 'file'`.
std::vector<std::string> plain_words(const Permissions& permissions, const Limits& limits);

}  // namespace pf::extension
