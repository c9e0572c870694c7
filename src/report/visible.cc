#include "report/visible.h"

#include <algorithm>
#include <array>
#include <iterator>

namespace pf::report {
namespace {

constexpr char32_t kBroken = 0xFFFD;
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

struct Range {
  char32_t first, last;
};

bool within(const Range* begin, const Range* end, char32_t point) {
  const Range* found =
      std::upper_bound(begin, end, point, [](char32_t p, const Range& range) { return p < range.first; });
  return found != begin && point <= std::prev(found)->last;
}

// Blocks that Unicode's EastAsianWidth.txt gives as W or F, in the coarse grain that layout needs.
constexpr Range kWide[] = {{0x1100, 0x115F},   {0x231A, 0x231B},   {0x23E9, 0x23EC},  {0x2614, 0x2615},
                           {0x2705, 0x2705},   {0x270A, 0x270B},   {0x274C, 0x274C},  {0x2753, 0x2755},
                           {0x2E80, 0x303E},   {0x3041, 0x33FF},   {0x3400, 0x4DBF},  {0x4E00, 0x9FFF},
                           {0xA000, 0xA4CF},   {0xA960, 0xA97F},   {0xAC00, 0xD7A3},  {0xF900, 0xFAFF},
                           {0xFE30, 0xFE6F},   {0xFF00, 0xFF60},   {0xFFE0, 0xFFE6},  {0x1F300, 0x1F64F},
                           {0x1F680, 0x1F6FF}, {0x1F900, 0x1F9FF}, {0x20000, 0x3FFFD}};
constexpr Range kCombining[] = {{0x0300, 0x036F}, {0x0483, 0x0489}, {0x0591, 0x05BD}, {0x0610, 0x061A},
                                {0x064B, 0x065F}, {0x093C, 0x093C}, {0x1AB0, 0x1AFF}, {0x1DC0, 0x1DFF},
                                {0x200B, 0x200D}, {0x20D0, 0x20FF}, {0xFE00, 0xFE0F}, {0xFE20, 0xFE2F}};
// Direction marks, embeddings and isolates ("Trojan Source", CVE-2021-42574), line and paragraph separators.
constexpr Range kReordering[] = {{0x061C, 0x061C}, {0x200E, 0x200F}, {0x2028, 0x202E}, {0x2066, 0x2069}};

size_t width_of(char32_t point) {
  if (point < 0x300) return 1;
  if (within(std::begin(kCombining), std::end(kCombining), point)) return 0;
  return within(std::begin(kWide), std::end(kWide), point) ? 2 : 1;
}

// Where an escape sequence that starts at `at` ends (ECMA-48: CSI, and OSC, DCS, APC, PM, SOS strings). One
// that never ends is only its introducer, so that the rest of the text is kept.
size_t end_of_escape(std::string_view text, size_t at) {
  if (at + 1 >= text.size()) return at + 1;
  const char kind = text[at + 1];
  size_t i = at + 2;
  if (kind == '[') {
    while (i < text.size() && text[i] >= 0x20 && text[i] <= 0x3F) ++i;
    return i < text.size() && text[i] >= 0x40 && text[i] <= 0x7E ? i + 1 : at + 2;
  }
  if (kind == ']' || kind == 'P' || kind == '_' || kind == '^' || kind == 'X') {
    for (; i < text.size() && text[i] != '\n'; ++i) {
      if (text[i] == '\a') return i + 1;
      if (text[i] == '\x1b' && i + 1 < text.size() && text[i + 1] == '\\') return i + 2;
    }
    return at + 2;
  }
  return kind >= 0x30 && kind <= 0x7E ? at + 2 : at + 1;
}

}  // namespace

char32_t next_point(std::string_view text, size_t& at) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(at++);
  if (first < 0x80) return first;
  const size_t more = first >= 0xF0 && first <= 0xF4  ? 3
                      : first >= 0xE0 && first < 0xF0 ? 2
                      : first >= 0xC2 && first < 0xE0 ? 1
                                                      : 0;
  if (more == 0 || at + more > text.size()) return kBroken;
  char32_t point = first & (0x3F >> more);
  for (size_t i = 0; i < more; ++i) {
    if ((byte(at + i) & 0xC0) != 0x80) return kBroken;
    point = point << 6 | (byte(at + i) & 0x3F);
  }
  static constexpr std::array<char32_t, 4> kLeast = {0, 0x80, 0x800, 0x10000};
  if (point < kLeast[more] || point > 0x10FFFF || (point >= 0xD800 && point <= 0xDFFF)) return kBroken;
  at += more;
  return point;
}

std::string visible(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (c >= 0x20 && c < 0x7F) {
      out += c;
      ++at;
    } else if (c == '\x1b') {
      at = end_of_escape(text, at);
    } else {
      const size_t from = at;
      const char32_t point = next_point(text, at);
      if (point < 0x20 || point == 0x7F) {
        out += ' ';
      } else if (point == kBroken || (point >= 0x80 && point < 0xA0) ||
                 within(std::begin(kReordering), std::end(kReordering), point)) {
        out += kReplacement;
      } else {
        out += text.substr(from, at - from);
      }
    }
  }
  return out;
}

std::vector<std::string> visible_lines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty() || lines.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    lines.push_back(visible(line));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

size_t cells(std::string_view text) {
  size_t total = 0;
  for (size_t at = 0; at < text.size();) total += width_of(next_point(text, at));
  return total;
}

std::string fit(std::string_view text, size_t width) {
  size_t used = 0;
  size_t cut = 0;  // the longest prefix that leaves a cell for the ellipsis
  for (size_t at = 0; at < text.size();) {
    const size_t from = at;
    used += width_of(next_point(text, at));
    if (used > width)
      return width == 0 ? std::string() : std::string(text.substr(0, std::min(cut, from))) + "…";
    if (used + 1 <= width) cut = at;
  }
  return std::string(text);
}

std::string fit_end(std::string_view text, size_t width) {
  size_t total = cells(text);
  if (total <= width) return std::string(text);
  if (width == 0) return {};
  size_t at = 0;
  while (at < text.size() && total + 1 > width) total -= width_of(next_point(text, at));
  return "…" + std::string(text.substr(at));
}

void pad(std::string& out, size_t from, size_t width) {
  const size_t used = cells(std::string_view(out).substr(from));
  if (used < width) out.append(width - used, ' ');
}

std::string count_of(uint64_t count, std::string_view singular, std::string_view plural) {
  std::string out = std::to_string(count);
  out += ' ';
  if (count == 1)
    out += singular;
  else if (plural.empty())
    out.append(singular).append("s");
  else
    out += plural;
  return out;
}

}  // namespace pf::report
