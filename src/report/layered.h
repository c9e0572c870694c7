// Places for the nodes of a graph, layer by layer: what comes first stands left of what waits for it.
// Thread-safe: no state.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace pf::report {

/// A place: the layer counts columns, y rows; the least y is 0.
struct Place {
  uint32_t layer = 0;
  double y = 0;
};

/// Where nodes stand and what their edges pass.
struct Layout {
  std::vector<Place> nodes;
  std::vector<std::pair<uint32_t, uint32_t>>
      edges;                               // as given, without loops, repetitions and what is not there
  std::vector<std::vector<Place>> routes;  // by edge: from its node to its node, a place in each layer
  uint32_t layers = 0;
  double height = 0;  // rows
};

/// Sugiyama's method: layers by longest path (an edge that closes a circle counts for nothing), long edges
/// through a place in each layer, crossings lessened by barycentres. Deterministic; O(edges * layers).
Layout lay_out(uint32_t nodes, const std::vector<std::pair<uint32_t, uint32_t>>& edges);

}  // namespace pf::report
