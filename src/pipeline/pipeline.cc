#include "pipeline/pipeline.h"

#include "base/json.h"
#include "pipeline/evaluate.h"
#include "pipeline/links.h"
#include "pipeline/loader.h"
#include "pipeline/sources.h"
#include "pipeline/tree_cache.h"

namespace pf::pipeline {
namespace {

void share_files(const Document& from, Document& to) {
  if (to.file_count() > 0) return;
  for (size_t i = 0; i < from.file_count(); ++i) {
    to.add_file(from.file(static_cast<uint16_t>(i)), from.folder(static_cast<uint16_t>(i)));
  }
}

const Each* each_of(const Pipeline& pipeline, uint32_t instance) {
  const uint32_t each = pipeline.instances[instance].each;
  return each == UINT32_MAX ? nullptr : &pipeline.each[each];
}

}  // namespace

Pipeline::Pipeline() : links(std::make_unique<Links>()) {}
Pipeline::~Pipeline() = default;

std::span<const Edge> Pipeline::upstream(uint32_t i) const {
  if (i + 1 >= links->upstream_start.size()) return {};  // of a group: it waited for them
  const uint32_t start = links->upstream_start[i];
  return {links->upstream.data() + start, links->upstream_start[i + 1] - start};
}

std::span<const uint32_t> Pipeline::downstream(uint32_t i) const {
  if (i + 1 >= links->downstream_start.size()) return {};
  const uint32_t start = links->downstream_start[i];
  return {links->downstream.data() + start, links->downstream_start[i + 1] - start};
}

int64_t Pipeline::find(std::string_view address) const {
  const size_t dot = address.find('.');
  if (dot == std::string_view::npos) return -1;
  const std::string_view wanted = address.substr(dot + 1);
  for (uint32_t section = 0; section < sections.size(); ++section) {
    if (sections[section].type != address.substr(0, dot)) continue;
    const uint32_t found = links->addresses.find(hash_of(wanted, section), [&](uint32_t i) {
      return instances[i].section == section && instances[i].name == wanted;
    });
    return found == IndexTable::kNone ? -1 : static_cast<int64_t>(found);
  }
  return -1;
}

tl::expected<std::unique_ptr<Pipeline>, Errors> load(const LoadOptions& options) {
  auto pipeline = std::make_unique<Pipeline>();
  pipeline->file = options.file;
  auto document = read_pipeline_file(options.file, options.tree_cache, &pipeline->links->fresh_trees);
  if (!document) return tl::unexpected(Errors{document.error()});
  Loader loader(options, *pipeline);
  if (!loader.run(std::move(*document))) return tl::unexpected(loader.take_errors());
  return pipeline;
}

Result<void> keep_trees(const Pipeline& pipeline) {
  for (const FreshTree& tree : pipeline.links->fresh_trees) {
    if (auto written = write_tree(tree.path, tree.root, tree.merge_tags); !written) return written;
  }
  return {};
}

tl::expected<Merged, Errors> merge(const LoadOptions& options) {
  auto document = read_pipeline_file(options.file);
  if (!document) return tl::unexpected(Errors{document.error()});
  Pipeline pipeline;
  pipeline.file = options.file;
  Loader loader(options, pipeline);
  const auto body = loader.merge_with_variables(std::move(*document));
  if (!body) return tl::unexpected(loader.take_errors());
  return Merged{pipeline.name, pipeline.profile, *body, std::move(pipeline.document)};
}

Node evaluate_static(const Pipeline& pipeline, uint32_t instance, Document& scratch, Errors& errors) {
  share_files(*pipeline.document, scratch);
  const Node& config = pipeline.instances[instance].config;
  if (!config.computed && !config.escaped) return config;
  Evaluator evaluator(*pipeline.links, *pipeline.document, scratch, each_of(pipeline, instance), nullptr);
  evaluator.each_unknown = pipeline.instances[instance].group;
  return evaluator.tree(config, pipeline.address(instance), errors);
}

Result<Evaluated> evaluate(const Pipeline& pipeline, uint32_t instance, Outputs& outputs, Document& scratch) {
  share_files(*pipeline.document, scratch);
  Evaluated out;
  const Node& config = pipeline.instances[instance].config;
  if (!config.computed && !config.escaped) {
    out.config = config;
    return out;
  }
  Errors errors;
  Evaluator evaluator(*pipeline.links, *pipeline.document, scratch, each_of(pipeline, instance), &outputs);
  evaluator.from_outputs = &out.from_outputs;
  out.config = evaluator.tree(config, pipeline.address(instance), errors);
  if (!errors.empty()) return tl::unexpected(std::move(errors.front()));
  return out;
}

Result<std::optional<bool>> evaluate_when(const Pipeline& pipeline, uint32_t instance, Outputs& outputs) {
  const Node& when = pipeline.instances[instance].when;
  if (when.is_null()) return true;
  if (when.kind == Kind::boolean) return when.boolean;
  if (pipeline.instances[instance].group) {
    const Template* form = pipeline.links->template_of(when);
    if (form != nullptr && (form->uses(Root::each_key) || form->uses(Root::each_value))) return true;
  }
  const std::string path = pipeline.address(instance) + ".when";
  Document scratch;
  Errors errors;
  Evaluator evaluator(*pipeline.links, *pipeline.document, scratch, each_of(pipeline, instance), &outputs);
  const Node value = evaluator.tree(when, path, errors);
  if (!errors.empty()) return tl::unexpected(std::move(errors.front()));
  if (value.kind == Kind::boolean) return value.boolean;
  if (value.computed) return std::nullopt;
  return refuse("expression.type", path + " is " + std::string(describe(value.kind)) + ", expected a boolean",
                "compare the value, for example with == 'text'", pipeline.document->where(when, path));
}

}  // namespace pf::pipeline
