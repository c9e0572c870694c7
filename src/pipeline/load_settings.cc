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

uint32_t Loader::read_item_settings(const Keys& keys, const std::string& path, const Each* each) {
  if (keys.max_attempts == nullptr && keys.retry == nullptr && keys.timeout == nullptr &&
      keys.tags == nullptr && keys.allow_failure == nullptr) {
    return 0;
  }
  Settings settings = pipeline_.settings[0];
  if (keys.max_attempts != nullptr) read_attempts(*keys.max_attempts, path + ".max_attempts", each, settings);
  if (keys.retry != nullptr) read_retry(*keys.retry, path + ".retry", each, settings);
  if (keys.timeout != nullptr) read_timeout(*keys.timeout, path + ".timeout", each, settings);
  if (keys.tags != nullptr) {
    if (auto tags = read_texts(*keys.tags, path + ".tags", each)) settings.tags = std::move(*tags);
  }
  if (keys.allow_failure != nullptr) {
    if (auto value = resolve(*keys.allow_failure, path + ".allow_failure", each)) {
      settings.allow_failure = value->kind == Kind::boolean && value->boolean;
      if (value->kind != Kind::boolean) wrong_type(*value, path + ".allow_failure", "a boolean");
    }
  }
  pipeline_.settings.push_back(std::move(settings));
  return static_cast<uint32_t>(pipeline_.settings.size() - 1);
}

}  // namespace pf::pipeline
