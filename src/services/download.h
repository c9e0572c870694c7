// Downloads: files from http, https and opened local files, one or many at a time, straight to disk; checked
// against digests, resumed after a break, from mirrors, out of a cache. The bytes never pass through this
// thread, nor are they ever in memory as a whole.
//
// Belongs to one thread, its owner's: all functions are called there, and so are checks, progress and Done.
// Uses the Http that it was made with, which must outlive it.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "services/files.h"
#include "services/http.h"

namespace pf::services {

/// One place that a file can be had from.
struct DownloadSource {
  std::string text;  // the address, as the answer names it
  Url url;
  std::function<Result<UniqueFd>()> open;  // a local file, in place of url; called on a thread of a pool
};

/// One file.
struct DownloadRequest {
  std::vector<DownloadSource> sources;         // tried in turn
  std::function<Result<FileTarget>()> target;  // called on a thread of a pool
  std::string sha256, md5;                     // expected, lower-case hexadecimal; empty: anything
  Headers headers;          // Authorization and Cookie go to sources of the first one's place only
  Milliseconds timeout{0};  // of all together; 0: none but that a minute without a byte is a break
  Milliseconds connect_timeout{10000};
  uint64_t max_size = UINT64_MAX;  // bytes
  bool cache = false;              // use and fill it, where sha256 is given
  std::shared_ptr<Usage> usage;    // counts what comes, and what is written; null: nothing does
  Http::Check check;               // before each hop of each source, and before a file from the cache is used
  std::function<void(uint64_t done, std::optional<uint64_t> total)> progress;  // bytes; a few times a second
};

/// What came.
struct DownloadResult {
  uint64_t size = 0;  // bytes
  std::string sha256;
  std::string md5;  // where it was asked for
  bool from_cache = false;
  std::string url;  // of the source that it came from
};

/// The service.
class Downloads {
 public:
  /// Called once, never from inside submit(), unless cancelled.
  ///
  /// Errors: `download.digest` (from every source), `download.status`, `download.too_big`, `download.range`,
  /// those of Http, of the check, of `target` and `open`, and `os.*`. After a failure nothing has appeared
  /// under the file's name, and what was there is still there.
  using Done = std::function<void(Result<DownloadResult>)>;
  using DoneAll = std::function<void(std::vector<Result<DownloadResult>>)>;

  /// `cache`: the folder of DownloadCache; empty: none.
  static std::unique_ptr<Downloads> make(Http& http, Http::Post post, Http::After after,
                                         std::filesystem::path cache);
  virtual ~Downloads() = default;  // drops all; no Done comes afterwards

  virtual uint64_t submit(DownloadRequest request, Done done) = 0;
  /// At most `parallel` at a time; results in the order of the requests. All are tried, whatever fails.
  virtual uint64_t submit_all(std::vector<DownloadRequest> requests, size_t parallel, DoneAll done) = 0;
  /// What came so far stays for the next time, where it can be gone on with.
  virtual void cancel(uint64_t id) = 0;
};

}  // namespace pf::services
