// The rules that a description is turned into, and what runs over them. Inside this floor only: others use
// schema.h. Rules are immutable once built; the functions keep no state. Thread-safe.
#pragma once

#include <re2/re2.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.h"
#include "base/json_fwd.h"
#include "pipeline/node.h"
#include "pipeline/schema.h"

namespace pf::pipeline::rules {

enum class Type : uint8_t { string, integer, number, boolean, any, choice, list, map, object, either, path };
enum class PathKind : uint8_t { any, file, folder };

struct Rule;

/// One key of an object.
struct Field {
  std::string name;
  std::unique_ptr<Rule> rule;
};

/// What one model allows. Which members count depends on `type`; the others keep their defaults.
struct Rule {
  Type type = Type::any;
  bool optional = false;
  bool secret = false;                 // its values are never shown
  bool has_path = false;               // it, or something in it, is a path
  PathKind path_kind = PathKind::any;  // path
  bool must_exist = true;              // path: false for what the extension will make
  std::optional<double> min, max;      // numbers; characters of a string; items of a list; entries of a map
  std::unique_ptr<re2::RE2> pattern;   // string
  std::vector<std::variant<bool, double, std::string>> values;  // choice
  std::unique_ptr<Rule> items;                                  // list, map; null: anything
  std::unique_ptr<Rule> keys;                                   // map; null: any text
  std::vector<Field> fields;                                    // object; sorted by name
  std::vector<std::unique_ptr<Rule>> branches;                  // either, in the order of trying
  std::string expected;                                         // `an integer of at least 0`
  std::string description, example;                             // for hints; example is JSON text
  std::optional<Node> default_value;                            // lives in the schema's own Document
  std::string default_cbor;                                     // encoded, where nothing in it is a path

  bool may_be_absent() const { return optional || default_value.has_value(); }
  const Field* field(std::string_view name) const;
};

/// Builds the rule of a model and of all in it; `defaults` gets the nodes of default values and must outlive
/// the rule. `path` names the model in errors (`Config`). Error `schema.invalid`.
Result<std::unique_ptr<Rule>> build(const Json& model, const std::string& path, Document& defaults);

/// What a configuration is checked with.
struct CheckOptions {
  bool computed_ok = false;
  bool look_at_files = true;  // false: paths are not looked for (defaults and examples of a model)
  std::vector<std::string>
      more_keys;  // top-level keys that are legal elsewhere: candidates of "did you mean"
};
void check(const Rule& rule, const Document& document, const Node& node, const std::string& path,
           const CheckOptions& options, Errors& errors);
/// Same, for a default value that stands in for something not written: `at` is the written node that it
/// belongs to.
void check_at(const Rule& rule, const Document& document, const Node& node, const Node* at,
              const CheckOptions& options, Errors& errors);
/// Appends a value that check() accepted. `at` is the node whose file a path is relative to where `node` is a
/// default value; null where node was written itself.
void encode(const Rule& rule, const Document& document, const Node& node, const Node* at, std::string& cbor,
            const Encoding& encoding = {});
/// Whether the rule, or one in it, has `secret`.
bool has_secret(const Rule& rule);

/// An absolute path without `.`, `..`, doubled or trailing slashes. The folder is taken from the working
/// folder where it is relative itself.
std::string resolve_path(const std::filesystem::path& folder, std::string_view text);
/// True for a value that stands for "not written": null where the field may be left out.
inline bool is_absent(const Rule& rule, const Node* node) {
  return node == nullptr || (node->is_null() && rule.type != Type::any && rule.may_be_absent());
}

}  // namespace pf::pipeline::rules
