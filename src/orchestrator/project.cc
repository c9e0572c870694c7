#include "orchestrator/project.h"

#include <algorithm>
#include <tuple>

#include "base/json.h"
#include "extension/describe.h"
#include "extension/descriptions.h"
#include "state/layout.h"

namespace pf::orchestrator {
namespace {

namespace fs = std::filesystem;

void sort_by_position(Errors& errors) {
  std::stable_sort(errors.begin(), errors.end(), [](const Error& a, const Error& b) {
    return std::tie(a.where.file, a.where.line, a.where.column) <
           std::tie(b.where.file, b.where.line, b.where.column);
  });
}

void append(Errors& to, Errors from) { std::move(from.begin(), from.end(), std::back_inserter(to)); }

// Finds the packages of all sections; the pipeline's position goes into what is not found.
void find_packages(Project& project, const ProjectOptions& options, Errors& errors) {
  const auto& pipeline = *project.pipeline;
  extension::SearchOptions search;
  search.folders = options.extensions;
  search.project = pipeline.folder;
  for (const auto& section : pipeline.sections) {
    auto package = extension::find_package(search, section.type);
    if (!package) {
      for (auto& error : package.error()) {
        if (error.where.file.empty()) error.where = pipeline.document->where(section.at, section.type);
        errors.push_back(std::move(error));
      }
      continue;
    }
    Loaded loaded;
    loaded.has_bootstrap = package->modules.count("bootstrap") != 0;
    loaded.package = std::move(*package);
    project.extensions.emplace(section.type, std::move(loaded));
  }
}

Result<std::unique_ptr<pipeline::Schema>> schema_of(const extension::Package& package,
                                                    const Json& description) {
  const auto config = description.find("Config");
  if (config == description.end()) {
    return refuse("schema.no_config", "models.lua of '" + package.manifest.name + "' returns no `Config`",
                  "return {Config = s.object { … }}", {(package.folder / "models.lua").string(), 1, 1, {}});
  }
  auto schema = pipeline::Schema::from_json(*config);
  if (!schema && schema.error().where.file.empty()) {
    schema.error().where = {(package.folder / "models.lua").string(), 1, 1, schema.error().where.path};
  }
  return schema;
}

// Gives every extension its schema: from the cache, else by evaluating models.lua in a worker.
void load_schemas(Project& project, Errors& errors) {
  const extension::Descriptions cache(project.state_folder);
  std::vector<Loaded*> missing;
  const auto take = [&](Loaded& loaded, const Json& description) {
    auto schema = schema_of(loaded.package, description);
    if (schema)
      loaded.schema = std::move(*schema);
    else
      errors.push_back(schema.error());
    return schema.has_value();
  };
  for (auto& [type, loaded] : project.extensions) {
    if (loaded.schema) continue;
    if (loaded.package.modules.count("models") == 0) {
      loaded.schema = pipeline::Schema::empty();
    } else if (auto description = cache.find(loaded.package.digest)) {
      take(loaded, *description);
    } else {
      missing.push_back(&loaded);
    }
  }
  std::vector<const extension::Package*> packages;
  for (const Loaded* loaded : missing) packages.push_back(&loaded->package);
  auto descriptions = extension::describe(packages);
  if (!descriptions) {
    append(errors, std::move(descriptions.error()));
    return;
  }
  for (size_t i = 0; i < missing.size(); ++i) {
    if (take(*missing[i], (*descriptions)[i])) {
      project.fresh.emplace_back(missing[i]->package.digest, std::move((*descriptions)[i]));
    }
  }
}

void check_configs(const Project& project, Errors& errors) {
  const auto& pipeline = *project.pipeline;
  for (uint32_t i = 0; i < pipeline.instances.size(); ++i) {
    const auto& instance = pipeline.instances[i];
    const auto found = project.extensions.find(pipeline.sections[instance.section].type);
    if (found == project.extensions.end() || !found->second.schema) continue;
    const std::string path = pipeline.address(i);
    if (!instance.config.computed && !instance.config.escaped) {
      found->second.schema->check(*pipeline.document, instance.config, path, true, errors);
      continue;
    }
    pipeline::Document scratch;
    const pipeline::Node config = pipeline::evaluate_static(pipeline, i, scratch, errors);
    found->second.schema->check(scratch, config, path, true, errors);
  }
}

}  // namespace

Errors read_operators_keys(Project& project, uint32_t first) {
  Errors errors;
  const auto& pipeline = *project.pipeline;
  const auto keep = [&](auto& to, uint32_t instance, auto read) {
    if (read)
      to.emplace(instance, std::move(*read));
    else
      append(errors, std::move(read.error()));
  };
  for (uint32_t i = first; i < pipeline.instances.size(); ++i) {
    const auto& instance = pipeline.instances[i];
    const auto found = project.extensions.find(pipeline.sections[instance.section].type);
    if (found == project.extensions.end()) continue;
    const auto& manifest = found->second.package.manifest;
    if (!instance.permissions.is_null()) {
      keep(project.permissions, i,
           extension::read_permissions(*pipeline.document, instance.permissions,
                                       pipeline.address(i) + ".permissions", manifest.permissions));
    }
    if (!instance.limits.is_null()) {
      keep(project.limits, i,
           extension::read_limits(*pipeline.document, instance.limits, pipeline.address(i) + ".limits",
                                  manifest.limits));
    }
  }
  return errors;
}

const extension::Permissions& Project::permissions_of(uint32_t instance) const {
  if (const auto own = permissions.find(instance); own != permissions.end()) return own->second;
  return extensions.at(pipeline->sections[pipeline->instances[instance].section].type)
      .package.manifest.permissions;
}

const extension::Limits& Project::limits_of(uint32_t instance) const {
  if (const auto own = limits.find(instance); own != limits.end()) return own->second;
  return extensions.at(pipeline->sections[pipeline->instances[instance].section].type)
      .package.manifest.limits;
}

extension::Permissions Project::bootstrap_permissions(uint32_t section) const {
  extension::Permissions out = extensions.at(pipeline->sections[section].type).package.manifest.permissions;
  const auto keep_common = [](auto& list, const auto& other) {
    std::erase_if(
        list, [&](const auto& entry) { return std::find(other.begin(), other.end(), entry) == other.end(); });
  };
  for (const auto& [instance, own] : permissions) {
    if (pipeline->instances[instance].section != section) continue;
    keep_common(out.http, own.http);
    keep_common(out.env, own.env);
    keep_common(out.read, own.read);
    keep_common(out.write, own.write);
    keep_common(out.git, own.git);
    keep_common(out.secrets, own.secrets);
    keep_common(out.programs, own.programs);
    out.shm = out.shm && own.shm;
    out.pty = out.pty && own.pty;
  }
  return out;
}

Project::Project() = default;
Project::~Project() = default;

tl::expected<std::unique_ptr<Project>, Errors> open_project(const ProjectOptions& options) {
  pipeline::LoadOptions load;
  load.file = options.file;
  load.pipeline = options.pipeline;
  load.profile = options.profile;
  load.variables = options.variables;
  const auto beside = fs::absolute(options.file).lexically_normal().parent_path();
  const auto state_folder = options.state_folder.empty()
                                ? beside / ".pangeo-forge"
                                : fs::absolute(options.state_folder).lexically_normal();
  load.tree_cache = state::Layout(state_folder).cache() / "trees";
  auto pipeline = pipeline::load(load);
  if (!pipeline) return tl::unexpected(std::move(pipeline.error()));

  auto project = std::make_unique<Project>();
  project->pipeline = std::move(*pipeline);
  project->state_folder = state_folder;
  Errors errors;
  find_packages(*project, options, errors);
  load_schemas(*project, errors);
  check_configs(*project, errors);
  append(errors, read_operators_keys(*project, 0));
  if (auto hooks = load_hooks(*project->pipeline))
    project->hooks = std::move(*hooks);
  else
    append(errors, std::move(hooks.error()));
  if (!errors.empty()) {
    sort_by_position(errors);
    return tl::unexpected(std::move(errors));
  }
  return project;
}

tl::expected<void, Errors> load_extension(Project& project, const ProjectOptions& options,
                                          const std::string& type) {
  if (project.extensions.contains(type)) return {};
  extension::SearchOptions search;
  search.folders = options.extensions;
  search.project = project.pipeline->folder;
  auto package = extension::find_package(search, type);
  if (!package) return tl::unexpected(std::move(package.error()));
  Loaded loaded;
  loaded.has_bootstrap = package->modules.count("bootstrap") != 0;
  loaded.package = std::move(*package);
  project.extensions.emplace(type, std::move(loaded));
  Errors errors;
  load_schemas(project, errors);
  if (!errors.empty()) return tl::unexpected(std::move(errors));
  return {};
}

void keep_descriptions(const Project& project) {
  const extension::Descriptions cache(project.state_folder);
  // Only a cache: a folder that cannot be written is met again, and reported, by the run store.
  for (const auto& [digest, description] : project.fresh) (void)cache.put(digest, description);
  (void)pipeline::keep_trees(*project.pipeline);
}

}  // namespace pf::orchestrator
