// Inside the door: what the namespaces share. A Hall is the door's own part, an Attempt one session's. Both
// belong to the loop's thread, but for what is marked otherwise.
#pragma once

#include <asio/io_context.hpp>
#include <asio/thread_pool.hpp>
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/arguments.h"
#include "api/audit.h"
#include "api/door.h"
#include "api/paths.h"
#include "api/reads.h"
#include "api/secrets.h"
#include "api/versions.h"
#include "registry/calls.h"
#include "services/download.h"
#include "services/files.h"
#include "services/http.h"
#include "services/usage.h"

namespace pf::api {

/// The door's shared parts; what is heavy is made when first used.
class Hall {
 public:
  Hall(asio::io_context& event_loop, Sink& event_sink, std::filesystem::path audit_file,
       worker::Programs* all_programs, Secrets& all_secrets)
      : loop(event_loop),
        sink(event_sink),
        secrets(all_secrets),
        audit(std::move(audit_file), all_secrets.mask()),
        programs(all_programs),
        versions_(all_secrets, {}) {}
  ~Hall();
  Hall(const Hall&) = delete;
  Hall& operator=(const Hall&) = delete;

  asio::thread_pool& pool();  // two threads, for files
  /// `sha256:…` of a program's file, computed once while it stays as it is; nothing where it may be executed
  /// but not read. Called on the pool's threads.
  std::optional<std::string> program_version(const std::string& file) {
    auto version = versions_.content(file);
    return version ? std::optional(std::move(*version)) : std::nullopt;
  }
  services::Http& http();
  services::Downloads& downloads();

  asio::io_context& loop;
  Sink& sink;
  Secrets& secrets;
  Audit audit;
  worker::Programs* programs;  // null: none can be run
  uint32_t refused = 0;
  services::IoRunner* io = nullptr;
  std::filesystem::path cache;
  std::filesystem::path download_cache;  // empty: none

 private:
  services::Http::Post post();
  services::Http::After after();

  Versions versions_;  // of programs
  std::unique_ptr<asio::thread_pool> pool_;
  std::unique_ptr<services::Http> http_;
  std::unique_ptr<services::Downloads> downloads_;
};

/// An entry of the `http` permission, taken apart.
struct HostGrant {
  services::HostPattern pattern;
  bool literal = true;
};

class Streams;

/// One attempt's calls. Kept alive by its session and by what is under way for it; `open` tells whether an
/// answer is still wanted.
class Attempt {
 public:
  Attempt(Hall& door_hall, Caller who) : hall(door_hall), caller(std::move(who)) {
    for (const auto& input : caller.inputs) reads.add(input.what, input.name, input.version);
    for (const std::string& path : caller.derived) reads.wrote(path);
  }

  /// Records a refusal and returns it as the call's error. `tried` completes "ADDRESS tried forge.CALL: …";
  /// `entry` is what would have to stand in the list of `permission`.
  Error refuse(const registry::Call& call, registry::Permission permission, std::string_view tried,
               std::string_view target, std::string_view entry, int hop = 0);
  /// Records a permissioned call.
  void allow(const registry::Call& call, std::string_view target, std::string_view to = {}, int hop = 0);
  /// Counts a log line or progress report of so many bytes. False when it goes over the limit: the attempt is
  /// being ended, and nothing more of it is shown.
  bool may_log(size_t bytes);
  /// Ends the session: cancels what is under way.
  void close();
  /// What close(), or cancel() of that request, has to do for something under way, and of a program, how it
  /// gets a signal; forget() it when that has ended.
  uint64_t on_close(std::function<void()> cancel, uint32_t request = 0,
                    std::function<void(int signal)> interrupt = {});
  void forget(uint64_t id);
  bool cancel(uint32_t request);
  /// See Session::interrupt.
  bool interrupt(int signal, std::function<void()> ended);

  /// The work folder, made when first asked for, with an empty tmp/. Called on the pool's threads.
  Result<const services::Folder*> work();

  Hall& hall;
  const Caller caller;
  bool open = true;
  Session::Interrupted interrupted;
  std::atomic<bool> stop{false};                // read by the pool's threads
  std::shared_ptr<Streams> streams;             // of process.start, once there was one
  std::optional<std::vector<HostGrant>> hosts;  // the `http` grants, once they were needed
  Reads reads;
  const std::shared_ptr<services::Usage> usage = std::make_shared<services::Usage>();
  std::map<std::string, std::string> programs;  // that were run before: their files by name

 private:
  bool runs_programs() const;

  uint64_t logged_ = 0;
  struct UnderWay {
    uint32_t request = 0;
    std::function<void()> cancel;
    std::function<void(int signal)> interrupt;  // of programs
  };
  std::function<void()> programs_ended_;
  std::map<uint64_t, UnderWay> cancels_;
  uint64_t next_cancel_ = 1;
  std::mutex work_mutex_;  // guards work_
  std::optional<services::Folder> work_;
};

/// One call that was decoded and checked.
struct Request {
  std::shared_ptr<Attempt> attempt;
  const registry::Call& call;
  const Arguments& arguments;
  Session::Answer answer;
  uint32_t number = 0;  // the caller's; see Session::cancel
};

using Handler = void (*)(Request request);

/// A namespace's calls: names as in the registry.
struct Handled {
  std::string_view name;
  Handler handler;
};
std::span<const Handled> log_calls();
std::span<const Handled> fs_calls();
std::span<const Handled> http_calls();
std::span<const Handled> git_calls();
std::span<const Handled> archive_calls();
std::span<const Handled> download_calls();
std::span<const Handled> process_calls();
std::span<const Handled> env_calls();
std::span<const Handled> secret_calls();
std::span<const Handled> time_calls();

/// The line to add to extension.yaml: "add to FILE:\n  permissions:\n    http: [ENTRY]".
std::string grant_hint(const Caller& caller, registry::Permission permission, std::string_view entry);

/// The answer of calls that give nothing back: an encoded null.
std::string nothing();

}  // namespace pf::api
