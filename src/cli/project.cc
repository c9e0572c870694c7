#include "cli/project.h"

#include "base/text.h"
#include "pipeline/sources.h"

namespace pf::cli {

namespace fs = std::filesystem;

orchestrator::ProjectOptions project_options(const Arguments& arguments) {
  orchestrator::ProjectOptions options;
  options.file = arguments.file;
  options.pipeline = arguments.pipeline;
  options.profile = arguments.profile;
  options.variables = arguments.variables;
  options.extensions.assign(arguments.extensions.begin(), arguments.extensions.end());
  options.state_folder = arguments.state_dir;
  return options;
}

orchestrator::Selection selection(const Arguments& arguments) {
  return {arguments.only, arguments.skip, arguments.from, arguments.until, arguments.affected, {}};
}

Result<Located> locate(const Arguments& arguments) {
  const auto document = pipeline::read_pipeline_file(arguments.file);
  if (!document) return tl::unexpected(document.error());
  const pipeline::Node& root = (*document)->root();
  std::vector<std::string> names;
  for (const auto& entry : root.map()) names.emplace_back(entry.key.string());
  const Where where = (*document)->where(root);
  if (names.empty()) {
    return refuse("pipeline.empty", "the file holds no pipeline, expected a mapping of pipelines",
                  "a file begins with the name of a pipeline, then its sections", where);
  }
  Located located;
  located.pipeline = arguments.pipeline;
  if (located.pipeline.empty()) {
    if (names.size() > 1) {
      return refuse(
          "pipeline.choose",
          "the file holds " + std::to_string(names.size()) + " pipelines: " + shorten(join(names, ", "), 200),
          "pick one with --pipeline " + names.front(), where);
    }
    located.pipeline = names.front();
  } else if (root.find(located.pipeline) == nullptr) {
    std::string hint = did_you_mean(located.pipeline, names);
    if (hint.empty()) hint = "it holds: " + shorten(join(names, ", "), 200);
    return refuse("pipeline.unknown", "the file holds no pipeline '" + located.pipeline + "'",
                  std::move(hint), where);
  }
  std::error_code code;
  located.state_folder = arguments.state_dir.empty()
                             ? (*document)->folder(0) / ".pangeo-forge"
                             : fs::absolute(arguments.state_dir, code).lexically_normal();
  return located;
}

}  // namespace pf::cli
