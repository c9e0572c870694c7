#include "report/sink.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>

namespace pf::report {

void Sink::flush() {
  size_t done = 0;
  while (failure_ == 0 && done < text_.size()) {
    const ssize_t n = ::write(fd_, text_.data() + done, text_.size() - done);
    if (n >= 0) {
      done += static_cast<size_t>(n);
    } else if (errno == EAGAIN) {
      pollfd ready{fd_, POLLOUT, 0};
      ::poll(&ready, 1, -1);
    } else if (errno != EINTR) {
      failure_ = errno;
    }
  }
  text_.clear();
}

}  // namespace pf::report
