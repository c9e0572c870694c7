// What the tests of this floor share: a fresh folder, an unprivileged child, and a loop that runs callbacks
// on demand.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <mutex>
#include <sstream>
#include <string>
#include <vector>

#include "base/digest.h"
#include "state/store.h"
#include "state/writer.h"

namespace pf::state {

/// A folder below the temporary one, removed at the end.
class TempFolder {
 public:
  TempFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "pf-state-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
    path_ = name;
  }
  TempFolder(const TempFolder&) = delete;
  ~TempFolder() {
    std::error_code code;
    std::filesystem::remove_all(path_, code);
  }
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

inline std::string content_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

inline void put(const std::filesystem::path& file, const std::string& content) {
  std::ofstream(file, std::ios::binary) << content;
}

/// Names of a folder's files, each with the digest of its content.
inline std::map<std::string, std::string> snapshot(const std::filesystem::path& folder) {
  std::map<std::string, std::string> out;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    out[entry.path().filename().string()] =
        entry.is_regular_file() ? sha256_hex(content_of(entry.path())) : "folder";
  }
  return out;
}

/// Runs `body` in a child, as uid 65534 where we are root; returns what it returned (at most 255), or minus
/// the signal.
inline int in_child(bool unprivileged, const std::function<int()>& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (unprivileged && ::getuid() == 0 && (::setgid(65534) != 0 || ::setuid(65534) != 0)) ::_exit(254);
    ::_exit(body());
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/// What an event loop is to the writer: keeps callbacks until they are asked for.
class Loop {
 public:
  Writer::Post post() {
    return [this](Writer::Callback callback) {
      std::lock_guard lock(mutex_);
      waiting_.push_back(std::move(callback));
    };
  }
  std::function<void(Error)> on_error() {
    return [this](Error error) { errors.push_back(std::move(error)); };
  }
  /// Runs what is waiting.
  void run() {
    std::vector<Writer::Callback> now;
    {
      std::lock_guard lock(mutex_);
      now.swap(waiting_);
    }
    for (auto& callback : now) callback();
  }
  Writer::Callback note(const std::string& text) {
    return [this, text] { notes.push_back(text); };
  }

  std::vector<Error> errors;
  std::vector<std::string> notes;

 private:
  std::mutex mutex_;
  std::vector<Writer::Callback> waiting_;
};

/// Nothing is committed before somebody asks for it.
inline WriterOptions patient() {
  WriterOptions options;
  options.window = std::chrono::hours(1);
  return options;
}

inline std::unique_ptr<Writer> writer(const std::filesystem::path& folder, Loop& loop,
                                      const WriterOptions& options = patient()) {
  auto opened = open_writer(folder, loop.post(), loop.on_error(), options);
  EXPECT_TRUE(opened) << opened.error().text();
  return opened ? std::move(*opened) : nullptr;
}

inline std::unique_ptr<Reader> reader(const std::filesystem::path& folder) {
  auto opened = Reader::open(folder);
  EXPECT_TRUE(opened) << opened.error().text();
  return opened ? std::move(*opened) : nullptr;
}

constexpr WallTime at(int64_t milliseconds) { return WallTime(std::chrono::milliseconds(milliseconds)); }

inline RunRecord run_of(const std::string& id, const std::string& pipeline = "p", uint32_t instances = 3) {
  RunRecord run;
  run.id = id;
  run.pipeline = pipeline;
  run.file = "/data/p.yaml";
  run.started = at(1000);
  run.instances = instances;
  return run;
}

inline InstanceRecord finished(uint32_t instance, const std::string& address,
                               InstanceResult result = InstanceResult::succeeded,
                               const std::string& outputs = {}) {
  InstanceRecord record;
  record.instance = instance;
  record.address = address;
  record.result = result;
  record.attempts = 1;
  record.started = at(2000);
  record.duration = Milliseconds(5);
  record.outputs = outputs;
  return record;
}

/// Writes one whole run and ends.
inline void write_run(const std::filesystem::path& folder, const std::string& id,
                      const std::vector<InstanceRecord>& records, const WriterOptions& options = patient()) {
  Loop loop;
  auto out = writer(folder, loop, options);
  ASSERT_TRUE(out);
  out->begin_run(run_of(id), {});
  ASSERT_TRUE(out->drain());
  for (const auto& record : records) out->finish_instance(record, {});
  out->finish_run(id, RunResult::succeeded, at(9000), "", {});
  auto drained = out->drain();
  ASSERT_TRUE(drained) << drained.error().text();
}

}  // namespace pf::state
