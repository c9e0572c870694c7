#include "state/writer.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <variant>

#include "base/file.h"
#include "state/layout.h"
#include "state/reading.h"

namespace pf::state {
namespace {

namespace fs = std::filesystem;

struct Begin {
  RunRecord run;
};
struct Start {
  AttemptRecord attempt;
  WallTime at;
};
struct Finish {
  InstanceRecord record;
};
struct End {
  std::string id;
  RunResult result;
  WallTime at;
  std::string details;
};

/// One queued write.
struct Write {
  std::variant<Begin, Start, Finish, End> what;
  Writer::Callback on_durable;
};

/// The prepared statements, one for each kind of write.
struct Statements {
  Statement begin, commit, begin_run, start, finish, reads, end_run, last_rows;
};

class SqliteWriter final : public Writer {
 public:
  SqliteWriter(Connection connection, Statements statements, Post post, std::function<void(Error)> on_error,
               const WriterOptions& options)
      : connection_(std::move(connection)),
        sql_(std::move(statements)),
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
    sql_ = {};
    connection_ = {};
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
  void start_attempt(const AttemptRecord& attempt, WallTime at) override {
    push({Start{attempt, at}, {}}, false);
  }
  void finish_instance(InstanceRecord record, Callback on_durable) override {
    push({Finish{std::move(record)}, std::move(on_durable)}, false);
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
      auto done = write(batch);
      if (done) report(batch);
      // After the first commit: the run has begun, and nobody waits for the next one yet.
      if (done && !std::exchange(folded, true)) done = fold();
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
    }
    if (callbacks->empty()) return;
    post_([callbacks] {
      for (auto& callback : *callbacks) callback();
    });
  }

  Result<void> write(std::vector<Write>& batch) {
    mark_finished(batch);
    int code = sql_.begin.run();
    Error order;
    for (auto& write : batch) {
      if (code != SQLITE_OK || !order.code.empty()) break;
      code = std::visit([&](auto& what) { return apply(what, order); }, write.what);
    }
    if (code == SQLITE_OK && order.code.empty()) code = sql_.commit.run();
    if (code == SQLITE_OK && order.code.empty()) return {};
    if (order.code.empty()) order = connection_.error(code);
    if (sqlite3_get_autocommit(connection_.get()) == 0) (void)connection_.exec("ROLLBACK");
    return tl::unexpected(std::move(order));
  }

  // An attempt whose instance ends in the same commit needs no row of its own. `marks_` tells by instance in
  // which run of which batch it ends.
  void mark_finished(const std::vector<Write>& batch) {
    first_mark_ = mark_ + 1;
    ++mark_;
    for (const auto& write : batch) {
      if (std::holds_alternative<Begin>(write.what)) ++mark_;
      const auto* finish = std::get_if<Finish>(&write.what);
      if (finish == nullptr) continue;
      const size_t instance = finish->record.instance;
      if (instance >= marks_.size()) marks_.resize(std::max(instance + 1, marks_.size() * 2));
      marks_[instance] = mark_;
    }
    applying_ = first_mark_;
  }

  int apply(Begin& begin, Error&) {
    ++applying_;
    const RunRecord& run = begin.run;
    int code = sql_.last_rows.step();
    if (code != SQLITE_ROW) {
      sql_.last_rows.reset();
      return code;
    }
    const int64_t first_row = sql_.last_rows.number(0) + 1;
    const int64_t first_attempt = sql_.last_rows.number(1) + 1;
    sql_.last_rows.reset();
    sql_.begin_run.bind_text(1, run.id)
        .bind_text(2, run.pipeline)
        .bind_text(3, run.file)
        .bind(4, to_micros(run.started))
        .bind(5, run.instances)
        .bind(6, first_row)
        .bind(7, first_attempt)
        .bind_text(8, run.details);
    code = sql_.begin_run.run();
    if (code == SQLITE_OK) run_ = sqlite3_last_insert_rowid(connection_.get());
    return code;
  }

  int apply(Start& start, Error& order) {
    const size_t instance = start.attempt.instance;
    if (instance < marks_.size() && marks_[instance] == applying_) return SQLITE_OK;
    if (run_ == 0) return out_of_order(order, "an attempt was started");
    sql_.start.bind(1, run_)
        .bind(2, start.attempt.instance)
        .bind(3, start.attempt.attempt)
        .bind(4, to_micros(start.at))
        .bind_text(5, start.attempt.address);
    return sql_.start.run();
  }

  int apply(Finish& finish, Error& order) {
    if (run_ == 0) return out_of_order(order, "an instance ended");
    const InstanceRecord& record = finish.record;
    sql_.finish.bind(1, run_)
        .bind(2, record.instance)
        .bind(3, static_cast<int64_t>(record.result))
        .bind(4, record.attempts)
        .bind(5, to_micros(record.started))
        .bind(6, record.duration.count())
        .bind(7, static_cast<int64_t>(record.cpu_us))
        .bind(8, static_cast<int64_t>(record.peak_bytes))
        .bind_text(9, record.address)
        .bind_text(10, record.blocked_by)
        .bind_text(11, record.error)
        .bind_blob(12, record.outputs);
    const int code = sql_.finish.run();
    if (code != SQLITE_OK || record.reads.empty()) return code;
    sql_.reads.bind(1, sqlite3_last_insert_rowid(connection_.get())).bind_text(2, record.reads);
    return sql_.reads.run();
  }

  int apply(End& end, Error& order) {
    sql_.end_run.bind_text(1, end.id)
        .bind(2, static_cast<int64_t>(end.result))
        .bind(3, to_micros(end.at))
        .bind_text(4, end.details);
    const int code = sql_.end_run.run();
    if (code == SQLITE_OK && sqlite3_changes(connection_.get()) == 0) {
      return out_of_order(order, "the run " + end.id + " ended");
    }
    run_ = 0;
    return code;
  }

  int out_of_order(Error& order, const std::string& what) {
    order.code = "state.failed";
    order.message = "cannot write " + connection_.file().string() + ": " + what + " that was never begun";
    order.hint = "report this with the message";
    return SQLITE_OK;
  }

  // Brings `latest` up to the rows of earlier runs, once there are many: so much a reader may have to scan.
  Result<void> fold() {
    auto upto = connection_.number("SELECT upto FROM folded");
    if (!upto) return tl::unexpected(upto.error());
    auto last = connection_.number("SELECT max(row) FROM instances");
    if (!last) return tl::unexpected(last.error());
    if (*last - *upto < fold_after_) return {};
    const std::string script =
        "BEGIN IMMEDIATE;"
        "INSERT OR REPLACE INTO latest SELECT r.pipeline, i.address, i.row FROM instances i CROSS JOIN runs "
        "r "
        "ON r.run = i.run WHERE i.row > " +
        std::to_string(*upto) + " AND i.row <= " + std::to_string(*last) +
        " AND i.result = " + std::to_string(static_cast<int>(InstanceResult::succeeded)) +
        " ORDER BY i.row; UPDATE folded SET upto = " + std::to_string(*last) + "; COMMIT;";
    auto done = connection_.exec(script.c_str());
    if (!done && sqlite3_get_autocommit(connection_.get()) == 0) (void)connection_.exec("ROLLBACK");
    return done;
  }

  // The writer thread's alone.
  Connection connection_;
  Statements sql_;
  int64_t run_ = 0;              // row of the run that goes on; 0: none
  std::vector<uint64_t> marks_;  // by instance
  uint64_t mark_ = 0, first_mark_ = 0, applying_ = 0;

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

Result<Statements> prepare(Connection& connection) {
  Statements out;
  const std::pair<Statement*, const char*> all[] = {
      {&out.begin, "BEGIN IMMEDIATE"},
      {&out.commit, "COMMIT"},
      {&out.begin_run,
       "INSERT INTO runs(id, pipeline, file, started, instances, first_row, first_attempt, details) "
       "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"},
      {&out.start,
       "INSERT INTO attempts(run, instance, attempt, started, address) VALUES(?1, ?2, ?3, ?4, ?5)"},
      {&out.finish,
       "INSERT INTO instances(run, instance, result, attempts, started, duration, cpu, peak, address, "
       "blocked_by, "
       "error, outputs) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"},
      {&out.reads, "INSERT INTO reads(row, list) VALUES(?1, ?2)"},
      {&out.end_run,
       "UPDATE runs SET result = ?2, finished = ?3, last_row = (SELECT coalesce(max(row), 0) FROM "
       "instances), "
       "details = CASE ?4 WHEN '' THEN details ELSE ?4 END WHERE id = ?1"},
      {&out.last_rows,
       "SELECT coalesce((SELECT max(row) FROM instances), 0), coalesce((SELECT max(row) FROM attempts), 0)"},
  };
  for (const auto& [statement, sql] : all) {
    auto prepared = connection.prepare(sql);
    if (!prepared) return tl::unexpected(prepared.error());
    *statement = std::move(*prepared);
  }
  return out;
}

// All or nothing: a process that dies on the way leaves what was there.
Result<void> make_tables(Connection& connection, const char* tables) {
  const std::string script = "BEGIN IMMEDIATE;" + std::string(tables) +
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
    auto made = make_tables(*connection, *content == Content::nothing ? kSchema : kFromVersion1);
    if (!made) return tl::unexpected(made.error());
  }
  auto statements = prepare(*connection);
  if (!statements) return tl::unexpected(statements.error());
  auto writer = std::make_unique<SqliteWriter>(std::move(*connection), std::move(*statements),
                                               std::move(post), std::move(on_error), options);
  if (auto started = writer->start(); !started) return tl::unexpected(started.error());
  return writer;
}

Result<std::unique_ptr<Writer>> Writer::open(const fs::path& state_folder, Post post,
                                             std::function<void(Error)> on_error) {
  return open_writer(state_folder, std::move(post), std::move(on_error), {});
}

}  // namespace pf::state
