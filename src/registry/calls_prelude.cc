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
constexpr Field kMapOptions[] = {{"limit", T::integer, true, "how many at once, from 1; default 8"}};
constexpr Argument kMap[] = {{"list", T::list, false, "the items"},
                             {"f", T::function, false, "f(item, index)"},
                             {"options", T::table, true, "how many at once", kMapOptions}};
constexpr Argument kFinally[] = {{"f", T::function, false, "called first"},
                                 {"cleanup", T::function, false, "called after it, however f ended"}};
constexpr Field kRender[] = {
    {"name", T::string, true, "stands before LINE:COLUMN in messages; default template"},
    {"filters", T::table, true, "further filters: name -> function(value, …) that returns a value"},
    {"max_output", T::integer, true, "bytes; default 16777216"}};
constexpr Argument kTemplate[] = {{"text", T::string, false, "the template; see docs/stdlib.md"},
                                  {"values", T::table, true, "what names stand for; default none"},
                                  {"options", T::table, true, "how to render", kRender}};
constexpr std::string_view kTemplateErrors[] = {"template.syntax", "template.unknown", "template.type",
                                                "template.limit"};
constexpr std::string_view kTaskErrors[] = {"async.cancelled", "async.deadlock"};

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
    {"finally",
     Place::prelude,
     P::none,
     true,
     kFinally,
     {T::any, "what f returned"},
     {},
     "Calls f, then cleanup: also when f fails, or when its task is cancelled. An error of f is raised after "
     "it."},
    {"async.spawn",
     Place::prelude,
     P::none,
     true,
     kSpawn,
     {T::any, "the task"},
     {},
     "Starts a task. It runs up to its first call that waits."},
    {"async.await",
     Place::prelude,
     P::none,
     true,
     kTask,
     {T::any, "what its function returned"},
     kTaskErrors,
     "Waits for a task; its error is raised here. A task may be awaited more than once."},
    {"async.all",
     Place::prelude,
     P::none,
     true,
     kTasks,
     {T::list, "the first result of each, in order"},
     kTaskErrors,
     "Waits for all tasks. The first error cancels the others and is raised."},
    {"async.race",
     Place::prelude,
     P::none,
     true,
     kTasks,
     {T::any, "what the first to end returned"},
     kTaskErrors,
     "Waits for the first task to end, well or badly, and cancels the others."},
    {"async.map",
     Place::prelude,
     P::none,
     true,
     kMap,
     {T::list, "the first result of each call, in order"},
     kTaskErrors,
     "Calls a function for each item, side by side. The first error cancels the others and is raised."},
    {"async.cancel",
     Place::prelude,
     P::none,
     true,
     kTask,
     {T::boolean, "whether it was still running"},
     {},
     "Ends a task: async.cancelled is raised where it waits. What it had asked for is dropped."},
    {"template.render",
     Place::prelude,
     P::none,
     true,
     kTemplate,
     {T::string, "the text"},
     kTemplateErrors,
     "Fills in a template. It is interpreted: no Lua in it is run."},
};

}  // namespace

std::span<const Call> prelude_calls() { return kCalls; }

}  // namespace pf::registry
