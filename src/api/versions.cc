#include "api/versions.h"

#include <sys/stat.h>

#include <cstdlib>

#include "api/reads.h"
#include "api/secrets.h"
#include "base/json.h"
#include "base/text.h"

namespace pf::api {
namespace {

namespace fs = std::filesystem;
using services::Folder;

int64_t nanoseconds(const timespec& time) { return time.tv_sec * 1'000'000'000 + time.tv_nsec; }

/// The folder that holds a path, and the name in it, after all links on the way to it.
Result<OpenPlace> place_of(const std::string& path) {
  std::error_code code;
  const fs::path real = fs::weakly_canonical(path, code);
  if (code) return tl::unexpected(system_error("cannot look at " + path, code.value()));
  auto folder = Folder::open(real.has_relative_path() ? real.parent_path() : real);
  if (!folder) return tl::unexpected(folder.error());
  return OpenPlace{std::move(*folder), real.has_relative_path() ? real.filename().string() : "."};
}

bool is_absence(const Error& error) { return error.code == "os.enoent" || error.code == "os.enotdir"; }

std::optional<std::string> names_now(const std::string& name, std::string_view was) {
  if (auto folder = Folder::open(name)) {
    if (auto names = folder->list(".")) {
      std::string version = text_version(join(*names, "\n"));
      if (version == was || name.find_first_of("*?[") == std::string::npos) return version;
    }
  }
  const size_t wildcard = name.find_first_of("*?[");
  if (wildcard == std::string::npos) return std::nullopt;
  const size_t cut = name.rfind('/', wildcard);
  if (cut == std::string::npos) return std::nullopt;
  auto folder = Folder::open(cut == 0 ? "/" : name.substr(0, cut));
  if (!folder) return is_absence(folder.error()) ? std::optional(text_version("")) : std::nullopt;
  auto names = folder->glob(name.substr(cut + 1), nullptr);
  if (!names) return std::nullopt;
  return text_version(join(*names, "\n"));
}

std::optional<std::string> exists_now(const std::string& name) {
  struct stat info {};
  if (::lstat(name.c_str(), &info) == 0) return "there";
  return errno == ENOENT || errno == ENOTDIR ? std::optional<std::string>("absent") : std::nullopt;
}

std::optional<std::string> info_now(const std::string& name) {
  const fs::path path(name);
  auto folder = Folder::open(path.has_relative_path() ? path.parent_path() : path);
  if (!folder) return std::nullopt;
  auto info = folder->stat(path.has_relative_path() ? path.filename().string() : ".");
  if (!info) return std::nullopt;
  return info_version(*info);
}

}  // namespace

Result<std::string> Versions::content(const std::string& path) {
  auto at = place_of(path);
  if (!at) {
    if (is_absence(at.error())) return std::string("absent");
    return tl::unexpected(at.error());
  }
  const auto digest = [this](const Folder& folder, const std::string& name) -> Result<std::string> {
    auto located = folder.locate(name);
    if (!located) return tl::unexpected(located.error());
    struct stat info {};
    if (::fstat(located->fd.get(), &info) != 0) {
      return tl::unexpected(system_error("cannot look at " + name, errno));
    }
    Known now{info.st_dev,
              info.st_ino,
              static_cast<uint64_t>(info.st_size),
              nanoseconds(info.st_mtim),
              nanoseconds(info.st_ctim),
              {}};
    const std::string& key = located->path.native();
    {
      std::lock_guard lock(mutex_);
      const auto found = known_.find(key);
      if (found != known_.end() && found->second.device == now.device && found->second.inode == now.inode &&
          found->second.size == now.size && found->second.modified == now.modified &&
          found->second.changed == now.changed) {
        return found->second.version;
      }
    }
    auto made = digest_file(folder, name, nullptr);
    if (!made) return made;
    // A file that was changed a moment ago may change again within the same tick of its clock.
    struct timespec clock {};
    ::clock_gettime(CLOCK_REALTIME, &clock);
    if (nanoseconds(clock) - now.changed > 2'000'000'000) {
      now.version = *made;
      std::lock_guard lock(mutex_);
      known_[key] = std::move(now);
    }
    return made;
  };
  return content_version(*at, nullptr, digest, skip_.string());
}

// Of all files that a pattern finds: their names and versions.
std::optional<std::string> Versions::inputs(const std::string& pattern) {
  const size_t wildcard = pattern.find_first_of("*?[");
  if (wildcard == std::string::npos) {
    auto version = content(pattern);
    return version ? std::optional(std::move(*version)) : std::nullopt;
  }
  const size_t cut = pattern.rfind('/', wildcard);
  const std::string base = cut == std::string::npos || cut == 0 ? "/" : pattern.substr(0, cut);
  auto folder = Folder::open(base);
  if (!folder) return is_absence(folder.error()) ? std::optional<std::string>("absent") : std::nullopt;
  auto paths = folder->glob(pattern.substr(cut + 1), nullptr);
  if (!paths) return std::nullopt;
  std::string lines;
  for (const std::string& path : *paths) {
    auto version = content(base + "/" + path);
    if (!version) return std::nullopt;
    lines += path + '\0' + *version + '\n';
  }
  return text_version(lines);
}

uint64_t Versions::effort(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return 0;
  if (S_ISDIR(info.st_mode)) return UINT64_MAX;
  if (!S_ISREG(info.st_mode)) return 0;
  std::lock_guard lock(mutex_);
  const auto found = known_.find(path);
  const bool known = found != known_.end() && found->second.inode == info.st_ino &&
                     found->second.size == static_cast<uint64_t>(info.st_size) &&
                     found->second.changed == nanoseconds(info.st_ctim);
  return known ? 0 : static_cast<uint64_t>(info.st_size);
}

std::optional<std::string> Versions::now(std::string_view what, const std::string& name,
                                         std::string_view was) {
  if (what == "file" || what == "program") {
    auto version = content(name);
    return version ? std::optional(std::move(*version)) : std::nullopt;
  }
  if (what == "inputs") return inputs(name);
  if (what == "names") return names_now(name, was);
  if (what == "exists") return exists_now(name);
  if (what == "info") return info_now(name);
  if (what == "env") return env_version(std::getenv(name.c_str()));
  if (what == "secret") {
    auto value = secrets_.get(name);
    return value ? secrets_.version(*value) : std::nullopt;
  }
  // A commit, or a digest that was demanded: it cannot be another one.
  if (what == "git" || what == "download") return std::string(was);
  if (what == "tool") {
    const auto found = tools_.find(name);
    return found == tools_.end() ? std::nullopt : std::optional(found->second);
  }
  return std::nullopt;
}

}  // namespace pf::api
