// An append-only file of JSON lines, such as runs/<id>/log.jsonl: buffered, and on disk soon without a write
// for each line. Owned by one thread, which calls tick() about ten times a second.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"

namespace pf::state {

/// Appends lines to a file that is made, with its folder, at the first of them.
class LogFile {
 public:
  /// `on_error` is called once, at the first line that could not be written (code `state.full`,
  /// `state.read_only`, `os.*`); what follows it is dropped. Without it the error goes to the program's own
  /// diagnostics.
  explicit LogFile(std::filesystem::path path, std::function<void(Error)> on_error = {});
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;
  ~LogFile();  // flushes

  /// `line` is one JSON value without a line feed.
  void append(std::string_view line);
  /// Writes what was appended, unless the last tick that wrote is less than 100 ms ago.
  void tick(SteadyTime now);
  /// Writes all that was appended.
  void flush();
  const std::filesystem::path& path() const { return path_; }

 private:
  void failed(Error error);

  std::filesystem::path path_;
  std::function<void(Error)> on_error_;
  std::string buffer_;
  SteadyTime written_{};  // the last tick that wrote
  UniqueFd fd_;
  bool failed_ = false;
};

}  // namespace pf::state
