// Parsed files kept by the digest of their text, so that a file that has not changed is not parsed again. A
// kept tree is a cache only: what cannot be read, or is not to the letter what was written, is not there.
// Thread-safe: no state but the folder's, whose files are replaced as a whole.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "pipeline/node.h"

namespace pf::pipeline {

/// Where the tree of a text is kept: `<folder>/<digest of the text and of the format>.tree`.
std::filesystem::path tree_path(const std::filesystem::path& folder, std::string_view text);

/// The tree as a file holds it: nodes, those of a collection side by side and before the collection, then
/// text. `file` of its nodes is not kept. Empty where the tree is too large for the format.
std::string encode_tree(const Node& root, bool merge_tags);
/// A Document without files, whose nodes are of file 0; null where the bytes are no tree that encode_tree()
/// can have written of something that the reader takes: nothing in them is trusted.
std::unique_ptr<Document> decode_tree(std::string_view bytes);

/// Null where there is none.
std::unique_ptr<Document> read_tree(const std::filesystem::path& path);
/// Writes a tree, makes the folder, and removes the oldest trees in it where there are more than 32.
Result<void> write_tree(const std::filesystem::path& path, const Node& root, bool merge_tags);

}  // namespace pf::pipeline
