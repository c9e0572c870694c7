// What is kept of a program's output: all of it, or the first and the last half of what the limit allows, so
// that neither the beginning nor the error at the end is lost. A value; used by one thread.
#pragma once

#include <string>
#include <string_view>

#include "base/mask.h"

namespace pf::api {

class OutputCapture {
 public:
  explicit OutputCapture(size_t limit) : limit_(limit) {}
  void add(std::string_view bytes);
  bool truncated() const { return total_ > limit_; }
  /// With a line between the halves that says how much is missing.
  std::string text() const;
  /// The last lines that are not empty, masked, at most `bytes` of them.
  std::string last(size_t bytes, const Mask& mask) const;

 private:
  size_t limit_;
  size_t total_ = 0;
  std::string head_;  // up to half of the limit
  std::string tail_;  // a ring, once it is full
  size_t at_ = 0;     // where the ring's oldest byte is
};

}  // namespace pf::api
