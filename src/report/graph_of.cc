#include "report/graph.h"

namespace pf::report {

Graph graph_of(const pipeline::Pipeline& pipeline) {
  Graph graph;
  graph.pipeline = pipeline.name;
  for (uint32_t i = 0; i < pipeline.instances.size(); ++i) {
    const auto& instance = pipeline.instances[i];
    graph.nodes.push_back(
        {pipeline.address(i), pipeline.sections[instance.section].type, instance.name, instance.stack});
    for (const auto& edge : pipeline.upstream(i)) graph.edges.push_back({edge.upstream, i, edge.when});
  }
  return graph;
}

}  // namespace pf::report
