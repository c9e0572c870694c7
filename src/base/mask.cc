#include "base/mask.h"

#include <algorithm>
#include <cstring>

#include "base/digest.h"
#include "base/json.h"

namespace pf {
namespace {

constexpr size_t kShortestLine = 16;

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/// A text without its percent-encoding. Which characters are encoded is everybody's own choice, so that a
/// value is looked for in what a text means.
struct Decoded {
  std::string text;
  std::vector<size_t> at;  // where each byte stood, and the end
};

/// False where nothing in it is encoded. `plus`: as forms have it, with + for a space.
bool decode(std::string_view text, bool plus, Decoded& out) {
  if (text.find('%') == std::string_view::npos && !(plus && text.find('+') != std::string_view::npos))
    return false;
  bool any = false;
  for (size_t i = 0; i < text.size(); ++i) {
    out.at.push_back(i);
    const int high = text[i] == '%' && i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
    const int low = high < 0 ? -1 : hex_digit(text[i + 2]);
    const bool space = plus && text[i] == '+';
    out.text += low >= 0 ? static_cast<char>(high * 16 + low) : space ? ' ' : text[i];
    if (low >= 0) i += 2;
    any = any || low >= 0 || space;
  }
  out.at.push_back(text.size());
  return any;
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
  for (size_t before = 0; before < 3; ++before) {
    const std::string inside = base64_inside(value, before);
    pattern(inside);
    pattern(url_safe(inside));
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
  if (empty()) return false;
  const auto holds = [&](std::string_view in) {
    return std::any_of(patterns_.begin(), patterns_.end(),
                       [&](const std::string& what) { return find(in, 0, what) != nullptr; });
  };
  if (holds(text)) return true;
  for (const bool plus : {false, true}) {
    if (Decoded decoded; decode(text, plus, decoded) && holds(decoded.text)) return true;
  }
  return false;
}

std::string Mask::apply(std::string_view text) const {
  if (empty()) return std::string(text);
  struct Range {
    size_t begin, end;
  };
  std::vector<Range> found;
  // `places`: where the bytes of `in` stand in the text; null: there.
  const auto collect = [&](std::string_view in, const std::vector<size_t>* places) {
    const auto place = [&](size_t at) { return places == nullptr ? at : (*places)[at]; };
    for (const std::string& what : patterns_) {
      // One byte on, since a value may overlap itself.
      for (size_t from = 0; from < in.size();) {
        const void* at = find(in, from, what);
        if (at == nullptr) break;
        const auto start = static_cast<size_t>(static_cast<const char*>(at) - in.data());
        const size_t begin = place(start);
        const size_t end = place(start + what.size());
        if (!found.empty() && found.back().begin <= begin && begin < found.back().end)
          found.back().end = std::max(found.back().end, end);
        else
          found.push_back({begin, end});
        from = start + 1;
      }
    }
  };
  collect(text, nullptr);
  for (const bool plus : {false, true}) {
    if (Decoded decoded; decode(text, plus, decoded)) collect(decoded.text, &decoded.at);
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
