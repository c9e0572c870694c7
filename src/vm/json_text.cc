#include "vm/json_text.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/cbor.h"
#include "vm/convert.h"

namespace pf::vm {
namespace {

constexpr int kMaxStack = 4 * cbor::kMaxDepth + 16;

/// Recursive descent, at most cbor::kMaxDepth levels.
class Parser {
 public:
  /// With `path`, empty, also fills the table on top of the stack with the places of all values; it stays
  /// below the value.
  Parser(lua_State* L, std::string_view text, std::string& scratch, std::string* path)
      : L_(L),
        at_(text.data()),
        end_(at_ + text.size()),
        counted_(at_),
        scratch_(scratch),
        path_(path),
        positions_(path == nullptr ? 0 : lua_gettop(L)) {}

  bool document() {
    space();
    note(at_);
    if (!value(0)) return false;
    space();
    return at_ == end_ || fail("expected the end of the text");
  }
  const char* code() const { return code_; }
  const char* expected() const { return expected_; }
  const char* at() const { return at_; }

 private:
  bool fail(const char* expected, const char* code = "json.syntax") {
    if (code_ == nullptr) {
      expected_ = expected;
      code_ = code;
    }
    return false;
  }
  void space() {
    while (at_ < end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\t' || *at_ == '\r')) ++at_;
  }
  /// Where the value with the current path stands. Places come in the order of the text.
  void note(const char* place) {
    if (path_ == nullptr) return;
    for (; counted_ < place; ++counted_) {
      if (*counted_ == '\n') {
        ++line_;
        column_ = 1;
      } else if ((static_cast<unsigned char>(*counted_) & 0xc0) != 0x80) {
        ++column_;
      }
    }
    lua_pushlstring(L_, path_->data(), path_->size());
    lua_createtable(L_, 0, 2);
    lua_pushnumber(L_, line_);
    lua_setfield(L_, -2, "line");
    lua_pushnumber(L_, column_);
    lua_setfield(L_, -2, "column");
    lua_rawset(L_, positions_);
  }

  bool word(std::string_view w) {
    if (static_cast<size_t>(end_ - at_) < w.size() || std::string_view(at_, w.size()) != w) {
      return fail("expected a value");
    }
    at_ += w.size();
    return true;
  }

  bool value(int depth) {
    space();
    if (at_ == end_) return fail("expected a value");
    switch (*at_) {
      case '{': return object(depth);
      case '[': return array(depth);
      case '"': return text();
      case 't':
        if (!word("true")) return false;
        lua_pushboolean(L_, 1);
        return true;
      case 'f':
        if (!word("false")) return false;
        lua_pushboolean(L_, 0);
        return true;
      case 'n':
        if (!word("null")) return false;
        push_null(L_);
        return true;
      default: return number();
    }
  }

  bool digits() {
    const char* start = at_;
    while (at_ < end_ && *at_ >= '0' && *at_ <= '9') ++at_;
    return at_ != start || fail("expected a digit");
  }

  bool number() {
    const char* start = at_;
    if (*at_ == '-') ++at_;
    if (at_ < end_ && *at_ == '0') {
      ++at_;
    } else if (at_ < end_ && *at_ >= '1' && *at_ <= '9') {
      digits();
    } else {
      return fail(at_ == start ? "expected a value" : "expected a digit");
    }
    if (at_ < end_ && *at_ == '.') {
      ++at_;
      if (!digits()) return false;
    }
    if (at_ < end_ && (*at_ == 'e' || *at_ == 'E')) {
      ++at_;
      if (at_ < end_ && (*at_ == '+' || *at_ == '-')) ++at_;
      if (!digits()) return false;
    }
    double number = 0;
    if (std::from_chars(start, at_, number).ec != std::errc()) {
      // Out of range: too small is zero, too large cannot be said.
      const std::string_view written(start, static_cast<size_t>(at_ - start));
      if (written.find("e-") == std::string_view::npos && written.find("E-") == std::string_view::npos) {
        at_ = start;
        return fail("expected a number that fits a double");
      }
      number = 0;
    }
    lua_pushnumber(L_, number);
    return true;
  }

  static void append_code_point(std::string& out, uint32_t c) {
    if (c < 0x80) {
      out += static_cast<char>(c);
    } else if (c < 0x800) {
      out += static_cast<char>(0xc0 | c >> 6);
      out += static_cast<char>(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
      out += static_cast<char>(0xe0 | c >> 12);
      out += static_cast<char>(0x80 | (c >> 6 & 0x3f));
      out += static_cast<char>(0x80 | (c & 0x3f));
    } else {
      out += static_cast<char>(0xf0 | c >> 18);
      out += static_cast<char>(0x80 | (c >> 12 & 0x3f));
      out += static_cast<char>(0x80 | (c >> 6 & 0x3f));
      out += static_cast<char>(0x80 | (c & 0x3f));
    }
  }

  bool hex4(uint32_t& out) {
    out = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      const char c = at_ < end_ ? *at_ : ' ';
      uint32_t digit = 0;
      if (c >= '0' && c <= '9')
        digit = static_cast<uint32_t>(c - '0');
      else if (c >= 'a' && c <= 'f')
        digit = static_cast<uint32_t>(c - 'a' + 10);
      else if (c >= 'A' && c <= 'F')
        digit = static_cast<uint32_t>(c - 'A' + 10);
      else
        return fail("expected four hexadecimal digits");
      out = out << 4 | digit;
    }
    return true;
  }

  bool escape() {
    if (at_ == end_) return fail("expected the end of the text in quotes");
    switch (const char c = *at_++) {
      case '"':
      case '\\':
      case '/': scratch_ += c; return true;
      case 'b': scratch_ += '\b'; return true;
      case 'f': scratch_ += '\f'; return true;
      case 'n': scratch_ += '\n'; return true;
      case 'r': scratch_ += '\r'; return true;
      case 't': scratch_ += '\t'; return true;
      case 'u': break;
      default: --at_; return fail("expected one of \" \\ / b f n r t u after a backslash");
    }
    uint32_t code = 0;
    if (!hex4(code)) return false;
    if (code >= 0xd800 && code <= 0xdfff) {
      uint32_t low = 0;
      if (code > 0xdbff || end_ - at_ < 2 || at_[0] != '\\' || at_[1] != 'u')
        return fail("expected a surrogate pair");
      at_ += 2;
      if (!hex4(low)) return false;
      if (low < 0xdc00 || low > 0xdfff) return fail("expected a surrogate pair");
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    append_code_point(scratch_, code);
    return true;
  }

  bool text() {
    const char* start = ++at_;
    bool escapes = false;
    while (at_ < end_ && *at_ != '"') {
      if (static_cast<unsigned char>(*at_) < 0x20)
        return fail("expected no control character inside of a text");
      if (*at_ == '\\') {
        if (!escapes) scratch_.clear();
        escapes = true;
        scratch_.append(start, static_cast<size_t>(at_ - start));
        ++at_;
        if (!escape()) return false;
        start = at_;
      } else {
        ++at_;
      }
    }
    if (at_ == end_) return fail("expected the end of the text in quotes");
    const auto rest = static_cast<size_t>(at_ - start);
    ++at_;
    if (!escapes) {
      lua_pushlstring(L_, start, rest);
    } else {
      scratch_.append(start, rest);
      lua_pushlstring(L_, scratch_.data(), scratch_.size());
    }
    return true;
  }

  bool array(int depth) {
    if (depth == cbor::kMaxDepth) return fail("", "json.depth");
    ++at_;
    push_list(L_, 0);
    space();
    if (at_ < end_ && *at_ == ']') {
      ++at_;
      return true;
    }
    const size_t size = path_ == nullptr ? 0 : path_->size();
    for (int i = 1;; ++i) {
      space();
      if (path_ != nullptr) {
        append_index(*path_, static_cast<size_t>(i));
        note(at_);
      }
      if (!value(depth + 1)) return false;
      if (path_ != nullptr) path_->resize(size);
      lua_rawseti(L_, -2, i);
      space();
      if (at_ == end_ || (*at_ != ',' && *at_ != ']')) return fail("expected ',' or ']'");
      if (*at_++ == ']') return true;
    }
  }

  bool object(int depth) {
    if (depth == cbor::kMaxDepth) return fail("", "json.depth");
    ++at_;
    lua_createtable(L_, 0, 0);
    space();
    if (at_ < end_ && *at_ == '}') {
      ++at_;
      mark_empty_map(L_);
      return true;
    }
    const size_t size = path_ == nullptr ? 0 : path_->size();
    while (true) {
      space();
      const char* key = at_;
      if (at_ == end_ || *at_ != '"') return fail("expected a key in double quotes");
      if (!text()) return false;
      if (path_ != nullptr) {
        size_t length = 0;
        const char* name = lua_tolstring(L_, -1, &length);
        append_key(*path_, {name, length});
        note(key);
      }
      space();
      if (at_ == end_ || *at_ != ':') return fail("expected ':'");
      ++at_;
      if (!value(depth + 1)) return false;
      if (path_ != nullptr) path_->resize(size);
      lua_rawset(L_, -3);
      space();
      if (at_ == end_ || (*at_ != ',' && *at_ != '}')) return fail("expected ',' or '}'");
      if (*at_++ == '}') return true;
    }
  }

  lua_State* L_;
  const char* at_;
  const char* end_;
  const char* counted_;  // line_ and column_ are of this place
  uint32_t line_ = 1;
  uint32_t column_ = 1;
  std::string& scratch_;
  std::string* path_;
  int positions_;
  const char* expected_ = "";
  const char* code_ = nullptr;
};

void place(std::string_view text, size_t offset, Where& where) {
  where.line = 1;
  where.column = 1;
  for (size_t i = 0; i < offset; ++i) {
    if (text[i] == '\n') {
      ++where.line;
      where.column = 1;
    } else if ((static_cast<unsigned char>(text[i]) & 0xc0) != 0x80) {
      ++where.column;
    }
  }
}

void append_quoted(std::string& out, std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  for (char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (u >= 0x20 && u != 0x7f) {
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c == '\r') {
      out += "\\r";
    } else {
      out += "\\u00";
      out += kHex[u >> 4];
      out += kHex[u & 15];
    }
  }
  out += '"';
}

void append_number(std::string& out, const cbor::Item& item) {
  char buffer[32];
  char* end = buffer;
  if (item.type == cbor::Type::number) {
    end = std::to_chars(buffer, buffer + sizeof buffer, item.real).ptr;
  } else {
    if (item.type == cbor::Type::negative_int) *end++ = '-';
    const uint64_t size = item.type == cbor::Type::negative_int ? item.number + 1 : item.number;
    end = std::to_chars(end, buffer + sizeof buffer, size).ptr;
  }
  out.append(buffer, static_cast<size_t>(end - buffer));
}

/// A line of its own, `depth` levels in.
void append_line(std::string& out, int depth) {
  out += '\n';
  out.append(2 * static_cast<size_t>(depth), ' ');
}

/// `depth` is -1 for compact text.
void append_json_item(std::string& out, cbor::Reader& in, int depth) {
  const bool pretty = depth >= 0;
  const int inside = pretty ? depth + 1 : depth;
  cbor::Item item = in.next();
  switch (item.type) {
    case cbor::Type::unsigned_int:
    case cbor::Type::negative_int:
    case cbor::Type::number: append_number(out, item); break;
    case cbor::Type::bytes:
    case cbor::Type::text: append_quoted(out, item.text); break;
    case cbor::Type::boolean: out += item.number != 0 ? "true" : "false"; break;
    case cbor::Type::null:
    case cbor::Type::end: out += "null"; break;
    case cbor::Type::array:
    case cbor::Type::map: {
      const bool map = item.type == cbor::Type::map;
      out += map ? '{' : '[';
      for (uint64_t i = 0; i < item.number; ++i) {
        if (i != 0) out += ',';
        if (pretty) append_line(out, inside);
        if (map) {
          append_quoted(out, in.next().text);
          out += pretty ? ": " : ":";
        }
        append_json_item(out, in, inside);
      }
      if (pretty && item.number != 0) append_line(out, depth);
      out += map ? '}' : ']';
      break;
    }
  }
}

/// Text that every YAML reader takes for that text when it stands alone.
bool is_plain(std::string_view text) {
  static constexpr std::array<std::string_view, 10> kWords = {"null", "true", "false", "yes", "no",
                                                              "on",   "off",  "y",     "n",   "nan"};
  if (text.empty() || text.size() > 200 || text.back() == ' ') return false;
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  if (!letter(text.front()) && text.front() != '/' && text.front() != '_') return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (letter(c) || (c >= '0' && c <= '9') || std::string_view("_-./+@ ").find(c) != std::string_view::npos)
      continue;
    if (c == ':' && i + 1 < text.size() && text[i + 1] != ' ') continue;
    return false;
  }
  if (text.size() > 5) return true;
  std::string lower(text);
  for (char& c : lower) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  return std::find(kWords.begin(), kWords.end(), lower) == kWords.end();
}

void append_yaml_text(std::string& out, std::string_view text) {
  if (is_plain(text))
    out += text;
  else
    append_quoted(out, text);
}

/// What stands behind `key:` or `- ` at a level; `gap` is what separates a scalar from it.
void append_yaml_item(std::string& out, cbor::Reader& in, size_t indent, bool in_list) {
  const cbor::Item item = in.next();
  const bool block = (item.type == cbor::Type::array || item.type == cbor::Type::map) && item.number != 0;
  if (!block) {
    switch (item.type) {
      case cbor::Type::bytes:
      case cbor::Type::text: append_yaml_text(out, item.text); break;
      case cbor::Type::boolean: out += item.number != 0 ? "true" : "false"; break;
      case cbor::Type::array: out += "[]"; break;
      case cbor::Type::map: out += "{}"; break;
      case cbor::Type::null:
      case cbor::Type::end: out += "null"; break;
      default: append_number(out, item); break;
    }
    out += '\n';
    return;
  }
  // The first entry of a block inside a list item goes on in the item's own line.
  bool on_line = in_list;
  for (uint64_t i = 0; i < item.number; ++i) {
    if (!on_line) out.append(indent, ' ');
    on_line = false;
    if (item.type == cbor::Type::array) {
      out += "- ";
      append_yaml_item(out, in, indent + 2, true);
      continue;
    }
    append_yaml_text(out, in.next().text);
    out += ':';
    cbor::Reader ahead = in;
    const cbor::Item next = ahead.next();
    if ((next.type == cbor::Type::array || next.type == cbor::Type::map) && next.number != 0)
      out += '\n';
    else
      out += ' ';
    append_yaml_item(out, in, indent + 2, false);
  }
}

}  // namespace

bool push_json(lua_State* L, std::string_view text, std::string& scratch, Error& error, std::string* path) {
  luaL_checkstack(L, kMaxStack, "a value is nested too deeply");
  if (path != nullptr) lua_newtable(L);
  Parser parser(L, text, scratch, path);
  const bool utf8 = cbor::is_utf8(text);
  if (utf8 && parser.document()) {
    if (path != nullptr) lua_insert(L, -2);  // the table of places comes second
    return true;
  }
  error = Error{};
  error.retryable = false;
  if (!utf8) {
    error.code = "json.not_utf8";
    error.message = "not JSON: the text is not UTF-8";
    return false;
  }
  const auto offset = static_cast<size_t>(parser.at() - text.data());
  place(text, offset, error.where);
  error.code = parser.code();
  if (error.code == "json.depth") {
    error.message = "JSON is nested deeper than " + std::to_string(cbor::kMaxDepth) + " levels";
    error.hint = "flatten the value";
    return false;
  }
  error.message = "not JSON at line " + std::to_string(error.where.line) + ", column " +
                  std::to_string(error.where.column) + ": " + parser.expected() + ", found ";
  if (offset == text.size()) {
    error.message += "the end";
  } else {
    size_t end = offset + 1;
    while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) ++end;
    const auto c = static_cast<unsigned char>(text[offset]);
    if (c < 0x20)
      error.message += "control character " + std::to_string(c);
    else
      error.message += '`' + std::string(text.substr(offset, end - offset)) + '`';
  }
  return false;
}

void append_json(std::string& out, std::string_view cbor, bool pretty) {
  cbor::Reader in(cbor);
  append_json_item(out, in, pretty ? 0 : -1);
}

void append_yaml(std::string& out, std::string_view cbor) {
  cbor::Reader in(cbor);
  append_yaml_item(out, in, 0, false);
}

}  // namespace pf::vm
