#include <string>
#include <unordered_map>

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

namespace {

using state::InstanceResult;

// What of several instances is told for all: the higher.
int weight(InstanceResult result) {
  switch (result) {
    case InstanceResult::failed:
    case InstanceResult::timed_out:
    case InstanceResult::crashed: return 5;
    case InstanceResult::none: return 4;
    case InstanceResult::cancelled:
    case InstanceResult::blocked: return 3;
    case InstanceResult::skipped:
    case InstanceResult::excluded: return 2;
    case InstanceResult::succeeded: return 1;
    case InstanceResult::cached: return 0;
  }
  return 0;
}

}  // namespace

void add_results(Graph& graph, const std::vector<state::InstanceRecord>& instances, bool goes_on) {
  std::unordered_map<std::string_view, InstanceResult> results;
  const auto add = [&](std::string_view address, InstanceResult result) {
    const auto [known, fresh] = results.emplace(address, result);
    if (!fresh && weight(result) > weight(known->second)) known->second = result;
  };
  for (const auto& record : instances) {
    const std::string_view address = record.address;
    add(address, record.result);
    // `type.name["key"]`: of the for_each, too, which has no result of its own.
    if (const size_t key = address.find('['); key != std::string_view::npos && address.ends_with(']'))
      add(address.substr(0, key), record.result);
  }
  for (Graph::Node& node : graph.nodes) {
    const auto found = results.find(node.address);
    if (found == results.end()) continue;
    if (found->second != InstanceResult::none)
      node.result = state::to_text(found->second);
    else if (goes_on)
      node.result = "running";
  }
}

}  // namespace pf::report
