#include "pipeline/scan.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace pf::pipeline {
namespace {

/// Length of the UTF-8 sequence (RFC 3629) that starts here, or 0.
size_t sequence(const unsigned char* at, const unsigned char* end) {
  const auto tail = [&](int i) { return at + i < end && (at[i] & 0xC0) == 0x80; };
  if (at[0] < 0x80) return 1;
  if (at[0] < 0xC2) return 0;
  if (at[0] < 0xE0) return tail(1) ? 2 : 0;
  if (at[0] < 0xF0) {
    if (!tail(1) || !tail(2)) return 0;
    if (at[0] == 0xE0 && at[1] < 0xA0) return 0;
    if (at[0] == 0xED && at[1] > 0x9F) return 0;
    return 3;
  }
  if (at[0] > 0xF4 || !tail(1) || !tail(2) || !tail(3)) return 0;
  if (at[0] == 0xF0 && at[1] < 0x90) return 0;
  if (at[0] == 0xF4 && at[1] > 0x8F) return 0;
  return 4;
}

bool is_blank(char c) { return c == ' ' || c == '\t'; }

/// One pass over the text; the members are the state between characters.
class FlowScanner {
 public:
  FlowScanner(std::string_view text, size_t max_open) : text_(text), max_open_(max_open) {}

  FlowScan run() {
    while (at_ < text_.size() && found_.too_deep == FlowScan::kNone && found_.open_quote == FlowScan::kNone) {
      if (open_.empty()) {
        block_line();
      } else {
        flow();
      }
    }
    if (!open_.empty()) found_.open = outermost_;
    found_.closing.assign(open_.rbegin(), open_.rend());
    return found_;
  }

 private:
  char peek(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }
  bool ends_here(size_t ahead) const {
    const char c = peek(ahead);
    return c == '\0' || c == ' ' || c == '\t' || c == '\n' || c == '\r';
  }
  void to_line_end() { at_ = std::min(text_.find('\n', at_), text_.size()); }
  void next_line() {
    to_line_end();
    if (at_ < text_.size()) ++at_;
    line_start_ = at_;
  }
  int64_t column() const { return static_cast<int64_t>(at_ - line_start_); }

  void open() {
    if (open_.empty()) outermost_ = at_;
    open_.push_back(text_[at_] == '[' ? ']' : '}');
    if (open_.size() > max_open_) found_.too_deep = at_;
    ++at_;
  }

  void quoted() {
    const size_t start = at_;
    const char quote = text_[at_++];
    while (at_ < text_.size()) {
      const char c = text_[at_++];
      if (c == '\n') line_start_ = at_;
      if (quote == '"' && c == '\\') {
        if (peek() == '\n') line_start_ = at_ + 1;
        ++at_;
      } else if (c == quote) {
        if (quote == '"' || peek() != '\'') return;
        ++at_;
      }
    }
    at_ = text_.size();
    found_.open_quote = start;
  }

  void skip_property() {
    while (!ends_here(0) && std::strchr(",[]{}", peek()) == nullptr) ++at_;
  }

  /// Inside brackets: line borders mean nothing here.
  void flow() {
    bool start = true;  // a token may begin here
    while (at_ < text_.size() && !open_.empty()) {
      const char c = text_[at_];
      switch (c) {
        case '[':
        case '{':
          open();
          if (found_.too_deep != FlowScan::kNone) return;
          start = true;
          continue;
        case ']':
        case '}':
          open_.pop_back();
          ++at_;
          start = false;
          continue;
        case ',':
          ++found_.commas;
          start = true;
          break;
        case '"':
        case '\'':
          if (start) {
            quoted();
            if (found_.open_quote != FlowScan::kNone) return;
            start = false;
            continue;
          }
          break;
        case '&':
        case '*':
        case '!':
          if (start) {
            skip_property();
            continue;
          }
          break;
        case '#':
          if (at_ == 0 || is_blank(text_[at_ - 1]) || text_[at_ - 1] == '\n') {
            to_line_end();
            continue;
          }
          start = false;
          break;
        case ':':
        case '?': start = start || c == ':'; break;
        case '\n': line_start_ = at_ + 1; break;
        case ' ':
        case '\t':
        case '\r': break;
        default: start = false;
      }
      ++at_;
    }
    plain_open_ = false;
  }

  /// The lines of a `|` or `>`: all that are empty or indented more than the collection that it is in.
  void block_text() {
    next_line();
    while (at_ < text_.size()) {
      const size_t begin = at_;
      while (peek() == ' ') ++at_;
      const bool empty = peek() == '\n' || peek() == '\r' || at_ >= text_.size();
      if (!empty && static_cast<int64_t>(at_ - begin) <= parent_) {
        at_ = begin;
        return;
      }
      next_line();
    }
  }

  /// From the start of a line, or from behind a bracket, to the end of the line or to a bracket that opens.
  void block_line() {
    const bool at_start = at_ == line_start_;
    while (is_blank(peek())) ++at_;
    if (peek() == '\n' || peek() == '\r' || peek() == '\0') return next_line();
    if (peek() == '#') {
      plain_open_ = false;
      return next_line();
    }
    if (at_start && column() == 0 && (text_.substr(at_, 3) == "---" || text_.substr(at_, 3) == "...") &&
        ends_here(3)) {
      at_ += 3;
      parent_ = -1;
      plain_open_ = false;
      return;
    }
    if (plain_open_ && at_start && column() > parent_) return next_line();  // goes on a plain text
    plain_open_ = false;
    int64_t key = column();  // where the key began, should a ':' follow
    while (at_ < text_.size()) {
      const char c = peek();
      if (is_blank(c)) {
        ++at_;
      } else if (c == '\n' || c == '\r' || (c == '#' && is_blank(text_[at_ - 1]))) {
        return next_line();
      } else if ((c == '-' || c == '?') && ends_here(1)) {
        parent_ = column();
        ++at_;
        while (is_blank(peek())) ++at_;
        key = column();
      } else if (c == ':' && ends_here(1)) {
        parent_ = key;
        ++at_;
      } else if (c == '[' || c == '{') {
        return open();
      } else if (c == '"' || c == '\'') {
        quoted();
        if (found_.open_quote != FlowScan::kNone) return;
      } else if (c == '&' || c == '*' || c == '!') {
        skip_property();
      } else if (c == '|' || c == '>') {
        return block_text();
      } else if (!plain()) {
        return;
      }
    }
  }

  /// A plain text up to `: ` or the end of the line; false when the line ended.
  bool plain() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '\n') {
        plain_open_ = true;
        next_line();
        return false;
      }
      if (c == ':' && ends_here(1)) return true;
      if (c == '#' && is_blank(text_[at_ - 1])) {
        next_line();
        return false;
      }
      ++at_;
    }
    return false;
  }

  std::string_view text_;
  size_t max_open_;
  size_t at_ = 0;
  size_t line_start_ = 0;
  std::string open_;  // what closes each open bracket
  size_t outermost_ = 0;
  int64_t parent_ = -1;      // the column of the innermost block collection, as far as the last lines tell
  bool plain_open_ = false;  // the last line ended in a plain text, which a deeper line goes on
  FlowScan found_;
};

}  // namespace

Place place_of(std::string_view text, size_t offset) {
  offset = std::min(offset, text.size());
  Place place;
  size_t start = 0;
  for (size_t at = 0; (at = text.find('\n', at)) < offset; ++at) {
    ++place.line;
    start = at + 1;
  }
  for (size_t at = start; at < offset; ++at) {
    if ((static_cast<unsigned char>(text[at]) & 0xC0) != 0x80) ++place.column;
  }
  return place;
}

Result<bool> check_bytes(std::string_view text, const std::string& name) {
  const auto* begin = reinterpret_cast<const unsigned char*>(text.data());
  const auto* end = begin + text.size();
  const auto where = [&](const unsigned char* at) {
    const Place place = place_of(text, static_cast<size_t>(at - begin));
    return Where{name, place.line, place.column, {}};
  };
  bool ascii = true;
  for (const unsigned char* at = begin; at < end;) {
    if (*at >= 0x20 && *at < 0x80) {
      ++at;
    } else if (*at >= 0x80) {
      ascii = false;
      const size_t length = sequence(at, end);
      if (length == 0) {
        char byte[8];
        std::snprintf(byte, sizeof byte, "0x%02X", *at);
        return refuse("yaml.not_utf8",
                      std::string("found the byte ") + byte + ", which is no UTF-8 text here",
                      "save the file as UTF-8", where(at));
      }
      at += length;
    } else if (*at == '\n' || *at == '\t' || *at == '\r') {
      ++at;
    } else {
      char point[16];
      std::snprintf(point, sizeof point, "U+%04X", *at);
      return refuse("yaml.syntax", std::string("found the control character ") + point + ", expected text",
                    "a pipeline is a text file in YAML; write the character as an escape in double quotes",
                    where(at));
    }
  }
  return ascii;
}

FlowScan scan_flow(std::string_view text, size_t max_open) { return FlowScanner(text, max_open).run(); }

}  // namespace pf::pipeline
