// A pipeline's instances and their order, printed. Thread-safe: no state.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/pipeline.h"
#include "state/store.h"

namespace pf::report {

/// What is printed: nodes in written order, edges from what comes first to what waits for it.
struct Graph {
  struct Node {
    std::string address, type, name, stack;
    std::string_view result = {};  // a word of state::InstanceResult, or `running`; empty: none is known
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
/// Gives each node its result in a run; one that was expanded in it (a for_each over outputs) that of the
/// instance which matters most: one that failed, then one that runs, that did not come to run, that
/// succeeded. What has begun and not ended is `running`, or nothing where the run does not `go_on`.
void add_results(Graph& graph, const std::vector<state::InstanceRecord>& instances, bool goes_on);
/// Text: a tree, each instance below one that it waits for; one that waits for several is expanded once.
/// Mermaid and DOT: for the tools of these names, coloured by result. JSON: {pipeline, nodes: [{id, type,
/// name, stack, result}], edges: [{from, to, when}]}, without `result` where there is none.
void append_graph(std::string& out, const Graph& graph, GraphFormat format);

}  // namespace pf::report
