// YAML 1.2 text -> Document, over yaml-cpp's event interface. No state; thread-safe.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "pipeline/node.h"

namespace pf::pipeline {

/// Bounds on input; beyond them reading ends with one error that names the bound.
struct ReadLimits {
  size_t bytes = 16U << 20;  // `yaml.too_big`
  int depth = 64;            // `yaml.depth`
  size_t nodes = 2'000'000;  // counted after aliases and merge keys are expanded: `yaml.alias_bomb`
  bool merge_tags = false;   // `!append` before a list and `!replace` are kept (Node::merge)
};

/// Reads one document. `name` is the file as messages show it; `folder` is where its relative paths start.
/// Core schema of YAML 1.2 (true/false/null/~, decimal, 0x, 0o, floats, .inf, .nan; `yes` and `on` are text);
/// merge keys `<<` are applied; tags other than the core schema's are refused. Integers beyond 64 bits become
/// numbers. An alias is the node of its anchor, position and all; an empty document is a null. Errors, all
/// with file, line and column: `yaml.syntax`, `yaml.tab` (a tab as indentation), `yaml.duplicate_key` (names
/// the first one's line), `yaml.too_big`, `yaml.depth`, `yaml.alias_bomb`, `yaml.many_documents`,
/// `yaml.not_utf8`, `yaml.tag`, `yaml.alias` (an unknown anchor, or one that contains itself), `yaml.merge`
/// (a `<<` of something else than mappings), `yaml.key` (a list or mapping as key).
Result<std::unique_ptr<Document>> read_yaml(std::string_view text, const std::string& name,
                                            const std::filesystem::path& folder,
                                            const ReadLimits& limits = {});
/// A file's text, as read_yaml_file reads it.
Result<std::string> read_text_file(const std::filesystem::path& path, const std::string& name,
                                   const ReadLimits& limits = {});
/// Reads a file; also `yaml.missing_file`, `yaml.unreadable`.
Result<std::unique_ptr<Document>> read_yaml_file(const std::filesystem::path& path, const std::string& name,
                                                 const ReadLimits& limits = {});

}  // namespace pf::pipeline
