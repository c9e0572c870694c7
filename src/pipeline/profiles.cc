// `--profile`: core.profiles and the profile's file, merged over the pipeline.
#include <algorithm>

#include "base/text.h"
#include "pipeline/loader.h"
#include "pipeline/overlay.h"
#include "pipeline/sources.h"

namespace pf::pipeline {
namespace {

namespace fs = std::filesystem;

/// The names of all `<stem>.<profile>.yaml` beside a pipeline file.
std::vector<std::string> profile_files(const fs::path& folder, const std::string& stem) {
  std::vector<std::string> names;
  std::error_code code;
  for (fs::directory_iterator at(folder, code), end; !code && at != end; at.increment(code)) {
    const std::string name = at->path().filename().string();
    const size_t fixed = stem.size() + 1 + 5;
    if (name.size() <= fixed || !name.starts_with(stem + ".") || !name.ends_with(".yaml")) continue;
    const std::string profile = name.substr(stem.size() + 1, name.size() - fixed);
    if (is_identifier(profile)) names.push_back(profile);
  }
  return names;
}

/// A pipeline without core.profiles, which have said what they had to say.
Node without_profiles(Document& document, const Node& body) {
  std::vector<Entry> entries(body.map().begin(), body.map().end());
  for (Entry& entry : entries) {
    if (entry.key.string() != "core" || entry.value.find("profiles") == nullptr) continue;
    std::vector<Entry> core;
    for (const Entry& key : entry.value.map()) {
      if (key.key.string() != "profiles") core.push_back(key);
    }
    entry.value = document.make_map(core, entry.value);
  }
  return document.make_map(entries, body);
}

}  // namespace

std::optional<Node> Loader::with_profile(const Node& body) {
  const Node* core = body.find("core");
  const Node* profiles = core != nullptr ? core->find("profiles") : nullptr;
  const size_t before = errors_.size();
  const Node* chosen = nullptr;
  bool found = false;
  if (profiles != nullptr && profiles->kind != Kind::map && !profiles->is_null()) {
    wrong_type(*profiles, "core.profiles", "a mapping of profiles by name");
  }
  for (const Entry& entry : profiles != nullptr ? profiles->map() : std::span<const Entry>()) {
    const std::string path = "core.profiles." + std::string(entry.key.string());
    if (!is_identifier(entry.key.string())) {
      report("pipeline.name",
             "'" + shorten(entry.key.string(), 60) +
                 "' is no name of a profile, expected letters, digits, '_' and '-', beginning with a letter",
             "rename the profile", entry.key, path);
    } else if (entry.value.kind != Kind::map && !entry.value.is_null()) {
      wrong_type(entry.value, path, "a mapping with core and sections, as the pipeline is");
    } else if (entry.key.string() == options_.profile) {
      found = true;
      chosen = &entry.value;
    }
  }
  if (errors_.size() > before) return std::nullopt;
  Node merged = profiles == nullptr ? body : without_profiles(document(), body);
  if (options_.profile.empty()) return merged;
  pipeline_.profile = options_.profile;
  if (chosen != nullptr && chosen->kind == Kind::map) {
    if (!holds_no_profiles(*chosen)) return std::nullopt;
    auto with = merge_pipeline(document(), merged, *chosen);
    if (!with) {
      errors_.push_back(std::move(with.error()));
      return std::nullopt;
    }
    merged = *with;
  }
  fs::path file = options_.file;
  file.replace_filename(file.stem().string() + "." + options_.profile + ".yaml");
  std::error_code code;
  if (is_identifier(options_.profile) && fs::exists(file, code)) {
    if (!read_profile_file(merged, file)) return std::nullopt;
  } else if (!found) {
    unknown_profile(body, profiles);
    return std::nullopt;
  }
  return merged;
}

bool Loader::holds_no_profiles(const Node& overlay) {
  const Node* core = overlay.find("core");
  for (const Entry& entry : core != nullptr ? core->map() : std::span<const Entry>()) {
    if (entry.key.string() != "profiles") continue;
    report("pipeline.misplaced_key", "a profile holds no profiles of its own",
           "move them to core.profiles of the pipeline", entry.key, "core.profiles");
    return false;
  }
  return true;
}

/// A file of the form of the pipeline's: pipelines by name. What it says of others is not looked at.
bool Loader::read_profile_file(Node& body, const fs::path& file) {
  auto source = read_source(file, file.string(), options_.tree_cache);
  if (!source) {
    errors_.push_back(std::move(source.error()));
    return false;
  }
  const Document& read = *source->document;
  const Node root = adopt(document(), read.root(), document().add_file(file.string(), read.folder(0)));
  if (!source->fresh.empty()) links_.fresh_trees.push_back({source->fresh, root, read.has_merge_tags()});
  if (root.is_null()) return true;
  if (root.kind != Kind::map) {
    wrong_type(root, file.filename().string(), "a mapping of pipelines",
               "begin it as the pipeline's own file, with the name of the pipeline");
    return false;
  }
  std::vector<std::string> names;
  for (const Entry& entry : document().root().map()) names.emplace_back(entry.key.string());
  const Node* overlay = nullptr;
  for (const Entry& entry : root.map()) {
    if (document().root().find(entry.key.string()) == nullptr) {
      std::string hint = did_you_mean(entry.key.string(), names);
      if (hint.empty()) hint = "begin it with the name of the pipeline: " + shorten(join(names, " or "), 200);
      report("pipeline.unknown",
             "there is no pipeline '" + shorten(entry.key.string(), 60) + "' that this profile can be of",
             std::move(hint), entry.key, {});
      return false;
    }
    if (entry.key.string() == pipeline_.name) overlay = &entry.value;
  }
  if (overlay == nullptr || overlay->is_null()) return true;
  if (overlay->kind != Kind::map) {
    wrong_type(*overlay, pipeline_.name, "a mapping with core and sections");
    return false;
  }
  if (!holds_no_profiles(*overlay)) return false;
  auto with = merge_pipeline(document(), body, *overlay);
  if (!with) {
    errors_.push_back(std::move(with.error()));
    return false;
  }
  body = *with;
  return true;
}

void Loader::unknown_profile(const Node& body, const Node* profiles) {
  const std::string stem = options_.file.stem().string();
  std::vector<std::string> names = profile_files(document().folder(0), stem);
  if (profiles != nullptr) {
    for (const Entry& entry : profiles->map()) names.emplace_back(entry.key.string());
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  std::string hint = did_you_mean(options_.profile, names);
  if (hint.empty()) {
    hint = names.empty() ? "add it to core.profiles, or as a file " + stem + ".NAME.yaml"
                         : "the profiles are: " + shorten(join(names, ", "), 200);
  }
  report("pipeline.unknown_profile", "the pipeline has no profile '" + shorten(options_.profile, 60) + "'",
         std::move(hint), profiles != nullptr ? *profiles : body, "core.profiles");
}

}  // namespace pf::pipeline
