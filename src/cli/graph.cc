#include "report/graph.h"

#include "cli/commands.h"
#include "cli/project.h"

namespace pf::cli {

int graph(const Arguments& arguments, Screen& screen) {
  const auto project = orchestrator::open_project(project_options(arguments));
  if (!project) return refuse(screen, arguments, project.error());
  report::GraphFormat format = report::GraphFormat::text;
  if (arguments.format == "mermaid") format = report::GraphFormat::mermaid;
  if (arguments.format == "dot") format = report::GraphFormat::dot;
  if (arguments.format == "json") format = report::GraphFormat::json;
  report::append_graph(screen.text(), report::graph_of(*(*project)->pipeline), format);
  return 0;
}

}  // namespace pf::cli
