// Writes configurations as CBOR: with rules (defaults filled in, keys sorted, paths absolute) and without.
#include <algorithm>
#include <array>
#include <vector>

#include "base/cbor.h"
#include "pipeline/schema.h"
#include "pipeline/schema_rules.h"

namespace pf::pipeline {
namespace {

// Beyond what check() accepts and what a frame may hold; a reader refuses it, and no input exhausts the
// stack.
constexpr int kMaxDepth = cbor::kMaxDepth + 1;

template <class Each>
void sorted_entries(std::span<const Entry> entries, Each each) {
  std::vector<const Entry*> order;
  order.reserve(entries.size());
  for (const Entry& entry : entries) order.push_back(&entry);
  std::sort(order.begin(), order.end(),
            [](const Entry* a, const Entry* b) { return a->key.string() < b->key.string(); });
  for (const Entry* entry : order) each(*entry);
}

void plain(const Node& node, bool sorted, int depth, std::string& out) {
  cbor::Writer w(out);
  switch (node.kind) {
    case Kind::null: w.null(); return;
    case Kind::boolean: w.boolean(node.boolean); return;
    case Kind::integer: w.integer(node.integer); return;
    case Kind::number: w.number(node.number); return;
    case Kind::string: w.text_or_bytes(node.string()); return;
    case Kind::list:
    case Kind::map: break;
  }
  if (depth > kMaxDepth) return w.null();
  if (node.kind == Kind::list) {
    w.array(node.size);
    for (const Node& item : node.list()) plain(item, sorted, depth + 1, out);
    return;
  }
  const auto entry = [&](const Entry& e) {
    w.text_or_bytes(e.key.string());
    plain(e.value, sorted, depth + 1, out);
  };
  w.map(node.size);
  if (sorted && node.size > 1)
    sorted_entries(node.map(), entry);
  else
    for (const Entry& e : node.map()) entry(e);
}

}  // namespace

void encode_plain(const Node& node, std::string& cbor) { plain(node, false, 1, cbor); }

namespace rules {
namespace {

class Encoder {
 public:
  Encoder(const Document& document, const Node* at, std::string& out, const Encoding& encoding)
      : document_(document), at_(at), encoding_(encoding), out_(out), w_(out) {}

  void value(const Rule& rule, const Node& node, int depth) {
    if (depth > kMaxDepth) return w_.null();
    if (rule.secret && encoding_.conceal) {
      std::string plainly;
      encode(rule, document_, node, at_, plainly);
      w_.raw(encoding_.conceal(plainly));
      return;
    }
    switch (rule.type) {
      case Type::list:
        if (node.kind != Kind::list || !rule.items) break;
        w_.array(node.size);
        for (const Node& item : node.list()) value(*rule.items, item, depth + 1);
        return;
      case Type::map:
        if (node.kind != Kind::map || !rule.items) break;
        w_.map(node.size);
        sorted_entries(node.map(), [&](const Entry& entry) {
          w_.text_or_bytes(entry.key.string());
          value(*rule.items, entry.value, depth + 1);
        });
        return;
      case Type::object:
        if (node.kind != Kind::map) break;
        return object(rule, node, depth);
      case Type::either: return either(rule, node, depth);
      case Type::path:
        if (node.kind != Kind::string) break;
        path(rule, node);
        return;
      default: break;
    }
    plain(node, true, depth, out_);
  }

 private:
  void path(const Rule& rule, const Node& node) {
    std::string resolved = resolve_path(document_.folder((at_ != nullptr ? *at_ : node).file), node.string());
    w_.text_or_bytes(resolved);
    if (rule.must_exist && encoding_.inputs != nullptr) encoding_.inputs->push_back(std::move(resolved));
  }

  // Each field's value as it was written, or null; the number of those that will be there.
  static size_t collect(const Rule& rule, const Node& node, const Node** written) {
    std::fill_n(written, rule.fields.size(), nullptr);
    for (const Entry& entry : node.map()) {
      const Field* field = rule.field(entry.key.string());
      if (field != nullptr && !is_absent(*field->rule, &entry.value))
        written[field - rule.fields.data()] = &entry.value;
    }
    size_t count = 0;
    for (size_t i = 0; i < rule.fields.size(); ++i) {
      count += written[i] != nullptr || rule.fields[i].rule->default_value ? 1 : 0;
    }
    return count;
  }

  void object(const Rule& rule, const Node& node, int depth) {
    std::array<const Node*, 16> few;
    std::vector<const Node*> many(rule.fields.size() > few.size() ? rule.fields.size() : 0);
    const Node** written = many.empty() ? few.data() : many.data();
    w_.map(collect(rule, node, written));
    for (size_t i = 0; i < rule.fields.size(); ++i) {
      const Rule& inner = *rule.fields[i].rule;
      if (written[i] == nullptr && !inner.default_value) continue;
      w_.text(rule.fields[i].name);
      if (written[i] != nullptr) {
        value(inner, *written[i], depth + 1);
      } else if (!inner.default_cbor.empty() && !encoding_.conceal) {
        w_.raw(inner.default_cbor);
      } else {
        const Node* outer = at_;
        if (at_ == nullptr) at_ = &node;
        value(inner, *inner.default_value, depth + 1);
        at_ = outer;
      }
    }
  }

  void either(const Rule& rule, const Node& node, int depth) {
    // Files first, as check() chose; should one have gone since then, without looking.
    for (const bool look : {true, false}) {
      const CheckOptions options{.computed_ok = false, .look_at_files = look, .more_keys = {}};
      for (const auto& branch : rule.branches) {
        Errors errors;
        check_at(*branch, document_, node, at_, options, errors);
        if (errors.empty()) return value(*branch, node, depth);
      }
    }
    plain(node, true, depth, out_);
  }

  const Document& document_;
  const Node* at_;
  const Encoding& encoding_;
  std::string& out_;
  cbor::Writer w_;
};

}  // namespace

void encode(const Rule& rule, const Document& document, const Node& node, const Node* at, std::string& cbor,
            const Encoding& encoding) {
  Encoder(document, at, cbor, encoding).value(rule, node, 1);
}

bool has_secret(const Rule& rule) {
  const auto inner = [](const auto& pointer) { return pointer != nullptr && has_secret(*pointer); };
  return rule.secret || inner(rule.items) || inner(rule.keys) ||
         std::any_of(rule.branches.begin(), rule.branches.end(), inner) ||
         std::any_of(rule.fields.begin(), rule.fields.end(), [&](const Field& f) { return inner(f.rule); });
}

}  // namespace rules
}  // namespace pf::pipeline
