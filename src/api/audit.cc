#include "api/audit.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"

namespace pf::api {
namespace {

constexpr size_t kBuffered = 32U << 10;
constexpr size_t kLongestTarget = 4096;

}  // namespace

void Audit::add(const Line& line) {
  if (file_.empty()) return;
  // Fields in the order in which they are read; the values go through the JSON printer, for they are hostile.
  const auto quoted = [&](std::string_view text) {
    std::string shown = shorten(mask_.apply(text), kLongestTarget);
    const bool plain = std::all_of(shown.begin(), shown.end(),
                                   [](char c) { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; });
    return plain ? '"' + shown + '"' : to_json_text(Json(std::move(shown)));
  };
  buffer_ += "{\"time\":" + quoted(rfc3339(Clock::system().wall())) +
             ",\"instance\":" + quoted(line.instance) + ",\"call\":" + quoted(line.call) +
             ",\"target\":" + quoted(line.target);
  if (!line.to.empty()) buffer_ += ",\"to\":" + quoted(line.to);
  if (line.hop != 0) buffer_ += ",\"hop\":" + std::to_string(line.hop);
  buffer_ += line.code.empty() ? ",\"allowed\":true,\"code\":null}\n"
                               : ",\"allowed\":false,\"code\":" + quoted(line.code) + "}\n";
  const auto now = std::chrono::steady_clock::now();
  if (!line.code.empty() || buffer_.size() >= kBuffered || now - flushed_ >= std::chrono::seconds(1)) flush();
}

void Audit::flush() {
  if (buffer_.empty()) return;
  flushed_ = std::chrono::steady_clock::now();
  auto written = write();
  if (!written && !failed_) {
    failed_ = true;
    log::error("the audit record is incomplete: " + written.error().text());
  }
  buffer_.clear();
}

Result<void> Audit::write() {
  if (!fd_) {
    if (file_.has_parent_path()) {
      if (auto made = make_folders(file_.parent_path()); !made) return made;
    }
    fd_.reset(::open(file_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd_) return tl::unexpected(system_error("cannot open " + file_.string(), errno));
  }
  return write_all(fd_.get(), buffer_);
}

}  // namespace pf::api
