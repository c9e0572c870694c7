// Paths to properties as Pulumi writes them (sdk/go/common/resource/property_path.go): `a.b[0]["c.d"]`, and
// `*` for every element. Pure functions; thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.h"
#include "base/json.h"

namespace pf::iac {

/// A key, an index, or every one (monostate).
using PathPart = std::variant<std::monostate, std::string, size_t>;
using PropertyPath = std::vector<PathPart>;

/// Error `resource.path`.
Result<PropertyPath> parse_path(std::string_view text);

/// Makes what `path` names in `now` what it is in `before`: present there, or absent. Error `resource.path`.
Result<void> restore(std::string_view path, const Json& before, Json& now);

}  // namespace pf::iac
