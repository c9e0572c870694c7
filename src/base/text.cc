#include "base/text.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <limits>

namespace pf {
namespace {

size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> d(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  for (size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t cost = a[i - 1] == b[j - 1] ? 0 : 1;
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + cost});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  }
  return d[a.size()][b.size()];
}

struct Unit {
  std::string_view name;
  uint64_t factor;
};

}  // namespace

std::string nearest(std::string_view word, const std::vector<std::string>& candidates) {
  if (word.size() > 64) return {};
  std::string best;
  size_t least = std::max<size_t>(1, word.size() / 3) + 1;
  for (const auto& candidate : candidates) {
    if (candidate.size() > 64) continue;
    if (size_t d = distance(word, candidate); d < least) {
      least = d;
      best = candidate;
    }
  }
  return best;
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates) {
  std::string best = nearest(word, candidates);
  return best.empty() ? best : "did you mean '" + best + "'?";
}

std::optional<Milliseconds> parse_duration(std::string_view text) {
  static constexpr Unit kUnits[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
  if (text.empty()) return std::nullopt;
  uint64_t total = 0;
  uint64_t smallest = std::numeric_limits<uint64_t>::max();
  while (!text.empty()) {
    double amount = 0;
    auto [end, code] =
        std::from_chars(text.data(), text.data() + text.size(), amount, std::chars_format::fixed);
    if (code != std::errc() || amount < 0) return std::nullopt;
    text.remove_prefix(static_cast<size_t>(end - text.data()));
    size_t letters = 0;
    while (letters < text.size() && text[letters] >= 'a' && text[letters] <= 'z') ++letters;
    const auto* unit = std::find_if(std::begin(kUnits), std::end(kUnits),
                                    [&](const Unit& u) { return u.name == text.substr(0, letters); });
    if (unit == std::end(kUnits) || unit->factor >= smallest) return std::nullopt;
    smallest = unit->factor;
    const double part = amount * static_cast<double>(unit->factor);
    if (part > 1e15) return std::nullopt;
    total += static_cast<uint64_t>(part + 0.5);
    text.remove_prefix(letters);
  }
  return Milliseconds(total);
}

std::string format_duration(Milliseconds duration) {
  char text[48];
  // A wall clock that was set back between two looks at it.
  const auto ms = std::max<int64_t>(duration.count(), 0);
  if (ms < 1000) {
    std::snprintf(text, sizeof text, "%lldms", static_cast<long long>(ms));
  } else if (ms < 60000) {
    std::snprintf(text, sizeof text, "%.1fs", static_cast<double>(ms / 100) / 10);
  } else if (ms < 3600000) {
    std::snprintf(text, sizeof text, "%lldm%02llds", static_cast<long long>(ms / 60000),
                  static_cast<long long>(ms / 1000 % 60));
  } else {
    std::snprintf(text, sizeof text, "%lldh%02lldm", static_cast<long long>(ms / 3600000),
                  static_cast<long long>(ms / 60000 % 60));
  }
  return text;
}

std::optional<uint64_t> parse_bytes(std::string_view text) {
  static constexpr Unit kUnits[] = {{"", 1},          {"B", 1},           {"KiB", 1 << 10},
                                    {"MiB", 1 << 20}, {"GiB", 1 << 30},   {"KB", 1000},
                                    {"MB", 1000000},  {"GB", 1000000000}, {"kB", 1000}};
  uint64_t amount = 0;
  auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), amount);
  if (code != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  if (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  for (const auto& unit : kUnits) {
    if (unit.name == text) {
      if (amount > std::numeric_limits<uint64_t>::max() / unit.factor) return std::nullopt;
      return amount * unit.factor;
    }
  }
  return std::nullopt;
}

std::string format_bytes(uint64_t bytes) {
  static constexpr const char* kNames[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double amount = static_cast<double>(bytes);
  int unit = 0;
  while (amount >= 1024 && unit < 4) {
    amount /= 1024;
    ++unit;
  }
  char text[48];
  std::snprintf(text, sizeof text, unit == 0 || amount >= 100 ? "%.0f %s" : "%.1f %s", amount, kNames[unit]);
  return text;
}

bool glob_match(std::string_view pattern, std::string_view text) {
  // One step back to the last star is enough: a later star never needs an earlier one to move.
  size_t p = 0, t = 0, star = std::string_view::npos, mark = 0;
  while (t < text.size()) {
    bool matched = false;
    size_t next = p + 1;
    if (p < pattern.size()) {
      if (pattern[p] == '*') {
        star = p++;
        mark = t;
        continue;
      }
      if (pattern[p] == '?') {
        matched = true;
      } else if (size_t close = pattern[p] == '[' ? pattern.find(']', p + 2) : std::string_view::npos;
                 close != std::string_view::npos) {
        matched = pattern.substr(p + 1, close - p - 1).find(text[t]) != std::string_view::npos;
        next = close + 1;
      } else {
        matched = pattern[p] == text[t];
      }
    }
    if (matched) {
      p = next;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++mark;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

std::string cut_text(std::string_view text, size_t most) {
  if (text.size() <= most) return std::string(text);
  size_t end = most;
  while (end > 0 && most - end < 4 && (static_cast<uint8_t>(text[end]) & 0xc0) == 0x80) --end;
  return std::string(text.substr(0, end)) + "… (" + std::to_string(text.size() - end) + " more bytes)";
}

std::string shorten(std::string_view text, size_t width) {
  std::string out;
  size_t points = 0;
  size_t cut = 0;  // where to cut when it turns out too long
  for (char c : text) {
    const bool starts = (static_cast<uint8_t>(c) & 0xc0) != 0x80;
    if (starts) {
      if (points + 1 == width) cut = out.size();
      if (points == width) {
        out.resize(cut);
        return width == 0 ? std::string() : out + "…";
      }
      ++points;
    }
    out += static_cast<uint8_t>(c) < 0x20 || c == 0x7f ? ' ' : c;
  }
  return out;
}

std::string join(const std::vector<std::string>& parts, std::string_view separator) {
  std::string out;
  for (const auto& part : parts) {
    if (&part != parts.data()) out += separator;
    out += part;
  }
  return out;
}

}  // namespace pf
