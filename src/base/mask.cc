#include "base/mask.h"

#include <algorithm>
#include <cstring>

#include "base/digest.h"
#include "base/json.h"

namespace pf {
namespace {

constexpr size_t kShortestLine = 16;

// RFC 3986: everything but unreserved characters, or, as forms have it, with + for a space.
std::string percent_encoded(std::string_view value, bool upper, bool plus) {
  const char* digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
  std::string out;
  for (const char c : value) {
    const auto byte = static_cast<uint8_t>(c);
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      out += c;
    } else if (plus && c == ' ') {
      out += '+';
    } else {
      out += '%';
      out += digits[byte >> 4];
      out += digits[byte & 15];
    }
  }
  return out;
}

// What stands for the value in the base64 of a text that it begins in at an offset of `before` (0 to 2)
// modulo 3, whatever is around it: without the characters that hold bits of a neighbour.
std::string base64_inside(std::string_view value, size_t before) {
  const std::string encoded = base64_encode(std::string(before, '\0') + std::string(value));
  const size_t skip = before == 0 ? 0 : before + 1;
  const size_t whole = (before + value.size()) * 8 / 6;  // characters that hold bits of the value only
  return encoded.substr(skip, whole - skip);
}

std::string url_safe(std::string text) {
  for (char& c : text) c = c == '+' ? '-' : c == '/' ? '_' : c;
  return text;
}

std::string escaped(std::string_view value, bool ascii) {
  const std::string quoted = Json(std::string(value)).dump(-1, ' ', ascii, Json::error_handler_t::replace);
  return quoted.substr(1, quoted.size() - 2);
}

std::string upper(std::string text) {
  for (char& c : text) c = c >= 'a' && c <= 'f' ? static_cast<char>(c - 'a' + 'A') : c;
  return text;
}

const void* find(std::string_view in, size_t from, const std::string& what) {
  return memmem(in.data() + from, in.size() - from, what.data(), what.size());
}

}  // namespace

void Mask::pattern(std::string text) {
  if (text.size() < kShortest || std::find(patterns_.begin(), patterns_.end(), text) != patterns_.end())
    return;
  const auto at = std::find_if(patterns_.begin(), patterns_.end(),
                               [&](const std::string& other) { return other.size() < text.size(); });
  patterns_.insert(at, std::move(text));
}

bool Mask::add(std::string_view value) {
  if (value.size() < kShortest) return false;
  pattern(std::string(value));
  pattern(escaped(value, false));
  pattern(escaped(value, true));
  for (const bool big : {false, true}) {
    for (const bool plus : {false, true}) pattern(percent_encoded(value, big, plus));
  }
  for (size_t before = 0; before < 3; ++before) {
    const std::string inside = base64_inside(value, before);
    pattern(inside);
    pattern(url_safe(inside));
    pattern(percent_encoded(inside, true, false));
  }
  pattern(to_hex(value));
  pattern(upper(to_hex(value)));
  if (value.find('\n') == std::string_view::npos) return true;
  for (size_t at = 0; at <= value.size();) {
    const size_t end = std::min(value.find('\n', at), value.size());
    std::string_view line = value.substr(at, end - at);
    at = end + 1;
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
    if (line.size() >= kShortestLine) pattern(std::string(line));
  }
  return true;
}

bool Mask::finds(std::string_view text) const {
  return std::any_of(patterns_.begin(), patterns_.end(),
                     [&](const std::string& what) { return find(text, 0, what) != nullptr; });
}

std::string Mask::apply(std::string_view text) const {
  struct Range {
    size_t begin, end;
  };
  std::vector<Range> found;
  for (const std::string& what : patterns_) {
    // One byte on, since a value may overlap itself.
    for (size_t from = 0; from < text.size();) {
      const void* at = find(text, from, what);
      if (at == nullptr) break;
      const auto begin = static_cast<size_t>(static_cast<const char*>(at) - text.data());
      if (!found.empty() && found.back().begin <= begin && begin < found.back().end)
        found.back().end = std::max(found.back().end, begin + what.size());
      else
        found.push_back({begin, begin + what.size()});
      from = begin + 1;
    }
  }
  if (found.empty()) return std::string(text);
  std::sort(found.begin(), found.end(), [](const Range& a, const Range& b) { return a.begin < b.begin; });
  std::string out;
  size_t at = 0;
  for (size_t i = 0; i < found.size();) {
    size_t end = found[i].end;
    const size_t begin = found[i].begin;
    // Forms of one value overlap; what they cover together is one secret.
    for (++i; i < found.size() && found[i].begin < end; ++i) end = std::max(end, found[i].end);
    out += text.substr(at, begin - at);
    out += kInstead;
    at = end;
  }
  out += text.substr(at);
  return out;
}

void Mask::apply(Error& error) const {
  if (empty()) return;
  for (std::string* text :
       {&error.message, &error.hint, &error.traceback, &error.where.file, &error.where.path}) {
    *text = apply(*text);
  }
}

void Mask::apply(Json& value) const {
  if (empty()) return;
  if (value.is_string()) {
    auto& text = value.get_ref<std::string&>();
    text = apply(text);
  } else if (value.is_binary()) {
    auto& bytes = value.get_binary();
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (finds(text)) value = apply(text);
  } else if (value.is_array()) {
    for (Json& item : value) apply(item);
  } else if (value.is_object()) {
    Json out = Json::object();
    for (auto& [key, item] : value.items()) {
      apply(item);
      out[apply(key)] = std::move(item);
    }
    value = std::move(out);
  }
}

}  // namespace pf
