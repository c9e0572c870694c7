// Runs programs as a user would and gives back what they printed; temporary folders with files in them.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace pf::test {

/// What a program printed and how it ended.
struct Output {
  int code = -1;  // exit code, or 128 + signal
  std::string out, err;
  bool timed_out = false;  // killed by us after the limit
  uint64_t max_rss = 0;    // bytes of memory at most, of the program's own process
};

/// A fresh folder below /tmp, removed at the end.
class Folder {
 public:
  Folder();
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const std::filesystem::path& path() const { return path_; }
  /// Writes a file, making its folders.
  void write(const std::string& name, const std::string& text) const;
  std::string read(const std::string& name) const;

 private:
  std::filesystem::path path_;
};

/// A program that runs: for tests that send signals or look at it from outside. The destructor kills it.
class Process {
 public:
  struct Options {
    std::vector<std::string> argv;
    std::filesystem::path folder = ".";
    std::map<std::string, std::string> environment;  // added to ours
    uid_t uid = 0;                                   // dropped to when not 0
    uint64_t processes = 0;  // that its user may have (RLIMIT_NPROC), and with them it; 0: as we may
  };
  explicit Process(Options options);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  pid_t pid() const { return pid_; }
  void send(int signal) const;
  /// Reads stdout until `seen` says that it has seen enough; false when the program ended or the limit passed
  /// first.
  bool wait_for(const std::function<bool(const std::string& out)>& seen,
                std::chrono::seconds limit = std::chrono::seconds(60));
  /// Waits for the end; after the limit the program is killed.
  Output finish(std::chrono::seconds limit = std::chrono::seconds(120));

 private:
  bool pump(int timeout_ms);
  pid_t pid_ = -1;
  int out_fd_ = -1;
  int err_fd_ = -1;
  Output output_;
};

/// Runs to the end.
Output run(Process::Options options);
/// A user who is nobody else, for programs that could do harm if the sandbox failed; 0 where we are no root,
/// and such a user already.
uid_t unprivileged_user();
/// The program under test; its build folder's `bin/`.
std::string program();

}  // namespace pf::test
