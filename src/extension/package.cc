#include "extension/package.h"

#include <algorithm>
#include <set>

#include "base/digest.h"
#include "base/file.h"
#include "base/places.h"
#include "base/text.h"
#include "base/version.h"

namespace pf::extension {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxFiles = 1000;
constexpr uint64_t kMaxLua = 8ULL << 20;     // bytes of all Lua files
constexpr uint64_t kMaxBytes = 64ULL << 20;  // bytes of all files that count
constexpr int kMaxLevels = 16;               // of folders

Error package_error(const char* code, std::string message, std::string hint, const fs::path& file) {
  Error error;
  error.code = code;
  error.message = std::move(message);
  error.hint = std::move(hint);
  error.where.file = file.string();
  error.retryable = false;
  return error;
}

tl::unexpected<Errors> one(Error error) { return tl::unexpected(Errors{std::move(error)}); }

bool is_file(const fs::path& path) {
  std::error_code code;
  return fs::is_regular_file(path, code);
}

bool is_package(const fs::path& folder) { return is_file(folder / "extension.yaml"); }

/// One file of a package, by its path inside with `/`.
struct File {
  std::string name;
  fs::path path;
};

/// Lists the files of a package that count, in no order.
class Listing {
 public:
  explicit Listing(const fs::path& root) : root_(root) {}
  std::vector<File> files;

  Result<void> read(const fs::path& folder, const std::string& prefix, int level) {
    if (level > kMaxLevels) return stop("extension.too_big", "is nested deeper than 16 folders", folder);
    std::error_code code;
    fs::directory_iterator at(folder, code);
    for (; !code && at != fs::directory_iterator(); at.increment(code)) {
      const std::string leaf = at->path().filename().string();
      if (leaf.front() == '.' || (prefix.empty() && leaf == "spec")) continue;
      if (leaf.starts_with("README") || leaf.ends_with(".md")) continue;
      if (auto done = add(*at, prefix + leaf, level); !done) return done;
    }
    if (!code) return {};
    Error error = system_error("cannot list " + folder.string(), code.value());
    error.where.file = folder.string();
    return tl::unexpected(std::move(error));
  }

 private:
  Result<void> add(const fs::directory_entry& entry, const std::string& name, int level) {
    std::error_code code;
    const bool is_link = entry.is_symlink(code);
    const fs::file_status status = entry.status(code);
    if (is_link) {
      if (auto done = check_link(entry.path(), status); !done) return done;
    }
    if (fs::is_directory(status)) return read(entry.path(), name + "/", level + 1);
    if (!fs::is_regular_file(status)) {
      return stop("extension.file_kind", "holds '" + name + "', which is neither a file nor a folder",
                  entry.path());
    }
    if (files.size() == kMaxFiles) return stop("extension.too_big", "holds more than 1000 files", root_);
    files.push_back({name, entry.path()});
    return {};
  }

  // A link must lead to a file of the package: one to a folder could lead round in a circle.
  Result<void> check_link(const fs::path& path, const fs::file_status& status) const {
    std::error_code code;
    const fs::path target = fs::canonical(path, code);
    const fs::path root = fs::canonical(root_, code);
    const auto [end, unused] = std::mismatch(root.begin(), root.end(), target.begin(), target.end());
    if (code || end != root.end() || !fs::is_regular_file(status)) {
      return stop("extension.link", "holds a symbolic link that does not lead to a file of the package",
                  path);
    }
    return {};
  }

  Result<void> stop(const char* code, const std::string& what, const fs::path& file) const {
    return tl::unexpected(package_error(code, "the package " + root_.string() + " " + what,
                                        "a package holds Lua files and small data files", file));
  }

  fs::path root_;
};

// `lib/words.lua` -> `lib.words`; empty for what cannot be required.
std::string module_name(std::string_view file) {
  std::string name(file.substr(0, file.size() - 4));
  bool start = true;  // of a part
  for (char& c : name) {
    const bool word =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    if (c == '/' && !start)
      c = '.';
    else if (!word)
      return {};
    start = c == '.';
  }
  return start ? std::string() : name;
}

void add_size(Sha256& digest, uint64_t size) {
  char bytes[8];
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(size >> (8 * i));
  digest.update({bytes, sizeof bytes});
}

// Reads all files: modules, and the digest over each name and content in the order of names, lengths first.
Result<void> read_files(std::vector<File> files, Package& package) {
  std::sort(files.begin(), files.end(), [](const File& a, const File& b) { return a.name < b.name; });
  Sha256 digest;
  uint64_t lua = 0, bytes = 0;
  const auto too_big = [&](const File& file, const std::string& what) {
    return tl::unexpected(package_error("extension.too_big",
                                        "the package " + package.folder.string() + " holds more than " + what,
                                        "a package holds Lua files and small data files", file.path));
  };
  for (const File& file : files) {
    auto content = read_file(file.path, kMaxBytes);
    if (!content) {
      content.error().where.file = file.path.string();
      return tl::unexpected(content.error());
    }
    add_size(digest, file.name.size());
    digest.update(file.name);
    add_size(digest, content->size());
    digest.update(*content);
    bytes += content->size();
    if (bytes > kMaxBytes) return too_big(file, format_bytes(kMaxBytes) + " of files");
    if (!file.name.ends_with(".lua")) continue;
    lua += content->size();
    if (lua > kMaxLua) return too_big(file, format_bytes(kMaxLua) + " of Lua");
    if (file.name == "init.lua") continue;
    const std::string name = module_name(file.name);
    if (name.empty()) {
      return tl::unexpected(package_error(
          "extension.module_name",
          "'" + shorten(file.name, 80) +
              "' cannot be required: its name has other characters than letters, digits, _ and -",
          "rename the file", file.path));
    }
    package.modules.emplace(name, std::move(*content));
  }
  const auto hash = digest.finish();
  package.digest = to_hex({reinterpret_cast<const char*>(hash.data()), hash.size()});
  return {};
}

Result<void> check_core(const Manifest& manifest) {
  if (manifest.requires_core.empty()) return {};
  const auto matches = version_matches(kVersion, manifest.requires_core);
  if (!matches) return tl::unexpected(matches.error());
  if (*matches) return {};
  return tl::unexpected(package_error("extension.version",
                                      "'" + manifest.name + "' " + manifest.version + " needs pangeo-forge " +
                                          manifest.requires_core + ", this is " + kVersion,
                                      "use a version of the extension that fits, or another pangeo-forge",
                                      manifest.file));
}

/// One folder of the search order, with the words for it.
struct SearchFolder {
  fs::path path;
  std::string source;
  bool asked_for = false;  // by --extensions: must exist
};

std::vector<SearchFolder> search_order(const SearchOptions& options) {
  std::vector<SearchFolder> out;
  for (const auto& folder : options.folders) out.push_back({folder, "--extensions " + folder.string(), true});
  if (!options.project.empty()) {
    out.push_back({options.project / "extensions", "extensions/ beside the pipeline file"});
  }
  if (auto user = places::user_extensions(); !user.empty())
    out.push_back({std::move(user), "your own extensions"});
  out.push_back({places::bundled_extensions(), "bundled"});
  return out;
}

// What --extensions names must be there: a mistyped folder would otherwise be an unknown extension.
Result<void> check_folders(const std::vector<SearchFolder>& folders) {
  for (const auto& folder : folders) {
    std::error_code code;
    if (!folder.asked_for || fs::is_directory(folder.path, code)) continue;
    return tl::unexpected(package_error(
        "extension.folder_missing", "--extensions names '" + folder.path.string() + "', which is no folder",
        "name a folder of packages, or one package", folder.path));
  }
  return {};
}

// The packages in a folder, sorted by their folders' names.
std::vector<fs::path> packages_in(const fs::path& folder) {
  std::vector<fs::path> out;
  std::error_code code;
  for (fs::directory_iterator at(folder, code); !code && at != fs::directory_iterator(); at.increment(code)) {
    if (is_package(at->path())) out.push_back(at->path());
  }
  std::sort(out.begin(), out.end());
  return out;
}

// A package of a folder of packages is called as its own folder, so that it is found without reading all of
// them.
Result<void> check_folder_name(const Package& package) {
  const std::string folder = package.folder.filename().string();
  if (folder == package.manifest.name) return {};
  return tl::unexpected(
      package_error("manifest.name",
                    "the package in the folder '" + folder + "' calls itself '" + package.manifest.name + "'",
                    "give the folder and `name:` the same name", package.manifest.file));
}

tl::expected<Package, Errors> read_checked(const fs::path& folder, const SearchFolder& from, bool alone) {
  auto package = read_package(folder);
  if (!package) return package;
  package->source = from.source;
  if (!alone) {
    if (auto same = check_folder_name(*package); !same) return one(same.error());
  }
  if (auto fits = check_core(package->manifest); !fits) return one(fits.error());
  return package;
}

Errors unknown(const std::vector<SearchFolder>& folders, const std::string& name) {
  std::vector<std::string> names, looked;
  for (const auto& folder : folders) {
    looked.push_back(folder.path.string());
    if (is_package(folder.path)) {
      if (auto manifest = read_manifest(folder.path / "extension.yaml")) names.push_back(manifest->name);
      continue;
    }
    for (const auto& package : packages_in(folder.path)) names.push_back(package.filename().string());
  }
  std::string hint = did_you_mean(name, names);
  hint += (hint.empty() ? "" : " ") + ("looked in: " + join(looked, ", "));
  Error error = package_error("extension.unknown", "no extension is called '" + shorten(name, 80) + "'",
                              std::move(hint), {});
  return {std::move(error)};
}

// A section's type is a file name here, and must stay one.
bool is_name(const std::string& name) {
  return !name.empty() && name.size() <= 64 && name.front() != '.' &&
         std::none_of(name.begin(), name.end(), [](char c) { return c == '/' || c == '\0'; });
}

}  // namespace

std::vector<fs::path> search_folders(const SearchOptions& options) {
  std::vector<fs::path> out;
  for (auto& folder : search_order(options)) out.push_back(std::move(folder.path));
  return out;
}

tl::expected<Package, Errors> read_package(const fs::path& folder) {
  const fs::path manifest_file = folder / "extension.yaml";
  for (const char* name : {"extension.yaml", "extension.lua"}) {
    if (is_file(folder / name)) continue;
    return one(package_error("extension.file_missing", "the package " + folder.string() + " has no " + name,
                             "a package has extension.yaml and extension.lua at least", folder / name));
  }
  auto manifest = read_manifest(manifest_file);
  if (!manifest) return tl::unexpected(std::move(manifest.error()));
  Package package;
  package.manifest = std::move(*manifest);
  package.folder = folder;
  Listing listing(folder);
  if (auto done = listing.read(folder, "", 1); !done) return one(done.error());
  if (auto done = read_files(std::move(listing.files), package); !done) return one(done.error());
  return package;
}

tl::expected<Package, Errors> find_package(const SearchOptions& options, const std::string& name) {
  const auto folders = search_order(options);
  if (auto there = check_folders(folders); !there) return one(there.error());
  for (const auto& folder : folders) {
    if (is_package(folder.path)) {
      const auto manifest = read_manifest(folder.path / "extension.yaml");
      if (!manifest) return tl::unexpected(manifest.error());
      if (manifest->name == name) return read_checked(folder.path, folder, true);
    } else if (is_name(name)) {
      std::error_code code;
      if (fs::is_directory(folder.path / name, code)) return read_checked(folder.path / name, folder, false);
    }
  }
  return tl::unexpected(unknown(folders, name));
}

std::vector<tl::expected<Package, Errors>> list_packages(const SearchOptions& options) {
  std::vector<std::pair<std::string, tl::expected<Package, Errors>>> found;
  std::vector<tl::expected<Package, Errors>> out;
  std::set<std::string> names;
  const auto folders = search_order(options);
  if (auto there = check_folders(folders); !there) out.push_back(one(there.error()));
  const auto add = [&](const fs::path& path, const SearchFolder& folder, bool alone) {
    auto package = read_checked(path, folder, alone);
    const std::string name = package ? package->manifest.name : path.filename().string();
    if (names.insert(name).second) found.emplace_back(name, std::move(package));
  };
  for (const auto& folder : folders) {
    if (is_package(folder.path)) {
      add(folder.path, folder, true);
      continue;
    }
    for (const auto& path : packages_in(folder.path)) add(path, folder, false);
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  for (auto& [name, package] : found) out.push_back(std::move(package));
  return out;
}

}  // namespace pf::extension
