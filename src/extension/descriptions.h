// The cache of descriptions that models.lua files yielded, by package digest:
// `<state>/cache/models/<digest>.json`. Files are replaced as a whole, so that any number of processes may
// use one folder. Thread-safe.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/json_fwd.h"

namespace pf::extension {

/// Descriptions of one state folder, which need not exist.
class Descriptions {
 public:
  explicit Descriptions(const std::filesystem::path& state_folder)
      : folder_(state_folder / "cache" / "models") {}
  /// The description ({model name: model}) of a package; nullopt where there is none, or none of this
  /// version, or where its file is damaged. Writes nothing.
  std::optional<Json> find(const std::string& digest) const;
  /// Keeps one; makes the folders. Errors `os.*`.
  Result<void> put(const std::string& digest, const Json& description) const;

 private:
  std::filesystem::path folder_;
};

}  // namespace pf::extension
