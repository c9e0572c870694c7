// What HTTP's header fields say, as pure functions: blocks of fields, dates, ranges, and which places are the
// same for credentials. Thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "services/url.h"

namespace pf::services {

using Headers = std::vector<std::pair<std::string, std::string>>;

/// Fields of an answer: names in lower case, repeated ones joined by ", ", in the order of their first one.
Headers parse_headers(std::string_view block);
/// The value of a field, or null; `name` is in lower case.
const std::string* find_header(const Headers& headers, std::string_view name);
/// Takes fields away; `names` are in lower case.
void drop_headers(Headers& headers, std::initializer_list<std::string_view> names);

/// Credentials stay with the place that they were meant for: the same host and port, not from https to http.
/// From http to https of the same host, both on their own ports, is no change.
bool same_place(const Url& from, const Url& to);

/// Seconds since 1970 of an HTTP date, in any of its three forms (RFC 9110, section 5.6.7).
std::optional<int64_t> parse_http_date(std::string_view text);
/// What Retry-After asks to wait, from `now` (seconds since 1970); never negative.
std::optional<Milliseconds> parse_retry_after(std::string_view text, int64_t now);

/// `bytes FIRST-LAST/TOTAL`.
struct ContentRange {
  uint64_t first = 0;
  std::optional<uint64_t> total;  // none: `*`
};
std::optional<ContentRange> parse_content_range(std::string_view text);
std::optional<uint64_t> parse_size(std::string_view digits);

/// A status that another attempt may mend: 408, 429, 500, 502, 503, 504.
bool retryable_status(int status);

/// The wait before attempt `attempt` (2 for the first repetition): doubles from `delay` up to `most`, then
/// anywhere in the upper half of that, so that many who failed together do not come back together.
Milliseconds backoff(Milliseconds delay, Milliseconds most, int attempt);

}  // namespace pf::services
