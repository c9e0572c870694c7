// The pipeline that is meant, and its `core:`.
#include <algorithm>
#include <array>

#include "base/text.h"
#include "pipeline/loader.h"
#include "pipeline/overlay.h"
#include "pipeline/reader.h"

namespace pf::pipeline {
namespace {

const std::vector<std::string> kCoreKeys = {
    "stack",     "engine",  "order",   "execution_defaults", "extension_defaults",
    "variables", "sandbox", "pools",   "deadline",           "hooks",
    "moved",     "secrets", "profiles"};
constexpr std::string_view kLaterCoreKeys[] = {"permissions", "bakeries", "limits", "finally", "cache"};
const std::vector<std::string> kDefaultKeys = {"max_attempts", "timeout",  "max_parallel",
                                               "retry",        "deadline", "cache",
                                               "priority",     "pool",     "on_failure"};
constexpr std::string_view kLaterDefaultKeys[] = {"limits"};

template <class Keys>
bool contains(const Keys& keys, std::string_view key) {
  return std::find(std::begin(keys), std::end(keys), key) != std::end(keys);
}

}  // namespace

const Node* Loader::pick(const Node& root) {
  static const std::string kHint =
      "a file begins with the name of a pipeline, then its sections:\n    my-pipeline:\n      example:\n     "
      "   - name: first";
  if (root.is_null()) {
    report("pipeline.empty", "the file is empty, expected a pipeline", kHint, root, {});
    return nullptr;
  }
  if (root.kind != Kind::map || root.map().empty()) {
    wrong_type(root, "the file", "a mapping of pipelines", kHint);
    return nullptr;
  }
  std::vector<std::string> names;
  for (const Entry& entry : root.map()) names.emplace_back(entry.key.string());
  const Entry* picked = nullptr;
  if (options_.pipeline.empty()) {
    if (names.size() > 1) {
      report(
          "pipeline.choose",
          "the file holds " + std::to_string(names.size()) + " pipelines: " + shorten(join(names, ", "), 200),
          "pick one with --pipeline " + names[0], root.map()[1].key, {});
      return nullptr;
    }
    picked = &root.map()[0];
  } else {
    for (const Entry& entry : root.map()) {
      if (entry.key.string() == options_.pipeline) picked = &entry;
    }
    if (picked == nullptr) {
      std::string hint = did_you_mean(options_.pipeline, names);
      if (hint.empty()) hint = "it holds: " + shorten(join(names, ", "), 200);
      report("pipeline.unknown", "the file holds no pipeline '" + options_.pipeline + "'", std::move(hint),
             root, {});
      return nullptr;
    }
  }
  const Node& key = picked->key;
  const Node& body = picked->value;
  pipeline_.name = key.string();
  if (!is_stack_name(key.string())) {
    const std::string bad = illegal_character(key.string());
    report("pipeline.name",
           bad.empty()
               ? "the name of the pipeline has " + std::to_string(key.size) + " characters, expected 1 to 100"
               : "the name of the pipeline, '" + shorten(key.string(), 60) + "', holds '" + bad +
                     "', expected letters, digits, '_', '-' and '.'",
           "rename the pipeline", key, {});
    return nullptr;
  }
  if (body.kind != Kind::map) {
    wrong_type(body, pipeline_.name, "a mapping with core and a section for each type of extension",
               "indent the sections beneath the name");
    return nullptr;
  }
  for (const Entry& entry : root.map()) {
    for (const Entry& section : entry.value.map()) other_sections_.emplace_back(section.key.string());
  }
  return &body;
}

void Loader::read_core(const Node& core, const Node& body) {
  pipeline_.stack = pipeline_.profile.empty() ? pipeline_.name : pipeline_.profile;
  pipeline_.settings.emplace_back();
  if (core.kind != Kind::map && !core.is_null()) {
    wrong_type(core, "core", "a mapping");
    read_variables(nullptr);
    return;
  }
  if (const Node* secrets = core.find("secrets"); secrets != nullptr) note_secret_variables(*secrets);
  read_variables(core.find("variables"));
  if (const Node* pools = core.find("pools"); pools != nullptr) read_pools(*pools);
  for (const Entry& entry : core.map()) {
    const std::string_view key = entry.key.string();
    const std::string path = "core." + std::string(key);
    if (key == "stack") {
      auto value = resolve(entry.value, path, nullptr);
      if (!value) continue;
      if (value->kind != Kind::string) {
        wrong_type(*value, path, "text");
      } else if (!is_stack_name(value->string())) {
        const std::string bad = illegal_character(value->string());
        report("pipeline.stack_name",
               bad.empty()
                   ? "core.stack has " + std::to_string(value->size) + " characters, expected 1 to 100"
                   : "core.stack is '" + shorten(value->string(), 60) + "', which holds '" + bad +
                         "', expected letters, digits, '_', '-' and '.'",
               "choose another name", entry.value, path);
      } else {
        pipeline_.stack = value->string();
      }
    } else if (key == "engine") {
      auto value = resolve(entry.value, path, nullptr);
      if (!value || value->string() == "embedded") continue;
      if (value->string() == "pulumi") {
        report("pipeline.not_supported", "the engine 'pulumi' is not supported by this version",
               "use embedded, or remove the key", entry.value, path);
      } else {
        wrong_type(*value, path, "embedded");
      }
    } else if (key == "sandbox") {
      auto value = resolve(entry.value, path, nullptr);
      if (!value) continue;
      pipeline_.degraded_sandbox = value->string() == "degraded";
      if (value->string() != "strict" && value->string() != "degraded")
        wrong_type(*value, path, "strict or degraded");
    } else if (key == "order") {
      read_order(entry.value, body);
    } else if (key == "execution_defaults") {
      read_execution_defaults(entry.value, body);
    } else if (key == "extension_defaults") {
      read_extension_defaults(entry.value, body);
    } else if (key == "deadline") {
      if (auto value = read_duration(entry.value, path, nullptr)) pipeline_.deadline = *value;
    } else if (key == "hooks") {
      read_hooks(entry.value, path, true, nullptr, pipeline_.core_hooks);
    } else if (key == "moved") {
      read_moved(entry.value);
    } else if (key == "secrets") {
      read_secrets(entry.value);
    } else if (key == "include") {
      report("pipeline.misplaced_key", "'include' is a key of the file, not of a pipeline in it",
             "move it to the top of the file, beside the pipelines' names", entry.key, path);
    } else if (contains(kLaterCoreKeys, key)) {
      not_supported(entry.key, path);
    } else if (key != "variables" && key != "pools" && key != "profiles") {
      unknown_key(entry.key, "core", kCoreKeys);
    }
  }
}

void Loader::read_order(const Node& node, const Node& body) {
  auto value = resolve(node, "core.order", nullptr);
  if (!value) return;
  if (value->string() == "sequential" || value->string() == "parallel") {
    sequential_ = value->string() == "sequential";
    return;
  }
  if (value->kind != Kind::map)
    return wrong_type(*value, "core.order", "parallel, sequential, or a mapping of sections to these");
  std::vector<std::string> types;
  for (const Entry& section : body.map()) {
    if (section.key.string() != "core") types.emplace_back(section.key.string());
  }
  for (const Entry& entry : value->map()) {
    const std::string path = "core.order." + std::string(entry.key.string());
    if (!contains(types, entry.key.string())) {
      std::string hint = did_you_mean(entry.key.string(), types);
      report("pipeline.unknown_section",
             "the pipeline has no section '" + shorten(entry.key.string(), 60) + "'",
             hint.empty() ? "its sections are: " + shorten(join(types, ", "), 200) : hint, entry.key, path);
    } else if (entry.value.string() != "sequential" && entry.value.string() != "parallel") {
      wrong_type(entry.value, path, "parallel or sequential");
    } else {
      section_order_[entry.key.string()] = entry.value.string() == "sequential";
    }
  }
}

void Loader::read_execution_defaults(const Node& node, const Node& body) {
  const std::string path = "core.execution_defaults";
  if (node.is_null()) return;
  if (node.kind != Kind::map) return wrong_type(node, path, "a mapping");
  Settings& defaults = pipeline_.settings[0];
  for (const Entry& entry : node.map()) {
    const std::string_view key = entry.key.string();
    const std::string here = path + '.' + std::string(key);
    if (key == "max_attempts") {
      read_attempts(entry.value, here, nullptr, defaults);
    } else if (key == "timeout") {
      read_timeout(entry.value, here, nullptr, defaults);
    } else if (key == "retry") {
      read_retry(entry.value, here, nullptr, defaults);
    } else if (key == "max_parallel") {
      read_max_parallel(entry.value, here, body);
    } else if (key == "deadline") {
      read_deadline(entry.value, here, nullptr, defaults);
    } else if (key == "cache") {
      read_cache(entry.value, here, nullptr, defaults);
    } else if (key == "priority") {
      read_priority(entry.value, here, nullptr, defaults);
    } else if (key == "pool") {
      read_pool(entry.value, here, nullptr, defaults);
    } else if (key == "on_failure") {
      read_on_failure(entry.value, here, nullptr, defaults);
    } else if (contains(kLaterDefaultKeys, key)) {
      not_supported(entry.key, here);
    } else {
      unknown_key(entry.key, path, kDefaultKeys);
    }
  }
}

void Loader::read_extension_defaults(const Node& node, const Node& body) {
  const std::string path = "core.extension_defaults";
  if (node.is_null()) return;
  if (node.kind != Kind::map) return wrong_type(node, path, "a mapping of extension types to configuration");
  for (const Entry& entry : node.map()) {
    const std::string here = path + '.' + std::string(entry.key.string());
    // Pipelines of one file may share their core, so a type counts as known when any of them has it.
    if (body.find(entry.key.string()) == nullptr && !contains(other_sections_, entry.key.string())) {
      std::string hint = did_you_mean(entry.key.string(), other_sections_);
      report("pipeline.unknown_section",
             "the pipeline has no section '" + shorten(entry.key.string(), 60) + "'",
             hint.empty() ? "remove these defaults: nothing uses them" : hint, entry.key, here);
    } else if (entry.value.kind != Kind::map) {
      if (!entry.value.is_null()) wrong_type(entry.value, here, "a mapping");
    } else {
      std::vector<Entry> config;
      const size_t before = errors_.size();
      split(entry.value, here, config);
      if (config.size() < entry.value.map().size() && errors_.size() == before) {
        for (const Entry& setting : entry.value.map()) {
          if (std::any_of(config.begin(), config.end(),
                          [&](const Entry& e) { return e.key.text == setting.key.text; }))
            continue;
          report("pipeline.misplaced_key",
                 "'" + std::string(setting.key.string()) +
                     "' is a key of an instance, not of its extension's configuration",
                 "set it in the instances, or, where it exists there, in core.execution_defaults",
                 setting.key, here + '.' + std::string(setting.key.string()));
        }
      }
      defaults_[entry.key.string()] = &entry.value;
    }
  }
}

void Loader::add_variable(std::string name, const Node& written, bool given) {
  const uint32_t known =
      links_.variable_names.find(hash_of(name), [&](uint32_t i) { return links_.variables[i].name == name; });
  if (known != IndexTable::kNone) {
    Variable& variable = links_.variables[known];
    variable.declared = variable.declared || !given;
    if (!variable.given || given) variable.written = written;  // `--var` wins, and the last of several
    variable.given = variable.given || given;
    return;
  }
  Variable variable;
  variable.name = std::move(name);
  variable.written = written;
  variable.given = given;
  variable.declared = !given;
  links_.variables.push_back(std::move(variable));
  links_.variable_names.insert(hash_of(links_.variables.back().name),
                               static_cast<uint32_t>(links_.variables.size() - 1),
                               [&](uint32_t i) { return hash_of(links_.variables[i].name); });
}

/// What `--var` gives; its place is the option.
std::optional<Node> Loader::read_given(const std::string& name, const std::string& text) {
  const std::string source = "--var " + name;
  if (!is_identifier(name)) {
    report("pipeline.variable",
           "'" + shorten(name, 60) + "' is no name of a variable, expected letters, digits, '_' and '-'",
           "write --var NAME=VALUE", Where{source, 1, 1, {}});
    return std::nullopt;
  }
  std::error_code ignored;
  const auto folder = std::filesystem::current_path(ignored);
  auto value = read_yaml(text, source, folder);
  if (!value) {
    errors_.push_back(value.error());
    return std::nullopt;
  }
  return adopt(document(), (*value)->root(), document().add_file(source, folder));
}

std::optional<Node> Loader::merge_with_variables(std::unique_ptr<Document> read) {
  auto body = merge(std::move(read));
  if (!body || options_.variables.empty()) return body;
  const auto inside = [&](std::string_view key, const Node& value) {
    const Entry entry{document().make_string(key, value), value};
    return document().make_map(std::span(&entry, 1), value);
  };
  for (const auto& [name, text] : options_.variables) {
    const auto value = read_given(name, text);
    if (!value) continue;
    // What a variable is given is all of it: mappings are not merged.
    Node whole = *value;
    whole.merge = Merge::replace;
    auto with = merge_pipeline(document(), *body, inside("core", inside("variables", inside(name, whole))));
    if (!with) errors_.push_back(std::move(with.error()));
    if (with) body = *with;
  }
  if (!errors_.empty()) return std::nullopt;
  return body;
}

void Loader::read_variables(const Node* declared) {
  for (const auto& [name, text] : options_.variables) {
    if (const auto value = read_given(name, text)) add_variable(name, *value, true);
  }
  if (declared != nullptr && !declared->is_null()) {
    if (declared->kind != Kind::map) {
      wrong_type(*declared, "core.variables", "a mapping of names to values");
    }
    for (const Entry& entry : declared->map()) {
      const std::string name(entry.key.string());
      if (is_identifier(name)) {
        add_variable(name, entry.value, false);
      } else {
        report(
            "pipeline.variable",
            "'" + shorten(name, 60) +
                "' is no name of a variable, expected letters, digits, '_' and '-', beginning with a letter",
            "rename it", entry.key, "core.variables." + name);
      }
    }
  }
  resolve_variables();
}

/// Depth first along references, on a stack of its own: chains of variables may be long.
void Loader::resolve_variables() {
  struct Frame {
    uint32_t variable;
    std::vector<uint32_t> needs;
    size_t next;
    bool broken;
  };
  auto& variables = links_.variables;
  const auto path_of = [&](uint32_t i) { return "core.variables." + variables[i].name; };
  std::vector<Frame> stack;
  const auto enter = [&](uint32_t i) {
    variables[i].state = Variable::State::active;
    std::vector<std::string_view> names;
    const bool good = prepare(variables[i].written, path_of(i), &names);
    Frame frame{i, {}, 0, !good};
    for (std::string_view name : names) {
      const uint32_t need =
          links_.variable_names.find(hash_of(name), [&](uint32_t k) { return variables[k].name == name; });
      if (need != IndexTable::kNone) frame.needs.push_back(need);
    }
    stack.push_back(std::move(frame));
  };
  for (uint32_t start = 0; start < variables.size(); ++start) {
    if (variables[start].state != Variable::State::untouched) continue;
    enter(start);
    while (!stack.empty()) {
      Frame& frame = stack.back();
      if (frame.next < frame.needs.size()) {
        const uint32_t need = frame.needs[frame.next++];
        if (variables[need].state == Variable::State::untouched) {
          enter(need);
        } else if (variables[need].state == Variable::State::active) {
          std::vector<std::string> path;
          for (auto at = std::find_if(stack.begin(), stack.end(),
                                      [&](const Frame& f) { return f.variable == need; });
               at != stack.end(); ++at) {
            path.push_back("var." + variables[at->variable].name);
          }
          path.push_back("var." + variables[need].name);
          report("expression.cycle", "variables refer to each other: " + shorten(join(path, " -> "), 300),
                 "give one of them a value of its own", variables[frame.variable].written,
                 path_of(frame.variable));
          frame.broken = true;
        }
        continue;
      }
      Variable& variable = variables[frame.variable];
      variable.state = Variable::State::broken;
      if (!frame.broken) {
        Evaluator evaluator(links_, document(), document(), nullptr, nullptr);
        evaluator.budget = variable_budget_;
        const size_t before = errors_.size();
        variable.value = evaluator.tree(variable.written, path_of(frame.variable), errors_);
        variable_budget_ = evaluator.budget;
        if (errors_.size() == before && !evaluator.spoilt) variable.state = Variable::State::ready;
      }
      stack.pop_back();
    }
  }
}

void Loader::refuse_unused_variables() {
  std::vector<std::string> known;
  for (const Variable& variable : links_.variables) {
    if (variable.declared) known.push_back(variable.name);
  }
  for (std::string_view name : used_) known.emplace_back(name);
  for (const Variable& variable : links_.variables) {
    if (!variable.given || variable.declared || used_.contains(variable.name)) continue;
    std::string hint = did_you_mean(variable.name, known);
    report("pipeline.variable", "nothing in the pipeline uses the variable '" + variable.name + "'",
           hint.empty() ? "use it as ${var." + variable.name + "}, or leave the option out" : hint,
           Where{"--var " + variable.name, 1, 1, {}});
  }
}

}  // namespace pf::pipeline
