// A YAML document as a tree with positions. Nodes and their text live in the Document's arena and are
// immutable after reading: any thread may read them while the Document lives.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <memory_resource>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/json_fwd.h"

namespace pf::pipeline {

enum class Kind : uint8_t { null, boolean, integer, number, string, list, map };
/// "a list", "text", … as messages say it.
std::string_view describe(Kind kind);

struct Entry;

/// What a tag says of a list or mapping that is merged over another: `!append`, `!replace`.
enum class Merge : uint8_t { plain, append, replace };

/// One value with the place it was written at. 32 bytes; copies share what they point to.
struct Node {
  Kind kind = Kind::null;
  bool quoted = false;  // a scalar in quotes or a block: always Kind::string
  bool computed =
      false;  // some text in it holds `${`: set by the reader on the scalar and all that contain it
  bool escaped = false;  // some text in it holds `$${`, a literal `${`: set as `computed` is
  uint16_t file = 0;     // index into Document::files
  bool verbatim =
      false;  // an expression's text stands in the file as it is here, so that its columns can be told
  Merge merge = Merge::plain;
  uint32_t line = 0;    // 1-based
  uint32_t column = 0;  // 1-based
  uint32_t size = 0;    // bytes of a string, items of a list, entries of a map
  union {
    bool boolean;
    int64_t integer;
    double number;
    const char* text;  // Kind::string, and the literal text of every other scalar is not kept
    const Node* items;
    const Entry* entries;
    uint64_t bits = 0;
  };

  std::string_view string() const {
    return kind == Kind::string ? std::string_view(text, size) : std::string_view();
  }
  std::span<const Node> list() const {
    return kind == Kind::list ? std::span<const Node>(items, size) : std::span<const Node>();
  }
  std::span<const Entry> map() const;
  /// The value of a key of a map, or null. Linear.
  const Node* find(std::string_view key) const;
  bool is_null() const { return kind == Kind::null; }
};

struct Entry {
  Node key;  // Kind::string always: YAML keys of another kind are kept as their literal text
  Node value;
};

inline std::span<const Entry> Node::map() const {
  return kind == Kind::map ? std::span<const Entry>(entries, size) : std::span<const Entry>();
}

/// Owns nodes, their text, and the names of the files that they came from.
class Document {
 public:
  Document() = default;
  Document(const Document&) = delete;
  Document& operator=(const Document&) = delete;

  const Node& root() const { return root_; }
  void set_root(const Node& root) { root_ = root; }
  /// The file as the user named it, for messages.
  const std::string& file(uint16_t index) const { return files_[index].name; }
  /// The folder that relative paths written in that file start from.
  const std::filesystem::path& folder(uint16_t index) const { return files_[index].folder; }
  uint16_t add_file(std::string name, std::filesystem::path folder);
  size_t file_count() const { return files_.size(); }
  Where where(const Node& node, std::string path = {}) const;
  /// Whether some node has a tag that says how it is merged.
  bool has_merge_tags() const { return merge_tags_; }
  void note_merge_tag() { merge_tags_ = true; }

  // For those who build nodes: everything is allocated in the arena.
  std::string_view intern(std::string_view text);
  /// Memory for nodes that a caller fills.
  void* reserve(size_t bytes) { return arena_.allocate(bytes, alignof(Node)); }
  Node make_string(std::string_view text, const Node& at);
  // `at` gives the position; `computed` and `escaped` are true where they are in some item.
  Node make_list(const std::vector<Node>& items, const Node& at) {
    return make_list(std::span<const Node>(items), at);
  }
  Node make_map(const std::vector<Entry>& entries, const Node& at) {
    return make_map(std::span<const Entry>(entries), at);
  }
  Node make_list(std::span<const Node> items, const Node& at);
  Node make_map(std::span<const Entry> entries, const Node& at);
  /// A JSON value with the position of `at` on every node; byte strings become text. Nesting must be bounded.
  Node make_json(const Json& value, const Node& at);

 private:
  struct File {
    std::string name;
    std::filesystem::path folder;
  };
  std::pmr::monotonic_buffer_resource arena_{16 * 1024};
  std::vector<File> files_;
  Node root_;
  bool merge_tags_ = false;
};

static_assert(sizeof(Node) == 32 && sizeof(Entry) == 64);

/// The plain value of a node, expressions left as text. Depth is bounded by the reader.
Json to_json(const Node& node);
/// A scalar as JSON prints it, text without quotes: `3`, `1.5`, `true`, `null`. Empty for a list or map.
std::string scalar_text(const Node& node);

}  // namespace pf::pipeline
