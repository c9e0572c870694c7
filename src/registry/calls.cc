#include "registry/calls.h"

#include <algorithm>

namespace pf::registry {
namespace {

using P = Permission;

constexpr Argument kPath[] = {{"path", Type::string, false, "relative to the work folder, or absolute"}};
constexpr Argument kPathText[] = {{"path", Type::string, false, "relative to the work folder, or absolute"},
                                  {"text", Type::string, false, "the whole content, any bytes"}};
constexpr Argument kFromTo[] = {{"from", Type::string, false, "an existing file"},
                                {"to", Type::string, false, "the new name; replaced if it exists"}};
constexpr Argument kPattern[] = {
    {"pattern", Type::string, false, "`*`, `?`, `[abc]` within a name, `**` over folders"}};
constexpr Argument kLog[] = {{"text", Type::string, false, "one line or several"},
                             {"fields", Type::table, true, "names and values kept with the line"}};
constexpr Argument kProgress[] = {{"done", Type::number, false, "how much is done"},
                                  {"total", Type::number, true, "of how much, if known"},
                                  {"text", Type::string, true, "what is being done"}};
constexpr Argument kHttpRequest[] = {{"request", Type::table, false,
                                      "{method, url, headers, query, json, form, body, timeout (seconds), "
                                      "connect_timeout (seconds), raise}: `url` is "
                                      "required; `raise` makes a status of 400 or more an error"}};
constexpr Argument kHttpVerb[] = {
    {"url", Type::string, false, "http:// or https://"},
    {"options", Type::table, true, "as in http.request, without url and method"}};
constexpr Argument kSeconds[] = {{"seconds", Type::number, false, "how long, from 0 to 86400"}};
constexpr Argument kText[] = {{"text", Type::string, false, "any bytes"}};
constexpr Argument kYamlText[] = {
    {"text", Type::string, false, "any bytes"},
    {"options", Type::table, true,
     "{positions = true}: also returns a table from path (`recipes[1].id`) to {line, column}"}};
constexpr Argument kValue[] = {
    {"value", Type::any, false, "nil, boolean, number, text, or a table of these"}};

constexpr std::string_view kAnswer =
    "{status, headers (lower-case names), body, url (after redirects)}, with :json()";

constexpr Call kCalls[] = {
    {"log.debug", Place::core, P::none, false, kLog, "nothing", "Logs a line that is shown with -v."},
    {"log.info", Place::core, P::none, false, kLog, "nothing", "Logs a line."},
    {"log.warn", Place::core, P::none, false, kLog, "nothing", "Logs a warning."},
    {"log.error", Place::core, P::none, false, kLog, "nothing", "Logs an error; the instance goes on."},
    {"progress", Place::core, P::none, false, kProgress, "nothing", "Says how far the instance is."},
    {"fs.read", Place::core, P::read, true, kPath, "text", "Reads a whole file, at most 15 MiB."},
    {"fs.write", Place::core, P::write, true, kPathText, "nothing",
     "Replaces a file as a whole, or makes it."},
    {"fs.append", Place::core, P::write, true, kPathText, "nothing",
     "Adds to the end of a file, or makes it."},
    {"fs.exists", Place::core, P::read, true, kPath, "boolean", "Whether there is something of that name."},
    {"fs.list", Place::core, P::read, true, kPath, "list of names, sorted", "The names in a folder."},
    {"fs.glob", Place::core, P::read, true, kPattern, "list of paths, sorted",
     "The paths that match a pattern."},
    {"fs.stat", Place::core, P::read, true, kPath, "{type, size (bytes), modified (seconds since 1970)}",
     "What a path is: type is file, folder, link or other."},
    {"fs.mkdir", Place::core, P::write, true, kPath, "nothing", "Makes a folder and those above it."},
    {"fs.remove", Place::core, P::write, true, kPath, "boolean: whether it was there",
     "Removes a file, or a folder with all that is in it."},
    {"fs.copy", Place::core, P::write, true, kFromTo, "nothing",
     "Copies a file; `from` needs an entry in `read`, `to` one in `write`."},
    {"fs.move", Place::core, P::write, true, kFromTo, "nothing",
     "Renames a file or folder; `from` needs an entry in `read` and one in `write`, `to` one in `write`."},
    {"http.request", Place::core, P::http, true, kHttpRequest, kAnswer, "Makes an HTTP request."},
    {"http.get", Place::core, P::http, true, kHttpVerb, kAnswer, "Makes a GET request."},
    {"http.head", Place::core, P::http, true, kHttpVerb, kAnswer, "Makes a HEAD request."},
    {"http.post", Place::core, P::http, true, kHttpVerb, kAnswer, "Makes a POST request."},
    {"http.put", Place::core, P::http, true, kHttpVerb, kAnswer, "Makes a PUT request."},
    {"http.patch", Place::core, P::http, true, kHttpVerb, kAnswer, "Makes a PATCH request."},
    {"http.delete", Place::core, P::http, true, kHttpVerb, kAnswer, "Makes a DELETE request."},
    {"time.now", Place::core, P::none, true, {}, "number: seconds since 1970", "The time of day."},
    {"time.sleep", Place::core, P::none, true, kSeconds, "nothing", "Waits."},
    {"json.encode", Place::worker, P::none, true, kValue, "text", "JSON text, keys sorted."},
    {"json.decode", Place::worker, P::none, true, kText, "value", "The value of JSON text."},
    {"yaml.encode", Place::worker, P::none, true, kValue, "text", "YAML text, keys sorted."},
    {"yaml.decode", Place::worker, P::none, true, kYamlText, "value",
     "The value of YAML text (one document)."},
    {"digest.sha256", Place::worker, P::none, true, kText, "64 hexadecimal digits", "The SHA-256 of a text."},
    {"base64.encode", Place::worker, P::none, true, kText, "text", "Base64 of any bytes."},
    {"base64.decode", Place::worker, P::none, true, kText, "text", "The bytes of a base64 text."},
};

}  // namespace

std::string_view describe(Type type) {
  switch (type) {
    case Type::any: return "any value";
    case Type::boolean: return "boolean";
    case Type::integer: return "integer";
    case Type::number: return "number";
    case Type::string: return "string";
    case Type::table: return "table";
    case Type::list: return "list";
    case Type::function: return "function";
  }
  return "";
}

std::string_view key(Permission permission) {
  switch (permission) {
    case Permission::none: return "";
    case Permission::read: return "read";
    case Permission::write: return "write";
    case Permission::http: return "http";
    case Permission::env: return "env";
    case Permission::programs: return "programs";
    case Permission::git: return "git";
    case Permission::secrets: return "secrets";
  }
  return "";
}

std::span<const Call> calls() { return kCalls; }

int find(std::string_view name) {
  const auto* at =
      std::find_if(std::begin(kCalls), std::end(kCalls), [&](const Call& c) { return c.name == name; });
  return at == std::end(kCalls) ? -1 : static_cast<int>(at - kCalls);
}

}  // namespace pf::registry
