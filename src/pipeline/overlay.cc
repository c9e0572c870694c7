#include "pipeline/overlay.h"

#include <unordered_map>
#include <vector>

namespace pf::pipeline {
namespace {

using MergeFunction = Result<Node> (*)(Document&, const Node&, const Node&);

/// A mapping over a mapping; `merge` merges the values of keys that both have.
template <class MergeEntry>
Result<Node> merge_maps(Document& document, const Node& below, const Node& above, MergeEntry merge) {
  std::vector<Entry> entries(below.map().begin(), below.map().end());
  std::unordered_map<std::string_view, size_t> keys;
  for (const Entry& entry : entries) keys.emplace(entry.key.string(), keys.size());
  for (const Entry& entry : above.map()) {
    const auto known = keys.find(entry.key.string());
    if (known == keys.end()) {
      keys.emplace(entry.key.string(), entries.size());
      entries.push_back(entry);
      continue;
    }
    Entry& same = entries[known->second];
    auto value = merge(entry.key, same.value, entry.value);
    if (!value) return value;
    same = {entry.key, *value};
  }
  Node merged = document.make_map(entries, below.map().empty() ? above : below);
  merged.merge = below.merge;
  return merged;
}

/// Instances over instances of a section.
Result<Node> merge_section(Document& document, const Node& below, const Node& above) {
  if (below.kind != Kind::list || above.kind != Kind::list || above.merge != Merge::plain)
    return merge_value(document, below, above);
  std::vector<Node> items(below.list().begin(), below.list().end());
  std::unordered_map<std::string_view, size_t> names;
  for (size_t i = 0; i < items.size(); ++i) {
    const Node* name = items[i].find("name");
    if (name != nullptr && name->kind == Kind::string) names.emplace(name->string(), i);
  }
  for (const Node& item : above.list()) {
    const Node* name = item.find("name");
    const auto known =
        name != nullptr && name->kind == Kind::string ? names.find(name->string()) : names.end();
    if (known == names.end()) {
      items.push_back(item);
      continue;
    }
    auto merged = merge_value(document, items[known->second], item);
    if (!merged) return merged;
    items[known->second] = *merged;
  }
  Node merged = document.make_list(items, below);
  merged.merge = below.merge;
  return merged;
}

/// core over core, where profiles are pipelines once more.
Result<Node> merge_core(Document& document, const Node& below, const Node& above) {
  if (above.kind != Kind::map || below.kind != Kind::map || above.merge == Merge::replace)
    return merge_value(document, below, above);
  return merge_maps(document, below, above, [&](const Node& key, const Node& old, const Node& value) {
    return key.string() == "profiles" ? merge_files(document, old, value) : merge_value(document, old, value);
  });
}

const Node* find_tag(const Node& node, int depth, bool core) {
  if (node.merge != Merge::plain) return &node;
  for (const Node& item : node.list()) {
    if (const Node* found = find_tag(item, depth + 1, false); found != nullptr) return found;
  }
  for (const Entry& entry : node.map()) {
    if (core && entry.key.string() == "profiles") continue;
    const Node* found = find_tag(entry.value, depth + 1, depth == 1 && entry.key.string() == "core");
    if (found != nullptr) return found;
  }
  return nullptr;
}

}  // namespace

Result<Node> merge_value(Document& document, const Node& below, const Node& above) {
  if (above.merge == Merge::append && !below.is_null()) {
    if (below.kind != Kind::list) {
      return refuse("pipeline.append",
                    "found !append, but what it is appended to is " + std::string(describe(below.kind)) +
                        ", at " + document.where(below).text(),
                    "remove the tag", document.where(above));
    }
    std::vector<Node> items(below.list().begin(), below.list().end());
    items.insert(items.end(), above.list().begin(), above.list().end());
    Node merged = document.make_list(items, above);
    merged.merge = below.merge;  // of a profile in an included file: it has something to say yet
    return merged;
  }
  if (above.kind != Kind::map || below.kind != Kind::map || above.merge == Merge::replace) return above;
  return merge_maps(document, below, above, [&](const Node&, const Node& old, const Node& value) {
    return merge_value(document, old, value);
  });
}

Result<Node> merge_pipeline(Document& document, const Node& below, const Node& above) {
  if (above.kind != Kind::map || below.kind != Kind::map || above.merge == Merge::replace) return above;
  return merge_maps(document, below, above, [&](const Node& key, const Node& old, const Node& value) {
    return key.string() == "core" ? merge_core(document, old, value) : merge_section(document, old, value);
  });
}

Result<Node> merge_files(Document& document, const Node& below, const Node& above) {
  if (above.kind != Kind::map || below.kind != Kind::map || above.merge == Merge::replace) return above;
  return merge_maps(document, below, above, [&](const Node&, const Node& old, const Node& value) {
    return merge_pipeline(document, old, value);
  });
}

Node adopt(Document& document, const Node& node, uint16_t file) {
  Node at = node;
  at.file = file;
  Node out = at;
  if (node.kind == Kind::string) {
    out = document.make_string(node.string(), at);
  } else if (node.kind == Kind::list) {
    std::vector<Node> items;
    items.reserve(node.size);
    for (const Node& item : node.list()) items.push_back(adopt(document, item, file));
    out = document.make_list(items, at);
  } else if (node.kind == Kind::map) {
    std::vector<Entry> entries;
    entries.reserve(node.size);
    for (const Entry& entry : node.map()) {
      entries.push_back({adopt(document, entry.key, file), adopt(document, entry.value, file)});
    }
    out = document.make_map(entries, at);
  }
  out.quoted = node.quoted;
  out.computed = node.computed;
  out.escaped = node.escaped;
  out.verbatim = node.verbatim;
  out.merge = node.merge;
  if (node.merge != Merge::plain) document.note_merge_tag();
  return out;
}

const Node* find_merge_tag(const Node& root) { return find_tag(root, 0, false); }

}  // namespace pf::pipeline
