#include "base/places.h"

#include <cstdlib>

namespace pf::places {

namespace fs = std::filesystem;

const fs::path& program_folder() {
  static const fs::path folder = [] {
    std::error_code code;
    fs::path self = fs::read_symlink("/proc/self/exe", code);
    return code ? fs::path(".") : self.parent_path();
  }();
  return folder;
}

fs::path worker_program() { return program_folder() / "pangeo-forge-worker"; }

fs::path io_program() { return program_folder() / "pangeo-forge-io"; }

fs::path module(const std::string& name) {
  return program_folder().parent_path() / "lib" / ("pangeo-forge-" + name + ".so");
}

fs::path bundled_extensions() { return program_folder().parent_path() / "share/pangeo-forge/extensions"; }

fs::path user_extensions() {
  if (const char* data = std::getenv("XDG_DATA_HOME"); data != nullptr && *data == '/') {
    return fs::path(data) / "pangeo-forge/extensions";
  }
  if (const char* home = std::getenv("HOME"); home != nullptr && *home == '/') {
    return fs::path(home) / ".local/share/pangeo-forge/extensions";
  }
  return {};
}

}  // namespace pf::places
