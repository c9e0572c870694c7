#include "services/download_file.h"

// The low-level interface, as in base/digest.cc: EVP would pull OpenSSL's providers into every start-up.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <fcntl.h>
#include <openssl/md5.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <new>
#include <vector>

#include "base/json.h"
#include "base/text.h"
#include "services/file_calls.h"
#include "services/http_bodies.h"

namespace pf::services {
namespace {

/// Up to here a file is hashed as it is written: another thread would cost more than it saves.
constexpr uint64_t kAtOnce = 128U << 10;
/// What waits before the pool is asked to hash.
constexpr uint64_t kFollowStep = 512U << 10;
/// What one task of the pool hashes before others get their turn.
constexpr size_t kFollowTurn = 8U << 20;
constexpr size_t kPiece = 256U << 10;
/// From here on the part says what it is, so that also a crash of the program leaves something to go on with.
constexpr uint64_t kRecordFrom = 1U << 20;
constexpr auto kTellEvery = std::chrono::milliseconds(250);
constexpr char kAttribute[] = "user.pangeo-forge.download";
constexpr size_t kMostAttribute = 2048;

Error make_error(std::string code, std::string message, std::string hint, bool retryable) {
  Error error;
  error.code = std::move(code);
  error.message = std::move(message);
  error.hint = std::move(hint);
  error.retryable = retryable;
  return error;
}

bool lock(int fd) {
  struct flock whole {};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  return ::fcntl(fd, F_OFD_SETLK, &whole) == 0;
}

std::string part_name(const std::string& name) {
  constexpr size_t kLongest = 200;  // of 255 bytes
  if (name.size() <= kLongest) return "." + name + ".part";
  return ".pangeo-forge-" + sha256_hex(name).substr(0, 32) + ".part";
}

// What If-Range may say (RFC 9110, section 13.1.5): a strong entity tag, or a date that was over when the
// answer was made.
std::string validator_of(const Headers& headers) {
  if (const std::string* tag = find_header(headers, "etag"); tag != nullptr && tag->starts_with('"'))
    return *tag;
  const std::string* modified = find_header(headers, "last-modified");
  const std::string* date = find_header(headers, "date");
  if (modified == nullptr || date == nullptr) return {};
  const auto then = parse_http_date(*modified);
  const auto now = parse_http_date(*date);
  return then && now && *then < *now ? *modified : std::string();
}

std::string text_at(const Json& table, const char* name) {
  const auto found = table.find(name);
  return found != table.end() && found->is_string() ? found->get<std::string>() : std::string();
}

}  // namespace

static_assert(sizeof(MD5_CTX) <= 96);

Md5::Md5() { MD5_Init(new (state_) MD5_CTX); }
void Md5::update(std::string_view data) {
  MD5_Update(reinterpret_cast<MD5_CTX*>(state_), data.data(), data.size());
}
std::string Md5::finish() {
  char out[MD5_DIGEST_LENGTH];
  MD5_Final(reinterpret_cast<unsigned char*>(out), reinterpret_cast<MD5_CTX*>(state_));
  return to_hex({out, sizeof out});
}

DownloadFile::DownloadFile(Options options) : options_(std::move(options)) {
  if (!options_.md5.empty()) md5_.emplace();
}

DownloadFile::~DownloadFile() { close(); }

void DownloadFile::close() {
  stop_ = true;
  std::lock_guard guard(hashing_);
  entry_ = DownloadCache::Entry();
  if (!fd_) return;
  // What can be gone on with stays; anything else goes.
  const bool useful = shared_name_ && state_ != State::mismatch && written_ > 0 &&
                      (!validator_.empty() || !options_.sha256.empty());
  if (useful && !recorded_) record();
  if (!useful || !recorded_) ::unlinkat(options_.target.folder->get(), part_.c_str(), 0);
  fd_.reset();
}

void DownloadFile::clear() {
  if (state_ != State::failed) return;
  state_ = State::open;
  failure_ = Error{};
}

bool DownloadFile::fail(Error error) noexcept {
  if (state_ != State::failed) failure_ = std::move(error);
  state_ = State::failed;
  return false;
}

bool DownloadFile::fail(const char* what, int code) noexcept {
  try {
    return fail(file_error(std::string(what) + " " + final_path(), code));
  } catch (const std::exception&) {
    state_ = State::failed;
    return false;
  }
}

void DownloadFile::look() {
  const int folder = options_.target.folder->get();
  const std::string name = part_name(options_.target.name);
  UniqueFd fd(::openat(folder, name.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  struct stat info {
  }, there{};
  // A second name of the same file could be somebody else's file.
  if (!fd || ::fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode) || info.st_nlink != 1 ||
      info.st_uid != ::geteuid() || !lock(fd.get())) {
    return;
  }
  // Between open and lock its owner may have finished with it.
  if (::fstatat(folder, name.c_str(), &there, AT_SYMLINK_NOFOLLOW) != 0 || there.st_ino != info.st_ino ||
      there.st_dev != info.st_dev) {
    return;
  }
  fd_ = std::move(fd);
  part_ = name;
  shared_name_ = true;
  if (recall()) return;
  // What it says would be untrue of other bytes. Where that cannot be undone, a name of its own is used.
  if (::ftruncate(fd_.get(), 0) != 0 || !forget_record()) fd_.reset();
}

// What the part says of itself. False: nothing, or of something else.
bool DownloadFile::recall() {
  struct stat info {};
  char text[kMostAttribute];
  const ssize_t size = ::fgetxattr(fd_.get(), kAttribute, text, sizeof text);
  if (size <= 0 || ::fstat(fd_.get(), &info) != 0) return false;
  const auto table = parse_json({text, static_cast<size_t>(size)});
  if (!table || !table->is_object() || text_at(*table, "sha256") != options_.sha256) return false;
  url_ = text_at(*table, "url");
  validator_ = text_at(*table, "validator");
  if (!valid_value(validator_)) validator_.clear();
  written_ = static_cast<uint64_t>(info.st_size);
  resumed_ = written_ > 0;
  at_once_ = false;
  recorded_ = true;
  return true;
}

bool DownloadFile::open_part() {
  if (fd_) return true;
  const int folder = options_.target.folder->get();
  constexpr int kFlags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  part_ = part_name(options_.target.name);
  UniqueFd fd(::openat(folder, part_.c_str(), kFlags, 0666));
  shared_name_ = static_cast<bool>(fd);
  if (fd && !lock(fd.get())) fd.reset();
  if (!fd && (shared_name_ || errno == EEXIST)) {  // another one is at it
    shared_name_ = false;
    part_ = temporary_name();
    fd.reset(::openat(folder, part_.c_str(), kFlags, 0666));
  }
  if (!fd) {
    const int code = errno;
    part_.clear();
    return fail("cannot write", code);
  }
  fd_ = std::move(fd);
  return true;
}

Headers DownloadFile::ask(const std::string& url) {
  asked_ = 0;
  const std::string from = sha256_hex(url);
  const bool same = from == url_ && !validator_.empty();
  const uint64_t have = written_;
  if (have > 0 && !same && options_.sha256.empty()) restart();
  if (url_ != from) validator_.clear();
  url_ = from;
  if (written_ == 0) return {};
  asked_ = have;
  Headers out = {{"Range", "bytes=" + std::to_string(have) + "-"}};
  // Without it, of another server, the digest alone tells whether the parts fit together.
  if (same) out.emplace_back("If-Range", validator_);
  return out;
}

void DownloadFile::restart() {
  reset();
  asked_ = 0;
  if (state_ != State::done) state_ = State::open;
  failure_ = Error{};
}

void DownloadFile::reset() {
  std::lock_guard guard(hashing_);
  if (fd_ && written_ > 0 && (::ftruncate(fd_.get(), 0) != 0 || !forget_record()))
    fail("cannot write", errno);
  written_ = 0;
  hashed_ = 0;
  hash_ = Sha256();
  if (md5_) md5_.emplace();
  entry_ = DownloadCache::Entry();
  entry_tried_ = false;
  hash_code_ = 0;
  at_once_ = !following_;
  resumed_ = false;
  recorded_ = false;
  total_.reset();
}

BodySink::Where DownloadFile::begin(int status, const Headers& headers) noexcept {
  try {
    if (status == 206 && asked_ != 0) {
      const std::string* text = find_header(headers, "content-range");
      const auto range = text != nullptr ? parse_content_range(*text) : std::nullopt;
      if (!range || range->first != asked_) {
        fail(make_error("download.range",
                        "cannot go on with " + final_path() + ": the server answers bytes " +
                            (text != nullptr ? shorten(*text, 60) : "without saying which") +
                            " where those from " + std::to_string(asked_) + " on were asked for",
                        "", true));
        return Where::stop;
      }
      total_ = range->total;
      resumed_ = true;
    } else if (status == 200 || status == 203) {
      if (written_ > 0) reset();
      asked_ = 0;
      if (state_ == State::failed) return Where::stop;
      const std::string* length = find_header(headers, "content-length");
      if (length != nullptr && find_header(headers, "content-encoding") == nullptr)
        total_ = parse_size(*length);
    } else {
      return Where::keep;
    }
    if (const std::string validator = validator_of(headers); !validator.empty()) {
      recorded_ = recorded_ && validator == validator_;
      validator_ = validator;
    } else if (status != 206) {
      validator_.clear();
    }
    if (total_ && *total_ > options_.max_size) {
      fail(make_error("download.too_big",
                      final_path() + ": the file has " + std::to_string(*total_) +
                          " bytes, more than max_size, " + std::to_string(options_.max_size),
                      "give a larger `max_size`", false));
      return Where::stop;
    }
    if (!open_part()) return Where::stop;
    told_ = std::chrono::steady_clock::now();
    return Where::take;
  } catch (const std::exception&) {
    fail("cannot write", ENOMEM);
    return Where::stop;
  }
}

bool DownloadFile::write(std::string_view data) noexcept {
  uint64_t at = written_.load(std::memory_order_relaxed);
  try {
    if (data.size() > options_.max_size - std::min(at, options_.max_size)) {
      return fail(
          make_error("download.too_big",
                     final_path() + ": more bytes come than max_size, " + std::to_string(options_.max_size),
                     "give a larger `max_size`", false));
    }
    for (std::string_view left = data; !left.empty();) {
      const ssize_t n = ::pwrite(fd_.get(), left.data(), left.size(), static_cast<off_t>(at));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return fail("cannot write", errno);
      at += static_cast<uint64_t>(n);
      left.remove_prefix(static_cast<size_t>(n));
    }
    if (options_.usage) options_.usage->write(data.size());
    if (at_once_ && at <= kAtOnce) {
      absorb(data);
      hashed_ = at;
    } else {
      at_once_ = false;
    }
    written_ = at;
    if (!at_once_ && at - hashed_.load(std::memory_order_relaxed) >= kFollowStep) {
      if (!following_.exchange(true)) {
        if (auto pool = options_.pool.lock()) pool->post([self = shared_from_this()] { self->follow(); });
      }
    }
    if (!recorded_ && at >= kRecordFrom && shared_name_) record();
    tell();
    return true;
  } catch (const std::exception&) {
    return fail("cannot write", ENOMEM);
  }
}

// What the part is, in the part itself. Where the file system keeps no attributes it is not gone on with.
void DownloadFile::record() {
  if (validator_.empty() && options_.sha256.empty()) return;
  const std::string text =
      to_json_text(Json{{"url", url_}, {"validator", validator_}, {"sha256", options_.sha256}});
  recorded_ =
      text.size() < kMostAttribute && ::fsetxattr(fd_.get(), kAttribute, text.data(), text.size(), 0) == 0;
}

bool DownloadFile::forget_record() {
  return ::fremovexattr(fd_.get(), kAttribute) == 0 || errno == ENODATA || errno == EOPNOTSUPP;
}

void DownloadFile::tell() {
  if (!options_.progress) return;
  const auto now = std::chrono::steady_clock::now();
  if (now - told_ < kTellEvery) return;
  told_ = now;
  options_.progress(written_, total_);
}

bool DownloadFile::end() noexcept {
  if (total_ && written_ != *total_) {
    try {
      return fail(make_error(
          "http.protocol",
          final_path() + ": " + std::to_string(written_) + " bytes came of " + std::to_string(*total_),
          "try again later", true));
    } catch (const std::exception&) {
      return fail("cannot write", ENOMEM);
    }
  }
  state_ = State::whole;
  if (at_once_) finish();
  return true;
}

// Under hashing_, or before the pool knows of the file.
void DownloadFile::absorb(std::string_view data) {
  hash_.update(data);
  if (md5_) md5_->update(data);
  if (!options_.cache || options_.sha256.empty()) return;
  if (!entry_tried_) entry_ = options_.cache->make();
  entry_tried_ = true;
  // The very bytes that were hashed: the part may be written to by whom its folder belongs to.
  if (entry_ && !write_all(entry_.fd(), data)) entry_ = DownloadCache::Entry();
}

// Hashes what lies behind, at most `most` bytes. errno, or 0. Under hashing_.
int DownloadFile::hash_some(size_t most) {
  static thread_local std::vector<char> buffer(kPiece);
  uint64_t at = hashed_.load(std::memory_order_relaxed);
  while (most > 0 && !stop_) {
    const uint64_t left = written_.load() - at;
    if (left == 0) break;
    const size_t ask = static_cast<size_t>(std::min<uint64_t>({left, buffer.size(), most}));
    const ssize_t n = ::pread(fd_.get(), buffer.data(), ask, static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return n == 0 ? EIO : errno;
    absorb({buffer.data(), static_cast<size_t>(n)});
    at += static_cast<uint64_t>(n);
    most -= static_cast<size_t>(n);
    hashed_ = at;
  }
  return 0;
}

// A task of the pool: one turn.
void DownloadFile::follow() {
  std::lock_guard guard(hashing_);
  try {
    if (hash_code_ == 0) hash_code_ = hash_some(kFollowTurn);
    if (hash_code_ == 0 && !stop_ && written_ - hashed_ >= kFollowStep) {
      if (auto pool = options_.pool.lock()) {
        pool->post([self = shared_from_this()] { self->follow(); });
        return;
      }
    }
  } catch (const std::exception&) {
    hash_code_ = ENOMEM;
  }
  following_ = false;
}

void DownloadFile::hash_rest() {
  std::lock_guard guard(hashing_);
  if (hash_code_ == 0) hash_code_ = hash_some(SIZE_MAX);
}

void DownloadFile::finish() {
  try {
    if (state_ != State::whole) return;
    if (!at_once_) hash_rest();
    if (stop_) return;
    if (hash_code_ != 0) {
      fail("cannot read", hash_code_);
      return;
    }
    if (!open_part()) return;  // a file without bytes
    std::lock_guard guard(hashing_);
    const auto bytes = hash_.finish();
    found_sha256_ = to_hex({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    if (md5_) found_md5_ = md5_->finish();
    place();
  } catch (const std::exception&) {
    fail("cannot write", ENOMEM);
  }
}

void DownloadFile::place() {
  const auto wrong = [&](const char* which, const std::string& found, const std::string& expected) {
    state_ = State::mismatch;
    failure_ = make_error(
        "download.digest", final_path() + ": the " + which + " is " + found + ", expected " + expected,
        "if the file was changed on purpose, write the digest found in place of the old one; "
        "otherwise do not trust it",
        false);
  };
  if (!options_.sha256.empty() && found_sha256_ != options_.sha256) {
    return wrong("SHA-256", found_sha256_, options_.sha256);
  }
  if (!options_.md5.empty() && found_md5_ != options_.md5) return wrong("MD5", found_md5_, options_.md5);
  if (options_.cache && entry_) options_.cache->keep(std::move(entry_), found_sha256_, written_);
  if (recorded_ && !forget_record()) {
    fail("cannot write", errno);
    return;
  }
  if (!put_in_place(fd_.get(), part_)) return;
  fd_.reset();
  state_ = State::done;
}

bool DownloadFile::put_in_place(int fd, const std::string& name) {
  const int folder = options_.target.folder->get();
  // Where nothing is replaced, no mode is kept either.
  if (::renameat2(folder, name.c_str(), folder, options_.target.name.c_str(), RENAME_NOREPLACE) == 0)
    return true;
  struct stat before {};
  if (::fstatat(folder, options_.target.name.c_str(), &before, AT_SYMLINK_NOFOLLOW) == 0 &&
      S_ISREG(before.st_mode) && ::fchmod(fd, before.st_mode & 0777) != 0 && errno != EPERM &&
      errno != EOPNOTSUPP) {
    return fail("cannot write", errno);
  }
  if (::renameat(folder, name.c_str(), folder, options_.target.name.c_str()) != 0) {
    return fail("cannot write", errno);
  }
  return true;
}

Result<bool> DownloadFile::take_cached() {
  if (!options_.cache || options_.sha256.empty()) return false;
  auto hit = options_.cache->find(options_.sha256);
  if (!hit) return false;
  if (hit->size > options_.max_size) {
    return refuse("download.too_big",
                  final_path() + ": the file has " + std::to_string(hit->size) +
                      " bytes, more than max_size, " + std::to_string(options_.max_size),
                  "give a larger `max_size`");
  }
  if (!options_.md5.empty()) return false;  // only its SHA-256 is known here
  const int folder = options_.target.folder->get();
  const std::string name = temporary_name();
  UniqueFd fd(::openat(folder, name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666));
  if (!fd) return tl::unexpected(file_error("cannot write " + final_path(), errno));
  const int code = copy_content(hit->fd.get(), fd.get(), hit->size);
  if (code != 0 || !put_in_place(fd.get(), name)) {
    ::unlinkat(folder, name.c_str(), 0);
    if (code != 0) return tl::unexpected(file_error("cannot write " + final_path(), code));
    return tl::unexpected(failure_);
  }
  written_ = hit->size;
  if (options_.usage) {
    options_.usage->read(hit->size);
    options_.usage->write(hit->size);
  }
  found_sha256_ = options_.sha256;
  state_ = State::done;
  return true;
}

void DownloadFile::copy(UniqueFd from) {
  try {
    restart();
    struct stat info {};
    if (::fstat(from.get(), &info) != 0) {
      fail("cannot read the source of", errno);
      return;
    }
    total_ = static_cast<uint64_t>(info.st_size);
    if (!open_part()) return;
    told_ = std::chrono::steady_clock::now();
    std::vector<char> buffer(kPiece);
    while (!stop_) {
      const ssize_t n = ::read(from.get(), buffer.data(), buffer.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) {
        fail("cannot read the source of", errno);
        return;
      }
      if (n == 0) {
        state_ = State::whole;
        return finish();
      }
      if (options_.usage) options_.usage->read(static_cast<uint64_t>(n));
      if (!write({buffer.data(), static_cast<size_t>(n)})) return;
    }
  } catch (const std::exception&) {
    fail("cannot write", ENOMEM);
  }
}

}  // namespace pf::services
