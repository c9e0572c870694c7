#include "api/paths.h"

#include <climits>
#include <cstdlib>
#include <memory>

namespace pf::api {
namespace {

// `path` lies at or below `root`; both are absolute and normalised. `rest` is what remains, `.` for root
// itself.
bool below(std::string_view path, std::string_view root, std::string& rest) {
  if (root == "/") {
    rest = path.size() > 1 ? path.substr(1) : std::string_view(".");
    return true;
  }
  if (!path.starts_with(root)) return false;
  if (path.size() == root.size()) {
    rest = ".";
    return true;
  }
  if (path[root.size()] != '/') return false;  // /data2 is not below /data
  rest = path.substr(root.size() + 1);
  return true;
}

bool absolute_normal(std::string_view path, std::string& out) {
  return !path.empty() && path.front() == '/' && path.find('\0') == std::string_view::npos &&
         normalise(path, out);
}

tl::unexpected<Error> bad(std::string_view why) {
  return refuse("file.path", "no usable path: " + std::string(why),
                "a path is text without NUL bytes, relative to the work folder or absolute");
}

// A folder as far as `path` is one, else the folder above and the last part in it.
Result<OpenPlace> split(const services::Folder& base, const std::string& path, const std::string& rest) {
  auto folder = base.below(path);
  if (folder) return OpenPlace{std::move(*folder), rest};
  if (folder.error().code != "os.enotdir" && folder.error().code != "os.enoent")
    return tl::unexpected(folder.error());
  const size_t slash = path.rfind('/');
  auto above = base.below(slash == std::string::npos ? "." : path.substr(0, slash));
  if (!above) return tl::unexpected(above.error());
  above->refuse_links();
  std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  if (rest != ".") name += "/" + rest;
  return OpenPlace{std::move(*above), std::move(name)};
}

}  // namespace

bool normalise(std::string_view path, std::string& out) {
  const bool absolute = !path.empty() && path.front() == '/';
  std::vector<std::string_view> parts;
  for (size_t at = 0; at <= path.size();) {
    size_t end = path.find('/', at);
    if (end == std::string_view::npos) end = path.size();
    const std::string_view part = path.substr(at, end - at);
    at = end + 1;
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      if (parts.empty() && !absolute) return false;
      if (!parts.empty()) parts.pop_back();  // above the root is the root
      continue;
    }
    parts.push_back(part);
  }
  out.clear();
  for (std::string_view part : parts) {
    if (absolute || !out.empty()) out += '/';
    out += part;
  }
  if (out.empty()) out = absolute ? "/" : ".";
  return true;
}

Result<FilePlace> find_place(std::string_view path, const std::filesystem::path& work_folder,
                             const std::vector<Grants::Entry>& granted,
                             const std::vector<Grants::Entry>& written) {
  if (path.empty()) return bad("it is empty");
  if (path.find('\0') != std::string_view::npos) return bad("it holds a NUL byte");
  if (path.size() >= PATH_MAX) return bad("it has more than 4095 bytes");
  FilePlace place;
  std::string work;
  const bool has_work = absolute_normal(work_folder.native(), work);
  if (path.front() != '/') {
    std::string rest;
    if (!has_work || !normalise(path, rest)) {
      std::string text = work + "/" + std::string(path);
      return refuse("permission.path", std::string(path) + ", which leads out of the work folder");
    }
    place.work = true;
    place.root = work;
    place.rest = rest;
    place.text = rest == "." ? work : work + "/" + rest;
    return place;
  }
  normalise(path, place.text);
  if (has_work && below(place.text, work, place.rest)) {
    place.work = true;
    place.root = work;
    return place;
  }
  // Of several grants the one that a person wrote, and of these the widest: links within it are good.
  const Grants::Entry* best = nullptr;
  for (const Grants::Entry& entry : granted) {
    std::string root, rest;
    if (!absolute_normal(entry.value, root) || !below(place.text, root, rest)) continue;
    if (best != nullptr && (best->literal > entry.literal ||
                            (best->literal == entry.literal && place.root.size() <= root.size()))) {
      continue;
    }
    best = &entry;
    place.root = root;
    place.rest = rest;
    place.literal = entry.literal;
  }
  if (best == nullptr) return refuse("permission.path", place.text);
  const auto guard = [&](const std::string& folder) {
    std::string rest;
    if (folder == place.root || !below(place.root, folder, rest)) return;
    if (place.guard.empty() || folder.size() < place.guard.size()) place.guard = folder;
  };
  if (has_work) guard(work);
  for (const Grants::Entry& entry : written) {
    std::string folder;
    if (absolute_normal(entry.value, folder)) guard(folder);
  }
  return place;
}

Result<OpenPlace> open_place(const FilePlace& place) {
  std::string path = place.root;
  std::string base = "/";
  if (place.literal && !place.guard.empty()) {
    base = place.guard;
    below(place.root, place.guard, path);
  } else if (place.literal) {
    // The person who wrote the path wrote it with the links that are on it.
    std::unique_ptr<char, void (*)(void*)> real(::realpath(place.root.c_str(), nullptr), std::free);
    if (!real) {
      const size_t slash = place.root.rfind('/');
      const std::string above = slash == 0 ? "/" : place.root.substr(0, slash);
      real.reset(::realpath(above.c_str(), nullptr));
      path = real
                 ? std::string(real.get()) + (real.get()[1] == '\0' ? "" : "/") + place.root.substr(slash + 1)
                 : place.root;
    } else {
      path = real.get();
    }
  }
  if (!path.empty() && path.front() == '/') path.erase(0, 1);
  if (path.empty()) path = ".";
  auto folder = services::Folder::open(base);
  if (!folder) return tl::unexpected(folder.error());
  folder->set_label(base);
  return split(*folder, path, place.rest);
}

}  // namespace pf::api
