#include "services/http_text.h"

#include <locale.h>
#include <time.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <random>

#include "base/text.h"

namespace pf::services {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

}  // namespace

Headers parse_headers(std::string_view block) {
  constexpr size_t kFew = 64;
  Headers out;
  out.reserve(16);
  // Of few lines each is compared with all: that is cheaper than a table.
  std::map<std::string, size_t> places;
  const auto add = [&](std::string name, std::string_view value) {
    auto same = out.end();
    if (out.size() < kFew) {
      same = std::find_if(out.begin(), out.end(), [&](const auto& header) { return header.first == name; });
    } else {
      for (size_t i = places.size(); i < out.size(); ++i) places.emplace(out[i].first, i);
      if (const auto found = places.find(name); found != places.end())
        same = out.begin() + static_cast<ptrdiff_t>(found->second);
    }
    if (same == out.end()) {
      out.emplace_back(std::move(name), value);
      return out.size() - 1;
    }
    same->second.append(", ").append(value);
    return static_cast<size_t>(same - out.begin());
  };
  size_t last = 0;
  while (!block.empty()) {
    size_t end = block.find('\n');
    std::string_view line = block.substr(0, end);
    block.remove_prefix(end == std::string_view::npos ? block.size() : end + 1);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (line.empty()) continue;
    if (line[0] == ' ' || line[0] == '\t') {  // a folded line goes on with the last value
      if (!out.empty()) out[last].second.append(" ").append(trim(line));
      continue;
    }
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    last = add(lower(trim(line.substr(0, colon))), trim(line.substr(colon + 1)));
  }
  return out;
}

const std::string* find_header(const Headers& headers, std::string_view name) {
  for (const auto& [key, value] : headers) {
    if (key.size() == name.size() && (key == name || lower(key) == name)) return &value;
  }
  return nullptr;
}

void drop_headers(Headers& headers, std::initializer_list<std::string_view> names) {
  std::erase_if(headers, [&](const auto& header) {
    return std::find(names.begin(), names.end(), lower(header.first)) != names.end();
  });
}

bool same_place(const Url& from, const Url& to) {
  if (from.host != to.host || from.v6 != to.v6) return false;
  if (from.scheme == to.scheme && from.port == to.port) return true;
  return from.scheme == "http" && from.port == 80 && to.scheme == "https" && to.port == 443;
}

std::optional<int64_t> parse_http_date(std::string_view text) {
  static const locale_t kC = ::newlocale(LC_ALL_MASK, "C", nullptr);
  const std::string line(trim(text));
  for (const char* format :
       {"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y"}) {
    tm parts{};
    const char* end = ::strptime_l(line.c_str(), format, &parts, kC);
    if (end != nullptr && *end == '\0') return static_cast<int64_t>(::timegm(&parts));
  }
  return std::nullopt;
}

std::optional<uint64_t> parse_size(std::string_view digits) {
  uint64_t out = 0;
  const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), out);
  if (code != std::errc() || end != digits.data() + digits.size() || digits.empty()) return std::nullopt;
  return out;
}

std::optional<Milliseconds> parse_retry_after(std::string_view text, int64_t now) {
  constexpr int64_t kMost = 100LL * 365 * 86400;  // seconds: more would overflow on the way
  text = trim(text);
  if (const auto seconds = parse_size(text)) {
    return Milliseconds(std::min(*seconds, static_cast<uint64_t>(kMost)) * 1000);
  }
  if (const auto date = parse_http_date(text)) {
    return Milliseconds(std::clamp<int64_t>(*date - now, 0, kMost) * 1000);
  }
  return std::nullopt;
}

std::optional<ContentRange> parse_content_range(std::string_view text) {
  text = trim(text);
  if (lower(text.substr(0, 6)) != "bytes ") return std::nullopt;
  text.remove_prefix(6);
  const size_t dash = text.find('-');
  const size_t slash = text.find('/');
  if (dash == std::string_view::npos || slash == std::string_view::npos || slash < dash) return std::nullopt;
  ContentRange out;
  const auto first = parse_size(text.substr(0, dash));
  const auto last = parse_size(text.substr(dash + 1, slash - dash - 1));
  if (!first || !last || *last < *first) return std::nullopt;
  out.first = *first;
  if (const std::string_view total = text.substr(slash + 1); total != "*") {
    out.total = parse_size(total);
    if (!out.total || *out.total <= *last) return std::nullopt;
  }
  return out;
}

bool retryable_status(int status) {
  return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 || status == 504;
}

Milliseconds backoff(Milliseconds delay, Milliseconds most, int attempt) {
  static thread_local std::minstd_rand random{std::random_device{}()};
  int64_t wait = delay.count();
  for (int i = 2; i < attempt && wait < most.count(); ++i) wait *= 2;
  wait = std::min(wait, most.count());
  if (wait <= 0) return Milliseconds(0);
  return Milliseconds(std::uniform_int_distribution<int64_t>(wait - wait / 2, wait)(random));
}

}  // namespace pf::services
