// The audit record of a run: one JSON line for each call that needed a permission, and for each refusal.
// Append-only; opened with the first line; belongs to the loop's thread.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/file.h"
#include "base/mask.h"

namespace pf::api {

/// Appends lines of {time, instance, call, target, allowed, code}; `to` where the call has a second path,
/// `hop` where it is a redirect's.
class Audit {
 public:
  /// An empty path: nothing is kept. What `mask` knows is left out; it outlives the record.
  Audit(std::filesystem::path file, const Mask& mask) : file_(std::move(file)), mask_(mask) {}
  ~Audit() { flush(); }
  Audit(const Audit&) = delete;
  Audit& operator=(const Audit&) = delete;

  struct Line {
    std::string_view instance, call, target, to;
    int hop = 0;
    std::string_view code;  // of the refusal; empty: allowed
  };
  /// Kept in memory for a second or 32 KiB at most while lines come; a refusal is written at once.
  void add(const Line& line);
  void flush();

 private:
  Result<void> write();

  std::filesystem::path file_;
  const Mask& mask_;
  UniqueFd fd_;
  std::string buffer_;
  std::chrono::steady_clock::time_point flushed_{};
  bool failed_ = false;  // said once
};

}  // namespace pf::api
