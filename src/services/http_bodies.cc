#include "services/http_bodies.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <random>

#include "base/digest.h"
#include "services/file_calls.h"

namespace pf::services {
namespace {

constexpr int kShorter = -1;  // in place of an errno: the file ended early

uint64_t size_of(const PiecesBody::Piece& piece) {
  if (const auto* text = std::get_if<std::string>(&piece)) return text->size();
  return std::get<PiecesBody::File>(piece).size;
}

}  // namespace

Error file_error(const std::string& what, int errno_value) {
  Error error = system_error(what, errno_value);
  error.retryable = errno_value != EISDIR && errno_value != ENOTDIR && errno_value != EACCES &&
                    errno_value != EROFS && errno_value != ENAMETOOLONG;
  if (errno_value == ENOSPC || errno_value == EDQUOT) error.hint = "free space on that disk";
  return error;
}

PiecesBody::PiecesBody(std::vector<Piece> pieces, std::shared_ptr<Usage> usage)
    : pieces_(std::move(pieces)), usage_(std::move(usage)) {
  for (const Piece& piece : pieces_) size_ += size_of(piece);
}

Result<PiecesBody::File> PiecesBody::file(UniqueFd fd, std::string text) {
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return tl::unexpected(file_error("cannot read " + text, errno));
  return File{std::move(fd), static_cast<uint64_t>(info.st_size), std::move(text)};
}

ptrdiff_t PiecesBody::read(char* buffer, size_t size) noexcept {
  while (at_ < pieces_.size() && offset_ == size_of(pieces_[at_])) {
    ++at_;
    offset_ = 0;
  }
  if (at_ == pieces_.size()) return 0;
  const auto most = static_cast<size_t>(std::min<uint64_t>(size, size_of(pieces_[at_]) - offset_));
  size_t got = most;
  if (const auto* text = std::get_if<std::string>(&pieces_[at_])) {
    std::memcpy(buffer, text->data() + offset_, most);
  } else {
    ssize_t n = 0;
    do {
      n = ::pread(std::get<File>(pieces_[at_]).fd.get(), buffer, most, static_cast<off_t>(offset_));
    } while (n < 0 && errno == EINTR);
    if (n <= 0) {
      code_ = n == 0 ? kShorter : errno;
      return -1;
    }
    got = static_cast<size_t>(n);
    if (usage_) usage_->read(got);
  }
  offset_ += got;
  return static_cast<ptrdiff_t>(got);
}

bool PiecesBody::rewind() noexcept {
  at_ = 0;
  offset_ = 0;
  return code_ == 0;
}

Error PiecesBody::failure() const {
  const auto* file = at_ < pieces_.size() ? std::get_if<File>(&pieces_[at_]) : nullptr;
  const std::string what = "cannot send " + (file != nullptr ? file->text : std::string("the body"));
  if (code_ != kShorter) return file_error(what, code_);
  Error error;
  error.code = "http.body_changed";
  error.message = what + ": the file became shorter while it was sent";
  error.hint = "send a file that nobody writes to at the same time";
  return error;
}

FileSink::~FileSink() {
  if (fd_) ::unlinkat(target_.folder->get(), draft_.c_str(), 0);
}

bool FileSink::fail(int code) noexcept {
  code_ = code;
  return false;
}

BodySink::Where FileSink::begin(int status, const Headers&) noexcept {
  if (status < 200 || status > 299) return Where::keep;
  size_ = 0;
  if (fd_) {  // a repetition
    if (::ftruncate(fd_.get(), 0) == 0 && ::lseek(fd_.get(), 0, SEEK_SET) == 0) return Where::take;
    code_ = errno;
    return Where::stop;
  }
  try {
    draft_ = temporary_name();
  } catch (const std::exception&) {
    code_ = ENOMEM;
    return Where::stop;
  }
  fd_.reset(::openat(target_.folder->get(), draft_.c_str(),
                     O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666));
  if (fd_) return Where::take;
  code_ = errno;
  return Where::stop;
}

bool FileSink::write(std::string_view data) noexcept {
  while (!data.empty()) {
    const ssize_t n = ::write(fd_.get(), data.data(), data.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(errno);
    data.remove_prefix(static_cast<size_t>(n));
    size_ += static_cast<uint64_t>(n);
    if (usage_) usage_->write(static_cast<uint64_t>(n));
  }
  return true;
}

bool FileSink::end() noexcept {
  struct stat before {};
  const int folder = target_.folder->get();
  if (::fstatat(folder, target_.name.c_str(), &before, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(before.st_mode) &&
      ::fchmod(fd_.get(), before.st_mode & 0777) != 0 && errno != EPERM && errno != EOPNOTSUPP) {
    return fail(errno);
  }
  if (::renameat(folder, draft_.c_str(), folder, target_.name.c_str()) != 0) return fail(errno);
  fd_.reset();
  done_ = true;
  return true;
}

Error FileSink::failure() const { return file_error("cannot write " + target_.text, code_); }

std::string make_boundary() {
  std::random_device random;
  std::string bytes;
  for (int i = 0; i < 6; ++i) {
    const uint32_t word = random();
    bytes.append(reinterpret_cast<const char*>(&word), sizeof word);
  }
  return "pangeo-forge-" + to_hex(bytes);
}

}  // namespace pf::services
