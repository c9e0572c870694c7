// State files as the programs of the schema's versions 1 and 2 wrote them: one ended run with two successes
// and a failure, and one that died with an attempt begun. Literal, so that they stay what they were.
#pragma once

#include <sqlite3.h>

#include <filesystem>
#include <string>

namespace pf::state {

inline constexpr char kVersion1[] = R"(
BEGIN;
CREATE TABLE runs(
  run INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, pipeline TEXT NOT NULL, file TEXT NOT NULL,
  started INTEGER NOT NULL, finished INTEGER NOT NULL DEFAULT 0, result INTEGER NOT NULL DEFAULT 0,
  instances INTEGER NOT NULL, first_row INTEGER NOT NULL, last_row INTEGER, first_attempt INTEGER NOT NULL,
  details TEXT NOT NULL);
CREATE TABLE instances(
  row INTEGER PRIMARY KEY, run INTEGER NOT NULL, instance INTEGER NOT NULL, result INTEGER NOT NULL,
  attempts INTEGER NOT NULL, started INTEGER NOT NULL, duration INTEGER NOT NULL, cpu INTEGER NOT NULL,
  peak INTEGER NOT NULL, address TEXT NOT NULL, blocked_by TEXT, error TEXT, outputs BLOB);
CREATE TABLE attempts(
  row INTEGER PRIMARY KEY, run INTEGER NOT NULL, instance INTEGER NOT NULL, attempt INTEGER NOT NULL,
  started INTEGER NOT NULL, address TEXT NOT NULL);
CREATE TABLE latest(
  pipeline TEXT NOT NULL, address TEXT NOT NULL, row INTEGER NOT NULL, PRIMARY KEY(pipeline, address)) WITHOUT ROWID;
CREATE TABLE folded(upto INTEGER NOT NULL);
INSERT INTO folded VALUES(0);
INSERT INTO runs VALUES(1, 'old-1', 'p', '/data/p.yaml', 1000000, 9000000, 2, 3, 1, 3, 1, '{"refused":0}');
INSERT INTO instances VALUES(1, 1, 0, 1, 1, 2000000, 5, 100, 200, 'w.a', '', '', x'a1617801');
INSERT INTO instances VALUES(2, 1, 1, 1, 2, 2000000, 6, 100, 200, 'w.b', '', '', NULL);
INSERT INTO instances VALUES(3, 1, 2, 3, 1, 2000000, 7, 100, 200, 'w.c', '', '{"code":"x"}', NULL);
INSERT INTO runs VALUES(2, 'old-2', 'p', '/data/p.yaml', 10000000, 0, 0, 3, 4, NULL, 1, '{}');
INSERT INTO instances VALUES(4, 2, 1, 1, 1, 11000000, 8, 100, 200, 'w.b', '', '', x'a1617802');
INSERT INTO attempts VALUES(1, 2, 2, 1, 11500000, 'w.c');
PRAGMA application_id=1885761383;
PRAGMA user_version=1;
COMMIT;
)";

inline constexpr char kVersion2[] = R"(
BEGIN;
CREATE TABLE reads(row INTEGER PRIMARY KEY, list TEXT NOT NULL);
INSERT INTO reads VALUES(4, '[{"what":"env"}]');
PRAGMA user_version=2;
COMMIT;
)";

/// Makes `folder`/state.db of that version.
inline bool make_old(const std::filesystem::path& folder, int version) {
  std::filesystem::create_directories(folder);
  sqlite3* database = nullptr;
  bool good = sqlite3_open((folder / "state.db").c_str(), &database) == SQLITE_OK &&
              sqlite3_exec(database, kVersion1, nullptr, nullptr, nullptr) == SQLITE_OK &&
              (version < 2 || sqlite3_exec(database, kVersion2, nullptr, nullptr, nullptr) == SQLITE_OK);
  sqlite3_close(database);
  return good;
}

/// The first number that an SQL text gives; -1 when it gives none.
inline int64_t number_of(const std::filesystem::path& folder, const char* sql) {
  sqlite3* database = nullptr;
  sqlite3_stmt* statement = nullptr;
  int64_t out = -1;
  if (sqlite3_open((folder / "state.db").c_str(), &database) == SQLITE_OK &&
      sqlite3_prepare_v2(database, sql, -1, &statement, nullptr) == SQLITE_OK &&
      sqlite3_step(statement) == SQLITE_ROW) {
    out = sqlite3_column_int64(statement, 0);
  }
  sqlite3_finalize(statement);
  sqlite3_close(database);
  return out;
}

}  // namespace pf::state
