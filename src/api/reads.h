// What an attempt read of the world, as the door saw it: the part of an instance's key that only a run
// can know. Paths of the attempt's own work folder, and what it wrote
// itself, are no inputs. Thread-safe.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "api/paths.h"
#include "base/mask.h"

namespace pf::api {

/// The things that are read, by the word that the record has for them:
///   file      a path; version: `sha256:…` of a file, `tree:…` of a folder with all that is in it, or
///   `absent` names     a folder, or a pattern of forge.fs.glob; version: `sha256:…` of the names, one a line
///   exists    a path; version: `there` or `absent`
///   info      a path; version: what forge.fs.stat said
///   env       an environment variable; version: `sha256:…` of its value, or `absent`
///   secret    a secret; version: `hmac:…` of its value, by the state folder's own key
///   inputs    a pattern that the manifest declares; version: `sha256:…` of the names and versions of its
///   files
///   git       an address or path, with `#ref`; version: the commit, where the ref was one
///   download  a URL; version: the digest that the call demanded
///   http      method and URL; no version
///   program   a program's file; version: `sha256:…` of it
///   reach     a path that a program was let read, unseen by the door; no version
///   network   a program that had the network; no version
/// What has no version makes the result of the attempt one that cannot be taken as unchanged.
class Reads {
 public:
  /// Notes a read. The first version counts; another one later says that it changed meanwhile: it has none
  /// then. `seen` is what was found where that is no version: the commit of a branch, the digest of a
  /// download.
  void add(std::string_view what, std::string name, std::optional<std::string> version,
           std::string seen = {});
  /// From now on this path, and all below it, is the attempt's own.
  void wrote(const std::string& path);
  bool own(const std::string& path) const;
  /// JSON objects {what, name, version, seen}, sorted, with commas between them; masked. Empty: nothing was
  /// read.
  std::string items(const Mask& mask) const;

 private:
  struct Entry {
    std::optional<std::string> version;
    std::string seen;
  };
  mutable std::mutex mutex_;  // guards the rest
  std::map<std::pair<std::string, std::string>, Entry> entries_;
  std::set<std::string> written_;
};

/// `sha256:…` of a text, for versions.
std::string text_version(std::string_view text);
/// The version of an environment variable; null: it is not set.
std::string env_version(const char* value);
/// The version of what forge.fs.stat says.
std::string info_version(const services::FileInfo& info);
/// How the digest of a file is made, 64 hexadecimal digits; `path` is relative to the folder.
using DigestFile =
    std::function<Result<std::string>(const services::Folder& folder, const std::string& path)>;
Result<std::string> digest_file(const services::Folder& folder, const std::string& path, services::Stop stop);
/// The version of the file or folder at `at.path`, from the disk: see Reads, `file`. `skip` is the absolute
/// path of a folder that does not count, or empty. Errors `file.stopped`, `os.*`.
Result<std::string> content_version(const OpenPlace& at, services::Stop stop, const DigestFile& digest = {},
                                    const std::string& skip = {});

}  // namespace pf::api
