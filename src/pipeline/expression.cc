#include "pipeline/expression.h"

#include <algorithm>
#include <charconv>

#include "base/text.h"
#include "pipeline/builder.h"

namespace pf::pipeline {
namespace {

constexpr int kMaxNesting = 64;
constexpr std::string_view kSecretPrefix = "PANGEO_FORGE_SECRET_";

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80) != 0;
}
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_word(char c) { return is_letter(c) || is_digit(c) || c == '-'; }

/// Recursive descent over one text; recursion happens at '(' and '!' only, and is counted.
class Parser {
 public:
  Parser(std::string_view text, Document& keep) : text_(text), keep_(keep) { out_.text = text; }

  tl::expected<Template, ExpressionError> run() {
    while (at_ < text_.size()) {
      const size_t dollar = std::min(text_.find("${", at_), text_.size());
      if (dollar > at_ && dollar < text_.size() && text_[dollar - 1] == '$') {
        literal(at_, dollar - 1);
        literal(dollar, dollar + 2);
        at_ = dollar + 2;
        continue;
      }
      literal(at_, dollar);
      if (dollar == text_.size()) break;
      at_ = dollar + 2;
      open_ = dollar;
      const uint32_t expression = either();
      if (failed_) return tl::unexpected(std::move(error_));
      skip();
      if (peek() != '}') {
        syntax(at_, "expected an operator or '}'" + found());
        return tl::unexpected(std::move(error_));
      }
      ++at_;
      out_.parts.push_back({{}, static_cast<int32_t>(expression)});
    }
    return std::move(out_);
  }

 private:
  char peek(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }
  void skip() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n')) ++at_;
  }
  void literal(size_t from, size_t to) {
    if (to > from) out_.parts.push_back({text_.substr(from, to - from), -1});
  }
  std::string found() const {
    if (at_ >= text_.size()) return ", found the end of the text";
    size_t length = 1;
    while (at_ + length < text_.size() && (text_[at_ + length] & 0xC0) == 0x80) ++length;
    return ", found '" + std::string(text_.substr(at_, length)) + "'";
  }

  uint32_t fail(std::string code, size_t offset, std::string message, std::string hint) {
    if (!failed_) {
      error_ = {std::move(code), std::move(message), std::move(hint), static_cast<uint32_t>(offset)};
      failed_ = true;
    }
    at_ = text_.size();
    return 0;
  }
  uint32_t syntax(size_t offset, std::string message, std::string hint = "a literal '${' is written $${") {
    return fail("expression.syntax", offset, std::move(message), std::move(hint));
  }

  uint32_t add(Op op, size_t offset, std::vector<uint32_t> operands = {}) {
    Term term;
    term.op = op;
    term.offset = static_cast<uint32_t>(offset);
    term.operands = std::move(operands);
    out_.terms.push_back(std::move(term));
    return static_cast<uint32_t>(out_.terms.size() - 1);
  }

  template <class Operand>
  uint32_t chain(Op op, std::string_view sign, Operand operand) {
    skip();
    const size_t start = at_;
    std::vector<uint32_t> operands{operand()};
    while (!failed_) {
      skip();
      if (text_.substr(at_, 2) != sign) break;
      at_ += 2;
      operands.push_back(operand());
    }
    return operands.size() == 1 ? operands[0] : add(op, start, std::move(operands));
  }

  uint32_t either() {
    return chain(Op::either, "||", [this] { return chain(Op::both, "&&", [this] { return comparison(); }); });
  }
  uint32_t coalesce() {
    return chain(Op::coalesce, "??", [this] { return unary(); });
  }

  uint32_t comparison() {
    static constexpr std::pair<std::string_view, Op> kSigns[] = {
        {"==", Op::equal},         {"!=", Op::unequal}, {"<=", Op::less_equal},
        {">=", Op::greater_equal}, {"<", Op::less},     {">", Op::greater},
    };
    const uint32_t left = coalesce();
    if (failed_) return 0;
    skip();
    for (const auto& [sign, op] : kSigns) {
      if (text_.substr(at_, sign.size()) != sign) continue;
      const size_t offset = at_;
      at_ += sign.size();
      const uint32_t right = coalesce();
      skip();
      if (!failed_ && std::any_of(std::begin(kSigns), std::end(kSigns), [this](const auto& other) {
            return text_.substr(at_, other.first.size()) == other.first;
          })) {
        return syntax(at_, "found a second comparison, expected '&&', '||' or '}'",
                      "put one of them in parentheses");
      }
      return add(op, offset, {left, right});
    }
    if (peek() == '=') return syntax(at_, "found '=', expected '=='", "compare with ==");
    return left;
  }

  uint32_t unary() {
    skip();
    const size_t start = at_;
    if (peek() == '!' || peek() == '(') {
      if (++nesting_ > kMaxNesting) {
        return fail("expression.depth", start,
                    "the expression is nested deeper than " + std::to_string(kMaxNesting) + " levels",
                    "split it into variables");
      }
      const bool group = text_[at_++] == '(';
      uint32_t inner = group ? either() : unary();
      if (group && !failed_) {
        skip();
        if (peek() != ')') return syntax(at_, "expected an operator or ')'" + found());
        ++at_;
      } else if (!group) {
        inner = add(Op::negate, start, {inner});
      }
      --nesting_;
      return inner;
    }
    if (peek() == '\'') return quoted();
    if (is_digit(peek()) || (peek() == '-' && is_digit(peek(1)))) return number();
    if (is_letter(peek())) return word();
    if (peek() == '}') return syntax(start, "found an expression with nothing in it");
    if (peek() == '"') return syntax(start, "found '\"', expected text in single quotes", "write 'text'");
    if (at_ >= text_.size()) return syntax(open_, "the expression that opens here does not end");
    return syntax(start, "expected a value" + found());
  }

  uint32_t constant(Node value, size_t start) {
    const uint32_t term = add(Op::literal, start);
    out_.terms[term].literal = value;
    return term;
  }

  uint32_t quoted() {
    const size_t start = at_++;
    std::string value;
    while (true) {
      const size_t end = text_.find('\'', at_);
      if (end == std::string_view::npos)
        return syntax(start, "the text that opens here does not end", "close the quote");
      value += text_.substr(at_, end - at_);
      at_ = end + 1;
      if (peek() != '\'') break;
      value += text_[at_++];
    }
    return constant(keep_.make_string(value, {}), start);
  }

  uint32_t number() {
    const size_t start = at_;
    ++at_;
    while (is_word(peek()) || peek() == '.' ||
           (peek() == '+' && (text_[at_ - 1] == 'e' || text_[at_ - 1] == 'E')))
      ++at_;
    Node value;
    const std::string_view written = text_.substr(start, at_ - start);
    if (!resolve_plain(written, value))
      return syntax(start, "'" + std::string(written) + "' is no number", "put text in single quotes");
    return constant(value, start);
  }

  std::string_view identifier() {
    const size_t start = at_;
    while (is_word(peek())) ++at_;
    return text_.substr(start, at_ - start);
  }

  uint32_t word() {
    const size_t start = at_;
    const std::string_view first = identifier();
    if (peek() != '.' && peek() != '[') {
      Node value;
      if (first == "null") return constant(value, start);
      if (first == "true" || first == "false") {
        value.kind = Kind::boolean;
        value.boolean = first == "true";
        return constant(value, start);
      }
    }
    Reference reference;
    reference.offset = static_cast<uint32_t>(start);
    const bool good = first == "var"      ? variable(reference)
                      : first == "env"    ? environment(reference)
                      : first == "each"   ? each(reference)
                      : first == "secret" ? secret(reference)
                                          : instance(first, reference);
    if (!good || !path(reference.path)) return 0;
    const uint32_t term = add(Op::reference, start);
    out_.terms[term].reference = static_cast<uint32_t>(out_.references.size());
    out_.references.push_back(std::move(reference));
    return term;
  }

  /// `.NAME`; false, with an error, where something else stands.
  bool dotted(std::string_view& name, std::string_view expected) {
    if (peek() == '.' && is_word(peek(1))) {
      ++at_;
      name = identifier();
      return true;
    }
    syntax(at_, "expected " + std::string(expected) + found());
    return false;
  }

  bool variable(Reference& reference) {
    reference.root = Root::variable;
    if (!dotted(reference.name, "'.' and the name of a variable behind 'var'")) return false;
    reference.end = static_cast<uint32_t>(at_);
    return true;
  }

  bool environment(Reference& reference) {
    reference.root = Root::environment;
    if (!dotted(reference.name, "'.' and the name of an environment variable behind 'env'")) return false;
    reference.end = static_cast<uint32_t>(at_);
    if (reference.name.starts_with(kSecretPrefix)) {
      fail("expression.secret", reference.offset,
           "'env." + std::string(reference.name) + "' is a secret, which is not read as plain text",
           "write secret." + std::string(reference.name.substr(kSecretPrefix.size())));
      return false;
    }
    if (peek() == '.' || peek() == '[') {
      syntax(at_, "an environment variable is text and has no parts");
      return false;
    }
    return true;
  }

  bool secret(Reference& reference) {
    reference.root = Root::secret;
    if (!dotted(reference.name, "'.' and the name of a secret behind 'secret'")) return false;
    reference.end = static_cast<uint32_t>(at_);
    if (peek() == '.' || peek() == '[') {
      syntax(at_, "a secret is text and has no parts");
      return false;
    }
    return true;
  }

  bool each(Reference& reference) {
    std::string_view which;
    if (!dotted(which, "'.key' or '.value' behind 'each'")) return false;
    reference.end = static_cast<uint32_t>(at_);
    if (which == "key") {
      reference.root = Root::each_key;
      if (peek() == '.' || peek() == '[') {
        syntax(at_, "each.key is text and has no parts");
        return false;
      }
      return true;
    }
    reference.root = Root::each_value;
    if (which == "value") return true;
    fail("expression.unknown_reference", reference.offset,
         "'each." + std::string(which) + "' is not known, expected each.key or each.value",
         did_you_mean(which, {"key", "value"}));
    return false;
  }

  /// `.NAME [ "[" key "]" ] .outputs` behind the type. Names may hold dots, so the first `.outputs` after one
  /// part ends it.
  bool instance(std::string_view type, Reference& reference) {
    reference.root = Root::instance;
    reference.type = type;
    if (peek() != '.') {
      fail("expression.unknown_reference", reference.offset,
           "'" + shorten(type, 60) +
               "' is not known, expected var.NAME, env.NAME, secret.NAME, each.key, each.value or "
               "TYPE.NAME.outputs",
           hint_for(type, "put text in single quotes"));
      return false;
    }
    const size_t from = at_ + 1;
    std::vector<std::string> parts;
    std::string_view part;
    while (true) {
      const size_t name_end = at_;
      if (peek() == '[') {
        if (parts.empty() || !key(reference, name_end, from)) return unnamed(reference, parts);
        if (text_.substr(at_, 8) != ".outputs" || is_word(peek(8))) {
          std::string_view next;
          if (peek() == '.' && is_word(peek(1))) dotted(next, "");
          parts.emplace_back(next);
          return unnamed(reference, parts);
        }
        at_ += 8;
        break;
      }
      if (peek() != '.' || !is_word(peek(1))) return unnamed(reference, parts);
      if (!dotted(part, "a name")) return false;
      if (part == "outputs" && !parts.empty()) {
        reference.name = text_.substr(from, name_end - from);
        break;
      }
      parts.emplace_back(part);
    }
    reference.end = static_cast<uint32_t>(at_);
    return true;
  }

  bool key(Reference& reference, size_t name_end, size_t from) {
    reference.name = text_.substr(from, name_end - from);
    if (text_.substr(at_, 3) == "[*]") {
      reference.all = true;
      at_ += 3;
      return true;
    }
    Step step;
    if (!bracket(step)) return false;
    if (step.is_index) {
      fail("expression.syntax", name_end, "an instance of a for_each is named by its key, as text",
           "write [\"" + std::to_string(step.index) + "\"]");
      return false;
    }
    reference.has_key = true;
    reference.key = step.key;
    return true;
  }

  bool unnamed(const Reference& reference, const std::vector<std::string>& parts) {
    const std::string written(text_.substr(reference.offset, at_ - reference.offset));
    std::string hint;
    for (const auto& part : parts) {
      if (hint.empty()) hint = did_you_mean(part, {"outputs"});
    }
    if (hint.empty()) hint = hint_for(reference.type, "write TYPE.NAME.outputs.KEY");
    fail("expression.unknown_reference", reference.offset,
         "'" + shorten(written, 80) + "' names no outputs, expected TYPE.NAME.outputs and a path", hint);
    return false;
  }

  static std::string hint_for(std::string_view root, std::string fallback) {
    std::string hint = did_you_mean(root, {"var", "env", "each"});
    return hint.empty() ? fallback : hint;
  }

  bool path(std::vector<Step>& steps) {
    while (peek() == '.' || peek() == '[') {
      Step step;
      if (peek() == '[') {
        if (!bracket(step)) return false;
      } else if (!dotted(step.key, "a key behind '.'")) {
        return false;
      }
      step.end = static_cast<uint32_t>(at_);
      steps.push_back(step);
    }
    return true;
  }

  bool bracket(Step& step) {
    const size_t start = at_++;
    const char quote = peek();
    if (is_digit(quote)) {
      const auto [end, code] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), step.index);
      if (code != std::errc()) step.index = UINT64_MAX;
      step.is_index = true;
      at_ = static_cast<size_t>(end - text_.data());
    } else if (quote == '"' || quote == '\'') {
      std::string value;
      bool closed = false;
      for (++at_; at_ < text_.size() && !closed; ++at_) {
        if (text_[at_] == '\\' && at_ + 1 < text_.size()) {
          value += text_[++at_];
        } else if (text_[at_] == quote) {
          closed = true;
        } else {
          value += text_[at_];
        }
      }
      if (!closed) {
        syntax(start + 1, "the key that opens here does not end", "close the quote");
        return false;
      }
      step.key = keep_.intern(value);
    } else {
      syntax(at_, "expected an index or a key in quotes behind '['" + found(), "write [0] or [\"key\"]");
      return false;
    }
    if (peek() != ']') {
      syntax(at_, "expected ']'" + found(), "close the bracket");
      return false;
    }
    ++at_;
    return true;
  }

  std::string_view text_;
  Document& keep_;
  Template out_;
  size_t at_ = 0;
  size_t open_ = 0;
  int nesting_ = 0;
  bool failed_ = false;
  ExpressionError error_;
};

}  // namespace

bool Template::uses(Root root) const {
  return std::any_of(references.begin(), references.end(),
                     [&](const Reference& r) { return r.root == root; });
}

tl::expected<Template, ExpressionError> parse_template(std::string_view text, Document& keep) {
  return Parser(text, keep).run();
}

std::string unescape(std::string_view text) {
  std::string out;
  size_t at = 0;
  for (size_t found; (found = text.find("$${", at)) != std::string_view::npos; at = found + 3) {
    out.append(text.substr(at, found - at)).append("${");
  }
  return out.append(text.substr(at));
}

Where place_in_text(const Document& document, const Node& text, uint32_t offset, std::string path) {
  Where where = document.where(text, std::move(path));
  if (!text.verbatim) return where;
  const std::string_view before = text.string().substr(0, offset);
  where.column += text.quoted ? 1 : 0;
  where.column += static_cast<uint32_t>(
      std::count_if(before.begin(), before.end(), [](char c) { return (c & 0xC0) != 0x80; }));
  return where;
}

}  // namespace pf::pipeline
