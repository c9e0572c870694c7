#include "report/layered.h"

#include <algorithm>
#include <numeric>
#include <set>

namespace pf::report {
namespace {

using Edge = std::pair<uint32_t, uint32_t>;

// Places on edges, at most: beyond them long edges are drawn straight.
constexpr size_t kMostBends = 5000;
constexpr int kSweeps = 8;

/// A graph whose edges lead from one layer to the next.
struct Work {
  std::vector<uint32_t> layer;
  std::vector<std::vector<uint32_t>> up, down;
  std::vector<std::vector<uint32_t>> order;  // by layer
  std::vector<double> y;

  uint32_t add(uint32_t at) {
    layer.push_back(at);
    up.emplace_back();
    down.emplace_back();
    y.push_back(0);
    return static_cast<uint32_t>(layer.size() - 1);
  }
  void join(uint32_t from, uint32_t to) {
    down[from].push_back(to);
    up[to].push_back(from);
  }
};

// Depth first: edges that lead back into the path close a circle.
std::vector<bool> closing_edges(uint32_t nodes, const std::vector<Edge>& edges) {
  std::vector<std::vector<size_t>> out(nodes);
  for (size_t e = 0; e < edges.size(); ++e) out[edges[e].first].push_back(e);
  std::vector<bool> closing(edges.size(), false);
  std::vector<uint8_t> state(nodes, 0);  // 1: on the path, 2: done
  std::vector<std::pair<uint32_t, size_t>> path;
  for (uint32_t root = 0; root < nodes; ++root) {
    if (state[root] != 0) continue;
    path.push_back({root, 0});
    state[root] = 1;
    while (!path.empty()) {
      auto& [node, next] = path.back();
      if (next == out[node].size()) {
        state[node] = 2;
        path.pop_back();
        continue;
      }
      const size_t e = out[node][next++];
      const uint32_t to = edges[e].second;
      if (state[to] == 1) closing[e] = true;
      if (state[to] != 0) continue;
      state[to] = 1;
      path.push_back({to, 0});
    }
  }
  return closing;
}

std::vector<uint32_t> longest_paths(uint32_t nodes, const std::vector<Edge>& edges,
                                    const std::vector<bool>& closing) {
  std::vector<std::vector<uint32_t>> down(nodes);
  std::vector<uint32_t> missing(nodes, 0), layer(nodes, 0), ready;
  for (size_t e = 0; e < edges.size(); ++e) {
    if (closing[e]) continue;
    down[edges[e].first].push_back(edges[e].second);
    ++missing[edges[e].second];
  }
  for (uint32_t i = 0; i < nodes; ++i) {
    if (missing[i] == 0) ready.push_back(i);
  }
  for (size_t at = 0; at < ready.size(); ++at) {
    for (uint32_t to : down[ready[at]]) {
      layer[to] = std::max(layer[to], layer[ready[at]] + 1);
      if (--missing[to] == 0) ready.push_back(to);
    }
  }
  return layer;
}

double mean(const std::vector<uint32_t>& of, const std::vector<double>& y, double otherwise) {
  if (of.empty()) return otherwise;
  double sum = 0;
  for (uint32_t node : of) sum += y[node];
  return sum / static_cast<double>(of.size());
}

void number(Work& work, const std::vector<uint32_t>& order) {
  for (size_t i = 0; i < order.size(); ++i) work.y[order[i]] = static_cast<double>(i);
}

// Each node goes to the mean of those that it hangs on, one layer after the other.
void sort_layers(Work& work) {
  for (const auto& order : work.order) number(work, order);
  const auto sort = [&](std::vector<uint32_t>& order, const std::vector<std::vector<uint32_t>>& by) {
    std::vector<std::pair<double, uint32_t>> keyed;
    for (uint32_t node : order) keyed.push_back({mean(by[node], work.y, work.y[node]), node});
    std::stable_sort(keyed.begin(), keyed.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    for (size_t i = 0; i < order.size(); ++i) order[i] = keyed[i].second;
    number(work, order);
  };
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    if (sweep % 2 == 0) {
      for (size_t l = 1; l < work.order.size(); ++l) sort(work.order[l], work.up);
    } else {
      for (size_t l = work.order.size() - 1; l-- > 0;) sort(work.order[l], work.down);
    }
  }
}

// Rows: near the mean of what a node hangs on, in order, a row apart.
void place_layers(Work& work) {
  const auto place = [&](const std::vector<uint32_t>& order, const std::vector<std::vector<uint32_t>>& by) {
    double wanted = 0, got = 0;
    std::vector<double> y;
    for (uint32_t node : order) {
      const double want = mean(by[node], work.y, work.y[node]);
      y.push_back(y.empty() ? want : std::max(want, y.back() + 1));
      wanted += want;
      got += y.back();
    }
    const double shift = order.empty() ? 0 : (wanted - got) / static_cast<double>(order.size());
    for (size_t i = 0; i < order.size(); ++i) work.y[order[i]] = y[i] + shift;
  };
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    if (sweep % 2 == 0) {
      for (size_t l = 1; l < work.order.size(); ++l) place(work.order[l], work.up);
    } else {
      for (size_t l = work.order.size() - 1; l-- > 0;) place(work.order[l], work.down);
    }
  }
  const double least = work.y.empty() ? 0 : *std::min_element(work.y.begin(), work.y.end());
  for (double& y : work.y) y -= least;
}

}  // namespace

Layout lay_out(uint32_t nodes, const std::vector<Edge>& given) {
  Layout out;
  if (nodes == 0) return out;
  std::set<Edge> seen;
  for (const Edge& edge : given) {
    if (edge.first == edge.second || edge.first >= nodes || edge.second >= nodes) continue;
    if (seen.insert(edge).second) out.edges.push_back(edge);
  }
  const auto closing = closing_edges(nodes, out.edges);
  const auto layer = longest_paths(nodes, out.edges, closing);
  Work work;
  for (uint32_t i = 0; i < nodes; ++i) work.add(layer[i]);
  // The places that each edge passes, its ends included.
  std::vector<std::vector<uint32_t>> through(out.edges.size());
  size_t bends = 0;
  for (size_t e = 0; e < out.edges.size(); ++e) {
    const auto [from, to] = out.edges[e];
    through[e].push_back(from);
    if (!closing[e]) {
      const uint32_t between = layer[to] - layer[from] - 1;
      if (bends + between <= kMostBends) {
        bends += between;
        for (uint32_t l = layer[from] + 1; l < layer[to]; ++l) {
          const uint32_t bend = work.add(l);
          work.join(through[e].back(), bend);
          through[e].push_back(bend);
        }
        work.join(through[e].back(), to);
      }
    }
    through[e].push_back(to);
  }
  for (uint32_t node = 0; node < work.layer.size(); ++node) {
    out.layers = std::max(out.layers, work.layer[node] + 1);
    work.order.resize(out.layers);
    work.order[work.layer[node]].push_back(node);
  }
  sort_layers(work);
  place_layers(work);
  const auto place_of = [&](uint32_t node) { return Place{work.layer[node], work.y[node]}; };
  for (uint32_t i = 0; i < nodes; ++i) out.nodes.push_back(place_of(i));
  for (const auto& passes : through) {
    out.routes.emplace_back();
    for (uint32_t node : passes) out.routes.back().push_back(place_of(node));
  }
  for (double y : work.y) out.height = std::max(out.height, y + 1);
  return out;
}

}  // namespace pf::report
