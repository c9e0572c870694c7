// Inside the io helper: opening archives and judging their entries. One owner, one thread.
#pragma once

#include <archive.h>
#include <archive_entry.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "services/io/helper.h"

namespace pf::services::io {

enum class EntryKind : uint8_t { file, folder, link, hard_link, other };

/// An archive that is read from a file of its own. Only tar and zip, only the usual compressions, all inside
/// of libarchive: it would run programs for others.
class ArchiveReader {
 public:
  /// Errors: `archive.format`, `archive.damaged`, `io.moved`, `os.*`.
  static Result<ArchiveReader> open(const Place& place, const ArchiveLimits& limits);

  /// The next entry, or null after the last. Errors: `archive.damaged`, `archive.password`, `archive.bomb`
  /// (too many entries, or too much in what lies between them).
  Result<archive_entry*> next();
  /// Adds to what was unpacked. Error: `archive.bomb`.
  Result<void> count(uint64_t bytes);

  archive* get() const { return archive_.get(); }
  const std::string& path() const { return path_; }
  uint64_t size() const { return size_; }  // of the file, bytes
  uint64_t entries() const { return entries_; }
  uint64_t unpacked() const { return unpacked_; }  // bytes
  double position() const;                         // bytes of the file that were read
  /// The error of the last call of libarchive.
  tl::unexpected<Error> damaged(std::string_view entry = {}) const;

 private:
  struct Free {
    void operator()(archive* a) const { archive_read_free(a); }
  };
  Result<void> check(uint64_t bytes) const;

  UniqueFd fd_;
  std::unique_ptr<archive, Free> archive_;
  std::string path_;
  ArchiveLimits limits_;
  uint64_t size_ = 0;
  uint64_t entries_ = 0;
  uint64_t unpacked_ = 0;
  bool format_known_ = false;
};

EntryKind kind_of(archive_entry* entry);
std::string_view describe(EntryKind kind);
/// The name as it stands there; empty where it cannot be read.
std::string name_of(archive_entry* entry);

/// Parts of a name between slashes, without `.`. Errors: `archive.traversal` (absolute, `..`),
/// `archive.name` (empty, too long, too deep, a NUL byte).
Result<std::vector<std::string>> parts_of(const std::string& name);
/// Where a link that lies `depth` folders deep may lead: not out. `..` counts only at the beginning, because
/// behind another link it would lead up from where that one leads. Error: `archive.link`.
Result<void> check_link(const std::string& name, std::string_view target, size_t depth);

}  // namespace pf::services::io
