// What the core and the io helper say to each other. The core writes one request, a CBOR map, to the helper's
// stdin; the helper answers with frames (little-endian u32 length, then CBOR) on its stdout: any number of
// {progress: {done, total, text}}, then exactly one of {ok: value} and {error: {code, message, hint,
// retryable}}. The helper trusts the request; the core trusts nothing of the answer. No state; thread-safe,
// but for AnswerReader, which belongs to one owner.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.h"

namespace pf::services::io {

inline constexpr size_t kMaxRequest = 16U << 20;  // bytes
inline constexpr size_t kMaxAnswer = 16U << 20;   // bytes of one frame
/// Progress frames of one operation; a helper that says more is broken.
inline constexpr uint32_t kMaxProgress = 1'000'000;

/// A file or folder that the core checked: its real path, and which one was there. The helper refuses another
/// (`io.moved`), so that nothing is gained by swapping a link in between.
struct Place {
  std::string path;  // absolute, without links; empty: none
  uint64_t device = 0;
  uint64_t inode = 0;
  bool operator==(const Place&) const = default;
};

struct ArchiveLimits {
  uint64_t max_size = 8ULL << 30;  // bytes, of all files together
  uint64_t max_files = 1'000'000;  // entries of any kind
  double max_ratio = 200;          // of what is unpacked to the archive's size
  bool operator==(const ArchiveLimits&) const = default;
};

struct ArchiveList {
  Place archive;
  ArchiveLimits limits;
  bool operator==(const ArchiveList&) const = default;
};

struct ArchiveExtract {
  Place archive;
  Place folder;                      // filled; empty unless `into`
  uint64_t strip = 0;                // leading parts of names that are left out
  std::vector<std::string> include;  // globs over names as they are in the archive; none: all
  bool into = false;                 // files that are there are replaced
  ArchiveLimits limits;
  bool operator==(const ArchiveExtract&) const = default;
};

struct ArchiveSource {
  Place place;
  std::string name;  // in the archive; empty: the folder's content without a name of its own
  bool operator==(const ArchiveSource&) const = default;
};

struct ArchiveCreate {
  Place folder;      // where the file is made
  std::string name;  // of the file; its ending says the format
  std::vector<ArchiveSource> sources;
  std::optional<double> mtime;  // seconds since 1970, of all entries; none: the files' own
  bool operator==(const ArchiveCreate&) const = default;
};

/// One host that the `git` permission allows.
struct GitHost {
  std::string host;  // lower case; for a wildcard what follows `*.`
  bool wildcard = false;
  uint64_t port = 0;               // 0: the scheme's own
  bool private_addresses = false;  // a person wrote this very host
  bool operator==(const GitHost&) const = default;
};

/// What a git operation may contact, and as whom.
struct GitAccess {
  std::vector<GitHost> hosts;
  std::vector<Place> repositories;  // on this machine, that it may fetch from or push to
  std::string user, password, token, ssh_key, passphrase;
  std::string known_hosts;  // OpenSSH's format
  bool accept_new = false;  // host keys that are not known; never ones that have changed
  std::string ca_file;      // PEM bundle; empty: the system's own
  bool operator==(const GitAccess&) const = default;
};

enum class GitOperation : uint8_t {
  clone,
  fetch,
  push,
  ls_remote,
  checkout,
  submodules,
  open,
  log,
  status,
  diff_names,
  add,
  commit,
  branch,
  tag,
};

/// One git operation; which members count depends on it.
struct GitRequest {
  GitOperation operation = GitOperation::open;
  Place folder;                    // the repository; for clone the empty folder that becomes one
  Place mirror;                    // of the URL, shared by runs; clone only
  std::string url;                 // clone, ls_remote
  std::string remote;              // fetch, push: a name, default origin
  std::string ref;                 // clone, checkout, log, branch, tag: branch, tag or commit
  std::string name;                // branch, tag
  std::string from, to;            // diff_names
  std::string message;             // commit, tag
  std::string author, email;       // commit, tag
  std::optional<double> time;      // commit, tag: seconds since 1970; none: now
  std::vector<std::string> items;  // add: paths; fetch, push: refspecs
  std::string path;                // log: only commits that change it
  uint64_t most = 0;               // log: how many
  bool force = false;              // checkout, branch, tag, push
  bool with_submodules = false;    // clone, checkout
  bool prune = false;              // fetch
  bool allow_empty = false;        // commit
  GitAccess access;
  bool operator==(const GitRequest&) const = default;
};

using Request = std::variant<ArchiveList, ArchiveExtract, ArchiveCreate, GitRequest>;

/// CBOR of {op, …}.
std::string encode(const Request& request);
/// Error `io.request`: not what encode() makes.
Result<Request> decode(std::string_view bytes);

/// The helper's frames. `value` is one encoded CBOR item.
std::string progress_frame(double done, double total, std::string_view text);
std::string ok_frame(std::string_view value);
std::string error_frame(const Error& error);

/// Reads an answer as it arrives, from a helper that may be anything.
class AnswerReader {
 public:
  using Progress = std::function<void(double done, double total, std::string_view text)>;
  explicit AnswerReader(Progress progress) : progress_(std::move(progress)) {}

  /// Error `io.protocol`: too large, malformed, or more than one answer; the helper is not worth waiting for.
  Result<void> feed(std::string_view bytes);
  /// To be called when stdout has ended: the encoded value, or the helper's error. Error `io.crashed` where
  /// no whole answer came.
  Result<std::string> finish();

 private:
  Result<void> take(std::string_view payload);

  Progress progress_;
  std::string buffer_;
  std::optional<Result<std::string>> answer_;
  uint32_t progresses_ = 0;
  bool broken_ = false;
};

}  // namespace pf::services::io
