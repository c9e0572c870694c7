// for_each over outputs: one instance that stands for others, until its upstream has given it their values.
#include <algorithm>

#include "base/cbor.h"
#include "base/json.h"
#include "base/text.h"
#include "pipeline/loader.h"

namespace pf::pipeline {
namespace {

constexpr size_t kMaxInstances = 1'000'000;
constexpr std::string_view kHintPlain = "use var or env here: each is known only when the upstream has run";

}  // namespace

/// Whether some text of a tree refers to one of these.
bool Loader::uses(const Node& node, const std::string& path, std::initializer_list<Root> roots) {
  if (!node.computed) return false;
  for (const Node& item : node.list()) {
    if (uses(item, path, roots)) return true;
  }
  for (const Entry& entry : node.map()) {
    if (uses(entry.value, path, roots)) return true;
  }
  if (node.kind != Kind::string) return false;
  const Template* form = parse(node, path);
  return form != nullptr &&
         std::any_of(roots.begin(), roots.end(), [&](Root root) { return form->uses(root); });
}

bool Loader::uses_each(const Node* node, const std::string& path) {
  return node != nullptr && uses(*node, path, {Root::each_key, Root::each_value});
}

/// The item becomes one instance. What it reads of `each` is checked as far as it can be, and read by
/// add_children().
bool Loader::add_over_outputs(Item& item, const Keys& keys, const Node& config, const std::string& path) {
  item.for_each = keys.for_each;
  const size_t before = errors_.size();
  const Node* folders = keys.for_each->size == 1 ? keys.for_each->find("folders") : nullptr;
  if (folders != nullptr) {
    report("expression.not_static",
           "found outputs in " + path + ".for_each.folders, which must be known before anything runs",
           "use var or env here, or let an instance list the folders and give them as an output", *folders,
           path + ".for_each");
  }
  if (uses(*keys.for_each, path + ".for_each", {Root::secret})) {
    report("expression.secret",
           "found a secret in " + path + ".for_each, expected it in an extension's configuration only",
           "what is written here is shown to people and kept in files", *keys.for_each, path + ".for_each");
  }
  if (uses_each(keys.name, path + ".name")) {
    report("pipeline.for_each",
           "the name of " + path + " holds each, but what its for_each gives is known only when it runs",
           "give it a plain name: its instances are then NAME[\"KEY\"]", *keys.name, path + ".name");
  }
  if (uses_each(keys.depends_on, path + ".depends_on")) {
    report("pipeline.for_each",
           path + ".depends_on holds each, but what its for_each gives is known only when it runs",
           std::string(kHintPlain), *keys.depends_on, path + ".depends_on");
  }
  if (uses_each(keys.finally, path + ".finally")) {
    report("pipeline.for_each",
           path + ".finally holds each, but what its for_each gives is known only when it runs",
           std::string(kHintPlain), *keys.finally, path + ".finally");
  }
  if (keys.stack != nullptr && prepare(*keys.stack, path + ".stack") &&
      !uses_each(keys.stack, path + ".stack")) {
    report("pipeline.stack_conflict", "all instances of " + path + " would have the same stack",
           "write ${each.key} into it", *keys.stack, path + ".stack");
  }
  Keys own = keys;
  own.for_each = nullptr;
  for (const Node** key :
       {&own.tags, &own.max_attempts, &own.retry, &own.timeout, &own.allow_failure, &own.deadline, &own.cache,
        &own.priority, &own.pool, &own.protect, &own.on_failure, &own.limits, &own.hooks}) {
    if (!uses_each(*key, path)) continue;
    prepare(**key, path);
    *key = nullptr;
  }
  if (errors_.size() > before) return false;
  return add_instance(item, own, config, path, UINT32_MAX, read_item_settings(own, path, nullptr));
}

std::optional<std::vector<Each>> Loader::evaluate_items(const Node& node, const std::string& path,
                                                        Outputs& outputs) {
  Evaluator evaluator(links_, document(), document(), nullptr, &outputs);
  const size_t before = errors_.size();
  const Node value = evaluator.tree(node, path, errors_);
  if (errors_.size() > before) return std::nullopt;
  if (value.is_null()) return std::vector<Each>();
  return items_of(value, path, "a list or a mapping");
}

std::optional<std::vector<Each>> Loader::known_items(const Node& node, const std::string& path,
                                                     const Json& expansion) {
  std::vector<Each> items;
  std::unordered_set<std::string> keys;
  bool good = expansion.is_array();
  for (const Json& item : expansion) {
    good = good && item.is_array() && item.size() == 2 && item[0].is_string() &&
           keys.insert(item[0].get<std::string>()).second;
    if (!good) break;
    items.push_back({item[0].get<std::string>(), document().make_json(item[1], node)});
  }
  if (good) return items;
  report("pipeline.expansion",
         "what " + path + " gave before cannot be read, expected a list of [key, value]",
         "run it anew, without --resume", node, path);
  return std::nullopt;
}

bool Loader::add_children(const Instance& group, const Keys& keys, std::vector<Each> items,
                          const std::string& path) {
  const bool settings_vary =
      keys.settings_vary &&
      (uses_each(keys.tags, path) || uses_each(keys.max_attempts, path) || uses_each(keys.retry, path) ||
       uses_each(keys.timeout, path) || uses_each(keys.allow_failure, path) ||
       uses_each(keys.deadline, path) || uses_each(keys.cache, path) || uses_each(keys.priority, path) ||
       uses_each(keys.pool, path) || uses_each(keys.protect, path) || uses_each(keys.on_failure, path));
  const bool limits_vary = uses_each(keys.limits, path);
  const bool hooks_vary = uses_each(keys.hooks, path);
  if (pipeline_.instances.size() + items.size() > kMaxInstances) {
    report("pipeline.too_many",
           "with this for_each there are more than " + std::to_string(kMaxInstances) + " instances",
           "split the pipeline", *keys.for_each, path + ".for_each");
    return false;
  }
  for (Each& item : items) {
    if (!cbor::is_utf8(item.key)) {
      report("pipeline.for_each", "an item of " + path + ".for_each is no UTF-8 text",
             "give a mapping whose keys are text", *keys.for_each, path + ".for_each");
      return false;
    }
    Instance child = group;
    child.group = false;
    child.name = keyed_name(group.name, item.key);
    auto stack = read_stack(keys, path, &item, child.name);
    if (!stack) return false;
    child.stack = std::move(*stack);
    if (settings_vary) child.settings = read_item_settings(keys, path, &item);
    if (limits_vary) {
      auto limits = resolve(*keys.limits, path + ".limits", &item);
      if (!limits) return false;
      child.limits = *limits;
    }
    if (hooks_vary) child.hooks = read_item_hooks(*keys.hooks, path + ".hooks", &item);
    if (!errors_.empty()) return false;
    child.each = static_cast<uint32_t>(pipeline_.each.size());
    pipeline_.each.push_back(std::move(item));
    pipeline_.instances.push_back(std::move(child));
  }
  return true;
}

/// Puts the stacks of instances from `first` on beside those that are known; false, with an error, where two
/// are the same, and then none of them is put there.
bool Loader::add_stacks(uint32_t first) {
  const auto& instances = pipeline_.instances;
  const auto rehash = [&](uint32_t i) { return hash_of(instances[i].stack); };
  for (; links_.stacks_known < first; ++links_.stacks_known) {
    const uint32_t i = links_.stacks_known;
    if (!instances[i].group) links_.stacks.insert(rehash(i), i, rehash);
  }
  IndexTable fresh;
  for (uint32_t i = first; i < instances.size(); ++i) {
    const auto equal = [&](uint32_t k) { return instances[k].stack == instances[i].stack; };
    uint32_t same = links_.stacks.find(rehash(i), equal);
    if (same == IndexTable::kNone) same = fresh.find(rehash(i), equal);
    if (same == IndexTable::kNone) {
      fresh.insert(rehash(i), i, rehash);
      continue;
    }
    report("pipeline.stack_conflict",
           pipeline_.address(i) + " would have the stack '" + instances[i].stack + "', as " +
               pipeline_.address(same) + " at " + document().where(instances[same].at).text(),
           "give the instances of this for_each stacks of their own with stack:", instances[i].at,
           pipeline_.address(i));
    return false;
  }
  return true;
}

Result<uint32_t> Loader::expand(uint32_t group, Outputs* outputs, const Json* expansion) {
  const Instance parent = pipeline_.instances[group];  // a copy: the vector grows
  const std::string path = pipeline_.address(group);
  if (!parent.group || links_.groups.contains(group)) {
    return refuse("pipeline.expansion", path + " has no for_each that waits for its items",
                  "this is a fault of the program", document().where(parent.at, path));
  }
  std::vector<Entry> unused;
  const Keys keys = split(parent.at, path, unused);
  auto items = outputs != nullptr ? evaluate_items(*keys.for_each, path + ".for_each", *outputs)
                                  : known_items(*keys.for_each, path + ".for_each", *expansion);
  if (!items) return tl::unexpected(errors_.front());
  const auto first = static_cast<uint32_t>(pipeline_.instances.size());
  const size_t each = pipeline_.each.size();
  const size_t settings = pipeline_.settings.size();
  const size_t hooks = pipeline_.hooks.size();
  const auto count = static_cast<uint32_t>(items->size());
  if (!add_children(parent, keys, std::move(*items), path) || !add_stacks(first)) {
    pipeline_.instances.erase(pipeline_.instances.begin() + first, pipeline_.instances.end());
    pipeline_.each.erase(pipeline_.each.begin() + static_cast<ptrdiff_t>(each), pipeline_.each.end());
    pipeline_.settings.resize(settings);
    pipeline_.hooks.resize(hooks);
    return tl::unexpected(errors_.front());
  }
  Pipeline::Links::Group& made = links_.groups[group];
  made.first = first;
  made.count = count;
  const auto rehash = [&](uint32_t i) {
    return hash_of(pipeline_.instances[i].name, pipeline_.instances[i].section);
  };
  for (uint32_t i = first; i < first + count; ++i) {
    links_.addresses.insert(rehash(i), i, rehash);
    made.keys.emplace(pipeline_.each[pipeline_.instances[i].each].key, i);
  }
  return count;
}

Result<uint32_t> expand(Pipeline& pipeline, uint32_t group, Outputs& outputs) {
  return Loader(LoadOptions{}, pipeline).expand(group, &outputs, nullptr);
}

Result<uint32_t> expand_again(Pipeline& pipeline, uint32_t group, const Json& expansion) {
  return Loader(LoadOptions{}, pipeline).expand(group, nullptr, &expansion);
}

Json expansion(const Pipeline& pipeline, uint32_t first, uint32_t count) {
  Json out = Json::array();
  for (uint32_t i = first; i < first + count; ++i) {
    const Each& each = pipeline.each[pipeline.instances[i].each];
    out.push_back(Json::array({each.key, to_json(each.value)}));
  }
  return out;
}

}  // namespace pf::pipeline
