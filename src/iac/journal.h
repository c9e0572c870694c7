// What an operation on a stack was about to do and has done, one JSON text a line, so that nothing is lost
// when the process dies between two writes of the stack's file.
// `{"journal":1,"base","lock","kind","started"}` comes first: `base` is the SHA-256 of the stack's file that
// it goes out from; then `{"begin":"creating","resource":{…}}`,
// `{"end":"creating","urn","id","resource":{…} or null}` (`id` as in the begin) and `{"note":{…}}`, with
// resources as in the stack's file, secrets encrypted.
#pragma once

#include <condition_variable>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "iac/deployment.h"
#include "iac/passphrase.h"

namespace pf::iac {

/// Makes appended texts durable on a thread of its own, many at once: what waits while one fsync lasts shares
/// the next. Calls from any thread.
class Syncer {
 public:
  using Callback = std::function<void(Result<void>)>;
  /// `post` brings a callback to where it is to run; called on the syncer's thread.
  explicit Syncer(std::function<void(std::function<void()>)> post);
  /// Writes what there is first.
  ~Syncer();
  /// Appends to a file. `durable` (may be empty) hears of it after its fsync; without one no fsync is waited
  /// for.
  void append(std::shared_ptr<UniqueFd> file, std::string text, Callback durable);

 private:
  struct Item {
    std::shared_ptr<UniqueFd> file;
    std::string text;
    Callback durable;
  };
  void work();

  std::function<void(std::function<void()>)> post_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Item> items_;
  bool ending_ = false;
  std::thread thread_;
};

struct JournalHeader {
  std::string base;  // SHA-256 of the stack's file, in hex; empty: there was none
  std::string lock;  // name of the lock's file
  std::string kind;  // update, destroy, …
  std::string started;
};

/// Of one operation, on one thread.
class FileJournal final : public Journal {
 public:
  /// Makes the file, durably, with its header. `key` encrypts secrets (null: there is none, and a secret ends
  /// the step). Errors `os.*`.
  static Result<std::unique_ptr<FileJournal>> make(const std::filesystem::path& file,
                                                   const JournalHeader& header,
                                                   std::shared_ptr<const PassphraseKey> key, Syncer& syncer);
  void begin(const PendingOperation& intent, std::function<void(Result<void>)> go) override;
  void end(const PendingOperation& intent, const Resource* now) override;
  void note(const Resource& resource) override;
  /// Its ciphertexts, so that the stack's file has the same.
  const std::map<std::string, std::string>& ciphertexts() const { return ciphertexts_; }

 private:
  FileJournal(std::shared_ptr<UniqueFd> file, std::shared_ptr<const PassphraseKey> key, Syncer& syncer)
      : file_(std::move(file)), key_(std::move(key)), syncer_(syncer) {}
  Result<std::string> printed(const Resource& resource);

  std::shared_ptr<UniqueFd> file_;
  std::shared_ptr<const PassphraseKey> key_;
  Syncer& syncer_;
  std::map<std::string, std::string> ciphertexts_;
};

/// A journal as it was found.
struct KeptJournal {
  struct Entry {
    enum class Kind : uint8_t { begin, end, note } kind = Kind::begin;
    PendingOperation::Type type = PendingOperation::Type::creating;  // begin, end
    Urn urn;
    std::string id;                    // that the resource had at the begin
    std::optional<Resource> resource;  // end: none where it is gone
  };
  JournalHeader header;
  std::vector<Entry> entries;
};
/// nullopt: there is none. A last line that was cut off is passed over: nobody was told that it was durable.
/// Error `stack.journal`.
Result<std::optional<KeptJournal>> read_journal(const std::filesystem::path& file);

/// The stack as the journal's process left it: what it did, what it did not touch, and as pending operations
/// what nobody knows the end of. `base` is the snapshot of the journal's base file.
Snapshot replay(Snapshot base, const KeptJournal& journal);

}  // namespace pf::iac
