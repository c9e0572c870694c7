// Making archives: sorted by name, without owners, with modes 0644 and 0755, so that the same files give the
// same bytes wherever `mtime` is given.
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cmath>

#include "base/cbor.h"
#include "base/text.h"
#include "services/file_calls.h"
#include "services/io/archive_common.h"

namespace pf::services::io {
namespace {

struct Free {
  void operator()(archive* a) const { archive_write_free(a); }
  void operator()(archive_entry* e) const { archive_entry_free(e); }
};

/// Endings and what they mean; the longest that fits counts.
struct Format {
  std::string_view ending;
  int (*format)(archive*);
  int (*filter)(archive*);
};
constexpr Format kFormats[] = {
    {".tar.gz", archive_write_set_format_pax_restricted, archive_write_add_filter_gzip},
    {".tgz", archive_write_set_format_pax_restricted, archive_write_add_filter_gzip},
    {".tar.bz2", archive_write_set_format_pax_restricted, archive_write_add_filter_bzip2},
    {".tar.xz", archive_write_set_format_pax_restricted, archive_write_add_filter_xz},
    {".tar.zst", archive_write_set_format_pax_restricted, archive_write_add_filter_zstd},
    {".tar", archive_write_set_format_pax_restricted, archive_write_add_filter_none},
    {".zip", archive_write_set_format_zip, archive_write_add_filter_none},
};

class Creation {
 public:
  Creation(const ArchiveCreate& request, archive* out, Reporter& reporter)
      : request_(request), out_(out), reporter_(reporter) {}

  Result<void> run() {
    for (const ArchiveSource& source : request_.sources) {
      auto fd = open_place(source.place, O_PATH);
      if (!fd) return tl::unexpected(fd.error());
      struct stat info {};
      if (::fstat(fd->get(), &info) != 0) return system("look at", source.place.path, errno);
      std::vector<std::string> parts;
      std::string own = source.name;
      // A single file has its own name, a single folder none.
      if (own.empty() && S_ISREG(info.st_mode))
        own = source.place.path.substr(source.place.path.rfind('/') + 1);
      if (!own.empty()) {
        auto checked = parts_of(own);
        if (!checked) return tl::unexpected(checked.error());
        parts = std::move(*checked);
      }
      depth_ = parts.size();
      std::string name = join(parts, "/");
      if (S_ISDIR(info.st_mode)) {
        if (!name.empty()) {
          if (auto ok = header(name + "/", AE_IFDIR, 0755, 0, info, {}); !ok) return ok;
        }
        if (auto ok = folder(fd->get(), name, parts.size()); !ok) return ok;
      } else if (S_ISREG(info.st_mode) && !name.empty()) {
        UniqueFd content(
            ::open(("/proc/self/fd/" + std::to_string(fd->get())).c_str(), O_RDONLY | O_CLOEXEC));
        if (!content) return system("read", source.place.path, errno);
        if (auto ok = file(content.get(), name, info); !ok) return ok;
      } else {
        return special(source.place.path);
      }
    }
    return {};
  }
  uint64_t files() const { return files_; }
  uint64_t bytes() const { return bytes_; }

 private:
  static tl::unexpected<Error> special(const std::string& name) {
    return refuse("archive.device", shorten(name, 200) + " is a device, pipe or socket",
                  "archives are made of files, folders and links");
  }
  static tl::unexpected<Error> system(std::string_view verb, const std::string& name, int code) {
    return tl::unexpected(system_error("cannot " + std::string(verb) + " " + shorten(name, 200), code));
  }
  tl::unexpected<Error> write_error(const std::string& name) const {
    const int code = archive_errno(out_);
    if (code > 0 && code < 4096) return system("write", request_.name, code);
    const char* text = archive_error_string(out_);
    return refuse("archive.name",
                  "'" + shorten(name, 200) + "' cannot be put into " + request_.name + ": " +
                      shorten(text == nullptr ? "it is refused" : text, 200),
                  "rename it, or choose another format");
  }

  // Depth first, the names of a folder sorted bytewise.
  Result<void> folder(int fd, const std::string& prefix, size_t depth) {
    if (depth > 256) return refuse("archive.name", prefix + " is more than 256 folders deep");
    std::vector<Entry> entries;
    if (const int code = read_entries(fd, entries); code != 0) return system("list", prefix, code);
    std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.name < b.name; });
    for (const Entry& entry : entries) {
      const std::string name = prefix.empty() ? entry.name : prefix + "/" + entry.name;
      if (auto ok = one(fd, entry.name, name, depth); !ok) return ok;
    }
    return {};
  }

  Result<void> one(int parent, const std::string& last, const std::string& name, size_t depth) {
    if (reporter_.due()) reporter_.progress(static_cast<double>(bytes_), 0, "archiving");
    UniqueFd fd(::openat(parent, last.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    struct stat info {};
    if (!fd || ::fstat(fd.get(), &info) != 0) return system("look at", name, errno);
    if (S_ISDIR(info.st_mode)) {
      // Where the archive itself is being made.
      if (info.st_ino == request_.folder.inode && info.st_dev == request_.folder.device) return {};
      if (auto ok = header(name + "/", AE_IFDIR, 0755, 0, info, {}); !ok) return ok;
      return folder(fd.get(), name, depth + 1);
    }
    if (S_ISLNK(info.st_mode)) {
      std::string target(PATH_MAX, '\0');
      const ssize_t n = ::readlinkat(fd.get(), "", target.data(), target.size());
      if (n < 0) return system("read", name, errno);
      target.resize(static_cast<size_t>(n));
      if (auto ok = check_link(name, target, depth - depth_); !ok) return ok;
      ++files_;
      return header(name, AE_IFLNK, 0777, 0, info, target);
    }
    if (!S_ISREG(info.st_mode)) return special(name);
    UniqueFd content(::openat(parent, last.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!content || ::fstat(content.get(), &info) != 0 || !S_ISREG(info.st_mode))
      return system("read", name, errno == 0 ? EAGAIN : errno);
    return file(content.get(), name, info);
  }

  Result<void> header(const std::string& name, unsigned type, mode_t mode, int64_t size,
                      const struct stat& info, const std::string& target) {
    std::unique_ptr<archive_entry, Free> entry(archive_entry_new());
    archive_entry_copy_pathname(entry.get(), name.c_str());
    archive_entry_set_filetype(entry.get(), type);
    archive_entry_set_perm(entry.get(), mode);
    archive_entry_set_size(entry.get(), size);
    if (request_.mtime) {
      const double whole = std::floor(*request_.mtime);
      archive_entry_set_mtime(entry.get(), static_cast<time_t>(whole),
                              static_cast<long>((*request_.mtime - whole) * 1e9));
    } else {
      archive_entry_set_mtime(entry.get(), info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
    }
    if (!target.empty()) archive_entry_copy_symlink(entry.get(), target.c_str());
    const int code = archive_write_header(out_, entry.get());
    if (code != ARCHIVE_OK && code != ARCHIVE_WARN) return write_error(name);
    return {};
  }

  Result<void> file(int fd, const std::string& name, const struct stat& info) {
    const mode_t mode = (info.st_mode & 0100) != 0 ? 0755 : 0644;
    if (auto ok = header(name, AE_IFREG, mode, info.st_size, info, {}); !ok) return ok;
    ++files_;
    int64_t left = info.st_size;
    while (left > 0) {
      const ssize_t n =
          ::read(fd, buffer_.data(), std::min<size_t>(buffer_.size(), static_cast<size_t>(left)));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return system("read", name, errno);
      if (n == 0) {
        return fail("archive.changed", shorten(name, 200) + " became shorter while it was read",
                    "let nothing write to the files meanwhile, and try again");
      }
      if (archive_write_data(out_, buffer_.data(), static_cast<size_t>(n)) != n) return write_error(name);
      left -= n;
      bytes_ += static_cast<uint64_t>(n);
      if (reporter_.due()) reporter_.progress(static_cast<double>(bytes_), 0, "archiving");
    }
    return {};
  }

  const ArchiveCreate& request_;
  archive* out_;
  Reporter& reporter_;
  size_t depth_ = 0;  // of the source's own name: links may lead up to its folder
  std::vector<char> buffer_ = std::vector<char>(1U << 18);
  uint64_t files_ = 0, bytes_ = 0;
};

}  // namespace

Result<std::string> archive_create(const ArchiveCreate& request, Reporter& reporter) {
  const auto* format = std::find_if(std::begin(kFormats), std::end(kFormats),
                                    [&](const Format& f) { return request.name.ends_with(f.ending); });
  if (format == std::end(kFormats)) {
    return refuse("archive.format", request.name + " does not say which format it should have",
                  "name it .tar, .tar.gz, .tgz, .tar.bz2, .tar.xz, .tar.zst or .zip");
  }
  auto folder = open_place(request.folder, O_PATH | O_DIRECTORY);
  if (!folder) return tl::unexpected(folder.error());
  UniqueFd file(::openat(folder->get(), request.name.c_str(),
                         O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
  if (!file) return tl::unexpected(system_error("cannot make " + request.name, errno));
  std::unique_ptr<archive, Free> out(archive_write_new());
  archive* a = out.get();
  format->format(a);
  format->filter(a);
  archive_write_set_bytes_per_block(a, 1 << 18);
  archive_write_set_bytes_in_last_block(a, 1);
  if (format->filter == archive_write_add_filter_gzip)
    archive_write_set_filter_option(a, "gzip", "timestamp", nullptr);  // it would differ each time
  if (archive_write_open_fd(a, file.get()) != ARCHIVE_OK) {
    return fail("archive.format", request.name + " cannot be made: " + archive_error_string(a));
  }
  Creation creation(request, a, reporter);
  if (auto done = creation.run(); !done) {
    archive_write_fail(a);  // else its end would be made, with zeros for all that is missing
    return tl::unexpected(done.error());
  }
  if (archive_write_close(a) != ARCHIVE_OK) {
    const int code = archive_errno(a);
    return tl::unexpected(system_error("cannot write " + request.name, code > 0 && code < 4096 ? code : EIO));
  }
  struct stat info {};
  ::fstat(file.get(), &info);
  std::string value;
  cbor::Writer w(value);
  w.map(3);
  w.text("files");
  w.unsigned_integer(creation.files());
  w.text("bytes");
  w.unsigned_integer(creation.bytes());
  w.text("size");
  w.unsigned_integer(static_cast<uint64_t>(info.st_size));
  return value;
}

}  // namespace pf::services::io
