#include "registry/namespaces.h"

namespace pf::registry {
namespace {

using P = Permission;
using T = Type;

constexpr Field kRequest[] = {
    {"url", T::string, false, "http:// or https://"},
    {"method", T::string, true, "default GET, or POST where there is a body"},
    {"headers", T::table, true, "by name; a list gives the header several times"},
    {"query", T::table, true, "names and values, added to the URL's own"},
    {"json", T::any, true, "a value, sent as JSON"},
    {"form", T::table, true, "names and values, sent as application/x-www-form-urlencoded"},
    {"body", T::string, true, "any bytes"},
    {"timeout", T::number, true, "seconds, over all redirects; default 60"},
    {"connect_timeout", T::number, true, "seconds; default 10"},
    {"raise", T::boolean, true, "a status of 400 or more is an error; default false"},
};
constexpr Field kOptions[] = {
    {"headers", T::table, true, "by name; a list gives the header several times"},
    {"query", T::table, true, "names and values, added to the URL's own"},
    {"json", T::any, true, "a value, sent as JSON"},
    {"form", T::table, true, "names and values, sent as application/x-www-form-urlencoded"},
    {"body", T::string, true, "any bytes"},
    {"timeout", T::number, true, "seconds, over all redirects; default 60"},
    {"connect_timeout", T::number, true, "seconds; default 10"},
    {"raise", T::boolean, true, "a status of 400 or more is an error; default false"},
};
constexpr Argument kHttpRequest[] = {{"request", T::table, false, "what to ask for", kRequest}};
constexpr Argument kHttpVerb[] = {{"url", T::string, false, "http:// or https://"},
                                  {"options", T::table, true, "as in http.request", kOptions}};
constexpr Field kAnswer[] = {
    {"status", T::integer, false, "such as 200"},
    {"headers", T::table, false, "by lower-case name; repeated ones joined by \", \""},
    {"body", T::string, false, "any bytes, at most 15 MiB"},
    {"url", T::string, false, "after redirects"},
    {"json", T::function, false, "answer:json() decodes the body"}};
constexpr Returns kReturns = {T::table, "the answer", kAnswer};
constexpr std::string_view kErrors[] = {"http.url",     "http.timeout",  "http.resolve",  "http.connect",
                                        "http.address", "http.tls",      "http.too_big",  "http.redirects",
                                        "http.status",  "http.protocol", "http.internal", "http.module"};

constexpr Call kCalls[] = {
    {"http.request", Place::core, P::http, true, kHttpRequest, kReturns, kErrors, "Makes an HTTP request."},
    {"http.get", Place::core, P::http, true, kHttpVerb, kReturns, kErrors, "Makes a GET request."},
    {"http.head", Place::core, P::http, true, kHttpVerb, kReturns, kErrors, "Makes a HEAD request."},
    {"http.post", Place::core, P::http, true, kHttpVerb, kReturns, kErrors, "Makes a POST request."},
    {"http.put", Place::core, P::http, true, kHttpVerb, kReturns, kErrors, "Makes a PUT request."},
    {"http.patch", Place::core, P::http, true, kHttpVerb, kReturns, kErrors, "Makes a PATCH request."},
    {"http.delete", Place::core, P::http, true, kHttpVerb, kReturns, kErrors, "Makes a DELETE request."},
};

}  // namespace

std::span<const Call> http_calls() { return kCalls; }

}  // namespace pf::registry
