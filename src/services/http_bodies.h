// Bodies of HTTP requests and answers that lie in files: they go from disk to socket and back without ever
// being in memory as a whole. Made on any thread; used by one request at a time.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "base/file.h"
#include "services/files.h"
#include "services/http.h"
#include "services/usage.h"

namespace pf::services {

/// A request's body out of texts and opened files, one after the other.
class PiecesBody final : public BodySource {
 public:
  /// A file with its size when it was opened: if it is shorter by the time it is sent, the request fails.
  struct File {
    UniqueFd fd;
    uint64_t size = 0;
    std::string text;  // the path, for messages
  };
  using Piece = std::variant<std::string, File>;

  /// `usage` counts what is read of files; null: nothing does.
  explicit PiecesBody(std::vector<Piece> pieces, std::shared_ptr<Usage> usage = {});
  /// Error `os.*`.
  static Result<File> file(UniqueFd fd, std::string text);

  uint64_t size() const override { return size_; }
  ptrdiff_t read(char* buffer, size_t size) noexcept override;
  bool rewind() noexcept override;
  Error failure() const override;

 private:
  std::vector<Piece> pieces_;
  std::shared_ptr<Usage> usage_;
  uint64_t size_ = 0;
  size_t at_ = 0;        // the piece
  uint64_t offset_ = 0;  // in it
  int code_ = 0;         // errno; below 0: a file ended early
};

/// An answer's body into a file, which appears under its name only when all of it has come and the status is
/// 2xx; the bodies of other answers are kept in memory. What is there is replaced.
class FileSink final : public BodySink {
 public:
  /// `usage` counts what is written; null: nothing does.
  explicit FileSink(FileTarget target, std::shared_ptr<Usage> usage = {})
      : target_(std::move(target)), usage_(std::move(usage)) {}
  ~FileSink() override;
  FileSink(const FileSink&) = delete;
  FileSink& operator=(const FileSink&) = delete;

  Where begin(int status, const Headers& headers) noexcept override;
  bool write(std::string_view data) noexcept override;
  bool end() noexcept override;
  Error failure() const override;

  /// Whether the file is in place; asked once the request is done.
  bool done() const { return done_; }
  uint64_t size() const { return size_; }

 private:
  bool fail(int code) noexcept;

  FileTarget target_;
  std::shared_ptr<Usage> usage_;
  UniqueFd fd_;
  std::string draft_;  // its name
  uint64_t size_ = 0;
  bool done_ = false;
  int code_ = 0;  // errno
};

/// A boundary that no part is likely to hold, for multipart/form-data.
std::string make_boundary();

/// The Error for a failed system call on a file that is being fetched or sent: as system_error, `os.enospc`
/// and `os.edquot` with a hint.
Error file_error(const std::string& what, int errno_value);

}  // namespace pf::services
