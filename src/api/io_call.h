// Calls that the io helper does: paths are checked on paper on the loop's thread and opened on the door's
// pool, the helper works in the folders that came of it, and what it made is put in place on the pool again.
// What appears under a new name appears whole: it is made in a folder beside it, which is renamed.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "api/granted_path.h"
#include "services/io_protocol.h"
#include "services/io_runner.h"

namespace pf::api {

/// Opens what the call's paths mean, on the pool; `i` is a path's place in IoPlan::paths.
class IoFolders {
 public:
  IoFolders(Attempt& attempt, const std::vector<GrantedPath>& paths) : attempt_(attempt), paths_(paths) {}
  ~IoFolders();
  IoFolders(const IoFolders&) = delete;
  IoFolders& operator=(const IoFolders&) = delete;

  /// A file or folder that the helper reads.
  Result<services::io::Place> read(size_t i);
  /// A folder that is there, in which the helper writes.
  Result<services::io::Place> write(size_t i);
  /// A folder that will be there: an empty one beside it. Errors: `<family>.exists` unless nothing, or an
  /// empty folder, is there.
  Result<services::io::Place> fresh(size_t i, const std::string& family);
  /// A folder beside a file that will be there, in which the helper makes the file under `name()`.
  Result<services::io::Place> fresh_file(size_t i);
  /// The last part of the path of fresh() or fresh_file().
  const std::string& name() const { return name_; }
  /// A folder of the program's own, made where it is missing, in which the helper writes.
  Result<services::io::Place> own(const std::filesystem::path& folder);

  /// Puts what was made in place.
  Result<void> publish(const std::string& family);
  /// Takes away what is not in place.
  void discard();
  /// The path of what is in the making and the path that it will have, for messages.
  void rename_in(std::string& message) const;

  std::vector<services::IoGrant> reads, writes;
  size_t culprit = 0;  // the path that was opened last

 private:
  Result<OpenPlace> open(size_t i);
  Result<services::io::Place> draft(size_t i);
  static services::io::Place grant(services::Located located, std::vector<services::IoGrant>& to);

  Attempt& attempt_;
  const std::vector<GrantedPath>& paths_;
  std::optional<services::Folder> parent_;  // of what is in the making
  std::string temporary_, name_;
  std::string temporary_path_, path_;
  bool file_ = false;
};

/// One call.
struct IoPlan {
  std::shared_ptr<Attempt> attempt;
  const registry::Call* call = nullptr;
  Session::Answer answer;
  std::vector<GrantedPath> paths;
  std::string family;     // of error codes: "git", "archive"
  bool makes = false;     // every path that is written becomes the attempt's own
  bool contents = false;  // the content of every path that is read counts as read
  /// On the pool: what to ask the helper for.
  std::function<Result<services::io::Request>(IoFolders& folders)> prepare;
  /// On the loop: what becomes of the helper's answer; empty: it is the call's. The attempt is still open.
  std::function<void(Result<std::string> value, Session::Answer answer)> finish;
  bool network = false;
  Milliseconds timeout{0};
  uint32_t number = 0;  // the caller's
};

void run_io(IoPlan plan);

/// Options of a call, decoded; an empty table where there are none.
Json io_options(const Request& request, size_t argument);
/// A text in them, also one that is no UTF-8; empty where there is none.
std::string text_option(const Json& options, const char* name);
bool flag_option(const Json& options, const char* name);
/// A list of texts. Error `call.argument`.
Result<std::vector<std::string>> texts_of(const registry::Call& call, const Json& value, const char* name);
/// The `timeout` in seconds, from 0.1 to 86400. Error `call.argument`.
Result<Milliseconds> timeout_option(const registry::Call& call, const Json& options, double otherwise);

}  // namespace pf::api
