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

constexpr std::string_view kPlain[] = {"file.unsupported", "os.*"};
constexpr std::string_view kNamed[] = {"file.path", "file.unsupported", "os.*"};
constexpr std::string_view kRead[] = {"file.not_regular", "file.too_big", "file.unsupported", "os.*"};
constexpr std::string_view kAppend[] = {"file.not_regular", "file.unsupported", "os.*"};
constexpr std::string_view kList[] = {"file.too_big", "file.unsupported", "os.*"};
constexpr std::string_view kGlob[] = {"file.path", "file.too_big", "file.unsupported", "os.*"};
constexpr std::string_view kCopy[] = {"file.not_regular", "file.path", "file.unsupported", "permission.read",
                                      "os.*"};
constexpr std::string_view kMove[] = {"file.path", "file.unsupported", "permission.read", "os.*"};

constexpr Call kCalls[] = {
    {"fs.read",
     Place::core,
     P::read,
     true,
     kPath,
     {T::string, "the content"},
     kRead,
     "Reads a whole file, at most 15 MiB."},
    {"fs.write",
     Place::core,
     P::write,
     true,
     kPathText,
     {},
     kNamed,
     "Replaces a file as a whole, or makes it: whoever reads it sees the old content or the new."},
    {"fs.append",
     Place::core,
     P::write,
     true,
     kPathText,
     {},
     kAppend,
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
     kList,
     "The names in a folder."},
    {"fs.glob",
     Place::core,
     P::read,
     true,
     kPattern,
     {T::list, "paths, sorted"},
     kGlob,
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
     kNamed,
     "Removes a file, or a folder with all that is in it."},
    {"fs.copy",
     Place::core,
     P::write,
     true,
     kFromTo,
     {},
     kCopy,
     "Copies a file; `from` needs an entry in `read`, `to` one in `write`."},
    {"fs.move",
     Place::core,
     P::write,
     true,
     kFromTo,
     {},
     kMove,
     "Renames a file or folder; `from` needs an entry in `read` and one in `write`, `to` one in `write`."},
};

}  // namespace

std::span<const Call> fs_calls() { return kCalls; }

}  // namespace pf::registry
