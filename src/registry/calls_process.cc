#include "registry/namespaces.h"

namespace pf::registry {
namespace {

using P = Permission;
using T = Type;

constexpr Field kOptions[] = {
    {"env", T::table, true, "names and values, added to what every program gets"},
    {"cwd", T::string, true, "the working folder; default: the work folder"},
    {"stdin", T::string, true, "what it reads; default: nothing"},
    {"timeout", T::number, true,
     "seconds; then SIGTERM, two seconds later SIGKILL; default: the attempt's own"},
    {"max_output", T::integer, true,
     "bytes kept of stdout, and of stderr: the first half and the last; default 1 MiB"},
    {"check", T::boolean, true, "another exit status than 0 is an error; default false"},
};
constexpr Field kRunOptions[] = {
    kOptions[0],
    kOptions[1],
    kOptions[2],
    kOptions[3],
    kOptions[4],
    kOptions[5],
    {"on_line", T::function, true, "on_line(line, stream), called as lines come; stream is stdout or stderr"},
};
constexpr Argument kStart[] = {
    {"argv", T::list, false, "the program's name and its arguments; there is no shell"},
    {"options", T::table, true, "how to run it", kOptions}};
constexpr Argument kRun[] = {
    {"argv", T::list, false, "the program's name and its arguments; there is no shell"},
    {"options", T::table, true, "how to run it", kRunOptions}};
constexpr Argument kHandle[] = {{"program", T::integer, false, "from process.start"}};

constexpr Field kResult[] = {
    {"code", T::integer, false, "exit status; -1 where a signal ended it"},
    {"signal", T::string, true, "such as SIGKILL"},
    {"stdout", T::string, false, "any bytes"},
    {"stderr", T::string, false, "any bytes"},
    {"truncated", T::boolean, false, "whether there was more output than is kept"},
    {"cpu_ms", T::integer, false, "CPU time, with that of children it waited for"},
    {"max_rss", T::integer, false, "bytes of memory at most"},
};
constexpr Field kRead[] = {{"lines", T::list, false, "{text, stream}, …: whole lines, without their ends"},
                           {"result", T::table, true, "as from process.run, when it has ended"}};

constexpr std::string_view kRunErrors[] = {"process.not_found",
                                           "process.start",
                                           "process.grant",
                                           "process.lost",
                                           "process.timeout",
                                           "process.failed",
                                           "sandbox.unavailable",
                                           "file.outside",
                                           "file.unsupported",
                                           "permission.read",
                                           "os.*"};
// How a program that was started ends, process.read tells.
constexpr std::string_view kStartErrors[] = {
    "process.not_found", "process.start",   "limit.calls", "file.outside",
    "file.unsupported",  "permission.read", "os.*"};
constexpr std::string_view kReadErrors[] = {"process.handle",     "process.start",   "process.grant",
                                            "process.lost",       "process.timeout", "process.failed",
                                            "sandbox.unavailable"};
constexpr std::string_view kKillErrors[] = {"process.handle"};

constexpr Call kCalls[] = {
    {"process.run",
     Place::core,
     P::programs,
     true,
     kRun,
     {T::table, "how it ended", kResult},
     kRunErrors,
     "Runs a program and waits for its end. All that it started ends with it."},
    {"process.start",
     Place::core,
     P::programs,
     true,
     kStart,
     {T::integer, "for process.read and process.kill"},
     kStartErrors,
     "Starts a program, whose lines process.read gives."},
    {"process.read",
     Place::core,
     P::none,
     true,
     kHandle,
     {T::table, "what has come", kRead},
     kReadErrors,
     "Waits for more lines of a program, or for its end."},
    {"process.kill",
     Place::core,
     P::none,
     true,
     kHandle,
     {},
     kKillErrors,
     "Ends a program and all that it started; process.read tells of its end."},
};

}  // namespace

std::span<const Call> process_calls() { return kCalls; }

}  // namespace pf::registry
