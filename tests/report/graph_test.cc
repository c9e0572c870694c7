#include "report/graph.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/json.h"

namespace pf::report {
namespace {

using pipeline::EdgeWhen;

std::string printed(const Graph& graph, GraphFormat format) {
  std::string out;
  append_graph(out, graph, format);
  return out;
}

Graph diamond() {
  return {"climate",
          {{"a.x", "a", "x", "prod-x"},
           {"a.y", "a", "y", "prod-y"},
           {"b.z", "b", "z", "prod-z"},
           {"b.w", "b", "w", "prod-w"}},
          {{0, 1, EdgeWhen::succeeded},
           {0, 2, EdgeWhen::succeeded},
           {1, 3, EdgeWhen::succeeded},
           {2, 3, EdgeWhen::failed}}};
}

TEST(Graph, tree) {
  EXPECT_EQ(printed(diamond(), GraphFormat::text),
            "climate: 4 instances, 4 dependencies\n"
            "a.x\n"
            "├─ a.y\n"
            "│  └─ b.w\n"
            "└─ b.z\n"
            "   └─ b.w (when failed)\n");
}

TEST(Graph, what_was_expanded_is_not_expanded_again) {
  Graph graph = diamond();
  graph.nodes.push_back({"c.last", "c", "last", "prod-last"});
  graph.edges.push_back({3, 4, EdgeWhen::order});
  EXPECT_EQ(printed(graph, GraphFormat::text),
            "climate: 5 instances, 5 dependencies\n"
            "a.x\n"
            "├─ a.y\n"
            "│  └─ b.w\n"
            "│     └─ c.last (in order)\n"
            "└─ b.z\n"
            "   └─ b.w (when failed) (see above)\n");
}

TEST(Graph, a_long_chain_stays_narrow) {
  Graph graph;
  graph.pipeline = "chain";
  for (uint32_t i = 0; i < 10000; ++i) {
    graph.nodes.push_back({"n.i" + std::to_string(i), "n", "", ""});
    if (i > 0) graph.edges.push_back({i - 1, i, EdgeWhen::succeeded});
  }
  const std::string text = printed(graph, GraphFormat::text);
  EXPECT_LT(text.size(), 1000000U);
  EXPECT_NE(text.find("└─ n.i16 (see below)\nn.i16\n└─ n.i17\n"), std::string::npos);
  EXPECT_NE(text.find("n.i9999\n"), std::string::npos);
}

TEST(Graph, mermaid_escapes) {
  Graph graph = diamond();
  graph.nodes[0].address = "a.x[\"<k>\"]";
  EXPECT_EQ(printed(graph, GraphFormat::mermaid),
            "flowchart TD\n"
            "  n0[\"a.x#91;#34;#60;k#62;#34;#93;\"]\n"
            "  n1[\"a.y\"]\n"
            "  n2[\"b.z\"]\n"
            "  n3[\"b.w\"]\n"
            "  n0 --> n1\n"
            "  n0 --> n2\n"
            "  n1 --> n3\n"
            "  n2 -. when failed .-> n3\n");
}

TEST(Graph, dot_escapes) {
  Graph graph = diamond();
  graph.nodes[0].address = "a.x[\"k\\\"]";
  EXPECT_EQ(printed(graph, GraphFormat::dot),
            "digraph \"climate\" {\n"
            "  node [shape=box];\n"
            "  n0 [label=\"a.x[\\\"k\\\\\\\"]\"];\n"
            "  n1 [label=\"a.y\"];\n"
            "  n2 [label=\"b.z\"];\n"
            "  n3 [label=\"b.w\"];\n"
            "  n0 -> n1;\n"
            "  n0 -> n2;\n"
            "  n1 -> n3;\n"
            "  n2 -> n3 [style=dashed,label=\"when failed\"];\n"
            "}\n");
}

TEST(Graph, json) {
  const auto json = parse_json(printed(diamond(), GraphFormat::json));
  ASSERT_TRUE(json);
  EXPECT_EQ((*json)["pipeline"], "climate");
  EXPECT_EQ((*json)["nodes"].size(), 4U);
  EXPECT_EQ((*json)["nodes"][2], (Json{{"id", "b.z"}, {"type", "b"}, {"name", "z"}, {"stack", "prod-z"}}));
  EXPECT_EQ((*json)["edges"][3], (Json{{"from", "b.z"}, {"to", "b.w"}, {"when", "failed"}}));
}

}  // namespace
}  // namespace pf::report
