// Listing and extracting archives. Nothing of an archive is trusted: every folder on the way to an entry is
// opened without following links, every file is made anew.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <unordered_map>
#include <unordered_set>

#include <linux/openat2.h>

#include "base/cbor.h"
#include "base/text.h"
#include "services/file_calls.h"
#include "services/files.h"
#include "services/io/archive_common.h"

namespace pf::services::io {
namespace {

double mtime_of(archive_entry* entry) {
  if (archive_entry_mtime_is_set(entry) == 0) return 0;
  return static_cast<double>(archive_entry_mtime(entry)) +
         static_cast<double>(archive_entry_mtime_nsec(entry)) / 1e9;
}

std::string joined(const std::vector<std::string>& parts, size_t count) {
  std::string out;
  for (size_t i = 0; i < count; ++i) {
    if (i > 0) out += '/';
    out += parts[i];
  }
  return out;
}

/// Fills one folder.
class Extraction {
 public:
  Extraction(const ArchiveExtract& request, ArchiveReader& reader, int root, Reporter& reporter)
      : request_(request), reader_(reader), root_(root), reporter_(reporter) {}

  Result<void> run() {
    while (true) {
      auto entry = reader_.next();
      if (!entry) return tl::unexpected(entry.error());
      if (*entry == nullptr) return finish();
      if (auto done = take(*entry); !done) return done;
    }
  }
  uint64_t files() const { return files_; }
  uint64_t bytes() const { return bytes_; }

 private:
  struct Made {
    std::vector<std::string> parts;
    mode_t mode;
    std::optional<timespec> mtime;
  };

  tl::unexpected<Error> system(std::string_view verb, const std::string& name, int code) const {
    if (code == ENOTDIR || code == ELOOP || code == EXDEV) {
      return refuse("archive.link", "'" + shorten(name, 200) + "' leads through something that is no folder",
                    "an archive may not write through links or files: do not trust this one");
    }
    return tl::unexpected(system_error(
        "cannot " + std::string(verb) + " " + request_.folder.path + "/" + shorten(name, 200), code));
  }

  // The folder of an entry, made as far as it is missing. The last one is kept: entries come in groups.
  Result<int> folder(const std::vector<std::string>& parts, size_t count) {
    if (count == 0) return root_;
    std::string path = joined(parts, count);
    if (current_ && path == current_path_) return current_.get();
    current_.reset();
    const uint64_t resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
    int fd = open_at2(root_, path.c_str(), O_PATH | O_DIRECTORY, 0, resolve);
    if (fd < 0 && errno == ENOENT) {
      UniqueFd at;
      for (size_t i = 0; i < count; ++i) {
        const int above = at ? at.get() : root_;
        if (::mkdirat(above, parts[i].c_str(), 0755) != 0 && errno != EEXIST)
          return system("make", joined(parts, i + 1), errno);
        UniqueFd next(open_at2(above, parts[i].c_str(), O_PATH | O_DIRECTORY, 0, resolve));
        if (!next) return system("open", joined(parts, i + 1), errno);
        at = std::move(next);
      }
      fd = at.release();
    }
    if (fd < 0) return system("open", path, errno);
    current_.reset(fd);
    current_path_ = std::move(path);
    return fd;
  }

  bool wanted(const std::string& name) const {
    if (request_.include.empty()) return true;
    for (const std::string& pattern : request_.include) {
      if (glob_match(pattern, name)) return true;
    }
    return false;
  }

  Result<void> take(archive_entry* entry) {
    const std::string name = name_of(entry);
    auto parts = parts_of(name);
    if (!parts) return tl::unexpected(parts.error());
    const EntryKind kind = kind_of(entry);
    if (kind == EntryKind::other) {
      return refuse("archive.device",
                    "the archive holds '" + shorten(name, 200) + "', a device, pipe or socket",
                    "make it of files, folders and links only");
    }
    if (!wanted(joined(*parts, parts->size()))) return {};
    if (parts->size() <= request_.strip) return {};
    parts->erase(parts->begin(), parts->begin() + static_cast<ptrdiff_t>(request_.strip));
    if (reporter_.due()) {
      reporter_.progress(reader_.position(), static_cast<double>(reader_.size()), "extracting");
    }
    const mode_t mode = static_cast<mode_t>(archive_entry_perm(entry)) & 0755;
    std::optional<timespec> mtime;
    if (archive_entry_mtime_is_set(entry) != 0)
      mtime = timespec{archive_entry_mtime(entry), archive_entry_mtime_nsec(entry)};
    if (kind == EntryKind::folder) {
      if (auto made = folder(*parts, parts->size()); !made) return tl::unexpected(made.error());
      folders_.push_back({std::move(*parts), static_cast<mode_t>(mode | 0700), mtime});
      return {};
    }
    auto parent = folder(*parts, parts->size() - 1);
    if (!parent) return tl::unexpected(parent.error());
    const std::string& last = parts->back();
    const std::string path = joined(*parts, parts->size());
    if (auto free = make_room(*parent, last, path); !free) return free;
    ++files_;
    if (kind == EntryKind::link) return link(entry, *parent, *parts, mtime);
    if (kind == EntryKind::hard_link) return hard_link(entry, *parent, last, path);
    return file(entry, *parent, last, path, static_cast<mode_t>(mode | 0600), mtime);
  }

  // In a folder that was empty whatever is there came from this archive.
  Result<void> make_room(int parent, const std::string& name, const std::string& path) {
    if (!request_.into) return {};
    if (!written_.insert(path).second) return duplicate(path);
    struct stat info {};
    if (::fstatat(parent, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) return {};
    if (S_ISDIR(info.st_mode)) {
      return refuse("archive.exists",
                    "'" + shorten(path, 200) + "' is a folder in the target, a file in the archive",
                    "remove the folder first");
    }
    if (::unlinkat(parent, name.c_str(), 0) != 0) return system("replace", path, errno);
    return {};
  }

  static tl::unexpected<Error> duplicate(const std::string& path) {
    return refuse("archive.duplicate", "the archive holds '" + shorten(path, 200) + "' more than once",
                  "readers of such an archive disagree about what it holds: make it again");
  }

  Result<void> link(archive_entry* entry, int parent, const std::vector<std::string>& parts,
                    const std::optional<timespec>& mtime) {
    const std::string path = joined(parts, parts.size());
    const char* target = archive_entry_symlink(entry);
    if (auto good = check_link(path, target == nullptr ? "" : target, parts.size() - 1); !good) return good;
    if (::symlinkat(target, parent, parts.back().c_str()) != 0) {
      return errno == EEXIST ? Result<void>(duplicate(path)) : system("make", path, errno);
    }
    if (mtime) {
      const timespec times[2] = {*mtime, *mtime};
      ::utimensat(parent, parts.back().c_str(), times, AT_SYMLINK_NOFOLLOW);  // a nicety
    }
    return {};
  }

  Result<void> hard_link(archive_entry* entry, int parent, const std::string& last, const std::string& path) {
    const char* raw = archive_entry_hardlink(entry);
    const std::string to = raw == nullptr ? "" : raw;
    const auto outside = [&] {
      return refuse("archive.link",
                    "the hard link '" + shorten(path, 200) + "' leads to '" + shorten(to, 200) +
                        "', which was not extracted before it",
                    "extract all of the archive, or make it without hard links");
    };
    auto parts = parts_of(to);
    if (!parts) return tl::unexpected(parts.error());
    if (parts->size() <= request_.strip) return outside();
    parts->erase(parts->begin(), parts->begin() + static_cast<ptrdiff_t>(request_.strip));
    const std::string from = joined(*parts, parts->size());
    if (request_.into && !written_.contains(from)) return outside();
    UniqueFd source(open_at2(root_, from.c_str(), O_RDONLY | O_NONBLOCK | O_NOFOLLOW, 0,
                             RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS));
    struct stat info {};
    if (!source || ::fstat(source.get(), &info) != 0 || !S_ISREG(info.st_mode)) return outside();
    // Through the descriptor: what was looked at is what is linked. Where the sandbox forbids links between
    // folders, a copy has the same content.
    const std::string self = "/proc/self/fd/" + std::to_string(source.get());
    if (::linkat(AT_FDCWD, self.c_str(), parent, last.c_str(), AT_SYMLINK_FOLLOW) == 0) return {};
    if (errno == EEXIST) return duplicate(path);
    UniqueFd copy(::openat(parent, last.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                           info.st_mode & 0777));
    if (!copy) return errno == EEXIST ? Result<void>(duplicate(path)) : system("make", path, errno);
    std::vector<char> buffer(1U << 18);
    while (true) {
      const ssize_t n = ::read(source.get(), buffer.data(), buffer.size());
      if (n < 0) return system("read", from, errno);
      if (n == 0) break;
      if (auto ok = reader_.count(static_cast<uint64_t>(n)); !ok) return ok;
      if (auto ok = write_all(copy.get(), {buffer.data(), static_cast<size_t>(n)}); !ok) return ok;
    }
    bytes_ += static_cast<uint64_t>(info.st_size);
    return {};
  }

  Result<void> file(archive_entry* entry, int parent, const std::string& last, const std::string& path,
                    mode_t mode, const std::optional<timespec>& mtime) {
    UniqueFd fd(::openat(parent, last.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
    if (!fd) return errno == EEXIST ? Result<void>(duplicate(path)) : system("make", path, errno);
    uint64_t end = 0;  // of what was written or left out as a hole
    const auto grow = [&](uint64_t to) -> Result<void> {
      if (to <= end) return {};
      auto ok = reader_.count(to - end);
      if (ok) end = to;
      return ok;
    };
    while (true) {
      const void* data = nullptr;
      size_t size = 0;
      int64_t offset = 0;
      const int code = archive_read_data_block(reader_.get(), &data, &size, &offset);
      if (code == ARCHIVE_EOF) break;
      if (code != ARCHIVE_OK) {
        if (archive_read_has_encrypted_entries(reader_.get()) > 0) {
          return refuse("archive.password", reader_.path() + " is protected by a password",
                        "archives with passwords are not supported: make it without one");
        }
        return reader_.damaged(path);
      }
      if (offset < 0) return reader_.damaged(path);
      if (auto ok = grow(static_cast<uint64_t>(offset) + size); !ok) return ok;
      const char* at = static_cast<const char*>(data);
      while (size > 0) {
        const ssize_t n = ::pwrite(fd.get(), at, size, offset);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return system("write", path, errno);
        at += n;
        offset += n;
        size -= static_cast<size_t>(n);
      }
      if (reporter_.due())
        reporter_.progress(reader_.position(), static_cast<double>(reader_.size()), "extracting");
    }
    // A hole at the end of a sparse file has no block.
    if (archive_entry_size_is_set(entry) != 0 && archive_entry_size(entry) > 0) {
      const auto size = static_cast<uint64_t>(archive_entry_size(entry));
      if (size > end) {
        if (archive_entry_sparse_count(entry) == 0) return reader_.damaged(path);
        if (auto ok = grow(size); !ok) return ok;
        if (::ftruncate(fd.get(), static_cast<off_t>(size)) != 0) return system("write", path, errno);
      }
    }
    bytes_ += end;
    if (mtime) {
      const timespec times[2] = {*mtime, *mtime};
      ::futimens(fd.get(), times);  // a nicety: a time that the file system cannot keep is none
    }
    return {};
  }

  // Modes and times of folders, the deepest first: nothing is made in them any more.
  Result<void> finish() {
    current_.reset();
    for (auto at = folders_.rbegin(); at != folders_.rend(); ++at) {
      const std::string path = joined(at->parts, at->parts.size());
      UniqueFd fd(open_at2(root_, path.c_str(), O_RDONLY | O_DIRECTORY, 0,
                           RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS));
      if (!fd) return system("open", path, errno);
      if (::fchmod(fd.get(), at->mode) != 0) return system("change", path, errno);
      if (!at->mtime) continue;
      const timespec times[2] = {*at->mtime, *at->mtime};
      ::futimens(fd.get(), times);
    }
    return {};
  }

  const ArchiveExtract& request_;
  ArchiveReader& reader_;
  int root_;
  Reporter& reporter_;
  UniqueFd current_;
  std::string current_path_;
  std::vector<Made> folders_;
  std::unordered_set<std::string> written_;  // only where `into`
  uint64_t files_ = 0, bytes_ = 0;
};

}  // namespace

Result<std::string> archive_list(const ArchiveList& request, Reporter& reporter) {
  auto reader = ArchiveReader::open(request.archive, request.limits);
  if (!reader) return tl::unexpected(reader.error());
  std::string items;
  cbor::Writer w(items);
  while (true) {
    auto entry = reader->next();
    if (!entry) return tl::unexpected(entry.error());
    if (*entry == nullptr) break;
    const EntryKind kind = kind_of(*entry);
    const char* link = kind == EntryKind::link        ? archive_entry_symlink(*entry)
                       : kind == EntryKind::hard_link ? archive_entry_hardlink(*entry)
                                                      : nullptr;
    w.map(link == nullptr ? 5 : 6);
    w.text("path");
    w.text_or_bytes(name_of(*entry));
    w.text("type");
    w.text(describe(kind));
    w.text("size");
    w.unsigned_integer(archive_entry_size(*entry) > 0 ? static_cast<uint64_t>(archive_entry_size(*entry))
                                                      : 0);
    w.text("mode");
    w.unsigned_integer(archive_entry_perm(*entry) & 07777);
    w.text("mtime");
    w.number(mtime_of(*entry));
    if (link != nullptr) {
      w.text("target");
      w.text_or_bytes(link);
    }
    if (items.size() > kMaxListing) {
      return refuse("archive.too_big", request.archive.path + " has too many entries to list",
                    "extract it, and look at the folder");
    }
    if (reporter.due()) reporter.progress(reader->position(), static_cast<double>(reader->size()), "listing");
  }
  std::string out;
  cbor::Writer(out).array(reader->entries());
  return out + items;
}

Result<std::string> archive_extract(const ArchiveExtract& request, Reporter& reporter) {
  auto root = open_place(request.folder, O_PATH | O_DIRECTORY);
  if (!root) return tl::unexpected(root.error());
  auto reader = ArchiveReader::open(request.archive, request.limits);
  if (!reader) return tl::unexpected(reader.error());
  Extraction extraction(request, *reader, root->get(), reporter);
  if (auto done = extraction.run(); !done) return tl::unexpected(done.error());
  std::string out;
  cbor::Writer w(out);
  w.map(2);
  w.text("files");
  w.unsigned_integer(extraction.files());
  w.text("bytes");
  w.unsigned_integer(extraction.bytes());
  return out;
}

}  // namespace pf::services::io
