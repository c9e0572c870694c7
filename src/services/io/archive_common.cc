#include "services/io/archive_common.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <climits>

#include "base/text.h"

namespace pf::services::io {
namespace {

constexpr size_t kBlock = 1U << 18;       // bytes read at once
constexpr uint64_t kSmall = 64ULL << 20;  // up to here no ratio counts
constexpr size_t kMaxName = 4095, kMaxPart = 255, kMaxDepth = 256;

}  // namespace

Result<ArchiveReader> ArchiveReader::open(const Place& place, const ArchiveLimits& limits) {
  ArchiveReader out;
  out.path_ = place.path;
  out.limits_ = limits;
  auto fd = open_place(place, O_RDONLY);
  if (!fd) return tl::unexpected(fd.error());
  out.fd_ = std::move(*fd);
  struct stat info {};
  if (::fstat(out.fd_.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return refuse("archive.format", place.path + " is no regular file", "name a tar or zip file");
  }
  out.size_ = static_cast<uint64_t>(info.st_size);
  out.archive_.reset(archive_read_new());
  archive* a = out.archive_.get();
  if (a == nullptr) return fail("os.enomem", "libarchive cannot be used: no memory");
  archive_read_support_format_tar(a);
  archive_read_support_format_zip(a);
  archive_read_support_filter_gzip(a);
  archive_read_support_filter_bzip2(a);
  archive_read_support_filter_xz(a);
  archive_read_support_filter_zstd(a);
  if (archive_read_open_fd(a, out.fd_.get(), kBlock) != ARCHIVE_OK) {
    return refuse("archive.format", place.path + " is no archive that can be read",
                  "tar, also with gzip, bzip2, xz or zstd, and zip can be read");
  }
  return out;
}

tl::unexpected<Error> ArchiveReader::damaged(std::string_view entry) const {
  const char* text = archive_error_string(archive_.get());
  const std::string why = text == nullptr ? "it ends too early" : shorten(text, 300);
  const int code = archive_errno(archive_.get());
  if (code == ENOMEM || code == EIO) return tl::unexpected(system_error("cannot read " + path_, code));
  return refuse("archive.damaged",
                path_ + " is damaged" + (entry.empty() ? "" : " at " + shorten(entry, 200)) + ": " + why,
                "get or make it again");
}

double ArchiveReader::position() const {
  return static_cast<double>(archive_filter_bytes(archive_.get(), -1));
}

Result<void> ArchiveReader::check(uint64_t bytes) const {
  if (bytes > limits_.max_size) {
    return refuse("archive.bomb", path_ + " unpacks to more than " + format_bytes(limits_.max_size),
                  "where this is meant, raise `max_size`");
  }
  if (bytes > kSmall && static_cast<double>(bytes) > limits_.max_ratio * static_cast<double>(size_)) {
    return refuse("archive.bomb",
                  path_ + " unpacks to more than " +
                      std::to_string(static_cast<uint64_t>(limits_.max_ratio)) + " times its " +
                      format_bytes(size_),
                  "where this is meant, raise `max_ratio`");
  }
  return {};
}

Result<void> ArchiveReader::count(uint64_t bytes) {
  // Sizes that a header claims may be near the largest number there is.
  unpacked_ = bytes > UINT64_MAX - unpacked_ ? UINT64_MAX : unpacked_ + bytes;
  return check(unpacked_);
}

Result<archive_entry*> ArchiveReader::next() {
  archive_entry* entry = nullptr;
  const int code = archive_read_next_header(archive_.get(), &entry);
  // What was decompressed to get here, also the content of entries that nobody asked for.
  const int64_t inflated = archive_filter_bytes(archive_.get(), 0);
  if (inflated > 0 && archive_filter_count(archive_.get()) > 1) {
    if (auto ok = check(static_cast<uint64_t>(inflated)); !ok) return tl::unexpected(ok.error());
  }
  if (code == ARCHIVE_EOF) return nullptr;
  if (code != ARCHIVE_OK && code != ARCHIVE_WARN) {
    if (!format_known_ && archive_format(archive_.get()) == 0) {
      return refuse("archive.format", path_ + " is no archive that can be read",
                    "tar, also with gzip, bzip2, xz or zstd, and zip can be read");
    }
    return damaged();
  }
  format_known_ = true;
  if (archive_filter_count(archive_.get()) > 2) {
    return refuse("archive.format", path_ + " is compressed more than once", "unpack its outer layer first");
  }
  if (archive_entry_is_encrypted(entry) != 0) {
    return refuse("archive.password", path_ + " is protected by a password",
                  "archives with passwords are not supported: make it without one");
  }
  if (++entries_ > limits_.max_files) {
    return refuse("archive.bomb", path_ + " has more than " + std::to_string(limits_.max_files) + " entries",
                  "where this is meant, raise `max_files`");
  }
  return entry;
}

EntryKind kind_of(archive_entry* entry) {
  if (archive_entry_hardlink(entry) != nullptr) return EntryKind::hard_link;
  switch (archive_entry_filetype(entry)) {
    case AE_IFREG: return EntryKind::file;
    case AE_IFDIR: return EntryKind::folder;
    case AE_IFLNK: return EntryKind::link;
    default: return EntryKind::other;
  }
}

std::string_view describe(EntryKind kind) {
  switch (kind) {
    case EntryKind::file: return "file";
    case EntryKind::folder: return "folder";
    case EntryKind::link: return "link";
    case EntryKind::hard_link: return "hard link";
    case EntryKind::other: return "other";
  }
  return "";
}

std::string name_of(archive_entry* entry) {
  const char* name = archive_entry_pathname(entry);
  if (name == nullptr) name = archive_entry_pathname_utf8(entry);
  return name == nullptr ? std::string() : name;
}

Result<std::vector<std::string>> parts_of(const std::string& name) {
  const std::string shown = shorten(name, 200);
  const auto bad = [&](const std::string& why) {
    return refuse("archive.name", "the archive holds '" + shown + "': " + why, "make the archive again");
  };
  if (name.empty()) return bad("an entry without a readable name");
  if (name.front() == '/') {
    return refuse("archive.traversal", "the archive holds the absolute path " + shown,
                  "names in an archive must be relative: make it again from within the folder");
  }
  if (name.size() > kMaxName) return bad("it has more than 4095 bytes");
  std::vector<std::string> parts;
  for (size_t at = 0; at <= name.size();) {
    const size_t end = std::min(name.find('/', at), name.size());
    std::string part = name.substr(at, end - at);
    at = end + 1;
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      return refuse("archive.traversal", "the archive holds '" + shown + "', which leads upwards",
                    "names in an archive must stay below its folder: do not trust this one");
    }
    if (part.size() > kMaxPart) return bad("a name has more than 255 bytes");
    parts.push_back(std::move(part));
  }
  if (parts.size() > kMaxDepth) return bad("it is more than 256 folders deep");
  return parts;
}

Result<void> check_link(const std::string& name, std::string_view target, size_t depth) {
  bool good = !target.empty() && target.front() != '/' && target.size() <= kMaxName &&
              target.find('\0') == std::string_view::npos;
  bool down = false;
  size_t up = 0;
  for (size_t at = 0; good && at <= target.size();) {
    const size_t end = std::min(target.find('/', at), target.size());
    const std::string_view part = target.substr(at, end - at);
    at = end + 1;
    if (part.empty() || part == ".") continue;
    if (part == "..")
      good = !down && ++up <= depth;
    else
      down = true;
  }
  if (good) return {};
  return refuse(
      "archive.link",
      "the link '" + shorten(name, 200) + "' leads to '" + shorten(target, 200) + "', which may lie outside",
      "links must stay below the archive's folder, with `..` only at the beginning");
}

}  // namespace pf::services::io
