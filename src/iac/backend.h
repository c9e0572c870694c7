// The folders and files of Pulumi's DIY file backend below one folder, as the CLI keeps them (pulumi/pulumi,
// pkg/backend/diy): stacks, their backups and history, and locks. Private to the owner (0700, 0600); every
// file is written as a whole, synced, and renamed. Any thread; of one stack one call at a time, but for
// lock() and read(), which tell of other processes, too.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "iac/engine.h"
#include "iac/snapshot.h"

namespace pf::iac {

/// A stack's file as it was found.
struct StackFile {
  std::string text;
  Snapshot snapshot;
};

/// What took place, for the history that `pulumi stack history` prints (pkg/backend/updates.go).
struct UpdateInfo {
  std::string kind;  // update, preview, refresh, destroy, import, …
  std::string message;
  WallTime started{}, ended{};
  std::map<std::string, std::string> environment;
  Json config;  // an object
  bool succeeded = false;
  std::map<std::string, uint32_t> changes;  // by operation: create, update, delete, same, …
};

struct HeldLocks;

class Backend {
 public:
  /// Below `folder`/.pulumi. `clock` is not owned.
  Backend(const std::filesystem::path& folder, const Clock& clock);

  /// The stack's file, its integrity checked; nullopt when there is none. Errors `stack.name`,
  /// `stack.damaged`, `stack.unsupported`, `os.*`.
  Result<std::optional<StackFile>> read(const StackId& id) const;
  /// Replaces the stack's file, durably; `before` (null: there was none) goes to its `.bak`. Errors `os.*`,
  /// `state.full`, `state.read_only`: then it is as it was.
  Result<void> write(const StackId& id, const std::string* before, std::string_view after) const;
  /// Takes the stack's file and its history away; its `.bak` and its backups stay, as `pulumi stack rm`
  /// leaves them.
  Result<void> remove(const StackId& id) const;
  /// The stacks of a project, by name.
  Result<std::vector<StackId>> list(const std::string& project) const;

  /// Held while a stack is changed; gives itself back at its end.
  class Lock {
   public:
    Lock(Lock&& other) noexcept = default;
    Lock& operator=(Lock&&) = delete;
    ~Lock();
    const std::filesystem::path& file() const { return file_; }

   private:
    friend class Backend;
    Lock(std::filesystem::path file, std::shared_ptr<HeldLocks> held)
        : file_(std::move(file)), held_(std::move(held)) {}
    std::filesystem::path file_;
    std::shared_ptr<HeldLocks> held_;  // null: it was moved from
  };
  /// Takes the lock of a stack as the CLI does: looks, writes its own file, looks again. One of this program
  /// on this host that is none of this object's was left by a process that died, and is removed: whoever
  /// calls this holds the state folder. Errors `stack.locked` (names who), `os.*`.
  Result<Lock> lock(const StackId& id) const;

  /// Keeps what took place, with the stack's file as it is now, and a backup of that file. Error `os.*`.
  Result<void> record(const StackId& id, const UpdateInfo& update, std::string_view text) const;
  /// The newest first. Errors `stack.damaged`, `os.*`.
  Result<std::vector<UpdateInfo>> history(const StackId& id) const;

  std::filesystem::path file_of(const StackId& id) const;

 private:
  Result<void> check_meta(bool make) const;
  Result<void> check_locks(const StackId& id, const std::filesystem::path& own) const;
  std::filesystem::path locks_of(const StackId& id) const;
  std::filesystem::path history_of(const StackId& id) const;

  std::filesystem::path root_;
  const Clock& clock_;
  std::shared_ptr<HeldLocks> held_;
};

/// RFC 9562, version 4.
std::string random_uuid();

}  // namespace pf::iac
