// What destroying needs of a pipeline: its graph the other way round, and instances that it does not hold any
// more.
#include "base/json.h"
#include "pipeline/links.h"
#include "pipeline/loader.h"
#include "pipeline/pipeline.h"

namespace pf::pipeline {
namespace {

// Edges by instance, as the CSR arrays of Links want them.
void set_edges(Pipeline::Links& links, const std::vector<std::vector<Edge>>& upstream) {
  const auto count = static_cast<uint32_t>(upstream.size());
  links.upstream_start = {0};
  links.downstream_start.assign(count + 1, 0);
  for (const auto& edges : upstream) {
    links.upstream.insert(links.upstream.end(), edges.begin(), edges.end());
    links.upstream_start.push_back(static_cast<uint32_t>(links.upstream.size()));
    for (const Edge& edge : edges) ++links.downstream_start[edge.upstream + 1];
  }
  for (uint32_t i = 0; i < count; ++i) links.downstream_start[i + 1] += links.downstream_start[i];
  links.downstream.resize(links.upstream.size());
  std::vector<uint32_t> next(links.downstream_start.begin(), links.downstream_start.end() - 1);
  for (uint32_t i = 0; i < count; ++i) {
    for (const Edge& edge : upstream[i]) links.downstream[next[edge.upstream]++] = i;
  }
}

}  // namespace

std::unique_ptr<Pipeline> reversed(const Pipeline& pipeline) {
  auto out = std::make_unique<Pipeline>();
  out->name = pipeline.name;
  out->max_parallel = pipeline.max_parallel;
  out->pools = pipeline.pools;
  out->sections = pipeline.sections;
  out->settings = pipeline.settings;
  for (Settings& settings : out->settings) settings.finally = settings.allow_failure = false;
  out->instances = pipeline.instances;
  for (Instance& instance : out->instances) instance.group = false;
  // An instance of an expanded group stands where the group does.
  const auto count = static_cast<uint32_t>(pipeline.instances.size());
  const auto standing_for = [&](uint32_t instance) {
    const auto group = pipeline.links->groups.find(instance);
    std::vector<uint32_t> made;
    if (group == pipeline.links->groups.end()) return std::vector<uint32_t>{instance};
    for (uint32_t i = 0; i < group->second.count; ++i) made.push_back(group->second.first + i);
    return made;
  };
  std::vector<std::vector<Edge>> upstream(count);
  for (uint32_t i = 0; i < count; ++i) {
    for (const Edge& edge : pipeline.upstream(i)) {
      const EdgeWhen when = edge.when == EdgeWhen::order ? EdgeWhen::order : EdgeWhen::succeeded;
      for (const uint32_t waited : standing_for(edge.upstream)) {
        for (const uint32_t waits : standing_for(i)) upstream[waited].push_back({waits, when});
      }
    }
  }
  set_edges(*out->links, upstream);
  return out;
}

std::string stack_of(const std::string& pattern, const std::string& name) {
  return pattern.ends_with("-*") ? pattern.substr(0, pattern.size() - 1) + as_stack_name(name) : pattern;
}

uint32_t adopt(Pipeline& pipeline, const std::string& type, const std::string& name, const std::string& stack,
               const Json& config) {
  Instance instance;
  size_t section = 0;
  while (section < pipeline.sections.size() && pipeline.sections[section].type != type) ++section;
  if (section == pipeline.sections.size()) {
    Section made;
    made.type = type;
    pipeline.sections.push_back(std::move(made));
  }
  instance.section = static_cast<uint32_t>(section);
  instance.name = name;
  instance.stack = stack_of(stack, name);
  instance.config = pipeline.document->make_json(config, pipeline.document->root());
  instance.at = instance.config;
  pipeline.instances.push_back(std::move(instance));
  const auto index = static_cast<uint32_t>(pipeline.instances.size() - 1);
  const auto rehash = [&](uint32_t i) {
    return hash_of(pipeline.instances[i].name, pipeline.instances[i].section);
  };
  pipeline.links->addresses.insert(rehash(index), index, rehash);
  return index;
}

}  // namespace pf::pipeline
