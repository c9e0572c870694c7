#include "api/reads.h"

#include <unistd.h>

#include <cerrno>
#include <vector>

#include "base/digest.h"
#include "base/json.h"

namespace pf::api {
namespace {

using services::FileType;
using services::Folder;

constexpr size_t kBlock = 256 << 10;

std::string hex(const std::array<uint8_t, 32>& digest) {
  return to_hex({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

Result<std::string> file_digest(const Folder& folder, const std::string& path, services::Stop stop) {
  auto fd = folder.open_file(path);
  if (!fd) return tl::unexpected(fd.error());
  Sha256 sum;
  std::vector<char> block(kBlock);
  while (true) {
    if (stop != nullptr && *stop) return fail("file.stopped", "the attempt has ended");
    const ssize_t n = ::read(fd->get(), block.data(), block.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return tl::unexpected(system_error("cannot read " + path, errno));
    if (n == 0) return hex(sum.finish());
    sum.update({block.data(), static_cast<size_t>(n)});
  }
}

// A folder's entries in order: kind, name, and the digest of a file. An explicit stack, since folders may be
// deep.
Result<std::string> tree_digest(const Folder& folder, const std::string& root, services::Stop stop) {
  Sha256 sum;
  std::vector<std::string> open = {root};
  while (!open.empty()) {
    const std::string path = std::move(open.back());
    open.pop_back();
    auto names = folder.list(path);
    if (!names) return tl::unexpected(names.error());
    for (const std::string& name : *names) {
      const std::string below = path == "." ? name : path + "/" + name;
      auto info = folder.stat(below);
      if (!info) return tl::unexpected(info.error());
      std::string line = std::string(services::describe(info->type)) + '\0' + below + '\0';
      if (info->type == FileType::folder) open.push_back(below);
      if (info->type == FileType::file) {
        auto digest = file_digest(folder, below, stop);
        if (!digest) return digest;
        line += *digest;
      } else if (info->type == FileType::link) {
        line += std::to_string(info->modified);
      }
      sum.update(line + '\n');
    }
  }
  return hex(sum.finish());
}

}  // namespace

void Reads::add(std::string_view what, std::string name, std::optional<std::string> version,
                std::string seen) {
  std::lock_guard lock(mutex_);
  const auto [at, fresh] =
      entries_.try_emplace({std::string(what), std::move(name)}, Entry{version, std::move(seen)});
  if (!fresh && at->second.version != version) at->second.version.reset();
}

void Reads::wrote(const std::string& path) {
  std::lock_guard lock(mutex_);
  written_.insert(path);
}

bool Reads::own(const std::string& path) const {
  std::lock_guard lock(mutex_);
  if (written_.empty()) return false;
  for (size_t end = path.size(); end != std::string::npos && end > 0; end = path.rfind('/', end - 1)) {
    if (written_.contains(path.substr(0, end))) return true;
  }
  return false;
}

std::string Reads::items(const Mask& mask) const {
  std::lock_guard lock(mutex_);
  std::string out;
  for (const auto& [key, entry] : entries_) {
    Json item = {{"what", key.first}, {"name", mask.apply(key.second)}};
    item["version"] = entry.version ? Json(*entry.version) : Json();
    if (!entry.seen.empty()) item["seen"] = mask.apply(entry.seen);
    out += (out.empty() ? "" : ",") + to_json_text(item);
  }
  return out;
}

std::string text_version(std::string_view text) { return "sha256:" + sha256_hex(text); }

std::string env_version(const char* value) { return value == nullptr ? "absent" : text_version(value); }

Result<std::string> content_version(const OpenPlace& at, services::Stop stop) {
  auto located = at.folder.locate(at.path);
  if (!located) {
    if (located.error().code == "os.enoent" || located.error().code == "os.enotdir")
      return std::string("absent");
    return tl::unexpected(located.error());
  }
  const bool folder = located->type == FileType::folder;
  auto digest = folder ? tree_digest(at.folder, at.path, stop) : file_digest(at.folder, at.path, stop);
  if (!digest) return digest;
  return (folder ? "tree:" : "sha256:") + *digest;
}

}  // namespace pf::api
