// Merging one written tree over another: profiles over a pipeline, a file over those that it includes.
// Results are built in a Document and point into both trees, which must live as long; positions stay those
// of the place where a value is written. No state; one thread for each Document.
#pragma once

#include <optional>

#include "base/error.h"
#include "pipeline/node.h"

namespace pf::pipeline {

/// Mappings are merged key by key and keep the order of what is below, new keys last; every other value is
/// replaced. `!replace` replaces a mapping or list as a whole; `!append` puts a list behind the one below
/// (error `pipeline.append` where something else is there).
Result<Node> merge_value(Document& document, const Node& below, const Node& above);
/// The same for the content of pipelines, where sections are lists of instances: those of one `name` are
/// merged, others are put behind. Both must be mappings.
Result<Node> merge_pipeline(Document& document, const Node& below, const Node& above);
/// The same for mappings of pipelines by name.
Result<Node> merge_files(Document& document, const Node& below, const Node& above);

/// A copy in `document` of a tree of another one, in which `file` names where it was written.
Node adopt(Document& document, const Node& node, uint16_t file);
/// The first node of a tree that has a merge tag, those below a key `profiles` of `core` left out.
const Node* find_merge_tag(const Node& root);

}  // namespace pf::pipeline
