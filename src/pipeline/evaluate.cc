#include "pipeline/evaluate.h"

#include <algorithm>

#include "base/json.h"
#include "base/text.h"

namespace pf::pipeline {
namespace {

constexpr int kMaxDepth =
    60;  // leaves room for what frames wrap around a configuration, within cbor::kMaxDepth
constexpr size_t kMaxText = 16U << 20;
constexpr size_t kShownKeys = 12;

Node boolean(bool value) {
  Node node;
  node.kind = Kind::boolean;
  node.boolean = value;
  return node;
}

bool is_number(const Node& node) { return node.kind == Kind::integer || node.kind == Kind::number; }
double as_number(const Node& node) {
  return node.kind == Kind::integer ? static_cast<double>(node.integer) : node.number;
}

bool same(const Node& a, const Node& b) {
  if (a.kind == Kind::integer && b.kind == Kind::integer) return a.integer == b.integer;
  if (is_number(a) && is_number(b)) return as_number(a) == as_number(b);
  if (a.kind != b.kind) return false;
  switch (a.kind) {
    case Kind::null: return true;
    case Kind::boolean: return a.boolean == b.boolean;
    case Kind::string: return a.string() == b.string();
    default: return to_json(a) == to_json(b);
  }
}

/// Below zero, zero, above zero; NaN is above all.
int order(const Node& a, const Node& b) {
  if (a.kind == Kind::string) return a.string().compare(b.string());
  if (a.kind == Kind::integer && b.kind == Kind::integer)
    return a.integer < b.integer ? -1 : a.integer > b.integer;
  return as_number(a) < as_number(b) ? -1 : !(as_number(a) == as_number(b));
}

std::string keys_text(std::vector<std::string> keys) {
  if (keys.empty()) return "it is empty";
  const size_t more = keys.size() > kShownKeys ? keys.size() - kShownKeys : 0;
  if (more > 0) keys.resize(kShownKeys);
  std::string out = "it has: " + shorten(join(keys, ", "), 200);
  if (more > 0) out += " and " + std::to_string(more) + " more";
  return out;
}

Kind kind_of(const Json& value) {
  if (value.is_object()) return Kind::map;
  if (value.is_array()) return Kind::list;
  if (value.is_boolean()) return Kind::boolean;
  if (value.is_number_integer()) return Kind::integer;
  if (value.is_number()) return Kind::number;
  return value.is_null() ? Kind::null : Kind::string;
}

std::vector<std::string> keys_of(const Json& value) {
  std::vector<std::string> keys;
  if (value.is_object()) {
    for (const auto& [key, unused] : value.items()) keys.push_back(key);
  }
  return keys;
}

std::vector<std::string> keys_of(const Node& value) {
  std::vector<std::string> keys;
  for (const Entry& entry : value.map()) keys.emplace_back(entry.key.string());
  return keys;
}

const Json* child(const Json& value, const Step& step) {
  if (step.is_index) return value.is_array() && step.index < value.size() ? &value[step.index] : nullptr;
  if (!value.is_object()) return nullptr;
  const auto found = value.find(std::string(step.key));
  return found == value.end() ? nullptr : &*found;
}

const Node* child(const Node& value, const Step& step) {
  if (step.is_index) return step.index < value.list().size() ? &value.list()[step.index] : nullptr;
  return value.find(step.key);
}

Kind kind_of(const Node& value) { return value.kind; }

/// Why `step` leads nowhere: a message and a hint.
template <class Value>
std::pair<std::string, std::string> no_such_step(const std::string& before, const Value& value,
                                                 const Step& step) {
  const Kind kind = kind_of(value);
  if (step.is_index) {
    if (kind != Kind::list)
      return {
          before + " is " + std::string(describe(kind)) + ", so it has no item " + std::to_string(step.index),
          {}};
    size_t size = 0;
    if constexpr (std::is_same_v<Value, Json>) {
      size = value.size();
    } else {
      size = value.list().size();
    }
    return {before + " has " + std::to_string(size) + (size == 1 ? " item" : " items") +
                ", so there is no item " + std::to_string(step.index),
            "the first item is [0]"};
  }
  const std::string key(step.key);
  if (kind != Kind::map)
    return {before + " is " + std::string(describe(kind)) + ", so it has no key '" + key + "'", {}};
  const auto keys = keys_of(value);
  return {before + " has no key '" + key + "'; " + keys_text(keys), did_you_mean(key, keys)};
}

}  // namespace

const Variable* Pipeline::Links::variable(std::string_view name) const {
  const uint32_t found =
      variable_names.find(hash_of(name), [&](uint32_t i) { return variables[i].name == name; });
  return found == IndexTable::kNone ? nullptr : &variables[found];
}

const Template* Pipeline::Links::template_of(const Node& text) const {
  const auto found = by_text.find(text.text);
  return found == by_text.end() ? nullptr : &templates[found->second];
}

Node Evaluator::tree(const Node& node, const std::string& path, Errors& errors) {
  if (!node.computed && !node.escaped) return node;
  std::string here = path;
  prefix_ = path.size();
  return walk(node, here, 0, errors);
}

Node Evaluator::walk(const Node& node, std::string& path, int depth, Errors& errors) {
  if (!node.computed && !node.escaped) return node;
  const size_t length = path.size();
  if (node.kind == Kind::string) return text(node, path, depth, errors);
  if (node.kind == Kind::list) {
    std::vector<Node> items;
    items.reserve(node.size);
    for (const Node& item : node.list()) {
      path += '[' + std::to_string(items.size()) + ']';
      items.push_back(walk(item, path, depth + 1, errors));
      path.resize(length);
    }
    return scratch_.make_list(items, node);
  }
  std::vector<Entry> entries;
  entries.reserve(node.size);
  for (const Entry& entry : node.map()) {
    if (!path.empty()) path += '.';
    path += entry.key.string();
    Entry next{entry.key, entry.value};
    if (entry.key.computed) {
      errors.push_back(refuse("expression.in_key",
                              "found an expression in a key, expected it in a value only",
                              "use a list of {name, value}, or write $${ for a literal '${'",
                              document_.where(entry.key, path))
                           .value());
      next.key.computed = false;
    } else if (entry.key.escaped) {
      next.key = scratch_.make_string(unescape(entry.key.string()), entry.key);
    }
    next.value = walk(entry.value, path, depth + 1, errors);
    entries.push_back(next);
    path.resize(length);
  }
  return scratch_.make_map(entries, node);
}

Node Evaluator::text(const Node& node, const std::string& path, int depth, Errors& errors) {
  if (!node.computed) return scratch_.make_string(unescape(node.string()), node);
  const Template* form = links_.template_of(node);
  if (form == nullptr) {  // its syntax error was reported when it was parsed
    spoilt = true;
    return node;
  }
  at_ = node;
  producers_.clear();
  Node out;
  const Outcome outcome = whole_text(*form, out);
  if (outcome == Outcome::unknown) return node;
  if (outcome == Outcome::value) {
    if (from_outputs != nullptr && form->uses_outputs()) {
      const size_t start = prefix_ < path.size() && path[prefix_] == '.' ? prefix_ + 1 : prefix_;
      from_outputs->push_back({path.substr(start), producers_});
    }
    if ((out.kind != Kind::list && out.kind != Kind::map) || fits(out, depth)) {
      out.file = node.file;
      out.line = node.line;
      out.column = node.column;
      return out;
    }
  } else if (error_.code.empty()) {
    spoilt = true;
    return node;
  }
  errors.push_back(
      refuse(error_.code, error_.message, error_.hint, place_in_text(document_, node, error_.offset, path))
          .value());
  return node;
}

/// Whether a value that is put in at this depth keeps the whole tree within its bounds.
bool Evaluator::fits(const Node& node, int depth) {
  if (depth >= kMaxDepth) {
    report(Outcome::failed, "expression.depth",
           "the value here is nested deeper than " + std::to_string(kMaxDepth) + " levels",
           "flatten the structure", 0);
    return false;
  }
  if (budget <= node.size) {
    report(Outcome::failed, "expression.too_big", "with this value there are too many values",
           "keep data in files of their own", 0);
    return false;
  }
  budget -= node.size;
  for (const Node& item : node.list()) {
    if ((item.kind == Kind::list || item.kind == Kind::map) && !fits(item, depth + 1)) return false;
  }
  for (const Entry& entry : node.map()) {
    if ((entry.value.kind == Kind::list || entry.value.kind == Kind::map) && !fits(entry.value, depth + 1))
      return false;
  }
  return true;
}

Evaluator::Outcome Evaluator::report(Outcome outcome, std::string code, std::string message, std::string hint,
                                     uint32_t offset) {
  error_ = {std::move(code), std::move(message), std::move(hint), offset};
  return outcome;
}

Evaluator::Outcome Evaluator::whole_text(const Template& form, Node& out) {
  if (form.is_whole()) return term(form, static_cast<uint32_t>(form.parts[0].expression), out);
  std::string built;
  bool known = true;
  for (const Template::Part& part : form.parts) {
    if (part.expression < 0) {
      built += part.literal;
      continue;
    }
    const auto index = static_cast<uint32_t>(part.expression);
    const uint32_t offset = form.terms[index].offset;
    Node value;
    const Outcome outcome = term(form, index, value);
    if (outcome == Outcome::unknown) {
      known = false;
      continue;
    }
    if (outcome != Outcome::value) return outcome;
    if (value.kind == Kind::list || value.kind == Kind::map || value.kind == Kind::null) {
      return report(Outcome::failed, "expression.type",
                    "found " + std::string(describe(value.kind)) +
                        " inside a text, expected text, a number or a boolean",
                    value.kind == Kind::null ? "give a default with ?? ''"
                                             : "an expression that is the whole value keeps its type",
                    offset);
    }
    built += scalar_text(value);
    if (built.size() > kMaxText) {
      return report(Outcome::failed, "expression.too_big",
                    "the text is longer than " + std::to_string(kMaxText) + " bytes",
                    "keep data in files of their own", offset);
    }
  }
  if (!known) return Outcome::unknown;
  out = scratch_.make_string(built, at_);
  return Outcome::value;
}

Evaluator::Outcome Evaluator::term(const Template& form, uint32_t index, Node& out) {
  const Term& term = form.terms[index];
  switch (term.op) {
    case Op::literal: out = term.literal; return Outcome::value;
    case Op::reference: return reference(form, form.references[term.reference], out);
    case Op::coalesce: return coalesce(form, term, out);
    case Op::either:
    case Op::both:
    case Op::negate: return logic(form, term, out);
    default: return compare(form, term, out);
  }
}

Evaluator::Outcome Evaluator::coalesce(const Template& form, const Term& term, Node& out) {
  bool unknown = false;
  for (size_t i = 0; i < term.operands.size(); ++i) {
    const bool last = i + 1 == term.operands.size();
    const Outcome outcome = this->term(form, term.operands[i], out);
    if (outcome == Outcome::failed) return outcome;
    if (outcome == Outcome::unknown) unknown = true;
    if (unknown) continue;  // the others are evaluated for their errors
    if (outcome == Outcome::value && (last || out.kind != Kind::null)) return outcome;
    if (last) return outcome;
  }
  return Outcome::unknown;
}

Evaluator::Outcome Evaluator::logic(const Template& form, const Term& term, Node& out) {
  bool unknown = false;
  for (uint32_t operand : term.operands) {
    const Outcome outcome = this->term(form, operand, out);
    if (outcome == Outcome::unknown) {
      unknown = true;
      continue;
    }
    if (outcome != Outcome::value) return outcome;
    if (out.kind != Kind::boolean) {
      static constexpr std::string_view kSigns[] = {"||", "&&", "!"};
      return report(Outcome::failed, "expression.type",
                    "found " + std::string(describe(out.kind)) + " beside '" +
                        std::string(kSigns[static_cast<size_t>(term.op) - static_cast<size_t>(Op::either)]) +
                        "', expected a boolean",
                    out.kind == Kind::null ? "give a default with ?? false"
                                           : "compare the value, for example with == 'text'",
                    form.terms[operand].offset);
    }
    if (!unknown && term.op != Op::negate && out.boolean == (term.op == Op::either)) return Outcome::value;
  }
  if (unknown) return Outcome::unknown;
  if (term.op == Op::negate) out = boolean(!out.boolean);
  return Outcome::value;
}

Evaluator::Outcome Evaluator::compare(const Template& form, const Term& term, Node& out) {
  Node left;
  Node right;
  const Outcome first = this->term(form, term.operands[0], left);
  if (first == Outcome::missing || first == Outcome::failed) return first;
  const Outcome second = this->term(form, term.operands[1], right);
  if (second == Outcome::missing || second == Outcome::failed) return second;
  if (first == Outcome::unknown || second == Outcome::unknown) return Outcome::unknown;
  const bool equality = term.op == Op::equal || term.op == Op::unequal;
  const bool alike = left.kind == right.kind || (is_number(left) && is_number(right));
  const bool null = left.kind == Kind::null || right.kind == Kind::null;
  const bool ordered = alike && (is_number(left) || left.kind == Kind::string);
  if (equality ? !alike && !null : !ordered) {
    return report(
        Outcome::failed, "expression.type",
        "cannot compare " + std::string(describe(left.kind)) + " with " + std::string(describe(right.kind)),
        equality ? "text stands in single quotes, numbers without them"
                 : "only numbers, and texts, have an order",
        term.offset);
  }
  bool result = false;
  switch (term.op) {
    case Op::equal: result = same(left, right); break;
    case Op::unequal: result = !same(left, right); break;
    case Op::less: result = order(left, right) < 0; break;
    case Op::less_equal: result = order(left, right) <= 0; break;
    case Op::greater: result = order(left, right) > 0; break;
    default: result = order(left, right) >= 0; break;
  }
  out = boolean(result);
  return Outcome::value;
}

Evaluator::Outcome Evaluator::reference(const Template& form, const Reference& reference, Node& out) {
  switch (reference.root) {
    case Root::variable: {
      const Variable* variable = links_.variable(reference.name);
      if (variable == nullptr) {
        std::vector<std::string> names;
        for (const Variable& each : links_.variables) names.push_back(each.name);
        std::string hint = did_you_mean(reference.name, names);
        if (hint.empty()) hint = "declare it in core.variables, or give it with --var";
        return report(Outcome::missing, "expression.unknown_variable",
                      "there is no variable '" + std::string(reference.name) + "'", std::move(hint),
                      reference.offset);
      }
      if (variable->state != Variable::State::ready) return report(Outcome::failed, {}, {}, {}, 0);
      return follow(form, reference, variable->value, out);
    }
    case Root::environment: {
      const auto found = links_.environment.find(reference.name);
      if (found == links_.environment.end() || !found->second) {
        return report(Outcome::missing, "expression.environment",
                      "the environment variable " + std::string(reference.name) + " is not set",
                      "set it, or give a default with ?? 'text'", reference.offset);
      }
      out = scratch_.make_string(*found->second, at_);
      return Outcome::value;
    }
    case Root::each_key:
    case Root::each_value: {
      if (each_ == nullptr) {
        if (each_unknown) return Outcome::unknown;
        return report(Outcome::failed, "expression.each", "found 'each' where there is no for_each",
                      "add for_each to the instance, or use var", reference.offset);
      }
      if (reference.root == Root::each_value) return follow(form, reference, each_->value, out);
      out = scratch_.make_string(each_->key, at_);
      return Outcome::value;
    }
    case Root::secret: {
      if (outputs_ == nullptr) return Outcome::unknown;
      auto value = outputs_->secret(reference.name);
      if (!value) {
        return report(Outcome::missing, value.error().code, value.error().message, value.error().hint,
                      reference.offset);
      }
      out = scratch_.make_string(*value, at_);
      return Outcome::value;
    }
    case Root::instance: break;
  }
  if (outputs_ == nullptr) return Outcome::unknown;
  if (reference.group) return grouped(form, reference, out);
  if (!reference.all) return outputs_of(form, reference, reference.first, out);
  std::vector<Node> items(reference.count);
  for (uint32_t i = 0; i < reference.count; ++i) {
    const Outcome outcome = outputs_of(form, reference, reference.first + i, items[i]);
    if (outcome != Outcome::value) return outcome;
  }
  out = scratch_.make_list(items, at_);
  return Outcome::value;
}

/// `["key"]` and `[*]` of a for_each over outputs, which has become instances by now.
Evaluator::Outcome Evaluator::grouped(const Template& form, const Reference& reference, Node& out) {
  const std::string text(form.text.substr(reference.offset, reference.end - reference.offset));
  const auto found = links_.groups.find(reference.first);
  if (found == links_.groups.end()) {
    if (!outputs_->known(reference.first)) return Outcome::unknown;
    return report(Outcome::missing, "expression.missing", text + " is not there: its for_each was not run",
                  "give a default with ??", reference.offset);
  }
  const Pipeline::Links::Group& group = found->second;
  if (reference.all) {
    std::vector<Node> items(group.count);
    for (uint32_t i = 0; i < group.count; ++i) {
      const Outcome outcome = outputs_of(form, reference, group.first + i, items[i]);
      if (outcome != Outcome::value) return outcome;
    }
    out = scratch_.make_list(items, at_);
    return Outcome::value;
  }
  const auto child = group.keys.find(std::string(reference.key));
  if (child != group.keys.end()) return outputs_of(form, reference, child->second, out);
  std::vector<std::string> keys(group.count);
  for (const auto& [key, instance] : group.keys) keys[instance - group.first] = key;
  std::string hint = did_you_mean(reference.key, keys);
  if (hint.empty()) hint = "give a default with ??";
  return report(
      Outcome::missing, "expression.missing",
      text + " is not there: " +
          (keys.empty() ? "its for_each is empty" : "its for_each " + keys_text(std::move(keys)).substr(3)),
      std::move(hint), reference.offset);
}

Evaluator::Outcome Evaluator::outputs_of(const Template& form, const Reference& reference, uint32_t instance,
                                         Node& out) {
  if (from_outputs != nullptr) producers_.push_back(instance);
  if (!outputs_->known(instance)) return Outcome::unknown;
  const Json* outputs = outputs_->of(instance);
  if (outputs == nullptr) {
    return report(Outcome::missing, "expression.missing",
                  std::string(form.text.substr(reference.offset, reference.end - reference.offset)) +
                      " is not there: the instance gave no outputs",
                  "give a default with ??", reference.offset);
  }
  return follow(form, reference, *outputs, out);
}

Evaluator::Outcome Evaluator::follow(const Template& form, const Reference& reference, const Node& from,
                                     Node& out) {
  const Node* value = &from;
  uint32_t end = reference.end;
  for (const Step& step : reference.path) {
    const Node* next = child(*value, step);
    if (next == nullptr) {
      auto [message, hint] =
          no_such_step(std::string(form.text.substr(reference.offset, end - reference.offset)), *value, step);
      if (reference.root == Root::each_value && each_ != nullptr)
        message += " (where each.key is '" + shorten(each_->key, 60) + "')";
      return report(Outcome::missing, "expression.missing", std::move(message), std::move(hint),
                    reference.offset);
    }
    value = next;
    end = step.end;
  }
  out = *value;
  return Outcome::value;
}

Evaluator::Outcome Evaluator::follow(const Template& form, const Reference& reference, const Json& from,
                                     Node& out) {
  const Json* value = &from;
  uint32_t end = reference.end;
  for (const Step& step : reference.path) {
    const Json* next = child(*value, step);
    if (next == nullptr) {
      auto [message, hint] =
          no_such_step(std::string(form.text.substr(reference.offset, end - reference.offset)), *value, step);
      if (hint.empty()) hint = "give a default with ??";
      return report(Outcome::missing, "expression.missing", std::move(message), std::move(hint),
                    reference.offset);
    }
    value = next;
    end = step.end;
  }
  out = scratch_.make_json(*value, at_);
  return Outcome::value;
}

}  // namespace pf::pipeline
