#include "orchestrator/affected.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "services/capture.h"

namespace pf::orchestrator {
namespace {

namespace fs = std::filesystem;

constexpr Milliseconds kPatience{60'000};

/// Lines of a file as it is now: [first, last].
struct Lines {
  uint32_t first = 0, last = 0;
};

Result<std::string> git(const fs::path& folder, std::vector<std::string> words) {
  std::vector<std::string> argv = {"git", "-C", folder.string()};
  argv.insert(argv.end(), words.begin(), words.end());
  auto out = services::capture(argv, kPatience);
  if (out) return out;
  std::string line;
  for (const std::string& word : words) line += " " + word;
  return refuse(
      "affected.git", "git" + line + ": " + out.error().message,
      "--affected needs the pipeline in a git repository, and a commit that it knows: --affected=REF",
      {folder.string(), 0, 0, {}});
}

// Paths of `-z` output, absolute.
void add_paths(const fs::path& top, const std::string& text, std::set<std::string>& out) {
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\0', at), text.size());
    if (end > at) out.insert((top / text.substr(at, end - at)).lexically_normal().string());
    at = end + 1;
  }
}

// The hunks of `git diff -U0`: lines that are new or were changed, and, where some were only removed, those
// on either side.
std::vector<Lines> hunks(const std::string& diff) {
  std::vector<Lines> out;
  for (size_t at = diff.find("\n@@ "); at != std::string::npos; at = diff.find("\n@@ ", at + 1)) {
    const size_t plus = diff.find('+', at);
    if (plus == std::string::npos) break;
    uint32_t first = 0;
    uint32_t count = 1;
    const char* const end = diff.data() + diff.size();
    const auto [next, code] = std::from_chars(diff.data() + plus + 1, end, first);
    if (code != std::errc()) continue;
    if (next != end && *next == ',') std::from_chars(next + 1, end, count);
    out.push_back(count == 0 ? Lines{first, first + 1} : Lines{first, first + count - 1});
  }
  return out;
}

class Finding {
 public:
  explicit Finding(const Project& project) : project_(project), pipeline_(*project.pipeline) {
    marked_.resize(pipeline_.instances.size());
  }

  Result<std::vector<bool>> run(const std::string& reference) {
    const fs::path& folder = pipeline_.folder;
    auto top = git(folder, {"rev-parse", "--show-toplevel"});
    if (!top) return tl::unexpected(top.error());
    while (top->ends_with('\n')) top->pop_back();
    auto commit =
        git(folder, {"rev-parse", "--verify", "--quiet", "--end-of-options", reference + "^{commit}"});
    if (!commit) return tl::unexpected(commit.error());
    while (commit->ends_with('\n')) commit->pop_back();
    auto changed = git(folder, {"diff", "--name-only", "--no-ext-diff", "-z", *commit, "--", *top});
    if (!changed) return tl::unexpected(changed.error());
    add_paths(*top, *changed, changed_);
    auto untracked = git(*top, {"ls-files", "--others", "--exclude-standard", "-z"});
    if (!untracked) return tl::unexpected(untracked.error());
    add_paths(*top, *untracked, changed_);
    if (auto marked = mark_files(*commit); !marked) return tl::unexpected(marked.error());
    mark_extensions();
    mark_paths();
    close_over(pipeline_, true, marked_);
    return std::move(marked_);
  }

 private:
  bool has_changed(const std::string& path) const {
    if (changed_.contains(path)) return true;
    const auto below = changed_.lower_bound(path + "/");
    return below != changed_.end() && below->starts_with(path + "/");
  }

  // The pipeline's files: by lines, from the one that an instance begins in to where the next one does.
  Result<void> mark_files(const std::string& commit) {
    const auto& document = *pipeline_.document;
    for (size_t i = 0; i < document.file_count(); ++i) {
      const auto file = static_cast<uint16_t>(i);
      const fs::path path = fs::absolute(document.file(file)).lexically_normal();
      if (!changed_.contains(path.string())) continue;
      auto diff =
          git(pipeline_.folder, {"diff", "-U0", "--no-color", "--no-ext-diff", commit, "--", path.string()});
      if (!diff) return tl::unexpected(diff.error());
      // A file that git does not know yet has no hunks: all of it is new.
      const auto lines = diff->empty() ? std::vector<Lines>{{1, UINT32_MAX}} : hunks(*diff);
      for (const Lines& hunk : lines) mark_lines(file, hunk);
    }
    return {};
  }

  void mark_lines(uint16_t file, const Lines& hunk) {
    std::set<uint32_t> begins;
    for (const auto& instance : pipeline_.instances) {
      if (instance.at.file == file) begins.insert(instance.at.line);
    }
    // What stands before the first instance is core, or a section's name.
    const bool shared = begins.empty() || hunk.first < *begins.begin();
    for (uint32_t i = 0; i < pipeline_.instances.size(); ++i) {
      const auto& at = pipeline_.instances[i].at;
      if (shared) {
        marked_[i] = true;
        continue;
      }
      if (at.file != file) continue;
      const auto next = begins.upper_bound(at.line);
      const uint32_t last = next == begins.end() ? UINT32_MAX : *next - 1;
      if (hunk.first <= last && hunk.last >= at.line) marked_[i] = true;
    }
  }

  void mark_extensions() {
    for (uint32_t i = 0; i < marked_.size(); ++i) {
      const auto& type = pipeline_.sections[pipeline_.instances[i].section].type;
      std::error_code code;
      const fs::path folder = fs::weakly_canonical(project_.extensions.at(type).package.folder, code);
      const auto changed = [&](const pipeline::Hook& hook) { return has_changed(hook.script.string()); };
      const auto& hooks = pipeline_.hooks[pipeline_.instances[i].hooks];
      if (has_changed(folder.string()) || std::any_of(hooks.begin(), hooks.end(), changed) ||
          std::any_of(pipeline_.core_hooks.begin(), pipeline_.core_hooks.end(), changed)) {
        marked_[i] = true;
      }
    }
  }

  // Paths in configurations, as far as they are known before anything runs.
  void mark_paths() {
    for (uint32_t i = 0; i < marked_.size(); ++i) {
      if (marked_[i]) continue;
      pipeline::Document scratch;
      Errors errors;
      const pipeline::Node config = pipeline::evaluate_static(pipeline_, i, scratch, errors);
      const auto& type = pipeline_.sections[pipeline_.instances[i].section].type;
      std::vector<std::string> inputs;
      std::string encoded;
      pipeline::Encoding encoding;
      encoding.inputs = &inputs;
      project_.extensions.at(type).schema->encode(scratch, config, encoded, encoding);
      marked_[i] =
          std::any_of(inputs.begin(), inputs.end(), [&](const auto& path) { return has_changed(path); });
    }
  }

  const Project& project_;
  const pipeline::Pipeline& pipeline_;
  std::set<std::string> changed_;  // absolute paths
  std::vector<bool> marked_;
};

}  // namespace

Result<std::vector<bool>> affected(const Project& project, const std::string& reference) {
  auto marked = Finding(project).run(reference);
  if (!marked) return marked;
  if (std::none_of(marked->begin(), marked->end(), [](bool one) { return one; })) {
    return refuse("affected.nothing", "nothing that the pipeline is made of differs from " + reference,
                  "name another commit with --affected=REF", {project.pipeline->file.string(), 0, 0, {}});
  }
  return marked;
}

Result<void> find_affected(const Project& project, Selection& selection) {
  if (selection.affected.empty()) return {};
  auto marked = affected(project, selection.affected);
  if (!marked) return tl::unexpected(std::move(marked.error()));
  selection.marked = std::move(*marked);
  return {};
}

}  // namespace pf::orchestrator
