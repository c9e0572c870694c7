#include "orchestrator/hook_decision.h"

#include <algorithm>
#include <vector>

#include "base/json.h"
#include "base/mask.h"
#include "base/text.h"

namespace pf::orchestrator {
namespace {

using pipeline::HookStage;

constexpr size_t kLongestReason = 4096;  // bytes
constexpr size_t kShownChange = 60;      // code points of a value
constexpr size_t kShownChanges = 8;

/// What a hook of the stage may return, for messages.
std::string allowed(HookStage stage) {
  switch (stage) {
    case HookStage::before_instance: return "{skip = \"why\"}, {config = {…}}, or nothing";
    case HookStage::on_error: return "{retry = true}, or nothing";
    case HookStage::before_pipeline:
    case HookStage::after_plan: return "nothing; error(\"why\") keeps the pipeline from running";
    default: return "nothing";
  }
}

std::string found(const Json& value) {
  return std::string(value.type_name()) == "binary" ? "text that is no UTF-8"
                                                    : shorten(to_json_text(value), kShownChange);
}

tl::unexpected<Error> bad(HookStage stage, const std::string& what) {
  return refuse("hook.result", what, "a hook of this stage may return " + allowed(stage));
}

bool holds_masked(const Json& value) {
  if (value.is_string()) return value.get_ref<const std::string&>().find(Mask::kInstead) != std::string::npos;
  if (!value.is_structured()) return false;
  return std::any_of(value.begin(), value.end(), [](const Json& item) { return holds_masked(item); });
}

bool is_binary(const Json& value) {
  if (!value.is_structured()) return value.is_binary();
  return std::any_of(value.begin(), value.end(), [](const Json& item) { return is_binary(item); });
}

std::string path_to(const std::string& path, const std::string& key) {
  return path.empty() ? key : path + '.' + key;
}

/// A patch reduced to what it changes.
struct Patch {
  HookStage stage;
  std::vector<std::string> changes{};  // `region: "eu" -> "us"`

  // What of `value` differs from `seen` (null: there is nothing); null where nothing does.
  Result<std::unique_ptr<Json>> reduce(const Json& value, const Json* seen, const std::string& path) {
    if (value.is_object() && !value.empty() && (seen == nullptr || seen->is_object())) {
      Json out = Json::object();
      for (const auto& [key, item] : value.items()) {
        const Json* old = nullptr;
        if (seen != nullptr) {
          if (const auto at = seen->find(key); at != seen->end()) old = &*at;
        }
        auto kept = reduce(item, old, path_to(path, key));
        if (!kept) return tl::unexpected(std::move(kept.error()));
        if (*kept) out[key] = std::move(**kept);
      }
      if (out.empty()) return nullptr;
      return std::make_unique<Json>(std::move(out));
    }
    if (seen != nullptr && value == *seen) return nullptr;
    // Over a map, an empty map changes nothing.
    if (seen != nullptr && seen->is_object() && value.is_object()) return nullptr;
    if (holds_masked(value)) {
      return refuse("hook.result",
                    "config." + path + " holds " + std::string(Mask::kInstead) +
                        ", which stands in an event for what the hook may not see",
                    "leave the key out: what a patch does not name stays as it is");
    }
    if (is_binary(value)) return bad(stage, "config." + path + ": expected text in UTF-8");
    changes.push_back(path + ": " +
                      (seen == nullptr ? "(not set)" : shorten(to_json_text(*seen), kShownChange)) + " -> " +
                      shorten(to_json_text(value), kShownChange));
    return std::make_unique<Json>(value);
  }

  std::string text() const {
    std::vector<std::string> shown(
        changes.begin(), changes.begin() + static_cast<ptrdiff_t>(std::min(changes.size(), kShownChanges)));
    if (changes.size() > shown.size())
      shown.push_back(std::to_string(changes.size() - shown.size()) + " more");
    return join(shown, ", ");
  }
};

}  // namespace

std::string_view to_text(Decision::Kind kind) {
  switch (kind) {
    case Decision::Kind::none: return "none";
    case Decision::Kind::skip: return "skip";
    case Decision::Kind::config: return "config";
    case Decision::Kind::retry: return "retry";
    case Decision::Kind::veto: return "veto";
    case Decision::Kind::failed: return "failed";
  }
  return "";
}

bool guards(HookStage stage) {
  return stage == HookStage::before_pipeline || stage == HookStage::after_plan ||
         stage == HookStage::before_instance;
}

Result<Decision> read_decision(HookStage stage, const Json& returned, const Json& seen) {
  Decision out;
  if (returned.is_null() || (returned.is_structured() && returned.empty())) return out;
  if (!returned.is_object()) {
    return bad(stage, "expected the hook to return a table with names, found " + found(returned));
  }
  const bool before = stage == HookStage::before_instance;
  for (const auto& [key, value] : returned.items()) {
    const bool known =
        before ? key == "skip" || key == "config" : key == "retry" && stage == HookStage::on_error;
    if (!known)
      return bad(stage, "the hook returned '" + shorten(key, kShownChange) + "', which means nothing here");
  }
  if (const auto retry = returned.find("retry"); retry != returned.end()) {
    if (!retry->is_boolean()) return bad(stage, "retry: expected true or false, found " + found(*retry));
    if (retry->get<bool>()) out.kind = Decision::Kind::retry;
    return out;
  }
  const auto skip = returned.find("skip");
  const auto config = returned.find("config");
  if (skip != returned.end() && config != returned.end()) {
    return bad(stage, "the hook returned both 'skip' and 'config': what is skipped has no use for a patch");
  }
  if (skip != returned.end()) {
    if (!skip->is_string() || skip->get_ref<const std::string&>().empty()) {
      return bad(stage, "skip: expected a text that says why, found " + found(*skip));
    }
    out.kind = Decision::Kind::skip;
    out.text = cut_text(skip->get_ref<const std::string&>(), kLongestReason);
    return out;
  }
  if (config->is_array() && config->empty()) return out;
  if (!config->is_object()) return bad(stage, "config: expected a table with names, found " + found(*config));
  Patch patch{stage};
  auto kept = patch.reduce(*config, &seen, {});
  if (!kept) return tl::unexpected(std::move(kept.error()));
  if (!*kept) return out;
  out.kind = Decision::Kind::config;
  out.text = patch.text();
  out.config = std::move(*kept);
  return out;
}

void merge_patch(Json& config, const Json& patch) {
  if (!config.is_object()) config = Json::object();
  for (const auto& [key, value] : patch.items()) {
    if (value.is_object() && config.contains(key) && config[key].is_object())
      merge_patch(config[key], value);
    else
      config[key] = value;
  }
}

}  // namespace pf::orchestrator
