// Time behind an interface, so that tests tick it. Implementations may be called from any thread.
#pragma once

#include <chrono>
#include <string>

namespace pf {

using Milliseconds = std::chrono::milliseconds;
using SteadyTime = std::chrono::steady_clock::time_point;
using WallTime = std::chrono::system_clock::time_point;

/// Where the program gets its time from.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual SteadyTime steady() const = 0;
  virtual WallTime wall() const = 0;
  static Clock& system();
};

/// RFC 3339 in UTC with milliseconds: `2026-11-21T10:12:05.123Z`.
std::string rfc3339(WallTime time);

}  // namespace pf
