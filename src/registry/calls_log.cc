#include "registry/namespaces.h"

namespace pf::registry {
namespace {

using P = Permission;
using T = Type;

constexpr Argument kLog[] = {{"text", T::string, false, "one line or several"},
                             {"fields", T::table, true, "names and values kept with the line"}};
constexpr Argument kProgress[] = {{"done", T::number, false, "how much is done"},
                                  {"total", T::number, true, "of how much, if known"},
                                  {"text", T::string, true, "what is being done"}};

constexpr Call kCalls[] = {
    {"log.debug", Place::core, P::none, false, kLog, {}, {}, "Logs a line that is shown with -v."},
    {"log.info", Place::core, P::none, false, kLog, {}, {}, "Logs a line."},
    {"log.warn", Place::core, P::none, false, kLog, {}, {}, "Logs a warning."},
    {"log.error", Place::core, P::none, false, kLog, {}, {}, "Logs an error; the instance goes on."},
    {"progress", Place::core, P::none, false, kProgress, {}, {}, "Says how far the instance is."},
};

}  // namespace

std::span<const Call> log_calls() { return kCalls; }

}  // namespace pf::registry
