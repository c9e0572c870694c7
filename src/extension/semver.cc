#include "extension/semver.h"

#include <algorithm>
#include <charconv>

#include "base/text.h"
#include "extension/manifest.h"

namespace pf::extension {
namespace {

constexpr size_t kMaxText = 256;  // of a version or range

bool is_digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// A numeric identifier: no sign, no leading zero, within 64 bits.
std::optional<uint64_t> number(std::string_view text) {
  if (!is_digits(text) || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  uint64_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size() || value == UINT64_MAX) return std::nullopt;
  return value;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const size_t at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

bool is_identifier(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
  });
}

std::strong_ordering compare_identifiers(const std::string& a, const std::string& b) {
  const bool a_number = is_digits(a), b_number = is_digits(b);
  if (a_number != b_number) return a_number ? std::strong_ordering::less : std::strong_ordering::greater;
  // Neither has leading zeros: the longer number is the larger one.
  if (a_number && a.size() != b.size()) return a.size() <=> b.size();
  return a.compare(b) <=> 0;
}

// A version of which only the first `given` numbers were written.
struct Partial {
  SemVer version;
  int given = 0;
};

// The pre-release and build parts, where all three numbers are there; false when they are malformed.
bool parse_tail(std::string_view text, SemVer& version) {
  const size_t plus = text.find('+');
  if (plus != std::string_view::npos) {
    const auto parts = split(text.substr(plus + 1), '.');
    if (!std::all_of(parts.begin(), parts.end(), is_identifier)) return false;
    text = text.substr(0, plus);
  }
  if (text.empty()) return true;
  if (text.front() != '-') return false;
  for (std::string_view part : split(text.substr(1), '.')) {
    if (!is_identifier(part) || (is_digits(part) && part.size() > 1 && part[0] == '0')) return false;
    version.pre.emplace_back(part);
  }
  return true;
}

std::optional<Partial> parse_partial(std::string_view text) {
  Partial out;
  if (text.empty()) return std::nullopt;
  const size_t tail = std::min(text.find_first_of("-+"), text.size());
  const auto parts = split(text.substr(0, tail), '.');
  if (parts.size() > 3) return std::nullopt;
  uint64_t* numbers[] = {&out.version.major, &out.version.minor, &out.version.patch};
  bool wild = false;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (parts[i] == "*" || parts[i] == "x" || parts[i] == "X") {
      wild = true;
      continue;
    }
    const auto value = number(parts[i]);
    if (!value || wild) return std::nullopt;
    *numbers[i] = *value;
    ++out.given;
  }
  if (tail < text.size() && (out.given < 3 || !parse_tail(text.substr(tail), out.version)))
    return std::nullopt;
  return out;
}

// The lowest version of all: what `x.y.z-0` is to x.y.z.
SemVer lowest(uint64_t major, uint64_t minor, uint64_t patch) { return {major, minor, patch, {"0"}}; }

// The first version beyond those that begin with the first `kept` numbers of `v`.
SemVer after(const SemVer& v, int kept) {
  if (kept == 1) return lowest(v.major + 1, 0, 0);
  if (kept == 2) return lowest(v.major, v.minor + 1, 0);
  return lowest(v.major, v.minor, v.patch + 1);
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

auto bad_range(std::string_view text) {
  return refuse(
      "manifest.range", "expected a version range such as '>=0.1 <2', found '" + shorten(text, 60) + "'",
      "comparators are =, <, <=, >, >=, ^ and ~ before a version, '*' for any, '||' between alternatives");
}

}  // namespace

std::optional<SemVer> SemVer::parse(std::string_view text) {
  if (text.size() > kMaxText) return std::nullopt;
  const auto partial = parse_partial(text);
  if (!partial || partial->given != 3) return std::nullopt;
  return partial->version;
}

std::strong_ordering SemVer::operator<=>(const SemVer& other) const {
  if (auto order = major <=> other.major; order != 0) return order;
  if (auto order = minor <=> other.minor; order != 0) return order;
  if (auto order = patch <=> other.patch; order != 0) return order;
  if (pre.empty() || other.pre.empty()) return pre.empty() <=> other.pre.empty();
  for (size_t i = 0; i < pre.size() && i < other.pre.size(); ++i) {
    if (auto order = compare_identifiers(pre[i], other.pre[i]); order != 0) return order;
  }
  return pre.size() <=> other.pre.size();
}

bool SemVerRange::parse_comparator(std::string_view text, std::vector<Bound>& bounds) {
  std::string_view op;
  for (std::string_view candidate : {">=", "<=", ">", "<", "=", "^", "~"}) {
    if (text.starts_with(candidate)) {
      op = candidate;
      break;
    }
  }
  const auto partial = parse_partial(text.substr(op.size()));
  if (!partial) return false;
  const SemVer& v = partial->version;
  const int given = partial->given;
  if (given == 0) {
    if (op == ">" || op == "<") bounds.push_back({lowest(0, 0, 0), false, false});  // beyond all: nothing
    return true;
  }
  const bool full = given == 3;
  const auto at_least = [&](const SemVer& version, bool inclusive) {
    bounds.push_back({version, true, inclusive});
  };
  const auto below = [&](const SemVer& version, bool inclusive) {
    bounds.push_back({version, false, inclusive});
  };
  if (op == ">=") {
    at_least(v, true);
  } else if (op == ">") {
    if (full)
      at_least(v, false);
    else
      at_least({after(v, given).major, after(v, given).minor, after(v, given).patch, {}}, true);
  } else if (op == "<") {
    below(full ? v : lowest(v.major, v.minor, v.patch), false);
  } else if (op == "<=") {
    if (full)
      below(v, true);
    else
      below(after(v, given), false);
  } else if (op == "^") {
    at_least(v, true);
    const int kept = v.major != 0 || given == 1 ? 1 : v.minor != 0 || given == 2 ? 2 : 3;
    below(after(v, kept), false);
  } else if (op == "~") {
    at_least(v, true);
    below(after(v, std::min(given, 2)), false);
  } else {
    at_least(v, true);
    if (full)
      below(v, true);
    else
      below(after(v, given), false);
  }
  return true;
}

Result<SemVerRange> SemVerRange::parse(std::string_view text) {
  SemVerRange range;
  if (text.size() > kMaxText) return bad_range(text);
  std::string_view rest = text;
  while (true) {
    const size_t bar = rest.find("||");
    std::string_view part = trim(rest.substr(0, bar));
    if (part.empty()) return bad_range(text);
    std::vector<Bound> bounds;
    while (!part.empty()) {
      // An operator may be followed by spaces.
      size_t end = std::min(part.find_first_not_of("<>=^~"), part.size());
      const std::string op(part.substr(0, end));
      part = trim(part.substr(end));
      end = std::min(part.find_first_of(" \t,<>=^~"), part.size());
      if (end == 0 || !parse_comparator(op + std::string(part.substr(0, end)), bounds))
        return bad_range(text);
      part = trim(part.substr(end));
      if (!part.empty() && part.front() == ',') {
        part = trim(part.substr(1));
        if (part.empty()) return bad_range(text);
      }
    }
    range.alternatives_.push_back(std::move(bounds));
    if (bar == std::string_view::npos) return range;
    rest.remove_prefix(bar + 2);
  }
}

bool SemVerRange::contains(const SemVer& version) const {
  return std::any_of(alternatives_.begin(), alternatives_.end(), [&](const std::vector<Bound>& bounds) {
    return std::all_of(bounds.begin(), bounds.end(), [&](const Bound& bound) {
      const auto order = version <=> bound.version;
      if (order == 0) return bound.inclusive;
      return bound.lower ? order > 0 : order < 0;
    });
  });
}

Result<bool> version_matches(std::string_view version, std::string_view range) {
  const auto parsed = SemVer::parse(version);
  if (!parsed) {
    return refuse("manifest.version",
                  "expected a version such as 1.2.3, found '" + shorten(version, 60) + "'",
                  "versions are three numbers, see semver.org");
  }
  auto bounds = SemVerRange::parse(range);
  if (!bounds) return tl::unexpected(bounds.error());
  return bounds->contains(*parsed);
}

}  // namespace pf::extension
