#include "report/graph.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

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

Graph with_results() {
  Graph graph = diamond();
  state::InstanceRecord x, y, z, other;
  x.address = "a.x";
  x.result = state::InstanceResult::cached;
  y.address = "a.y";
  y.result = state::InstanceResult::failed;
  z.address = "b.z";  // it runs
  other.address = "gone.from-the-file";
  other.result = state::InstanceResult::succeeded;
  add_results(graph, {x, y, z, other}, true);
  return graph;
}

TEST(Graph, has_results_as_words) {
  EXPECT_EQ(printed(with_results(), GraphFormat::text),
            "climate: 4 instances, 4 dependencies\n"
            "a.x: cached\n"
            "├─ a.y: failed\n"
            "│  └─ b.w\n"
            "└─ b.z: running\n"
            "   └─ b.w (when failed)\n");
  const auto json = parse_json(printed(with_results(), GraphFormat::json));
  ASSERT_TRUE(json);
  EXPECT_EQ((*json)["nodes"][1]["result"], "failed");
  EXPECT_FALSE((*json)["nodes"][3].contains("result"));
}

TEST(Graph, has_results_as_colours) {
  EXPECT_EQ(printed(with_results(), GraphFormat::mermaid),
            "flowchart TD\n"
            "  classDef cached fill:#dbeafe,stroke:#1f5fbf,color:#1c1f23\n"
            "  classDef failed fill:#ffdcd7,stroke:#b3261e,color:#1c1f23\n"
            "  classDef running fill:#e6dcff,stroke:#5b3fbf,color:#1c1f23\n"
            "  n0[\"a.x\"]:::cached\n"
            "  n1[\"a.y\"]:::failed\n"
            "  n2[\"b.z\"]:::running\n"
            "  n3[\"b.w\"]\n"
            "  n0 --> n1\n"
            "  n0 --> n2\n"
            "  n1 --> n3\n"
            "  n2 -. when failed .-> n3\n");
  const std::string dot = printed(with_results(), GraphFormat::dot);
  EXPECT_NE(
      dot.find(
          "  n1 [label=\"a.y\",style=filled,fillcolor=\"#ffdcd7\",color=\"#b3261e\",tooltip=\"failed\"];\n"),
      std::string::npos)
      << dot;
  EXPECT_NE(dot.find("  n3 [label=\"b.w\"];\n"), std::string::npos) << dot;
}

TEST(Graph, what_was_expanded_has_the_result_that_matters_most) {
  Graph graph = {"p", {{"t.each", "t", "each", "s"}}, {}};
  std::vector<state::InstanceRecord> records(3);
  const auto result = [&] {
    add_results(graph, records, false);
    return std::string(graph.nodes[0].result);
  };
  for (size_t i = 0; i < records.size(); ++i) {
    records[i].address = "t.each[\"" + std::to_string(i) + "\"]";
    records[i].result = state::InstanceResult::cached;
  }
  EXPECT_EQ(result(), "cached");
  records[1].result = state::InstanceResult::succeeded;
  EXPECT_EQ(result(), "succeeded");
  records[2].result = state::InstanceResult::blocked;
  EXPECT_EQ(result(), "blocked");
  records[0].result = state::InstanceResult::timed_out;
  EXPECT_EQ(result(), "timed_out");
}

// Graphviz itself reads it, and paints what it was told to.
TEST(Graph, dot_takes_what_is_printed) {
  if (std::system("command -v dot > /dev/null") != 0) {
    ASSERT_EQ(std::getenv("FORGE_REQUIRE_REAL"), nullptr) << "there is no dot: install graphviz";
    GTEST_SKIP() << "there is no dot";
  }
  char name[] = "/tmp/pf-graph-XXXXXX";
  ASSERT_NE(::mkdtemp(name), nullptr);
  const std::string folder = name;
  Graph graph = with_results();
  graph.nodes.push_back(
      {"t.n[\"\\ <b> & \"]", "t", "", "", "skipped"});  // what DOT and HTML take for something
  std::ofstream(folder + "/graph.dot") << printed(graph, GraphFormat::dot);
  EXPECT_EQ(
      std::system(
          ("dot -Tsvg " + folder + "/graph.dot -o " + folder + "/graph.svg 2> " + folder + "/said").c_str()),
      0);
  std::stringstream svg, said;
  svg << std::ifstream(folder + "/graph.svg").rdbuf();
  said << std::ifstream(folder + "/said").rdbuf();
  std::filesystem::remove_all(folder);
  EXPECT_EQ(said.str(), "");
  EXPECT_NE(svg.str().find(">a.y</text>"), std::string::npos) << svg.str();
  EXPECT_NE(svg.str().find("fill=\"#ffdcd7\" stroke=\"#b3261e\""), std::string::npos) << svg.str();
  EXPECT_NE(svg.str().find("t.n[&quot;\\ &lt;b&gt; &amp; &quot;]</text>"), std::string::npos) << svg.str();
}

}  // namespace
}  // namespace pf::report
