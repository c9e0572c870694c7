// The one door between sandboxed extensions and the world: every host call that runs in the core passes it,
// where permission is checked, the call recorded, and the result bounded. Belongs to the io_context's thread;
// file work is done on a small pool of its own, HTTP in the net module's thread.
#pragma once

#include <asio/io_context.hpp>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/json_fwd.h"

namespace pf::services {
class IoRunner;
class Usage;
}  // namespace pf::services
namespace pf::worker {
class Programs;
}

namespace pf::api {

class Secrets;

/// What the permissions of a manifest come to for one instance: every `${config.x}` is replaced already.
struct Grants {
  struct Entry {
    std::string value;    // host, host:port, *.host, URL; an absolute path; a name
    bool literal = true;  // written by a person (manifest, or a literal in the instance's config)
  };
  struct Program {
    std::string name;  // plain, as found on PATH
    bool network = false;
    bool confined = true;
  };
  std::vector<Entry> read, write, http;
  std::vector<Entry> git{};  // host, host:port, *.host
  std::vector<Program> programs{};
  std::vector<std::string> env{};  // names of environment variables
  std::vector<std::string> secrets{};
  bool shm = false, pty = false;  // words of `write`, for programs
};

/// Who calls: one attempt of one instance.
struct Caller {
  uint32_t index = 0;  // the instance's, for the sink
  std::string address;
  std::string extension;              // package name; of a hook its script
  std::string manifest;               // path of its extension.yaml, for hints
  std::filesystem::path work_folder;  // made when first needed; `tmp/` in it is emptied at its first use
  uint32_t attempt = 1;
  Grants grants;
  std::vector<std::string>
      derived{};  // granted paths that what was read already explains: no inputs of their own
  /// What it reads in any case: paths that its configuration names, and inputs that its manifest declares.
  struct Input {
    std::string what;  // as api/reads.h has it: `file`, `inputs`
    std::string name;
    std::optional<std::string> version;
  };
  std::vector<Input> inputs{};
  uint32_t calls = 64;         // that may be under way at once; also programs of process.start
  uint64_t log = 16ULL << 20;  // bytes of log lines and progress that it may send; see log_cost()
  /// Of a hook: the line that the hints of refusals begin with, in place of "add to MANIFEST:". Empty: no
  /// hook.
  std::string hook{};
  /// Ends the attempt with this error, for what it did. Called at most once, from inside Session::call.
  std::function<void(Error)> fail{};
};

/// What a log line or a progress report with so many bytes of text and fields counts.
inline uint64_t log_cost(size_t bytes) { return bytes + 64; }

/// Where log lines, progress and refusals go.
class Sink {
 public:
  virtual ~Sink() = default;
  virtual void log(uint32_t index, int level, std::string_view text,
                   const Json* fields) = 0;  // 0 debug … 3 error
  virtual void progress(uint32_t index, double done, double total, std::string_view text) = 0;
  virtual void refused(uint32_t index, std::string_view call, const Error& error) = 0;
};

/// One caller's calls. Destroying it cancels what is under way; no callback comes afterwards.
class Session {
 public:
  using Answer = std::function<void(Result<std::string>)>;  // CBOR of the result
  virtual ~Session() = default;
  /// `arguments` is an encoded CBOR array from the sandbox: nothing in it is trusted. Calls that reply
  /// (registry) answer exactly once, on the loop's thread, possibly before call() returns.
  /// `request` is the caller's number for it, for cancel(); 0: it cannot be cancelled.
  virtual void call(int call, std::string_view arguments, Answer answer, uint32_t request = 0) = 0;
  /// Ends what a call has under way: a request, a download, a program, a clone. True: it is ended, and its
  /// answer will not come. False: it ends, and answers, in its own time.
  virtual bool cancel(uint32_t request) = 0;
  /// Sends SIGINT or SIGTERM to the programs that run (process.run, process.start), to each such a signal
  /// once. False: none runs. True: `ended`, where there is one, is called later, when none runs any more; the
  /// last one given counts.
  virtual bool interrupt(int signal, std::function<void()> ended = {}) = 0;
  /// What came of interrupt().
  struct Interrupted {
    bool told = false;   // a program was sent a signal
    bool broke = false;  // and one of those has ended otherwise than with status 0
  };
  virtual Interrupted interrupted() const = 0;
  /// What the calls read so far: JSON objects with commas between them; see api/reads.h.
  virtual std::string reads() const = 0;
  /// What the calls used so far; valid as long as the session.
  virtual const services::Usage& usage() const = 0;
};

class Door {
 public:
  /// `audit_file`: every permissioned call and every refusal is appended there as a JSON line; empty: none is
  /// kept.
  /// `secrets` and `programs` outlive the door. `programs` null: none can be run.
  static std::unique_ptr<Door> make(asio::io_context& loop, Sink& sink, std::filesystem::path audit_file,
                                    Secrets& secrets, worker::Programs* programs = nullptr);
  virtual ~Door() = default;
  virtual std::unique_ptr<Session> open(Caller caller) = 0;
  /// What git and archive calls run through; it outlives the door. `cache` is the folder that mirrors of
  /// repositories are kept in, shared by runs; empty: none are kept.
  virtual void set_io(services::IoRunner& runner, std::filesystem::path cache) = 0;
  /// Where downloads with a known SHA-256 are kept, shared by runs. Before the first call.
  virtual void set_download_cache(std::filesystem::path folder) = 0;
  virtual uint32_t refused() const = 0;
};

}  // namespace pf::api
