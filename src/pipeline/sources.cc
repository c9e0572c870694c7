#include "pipeline/sources.h"

#include <vector>

#include "base/text.h"
#include "pipeline/overlay.h"
#include "pipeline/reader.h"
#include "pipeline/tree_cache.h"

namespace pf::pipeline {
namespace {

namespace fs = std::filesystem;
constexpr size_t kMaxFiles = 100;

/// `include:` of a file, unless it is a pipeline of that name.
const Node* include_of(const Node& root) {
  const Node* include = root.find("include");
  return include != nullptr && include->kind != Kind::map ? include : nullptr;
}

/// Follows includes, depth first; one use.
class Including {
 public:
  Including(Document& document, const fs::path& trees, std::vector<FreshTree>* fresh)
      : document_(document), trees_(trees), fresh_(fresh) {}

  /// What a file's root comes to. `name` is the file as messages show it, `path` where it is.
  Result<Node> resolve(const Node& root, const std::string& name, const fs::path& path) {
    const Node* include = include_of(root);
    if (include == nullptr) return root;
    chain_.push_back({canonical(path), name});
    Node below;
    below.file = root.file;
    const std::span<const Node> files =
        include->kind == Kind::list ? include->list() : std::span<const Node>(include, 1);
    for (const Node& file : files) {
      auto content = read(file, fs::path(name).parent_path());
      if (!content) return content;
      auto merged = merge_files(document_, below, *content);
      if (!merged) return merged;
      below = *merged;
    }
    chain_.pop_back();
    std::vector<Entry> own;
    for (const Entry& entry : root.map()) {
      if (&entry.value != include) own.push_back(entry);
    }
    Node rest = document_.make_map(own, root);
    return merge_files(document_, below, rest);
  }

 private:
  struct File {
    fs::path path;
    std::string name;
  };

  static fs::path canonical(const fs::path& path) {
    std::error_code code;
    fs::path out = fs::weakly_canonical(path, code);
    return code ? path : out;
  }

  Result<Node> read(const Node& written, const fs::path& shown) {
    const Where where = document_.where(written, "include");
    if (written.kind != Kind::string || written.size == 0 || written.computed) {
      return refuse("pipeline.type",
                    "include names " + std::string(describe(written.kind)) +
                        (written.computed ? " with an expression" : "") + ", expected paths of files",
                    "write include: [common.yaml]", where);
    }
    const std::string text(written.string());
    const fs::path path = document_.folder(written.file) / text;
    const fs::path real = canonical(path);
    for (size_t i = 0; i < chain_.size(); ++i) {
      if (chain_[i].path != real) continue;
      std::string names;
      for (size_t k = i; k < chain_.size(); ++k) names += chain_[k].name + " -> ";
      return refuse("pipeline.include", "files include each other: " + names + chain_[i].name,
                    "remove one of these includes", where);
    }
    if (++files_ > kMaxFiles) {
      return refuse("pipeline.include", "more than " + std::to_string(kMaxFiles) + " files are included",
                    "put some of them together", where);
    }
    const std::string name = (shown / text).lexically_normal().string();
    auto source = read_source(path, name, trees_);
    if (!source && source.error().code == "yaml.missing_file") {
      return refuse("pipeline.include", "there is no file '" + shorten(text, 120) + "' to include",
                    "the path is relative to the file that it stands in", where);
    }
    if (!source) return tl::unexpected(std::move(source.error()));
    const Document& other = *source->document;
    const bool tags = other.has_merge_tags();
    if (tags && include_of(other.root()) == nullptr) {
      if (const Node* tag = find_merge_tag(other.root()); tag != nullptr) return refuse_tag(other, *tag);
    }
    const uint16_t file = document_.add_file(name, other.folder(0));
    const Node root = adopt(document_, other.root(), file);
    if (fresh_ != nullptr && !source->fresh.empty()) fresh_->push_back({source->fresh, root, tags});
    if (root.kind != Kind::map && !root.is_null()) {
      return refuse("pipeline.type",
                    name + " is " + std::string(describe(root.kind)) + ", expected a mapping of pipelines",
                    "a file begins with the name of a pipeline, then its sections", document_.where(root));
    }
    if (root.is_null()) return document_.make_map(std::vector<Entry>(), root);
    return resolve(root, name, path);
  }

 public:
  static tl::unexpected<Error> refuse_tag(const Document& document, const Node& tag) {
    return refuse("yaml.tag",
                  std::string("found the tag '") + (tag.merge == Merge::append ? "!append" : "!replace") +
                      "', but nothing lies below this file",
                  "remove it: it says something in profiles, and in a file that includes others",
                  document.where(tag));
  }

 private:
  Document& document_;
  const fs::path& trees_;
  std::vector<FreshTree>* fresh_;
  std::vector<File> chain_;
  size_t files_ = 0;
};

}  // namespace

Result<Source> read_source(const fs::path& path, const std::string& name, const fs::path& trees) {
  ReadLimits limits;
  limits.merge_tags = true;
  auto text = read_text_file(path, name, limits);
  if (!text) return tl::unexpected(std::move(text.error()));
  std::error_code ignored;
  const fs::path folder = fs::absolute(path, ignored).lexically_normal().parent_path();
  Source source;
  if (!trees.empty()) {
    source.fresh = tree_path(trees, *text);
    source.document = read_tree(source.fresh);
    if (source.document != nullptr) {
      source.document->add_file(name, folder);
      source.fresh.clear();
      return source;
    }
  }
  auto read = read_yaml(*text, name, folder, limits);
  if (!read) return tl::unexpected(std::move(read.error()));
  source.document = std::move(*read);
  return source;
}

Result<std::unique_ptr<Document>> read_pipeline_file(const fs::path& file, const fs::path& trees,
                                                     std::vector<FreshTree>* fresh) {
  const std::string name = file.string();
  auto source = read_source(file, name, trees);
  if (!source) return tl::unexpected(std::move(source.error()));
  Document& document = *source->document;
  const Node root = document.root();
  if (fresh != nullptr && !source->fresh.empty())
    fresh->push_back({source->fresh, root, document.has_merge_tags()});
  if (include_of(root) == nullptr) {
    const Node* tag = document.has_merge_tags() ? find_merge_tag(root) : nullptr;
    if (tag != nullptr) return Including::refuse_tag(document, *tag);
    return std::move(source->document);
  }
  auto merged = Including(document, trees, fresh).resolve(root, name, file);
  if (!merged) return tl::unexpected(std::move(merged.error()));
  document.set_root(*merged);
  return std::move(source->document);
}

}  // namespace pf::pipeline
