// Where a report is written to: text gathered in memory and put out in one piece. Belongs to one observer or
// command and its thread.
#pragma once

#include <string>

namespace pf::report {

/// A buffered descriptor that outlives its reader: once nobody reads any more, what is written is dropped.
class Sink {
 public:
  /// Does not own the descriptor.
  explicit Sink(int fd) : fd_(fd) {}
  ~Sink() { flush(); }
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;

  int fd() const { return fd_; }
  /// What flush() will put out; append to it.
  std::string& text() { return text_; }
  /// Writes everything, waiting where the descriptor is full.
  void flush();
  /// flush() where a large report has gathered so much that memory would feel it.
  void flush_if_large() {
    if (text_.size() >= kLarge) flush();
  }
  /// The errno of the first write that failed (EPIPE: the reader has gone), or 0.
  int failure() const { return failure_; }

 private:
  static constexpr size_t kLarge = 64 * 1024;
  int fd_;
  int failure_ = 0;
  std::string text_;
};

}  // namespace pf::report
