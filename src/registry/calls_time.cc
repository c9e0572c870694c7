#include "registry/namespaces.h"

namespace pf::registry {
namespace {

using P = Permission;
using T = Type;

constexpr Argument kSeconds[] = {{"seconds", T::number, false, "how long, from 0 to 86400"}};

constexpr Argument kFormat[] = {
    {"seconds", T::number, false, "seconds since 1970, of the years 0 to 9999"},
    {"format", T::string, true, "strftime's words that docs/stdlib.md lists; default RFC 3339"}};
constexpr Argument kTimeText[] = {
    {"text", T::string, false,
     "2026-11-21T10:12:05.5+01:00, 2026-11-21T10:12Z, 2026-11-21, or Sat, 21 Nov 2026 10:12:05 GMT"}};
constexpr std::string_view kFormatErrors[] = {"time.range", "time.directive"};
constexpr std::string_view kParseErrors[] = {"time.range", "time.syntax"};

constexpr Call kCalls[] = {
    {"time.now", Place::core, P::none, true, {}, {T::number, "seconds since 1970"}, {}, "The time of day."},
    {"time.sleep", Place::core, P::none, true, kSeconds, {}, {}, "Waits."},
    {"time.format",
     Place::worker,
     P::none,
     true,
     kFormat,
     {T::string, "in UTC, with English names"},
     kFormatErrors,
     "A time as text, to the nearest microsecond."},
    {"time.parse",
     Place::worker,
     P::none,
     true,
     kTimeText,
     {T::number, "seconds since 1970"},
     kParseErrors,
     "The time that a text says. A text with a time of day has to name its zone."},
};

}  // namespace

std::span<const Call> time_calls() { return kCalls; }

}  // namespace pf::registry
