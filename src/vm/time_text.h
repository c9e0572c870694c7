// Times as texts, in UTC only and with English names. Thread-safe: no state, no locale.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace pf::vm {

/// Seconds since 1970 (to the nearest microsecond; years 0 to 9999) as `format` says, in the words of
/// strftime: %Y %m %d %e %j, %H %I %M %S %p, %f (six digits of a second), %a %A %u %b %B, %F %T, %s, %z %Z,
/// %%. An empty format is RFC 3339, with a fraction where there is one. Errors `time.range`,
/// `time.directive`.
Result<std::string> format_time(double seconds, std::string_view format);

/// Seconds since 1970 of RFC 3339 (`2026-11-21T10:12:05.5+01:00`; also with a space, without seconds), of a
/// day
/// (`2026-11-21`, its start in UTC), or of an HTTP date (`Sat, 21 Nov 2026 10:12:05 GMT`). Errors
/// `time.syntax`, `time.range`.
Result<double> parse_time(std::string_view text);

}  // namespace pf::vm
