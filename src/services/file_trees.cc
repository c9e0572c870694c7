// The operations of Folder that walk a tree: remove and glob. Both are iterative, so that no depth of folders
// is a depth of stack.
#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>

#include "base/text.h"
#include "services/file_calls.h"
#include "services/files.h"

namespace pf::services {
namespace {

/// Folders that a removal keeps open; what lies deeper is lifted to the top first.
constexpr size_t kOpenLevels = 64;

bool stopped(Stop stop) { return stop != nullptr && stop->load(std::memory_order_relaxed); }

UniqueFd open_child(int parent, const std::string& name) {
  constexpr uint64_t kResolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
  return UniqueFd(open_at2(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, kResolve));
}

struct Level {
  UniqueFd fd;
  std::string name;
  std::vector<Entry> left;
  int refills = 0;  // how often it was not empty though it looked so
};

}  // namespace

int remove_tree(int parent, const std::string& name, Stop stop) {
  if (::unlinkat(parent, name.c_str(), 0) == 0) return 0;
  if (errno != EISDIR && errno != EPERM) return errno;
  const int unlink_code = errno;
  std::vector<Level> levels(1);
  levels[0].fd = open_child(parent, name);
  levels[0].name = name;
  if (!levels[0].fd) return errno == ENOTDIR || errno == ELOOP ? unlink_code : errno;
  while (true) {
    if (stopped(stop)) return ECANCELED;
    Level& level = levels.back();
    if (level.left.empty()) {
      if (int code = read_entries(level.fd.get(), level.left); code != 0) return code;
    }
    if (level.left.empty()) {
      const int above = levels.size() > 1 ? levels[levels.size() - 2].fd.get() : parent;
      if (::unlinkat(above, level.name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) {
        if (errno != ENOTEMPTY || ++level.refills > 100) return errno;  // somebody else puts files into it
        continue;
      }
      levels.pop_back();
      if (levels.empty()) return 0;
      continue;
    }
    const Entry entry = std::move(level.left.back());
    level.left.pop_back();
    if (entry.type != DT_DIR) {
      if (::unlinkat(level.fd.get(), entry.name.c_str(), 0) == 0 || errno == ENOENT) continue;
      if (errno != EISDIR) return errno;
    }
    if (levels.size() >= kOpenLevels) {
      const std::string lifted = temporary_name();
      if (::renameat(level.fd.get(), entry.name.c_str(), levels[0].fd.get(), lifted.c_str()) != 0)
        return errno;
      continue;  // the top looks again when it seems empty
    }
    Level child;
    child.fd = open_child(level.fd.get(), entry.name);
    if (!child.fd) {
      if (errno == ENOENT) continue;
      if (errno != ENOTDIR && errno != ELOOP) return errno;
      // swapped for something else meanwhile
      if (::unlinkat(level.fd.get(), entry.name.c_str(), 0) != 0 && errno != ENOENT) return errno;
      continue;
    }
    child.name = entry.name;
    levels.push_back(std::move(child));
  }
}

namespace {

/// One part of a pattern between slashes.
struct Part {
  std::string text;
  bool any_folders = false;  // `**`
  bool literal = false;
};

bool has_wildcard(std::string_view text) { return text.find_first_of("*?[") != std::string_view::npos; }

bool matches(const Part& part, const std::string& name) {
  if (part.literal) return part.text == name;
  if (name.front() == '.' && part.text.front() != '.') return false;
  return glob_match(part.text, name);
}

/// A folder to look into: its path, and which parts of the pattern its entries may match, one bit each.
struct Visit {
  std::string path;
  uint64_t parts = 0;
};

}  // namespace

Result<std::vector<std::string>> Folder::glob(std::string_view pattern, Stop stop) const {
  if (auto ok = check(pattern); !ok) return tl::unexpected(ok.error());
  std::string base;
  std::vector<Part> parts;
  for (size_t at = 0; at <= pattern.size();) {
    size_t end = pattern.find('/', at);
    if (end == std::string_view::npos) end = pattern.size();
    const std::string_view text = pattern.substr(at, end - at);
    at = end + 1;
    if (text.empty() || text == ".") continue;
    const bool last = end == pattern.size();
    if (parts.empty() && !has_wildcard(text) && !last) {
      base += (base.empty() ? "" : "/") + std::string(text);
      continue;
    }
    Part part;
    part.text = text;
    part.any_folders = text == "**";
    part.literal = !has_wildcard(text);
    if (part.any_folders && !parts.empty() && parts.back().any_folders) continue;
    parts.push_back(std::move(part));
  }
  if (parts.empty()) parts.push_back({".", false, true});
  if (parts.back().any_folders) parts.push_back({"*", false, false});
  if (parts.size() > 64) {
    return refuse("file.path", "the pattern has more than 64 parts after its first wildcard",
                  "use a shorter pattern");
  }
  std::vector<std::string> out;
  if (parts.size() == 1 && parts[0].literal) {
    const std::string path = base.empty() ? parts[0].text : base + "/" + parts[0].text;
    auto there = exists(path);
    if (!there) return tl::unexpected(there.error());
    if (*there) out.push_back(path);
    return out;
  }

  // A set of parts rather than one for each visit: every folder is read once, whatever the number of `**`.
  const auto bit = [](size_t i) { return uint64_t{1} << i; };
  const auto close = [&](uint64_t set) {
    for (size_t i = 0; i + 1 < parts.size(); ++i) {
      if ((set & bit(i)) != 0 && parts[i].any_folders) set |= bit(i + 1);
    }
    return set;
  };
  size_t visits = 0, bytes = 0;
  std::vector<Visit> open;
  open.push_back({base, close(1)});
  bool first = true;
  while (!open.empty()) {
    if (stopped(stop)) return tl::unexpected(failure("search", pattern, ECANCELED));
    const Visit visit = std::move(open.back());
    open.pop_back();
    const std::string path = visit.path.empty() ? "." : visit.path;
    UniqueFd fd(open_beneath(path, O_RDONLY | O_DIRECTORY | (first ? 0 : O_NOFOLLOW), 0));
    if (!fd) {
      const bool gone = errno == ENOENT || errno == ENOTDIR;
      // What cannot be entered is passed over, as a shell does, except where the pattern itself begins.
      if (gone || (!first && (errno == ELOOP || errno == EXDEV || errno == EACCES))) {
        first = false;
        continue;
      }
      return tl::unexpected(failure("search", path, errno));
    }
    first = false;
    std::vector<Entry> entries;
    if (int code = read_entries(fd.get(), entries); code != 0)
      return tl::unexpected(failure("search", path, code));
    visits += entries.size();
    if (visits > kMaxGlobVisits) {
      return refuse("file.too_big",
                    "the pattern " + shown(pattern) + " looks at more than " +
                        std::to_string(kMaxGlobVisits) + " names",
                    "use a narrower pattern");
    }
    for (const Entry& entry : entries) {
      uint64_t next = 0;
      bool found = false;
      for (uint64_t left = visit.parts; left != 0; left &= left - 1) {
        const auto i = static_cast<size_t>(std::countr_zero(left));
        if (parts[i].any_folders) {
          if (entry.type == DT_DIR && entry.name.front() != '.') next |= bit(i);
        } else if (matches(parts[i], entry.name)) {
          if (i + 1 == parts.size())
            found = true;
          else if (entry.type == DT_DIR)
            next |= bit(i + 1);
        }
      }
      if (!found && next == 0) continue;
      std::string child = visit.path.empty() ? entry.name : visit.path + "/" + entry.name;
      if (next != 0) open.push_back({child, close(next)});
      if (found) {
        bytes += child.size() + 8;
        if (bytes > kMaxListing) {
          return refuse("file.too_big",
                        "the paths that " + shown(pattern) + " matches take more than " +
                            std::to_string(kMaxListing) + " bytes",
                        "use a narrower pattern");
        }
        out.push_back(std::move(child));
      }
    }
  }
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace pf::services
