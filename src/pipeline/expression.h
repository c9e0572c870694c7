// Expressions `${…}` inside texts: their grammar and what a parsed one is. A Template is immutable; its views
// point into the parsed text and into the Document given to the parser, which must both outlive it.
//
//   text       = { literal | "$${" | "${" either "}" }
//   either     = both { "||" both }
//   both       = comparison { "&&" comparison }
//   comparison = coalesce [ ("==" | "!=" | "<" | "<=" | ">" | ">=") coalesce ]
//   coalesce   = unary { "??" unary }                 a ?? b: b where a is missing or null
//   unary      = "!" unary | "(" either ")" | literal | reference
//   literal    = 'text' ('' is a quote) | number | true | false | null
//   reference  = var.NAME path | env.NAME | each.key | each.value path | TYPE.NAME [ "[" ("key" | *) "]" ]
//   .outputs path path       = { .NAME | [INDEX] | ["key"] | ['key'] }
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "pipeline/node.h"

namespace pf::pipeline {

/// One `.key`, `["key"]` or `[3]` of a path.
struct Step {
  std::string_view key;
  uint64_t index = 0;
  bool is_index = false;
  uint32_t end = 0;  // offset behind it, so that messages can show the path up to here
};

enum class Root : uint8_t { variable, environment, each_key, each_value, secret, instance };

/// What stands between operators and is not a literal.
struct Reference {
  Root root = Root::variable;
  bool all = false;       // `[*]`
  bool has_key = false;   // `["key"]`
  std::string_view type;  // of an instance
  std::string_view name;  // of the variable, environment variable, secret or instance
  std::string_view key;
  std::vector<Step> path;
  uint32_t offset = 0;  // where it begins in the text
  uint32_t end = 0;     // behind its root: the name of a variable, `each.value`, `.outputs`
  uint32_t first = 0;   // of an instance: the instances meant, set when the pipeline is linked
  uint32_t count = 0;
  bool group = false;  // `first` is a for_each over outputs: Links::groups says which instances are meant
};

enum class Op : uint8_t {
  literal,
  reference,
  coalesce,
  either,
  both,
  negate,
  equal,
  unequal,
  less,
  less_equal,
  greater,
  greater_equal
};

/// A node of an expression; operands are indexes into Template::terms. Chains of one operator are one term.
struct Term {
  Op op = Op::literal;
  uint32_t offset = 0;
  uint32_t reference = 0;  // Op::reference: index into Template::references
  Node literal;            // Op::literal
  std::vector<uint32_t> operands;
};

/// A text that holds expressions.
struct Template {
  struct Part {
    std::string_view literal;  // where there is no expression
    int32_t expression = -1;   // index into terms
  };
  std::string_view text;
  std::vector<Part> parts;
  std::vector<Term> terms;
  std::vector<Reference> references;

  /// One expression and nothing else: the value keeps its type.
  bool is_whole() const { return parts.size() == 1 && parts[0].expression >= 0; }
  bool uses(Root root) const;
  /// Some part is known only when other instances have run.
  bool uses_outputs() const { return uses(Root::instance); }
};

/// A problem in an expression, with the offset of its place in the text.
struct ExpressionError {
  std::string code;
  std::string message;
  std::string hint;
  uint32_t offset = 0;
};

/// Parses a text; unescaped keys and texts are kept in `keep`. Nesting over 64 is refused.
/// Codes: `expression.syntax`, `expression.depth`, `expression.unknown_reference`, `expression.secret`,
/// `pipeline.not_supported`.
tl::expected<Template, ExpressionError> parse_template(std::string_view text, Document& keep);

/// Text without expressions, `$${` written as `${`.
std::string unescape(std::string_view text);

/// The place of an offset into a text node: exact where the text stands in the file as it is.
Where place_in_text(const Document& document, const Node& text, uint32_t offset, std::string path);

}  // namespace pf::pipeline
