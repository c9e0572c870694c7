#include "report/graph.h"

#include "cli/commands.h"
#include "cli/project.h"

namespace pf::cli {
namespace {

Result<void> add_last_results(report::Graph& graph, const Arguments& arguments) {
  const auto located = locate(arguments);
  if (!located) return tl::unexpected(located.error());
  // Asked before reading: see status.cc.
  const bool held = state::Lock::held_by(located->state_folder).has_value();
  const auto reader = state::Reader::open(located->state_folder);
  if (!reader) return tl::unexpected(reader.error());
  auto run = (*reader)->last_run(located->pipeline);
  if (!run) return tl::unexpected(run.error());
  if (!*run) {
    return pf::refuse("state.none", located->pipeline + " was not run yet",
                      arguments.same_project("run") + " does it");
  }
  auto instances = (*reader)->instances((*run)->id);
  if (!instances) return tl::unexpected(instances.error());
  report::add_results(graph, *instances, held && (*run)->result == state::RunResult::none);
  return {};
}

}  // namespace

int graph(const Arguments& arguments, Screen& screen) {
  const auto project = orchestrator::open_project(project_options(arguments));
  if (!project) return refuse(screen, arguments, project.error());
  report::GraphFormat format = report::GraphFormat::text;
  if (arguments.format == "mermaid") format = report::GraphFormat::mermaid;
  if (arguments.format == "dot") format = report::GraphFormat::dot;
  if (arguments.format == "json") format = report::GraphFormat::json;
  report::Graph graph = report::graph_of(*(*project)->pipeline);
  if (arguments.results) {
    if (auto added = add_last_results(graph, arguments); !added)
      return refuse(screen, arguments, added.error());
  }
  report::append_graph(screen.text(), graph, format);
  return 0;
}

}  // namespace pf::cli
