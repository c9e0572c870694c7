#include "state/prune.h"

#include <algorithm>
#include <mutex>
#include <set>
#include <unordered_set>
#include <utility>

#include "state/layout.h"
#include "state/pairs.h"
#include "state/reading.h"
#include "state/rows.h"
#include "state/store.h"
#include "state/writer.h"

namespace pf::state {
namespace {

namespace fs = std::filesystem;

uint64_t size_of(const fs::path& path) {
  uint64_t out = 0;
  std::error_code code;
  if (!fs::is_directory(fs::symlink_status(path, code))) {
    const auto size = fs::file_size(path, code);
    return code ? 0 : size;
  }
  for (auto at = fs::recursive_directory_iterator(path, code);
       !code && at != fs::recursive_directory_iterator(); at.increment(code)) {
    if (!fs::is_regular_file(at->symlink_status(code))) continue;
    const auto size = at->file_size(code);
    if (!code) out += size;
  }
  return out;
}

uint64_t size_of_database(const Layout& layout) {
  return size_of(layout.database()) + size_of(layout.database().string() + "-wal");
}

/// One pruning, in one transaction.
class Pruning {
 public:
  explicit Pruning(Connection& connection) : connection_(connection) {}

  Result<void> remove(const std::vector<std::string>& ids) {
    auto find = connection_.prepare("SELECT run FROM runs WHERE id = ?1");
    if (!find) return tl::unexpected(find.error());
    for (const auto& id : ids) {
      find->reset();
      const int code = find->bind_text(1, id).step();
      if (code == SQLITE_ROW)
        going_.insert(find->number(0));
      else if (code != SQLITE_DONE)
        return tl::unexpected(connection_.error(code));
    }
    // Those that were removed before have rows that may be needed no longer.
    if (auto read = add_numbers("SELECT run FROM runs WHERE pruned = 1", going_); !read) return read;
    if (auto read = add_numbers("SELECT row FROM latest", needed_); !read) return read;
    if (auto read = find_reused(); !read) return read;
    for (const int64_t run : going_) {
      if (auto removed = remove_run(run); !removed) return removed;
    }
    // No row may ever have the number of one that is folded.
    return connection_.exec(
        "DELETE FROM contexts WHERE id NOT IN (SELECT context FROM instances WHERE context IS NOT NULL);"
        "DELETE FROM renamed WHERE row NOT IN (SELECT row FROM instances);"
        "UPDATE folded SET upto = min(upto, (SELECT coalesce(max(row), 0) FROM instances));");
  }

 private:
  template <class Set>
  Result<void> add_numbers(const char* sql, Set& out) {
    auto rows = connection_.prepare(sql);
    if (!rows) return tl::unexpected(rows.error());
    return each(connection_, *rows, [&](const Statement& row) -> Result<void> {
      out.insert(row.number(0));
      return {};
    });
  }

  Result<void> find_reused() {
    auto rows = connection_.prepare("SELECT run, pairs FROM reused");
    if (!rows) return tl::unexpected(rows.error());
    return each(connection_, *rows, [&](const Statement& row) -> Result<void> {
      if (going_.count(row.number(0)) != 0) return {};
      PairReader pairs(row.view(1));
      for (Pair pair; pairs.next(pair);) needed_.insert(pair.row);
      if (pairs.damaged()) return tl::unexpected(connection_.damaged("a list of reused results"));
      return {};
    });
  }

  Result<void> run(const char* sql, int64_t number) {
    auto statement = connection_.prepare(sql);
    if (!statement) return tl::unexpected(statement.error());
    const int code = statement->bind(1, number).run();
    if (code != SQLITE_OK) return tl::unexpected(connection_.error(code));
    return {};
  }

  Result<void> remove_run(int64_t run_row) {
    auto rows = connection_.prepare(
        "SELECT i.row FROM instances i, runs u WHERE u.run = ?1 AND i.row BETWEEN u.first_row AND "
        "coalesce(u.last_row, 9223372036854775807) AND i.run = u.run");
    if (!rows) return tl::unexpected(rows.error());
    rows->bind(1, run_row);
    std::vector<int64_t> unneeded;
    bool all = true;
    auto done = each(connection_, *rows, [&](const Statement& row) -> Result<void> {
      if (needed_.count(row.number(0)) == 0)
        unneeded.push_back(row.number(0));
      else
        all = false;
      return {};
    });
    if (!done) return done;
    for (const char* sql : {"DELETE FROM instances WHERE row = ?1", "DELETE FROM reads WHERE row = ?1",
                            "DELETE FROM sealed WHERE row = ?1"}) {
      auto statement = connection_.prepare(sql);
      if (!statement) return tl::unexpected(statement.error());
      for (const int64_t row : unneeded) {
        const int code = statement->bind(1, row).run();
        if (code != SQLITE_OK) return tl::unexpected(connection_.error(code));
      }
    }
    for (const char* sql : {"DELETE FROM attempts WHERE run = ?1", "DELETE FROM reused WHERE run = ?1",
                            "DELETE FROM attempt_ends WHERE run = ?1",
                            "DELETE FROM expansions WHERE run = ?1", "DELETE FROM hooks WHERE run = ?1"}) {
      if (auto removed = run(sql, run_row); !removed) return removed;
    }
    return run(all ? "DELETE FROM runs WHERE run = ?1"
                   : "UPDATE runs SET pruned = 1, details = '', cleanups = '' WHERE run = ?1",
               run_row);
  }

  Connection& connection_;
  std::set<int64_t> going_;
  std::unordered_set<int64_t> needed_;
};

// Everything up to now is folded, so that `latest` alone says what is needed.
Result<void> fold_all(const fs::path& folder) {
  Error failure;
  {
    WriterOptions options;
    options.fold_after = 0;
    auto writer = open_writer(
        folder, [](Writer::Callback callback) { callback(); },
        [&](Error error) { failure = std::move(error); }, options);
    if (!writer) return tl::unexpected(writer.error());
    // A write of nothing, after which it folds.
    (*writer)->move({}, {}, {}, {});
    if (auto drained = (*writer)->drain(); !drained) return drained;
  }
  if (!failure.code.empty()) return tl::unexpected(std::move(failure));
  return {};
}

Result<void> remove_rows(const fs::path& folder, const std::vector<std::string>& runs) {
  std::unique_lock exclusive(opening());
  const fs::path file = Layout(folder).database();
  auto connection = Connection::open(file, fs::absolute(file).string(), SQLITE_OPEN_READWRITE, nullptr,
                                     WriterOptions().patience);
  if (!connection) return tl::unexpected(connection.error());
  if (auto begun = connection->exec("BEGIN IMMEDIATE"); !begun) return begun;
  auto done = Pruning(*connection).remove(runs);
  if (done) done = connection->exec("COMMIT");
  if (!done) {
    if (sqlite3_get_autocommit(connection->get()) == 0) (void)connection->exec("ROLLBACK");
    return done;
  }
  // Without room for a second copy the space stays in the file, for what comes.
  if (auto vacuumed = connection->exec("VACUUM"); !vacuumed && vacuumed.error().code != "state.full") {
    return vacuumed;
  }
  return {};
}

}  // namespace

Result<std::vector<std::string>> prunable(const fs::path& state_folder, const PruneOptions& options) {
  auto reader = Reader::open(state_folder);
  if (!reader) return tl::unexpected(reader.error());
  auto runs = (*reader)->runs(options.pipeline, SIZE_MAX);
  if (!runs) return tl::unexpected(runs.error());
  std::vector<std::string> out;
  for (size_t i = 1; i < runs->size(); ++i) {
    const RunRecord& run = (*runs)[i];
    if (run.result == RunResult::none) continue;
    if (options.keep && i < *options.keep) continue;
    if (options.begun_before && run.started >= *options.begun_before) continue;
    out.push_back(run.id);
  }
  return out;
}

Result<Pruned> prune(const fs::path& state_folder, const std::vector<std::string>& runs) {
  Pruned out;
  out.runs = runs;
  if (runs.empty()) return out;
  const Layout layout(state_folder);
  uint64_t before = size_of_database(layout);
  if (auto folded = fold_all(state_folder); !folded) return tl::unexpected(folded.error());
  if (auto removed = remove_rows(state_folder, runs); !removed) return tl::unexpected(removed.error());
  uint64_t after = size_of_database(layout);
  for (const auto& id : runs) {
    const fs::path folder = layout.run(id);
    const uint64_t size = size_of(folder);
    std::error_code code;
    fs::remove_all(folder, code);
    if (code) return tl::unexpected(folder_error("cannot remove", folder, code.value()));
    before += size;
  }
  out.bytes = before > after ? before - after : 0;
  return out;
}

}  // namespace pf::state
