#include "registry/namespaces.h"

namespace pf::registry {
namespace {

using P = Permission;
using T = Type;

constexpr Argument kPath[] = {{"path", T::string, false, "relative to the work folder, or absolute"}};
constexpr Argument kPathText[] = {{"path", T::string, false, "relative to the work folder, or absolute"},
                                  {"text", T::string, false, "the whole content, any bytes"}};
constexpr Argument kFromTo[] = {{"from", T::string, false, "an existing file"},
                                {"to", T::string, false, "the new name; replaced if it exists"}};
constexpr Argument kPattern[] = {
    {"pattern", T::string, false, "`*`, `?`, `[abc]` within a name, `**` over folders"}};
constexpr Field kStat[] = {{"type", T::string, false, "file, folder, link or other"},
                           {"size", T::integer, false, "bytes"},
                           {"modified", T::number, false, "seconds since 1970"}};

constexpr std::string_view kPlain[] = {"file.path", "file.outside", "file.unsupported", "os.*"};
constexpr std::string_view kContent[] = {"file.path",        "file.outside", "file.unsupported",
                                         "file.not_regular", "file.too_big", "os.*"};
constexpr std::string_view kTree[] = {"file.path", "file.outside", "file.unsupported", "file.too_big",
                                      "os.*"};

constexpr Call kCalls[] = {
    {"fs.read",
     Place::core,
     P::read,
     true,
     kPath,
     {T::string, "the content"},
     kContent,
     "Reads a whole file, at most 15 MiB."},
    {"fs.write",
     Place::core,
     P::write,
     true,
     kPathText,
     {},
     kContent,
     "Replaces a file as a whole, or makes it: whoever reads it sees the old content or the new."},
    {"fs.append",
     Place::core,
     P::write,
     true,
     kPathText,
     {},
     kContent,
     "Adds to the end of a file, or makes it."},
    {"fs.exists",
     Place::core,
     P::read,
     true,
     kPath,
     {T::boolean, "whether it is there"},
     kPlain,
     "Whether there is something of that name."},
    {"fs.list",
     Place::core,
     P::read,
     true,
     kPath,
     {T::list, "names, sorted"},
     kTree,
     "The names in a folder."},
    {"fs.glob",
     Place::core,
     P::read,
     true,
     kPattern,
     {T::list, "paths, sorted"},
     kTree,
     "The paths that match a pattern."},
    {"fs.stat",
     Place::core,
     P::read,
     true,
     kPath,
     {T::table, "what a path is", kStat},
     kPlain,
     "What a path is; of a link itself, not of what it points to."},
    {"fs.mkdir", Place::core, P::write, true, kPath, {}, kPlain, "Makes a folder and those above it."},
    {"fs.remove",
     Place::core,
     P::write,
     true,
     kPath,
     {T::boolean, "whether it was there"},
     kPlain,
     "Removes a file, or a folder with all that is in it."},
    {"fs.copy",
     Place::core,
     P::write,
     true,
     kFromTo,
     {},
     kContent,
     "Copies a file; `from` needs an entry in `read`, `to` one in `write`."},
    {"fs.move",
     Place::core,
     P::write,
     true,
     kFromTo,
     {},
     kPlain,
     "Renames a file or folder; `from` needs an entry in `read` and one in `write`, `to` one in `write`."},
};

}  // namespace

std::span<const Call> fs_calls() { return kCalls; }

}  // namespace pf::registry
