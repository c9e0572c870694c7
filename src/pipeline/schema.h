// The checker of configurations: a description that models.lua yielded, turned into rules, run over nodes
// with their positions. Immutable after from_json; thread-safe.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/json_fwd.h"
#include "pipeline/node.h"

namespace pf::pipeline {

/// What else encode() can tell of a configuration, and how it writes secrets.
struct Encoding {
  /// Absolute paths of `s.path` values that must exist: what the instance is made of.
  std::vector<std::string>* inputs = nullptr;
  /// Where set: what is written in place of the value of a field with `secret = true`, given as CBOR.
  std::function<std::string(std::string_view cbor)> conceal;
};

/// A model's rules. The JSON description's form is that of stdlib/schema.lua, written at the top of
/// schema.cc.
class Schema {
 public:
  /// From one model of a description, an object: what models.lua calls Config. Its fields must not use the
  /// orchestrator's own keys. Error `schema.invalid` with the path in the description.
  static Result<std::unique_ptr<Schema>> from_json(const Json& model);
  /// Of a package without models.lua: accepts an empty configuration only.
  static std::unique_ptr<Schema> empty();
  virtual ~Schema() = default;
  /// Appends one error for each finding (at most kMaxFindings): `config.unknown_key` (with "did you mean"),
  /// `config.missing`, `config.type`, `config.enum`, `config.range`, `config.pattern`, `config.path` (a path
  /// that does not exist), `config.depth`. `path` is the configuration path so far (`example.first`). A node
  /// that is `computed` (its whole text waits for values) passes as unknown when `computed_ok`, else its text
  /// is checked as it stands.
  virtual void check(const Document& document, const Node& config, const std::string& path, bool computed_ok,
                     Errors& errors) const = 0;
  /// Appends the checked configuration as one CBOR map: defaults filled in, keys sorted, `s.path` values
  /// absolute (against the folder of the file that wrote them). Precondition: check() found nothing.
  virtual void encode(const Document& document, const Node& config, std::string& cbor,
                      const Encoding& encoding = {}) const = 0;
  /// Whether some field has `secret = true`.
  virtual bool has_secrets() const = 0;
  /// Names of the top-level fields, sorted.
  virtual std::vector<std::string> fields() const = 0;
};

/// One call of Schema::check reports no more than this: a broken file of a million lines needs no million
/// errors.
inline constexpr size_t kMaxFindings = 100;

/// A node as CBOR, without rules: keys in written order.
void encode_plain(const Node& node, std::string& cbor);

}  // namespace pf::pipeline
