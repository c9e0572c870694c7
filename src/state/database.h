// SQLite behind values: a connection, a prepared statement, the schema, and the mapping of SQLite's errors to
// ours. Inside the floor only. A Connection and its Statements belong to one thread at a time.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"

namespace pf::state {

/// The layout of the tables, in PRAGMA user_version. A file with a greater one is refused untouched.
inline constexpr int kSchemaVersion = 3;
/// PRAGMA application_id of our files: `pfog`.
inline constexpr int kApplicationId = 0x70666f67;

/// One prepared statement. Text and blobs are bound without a copy: they live until reset() or the next step.
class Statement {
 public:
  Statement() = default;
  explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}

  Statement& bind(int index, int64_t value);
  Statement& bind_text(int index, std::string_view value);
  Statement& bind_blob(int index, std::string_view value);
  Statement& bind_null(int index);
  /// SQLITE_ROW, SQLITE_DONE, or an extended error code.
  int step() { return sqlite3_step(statement_.get()); }
  /// Steps a statement that returns nothing, and makes it ready again: SQLITE_OK or an extended error code.
  int run();
  void reset() { sqlite3_reset(statement_.get()); }
  int64_t number(int column) const { return sqlite3_column_int64(statement_.get(), column); }
  /// Valid until the next step or reset.
  std::string_view view(int column) const;
  std::string text(int column) const { return std::string(view(column)); }

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

/// One connection to one database file.
class Connection {
 public:
  Connection() = default;
  /// `name` is a path or, with SQLITE_OPEN_URI, a file: URI; `file` is what messages name; `vfs` may be null.
  static Result<Connection> open(const std::filesystem::path& file, const std::string& name, int flags,
                                 const char* vfs, Milliseconds patience);
  sqlite3* get() const { return database_.get(); }
  const std::filesystem::path& file() const { return file_; }
  Result<void> exec(const char* sql);
  Result<Statement> prepare(const char* sql);
  /// The first column of the first row; 0 when there is no row.
  Result<int64_t> number(const char* sql);
  Result<std::string> text(const char* sql);
  /// The Error for a result code of the last call on this connection.
  Error error(int code) const;
  /// The Error for rows that hold what we never write.
  Error damaged(std::string_view what) const;

 private:
  struct Close {
    void operator()(sqlite3* database) const { sqlite3_close_v2(database); }
  };
  std::filesystem::path file_;
  std::unique_ptr<sqlite3, Close> database_;
};

/// `state.damaged`: the file, what was found, and how to go on.
Error damaged_error(const std::filesystem::path& file, std::string_view what);

/// Whose database this is.
enum class Content {
  nothing,  // no table: new, or a process died while it made the file
  older,    // ours, of a schema that the next writer brings up to date
  ours,     // kSchemaVersion
};
/// Errors `state.newer`, `state.damaged` (also for another program's database).
Result<Content> check_content(Connection& connection);

/// What makes kSchemaVersion of an older version, or of nothing (0): one script without a transaction of its
/// own.
std::string tables_since(int64_t version);

/// True for the statfs f_type of a file system that several machines may share, or that may not offer the
/// shared memory that WAL needs.
bool is_network_file_system(uint64_t type);

/// Percent-encodes a path into `file:PATH?OPTIONS`.
std::string uri(const std::filesystem::path& file, std::string_view options);

inline int64_t to_micros(WallTime time) {
  return std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch()).count();
}
inline WallTime from_micros(int64_t micros) {
  return WallTime(std::chrono::duration_cast<WallTime::duration>(std::chrono::microseconds(micros)));
}

}  // namespace pf::state
