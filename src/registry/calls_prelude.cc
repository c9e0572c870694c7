#include "registry/namespaces.h"

namespace pf::registry {
namespace {

using P = Permission;
using T = Type;

constexpr Argument kTable[] = {{"table", T::table, true, "default: a new one"}};
constexpr Argument kTry[] = {{"f", T::function, false, "called with the further arguments"},
                             {"...", T::any, true, "its arguments"}};
constexpr Field kFailure[] = {
    {"code", T::string, true, "default extension.error"},
    {"message", T::string, false, "what went wrong"},
    {"hint", T::string, true, "what to do"},
    {"retryable", T::boolean, true, "whether another attempt may help; default true"}};
constexpr Argument kFail[] = {{"error", T::table, false, "what went wrong", kFailure}};
constexpr Field kHandler[] = {{"config", T::table, true, "the model, models.Config"}};
constexpr Argument kExtension[] = {{"options", T::table, true, "what the handler is made of", kHandler}};
constexpr Argument kSpawn[] = {{"f", T::function, false, "runs as a task, side by side with others"},
                               {"...", T::any, true, "its arguments"}};
constexpr Argument kTask[] = {{"task", T::any, false, "from spawn"}};
constexpr Argument kTasks[] = {{"tasks", T::list, false, "tasks, or functions that become tasks"}};
constexpr Argument kMap[] = {{"list", T::list, false, "the items"},
                             {"f", T::function, false, "f(item, index)"},
                             {"limit", T::any, true, "how many at once"}};

constexpr Call kCalls[] = {
    {"extension",
     Place::prelude,
     P::none,
     true,
     kExtension,
     {T::table, "a handler to add methods to"},
     {},
     "Makes the handler that extension.lua returns."},
    {"try",
     Place::prelude,
     P::none,
     true,
     kTry,
     {T::any, "what f returned; or nil and the error"},
     {},
     "Calls a function; an error becomes the second result: {code, message, hint, retryable}."},
    {"fail", Place::prelude, P::none, true, kFail, {}, {}, "Raises an error with a code and a hint."},
    {"list",
     Place::prelude,
     P::none,
     true,
     kTable,
     {T::table, "the same table"},
     {},
     "Marks a table as a list, which it stays when it is empty."},
    {"map",
     Place::prelude,
     P::none,
     true,
     kTable,
     {T::table, "the same table"},
     {},
     "Marks a table as a map, which it stays when it is empty."},
    {"async.spawn", Place::prelude, P::none, true, kSpawn, {T::any, "the task"}, {}, "Starts a task."},
    {"async.await",
     Place::prelude,
     P::none,
     true,
     kTask,
     {T::any, "what its function returned"},
     {},
     "Waits for a task; its error is raised here."},
    {"async.all",
     Place::prelude,
     P::none,
     true,
     kTasks,
     {T::list, "results in order"},
     {},
     "Waits for all tasks."},
    {"async.race",
     Place::prelude,
     P::none,
     true,
     kTasks,
     {T::any, "the first result"},
     {},
     "Waits for the first task to end."},
    {"async.map",
     Place::prelude,
     P::none,
     true,
     kMap,
     {T::list, "results in order"},
     {},
     "Calls a function for each item, side by side."},
};

}  // namespace

std::span<const Call> prelude_calls() { return kCalls; }

}  // namespace pf::registry
