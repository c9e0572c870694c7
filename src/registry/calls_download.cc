#include "registry/namespaces.h"

namespace pf::registry {
namespace {

using P = Permission;
using T = Type;

constexpr Field kOptions[] = {
    {"sha256", T::string, true, "64 hexadecimal digits; nothing else appears under the path"},
    {"md5", T::string, true, "32 hexadecimal digits, for lists that have nothing better"},
    {"mirrors", T::list, true, "further URLs, tried in turn; each needs its permission"},
    {"headers", T::table, true,
     "by name; Authorization and Cookie are not sent to mirrors and redirects of another host or port"},
    {"token", T::string, true, "sent as `Authorization: Bearer`, as far as Authorization is"},
    {"user", T::string, true, "with `password`, sent as basic credentials, as far as Authorization is"},
    {"password", T::string, true, "default empty"},
    {"timeout", T::number, true,
     "seconds, over all sources; default none, but a minute without a byte is a break"},
    {"max_size", T::integer, true, "bytes; default none"},
    {"cache", T::boolean, true,
     "whether files are taken from, and kept in, the cache of the state folder; default true where sha256 is "
     "given and no credentials are"},
};
constexpr Argument kFile[] = {
    {"url", T::string, false, "http:// or https://; file:// where `read` covers the path"},
    {"path", T::string, false, "relative to the work folder, or absolute; its folder must be there"},
    {"options", T::table, true, "what is expected, and how to get it", kOptions}};
constexpr Field kAllOptions[] = {{"parallel", T::integer, true, "files at a time, from 1 to 64; default 16"}};
constexpr Argument kAll[] = {
    {"files", T::list, false,
     "tables {url = …, path = …} with the options of download.file; `parallel` may stand in the same table"},
    {"options", T::table, true, "for all of them", kAllOptions}};
constexpr Field kResult[] = {{"path", T::string, false, "as it was given"},
                             {"size", T::integer, false, "bytes"},
                             {"sha256", T::string, false, "of the file, also where none was expected"},
                             {"md5", T::string, true, "where it was expected"},
                             {"from_cache", T::boolean, false, "whether no server was asked"},
                             {"url", T::string, false, "the source that it came from, before redirects"}};
constexpr std::string_view kErrors[] = {"download.digest", "download.range",   "download.scheme",
                                        "download.status", "download.too_big", "http.url",
                                        "http.timeout",    "http.resolve",     "http.connect",
                                        "http.tls",        "http.too_big",     "http.redirects",
                                        "http.protocol",   "http.internal",    "http.module",
                                        "file.path",       "file.not_regular", "file.unsupported",
                                        "permission.http", "permission.read",  "os.*"};

constexpr Call kCalls[] = {
    {"download.file",
     Place::core,
     P::write,
     true,
     kFile,
     {T::table, "what came", kResult},
     kErrors,
     "Fetches a file, which appears under its name as a whole or not at all; a break is gone on with, also "
     "in the "
     "next attempt. Needs `http` for the host of the URL, of each mirror and each redirect, and `write` for "
     "the "
     "path."},
    {"download.all",
     Place::core,
     P::write,
     true,
     kAll,
     {T::list, "what download.file returns, in the same order"},
     kErrors,
     "Fetches many files at a time. The error names the first file that failed; those that came stay."},
};

}  // namespace

std::span<const Call> download_calls() { return kCalls; }

}  // namespace pf::registry
