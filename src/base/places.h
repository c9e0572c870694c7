// Where the parts of the installed program are: everything is found relative to the running executable, so
// that a tree works from any prefix and after it was moved. Thread-safe.
#pragma once

#include <filesystem>
#include <string>

namespace pf::places {

/// The folder of the running executable, links resolved.
const std::filesystem::path& program_folder();
/// `pangeo-forge-worker` beside the program.
std::filesystem::path worker_program();
/// `pangeo-forge-io` beside the program.
std::filesystem::path io_program();
/// A loadable module (`net`): `../lib/pangeo-forge-NAME.so` from the program.
std::filesystem::path module(const std::string& name);
/// The bundled extensions: `../share/pangeo-forge/extensions` from the program.
std::filesystem::path bundled_extensions();
/// The user's own extensions: `$XDG_DATA_HOME/pangeo-forge/extensions`, by default below `~/.local/share`;
/// empty when there is no home.
std::filesystem::path user_extensions();

}  // namespace pf::places
