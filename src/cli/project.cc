#include "cli/project.h"

#include "base/text.h"
#include "pipeline/reader.h"

namespace pf::cli {

namespace fs = std::filesystem;

orchestrator::ProjectOptions project_options(const Arguments& arguments) {
  orchestrator::ProjectOptions options;
  options.file = arguments.file;
  options.pipeline = arguments.pipeline;
  options.variables = arguments.variables;
  options.extensions.assign(arguments.extensions.begin(), arguments.extensions.end());
  options.state_folder = arguments.state_dir;
  return options;
}

Result<Located> locate(const Arguments& arguments) {
  const auto document = pipeline::read_yaml_file(arguments.file, arguments.file);
  if (!document) return tl::unexpected(document.error());
  const pipeline::Node& root = (*document)->root();
  std::vector<std::string> names;
  for (const auto& entry : root.map()) names.emplace_back(entry.key.string());
  const Where where = (*document)->where(root);
  if (names.empty()) {
    return refuse("pipeline.none", "the file holds no pipeline",
                  "write one as `NAME:` with its sections below", where);
  }
  Located located;
  located.pipeline = arguments.pipeline;
  if (located.pipeline.empty()) {
    if (names.size() > 1) {
      return refuse("pipeline.ambiguous", "the file holds several pipelines: " + join(names, ", "),
                    "choose one with --pipeline NAME", where);
    }
    located.pipeline = names.front();
  } else if (root.find(located.pipeline) == nullptr) {
    std::string hint = did_you_mean(located.pipeline, names);
    if (!hint.empty()) hint += " ";
    return refuse("pipeline.unknown", "the file holds no pipeline '" + located.pipeline + "'",
                  hint + "it holds " + join(names, ", "), where);
  }
  std::error_code code;
  located.state_folder = arguments.state_dir.empty()
                             ? fs::absolute(arguments.file, code).parent_path() / ".pangeo-forge"
                             : fs::absolute(arguments.state_dir, code);
  return located;
}

}  // namespace pf::cli
