#include "state/log_file.h"

#include <fcntl.h>

#include <cerrno>

#include "base/log.h"
#include "state/layout.h"

namespace pf::state {
namespace {
constexpr Milliseconds kShortestPause{100};
constexpr size_t kBuffer = 64 * 1024;
}  // namespace

LogFile::LogFile(std::filesystem::path path, std::function<void(Error)> on_error)
    : path_(std::move(path)), on_error_(std::move(on_error)) {}

LogFile::~LogFile() { flush(); }

void LogFile::append(std::string_view line) {
  if (failed_) return;
  buffer_ += line;
  buffer_ += '\n';
  if (buffer_.size() >= kBuffer) flush();
}

void LogFile::tick(SteadyTime now) {
  if (buffer_.empty() || now - written_ < kShortestPause) return;
  written_ = now;
  flush();
}

void LogFile::flush() {
  if (buffer_.empty() || failed_) return;
  if (!fd_) {
    std::error_code code;
    std::filesystem::create_directories(path_.parent_path(), code);
    if (code) return failed(folder_error("cannot make folder", path_.parent_path(), code.value()));
    fd_.reset(::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600));
    if (!fd_) return failed(folder_error("cannot write", path_, errno));
  }
  if (!write_all(fd_.get(), buffer_)) return failed(folder_error("cannot write", path_, errno));
  buffer_.clear();
}

void LogFile::failed(Error error) {
  failed_ = true;
  buffer_.clear();
  buffer_.shrink_to_fit();
  if (on_error_)
    on_error_(std::move(error));
  else
    log::warn(error.text());
}

}  // namespace pf::state
