#include "cli/commands.h"
#include "cli/project.h"
#include "report/json_text.h"
#include "report/visible.h"

namespace pf::cli {
namespace {

size_t dependencies_of(const pipeline::Pipeline& pipeline) {
  size_t count = 0;
  for (uint32_t i = 0; i < pipeline.instances.size(); ++i) count += pipeline.upstream(i).size();
  return count;
}

void append_json(std::string& out, const Arguments& arguments, const pipeline::Pipeline& pipeline) {
  out += R"({"event":"valid","time":")" + rfc3339(Clock::system().wall()) + R"(","run":null,"file":)";
  report::append_json_string(out, arguments.file);
  out += ",\"pipeline\":";
  report::append_json_string(out, pipeline.name);
  out += ",\"instances\":" + std::to_string(pipeline.instances.size());
  out += ",\"sections\":" + std::to_string(pipeline.sections.size());
  out += ",\"dependencies\":" + std::to_string(dependencies_of(pipeline)) + "}\n";
}

// With -v: which extension each section uses.
void append_sections(std::string& out, const orchestrator::Project& project) {
  std::vector<size_t> counts(project.pipeline->sections.size());
  for (const auto& instance : project.pipeline->instances) ++counts[instance.section];
  for (size_t i = 0; i < counts.size(); ++i) {
    const std::string& type = project.pipeline->sections[i].type;
    const auto& package = project.extensions.at(type).package;
    out += "  " + report::visible(type) + ": " + report::count_of(counts[i], "instance") + ", extension " +
           report::visible(package.manifest.version) + " from " + report::visible(package.folder.string()) +
           '\n';
  }
}

}  // namespace

int validate(const Arguments& arguments, Screen& screen) {
  const auto project = orchestrator::open_project(project_options(arguments));
  if (!project) return refuse(screen, arguments, project.error());
  const auto& pipeline = *(*project)->pipeline;
  if (arguments.json()) {
    append_json(screen.text(), arguments, pipeline);
  } else if (!arguments.quiet) {
    screen.text() += report::visible(arguments.file) + ": " +
                     report::count_of(pipeline.instances.size(), "instance") + " in " +
                     report::count_of(pipeline.sections.size(), "section") + ", " +
                     report::count_of(dependencies_of(pipeline), "dependency", "dependencies") + ": valid\n";
    if (arguments.verbose) append_sections(screen.text(), **project);
  }
  return 0;
}

}  // namespace pf::cli
