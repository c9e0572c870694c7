#include "report/graph.h"

#include <algorithm>

#include "report/json_text.h"
#include "report/visible.h"

namespace pf::report {
namespace {

using pipeline::EdgeWhen;

// Deeper chains go on further down, at the margin: a chain of 10,000 must not be 20,000 columns wide.
constexpr size_t kDeepest = 16;

std::string_view condition(EdgeWhen when) {
  switch (when) {
    case EdgeWhen::succeeded: return "";
    case EdgeWhen::failed: return "when failed";
    case EdgeWhen::done: return "when done";
    case EdgeWhen::order: return "in order";
  }
  return "";
}

std::string_view word(EdgeWhen when) {
  switch (when) {
    case EdgeWhen::succeeded: return "succeeded";
    case EdgeWhen::failed: return "failed";
    case EdgeWhen::done: return "done";
    case EdgeWhen::order: return "order";
  }
  return "succeeded";
}

class Tree {
 public:
  Tree(std::string& out, const Graph& graph)
      : out_(out),
        graph_(graph),
        children_(graph.nodes.size()),
        waits_(graph.nodes.size()),
        expanded_(graph.nodes.size()) {
    for (const auto& edge : graph.edges) {
      children_[edge.from].push_back(&edge);
      ++waits_[edge.to];
    }
  }

  void print() {
    out_ += visible(graph_.pipeline) + ": " + count_of(graph_.nodes.size(), "instance") + ", " +
            count_of(graph_.edges.size(), "dependency", "dependencies") + '\n';
    for (uint32_t i = 0; i < graph_.nodes.size(); ++i) {
      if (waits_[i] == 0) print_from(i);
    }
    for (size_t i = 0; i < later_.size(); ++i) {
      if (!expanded_[later_[i]]) print_from(later_[i]);
    }
  }

 private:
  struct Level {
    uint32_t node;
    size_t next;    // child to print
    size_t prefix;  // length of the prefix of its children
  };

  // Marks a node as expanded; false where its children are not to be printed here.
  bool enter(uint32_t node, size_t depth) {
    std::string_view note;
    const bool leaf = children_[node].empty();
    bool expand = false;
    if (const auto result = graph_.nodes[node].result; !result.empty()) out_.append(": ").append(result);
    if (!leaf && expanded_[node]) {
      note = " (see above)";
    } else if (!leaf && depth >= kDeepest) {
      note = " (see below)";
      later_.push_back(node);
    } else {
      expanded_[node] = true;
      expand = !leaf;
    }
    out_.append(note).append(1, '\n');
    return expand;
  }

  void print_from(uint32_t root) {
    std::string prefix;
    out_ += visible(graph_.nodes[root].address);
    std::vector<Level> stack;
    if (enter(root, 0)) stack.push_back({root, 0, 0});
    while (!stack.empty()) {
      Level& level = stack.back();
      const auto& children = children_[level.node];
      if (level.next == children.size()) {
        stack.pop_back();
        continue;
      }
      const Graph::Edge& edge = *children[level.next++];
      const bool last = level.next == children.size();
      prefix.resize(level.prefix);
      out_ += prefix;
      out_ += last ? "└─ " : "├─ ";
      out_ += visible(graph_.nodes[edge.to].address);
      if (const auto text = condition(edge.when); !text.empty()) out_.append(" (").append(text).append(")");
      prefix += last ? "   " : "│  ";
      if (enter(edge.to, stack.size())) stack.push_back({edge.to, 0, prefix.size()});
    }
  }

  std::string& out_;
  const Graph& graph_;
  std::vector<std::vector<const Graph::Edge*>> children_;
  std::vector<uint32_t> waits_;
  std::vector<bool> expanded_;
  std::vector<uint32_t> later_;
};

// Mermaid reads `#name;` and `#number;` as characters, and the rest of a label as HTML and Markdown.
std::string mermaid_label(std::string_view text) {
  std::string out;
  for (char c : visible(text)) {
    if (std::string_view("\"#<>&`[]{}|\\").find(c) != std::string_view::npos) {
      out += '#' + std::to_string(static_cast<unsigned char>(c)) + ';';
    } else {
      out += c;
    }
  }
  return out;
}

std::string dot_string(std::string_view text) {
  std::string out = "\"";
  for (char c : visible(text)) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

/// How a result looks: dark text on light, so that it can be read in light and dark surroundings.
struct Look {
  std::string_view result, fill, line;
};
constexpr Look kLooks[] = {
    {"succeeded", "#d7f5dd", "#1a7f37"}, {"cached", "#dbeafe", "#1f5fbf"},
    {"failed", "#ffdcd7", "#b3261e"},    {"timed_out", "#ffdcd7", "#b3261e"},
    {"crashed", "#ffdcd7", "#b3261e"},   {"cancelled", "#ffefc2", "#8a5a00"},
    {"blocked", "#ffefc2", "#8a5a00"},   {"skipped", "#eceef1", "#5b6470"},
    {"excluded", "#eceef1", "#5b6470"},  {"running", "#e6dcff", "#5b3fbf"},
};

const Look* look_of(std::string_view result) {
  const auto* found = std::find_if(std::begin(kLooks), std::end(kLooks),
                                   [&](const Look& look) { return look.result == result; });
  return found == std::end(kLooks) ? nullptr : found;
}

void append_mermaid(std::string& out, const Graph& graph) {
  out += "flowchart TD\n";
  for (const Look& look : kLooks) {
    const bool used = std::any_of(graph.nodes.begin(), graph.nodes.end(),
                                  [&](const Graph::Node& node) { return node.result == look.result; });
    if (!used) continue;
    out.append("  classDef ").append(look.result).append(" fill:").append(look.fill);
    out.append(",stroke:").append(look.line).append(",color:#1c1f23\n");
  }
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    out += "  n" + std::to_string(i) + "[\"" + mermaid_label(graph.nodes[i].address) + "\"]";
    if (const Look* look = look_of(graph.nodes[i].result)) out.append(":::").append(look->result);
    out += '\n';
  }
  for (const auto& edge : graph.edges) {
    out += "  n" + std::to_string(edge.from);
    if (const auto text = condition(edge.when); text.empty())
      out += " --> ";
    else
      out.append(" -. ").append(text).append(" .-> ");
    out += 'n' + std::to_string(edge.to) + '\n';
  }
}

void append_dot(std::string& out, const Graph& graph) {
  out += "digraph " + dot_string(graph.pipeline) + " {\n  node [shape=box];\n";
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    out += "  n" + std::to_string(i) + " [label=" + dot_string(graph.nodes[i].address);
    if (const Look* look = look_of(graph.nodes[i].result)) {
      out.append(",style=filled,fillcolor=\"").append(look->fill).append("\",color=\"").append(look->line);
      out.append("\",tooltip=\"").append(look->result).append("\"");
    }
    out += "];\n";
  }
  for (const auto& edge : graph.edges) {
    out += "  n" + std::to_string(edge.from) + " -> n" + std::to_string(edge.to);
    if (const auto text = condition(edge.when); !text.empty()) {
      out.append(" [style=dashed,label=\"").append(text).append("\"]");
    }
    out += ";\n";
  }
  out += "}\n";
}

void append_json(std::string& out, const Graph& graph) {
  out += "{\"pipeline\":";
  append_json_string(out, graph.pipeline);
  out += ",\"nodes\":[";
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const auto& node = graph.nodes[i];
    out += i == 0 ? "{\"id\":" : ",{\"id\":";
    append_json_string(out, node.address);
    out += ",\"type\":";
    append_json_string(out, node.type);
    out += ",\"name\":";
    append_json_string(out, node.name);
    out += ",\"stack\":";
    append_json_string(out, node.stack);
    if (!node.result.empty()) {
      out += ",\"result\":";
      append_json_string(out, node.result);
    }
    out += '}';
  }
  out += "],\"edges\":[";
  for (size_t i = 0; i < graph.edges.size(); ++i) {
    const auto& edge = graph.edges[i];
    out += i == 0 ? "{\"from\":" : ",{\"from\":";
    append_json_string(out, graph.nodes[edge.from].address);
    out += ",\"to\":";
    append_json_string(out, graph.nodes[edge.to].address);
    out.append(",\"when\":\"").append(word(edge.when)).append("\"}");
  }
  out += "]}\n";
}

}  // namespace

void append_graph(std::string& out, const Graph& graph, GraphFormat format) {
  switch (format) {
    case GraphFormat::text: Tree(out, graph).print(); break;
    case GraphFormat::mermaid: append_mermaid(out, graph); break;
    case GraphFormat::dot: append_dot(out, graph); break;
    case GraphFormat::json: append_json(out, graph); break;
  }
}

}  // namespace pf::report
