#include "base/program_path.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

namespace pf {

std::string program_path() {
  const char* path = std::getenv("PATH");
  if (path != nullptr && *path != '\0') return path;
  return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
}

bool is_executable(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) && ::access(path.c_str(), X_OK) == 0;
}

std::optional<std::string> find_program(std::string_view name) {
  const std::string path = program_path();
  for (size_t at = 0; at <= path.size();) {
    const size_t end = std::min(path.find(':', at), path.size());
    const std::string file = path.substr(at, end - at) + "/" + std::string(name);
    at = end + 1;
    if (file.front() == '/' && is_executable(file)) return file;
  }
  return std::nullopt;
}

}  // namespace pf
