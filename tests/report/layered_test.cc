#include "report/layered.h"

#include <gtest/gtest.h>

namespace pf::report {
namespace {

std::vector<uint32_t> layers_of(const Layout& layout) {
  std::vector<uint32_t> out;
  for (const Place& place : layout.nodes) out.push_back(place.layer);
  return out;
}

TEST(Layered, what_comes_first_stands_left) {
  const Layout layout = lay_out(4, {{0, 1}, {0, 2}, {1, 3}, {2, 3}});
  EXPECT_EQ(layers_of(layout), (std::vector<uint32_t>{0, 1, 1, 2}));
  EXPECT_EQ(layout.layers, 3U);
  EXPECT_EQ(layout.nodes[1].y, 0);
  EXPECT_EQ(layout.nodes[2].y, 1);
  EXPECT_EQ(layout.nodes[0].y, 0.5);
  EXPECT_EQ(layout.nodes[3].y, 0.5);
  EXPECT_EQ(layout.height, 2);
}

TEST(Layered, long_edges_pass_a_place_in_each_layer) {
  const Layout layout = lay_out(3, {{0, 1}, {1, 2}, {0, 2}});
  ASSERT_EQ(layout.routes.size(), 3U);
  EXPECT_EQ(layout.routes[0].size(), 2U);
  ASSERT_EQ(layout.routes[2].size(), 3U);
  EXPECT_EQ(layout.routes[2][1].layer, 1U);
  EXPECT_NE(layout.routes[2][1].y, layout.nodes[1].y);
}

TEST(Layered, circles_loops_repetitions_and_strangers_do_no_harm) {
  const Layout layout = lay_out(3, {{0, 1}, {1, 0}, {1, 1}, {0, 1}, {7, 0}, {1, 2}});
  EXPECT_EQ(layout.edges, (std::vector<std::pair<uint32_t, uint32_t>>{{0, 1}, {1, 0}, {1, 2}}));
  EXPECT_EQ(layers_of(layout), (std::vector<uint32_t>{0, 1, 2}));
  EXPECT_EQ(lay_out(0, {}).layers, 0U);
}

TEST(Layered, crossings_are_lessened) {
  // 0 -> 3, 1 -> 2: without sorting they cross.
  const Layout layout = lay_out(4, {{0, 3}, {1, 2}});
  EXPECT_EQ(layout.nodes[0].y < layout.nodes[1].y, layout.nodes[3].y < layout.nodes[2].y);
}

TEST(Layered, no_two_nodes_share_a_place) {
  std::vector<std::pair<uint32_t, uint32_t>> edges;
  for (uint32_t i = 1; i < 200; ++i) edges.push_back({i / 3, i});
  for (uint32_t i = 20; i < 200; i += 7) edges.push_back({i / 5, i});
  const Layout layout = lay_out(200, edges);
  for (size_t a = 0; a < 200; ++a) {
    for (size_t b = 0; b < a; ++b) {
      if (layout.nodes[a].layer == layout.nodes[b].layer) {
        EXPECT_GE(std::abs(layout.nodes[a].y - layout.nodes[b].y), 0.999);
      }
    }
  }
}

}  // namespace
}  // namespace pf::report
