#include "state/layout.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/digest.h"
#include "base/file.h"

namespace pf::state {
namespace fs = std::filesystem;

std::string Layout::file_name(std::string_view text) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  constexpr size_t kLongest = 200;
  constexpr size_t kKept = 120;
  std::string out;
  size_t kept = 0;  // of `out`, where a cut would not split a %XX
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '_' || c == '-' || (c == '.' && i > 0);
    if (plain) {
      out += c;
    } else {
      out += '%';
      out += kDigits[static_cast<uint8_t>(c) >> 4];
      out += kDigits[static_cast<uint8_t>(c) & 15];
    }
    if (out.size() <= kKept) kept = out.size();
  }
  // `%` alone and `%-` cannot come from the loop, so these names are nobody else's.
  if (out.empty()) return "%";
  if (out.size() <= kLongest) return out;
  return out.substr(0, kept) + "%-" + sha256_hex(text);
}

Error folder_error(std::string_view what, const fs::path& path, int errno_value) {
  Error error = system_error(std::string(what) + " " + path.string(), errno_value);
  if (errno_value == EACCES || errno_value == EPERM || errno_value == EROFS) {
    error.code = "state.read_only";
    error.hint = "give yourself write permission there, or keep the state elsewhere with --state-dir DIR";
    error.retryable = false;
  } else if (errno_value == ENOSPC || errno_value == EDQUOT) {
    error.code = "state.full";
    error.hint = "free some space there, or keep the state elsewhere with --state-dir DIR";
  } else {
    error.hint = "mend it, or keep the state elsewhere with --state-dir DIR";
  }
  return error;
}

Result<void> Layout::make_folder() const {
  // Without a trailing slash, so that parent_path is the parent.
  const fs::path folder = folder_.has_filename() ? folder_ : folder_.parent_path();
  const fs::path parent = folder.has_parent_path() ? folder.parent_path() : fs::path(".");
  std::error_code code;
  fs::create_directories(parent, code);
  if (code) return tl::unexpected(folder_error("cannot make folder", parent, code.value()));
  if (::mkdir(folder.c_str(), 0700) == 0) {
    // So that a crash of the machine cannot lose the folder of a database that was durable.
    UniqueFd above(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (above) (void)::fsync(above.get());
  } else if (errno != EEXIST) {
    return tl::unexpected(folder_error("cannot make folder", folder, errno));
  }
  const bool empty = fs::is_empty(folder, code);
  if (code) return tl::unexpected(folder_error("cannot use the state folder", folder, code.value()));
  if (!fs::is_directory(folder, code)) {
    return tl::unexpected(folder_error("cannot use the state folder", folder, ENOTDIR));
  }
  if (!empty) return {};
  const fs::path ignore = folder / ".gitignore";
  UniqueFd fd(::open(ignore.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd) {
    if (errno == EEXIST) return {};
    return tl::unexpected(folder_error("cannot write", ignore, errno));
  }
  if (!write_all(fd.get(), "*\n")) return tl::unexpected(folder_error("cannot write", ignore, errno));
  return {};
}

}  // namespace pf::state
