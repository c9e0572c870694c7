// Keys that say how instances run: of core.execution_defaults and of instances.
#include "base/text.h"
#include "pipeline/loader.h"

namespace pf::pipeline {
namespace {

const std::vector<std::string> kRetryKeys = {"delay",  "max_delay", "factor",
                                             "jitter", "retry_on",  "never_on"};
constexpr std::string_view kDurationHint = "write it with a unit, such as 500ms, 30s, 5m or 1h30m";

}  // namespace

std::optional<int64_t> Loader::read_integer(const Node& node, const std::string& path, int64_t least,
                                            int64_t most, const Each* each) {
  auto value = resolve(node, path, each);
  if (!value) return std::nullopt;
  const std::string expected = "an integer from " + std::to_string(least) + " to " + std::to_string(most);
  if (value->kind != Kind::integer) {
    wrong_type(*value, path, expected);
    return std::nullopt;
  }
  if (value->integer < least || value->integer > most) {
    report("pipeline.value", path + " is " + std::to_string(value->integer) + ", expected " + expected, {},
           node, path);
    return std::nullopt;
  }
  return value->integer;
}

std::optional<Milliseconds> Loader::read_duration(const Node& node, const std::string& path,
                                                  const Each* each) {
  auto value = resolve(node, path, each);
  if (!value) return std::nullopt;
  const auto duration = value->kind == Kind::string ? parse_duration(value->string()) : std::nullopt;
  if (!duration) wrong_type(*value, path, "a duration", std::string(kDurationHint));
  return duration;
}

std::optional<std::vector<std::string>> Loader::read_texts(const Node& node, const std::string& path,
                                                           const Each* each) {
  auto value = resolve(node, path, each);
  if (!value) return std::nullopt;
  std::vector<std::string> out;
  if (value->kind != Kind::list) {
    wrong_type(*value, path, "a list of texts", "write it as [a, b]");
    return std::nullopt;
  }
  for (const Node& item : value->list()) {
    if (item.kind != Kind::string) {
      wrong_type(item, path + '[' + std::to_string(out.size()) + ']', "text", "put it in quotes");
      return std::nullopt;
    }
    out.emplace_back(item.string());
  }
  return out;
}

void Loader::read_attempts(const Node& node, const std::string& path, const Each* each, Settings& settings) {
  if (auto value = read_integer(node, path, 1, 1'000'000, each))
    settings.max_attempts = static_cast<uint32_t>(*value);
}

void Loader::read_timeout(const Node& node, const std::string& path, const Each* each, Settings& settings) {
  if (auto value = read_duration(node, path, each)) settings.timeout = *value;
}

void Loader::read_retry(const Node& node, const std::string& path, const Each* each, Settings& settings) {
  if (node.kind != Kind::map) {
    return wrong_type(node, path, "a mapping", "write, for example, retry: {delay: 1s, max_delay: 30s}");
  }
  RetryPolicy policy = settings.retry.value_or(RetryPolicy{});
  for (const Entry& entry : node.map()) {
    const std::string_view key = entry.key.string();
    const std::string here = path + '.' + std::string(key);
    if (key == "delay") {
      if (auto value = read_duration(entry.value, here, each)) policy.delay = *value;
    } else if (key == "max_delay") {
      if (auto value = read_duration(entry.value, here, each)) policy.max_delay = *value;
    } else if (key == "factor") {
      auto value = resolve(entry.value, here, each);
      if (!value) continue;
      const double factor = value->kind == Kind::integer  ? static_cast<double>(value->integer)
                            : value->kind == Kind::number ? value->number
                                                          : 0;
      if (factor >= 1 && factor <= 1000) {
        policy.factor = factor;
      } else {
        wrong_type(*value, here, "a number from 1 to 1000");
      }
    } else if (key == "jitter") {
      auto value = resolve(entry.value, here, each);
      if (!value) continue;
      policy.full_jitter = value->string() == "full";
      if (value->string() != "full" && value->string() != "none") wrong_type(*value, here, "full or none");
    } else if (key == "retry_on") {
      if (auto value = read_texts(entry.value, here, each)) policy.retry_on = std::move(*value);
    } else if (key == "never_on") {
      if (auto value = read_texts(entry.value, here, each)) policy.never_on = std::move(*value);
    } else {
      unknown_key(entry.key, path, kRetryKeys);
    }
  }
  settings.retry = std::move(policy);
}

void Loader::read_deadline(const Node& node, const std::string& path, const Each* each, Settings& settings) {
  if (auto value = read_duration(node, path, each)) settings.deadline = *value;
}

void Loader::read_cache(const Node& node, const std::string& path, const Each* each, Settings& settings) {
  static const std::vector<std::string> kKeys = {"max_age"};
  static const std::string kForms = "true, false, never, auto or {max_age: DURATION}";
  auto value = resolve(node, path, each);
  if (!value) return;
  CachePolicy& cache = settings.cache;
  if (value->kind == Kind::boolean) {
    cache = {value->boolean ? CachePolicy::Kind::always : CachePolicy::Kind::never, Milliseconds(0)};
  } else if (value->string() == "never") {
    cache = {CachePolicy::Kind::never, Milliseconds(0)};
  } else if (value->string() == "auto") {
    cache = {};
  } else if (value->kind != Kind::map) {
    wrong_type(*value, path, kForms);
  } else if (const Node* age = value->find("max_age"); age != nullptr && value->size == 1) {
    if (auto duration = read_duration(*age, path + ".max_age", each))
      cache = {CachePolicy::Kind::max_age, *duration};
  } else {
    for (const Entry& entry : value->map()) {
      if (entry.key.string() != "max_age") return unknown_key(entry.key, path, kKeys);
    }
    wrong_type(*value, path, kForms);
  }
}

void Loader::read_priority(const Node& node, const std::string& path, const Each* each, Settings& settings) {
  if (auto value = read_integer(node, path, -1'000'000, 1'000'000, each))
    settings.priority = static_cast<int32_t>(*value);
}

void Loader::read_pool(const Node& node, const std::string& path, const Each* each, Settings& settings) {
  auto value = resolve(node, path, each);
  if (!value) return;
  if (value->kind != Kind::string) return wrong_type(*value, path, "the name of a pool, as text");
  std::vector<std::string> names;
  for (const Pool& pool : pipeline_.pools) {
    if (pool.name == value->string()) {
      settings.pool = static_cast<uint32_t>(&pool - pipeline_.pools.data());
      return;
    }
    names.push_back(pool.name);
  }
  std::string hint = did_you_mean(value->string(), names);
  if (hint.empty()) {
    hint = names.empty() ? "declare it: core: {pools: {" + shorten(value->string(), 60) + ": 1}}"
                         : "the pools are: " + shorten(join(names, ", "), 200);
  }
  report("pipeline.unknown_pool",
         path + " is '" + shorten(value->string(), 60) + "', expected a pool of core.pools", std::move(hint),
         node, path);
}

void Loader::read_on_failure(const Node& node, const std::string& path, const Each* each,
                             Settings& settings) {
  auto value = resolve(node, path, each);
  if (!value) return;
  settings.destroy_failed = value->string() == "destroy";
  if (value->string() != "keep" && value->string() != "destroy") wrong_type(*value, path, "keep or destroy");
}

void Loader::read_flag(const Node& node, const std::string& path, const Each* each, bool& flag) {
  auto value = resolve(node, path, each);
  if (!value) return;
  flag = value->kind == Kind::boolean && value->boolean;
  if (value->kind != Kind::boolean) wrong_type(*value, path, "a boolean");
}

uint32_t Loader::read_item_settings(const Keys& keys, const std::string& path, const Each* each) {
  if (!keys.has_settings) return 0;
  Settings settings = pipeline_.settings[0];
  if (keys.max_attempts != nullptr) read_attempts(*keys.max_attempts, path + ".max_attempts", each, settings);
  if (keys.retry != nullptr) read_retry(*keys.retry, path + ".retry", each, settings);
  if (keys.timeout != nullptr) read_timeout(*keys.timeout, path + ".timeout", each, settings);
  if (keys.deadline != nullptr) read_deadline(*keys.deadline, path + ".deadline", each, settings);
  if (keys.cache != nullptr) read_cache(*keys.cache, path + ".cache", each, settings);
  if (keys.priority != nullptr) read_priority(*keys.priority, path + ".priority", each, settings);
  if (keys.pool != nullptr) read_pool(*keys.pool, path + ".pool", each, settings);
  if (keys.tags != nullptr) {
    if (auto tags = read_texts(*keys.tags, path + ".tags", each)) settings.tags = std::move(*tags);
  }
  if (keys.allow_failure != nullptr)
    read_flag(*keys.allow_failure, path + ".allow_failure", each, settings.allow_failure);
  if (keys.protect != nullptr) read_flag(*keys.protect, path + ".protect", each, settings.protect);
  if (keys.finally != nullptr) read_flag(*keys.finally, path + ".finally", each, settings.finally);
  if (keys.on_failure != nullptr) {
    read_on_failure(*keys.on_failure, path + ".on_failure", each, settings);
    if (settings.protect && settings.destroy_failed) {
      report("pipeline.conflict", path + " is protected, and asks to be destroyed when it fails",
             "remove protect, or write on_failure: keep", *keys.on_failure, path + ".on_failure");
    }
  } else if (settings.protect) {
    settings.destroy_failed = false;  // that is only what others default to
  }
  finally_ = finally_ || settings.finally;
  pipeline_.settings.push_back(std::move(settings));
  return static_cast<uint32_t>(pipeline_.settings.size() - 1);
}

}  // namespace pf::pipeline
