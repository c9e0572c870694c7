// A pipeline's instances and their order, printed. Thread-safe: no state.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/pipeline.h"

namespace pf::report {

/// What is printed: nodes in written order, edges from what comes first to what waits for it.
struct Graph {
  struct Node {
    std::string address, type, name, stack;
  };
  struct Edge {
    uint32_t from = 0, to = 0;
    pipeline::EdgeWhen when = pipeline::EdgeWhen::succeeded;
  };
  std::string pipeline;
  std::vector<Node> nodes;
  std::vector<Edge> edges;
};

enum class GraphFormat : uint8_t { text, mermaid, dot, json };

Graph graph_of(const pipeline::Pipeline& pipeline);
/// Text: a tree, each instance below one that it waits for; one that waits for several is expanded once.
/// Mermaid and DOT: for the tools of these names. JSON: {pipeline, nodes: [{id, type, name, stack}], edges:
/// [{from, to, when}]}.
void append_graph(std::string& out, const Graph& graph, GraphFormat format);

}  // namespace pf::report
