// Hooks of core and of instances: which scripts are called at which stages.
#include <array>

#include "base/text.h"
#include "pipeline/loader.h"

namespace pf::pipeline {
namespace {

struct Stage {
  std::string_view name;
  HookStage stage;
  bool of_instances;  // may stand in an instance; all may stand in core
};

constexpr std::array<Stage, 7> kStages = {{
    {"before_pipeline", HookStage::before_pipeline, false},
    {"after_plan", HookStage::after_plan, false},
    {"before_instance", HookStage::before_instance, true},
    {"on_retry", HookStage::on_retry, true},
    {"after_instance", HookStage::after_instance, true},
    {"on_error", HookStage::on_error, true},
    {"after_pipeline", HookStage::after_pipeline, false},
}};

const std::vector<std::string> kHookKeys = {"script", "permissions", "timeout", "allow_failure"};

std::vector<std::string> stage_names(bool core) {
  std::vector<std::string> names;
  for (const Stage& stage : kStages) {
    if (core || stage.of_instances) names.emplace_back(stage.name);
  }
  return names;
}

}  // namespace

std::string_view to_text(HookStage stage) { return kStages[static_cast<size_t>(stage)].name; }

void Loader::read_hooks(const Node& node, const std::string& path, bool core, const Each* each,
                        std::vector<Hook>& hooks) {
  if (node.kind != Kind::map) {
    if (!node.is_null()) wrong_type(node, path, "a mapping of stages to scripts");
    return;
  }
  for (const Entry& entry : node.map()) {
    const Stage* stage = nullptr;
    for (const Stage& known : kStages) {
      if (known.name == entry.key.string()) stage = &known;
    }
    const std::string here = path + '.' + std::string(entry.key.string());
    if (stage == nullptr) {
      unknown_key(entry.key, path, stage_names(core));
    } else if (!core && !stage->of_instances) {
      report("pipeline.misplaced_key",
             "'" + std::string(stage->name) + "' is a stage of the pipeline, not of an instance",
             "set it in core.hooks; an instance has " + join(stage_names(false), ", "), entry.key, here);
    } else if (entry.value.kind == Kind::list) {
      size_t index = 0;
      for (const Node& item : entry.value.list())
        read_hook(stage->stage, item, here + '[' + std::to_string(index++) + ']', each, hooks);
    } else {
      read_hook(stage->stage, entry.value, here, each, hooks);
    }
  }
}

void Loader::read_hook(HookStage stage, const Node& node, const std::string& path, const Each* each,
                       std::vector<Hook>& hooks) {
  Hook hook;
  hook.stage = stage;
  if (node.kind == Kind::string) {
    if (read_script(node, path, each, hook)) hooks.push_back(std::move(hook));
    return;
  }
  if (node.kind != Kind::map) {
    return wrong_type(node, path,
                      "the path of a Lua script, or {script, permissions, timeout, allow_failure}");
  }
  const size_t before = errors_.size();
  bool has_script = false;
  for (const Entry& entry : node.map()) {
    const std::string_view key = entry.key.string();
    const std::string here = path + '.' + std::string(key);
    if (key == "script") {
      has_script = true;
      read_script(entry.value, here, each, hook);
    } else if (key == "permissions") {
      if (entry.value.kind != Kind::map && !entry.value.is_null()) wrong_type(entry.value, here, "a mapping");
      hook.permissions = entry.value;
    } else if (key == "timeout") {
      auto value = read_duration(entry.value, here, each);
      if (value && value->count() == 0) {
        report("pipeline.value", here + " is 0, expected more", "leave it out for 60s", entry.value, here);
      } else if (value) {
        hook.timeout = *value;
      }
    } else if (key == "allow_failure") {
      read_flag(entry.value, here, each, hook.allow_failure);
    } else {
      unknown_key(entry.key, path, kHookKeys);
    }
  }
  if (!has_script) {
    report("pipeline.type", path + " has no script, expected the path of one", "add script: hooks/NAME.lua",
           node, path);
  }
  if (errors_.size() == before) hooks.push_back(std::move(hook));
}

bool Loader::read_script(const Node& node, const std::string& path, const Each* each, Hook& hook) {
  auto value = resolve(node, path, each);
  if (!value) return false;
  if (value->kind != Kind::string || value->size == 0) {
    wrong_type(*value, path, "the path of a Lua script");
    return false;
  }
  hook.at = node;
  hook.script = (document().folder(node.file) / std::string(value->string())).lexically_normal();
  if (scripts_.contains(hook.script.native())) return true;
  std::error_code code;
  if (!std::filesystem::is_regular_file(hook.script, code)) {
    const bool there = std::filesystem::exists(hook.script, code);
    report("pipeline.hook_missing",
           path + " names '" + shorten(value->string(), 120) + "', " +
               (there ? "which is no file" : "but there is no such file"),
           "the path is relative to the file that it stands in", node, path);
    return false;
  }
  scripts_.insert(hook.script.native());
  return true;
}

/// Index into Pipeline::hooks. What is written once for many instances (an alias, a for_each) is read once.
uint32_t Loader::read_item_hooks(const Node& node, const std::string& path, const Each* each) {
  const bool shared = node.kind == Kind::map && !node.computed && node.size > 0;
  if (shared) {
    if (const auto known = hooks_.find(node.entries); known != hooks_.end()) return known->second;
  }
  std::vector<Hook> hooks;
  read_hooks(node, path, false, each, hooks);
  uint32_t index = 0;
  if (!hooks.empty()) {
    pipeline_.hooks.push_back(std::move(hooks));
    index = static_cast<uint32_t>(pipeline_.hooks.size() - 1);
  }
  if (shared) hooks_.emplace(node.entries, index);
  return index;
}

}  // namespace pf::pipeline
