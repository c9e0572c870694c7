// One file that is being fetched: the bytes go from the socket to `.NAME.part` beside the file's final name,
// are hashed on another thread as they come (small files at once), and appear under the final name by a
// rename once all of them are there and have the digests that were asked for.
//
// A part stays after a break where it can be gone on with: what server and digest say of it is kept in an
// extended attribute of the part. It is locked while it is written to; who finds it locked uses a name of his
// own. All is done by the folder's descriptor and names in it, with O_NOFOLLOW: no link leads elsewhere.
//
// Nothing is fsynced: 1 GiB would take as long again as fetching it, and files of a work folder are not
// synced by forge.fs.write either. After a power cut a file that has just appeared can be short or empty, as
// one copied by cp can; the cache notices that (download_cache.h), and a run that goes on makes it again.
//
// A DownloadFile is shared by its owner's thread, one thread of the net module and those of the pool. The
// functions say which may call them; the owner calls none while a transfer is under way.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/digest.h"
#include "services/download_cache.h"
#include "services/download_pool.h"
#include "services/files.h"
#include "services/http.h"

namespace pf::services {

/// MD5 (RFC 1321), for checking against lists that have nothing better.
class Md5 {
 public:
  Md5();
  void update(std::string_view data);
  std::string finish();  // 32 lower-case hexadecimal digits

 private:
  alignas(8) unsigned char state_[96];
};

/// The file.
class DownloadFile final : public BodySink, public std::enable_shared_from_this<DownloadFile> {
 public:
  struct Options {
    FileTarget target;
    std::string sha256, md5;  // what must come out, in lower case; empty: anything
    uint64_t max_size = UINT64_MAX;
    std::shared_ptr<const DownloadCache> cache;  // null: neither used nor filled
    std::weak_ptr<DownloadPool> pool;
    /// Counts what is written, and read from the cache or another file; null: nothing does.
    std::shared_ptr<Usage> usage;
    /// Bytes so far and in all, a few times a second; on the thread of the transfer.
    std::function<void(uint64_t done, std::optional<uint64_t> total)> progress;
  };
  explicit DownloadFile(Options options);
  ~DownloadFile() override;
  DownloadFile(const DownloadFile&) = delete;
  DownloadFile& operator=(const DownloadFile&) = delete;

  /// What became of it, once nothing is under way.
  enum class State {
    open,      // there is no whole file yet
    whole,     // all bytes are there: finish() is next
    done,      // it is in place
    mismatch,  // wrong digest; failure() says which
    failed,    // failure() says why
  };

  // On a thread of the pool, before any transfer.
  /// Looks for a part from before.
  void look();
  /// Puts the file in place from the cache. False: it is not there. Errors `os.*`, `download.too_big`.
  Result<bool> take_cached();
  // On a thread of the pool, while no transfer is under way.
  /// Takes all bytes from an opened file.
  void copy(UniqueFd from);
  /// Hashes what is left, compares, and puts the file in place.
  void finish();

  // On the owner's thread, while nothing is under way.
  /// The headers that ask `url` for what is missing; `digest` stands for the address.
  Headers ask(const std::string& url);
  /// Forgets what came so far.
  void restart();
  /// Forgets a failure, but not the bytes.
  void clear();
  /// The end: the part is closed, and goes unless it is of use the next time. The destructor does the same.
  void close();
  State state() const { return state_; }
  bool resumed() const { return resumed_; }  // a part of the bytes came by an earlier transfer
  bool ranged() const { return asked_ != 0; }
  uint64_t size() const { return written_.load(); }
  const std::string& sha256() const { return found_sha256_; }
  const std::string& md5() const { return found_md5_; }

  /// Ends what the pool does for it. On any thread.
  void stop() { stop_ = true; }

  // The transfer's.
  Where begin(int status, const Headers& headers) noexcept override;
  bool write(std::string_view data) noexcept override;
  bool end() noexcept override;
  Error failure() const override { return failure_; }

 private:
  bool open_part();
  bool recall();
  bool fail(Error error) noexcept;
  bool fail(const char* what, int code) noexcept;
  void reset();
  void absorb(std::string_view data);
  void follow();
  int hash_some(size_t most);
  void hash_rest();
  void place();
  bool put_in_place(int fd, const std::string& name);
  void record();
  bool forget_record();
  void tell();
  std::string final_path() const { return options_.target.text; }

  Options options_;
  State state_ = State::open;
  Error failure_;
  std::string part_;          // its name
  bool shared_name_ = false;  // `.NAME.part`, not one of its own
  UniqueFd fd_;
  std::atomic<uint64_t> written_{0};
  std::optional<uint64_t> total_;
  uint64_t asked_ = 0;  // the Range of this transfer
  bool resumed_ = false;
  std::string url_;        // digest of the address that the bytes come from
  std::string validator_;  // of If-Range
  bool recorded_ = false;
  std::chrono::steady_clock::time_point told_{};
  std::string found_sha256_, found_md5_;
  std::atomic<bool> stop_{false};
  bool at_once_ = true;  // bytes are hashed as they are written; the transfer's own

  std::atomic<bool> following_{false};  // a task of the pool is under way

  std::mutex hashing_;  // guards the rest
  std::atomic<uint64_t> hashed_{0};
  Sha256 hash_;
  std::optional<Md5> md5_;
  DownloadCache::Entry entry_;
  bool entry_tried_ = false;
  int hash_code_ = 0;  // errno
};

}  // namespace pf::services
