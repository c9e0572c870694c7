// Times as text, fast enough for one per event: the part of a second's text that does not change is kept. An
// object belongs to one thread.
#pragma once

#include <cstdint>
#include <ctime>
#include <string>

#include "base/clock.h"

namespace pf::report {

/// Prints wall times.
class TimeText {
 public:
  /// RFC 3339 in UTC with milliseconds, as pf::rfc3339.
  void append_utc(std::string& out, WallTime time);
  /// `HH:MM:SS` in the zone of the machine (TZ).
  void append_clock(std::string& out, WallTime time);

 private:
  int64_t utc_second_ = INT64_MIN;
  int64_t clock_second_ = INT64_MIN;
  char utc_[32] = {};
  char clock_[32] = {};
};

/// How old something is, in the one unit that says enough: `12 s`, `5 min`, `3 h`, `4 days`.
std::string age_text(WallTime then, WallTime now);
/// `2026-11-21 10:12:05` in the zone of the machine.
std::string date_and_time(WallTime time);

}  // namespace pf::report
