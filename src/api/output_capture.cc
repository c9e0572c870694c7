#include "api/output_capture.h"

#include <algorithm>

namespace pf::api {

void OutputCapture::add(std::string_view bytes) {
  total_ += bytes.size();
  const size_t half = limit_ / 2;
  const size_t first = std::min(bytes.size(), half - std::min(half, head_.size()));
  head_.append(bytes.substr(0, first));
  bytes.remove_prefix(first);
  const size_t room = limit_ - half;
  if (room == 0) return;
  if (bytes.size() >= room) {
    tail_ = bytes.substr(bytes.size() - room);
    at_ = 0;
    return;
  }
  const size_t grow = std::min(bytes.size(), room - tail_.size());
  tail_.append(bytes.substr(0, grow));
  bytes.remove_prefix(grow);
  while (!bytes.empty()) {
    const size_t n = std::min(bytes.size(), room - at_);
    tail_.replace(at_, n, bytes.substr(0, n));
    at_ = (at_ + n) % room;
    bytes.remove_prefix(n);
  }
}

std::string OutputCapture::text() const {
  std::string out = head_;
  if (truncated()) out += "\n… " + std::to_string(total_ - limit_) + " bytes left out …\n";
  out.append(tail_, at_);
  out.append(tail_, 0, at_);
  return out;
}

std::string OutputCapture::last(size_t bytes, const Mask& mask) const {
  std::string all = mask.apply(truncated() ? tail_.substr(at_) + tail_.substr(0, at_) : text());
  while (!all.empty() && (all.back() == '\n' || all.back() == '\r' || all.back() == ' ')) all.pop_back();
  if (all.size() <= bytes) return all;
  // From the beginning of a line where there is one.
  const size_t from = all.find('\n', all.size() - bytes);
  return all.substr(from == std::string::npos ? all.size() - bytes : from + 1);
}

}  // namespace pf::api
