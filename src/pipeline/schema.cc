// From a description to rules.
//
// A description is what models.lua yields, as JSON: an object of models by name. Its model `Config`, which
// must be of type object, is the one that an instance's configuration is checked with. A model is an object
// (stdlib/schema.lua makes it):
//
//   type         string | integer | number | boolean | any | enum | list | map | object | union | path
//   default      a value that fits; absent: none. Where the model is a list, an empty object counts as an
//   empty list,
//                and an empty list as an empty map or object: Lua's empty table does not say which it is
//   optional     true: may be left out. Only a field of an object may have this or a default
//   description  text; examples: a list of at least one value that fits; secret: true
//   min, max     string (characters), integer, number, list (items), map (entries)
//   pattern      string: RE2 syntax, matches anywhere in the text unless it is anchored with ^ and $
//   values       enum: a list of at least one text, number or boolean
//   items        list, map: the model of each item or value; absent: anything
//   keys         map: the model (a string) of each key; absent: any text
//   fields       object: a list of {name, model}; absent: no fields
//   branches     union: a list of at least two models
//   kind, input  path: "file", "folder" or "any"; input false: need not exist
//
// An unknown key, or one of another type, is an error. Nothing that may be empty stands in a list or an
// object that could be taken for the other.
#include "pipeline/schema.h"

#include <algorithm>
#include <cmath>

#include "base/cbor.h"
#include "base/json.h"
#include "base/text.h"
#include "pipeline/instance_keys.h"
#include "pipeline/schema_rules.h"

namespace pf::pipeline {

namespace rules {

const Field* Rule::field(std::string_view name) const {
  const auto at = std::lower_bound(fields.begin(), fields.end(), name,
                                   [](const Field& field, std::string_view key) { return field.name < key; });
  return at != fields.end() && at->name == name ? &*at : nullptr;
}

namespace {

constexpr int kMaxModelDepth = 32;
constexpr double kMaxInteger = 9007199254740992.0;  // 2^53

struct TypeName {
  std::string_view name;
  Type type;
  std::string_view keys;  // those that only some types have
};
constexpr TypeName kTypes[] = {
    {"string", Type::string, "min max pattern"},
    {"integer", Type::integer, "min max"},
    {"number", Type::number, "min max"},
    {"boolean", Type::boolean, ""},
    {"any", Type::any, ""},
    {"enum", Type::choice, "values"},
    {"list", Type::list, "items min max"},
    {"map", Type::map, "items keys min max"},
    {"object", Type::object, "fields"},
    {"union", Type::either, "branches"},
    {"path", Type::path, "kind input"},
};
constexpr std::string_view kCommonKeys = "type default optional description examples secret";

bool has_word(std::string_view words, std::string_view word) {
  for (size_t at = 0; at < words.size();) {
    const size_t end = std::min(words.find(' ', at), words.size());
    if (words.substr(at, end - at) == word) return true;
    at = end + 1;
  }
  return false;
}

auto invalid(const std::string& path, const std::string& message) {
  Where where;
  where.path = path;
  return refuse("schema.invalid", path + ": " + message, "mend the package's models.lua", std::move(where));
}

// Nodes of a value of the description; `rule` decides what an empty table is.
Node node_of(Document& document, const Json& value, const Rule* rule) {
  const auto has_branch = [&](std::initializer_list<Type> types) {
    return rule != nullptr &&
           std::any_of(rule->branches.begin(), rule->branches.end(), [&](const auto& branch) {
             return std::find(types.begin(), types.end(), branch->type) != types.end();
           });
  };
  if (!value.is_structured()) return document.make_json(value, Node());
  bool is_list = value.is_array();
  if (value.empty() && rule != nullptr) {
    if (rule->type == Type::list) is_list = true;
    if (rule->type == Type::map || rule->type == Type::object) is_list = false;
    const bool lists = has_branch({Type::list});
    if (lists != has_branch({Type::map, Type::object})) is_list = lists;
  }
  if (is_list) {
    std::vector<Node> items;
    for (const auto& item : value) {
      items.push_back(
          node_of(document, item, rule != nullptr && rule->type == Type::list ? rule->items.get() : nullptr));
    }
    return document.make_list(items, Node());
  }
  std::vector<Entry> entries;
  for (const auto& [key, item] : value.items()) {
    const Rule* inner = nullptr;
    if (rule != nullptr && rule->type == Type::map) inner = rule->items.get();
    if (rule != nullptr && rule->type == Type::object) {
      if (const Field* field = rule->field(key)) inner = field->rule.get();
    }
    Entry entry;
    entry.key = document.make_string(key, Node());
    entry.value = node_of(document, item, inner);
    entries.push_back(entry);
  }
  return document.make_map(entries, Node());
}

std::string number_text(double value) { return Json(value).dump(); }

// ` of at least 3 characters`; integral bounds are written as integers.
std::string range_words(const Rule& rule, std::string_view one, std::string_view many) {
  const auto text = [](double v) {
    return v == std::trunc(v) && std::abs(v) <= kMaxInteger ? std::to_string(static_cast<int64_t>(v))
                                                            : number_text(v);
  };
  const auto unit = [&](double v) {
    return one.empty() ? std::string() : " " + std::string(v == 1 ? one : many);
  };
  if (rule.min && rule.max && *rule.min == *rule.max && !one.empty())
    return " of " + text(*rule.min) + unit(*rule.min);
  if (rule.min && rule.max) {
    return std::string(one.empty() ? " from " : " of ") + text(*rule.min) + " to " + text(*rule.max) +
           unit(*rule.max);
  }
  if (rule.min) return " of at least " + text(*rule.min) + unit(*rule.min);
  if (rule.max) return " of at most " + text(*rule.max) + unit(*rule.max);
  return {};
}

std::string value_text(const std::variant<bool, double, std::string>& value) {
  if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
  if (const auto* text = std::get_if<std::string>(&value)) return "'" + shorten(*text, 40) + "'";
  const double number = std::get<double>(value);
  if (number == std::trunc(number) && std::abs(number) <= kMaxInteger) {
    return std::to_string(static_cast<int64_t>(number));
  }
  return number_text(number);
}

std::string choice_words(const Rule& rule) {
  constexpr size_t kShown = 12;
  std::vector<std::string> words;
  for (const auto& value : rule.values) {
    if (words.size() == kShown) {
      words.push_back("… (" + std::to_string(rule.values.size()) + " in all)");
      break;
    }
    words.push_back(value_text(value));
  }
  return words.size() == 1 ? words[0] : "one of " + join(words, ", ");
}

std::string expected_words(const Rule& rule) {
  switch (rule.type) {
    case Type::string: {
      std::string text = "text" + range_words(rule, "character", "characters");
      if (rule.pattern) text += " that matches " + shorten(rule.pattern->pattern(), 60);
      return text;
    }
    case Type::integer: return "an integer" + range_words(rule, "", "");
    case Type::number: return "a number" + range_words(rule, "", "");
    case Type::boolean: return "true or false";
    case Type::any: return "any value";
    case Type::choice: return choice_words(rule);
    case Type::list: return "a list" + range_words(rule, "item", "items");
    case Type::map: return "a mapping" + range_words(rule, "entry", "entries");
    case Type::object: return "a mapping";
    case Type::path:
      return rule.path_kind == PathKind::file     ? "the path of a file"
             : rule.path_kind == PathKind::folder ? "the path of a folder"
                                                  : "a path";
    case Type::either: {
      std::vector<std::string> words;
      for (const auto& branch : rule.branches) {
        if (std::find(words.begin(), words.end(), branch->expected) == words.end())
          words.push_back(branch->expected);
      }
      return join(words, " or ");
    }
  }
  return {};
}

// Reads one model; recursion is bounded by kMaxModelDepth.
class Builder {
 public:
  explicit Builder(Document& defaults) : defaults_(defaults) {}

  Result<std::unique_ptr<Rule>> model(const Json& json, const std::string& path, int depth, bool is_field) {
    if (depth > kMaxModelDepth) return invalid(path, "models are nested deeper than 32 levels");
    if (!json.is_object()) {
      return invalid(path, "expected a model, such as s.string {}, found " + shorten(to_json_text(json), 40));
    }
    const auto type = json.find("type");
    const TypeName* found = nullptr;
    if (type != json.end() && type->is_string()) {
      const auto* at = std::find_if(std::begin(kTypes), std::end(kTypes), [&](const TypeName& t) {
        return t.name == type->get_ref<const std::string&>();
      });
      if (at != std::end(kTypes)) found = at;
    }
    if (found == nullptr)
      return invalid(path, "this is no model: make it with the functions of require \"schema\"");
    for (const auto& [key, value] : json.items()) {
      if (!has_word(kCommonKeys, key) && !has_word(found->keys, key)) {
        return invalid(path,
                       "a model of type " + std::string(found->name) + " has no '" + shorten(key, 40) + "'");
      }
    }
    if (!is_field && (json.contains("default") || json.contains("optional"))) {
      return invalid(path, "only a field of an object can be optional or have a default");
    }

    auto rule = std::make_unique<Rule>();
    rule->type = found->type;
    if (auto done = common(json, path, *rule); !done) return tl::unexpected(done.error());
    if (auto done = specific(json, path, depth, *rule); !done) return tl::unexpected(done.error());
    rule->expected = expected_words(*rule);
    if (auto done = values(json, path, *rule); !done) return tl::unexpected(done.error());
    return rule;
  }

 private:
  static Result<void> common(const Json& json, const std::string& path, Rule& rule) {
    for (const char* key : {"optional", "secret", "input"}) {
      if (json.contains(key) && !json[key].is_boolean()) {
        return invalid(path, "'" + std::string(key) + "' must be true or false");
      }
    }
    for (const char* key : {"description", "pattern", "kind"}) {
      if (json.contains(key) && !json[key].is_string())
        return invalid(path, "'" + std::string(key) + "' must be text");
    }
    for (const char* key : {"min", "max"}) {
      if (!json.contains(key)) continue;
      const Json& bound = json[key];
      if (!bound.is_number() || !std::isfinite(bound.get<double>())) {
        return invalid(path, "'" + std::string(key) + "' must be a number");
      }
      const double number = bound.get<double>();
      const bool size = rule.type != Type::integer && rule.type != Type::number;
      if ((size && number < 0) || (rule.type != Type::number && number != std::trunc(number))) {
        return invalid(path,
                       "'" + std::string(key) + "' must be an integer" + (size ? " of at least 0" : ""));
      }
      (*key == 'm' && key[1] == 'i' ? rule.min : rule.max) = number;
    }
    if (rule.min && rule.max && *rule.min > *rule.max) return invalid(path, "'min' is above 'max'");
    rule.optional = json.value("optional", false);
    rule.secret = json.value("secret", false);
    rule.description = json.value("description", std::string());
    return {};
  }

  // A list of at least `least` values under a key.
  static Result<const Json*> list_of(const Json& json, const std::string& path, const char* key,
                                     size_t least) {
    const auto at = json.find(key);
    if (at == json.end() || !at->is_array() || at->size() < least) {
      return invalid(path, "'" + std::string(key) + "' must be a list of at least " + std::to_string(least));
    }
    return &*at;
  }

  Result<void> inner(const Json& json, const std::string& path, const char* key, int depth, Rule& rule,
                     std::unique_ptr<Rule>& to) {
    if (!json.contains(key)) return {};
    auto built = model(json[key], path + "." + key, depth + 1, false);
    if (!built) return tl::unexpected(built.error());
    rule.has_path |= (*built)->has_path;
    to = std::move(*built);
    return {};
  }

  Result<void> specific(const Json& json, const std::string& path, int depth, Rule& rule) {
    switch (rule.type) {
      case Type::string: return pattern(json, path, rule);
      case Type::choice: return choice(json, path, rule);
      case Type::object: return object(json, path, depth, rule);
      case Type::either: return either(json, path, depth, rule);
      case Type::path: {
        const std::string kind = json.value("kind", "any");
        if (kind != "any" && kind != "file" && kind != "folder") {
          return invalid(path, "'kind' must be file, folder or any, found '" + shorten(kind, 40) + "'");
        }
        rule.path_kind = kind == "file"     ? PathKind::file
                         : kind == "folder" ? PathKind::folder
                                            : PathKind::any;
        rule.must_exist = json.value("input", true);
        rule.has_path = true;
        return {};
      }
      case Type::list: return inner(json, path, "items", depth, rule, rule.items);
      case Type::map: {
        if (auto done = inner(json, path, "items", depth, rule, rule.items); !done) return done;
        if (auto done = inner(json, path, "keys", depth, rule, rule.keys); !done) return done;
        if (rule.keys && rule.keys->type != Type::string)
          return invalid(path, "'keys' must be a model of type string");
        return {};
      }
      default: return {};
    }
  }

  static Result<void> pattern(const Json& json, const std::string& path, Rule& rule) {
    if (!json.contains("pattern")) return {};
    re2::RE2::Options options;
    options.set_log_errors(false);
    const auto& text = json["pattern"].get_ref<const std::string&>();
    rule.pattern = std::make_unique<re2::RE2>(text, options);
    if (!rule.pattern->ok()) {
      return invalid(path,
                     "the pattern '" + shorten(text, 60) + "' is not RE2's syntax: " + rule.pattern->error());
    }
    return {};
  }

  static Result<void> choice(const Json& json, const std::string& path, Rule& rule) {
    auto list = list_of(json, path, "values", 1);
    if (!list) return tl::unexpected(list.error());
    for (const Json& value : **list) {
      if (value.is_boolean())
        rule.values.emplace_back(value.get<bool>());
      else if (value.is_number())
        rule.values.emplace_back(value.get<double>());
      else if (value.is_string())
        rule.values.emplace_back(value.get<std::string>());
      else
        return invalid(path, "'values' must be texts, numbers or booleans");
    }
    return {};
  }

  Result<void> object(const Json& json, const std::string& path, int depth, Rule& rule) {
    if (!json.contains("fields")) return {};
    auto list = list_of(json, path, "fields", 1);
    if (!list) return tl::unexpected(list.error());
    for (const Json& item : **list) {
      if (!item.is_object() || item.size() != 2 || !item.contains("model") || !item.contains("name") ||
          !item["name"].is_string() || item["name"].get_ref<const std::string&>().empty()) {
        return invalid(path, "'fields' must be a list of {name, model}");
      }
      Field field;
      field.name = item["name"].get<std::string>();
      if (depth == 1 && find_instance_key(field.name) != nullptr) {
        return invalid(path + "." + field.name,
                       "'" + field.name + "' is a key of the pipeline itself: name it otherwise");
      }
      auto built = model(item["model"], path + "." + shorten(field.name, 60), depth + 1, true);
      if (!built) return tl::unexpected(built.error());
      field.rule = std::move(*built);
      rule.has_path |= field.rule->has_path;
      rule.fields.push_back(std::move(field));
    }
    std::sort(rule.fields.begin(), rule.fields.end(),
              [](const Field& a, const Field& b) { return a.name < b.name; });
    const auto twice = std::adjacent_find(rule.fields.begin(), rule.fields.end(),
                                          [](const Field& a, const Field& b) { return a.name == b.name; });
    if (twice != rule.fields.end())
      return invalid(path, "two fields are called '" + shorten(twice->name, 40) + "'");
    return {};
  }

  Result<void> either(const Json& json, const std::string& path, int depth, Rule& rule) {
    auto list = list_of(json, path, "branches", 2);
    if (!list) return tl::unexpected(list.error());
    for (const Json& branch : **list) {
      const std::string at = path + " branch " + std::to_string(rule.branches.size() + 1);
      auto built = model(branch, at, depth + 1, false);
      if (!built) return tl::unexpected(built.error());
      rule.has_path |= (*built)->has_path;
      rule.branches.push_back(std::move(*built));
    }
    return {};
  }

  // Default and examples, once all else of the rule stands.
  Result<void> values(const Json& json, const std::string& path, Rule& rule) {
    const CheckOptions options{.computed_ok = false, .look_at_files = false, .more_keys = {}};
    const auto fits = [&](const Document& document, const Node& node,
                          const std::string& what) -> Result<void> {
      Errors errors;
      check(rule, document, node, path + "." + what, options, errors);
      if (errors.empty()) return {};
      return invalid(path, "the " + what + " does not fit: " + errors.front().message);
    };
    if (json.contains("default")) {
      const Node node = node_of(defaults_, json["default"], &rule);
      if (auto done = fits(defaults_, node, "default"); !done) return done;
      rule.default_value = node;
      if (!rule.has_path) encode(rule, defaults_, node, nullptr, rule.default_cbor);
    }
    if (json.contains("examples")) {
      auto list = list_of(json, path, "examples", 1);
      if (!list) return tl::unexpected(list.error());
      Document scratch;
      scratch.add_file({}, {});
      for (const Json& example : **list) {
        if (auto done = fits(scratch, node_of(scratch, example, &rule), "example"); !done) return done;
      }
      rule.example = shorten(to_json_text((*list)->front()), 60);
    }
    return {};
  }

  Document& defaults_;
};

}  // namespace

Result<std::unique_ptr<Rule>> build(const Json& model, const std::string& path, Document& defaults) {
  return Builder(defaults).model(model, path, 1, false);
}

}  // namespace rules

namespace {

/// The rules of one model with the nodes of its default values.
class Model final : public Schema {
 public:
  Model() { defaults_.add_file({}, {}); }

  Result<void> build(const Json& model) {
    auto rule = rules::build(model, "Config", defaults_);
    if (!rule) return tl::unexpected(rule.error());
    if ((*rule)->type != rules::Type::object) {
      Where where;
      where.path = "Config";
      return refuse("schema.invalid", "Config: expected an object", "write Config = s.object { … }",
                    std::move(where));
    }
    rule_ = std::move(*rule);
    has_secrets_ = rules::has_secret(*rule_);
    return {};
  }
  void build_empty() {
    rule_ = std::make_unique<rules::Rule>();
    rule_->type = rules::Type::object;
    rule_->expected = "a mapping";
  }

  void check(const Document& document, const Node& config, const std::string& path, bool computed_ok,
             Errors& errors) const override {
    static const std::vector<std::string> more = [] {
      std::vector<std::string> names;
      for (const InstanceKey& key : kInstanceKeys) names.emplace_back(key.name);
      return names;
    }();
    static const rules::CheckOptions strict{.computed_ok = false, .look_at_files = true, .more_keys = more};
    static const rules::CheckOptions planned{.computed_ok = true, .look_at_files = true, .more_keys = more};
    rules::check(*rule_, document, config, path, computed_ok ? planned : strict, errors);
  }

  void encode(const Document& document, const Node& config, std::string& cbor,
              const Encoding& encoding) const override {
    rules::encode(*rule_, document, config, nullptr, cbor, encoding);
  }

  bool has_secrets() const override { return has_secrets_; }

  std::vector<std::string> fields() const override {
    std::vector<std::string> names;
    for (const auto& field : rule_->fields) names.push_back(field.name);
    return names;
  }

 private:
  Document defaults_;
  std::unique_ptr<rules::Rule> rule_;
  bool has_secrets_ = false;
};

}  // namespace

Result<std::unique_ptr<Schema>> Schema::from_json(const Json& model) {
  auto schema = std::make_unique<Model>();
  if (auto built = schema->build(model); !built) return tl::unexpected(built.error());
  return schema;
}

std::unique_ptr<Schema> Schema::empty() {
  auto schema = std::make_unique<Model>();
  schema->build_empty();
  return schema;
}

}  // namespace pf::pipeline
