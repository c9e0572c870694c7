#include "pipeline/folders.h"

#include <algorithm>

#include "base/cbor.h"
#include "base/text.h"

namespace pf::pipeline {
namespace {

constexpr size_t kMaxMatches = 100'000;
constexpr int kMaxDepth = 64;
namespace fs = std::filesystem;

/// One pattern being matched against the file system, part by part.
class Matcher {
 public:
  Matcher(std::vector<std::string> parts, size_t fixed) : parts_(std::move(parts)), fixed_(fixed) {}

  void run(const fs::path& folder, const std::string& value, const std::string& key, size_t part, int depth) {
    if (error_ || depth > kMaxDepth) return;
    if (part == parts_.size()) {
      if (matches_.size() == kMaxMatches)
        return fail("the pattern matches more than " + std::to_string(kMaxMatches) + " folders");
      matches_.push_back({key.empty() ? parts_.back() : key, value});
      return;
    }
    const std::string& pattern = parts_[part];
    if (part < fixed_ || pattern == "." || pattern == "..") {
      std::error_code code;
      if (fs::is_directory(folder / pattern, code)) {
        run(folder / pattern, append(value, pattern), part < fixed_ ? key : append(key, pattern), part + 1,
            depth + 1);
      } else if (part < fixed_) {
        fail("there is no folder '" + append(value, pattern) + "'");
      }
      return;
    }
    const bool any = pattern == "**";
    if (any) run(folder, value, key, part + 1, depth + 1);
    std::error_code code;
    std::vector<std::string> names;
    for (fs::directory_iterator at(folder, code), end; !code && at != end; at.increment(code)) {
      std::string name = at->path().filename().string();
      if (name[0] == '.' && pattern[0] != '.') continue;
      std::error_code ignored;
      if (!at->is_directory(ignored) || (any && at->is_symlink(ignored))) continue;
      if (any || glob_match(pattern, name)) names.push_back(std::move(name));
    }
    if (code) return fail("cannot list the folder '" + folder.string() + "': " + code.message());
    for (const std::string& name : names) {
      if (!cbor::is_utf8(name))
        return fail("a folder in '" + folder.string() + "' has a name that is no UTF-8 text");
      run(folder / name, append(value, name), append(key, name), any ? part : part + 1, depth + 1);
    }
  }

  Result<std::vector<FolderMatch>> take() {
    if (error_) return tl::unexpected(*error_);
    std::sort(matches_.begin(), matches_.end(),
              [](const auto& a, const auto& b) { return a.value < b.value; });
    matches_.erase(std::unique(matches_.begin(), matches_.end(),
                               [](const auto& a, const auto& b) { return a.value == b.value; }),
                   matches_.end());
    return std::move(matches_);
  }

 private:
  static std::string append(const std::string& path, const std::string& part) {
    if (path.empty()) return part;
    return path.back() == '/' ? path + part : path + '/' + part;
  }
  void fail(std::string message) {
    if (!error_)
      error_ = refuse("pipeline.folders", std::move(message), "patterns are relative to the pipeline file")
                   .value();
  }

  std::vector<std::string> parts_;
  size_t fixed_;
  std::vector<FolderMatch> matches_;
  std::optional<Error> error_;
};

}  // namespace

Result<std::vector<FolderMatch>> match_folders(const std::string& pattern,
                                               const std::filesystem::path& base) {
  std::vector<std::string> parts;
  for (size_t at = 0; at < pattern.size();) {
    const size_t end = std::min(pattern.find('/', at), pattern.size());
    if (end > at) parts.push_back(pattern.substr(at, end - at));
    at = end + 1;
  }
  if (parts.empty() || parts.size() > static_cast<size_t>(kMaxDepth)) {
    return refuse("pipeline.folders", "'" + shorten(pattern, 60) + "' is no pattern of folders",
                  "write, for example, recipes/*");
  }
  const auto wild = std::find_if(parts.begin(), parts.end(), [](const std::string& part) {
    return part.find_first_of("*?[") != std::string::npos;
  });
  const size_t fixed = static_cast<size_t>(wild - parts.begin());
  const bool absolute = pattern[0] == '/';
  Matcher matcher(std::move(parts), fixed);
  matcher.run(absolute ? fs::path("/") : base, absolute ? "/" : "", "", 0, 0);
  return matcher.take();
}

}  // namespace pf::pipeline
