#include "services/io/helper.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

namespace pf::services::io {

namespace {
constexpr auto kPause = std::chrono::milliseconds(100);
}

bool Reporter::due() const { return std::chrono::steady_clock::now() - last_ >= kPause; }

void Reporter::progress(double done, double total, std::string_view text) {
  if (!due() || said_ + 1 >= kMaxProgress) return;
  last_ = std::chrono::steady_clock::now();
  ++said_;
  // A core that does not listen any more ends this process.
  if (!write_all(fd_, progress_frame(done, total, text))) said_ = kMaxProgress;
}

Result<UniqueFd> open_place(const Place& place, int flags) {
  UniqueFd fd(::open(place.path.c_str(), flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!fd) return tl::unexpected(system_error("cannot open " + place.path, errno));
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return tl::unexpected(system_error("cannot open " + place.path, errno));
  if (info.st_dev != place.device || info.st_ino != place.inode) {
    return fail("io.moved", place.path + " was replaced by something else while it was opened",
                "let nothing else change the folder meanwhile, and try again");
  }
  return fd;
}

}  // namespace pf::services::io
