#include "registry/namespaces.h"

namespace pf::registry {
namespace {

using P = Permission;
using T = Type;

constexpr Field kListOptions[] = {
    {"max_files", T::integer, true, "entries at most; default 1000000"},
    {"max_size", T::integer, true, "bytes that it may unpack to; default 8 GiB"},
    {"max_ratio", T::number, true, "of unpacked to packed, above 64 MiB; default 200"},
    {"timeout", T::number, true, "seconds; default 3600"},
};
constexpr Field kExtractOptions[] = {
    {"strip", T::integer, true, "leading parts of names that are left out; default 0"},
    {"include", T::list, true, "globs over the names in the archive, `*` also over folders; default all"},
    {"into", T::boolean, true, "adds to a folder that is there, replacing files; default false"},
    {"max_files", T::integer, true, "entries at most; default 1000000"},
    {"max_size", T::integer, true, "bytes that it may unpack to; default 8 GiB"},
    {"max_ratio", T::number, true, "of unpacked to packed, above 64 MiB; default 200"},
    {"timeout", T::number, true, "seconds; default 3600"},
};
constexpr Field kCreateOptions[] = {
    {"mtime", T::number, true,
     "seconds since 1970, of all entries: the same files give the same bytes; default the files' own"},
    {"timeout", T::number, true, "seconds; default 3600"},
};
constexpr Argument kList[] = {{"archive", T::string, false, "path of a tar or zip file"},
                              {"options", T::table, true, "limits", kListOptions}};
constexpr Argument kExtract[] = {{"archive", T::string, false, "path of a tar or zip file"},
                                 {"folder", T::string, false, "path; it appears as a whole"},
                                 {"options", T::table, true, "what to extract, and limits", kExtractOptions}};
constexpr Argument kCreate[] = {
    {"archive", T::string, false,
     "path; .tar, .tar.gz, .tgz, .tar.bz2, .tar.xz, .tar.zst or .zip says the format"},
    {"source", T::any, false, "path of a folder, for what is in it, or a list of paths, for those"},
    {"options", T::table, true, "times and limits", kCreateOptions}};
constexpr Field kExtracted[] = {{"files", T::integer, false, "files and links that were written"},
                                {"bytes", T::integer, false, "their content"}};
constexpr Field kCreated[] = {{"files", T::integer, false, "files and links in it"},
                              {"bytes", T::integer, false, "their content"},
                              {"size", T::integer, false, "of the archive, bytes"}};

constexpr std::string_view kListErrors[] = {"archive.bomb",     "archive.damaged",  "archive.format",
                                            "archive.password", "archive.timeout",  "archive.too_big",
                                            "io.crashed",       "io.moved",         "io.protocol",
                                            "io.unavailable",   "file.unsupported", "os.*"};
constexpr std::string_view kExtractErrors[] = {"archive.bomb",      "archive.damaged",   "archive.device",
                                               "archive.duplicate", "archive.exists",    "archive.format",
                                               "archive.link",      "archive.name",      "archive.password",
                                               "archive.timeout",   "archive.traversal", "io.crashed",
                                               "io.moved",          "io.protocol",       "io.unavailable",
                                               "file.unsupported",  "permission.read",   "os.*"};
constexpr std::string_view kCreateErrors[] = {
    "archive.changed", "archive.device",   "archive.format",  "archive.link", "archive.name",
    "archive.timeout", "io.crashed",       "io.moved",        "io.protocol",  "io.unavailable",
    "file.path",       "file.unsupported", "permission.read", "os.*"};

constexpr Call kCalls[] = {
    {"archive.list",
     Place::core,
     P::read,
     true,
     kList,
     {T::list, "{path, type (file, folder, link, hard link or other), size, mode, mtime, target of a link}"},
     kListErrors,
     "What is in an archive: tar, also with gzip, bzip2, xz or zstd, and zip."},
    {"archive.extract",
     Place::core,
     P::write,
     true,
     kExtract,
     {T::table, "what was written", kExtracted},
     kExtractErrors,
     "Extracts an archive into a new folder. Refused as a whole: names that lead out, links that may, "
     "devices, "
     "anything that comes twice, more than the limits, passwords. Owners and the bits for other users to "
     "write "
     "or to run as somebody else are dropped. `archive` needs an entry in `read`, `folder` one in `write`."},
    {"archive.create",
     Place::core,
     P::write,
     true,
     kCreate,
     {T::table, "what was archived", kCreated},
     kCreateErrors,
     "Makes an archive, or replaces it: sorted by name, without owners. `source` needs an entry in `read`, "
     "`archive` one in `write`."},
};

}  // namespace

std::span<const Call> archive_calls() { return kCalls; }

}  // namespace pf::registry
