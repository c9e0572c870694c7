// What a read that was recorded earlier would find now: the other half of api/reads.h. Thread-safe, but for
// secrets, which are asked for on the loop's thread only.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace pf::api {

class Secrets;

/// Versions of the world as it is. Digests of files are kept by path, and made anew when size, time or inode
/// of the file has changed.
class Versions {
 public:
  /// `skip` is a folder (the state folder) that does not count in a folder which holds it.
  Versions(Secrets& secrets, std::filesystem::path skip) : secrets_(secrets), skip_(std::move(skip)) {}

  /// Versions of declared tools, by tool_key() of the orchestrator: what probe_tools found.
  void set_tool(std::string name, std::string version) { tools_[std::move(name)] = std::move(version); }

  /// The version that a read of `what` and `name` (see Reads) would record now; `was` is what it recorded.
  /// Nothing where there is none: it has no version, or cannot be read any more.
  std::optional<std::string> now(std::string_view what, const std::string& name, std::string_view was);
  /// The version of a file or folder: `sha256:…`, `tree:…` or `absent`. Errors `os.*`, `file.*`.
  Result<std::string> content(const std::string& path);
  /// Bytes that a look at this file or folder would have to read, as far as a glance tells: a folder counts
  /// as large, what is known as 0.
  uint64_t effort(const std::string& path);

 private:
  struct Known {
    uint64_t device = 0, inode = 0, size = 0;
    int64_t modified = 0, changed = 0;  // nanoseconds
    std::string version;
  };
  std::optional<std::string> inputs(const std::string& pattern);

  Secrets& secrets_;
  const std::filesystem::path skip_;
  std::map<std::string, std::string> tools_;
  std::mutex mutex_;  // guards known_
  std::map<std::string, Known> known_;
};

}  // namespace pf::api
