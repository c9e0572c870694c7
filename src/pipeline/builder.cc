#include "pipeline/builder.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/cbor.h"
#include "base/text.h"

namespace pf::pipeline {
namespace {

constexpr std::string_view kCoreTag = "tag:yaml.org,2002:";
/// Below this many entries comparing all pairs is faster than sorting.
constexpr size_t kFewKeys = 12;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool resolve_boolean(std::string_view text, Node& node) {
  const bool yes = text == "true" || text == "True" || text == "TRUE";
  if (!yes && text != "false" && text != "False" && text != "FALSE") return false;
  node.kind = Kind::boolean;
  node.boolean = yes;
  return true;
}

bool resolve_based(std::string_view digits, int base, Node& node) {
  const auto legal = [base](char c) {
    return base == 8 ? c >= '0' && c <= '7' : is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
  };
  if (digits.empty() || !std::all_of(digits.begin(), digits.end(), legal)) return false;
  int64_t value = 0;
  if (std::from_chars(digits.data(), digits.data() + digits.size(), value, base).ec == std::errc()) {
    node.kind = Kind::integer;
    node.integer = value;
    return true;
  }
  double big = 0;
  for (char c : digits) big = big * base + (is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10);
  node.kind = Kind::number;
  node.number = big;
  return true;
}

bool set_number(Node& node, double value) {
  node.kind = Kind::number;
  node.number = value;
  return true;
}

/// [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?
bool is_decimal(std::string_view text, bool& integral) {
  size_t at = 0;
  const auto digits = [&] {
    const size_t from = at;
    while (at < text.size() && is_digit(text[at])) ++at;
    return at - from;
  };
  size_t mantissa = digits();
  integral = true;
  if (at < text.size() && text[at] == '.') {
    integral = false;
    ++at;
    mantissa += digits();
  }
  if (mantissa == 0) return false;
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    integral = false;
    ++at;
    if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
    if (digits() == 0) return false;
  }
  return at == text.size();
}

bool resolve_number(std::string_view text, Node& node) {
  if (text == ".nan" || text == ".NaN" || text == ".NAN") return set_number(node, std::nan(""));
  if (text.starts_with("0x")) return resolve_based(text.substr(2), 16, node);
  if (text.starts_with("0o")) return resolve_based(text.substr(2), 8, node);
  const bool negative = text[0] == '-';
  std::string_view body = negative || text[0] == '+' ? text.substr(1) : text;
  if (body == ".inf" || body == ".Inf" || body == ".INF") {
    const double infinity = std::numeric_limits<double>::infinity();
    return set_number(node, negative ? -infinity : infinity);
  }
  bool integral = false;
  if (!is_decimal(body, integral)) return false;
  const std::string_view number = negative ? text : body;  // from_chars takes no '+'
  if (integral) {
    int64_t value = 0;
    if (std::from_chars(number.data(), number.data() + number.size(), value).ec == std::errc()) {
      node.kind = Kind::integer;
      node.integer = value;
      return true;
    }
  }
  double value = 0;
  const auto [end, code] = std::from_chars(number.data(), number.data() + number.size(), value);
  if (code == std::errc::result_out_of_range) value = std::strtod(std::string(number).c_str(), nullptr);
  return set_number(node, value);
}

}  // namespace

bool resolve_plain(std::string_view text, Node& node) {
  if (text.empty()) return false;
  switch (text[0]) {
    case 't':
    case 'T':
    case 'f':
    case 'F': return text.size() <= 5 && resolve_boolean(text, node);
    case '+':
    case '-':
    case '.': return text.size() > 1 && resolve_number(text, node);
    default: return is_digit(text[0]) && resolve_number(text, node);
  }
}

Error Builder::too_deep(int limit, Where where) {
  return refuse("yaml.depth", "the nesting here is deeper than " + std::to_string(limit) + " levels",
                "flatten the structure", std::move(where))
      .value();
}

Node Builder::root() const {
  if (!stack_.empty()) return stack_.front();
  Node empty;
  empty.line = empty.column = 1;
  return empty;
}

void Builder::stop(std::string code, std::string message, std::string hint, const Node& at) const {
  throw Stop{refuse(std::move(code), std::move(message), std::move(hint), document_.where(at)).value()};
}

Node Builder::place(const YAML::Mark& mark) {
  Node node;
  node.line = static_cast<uint32_t>(mark.line) + 1;
  if (ascii_) {
    node.column = static_cast<uint32_t>(mark.column) + 1;
    return node;
  }
  const size_t offset = std::min(static_cast<size_t>(mark.pos), text_.size());
  if (node.line != column_line_ || offset < column_offset_) {
    column_line_ = node.line;
    column_offset_ = offset - std::min(offset, static_cast<size_t>(mark.column));
    column_ = 1;
  }
  for (; column_offset_ < offset; ++column_offset_) {
    if ((static_cast<unsigned char>(text_[column_offset_]) & 0xC0) != 0x80) ++column_;
  }
  node.column = column_;
  return node;
}

void Builder::OnDocumentStart(const YAML::Mark& mark) {
  if (!started_) {
    started_ = true;
    return;
  }
  const Node at = place(mark);
  if (text_.substr(static_cast<size_t>(mark.pos), 3) == "---") {
    stop("yaml.many_documents", "found a second document, expected one",
         "remove the line '---' and what follows", at);
  }
  stop("yaml.syntax", "found text after the end of the document's value",
       "check the indentation of this line", at);
}

void Builder::OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) {
  const size_t offset = std::min(static_cast<size_t>(mark.pos), text_.size());
  const char first = offset < text_.size() ? text_[offset] : '\0';
  const std::string_view written = first == '~'                   ? "~"
                                   : first == 'n' || first == 'N' ? text_.substr(offset, 4)
                                                                  : "";
  Node node = place(mark);
  if (expects_key()) return add_key(node, written);
  if (frames_.empty() && written.empty()) node.line = node.column = 1;
  // A value that is not written has the mark of whatever follows; its key or its dash is the better place.
  if (!frames_.empty() && anchor == YAML::NullAnchor) {
    const Frame& frame = frames_.back();
    if (frame.node.kind == Kind::map) {
      const Node& key = stack_.back();
      if (written.empty() || (frame.block && node.column <= frame.node.column)) {
        node.line = key.line;
        node.column = key.column;
      }
    } else if (written.empty()) {
      const size_t dash =
          offset == 0 ? std::string_view::npos : text_.find_last_not_of(" \t\r\n", offset - 1);
      if (dash != std::string_view::npos && text_[dash] == '-') {
        YAML::Mark at = mark;
        at.pos = static_cast<int>(dash);
        const size_t line = dash == 0 ? std::string_view::npos : text_.rfind('\n', dash - 1);
        at.column = static_cast<int>(line == std::string_view::npos ? dash : dash - line - 1);
        at.line =
            mark.line - static_cast<int>(std::count(text_.begin() + static_cast<ptrdiff_t>(dash),
                                                    text_.begin() + static_cast<ptrdiff_t>(offset), '\n'));
        node = place(at);
      }
    }
  }
  add(node, anchor, 1, 0);
}

void Builder::OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) {
  const Node at = place(mark);
  if (anchor >= anchors_.size() || !anchors_[anchor].complete) {
    stop("yaml.alias", "found an alias of the value that it is in",
         "an anchor cannot be used inside its own value", at);
  }
  const Anchored& target = anchors_[anchor];
  int height = target.height;
  if (!frames_.empty() && frames_.back().merge && !expects_key() && stack_.back().string() == "<<") {
    height = std::max(0, height - 1);  // its entries come into this very map
  }
  if (static_cast<int>(frames_.size()) + height > limits_.depth) {
    throw Stop{too_deep(limits_.depth, document_.where(at))};
  }
  nodes_ += target.expanded;
  if (nodes_ > limits_.nodes) {
    stop("yaml.alias_bomb",
         "with this alias the document holds more than " + std::to_string(limits_.nodes) + " values",
         "aliases of aliases multiply; write out what is meant", at);
  }
  if (expects_key()) {
    if (target.node.kind != Kind::string) {
      stop("yaml.key", "found " + std::string(describe(target.node.kind)) + " as a key, expected text",
           "write the key out", at);
    }
    Node key = target.node;
    key.line = at.line;
    key.column = at.column;
    stack_.push_back(key);
    return;
  }
  add(target.node, YAML::NullAnchor, target.expanded, height);
}

void Builder::OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       const std::string& value) {
  Node node = place(mark);
  node.quoted = tag.size() == 1 && tag[0] == '!';
  const bool plain = tag.size() == 1 && tag[0] == '?';
  last_quote_ = kNone;
  if (node.quoted || !plain) {
    size_t offset = static_cast<size_t>(mark.pos);
    while (offset < text_.size() &&
           (text_[offset] == '&' || text_[offset] == '!')) {  // anchor and tag come first
      offset = text_.find_first_not_of(" \t\r\n", text_.find_first_of(" \t\r\n", offset));
    }
    if (offset < text_.size() && (text_[offset] == '"' || text_[offset] == '\'')) last_quote_ = offset;
  }
  if (!ascii_ || node.quoted) {
    // yaml-cpp writes the escapes \N and \_ as single bytes.
    const bool high = std::any_of(value.begin(), value.end(), [](char c) { return (c & 0x80) != 0; });
    if (high && !cbor::is_utf8(value)) {
      stop("yaml.not_utf8", "found an escape that makes no UTF-8 text",
           "write \\u0085 for \\N, and \\u00a0 for \\_", node);
    }
  }
  if (expects_key()) {
    if (anchor != YAML::NullAnchor) {
      set_text(node, value);
      if (anchors_.size() <= anchor) anchors_.resize(anchor + 1);
      anchors_[anchor] = {node, 1, 0, true};
    }
    return add_key(node, value);
  }
  if (plain ? !resolve_plain(value, node) : node.quoted) {
    set_text(node, value);
    mark_expressions(node, value, static_cast<size_t>(mark.pos));
  } else if (!plain && !node.quoted) {
    const std::string_view kind = std::string_view(tag).starts_with(kCoreTag)
                                      ? std::string_view(tag).substr(kCoreTag.size())
                                      : std::string_view();
    Node resolved = node;
    const bool known = resolve_plain(value, resolved);
    bool good = false;
    if (kind == "str") {
      set_text(node, value);
      node.quoted = true;
      mark_expressions(node, value, text_.size());
      good = true;
    } else if (kind == "null") {
      good = value.empty() || value == "~" || value == "null" || value == "Null" || value == "NULL";
    } else if (kind == "bool") {
      good = known && resolved.kind == Kind::boolean;
      node = resolved;
    } else if (kind == "int") {
      good = known && resolved.kind == Kind::integer;
      node = resolved;
    } else if (kind == "float") {
      good = known && (resolved.kind == Kind::integer || resolved.kind == Kind::number);
      if (resolved.kind == Kind::integer) set_number(resolved, static_cast<double>(resolved.integer));
      node = resolved;
    } else {
      stop("yaml.tag", "found the tag '" + shorten(tag, 60) + "', expected none",
           "remove it; only !!str, !!int, !!float, !!bool, !!null, !!map and !!seq are known", node);
    }
    if (!good) {
      stop("yaml.tag",
           "the text '" + shorten(value, 40) + "' is not what its tag !!" + std::string(kind) + " says",
           "remove the tag", node);
    }
  }
  add(node, anchor, 1, 0);
}

void Builder::OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                              YAML::EmitterStyle::value style) {
  begin(Kind::list, mark, tag, anchor, style);
}

void Builder::OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                         YAML::EmitterStyle::value style) {
  begin(Kind::map, mark, tag, anchor, style);
}

void Builder::begin(Kind kind, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                    YAML::EmitterStyle::value style) {
  Node node = place(mark);
  if (expects_key()) {
    stop("yaml.key", "found " + std::string(describe(kind)) + " as a key, expected text",
         "put the key in quotes if it is text", node);
  }
  if (tag.size() > 1 && limits_.merge_tags && (tag == "!append" || tag == "!replace")) {
    if (tag == "!append" && kind == Kind::map) {
      stop("yaml.tag", "found the tag '!append' before a mapping, expected it before a list",
           "remove it: mappings are merged key by key", node);
    }
    node.merge = tag == "!append" ? Merge::append : Merge::replace;
    document_.note_merge_tag();
  } else if (tag.size() > 1 && tag != std::string(kCoreTag) + (kind == Kind::map ? "map" : "seq")) {
    stop("yaml.tag", "found the tag '" + shorten(tag, 60) + "', expected none",
         "remove it; only !!str, !!int, !!float, !!bool, !!null, !!map and !!seq are known", node);
  }
  if (static_cast<int>(frames_.size()) >= limits_.depth)
    throw Stop{too_deep(limits_.depth, document_.where(node))};
  node.kind = kind;
  frames_.push_back({node, stack_.size(), anchor, 1, 0, style == YAML::EmitterStyle::Block, false});
}

void Builder::end() {
  Frame frame = frames_.back();
  frames_.pop_back();
  Node node;
  const std::span<const Node> children(stack_.data() + frame.start, stack_.size() - frame.start);
  if (frame.node.kind == Kind::list) {
    node = document_.make_list(children, frame.node);
  } else {
    // Keys and values alternate on the stack: that is an array of entries.
    static_assert(sizeof(Entry) == 2 * sizeof(Node) && std::is_trivially_copyable_v<Entry>);
    const std::span<const Entry> entries(reinterpret_cast<const Entry*>(children.data()),
                                         children.size() / 2);
    refuse_duplicates(entries);
    node = frame.merge ? merged(frame, entries) : document_.make_map(entries, frame.node);
  }
  node.merge = frame.node.merge;
  stack_.resize(frame.start);
  add(node, frame.anchor, frame.expanded, frame.height + 1);
}

void Builder::add(const Node& node, YAML::anchor_t anchor, size_t expanded, int height) {
  if (++nodes_ > limits_.nodes) {
    stop("yaml.alias_bomb", "the document holds more than " + std::to_string(limits_.nodes) + " values",
         "keep data in files of their own", node);
  }
  if (anchor != YAML::NullAnchor) {
    if (anchors_.size() <= anchor) anchors_.resize(anchor + 1);
    anchors_[anchor] = {node, expanded, height, true};
  }
  stack_.push_back(node);
  if (frames_.empty()) return;
  Frame& frame = frames_.back();
  frame.expanded += expanded;
  frame.height = std::max(frame.height, height);
}

void Builder::add_key(Node key, std::string_view text) {
  const size_t slot = text.empty() ? 0
                                   : (text.size() * 7 + static_cast<unsigned char>(text.front()) * 3 +
                                      static_cast<unsigned char>(text.back())) %
                                         keys_.size();
  if (keys_[slot] != text) keys_[slot] = document_.intern(text);
  key.kind = Kind::string;
  key.text = keys_[slot].data() == nullptr ? "" : keys_[slot].data();
  key.size = static_cast<uint32_t>(text.size());
  if (text == "<<" && !key.quoted) frames_.back().merge = true;
  mark_expressions(key, text, text_.size());
  stack_.push_back(key);
}

void Builder::set_text(Node& node, std::string_view text) {
  text = document_.intern(text);
  node.kind = Kind::string;
  node.text = text.data();
  node.size = static_cast<uint32_t>(text.size());
}

void Builder::mark_expressions(Node& node, std::string_view text, size_t offset) const {
  for (size_t at = text.find('$'); at < text.size(); at = text.find('$', at + 1)) {
    if (at + 1 >= text.size() || text[at + 1] != '{') continue;
    if (at > 0 && text[at - 1] == '$') {
      node.escaped = true;
    } else {
      node.computed = true;
    }
  }
  if (!node.computed || offset >= text_.size()) return;
  const bool in_quotes = text_[offset] == '"' || text_[offset] == '\'';
  node.verbatim = node.quoted == in_quotes &&
                  text_.substr(offset + (in_quotes ? 1 : 0), text.size()) == text &&
                  text.find('\n') == std::string_view::npos;
}

void Builder::refuse_duplicates(std::span<const Entry> entries) const {
  const Entry* first = nullptr;
  const Entry* second = nullptr;
  if (entries.size() <= kFewKeys) {
    for (size_t i = 1; i < entries.size() && second == nullptr; ++i) {
      const Node& key = entries[i].key;
      for (size_t j = 0; j < i; ++j) {
        if (entries[j].key.size != key.size || entries[j].key.string() != key.string()) continue;
        first = &entries[j];
        second = &entries[i];
        break;
      }
    }
  } else {
    std::vector<uint32_t> order(entries.size());
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
      const int compared = entries[a].key.string().compare(entries[b].key.string());
      return compared != 0 ? compared < 0 : a < b;
    });
    for (size_t i = 1; i < order.size(); ++i) {
      const Entry* a = &entries[order[i - 1]];
      const Entry* b = &entries[order[i]];
      if (a->key.string() != b->key.string() || (second != nullptr && b > second)) continue;
      first = a;
      second = b;
    }
  }
  if (second == nullptr) return;
  stop("yaml.duplicate_key",
       "found the key '" + shorten(second->key.string(), 60) + "' again; it stands in line " +
           std::to_string(first->key.line) + " already",
       "remove or rename one of the two", second->key);
}

/// A map with its `<<` applied: its own keys win, then the earlier of the merged maps; merged keys stand
/// where `<<` did.
Node Builder::merged(const Frame& frame, std::span<const Entry> entries) {
  struct Candidate {
    Entry entry;
    uint32_t rank;      // smaller wins
    uint32_t position;  // where it stands in the result
  };
  std::vector<Candidate> candidates;
  std::vector<Entry> own;
  uint32_t position = 0;
  uint32_t rank = 0;
  for (const Entry& entry : entries) {
    if (entry.key.quoted || entry.key.string() != "<<") candidates.push_back({entry, rank++, 0});
  }
  size_t next_own = 0;
  const auto take = [&](const Node& map) {
    if (map.kind != Kind::map) {
      stop("yaml.merge",
           "found " + std::string(describe(map.kind)) + " behind '<<', expected a mapping or a list of them",
           "write <<: *anchor, or put the key in quotes if it is meant as text", map);
    }
    for (const Entry& entry : map.map()) candidates.push_back({entry, rank++, position++});
  };
  for (const Entry& entry : entries) {
    if (entry.key.quoted || entry.key.string() != "<<") {
      candidates[next_own++].position = position++;
    } else if (entry.value.kind == Kind::list) {
      for (const Node& item : entry.value.list()) take(item);
    } else {
      take(entry.value);
    }
  }
  std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
    const int compared = a.entry.key.string().compare(b.entry.key.string());
    return compared != 0 ? compared < 0 : a.rank < b.rank;
  });
  candidates.erase(std::unique(candidates.begin(), candidates.end(),
                               [](const Candidate& a, const Candidate& b) {
                                 return a.entry.key.string() == b.entry.key.string();
                               }),
                   candidates.end());
  std::sort(candidates.begin(), candidates.end(),
            [](const Candidate& a, const Candidate& b) { return a.position < b.position; });
  own.reserve(candidates.size());
  for (const Candidate& candidate : candidates) own.push_back(candidate.entry);
  return document_.make_map(own, frame.node);
}

}  // namespace pf::pipeline
