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

// A folder's entries in order: kind, name, and the digest of a file. An explicit stack, since folders may be
// deep.
Result<std::string> tree_digest(const Folder& root, const DigestFile& digest, const std::string& skip) {
  Sha256 sum;
  std::vector<std::string> open = {"."};
  while (!open.empty()) {
    const std::string path = std::move(open.back());
    open.pop_back();
    auto names = root.list(path);
    if (!names) return tl::unexpected(names.error());
    for (const std::string& name : *names) {
      const std::string below = path == "." ? name : path + "/" + name;
      if (below == skip) continue;
      auto info = root.stat(below);
      if (!info) return tl::unexpected(info.error());
      std::string line = std::string(services::describe(info->type)) + '\0' + below + '\0';
      if (info->type == FileType::folder) open.push_back(below);
      if (info->type == FileType::file) {
        auto made = digest(root, below);
        if (!made) return made;
        line += *made;
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

std::string info_version(const services::FileInfo& info) {
  return std::string(services::describe(info.type)) + " " + std::to_string(info.size) + " " +
         to_json_text(Json(info.modified));
}

Result<std::string> digest_file(const Folder& folder, const std::string& path, services::Stop stop) {
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

Result<std::string> content_version(const OpenPlace& at, services::Stop stop, const DigestFile& digest,
                                    const std::string& skip) {
  auto located = at.folder.locate(at.path);
  if (!located) {
    if (located.error().code == "os.enoent" || located.error().code == "os.enotdir")
      return std::string("absent");
    return tl::unexpected(located.error());
  }
  const DigestFile plain = [stop](const Folder& folder, const std::string& path) {
    return digest_file(folder, path, stop);
  };
  const DigestFile& make = digest ? digest : plain;
  if (located->type != FileType::folder) {
    auto made = make(at.folder, at.path);
    return made ? "sha256:" + *made : made;
  }
  // By its real path, so that the same tree has the same digest whichever folder it was reached from.
  auto root = at.folder.enter(at.path);
  if (!root) return tl::unexpected(root.error());
  const std::string real = located->path.string() + "/";
  auto made = tree_digest(*root, make, skip.starts_with(real) ? skip.substr(real.size()) : std::string());
  return made ? "tree:" + *made : made;
}

}  // namespace pf::api
