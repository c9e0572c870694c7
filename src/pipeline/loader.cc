#include "pipeline/loader.h"

#include <algorithm>
#include <cstdlib>
#include <tuple>

#include "base/text.h"

namespace pf::pipeline {
namespace {

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
         c == '.';
}

std::string found_value(const Node& node) {
  switch (node.kind) {
    case Kind::boolean:
    case Kind::integer:
    case Kind::number: return scalar_text(node);
    case Kind::string: return "the text '" + shorten(node.string(), 40) + "'";
    default: return std::string(describe(node.kind));
  }
}

}  // namespace

bool is_stack_name(std::string_view name) {
  return !name.empty() && name.size() <= 100 && std::all_of(name.begin(), name.end(), is_name_character);
}

std::string illegal_character(std::string_view name) {
  const auto bad = std::find_if_not(name.begin(), name.end(), is_name_character);
  if (bad == name.end()) return {};
  auto end = bad + 1;
  while (end != name.end() && (*end & 0xC0) == 0x80) ++end;
  return {bad, end};
}

bool is_identifier(std::string_view name) {
  if (name.empty() || name.size() > 100 || name[0] == '-' || (name[0] >= '0' && name[0] <= '9')) return false;
  return std::all_of(name.begin(), name.end(), [](char c) { return is_name_character(c) && c != '.'; });
}

std::optional<Node> Loader::merge(std::unique_ptr<Document> read) {
  pipeline_.document = std::move(read);
  pipeline_.folder = document().folder(0);
  const Node* body = pick(document().root());
  if (body == nullptr) return std::nullopt;
  return with_profile(*body);
}

bool Loader::run(std::unique_ptr<Document> read) {
  const auto body = merge(std::move(read));
  if (!body) return false;
  static const Node kNothing{};
  const Node* core = body->find("core");
  read_core(core != nullptr ? *core : kNothing, *body);
  read_sections(*body);
  if (pipeline_.sections.empty() && errors_.empty()) {
    report("pipeline.empty", "the pipeline has no section, expected one for each type of extension",
           "add a section such as\n    example:\n      - name: first", *body, {});
  }
  link();
  if (errors_.empty()) refuse_unused_variables();
  return errors_.empty();
}

Errors Loader::take_errors() {
  const auto key = [](const Error& e) {
    return std::tie(e.where.file, e.where.line, e.where.column, e.code, e.message);
  };
  std::stable_sort(errors_.begin(), errors_.end(),
                   [&](const Error& a, const Error& b) { return key(a) < key(b); });
  errors_.erase(std::unique(errors_.begin(), errors_.end(),
                            [&](const Error& a, const Error& b) { return key(a) == key(b); }),
                errors_.end());
  return std::move(errors_);
}

void Loader::report(std::string code, std::string message, std::string hint, const Node& at,
                    const std::string& path) {
  report(std::move(code), std::move(message), std::move(hint), document().where(at, path));
}

void Loader::report(std::string code, std::string message, std::string hint, Where where) {
  errors_.push_back(refuse(std::move(code), std::move(message), std::move(hint), std::move(where)).value());
}

void Loader::wrong_type(const Node& node, const std::string& path, std::string_view expected,
                        std::string hint) {
  report("pipeline.type", path + " is " + found_value(node) + ", expected " + std::string(expected),
         std::move(hint), node, path);
}

void Loader::not_supported(const Node& key, const std::string& path) {
  report("pipeline.not_supported", "'" + std::string(key.string()) + "' is not supported by this version",
         "remove the key", key, path);
}

void Loader::unknown_key(const Node& key, const std::string& path, const std::vector<std::string>& known) {
  std::string hint = did_you_mean(key.string(), known);
  if (hint.empty()) hint = "known keys are: " + join(known, ", ");
  report("pipeline.unknown_key", "'" + shorten(key.string(), 60) + "' is no key of " + path, std::move(hint),
         key, path + '.' + std::string(key.string()));
}

Template* Loader::parse(const Node& text, const std::string& path) {
  const auto known = links_.by_text.find(text.text);
  if (known != links_.by_text.end()) return &links_.templates[known->second];
  if (unparsed_.contains(text.text)) return nullptr;
  auto parsed = parse_template(text.string(), document());
  if (!parsed) {
    const ExpressionError& error = parsed.error();
    report(error.code, error.message, error.hint, place_in_text(document(), text, error.offset, path));
    unparsed_.insert(text.text);
    return nullptr;
  }
  for (const Reference& reference : parsed->references) {
    if (reference.root == Root::variable) used_.insert(reference.name);
    if (reference.root != Root::environment) continue;
    const std::string name(reference.name);
    if (const auto secret = secret_variables_.find(name); secret != secret_variables_.end()) {
      report("expression.secret", "'env." + name + "' is a secret, which is not read as plain text",
             secret->second.empty() ? "use another variable: this one holds core.secrets.passphrase"
                                    : "write secret." + secret->second,
             place_in_text(document(), text, reference.offset, path));
      unparsed_.insert(text.text);
      return nullptr;
    }
    if (links_.environment.contains(reference.name)) continue;
    const char* value = options_.environment ? options_.environment(name) : std::getenv(name.c_str());
    links_.environment.emplace(name, value == nullptr ? std::nullopt : std::optional<std::string>(value));
  }
  links_.by_text.emplace(text.text, static_cast<uint32_t>(links_.templates.size()));
  links_.templates.push_back(std::move(*parsed));
  return &links_.templates.back();
}

bool Loader::prepare(const Node& node, const std::string& path, std::vector<std::string_view>* variables) {
  if (!node.computed) return true;
  bool good = true;
  for (const Node& item : node.list()) good = prepare(item, path, variables) && good;
  for (const Entry& entry : node.map()) good = prepare(entry.value, path, variables) && good;
  if (node.kind != Kind::string) return good;
  const Template* form = parse(node, path);
  if (form == nullptr) return false;
  for (const Reference& reference : form->references) {
    if (reference.root == Root::variable && variables != nullptr) variables->push_back(reference.name);
    if (reference.root == Root::secret) {
      report("expression.secret",
             "found a secret in " + path + ", expected it in an extension's configuration only",
             "what is written here is shown to people and kept in files",
             place_in_text(document(), node, reference.offset, path));
      return false;
    }
    if (reference.root != Root::instance) continue;
    report("expression.not_static", "found outputs in " + path + ", which must be known before anything runs",
           "use var, env or each here; outputs can stand in an extension's configuration and in 'when'",
           place_in_text(document(), node, reference.offset, path));
    return false;
  }
  return good;
}

std::optional<Node> Loader::resolve(const Node& node, const std::string& path, const Each* each) {
  if (!node.computed && !node.escaped) return node;
  if (!prepare(node, path)) return std::nullopt;
  Evaluator evaluator(links_, document(), document(), each, nullptr);
  const size_t before = errors_.size();
  Node value = evaluator.tree(node, path, errors_);
  if (errors_.size() > before || evaluator.spoilt) return std::nullopt;
  return value;
}

const Each* Loader::each_of(uint32_t instance) const {
  const uint32_t each = pipeline_.instances[instance].each;
  return each == UINT32_MAX ? nullptr : &pipeline_.each[each];
}

}  // namespace pf::pipeline
