// Where things lie inside a state folder (default `.pangeo-forge/` beside the pipeline file), and how the
// folder is made. A Layout is a value; any thread may use it. Only make_folder touches the disk.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/error.h"

namespace pf::state {

/// The paths inside one state folder.
class Layout {
 public:
  explicit Layout(std::filesystem::path folder) : folder_(std::move(folder)) {}
  const std::filesystem::path& folder() const { return folder_; }
  std::filesystem::path database() const { return folder_ / "state.db"; }
  std::filesystem::path lock() const { return folder_ / "lock"; }
  std::filesystem::path run(const std::string& run) const { return folder_ / "runs" / file_name(run); }
  std::filesystem::path log(const std::string& run_id) const { return run(run_id) / "log.jsonl"; }
  std::filesystem::path audit(const std::string& run_id) const { return run(run_id) / "audit.jsonl"; }
  /// What runs share and anybody may throw away.
  std::filesystem::path cache() const { return folder_ / "cache"; }
  /// The work folder of an instance; `name` is what follows `type.` in its address, with the for_each key.
  std::filesystem::path work(const std::string& type, const std::string& name) const {
    return folder_ / "work" / file_name(type) / file_name(name);
  }
  /// The work folder of a section's bootstrap, which its instances may read.
  std::filesystem::path bootstrap(const std::string& type) const {
    return folder_ / "bootstrap" / file_name(type);
  }
  /// The key by which digests of secrets are made.
  std::filesystem::path digest_key() const { return folder_ / "digest.key"; }
  /// What the key that seals secret outputs is derived with (vault.h).
  std::filesystem::path vault() const { return folder_ / "vault.json"; }
  std::filesystem::path runs() const { return folder_ / "runs"; }
  /// The embedded engine's backend folder.
  std::filesystem::path backend() const { return folder_ / "pulumi"; }

  /// One legal file name for any text; different texts have different names. Letters, digits, `_`, `-` and
  /// `.` stay, all else (and a leading `.`) becomes `%XX`; what would be longer than 200 bytes is cut and
  /// ends in `%-` and its SHA-256.
  static std::string file_name(std::string_view text);

  /// Makes the folder where it is not there: mode 0700, with a `.gitignore` of `*`. A folder that holds
  /// anything is left as it is. Errors `state.read_only`, `state.full`, `os.*`.
  Result<void> make_folder() const;

 private:
  std::filesystem::path folder_;
};

/// The Error for a failed system call on a file of the state folder: `state.read_only`, `state.full`, else
/// `os.*`.
Error folder_error(std::string_view what, const std::filesystem::path& path, int errno_value);

}  // namespace pf::state
