#include "report/files.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/file.h"

namespace pf::report {

Result<void> check_file(std::string_view option, const std::string& file) {
  const auto no = [&](const std::string& why, std::string hint) {
    return refuse("report.file", std::string(option) + " cannot be written to " + file + ": " + why,
                  std::move(hint));
  };
  std::error_code code;
  const std::filesystem::path path(file);
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : ".";
  struct stat found {};
  if (!path.has_filename()) return no("it names a folder", "name a file in it");
  if (::stat(folder.c_str(), &found) != 0) {
    return no("its folder: " + std::string(std::strerror(errno)),
              "make the folder " + folder.string() + " first");
  }
  if (!S_ISDIR(found.st_mode)) return no(folder.string() + " is no folder", "name a file in a folder");
  if (::access(folder.c_str(), W_OK | X_OK) != 0) {
    return no("its folder: " + std::string(std::strerror(errno)), "name a folder that you may write to");
  }
  // The file is replaced as a whole: a device or pipe would be gone afterwards.
  if (::stat(path.c_str(), &found) == 0 && !S_ISREG(found.st_mode)) {
    return no("it is there and no regular file", "name another file");
  }
  return {};
}

void write_or_tell(const std::string& file, std::string_view content, std::string_view what, WallTime now,
                   orchestrator::Observer& tell) {
  const auto written = write_file(file, content);
  if (written) return;
  Error error;
  error.code = "report.write";
  error.where.file = file;
  error.message = std::string(what) + " could not be written: " + written.error().message;
  error.hint = "the run itself is not affected: its results are in the state folder";
  tell.on(orchestrator::RunFailure{now, &error});
}

}  // namespace pf::report
