// What a loaded pipeline keeps beside its instances: edges, addresses, parsed expressions, and the values
// that expressions read. Filled by the loader, immutable afterwards and then readable from any thread.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "pipeline/expression.h"
#include "pipeline/index_table.h"
#include "pipeline/pipeline.h"
#include "pipeline/sources.h"

namespace pf::pipeline {

/// One of core.variables, or a `--var`.
struct Variable {
  enum class State : uint8_t { untouched, active, ready, broken };
  std::string name;
  Node written;
  Node value;  // once ready
  State state = State::untouched;
  bool given = false;     // by `--var`
  bool declared = false;  // in core.variables
  bool used = false;      // by some expression
};

struct Pipeline::Links {
  // CSR: the edges of instance i are [start[i], start[i + 1]).
  std::vector<uint32_t> upstream_start;
  std::vector<Edge> upstream;
  std::vector<uint32_t> downstream_start;
  std::vector<uint32_t> downstream;

  IndexTable addresses;  // of instances, by section and name
  /// What a for_each over outputs became.
  struct Group {
    uint32_t first = 0;
    uint32_t count = 0;
    std::unordered_map<std::string, uint32_t> keys;  // each.key -> instance
  };
  std::unordered_map<uint32_t, Group> groups;  // those that were expanded, by their instance
  IndexTable stacks;                           // of instances, by stack; filled when it is first needed
  uint32_t stacks_known = 0;                   // how many instances it holds
  std::deque<Template> templates;
  std::unordered_map<const char*, uint32_t> by_text;  // a text in the document -> its template
  std::vector<Variable> variables;
  IndexTable variable_names;
  std::map<std::string, std::optional<std::string>, std::less<>> environment;  // what expressions read

  std::vector<FreshTree> fresh_trees;  // for keep_trees()

  const Variable* variable(std::string_view name) const;
  const Template* template_of(const Node& text) const;
};

}  // namespace pf::pipeline
