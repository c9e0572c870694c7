#include "registry/namespaces.h"

namespace pf::registry {
namespace {

using P = Permission;
using T = Type;

constexpr Field kRequest[] = {
    {"url", T::string, false, "http:// or https://"},
    {"method", T::string, true, "default GET, or POST where there is a body"},
    {"headers", T::table, true, "by name; a list gives the header several times"},
    {"query", T::table, true, "names and values or lists of values, added to the URL's own"},
    {"json", T::any, true, "a value, sent as JSON"},
    {"form", T::table, true, "names and values, sent as application/x-www-form-urlencoded"},
    {"multipart", T::table, true,
     "by name: a text, {file = path, filename = …, type = …}, {text = …, …}, or a list of these, sent as "
     "multipart/form-data; files need `read`"},
    {"body", T::string, true, "any bytes"},
    {"body_file", T::string, true, "path of a file that is sent, of any size; needs `read`"},
    {"to_file", T::string, true,
     "path that the body of an answer of status 2xx is written to, of any size; needs `write`; the answer "
     "then has "
     "`path` and `size` in place of `body`"},
    {"token", T::string, true,
     "sent as `Authorization: Bearer`; dropped, as Authorization and Cookie are, when a "
     "redirect leads to another host or port, or from https to http"},
    {"user", T::string, true, "with `password`, sent as basic credentials; dropped as `token` is"},
    {"password", T::string, true, "default empty"},
    {"timeout", T::number, true, "seconds of each attempt, over all redirects; default 60"},
    {"connect_timeout", T::number, true, "seconds; default 10"},
    {"max_size", T::integer, true,
     "bytes of the body; default 15 MiB, the most in memory, and none with to_file"},
    {"follow", T::boolean, true, "whether redirects are followed; default true"},
    {"max_redirects", T::integer, true, "from 0 to 50; default 10"},
    {"retry", T::any, true,
     "attempts in all, or {attempts, delay = 0.5 (seconds, doubled each time), max_delay = 30 (seconds), "
     "any_method "
     "= false}: after failures of the connection and the statuses 408, 429, 500, 502, 503 and 504, as "
     "Retry-After "
     "says, if that is within max_delay; not for POST and PATCH unless any_method is true"},
    {"proxy", T::string, true,
     "http://[user:password@]host:port, the host named by an entry of `http` itself; it looks the names up, "
     "so that "
     "private addresses cannot be told: every host asked through it needs an entry without a wildcard that a "
     "person "
     "wrote"},
    {"raise", T::boolean, true, "a status of 400 or more is an error; default false"},
};
// The others have the URL and the method in the call itself.
constexpr std::span<const Field> kOptions = std::span(kRequest).subspan(2);
constexpr Argument kHttpRequest[] = {{"request", T::table, false, "what to ask for", kRequest}};
constexpr Argument kHttpVerb[] = {{"url", T::string, false, "http:// or https://"},
                                  {"options", T::table, true, "as in http.request", kOptions}};
constexpr Field kAnswer[] = {
    {"status", T::integer, false, "such as 200"},
    {"headers", T::table, false, "by lower-case name; repeated ones joined by \", \""},
    {"body", T::string, true, "any bytes, at most 15 MiB; none where it is in a file"},
    {"path", T::string, true, "of the file, with to_file"},
    {"size", T::integer, true, "bytes of the file, with to_file"},
    {"url", T::string, false, "after redirects"},
    {"json", T::function, false, "answer:json() decodes the body"}};
constexpr Returns kReturns = {T::table, "the answer", kAnswer};
constexpr std::string_view kErrors[] = {
    "http.url",         "http.timeout",    "http.resolve",      "http.connect",  "http.tls",
    "http.too_big",     "http.redirects",  "http.status",       "http.protocol", "http.internal",
    "http.module",      "http.proxy",      "http.body_changed", "file.path",     "file.not_regular",
    "file.unsupported", "permission.read", "permission.write",  "os.*"};
// It has no body, and its answer none: no files.
constexpr std::string_view kHeadErrors[] = {
    "http.url",     "http.timeout",   "http.resolve",   "http.connect",  "http.tls",
    "http.too_big", "http.redirects", "http.status",    "http.protocol", "http.internal",
    "http.module",  "http.proxy",     "permission.read"};

constexpr Call kCalls[] = {
    {"http.request", Place::core, P::http, true, kHttpRequest, kReturns, kErrors, "Makes an HTTP request."},
    {"http.get", Place::core, P::http, true, kHttpVerb, kReturns, kErrors, "Makes a GET request."},
    {"http.head", Place::core, P::http, true, kHttpVerb, kReturns, kHeadErrors, "Makes a HEAD request."},
    {"http.post", Place::core, P::http, true, kHttpVerb, kReturns, kErrors, "Makes a POST request."},
    {"http.put", Place::core, P::http, true, kHttpVerb, kReturns, kErrors, "Makes a PUT request."},
    {"http.patch", Place::core, P::http, true, kHttpVerb, kReturns, kErrors, "Makes a PATCH request."},
    {"http.delete", Place::core, P::http, true, kHttpVerb, kReturns, kErrors, "Makes a DELETE request."},
};

}  // namespace

std::span<const Call> http_calls() { return kCalls; }

}  // namespace pf::registry
