// The orchestrator's own keys of an instance: no model may use their names. Constant data; thread-safe.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>

namespace pf::pipeline {

struct InstanceKey {
  std::string_view name;
  enum class Id : uint8_t {
    name,
    stack,
    depends_on,
    when,
    for_each,
    tags,
    max_attempts,
    retry,
    timeout,
    allow_failure,
    permissions,
    limits,
    deadline,
    cache,
    priority,
    pool,
    protect,
    finally,
    on_failure,
    hooks,
    later,  // taken, but refused by this version
  } id;
};

/// Sorted by name.
inline constexpr std::array<InstanceKey, 22> kInstanceKeys = {{
    {"allow_failure", InstanceKey::Id::allow_failure},
    {"bakery", InstanceKey::Id::later},
    {"cache", InstanceKey::Id::cache},
    {"deadline", InstanceKey::Id::deadline},
    {"depends_on", InstanceKey::Id::depends_on},
    {"finally", InstanceKey::Id::finally},
    {"for_each", InstanceKey::Id::for_each},
    {"hooks", InstanceKey::Id::hooks},
    {"limits", InstanceKey::Id::limits},
    {"max_attempts", InstanceKey::Id::max_attempts},
    {"name", InstanceKey::Id::name},
    {"on_failure", InstanceKey::Id::on_failure},
    {"permissions", InstanceKey::Id::permissions},
    {"pool", InstanceKey::Id::pool},
    {"priority", InstanceKey::Id::priority},
    {"protect", InstanceKey::Id::protect},
    {"retry", InstanceKey::Id::retry},
    {"stack", InstanceKey::Id::stack},
    {"tags", InstanceKey::Id::tags},
    {"timeout", InstanceKey::Id::timeout},
    {"use", InstanceKey::Id::later},
    {"when", InstanceKey::Id::when},
}};

/// Null when an instance has no such key of the orchestrator's.
constexpr const InstanceKey* find_instance_key(std::string_view name) {
  const auto before = [](const InstanceKey& key, std::string_view text) { return key.name < text; };
  const auto* const at = std::lower_bound(kInstanceKeys.begin(), kInstanceKeys.end(), name, before);
  return at != kInstanceKeys.end() && at->name == name ? at : nullptr;
}

static_assert(std::all_of(kInstanceKeys.begin(), kInstanceKeys.end(),
                          [](const InstanceKey& key) { return find_instance_key(key.name) == &key; }),
              "the keys are sorted");

}  // namespace pf::pipeline
