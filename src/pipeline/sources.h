// The files that a pipeline is written in: FILE and what it includes. Thread-safe: no state.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "pipeline/node.h"

namespace pf::pipeline {

/// A tree that was parsed, for want of a kept one (tree_cache.h): where to keep it.
struct FreshTree {
  std::filesystem::path path;
  Node root;
  bool merge_tags = false;
};

/// One file. `fresh` is where its tree may be kept; empty where it came from there, or nothing is kept.
struct Source {
  std::unique_ptr<Document> document;
  std::filesystem::path fresh;
};
/// Reads a file with its merge tags, from the folder `trees` where that is not empty and has it. Errors
/// yaml.*.
Result<Source> read_source(const std::filesystem::path& path, const std::string& name,
                           const std::filesystem::path& trees);

/// Reads a pipeline file, a mapping of pipelines by name, with the files of its key `include` merged below
/// it, in their order; the root has no `include` any more. File 0 of the document is `file`, its name as the
/// user gave it. Errors: yaml.*; `pipeline.include` (a file that is not there, that includes itself, over 100
/// of them), `pipeline.type`, `pipeline.append`, all with the place in the file that says so.
/// What was parsed and may be kept in `trees` is appended to `fresh`.
Result<std::unique_ptr<Document>> read_pipeline_file(const std::filesystem::path& file,
                                                     const std::filesystem::path& trees = {},
                                                     std::vector<FreshTree>* fresh = nullptr);

}  // namespace pf::pipeline
