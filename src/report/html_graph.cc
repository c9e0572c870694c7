#include <cstdio>
#include <map>
#include <set>

#include "report/html_parts.h"
#include "report/layered.h"
#include "report/visible.h"

namespace pf::report {
namespace {

constexpr uint32_t kMostNodes = 300;
constexpr size_t kMostEdges = 3000;
constexpr double kNodeWidth = 172, kNodeHeight = 26, kColumn = 228, kRow = 38, kMargin = 8;
constexpr size_t kLabel = 23;  // cells

/// A graph to be drawn: of instances, or of sections.
struct Drawn {
  struct Node {
    std::string label, title, class_name, link;
  };
  std::vector<Node> nodes;
  std::vector<std::pair<uint32_t, uint32_t>> edges;
};

// What a section as a whole came to: the worst of its instances' results.
InstanceResult worst(const std::vector<uint32_t>& members, const Book& book) {
  static constexpr InstanceResult kWorstFirst[] = {
      InstanceResult::crashed,   InstanceResult::failed,  InstanceResult::timed_out,
      InstanceResult::cancelled, InstanceResult::blocked, InstanceResult::none,
      InstanceResult::succeeded, InstanceResult::cached,  InstanceResult::skipped};
  for (const auto result : kWorstFirst) {
    for (uint32_t member : members) {
      if (book.stories[member].result == result) return result;
    }
  }
  return InstanceResult::excluded;
}

Drawn of_instances(const Book& book) {
  Drawn out;
  for (uint32_t i = 0; i < book.stories.size(); ++i) {
    const auto result = book.stories[i].result;
    const std::string name = visible(book.address(i));
    out.nodes.push_back({fit_end(name, kLabel), name + ": " + std::string(word_for(result)), class_of(result),
                         "#i" + std::to_string(i)});
    if (i >= book.upstream->size()) continue;
    for (uint32_t from : (*book.upstream)[i]) out.edges.push_back({from, i});
  }
  return out;
}

Drawn of_sections(const Book& book) {
  Drawn out;
  std::map<std::string, uint32_t> number;
  std::vector<std::vector<uint32_t>> members;
  std::vector<uint32_t> section_of;
  for (uint32_t i = 0; i < book.stories.size(); ++i) {
    const auto [at, fresh] = number.emplace((*book.instances)[i].type, members.size());
    if (fresh) members.emplace_back();
    members[at->second].push_back(i);
    section_of.push_back(at->second);
  }
  out.nodes.resize(members.size());
  for (const auto& [type, at] : number) {
    Counts counts;
    for (uint32_t member : members[at]) ++counts[book.stories[member].result];
    const std::string name = visible(type);
    out.nodes[at] = {fit_end(name, kLabel - 8) + " (" + std::to_string(members[at].size()) + ")",
                     name + ": " + counts_text(counts),
                     class_of(worst(members[at], book)),
                     {}};
  }
  std::set<std::pair<uint32_t, uint32_t>> edges;
  for (uint32_t i = 0; i < book.stories.size() && i < book.upstream->size(); ++i) {
    for (uint32_t from : (*book.upstream)[i]) {
      if (from < section_of.size()) edges.insert({section_of[from], section_of[i]});
    }
  }
  out.edges.assign(edges.begin(), edges.end());
  return out;
}

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", value);
  return text;
}

double left_of(const Place& place) { return kMargin + place.layer * kColumn; }
double middle_of(const Place& place) { return kMargin + place.y * kRow + kNodeHeight / 2; }

void append_edge(std::string& out, const std::vector<Place>& route) {
  std::string path =
      "M" + number(left_of(route.front()) + kNodeWidth) + ' ' + number(middle_of(route.front()));
  for (size_t i = 1; i < route.size(); ++i) {
    const double x = left_of(route[i - 1]) + kNodeWidth, y = middle_of(route[i - 1]);
    const double to_x = left_of(route[i]), to_y = middle_of(route[i]);
    // A bend between the columns, and straight through the column of an edge's own place.
    const double half = (to_x - x) / 2;
    path += " C" + number(x + half) + ' ' + number(y) + ' ' + number(to_x - half) + ' ' + number(to_y) + ' ' +
            number(to_x) + ' ' + number(to_y);
    if (i + 1 < route.size()) path += " H" + number(to_x + kNodeWidth);
  }
  out += "<path class=\"edge\" d=\"" + path + "\" marker-end=\"url(#arrow)\"/>\n";
}

void append_drawing(std::string& out, const Drawn& drawn, const std::string& label) {
  const Layout layout = lay_out(static_cast<uint32_t>(drawn.nodes.size()), drawn.edges);
  const double width = 2 * kMargin + (layout.layers - 1) * kColumn + kNodeWidth;
  const double height = 2 * kMargin + (layout.height - 1) * kRow + kNodeHeight;
  out +=
      "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Graph, scrolls\"><svg "
      "class=\"graph\" width=\"" +
      number(width) + "\" height=\"" + number(height) + "\" viewBox=\"0 0 " + number(width) + ' ' +
      number(height) + "\" role=\"group\" aria-label=\"" + html(label) + "\">\n";
  out +=
      "<defs><marker id=\"arrow\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"7\" "
      "markerHeight=\"7\" "
      "orient=\"auto\"><path class=\"head\" d=\"M0 0L8 4L0 8z\"/></marker></defs>\n";
  for (const auto& route : layout.routes) append_edge(out, route);
  for (size_t i = 0; i < drawn.nodes.size(); ++i) {
    const auto& node = drawn.nodes[i];
    const std::string x = number(left_of(layout.nodes[i]));
    const double y = kMargin + layout.nodes[i].y * kRow;
    out += node.link.empty() ? "<g class=\"node " + node.class_name + "\">"
                             : "<a class=\"node " + node.class_name + "\" href=\"" + node.link + "\">";
    out += "<title>" + html(node.title) + "</title><rect x=\"" + x + "\" y=\"" + number(y) + "\" width=\"" +
           number(kNodeWidth) + "\" height=\"" + number(kNodeHeight) + "\" rx=\"4\"/><text x=\"" +
           number(left_of(layout.nodes[i]) + 10) + "\" y=\"" + number(y + 17.5) + "\">" + html(node.label) +
           "</text>";
    out += node.link.empty() ? "</g>\n" : "</a>\n";
  }
  out += "</svg></div>\n";
}

}  // namespace

void append_graph_section(std::string& out, const Book& book) {
  if (book.upstream == nullptr || book.stories.empty()) return;
  out += "<section aria-labelledby=\"h-graph\"><h2 id=\"h-graph\">Graph</h2>\n";
  Drawn drawn;
  size_t edges = 0;
  for (const auto& upstream : *book.upstream) edges += upstream.size();
  const bool all = book.stories.size() <= kMostNodes && edges <= kMostEdges;
  drawn = all ? of_instances(book) : of_sections(book);
  if (!all) {
    out += "<p class=\"note\">" + std::to_string(book.stories.size()) + " instances with " +
           std::to_string(edges) + " dependencies are too many to be drawn: these are their sections.</p>\n";
  }
  if (drawn.nodes.size() > kMostNodes || drawn.edges.size() > kMostEdges) {
    out += "<p class=\"note\">There are " + std::to_string(drawn.nodes.size()) +
           " sections, too many as well. <code>pangeo-forge graph</code> prints the graph.</p>\n";
  } else {
    append_drawing(out, drawn, "What waits for what");
  }
  out += "</section>\n";
}

}  // namespace pf::report
