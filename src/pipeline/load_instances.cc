// Sections and their items: names, stacks, configuration, and what for_each makes of an item.
#include <algorithm>

#include "base/text.h"
#include "pipeline/folders.h"
#include "pipeline/instance_keys.h"
#include "pipeline/loader.h"

namespace pf::pipeline {
namespace {

constexpr size_t kMaxInstances = 1'000'000;
constexpr std::string_view kReservedTypes[] = {"var", "env", "each", "secret"};

std::string place_text(const Document& document, const Node& node) { return document.where(node).text(); }

}  // namespace

std::string as_stack_name(std::string_view name) {
  std::string out;
  for (char c : name) {
    if ((c & 0xC0) == 0x80) continue;
    out += is_stack_name({&c, 1}) ? c : '-';
  }
  return out;
}

std::string keyed_name(std::string_view name, std::string_view key) {
  std::string out(name);
  out += "[\"";
  for (char c : key) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out += "\"]";
}

void Loader::read_sections(const Node& body) {
  size_t items = 0;
  for (const Entry& entry : body.map()) items += entry.value.list().size();
  pipeline_.instances.reserve(items);
  items_.reserve(items);
  for (const Entry& entry : body.map()) {
    if (entry.key.string() != "core") read_section(entry);
  }
  check_stacks();
  check_moved();
}

void Loader::read_section(const Entry& entry) {
  const std::string type(entry.key.string());
  const auto index = static_cast<uint32_t>(pipeline_.sections.size());
  const auto order = section_order_.find(entry.key.string());
  const auto limit = section_limits_.find(entry.key.string());
  pipeline_.sections.push_back({type, entry.key, order == section_order_.end() ? sequential_ : order->second,
                                limit == section_limits_.end() ? 0 : limit->second});
  incomplete_.push_back(false);
  sections_.emplace(entry.key.string(), index);
  if (!is_identifier(type) ||
      std::find(std::begin(kReservedTypes), std::end(kReservedTypes), type) != std::end(kReservedTypes)) {
    report("pipeline.section",
           "'" + shorten(type, 60) +
               "' cannot name a section, expected a type of extension: letters, digits, '_' and '-', "
               "beginning with a letter",
           "var, env, each and secret are words of expressions", entry.key, type);
    incomplete_[index] = true;
    return;
  }
  if (entry.value.kind != Kind::list) {
    wrong_type(entry.value.is_null() ? entry.key : entry.value, type, "a list of instances",
               "begin each instance with '- name: '");
    if (entry.value.is_null()) errors_.back().message = type + " is nothing, expected a list of instances";
    incomplete_[index] = true;
    return;
  }
  size_t number = 0;
  for (const Node& item : entry.value.list()) read_item(index, item, number++);
}

Loader::Keys Loader::split(const Node& node, const std::string& path, std::vector<Entry>& config) {
  Keys keys;
  using Id = InstanceKey::Id;
  const auto setting = [&](const Node*& key, const Node& value) {
    key = &value;
    keys.has_settings = true;
    keys.settings_vary = keys.settings_vary || value.computed;
  };
  for (const Entry& entry : node.map()) {
    const InstanceKey* const own = find_instance_key(entry.key.string());
    if (own == nullptr) {
      config.push_back(entry);
      continue;
    }
    switch (own->id) {
      case Id::name: keys.name = &entry.value; break;
      case Id::stack: keys.stack = &entry.value; break;
      case Id::depends_on: keys.depends_on = &entry.value; break;
      case Id::when: keys.when = &entry.value; break;
      case Id::for_each: keys.for_each = &entry.value; break;
      case Id::tags: setting(keys.tags, entry.value); break;
      case Id::max_attempts: setting(keys.max_attempts, entry.value); break;
      case Id::retry: setting(keys.retry, entry.value); break;
      case Id::timeout: setting(keys.timeout, entry.value); break;
      case Id::allow_failure: setting(keys.allow_failure, entry.value); break;
      case Id::deadline: setting(keys.deadline, entry.value); break;
      case Id::cache: setting(keys.cache, entry.value); break;
      case Id::priority: setting(keys.priority, entry.value); break;
      case Id::pool: setting(keys.pool, entry.value); break;
      case Id::protect: setting(keys.protect, entry.value); break;
      case Id::finally: setting(keys.finally, entry.value); break;
      case Id::on_failure: setting(keys.on_failure, entry.value); break;
      case Id::permissions: keys.permissions = &entry.value; break;
      case Id::limits: keys.limits = &entry.value; break;
      case Id::hooks: keys.hooks = &entry.value; break;
      case Id::later: not_supported(entry.key, path + '.' + std::string(entry.key.string())); break;
    }
  }
  return keys;
}

/// An item's keys over its type's defaults: mappings are merged key by key, everything else is replaced.
Node Loader::merge(std::span<const Entry> own, const Node* defaults, const Node& at) {
  if (defaults == nullptr || defaults->map().empty()) {
    Node node = document().make_map(own, at);
    return node;
  }
  std::vector<Entry> entries(own.begin(), own.end());
  for (const Entry& entry : defaults->map()) {
    auto same = std::find_if(entries.begin(), entries.end(),
                             [&](const Entry& e) { return e.key.string() == entry.key.string(); });
    if (same == entries.end()) {
      entries.push_back(entry);
    } else if (same->value.kind == Kind::map && entry.value.kind == Kind::map) {
      same->value = merge(same->value.map(), &entry.value, same->value);
    }
  }
  return document().make_map(entries, at);
}

void Loader::read_item(uint32_t section, const Node& node, size_t index) {
  const std::string& type = pipeline_.sections[section].type;
  const std::string place = type + '[' + std::to_string(index) + ']';
  const size_t before = errors_.size();
  if (node.kind != Kind::map) {
    wrong_type(node, place, "an instance, which is a mapping", "write - name: first");
    incomplete_[section] = true;
    return;
  }
  std::vector<Entry> own;
  const Keys keys = split(node, place, own);
  if (keys.name == nullptr) {
    report("pipeline.missing_name", place + " has no name, expected one", "add name: to the instance", node,
           place);
    incomplete_[section] = true;
    return;
  }
  const std::string path =
      type + '.' + (keys.name->kind == Kind::string ? std::string(keys.name->string()) : "?");
  const auto defaults = defaults_.find(type);
  Node config = merge(own, defaults == defaults_.end() ? nullptr : defaults->second, node);
  if (config.escaped && !config.computed) {
    // Nothing of it waits for a value, so those who read it need not evaluate: `$${` is taken care of here.
    config = Evaluator(links_, document(), document(), nullptr, nullptr).tree(config, path, errors_);
  }
  Item item;
  item.section = section;
  item.first = static_cast<uint32_t>(pipeline_.instances.size());
  item.node = &node;
  item.depends_on = keys.depends_on;
  item.when = keys.when;
  if (keys.when != nullptr && keys.when->kind != Kind::boolean &&
      !(keys.when->kind == Kind::string && keys.when->computed)) {
    wrong_type(*keys.when, path + ".when", "a boolean or an expression",
               "write it as when: \"${var.region == 'us'}\"");
  }
  if (keys.for_each == nullptr) {
    const uint32_t settings = read_item_settings(keys, path, nullptr);
    if (!add_instance(item, keys, config, path, UINT32_MAX, settings)) incomplete_[section] = true;
  } else if (uses(*keys.for_each, path + ".for_each", {Root::instance})) {
    if (!add_over_outputs(item, keys, config, path)) incomplete_[section] = true;
  } else {
    auto expansion = read_for_each(*keys.for_each, path + ".for_each");
    if (expansion && pipeline_.instances.size() + expansion->size() > kMaxInstances) {
      report("pipeline.too_many",
             "with this for_each there are more than " + std::to_string(kMaxInstances) + " instances",
             "split the pipeline", *keys.for_each, path + ".for_each");
      expansion.reset();
    }
    const Template* form =
        keys.name->computed && keys.name->kind == Kind::string ? parse(*keys.name, path + ".name") : nullptr;
    item.group = form == nullptr || !(form->uses(Root::each_key) || form->uses(Root::each_value));
    if (!expansion) incomplete_[section] = true;
    const uint32_t shared = keys.settings_vary ? 0 : read_item_settings(keys, path, nullptr);
    bool good = expansion.has_value();
    for (size_t i = 0; good && i < expansion->size(); ++i) {
      pipeline_.each.push_back(std::move((*expansion)[i]));
      const auto each = static_cast<uint32_t>(pipeline_.each.size() - 1);
      const Each copy = pipeline_.each[each];
      const uint32_t settings = keys.settings_vary ? read_item_settings(keys, path, &copy) : shared;
      good = add_instance(item, keys, config, path, each, settings) && errors_.size() == before;
    }
    if (!good) incomplete_[section] = true;
    if (item.group && good) add_group(item, *keys.name, path);
  }
  item.count = static_cast<uint32_t>(pipeline_.instances.size()) - item.first;
  items_.push_back(item);
}

/// Makes `name` stand for all instances of a for_each; an empty one has a name, too, and references to it are
/// an empty list.
void Loader::add_group(Item& item, const Node& node, const std::string& path) {
  const auto name = read_name(node, path, nullptr);
  if (!name) {
    incomplete_[item.section] = true;
    return;
  }
  item.name = document().intern(*name);
  const size_t hash = hash_of(item.name, item.section);
  const uint32_t instance = links_.addresses.find(hash, [&](uint32_t i) {
    return pipeline_.instances[i].section == item.section && pipeline_.instances[i].name == item.name;
  });
  const uint32_t group = groups_.find(
      hash, [&](uint32_t i) { return items_[i].section == item.section && items_[i].name == item.name; });
  if (instance != IndexTable::kNone || group != IndexTable::kNone) {
    const Node& other =
        instance != IndexTable::kNone ? pipeline_.instances[instance].at : *items_[group].node;
    report("pipeline.duplicate_name",
           "the name '" + *name + "' stands in " + pipeline_.sections[item.section].type + " already, at " +
               place_text(document(), other),
           "rename one of the two", node, path);
    return;
  }
  groups_.insert(hash, static_cast<uint32_t>(items_.size()),
                 [&](uint32_t i) { return hash_of(items_[i].name, items_[i].section); });
}

std::optional<std::string> Loader::read_name(const Node& name, const std::string& path, const Each* each) {
  auto value = resolve(name, path + ".name", each);
  if (!value) return std::nullopt;
  if (value->kind != Kind::string) {
    wrong_type(*value, pipeline_.sections.back().type + ".?.name", "text",
               value->kind == Kind::list || value->kind == Kind::map ? "" : "put it in quotes");
    return std::nullopt;
  }
  const std::string_view text = value->string();
  const std::string bad = illegal_character(text);
  if (!bad.empty()) {
    report("pipeline.name",
           "the name '" + shorten(text, 60) + "' holds '" + bad +
               "', expected letters, digits, '_', '-' and '.'",
           "rename the instance", name, path + ".name");
    return std::nullopt;
  }
  if (text.empty() || text.size() > 100) {
    report("pipeline.name", "the name has " + std::to_string(text.size()) + " characters, expected 1 to 100",
           "rename the instance", name, path + ".name");
    return std::nullopt;
  }
  return std::string(text);
}

std::optional<std::string> Loader::read_stack(const Keys& keys, const std::string& path, const Each* each,
                                              const std::string& name) {
  if (keys.stack == nullptr) {
    std::string stack = pipeline_.stack + '-' + as_stack_name(name);
    if (stack.size() > 100) {
      report("pipeline.stack_name",
             "the stack '" + shorten(stack, 120) + "' would have " + std::to_string(stack.size()) +
                 " characters, expected at most 100",
             "give it a shorter name with stack:", *keys.name, path);
      return std::nullopt;
    }
    return stack;
  }
  auto value = resolve(*keys.stack, path + ".stack", each);
  if (!value) return std::nullopt;
  if (value->kind != Kind::string) {
    wrong_type(*value, path + ".stack", "text");
    return std::nullopt;
  }
  if (!is_stack_name(value->string())) {
    const std::string bad = illegal_character(value->string());
    report("pipeline.stack_name",
           bad.empty() ? path + ".stack has " + std::to_string(value->size) + " characters, expected 1 to 100"
                       : path + ".stack is '" + shorten(value->string(), 60) + "', which holds '" + bad +
                             "', expected letters, digits, '_', '-' and '.'",
           "choose another name", *keys.stack, path + ".stack");
    return std::nullopt;
  }
  return std::string(value->string());
}

bool Loader::add_instance(Item& item, const Keys& keys, const Node& config, const std::string& path,
                          uint32_t each, uint32_t settings) {
  const Each* values = each == UINT32_MAX ? nullptr : &pipeline_.each[each];
  auto name = read_name(*keys.name, path, values);
  if (!name) return false;
  if (values != nullptr && item.group) *name = keyed_name(*name, values->key);
  const size_t hash = hash_of(*name, item.section);
  const uint32_t same = links_.addresses.find(hash, [&](uint32_t i) {
    return pipeline_.instances[i].section == item.section && pipeline_.instances[i].name == *name;
  });
  const uint32_t group = groups_.find(
      hash, [&](uint32_t i) { return items_[i].section == item.section && items_[i].name == *name; });
  if (same != IndexTable::kNone || group != IndexTable::kNone) {
    const Node& other = same != IndexTable::kNone ? pipeline_.instances[same].at : *items_[group].node;
    report("pipeline.duplicate_name",
           "the name '" + *name + "' stands in " + pipeline_.sections[item.section].type + " already, at " +
               place_text(document(), other),
           values == nullptr ? "rename one of the two" : "names made from each must differ", *keys.name,
           path);
    return true;
  }
  const bool over_outputs = item.for_each != nullptr;
  auto stack = over_outputs ? std::optional<std::string>("") : read_stack(keys, path, values, *name);
  if (!stack) return false;
  Instance instance;
  instance.group = over_outputs;
  instance.section = item.section;
  instance.name = std::move(*name);
  instance.stack = std::move(*stack);
  instance.at = *item.node;
  if (keys.permissions != nullptr) instance.permissions = *keys.permissions;
  if (keys.limits != nullptr) {
    auto limits = resolve(*keys.limits, path + ".limits", values);
    if (!limits) return false;
    instance.limits = *limits;
  }
  instance.config = config;
  if (keys.when != nullptr) instance.when = *keys.when;
  if (keys.hooks != nullptr) instance.hooks = read_item_hooks(*keys.hooks, path + ".hooks", values);
  instance.each = each;
  instance.settings = settings;
  pipeline_.instances.push_back(std::move(instance));
  links_.addresses.insert(hash, static_cast<uint32_t>(pipeline_.instances.size() - 1), [&](uint32_t i) {
    return hash_of(pipeline_.instances[i].name, pipeline_.instances[i].section);
  });
  return true;
}

std::optional<std::vector<Each>> Loader::read_for_each(const Node& node, const std::string& path) {
  auto value = resolve(node, path, nullptr);
  if (!value) return std::nullopt;
  std::vector<Each> out;
  if (value->kind == Kind::map) {
    const Node* pattern = value->map().size() == 1 ? value->find("folders") : nullptr;
    if (pattern != nullptr && pattern->kind == Kind::string) {
      auto matches = match_folders(std::string(pattern->string()), document().folder(value->file));
      if (!matches) {
        report(matches.error().code, matches.error().message, matches.error().hint, *pattern, path);
        return std::nullopt;
      }
      for (FolderMatch& match : *matches)
        out.push_back({std::move(match.key), document().make_string(match.value, *pattern)});
      return out;
    }
  }
  return items_of(*value, path, "a list, a mapping or {folders: PATTERN}");
}

std::optional<std::vector<Each>> Loader::items_of(const Node& value, const std::string& path,
                                                  std::string_view expected) {
  std::vector<Each> out;
  if (value.kind == Kind::map) {
    for (const Entry& entry : value.map()) out.push_back({std::string(entry.key.string()), entry.value});
    return out;
  }
  if (value.kind != Kind::list) {
    wrong_type(value, path, expected, "write, for example, for_each: [a, b]");
    return std::nullopt;
  }
  std::unordered_map<std::string, const Node*> keys;
  for (const Node& item : value.list()) {
    std::string key = item.kind == Kind::map ? std::to_string(out.size()) : scalar_text(item);
    if (item.kind == Kind::list || item.is_null()) {
      wrong_type(item, path + '[' + std::to_string(out.size()) + ']',
                 "text, a number, a boolean or a mapping");
      return std::nullopt;
    }
    if (!keys.emplace(key, &item).second) {
      report("pipeline.for_each", "the item '" + shorten(key, 60) + "' stands twice in " + path,
             "remove one of the two", item, path);
      return std::nullopt;
    }
    out.push_back({std::move(key), item});
  }
  return out;
}

void Loader::check_stacks() {
  IndexTable stacks;
  const auto& instances = pipeline_.instances;
  for (uint32_t i = 0; i < instances.size(); ++i) {
    if (instances[i].group) continue;
    const size_t hash = hash_of(instances[i].stack);
    const uint32_t same =
        stacks.find(hash, [&](uint32_t k) { return instances[k].stack == instances[i].stack; });
    if (same == IndexTable::kNone) {
      stacks.insert(hash, i, [&](uint32_t k) { return hash_of(instances[k].stack); });
      continue;
    }
    report("pipeline.stack_conflict",
           pipeline_.address(i) + " would have the stack '" + instances[i].stack + "', as " +
               pipeline_.address(same) + " at " + place_text(document(), instances[same].at),
           "give one of them another stack with stack:", instances[i].at, pipeline_.address(i));
  }
}

}  // namespace pf::pipeline
