// What has changed in what an instance is made of, in words: for `why`, previews and the log of a run.
// Pure functions; thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/json_fwd.h"
#include "pipeline/node.h"

namespace pf::orchestrator {

/// One part that is not as it was when the instance last succeeded.
struct Change {
  std::string key;       // the innermost: `region`, `subnets[1]`, the name of a file
  std::string path;      // in the configuration, whole; empty for what is no part of it
  std::string from, to;  // as people read them; `(none)`, `(computed)`, `(secret)`
  Where where;

  /// `KEY: OLD -> NEW at FILE:LINE:COLUMN`.
  std::string text() const;
};

/// What a value that must not be kept is written as: text that begins with this, then a keyed digest.
inline constexpr std::string_view kConcealed = "\x1a(secret) ";

/// Appends what differs between two configurations as Schema::encode writes them (decoded). `written` is the
/// evaluated configuration, for positions; what in it is still computed is shown as `(computed)`.
void compare_configs(const Json& before, const Json& now, const pipeline::Document& document,
                     const pipeline::Node& written, std::vector<Change>& out);

/// The place of a value in a configuration: the path's innermost part that was written.
Where place_of(const pipeline::Document& document, const pipeline::Node& written,
               const std::vector<std::string>& path);

/// A version as people read it: `sha256:2cf24dba…`.
std::string short_version(std::string_view version);

}  // namespace pf::orchestrator
