#include "registry/namespaces.h"

namespace pf::registry {
namespace {

using P = Permission;
using T = Type;

constexpr Argument kSeconds[] = {{"seconds", T::number, false, "how long, from 0 to 86400"}};

constexpr Call kCalls[] = {
    {"time.now", Place::core, P::none, true, {}, {T::number, "seconds since 1970"}, {}, "The time of day."},
    {"time.sleep", Place::core, P::none, true, kSeconds, {}, {}, "Waits."},
};

}  // namespace

std::span<const Call> time_calls() { return kCalls; }

}  // namespace pf::registry
