// Files beneath an opened folder, for callers that are not trusted with paths: every name is resolved by
// openat2(RESOLVE_BENEATH), so that neither `..` nor a symbolic link, also one that is swapped in during the
// call, leads out. Pipes and devices are never opened in a way that blocks. Errors say the path as the caller
// gave it.
//
// A Folder belongs to its owner and may be used from several threads at once. Long operations end early, with
// `file.stopped`, once `*stop` is true; `stop` may be null.
#pragma once

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/file.h"

namespace pf::services {

/// A file that is read whole must fit into a frame of 16 MiB.
inline constexpr uint64_t kMaxFileRead = 15ULL << 20;
/// Names and paths in the answer of list and glob, in bytes.
inline constexpr size_t kMaxListing = 8U << 20;
/// Entries that one glob looks at.
inline constexpr size_t kMaxGlobVisits = 2'000'000;

enum class FileType : uint8_t { file, folder, link, other };
std::string_view describe(FileType type);

struct FileInfo {
  FileType type = FileType::other;
  uint64_t size = 0;    // bytes
  double modified = 0;  // seconds since 1970
};

using Stop = const std::atomic<bool>*;

/// Something found beneath a folder, held open (O_PATH): what another process is told to use.
struct Located {
  UniqueFd fd;
  std::filesystem::path path;  // absolute, without links, as it was when it was found
  uint64_t device = 0, inode = 0;
  FileType type = FileType::other;
};

/// Where a file will appear: a folder that was opened beneath what is granted, and a name in it. Whoever
/// makes the file does all by this descriptor and this one name, so that no link that is swapped in leads
/// elsewhere.
struct FileTarget {
  std::shared_ptr<const UniqueFd> folder;
  std::string name;
  std::string text;  // the path, for messages
};

/// An opened folder; paths are relative to it, `.` is itself.
///
/// Errors of all functions: `file.path` (empty, absolute, `..`, a NUL byte, too long), `file.outside` (a
/// symbolic link leads out), `file.unsupported` (the kernel has no openat2: Linux before 5.6),
/// `file.not_regular`, `file.too_big`, `file.stopped`, and `os.*`.
class Folder {
 public:
  /// Follows symbolic links on the way to `path`, which the caller trusts.
  static Result<Folder> open(const std::filesystem::path& path);
  /// A folder below this one; no symbolic link may be on the way.
  Result<Folder> below(std::string_view path) const;
  /// A folder below this one, through links as far as they stay below.
  Result<Folder> enter(std::string_view path) const;
  /// What is at `path`, through links as far as they stay below.
  Result<Located> locate(std::string_view path) const;
  /// What error messages put before paths.
  void set_label(std::string label) { label_ = std::move(label); }
  /// From now on no symbolic link at all is followed.
  void refuse_links() { no_links_ = true; }

  Result<std::string> read(std::string_view path, uint64_t limit = kMaxFileRead) const;
  /// Replaces or makes the file as a whole, keeping the mode of one that is there.
  Result<void> write(std::string_view path, std::string_view content) const;
  Result<void> append(std::string_view path, std::string_view content) const;
  /// A regular file, opened for reading.
  Result<UniqueFd> open_file(std::string_view path) const;
  /// The folder of a file that will be written, and its name there.
  Result<FileTarget> target(std::string_view path) const;
  /// A symbolic link counts as something, whether or not it leads anywhere.
  Result<bool> exists(std::string_view path) const;
  /// Of the link itself where the last part of the path is one.
  Result<FileInfo> stat(std::string_view path) const;
  /// Names, sorted bytewise.
  Result<std::vector<std::string>> list(std::string_view path) const;
  /// Paths, sorted bytewise. `*`, `?`, `[abc]` within a name, `**` for any number of folders. What begins
  /// with a dot is matched only by a part that begins with one; folders behind symbolic links are not
  /// entered.
  Result<std::vector<std::string>> glob(std::string_view pattern, Stop stop) const;
  /// Makes the folder and those above it, as far as they are missing.
  Result<void> mkdir(std::string_view path) const;
  /// Removes a file, link, or folder with all that is in it, not through links and not into mounts. False:
  /// nothing was there.
  Result<bool> remove(std::string_view path, Stop stop) const;
  /// Copies a file's content and mode; the new one appears as a whole. Its size in bytes.
  static Result<uint64_t> copy(const Folder& from, std::string_view source, const Folder& to,
                               std::string_view target, Stop stop);
  /// Renames; between file systems a file is copied and removed, a folder refused (`os.exdev`).
  static Result<void> move(const Folder& from, std::string_view source, const Folder& to,
                           std::string_view target, Stop stop);

 private:
  struct Parent {
    UniqueFd fd;
    std::string name;
  };
  int open_beneath(std::string_view path, uint64_t flags, uint64_t mode, uint64_t more_resolve = 0) const;
  Result<Folder> inner(std::string_view path, uint64_t more_resolve) const;
  Result<UniqueFd> open_file(std::string_view verb, std::string_view path, int flags, int mode) const;
  Result<Parent> parent(std::string_view verb, std::string_view path) const;
  Result<void> check(std::string_view path) const;
  std::string shown(std::string_view path) const;
  Error failure(std::string_view verb, std::string_view path, int code) const;

  UniqueFd fd_;
  std::string label_;
  bool no_links_ = false;
};

}  // namespace pf::services
