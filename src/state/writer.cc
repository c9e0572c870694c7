#include "state/writer.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <iterator>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "base/file.h"
#include "state/layout.h"
#include "state/reading.h"
#include "state/recorder.h"

namespace pf::state {
namespace {

namespace fs = std::filesystem;

class SqliteWriter final : public Writer {
 public:
  SqliteWriter(Recorder recorder, Post post, std::function<void(Error)> on_error,
               const WriterOptions& options)
      : recorder_(std::move(recorder)),
        post_(std::move(post)),
        on_error_(std::move(on_error)),
        window_(options.window),
        fold_after_(options.fold_after) {}

  ~SqliteWriter() override {
    if (thread_.joinable()) {
      {
        std::lock_guard lock(mutex_);
        stop_ = true;
      }
      wake_.notify_one();
      thread_.join();
    }
    std::unique_lock exclusive(opening());
    recorder_.reset();
  }

  Result<void> start() {
    // Signals belong to the loop's thread.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = 0;
    try {
      thread_ = std::thread([this] { work(); });
    } catch (const std::system_error& e) {
      code = e.code().value();
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (code != 0) return tl::unexpected(system_error("cannot start the thread that writes the state", code));
    return {};
  }

  void begin_run(const RunRecord& run, Callback on_durable) override {
    push({Begin{run}, std::move(on_durable)}, true);
  }
  void resume_run(const std::string& id, std::string details, Callback on_durable) override {
    push({Resume{id, std::move(details)}, std::move(on_durable)}, true);
  }
  void start_attempt(const AttemptRecord& attempt, WallTime at) override {
    push({Start{attempt, at}, {}}, false);
  }
  void end_attempt(AttemptEnd end, Callback on_durable) override {
    push({AttemptEnded{std::move(end)}, std::move(on_durable)}, false);
  }
  void finish_instance(InstanceRecord record, Callback on_durable) override {
    push({Finish{std::move(record)}, std::move(on_durable)}, false);
  }
  void reuse_instance(uint32_t instance, int64_t row, std::string address, Callback on_durable) override {
    bool wake = false;
    {
      std::lock_guard lock(mutex_);
      if (!failure_.code.empty()) return;
      wake = queue_.empty();
      // In thousands, one after the other: they need no entry each.
      Reuse* many = wake ? nullptr : std::get_if<Reuse>(&queue_.back().what);
      if (many == nullptr) {
        queue_.push_back({Reuse{}, {}});
        many = &std::get<Reuse>(queue_.back().what);
      }
      many->all.push_back({instance, row, std::move(address)});
      if (on_durable) many->on_durable.push_back(std::move(on_durable));
    }
    if (wake) wake_.notify_one();
  }
  void expanded(std::string group, std::string expansion, Callback on_durable) override {
    push({Expansion{std::move(group), std::move(expansion)}, std::move(on_durable)}, false);
  }
  void hook(HookRecord hook, Callback on_durable) override {
    push({Hooked{std::move(hook)}, std::move(on_durable)}, false);
  }
  void move(std::string pipeline, std::string from, std::string to, Callback on_durable) override {
    push({Move{std::move(pipeline), std::move(from), std::move(to)}, std::move(on_durable)}, false);
  }
  void cleanups_done(const std::string& id, Callback on_durable) override {
    push({CleanupsDone{id}, std::move(on_durable)}, false);
  }
  void finish_run(const std::string& id, RunResult result, WallTime at, std::string details,
                  Callback on_durable) override {
    push({End{id, result, at, std::move(details)}, std::move(on_durable)}, true);
  }

  Result<void> drain() override {
    std::unique_lock lock(mutex_);
    urgent_ = true;
    wake_.notify_one();
    idle_.wait(lock, [&] { return queue_.empty() && !busy_; });
    if (!failure_.code.empty()) return tl::unexpected(failure_);
    return {};
  }

 private:
  void push(Write write, bool urgent) {
    bool wake = urgent;
    {
      std::lock_guard lock(mutex_);
      if (!failure_.code.empty()) return;
      // While the queue holds something, the thread is awake or waits for its window to end.
      wake = wake || queue_.empty();
      urgent_ = urgent_ || urgent;
      queue_.push_back(std::move(write));
    }
    if (wake) wake_.notify_one();
  }

  void work() {
    bool folded = false;
    std::vector<Write> batch;
    std::unique_lock lock(mutex_);
    while (true) {
      if (!failure_.code.empty()) queue_.clear();
      busy_ = false;
      if (queue_.empty()) {
        idle_.notify_all();
        wake_.wait(lock, [&] { return !queue_.empty() || stop_; });
        if (queue_.empty()) return;
      }
      if (!urgent_ && !stop_) {
        wake_.wait_for(lock, window_, [&] { return urgent_ || stop_; });
      }
      urgent_ = false;
      busy_ = true;
      batch.swap(queue_);
      lock.unlock();
      auto done = recorder_->write(batch);
      if (done) report(batch);
      // After the first commit: the run has begun, and nobody waits for the next one yet.
      if (done && !std::exchange(folded, true)) done = recorder_->fold(fold_after_);
      if (!done) fail(std::move(done.error()));
      batch.clear();
      lock.lock();
    }
  }

  void fail(Error error) {
    {
      std::lock_guard lock(mutex_);
      failure_ = error;
    }
    post_([report = on_error_, error = std::move(error)] {
      if (report) report(error);
    });
  }

  // All callbacks of a commit travel as one.
  void report(std::vector<Write>& batch) {
    auto callbacks = std::make_shared<std::vector<Callback>>();
    for (auto& write : batch) {
      if (write.on_durable) callbacks->push_back(std::move(write.on_durable));
      if (auto* reuse = std::get_if<Reuse>(&write.what)) {
        std::move(reuse->on_durable.begin(), reuse->on_durable.end(), std::back_inserter(*callbacks));
      }
    }
    if (callbacks->empty()) return;
    post_([callbacks] {
      for (auto& callback : *callbacks) callback();
    });
  }

  // The writer thread's alone.
  std::optional<Recorder> recorder_;

  const Post post_;
  const std::function<void(Error)> on_error_;
  const Milliseconds window_;
  const int64_t fold_after_;

  std::mutex mutex_;              // guards what follows
  std::condition_variable wake_;  // something to write, or nothing to wait for any more
  std::condition_variable idle_;  // everything was written or failed
  std::vector<Write> queue_;
  bool busy_ = false;  // the thread is writing
  bool urgent_ = false;
  bool stop_ = false;
  Error failure_;  // the first one; nothing is written after it
  std::thread thread_;
};

bool wants_wal(const fs::path& folder, WriterOptions::Journal journal) {
  if (journal != WriterOptions::Journal::automatic) return journal == WriterOptions::Journal::wal;
  struct statfs info {};
  return ::statfs(folder.c_str(), &info) == 0 && !is_network_file_system(static_cast<uint64_t>(info.f_type));
}

// An empty file with our mode, which SQLite gives to the files beside it as well: outputs are nobody else's
// business.
Result<void> make_file(const fs::path& folder, const fs::path& file) {
  UniqueFd fd(::open(file.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd) {
    if (errno == EEXIST) return {};
    return tl::unexpected(folder_error("cannot make", file, errno));
  }
  UniqueFd above(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!above || ::fsync(above.get()) != 0) return tl::unexpected(folder_error("cannot make", file, errno));
  return {};
}

Result<void> set_journal(Connection& connection, bool wal) {
  const std::string wanted = wal ? "wal" : "delete";
  auto mode = connection.text("PRAGMA journal_mode");
  if (!mode) return tl::unexpected(mode.error());
  if (*mode != wanted) {
    auto set = connection.text(wal ? "PRAGMA journal_mode=WAL" : "PRAGMA journal_mode=DELETE");
    if (!set) return tl::unexpected(set.error());
    // A file system without shared memory keeps its rollback journal, and says so by the mode that it
    // answers.
    wal = *set == "wal";
  }
  // In DELETE mode only EXTRA makes the removal of the journal durable, without which a commit could be
  // undone.
  return connection.exec(wal ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=EXTRA");
}

Result<void> make_tables(Connection& connection, int64_t version) {
  const std::string script = "BEGIN IMMEDIATE;" + tables_since(version) +
                             "PRAGMA application_id=" + std::to_string(kApplicationId) +
                             ";PRAGMA user_version=" + std::to_string(kSchemaVersion) + ";COMMIT;";
  return connection.exec(script.c_str());
}

}  // namespace

Result<std::unique_ptr<Writer>> open_writer(const fs::path& state_folder, Writer::Post post,
                                            std::function<void(Error)> on_error,
                                            const WriterOptions& options) {
  const Layout layout(state_folder);
  if (auto made = layout.make_folder(); !made) return tl::unexpected(made.error());
  // What we refuse stays untouched, so it is first looked at through a connection that cannot write. What
  // else may be wrong then (no permission, a journal to roll back) shows below.
  auto looked = look(state_folder, [](Connection&) -> Result<void> { return {}; });
  if (!looked && (looked.error().code == "state.damaged" || looked.error().code == "state.newer" ||
                  looked.error().code == "file.not_regular")) {
    return tl::unexpected(looked.error());
  }
  std::unique_lock exclusive(opening());
  const fs::path file = layout.database();
  if (auto made = make_file(state_folder, file); !made) return tl::unexpected(made.error());
  auto connection = Connection::open(file, fs::absolute(file).string(), SQLITE_OPEN_READWRITE,
                                     options.vfs.empty() ? nullptr : options.vfs.c_str(), options.patience);
  if (!connection) return tl::unexpected(connection.error());
  if (sqlite3_db_readonly(connection->get(), "main") == 1) {
    return tl::unexpected(folder_error("cannot write", file, EACCES));
  }
  auto content = check_content(*connection);
  if (!content) return tl::unexpected(content.error());
  if (auto set = set_journal(*connection, wants_wal(state_folder, options.journal)); !set) {
    return tl::unexpected(set.error());
  }
  if (*content != Content::ours) {
    auto version = connection->number("PRAGMA user_version");
    if (!version) return tl::unexpected(version.error());
    auto made = make_tables(*connection, *version);
    if (!made) return tl::unexpected(made.error());
  }
  auto recorder = Recorder::make(std::move(*connection));
  if (!recorder) return tl::unexpected(recorder.error());
  auto writer =
      std::make_unique<SqliteWriter>(std::move(*recorder), std::move(post), std::move(on_error), options);
  if (auto started = writer->start(); !started) return tl::unexpected(started.error());
  return writer;
}

Result<std::unique_ptr<Writer>> Writer::open(const fs::path& state_folder, Post post,
                                             std::function<void(Error)> on_error) {
  return open_writer(state_folder, std::move(post), std::move(on_error), {});
}

}  // namespace pf::state
