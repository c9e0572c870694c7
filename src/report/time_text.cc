#include "report/time_text.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace pf::report {
namespace {

int64_t milliseconds(WallTime time) {
  return std::chrono::duration_cast<Milliseconds>(time.time_since_epoch()).count();
}

}  // namespace

void TimeText::append_utc(std::string& out, WallTime time) {
  const int64_t ms = milliseconds(time);
  if (ms / 1000 != utc_second_ || ms < 0) {
    utc_second_ = ms / 1000;
    const std::string text = rfc3339(time);
    std::snprintf(utc_, sizeof utc_, "%s", text.substr(0, text.find('.') + 1).c_str());
  }
  const auto part = static_cast<unsigned>(ms % 1000);
  out += utc_;
  out += static_cast<char>('0' + part / 100 % 10);
  out += static_cast<char>('0' + part / 10 % 10);
  out += static_cast<char>('0' + part % 10);
  out += 'Z';
}

void TimeText::append_clock(std::string& out, WallTime time) {
  const int64_t second = milliseconds(time) / 1000;
  if (second != clock_second_) {
    clock_second_ = second;
    const std::time_t seconds = second;
    std::tm parts{};
    localtime_r(&seconds, &parts);
    std::snprintf(clock_, sizeof clock_, "%02d:%02d:%02d", parts.tm_hour, parts.tm_min, parts.tm_sec);
  }
  out += clock_;
}

std::string age_text(WallTime then, WallTime now) {
  // A clock that was set back makes nothing younger than new.
  const int64_t seconds = std::max<int64_t>((milliseconds(now) - milliseconds(then)) / 1000, 0);
  if (seconds < 60) return std::to_string(seconds) + " s";
  if (seconds < 3600) return std::to_string(seconds / 60) + " min";
  if (seconds < 48 * 3600) return std::to_string(seconds / 3600) + " h";
  return std::to_string(seconds / 86400) + " days";
}

std::string date_and_time(WallTime time) {
  const std::time_t seconds = milliseconds(time) / 1000;
  std::tm parts{};
  localtime_r(&seconds, &parts);
  char text[64];
  std::snprintf(text, sizeof text, "%04d-%02d-%02d %02d:%02d:%02d", parts.tm_year + 1900, parts.tm_mon + 1,
                parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
  return text;
}

}  // namespace pf::report
