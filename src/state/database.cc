#include "state/database.h"

#include <cerrno>

#include "state/layout.h"

namespace pf::state {

// The layout. What a run writes while it goes on is only ever appended, in rowid order, without an index to
// keep where there may be many rows (the state folder's Lock sees to it that one process writes).
//
// runs        A run's rows in `instances` lie between first_row and the last_row that finish_run writes (none
//             while it goes on, or when it died), those in `attempts` from first_attempt on. Rows of other
//             runs may lie between them, since a run can be resumed: so the column `run` is asked as well.
//             `cleaned`: nobody has to finish its `cleanups` any more. `pruned`: it was removed but for the
//             rows that `latest` or a reuse needs, and is shown no more.
// instances   One row when an instance ends; of several in one run (a resumed one) the last counts. `context`
//             names a row of `contexts`, where each text is kept once.
// reads       Goes with `instances`, row by row: what the last attempt read. So does `sealed`: outputs with
//             their secrets. Apart, so that lists of results need not read over them.
// reused      Instances that were `cached`: pairs of an instance and a row of `instances`, those of one
// commit
//             together (state/pairs.h).
// attempts    Started, and not ended within the same commit. attempt_ends: ended, where they did not succeed
//             or were not the first.
// `after`     orders rows of two tables: rows of `instances` (in `attempts` and `reused`) or of `attempts`
// (in
//             `attempt_ends`; in `reused` it is the column `attempt`) up to this one had been written before.
// latest      The last success of each address up to row `folded.upto`; what came after it is scanned. Its
//             address may be another than the row's: see `renamed`, which lists these rows.
namespace {

constexpr char kFirstTables[] = R"(
CREATE TABLE runs(
  run INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, pipeline TEXT NOT NULL, file TEXT NOT NULL,
  started INTEGER NOT NULL, finished INTEGER NOT NULL DEFAULT 0, result INTEGER NOT NULL DEFAULT 0,
  instances INTEGER NOT NULL, first_row INTEGER NOT NULL, last_row INTEGER, first_attempt INTEGER NOT NULL,
  details TEXT NOT NULL, kind INTEGER NOT NULL DEFAULT 0, profile TEXT NOT NULL DEFAULT '',
  cleanups TEXT NOT NULL DEFAULT '', cleaned INTEGER NOT NULL DEFAULT 0, pruned INTEGER NOT NULL DEFAULT 0);
CREATE TABLE instances(
  row INTEGER PRIMARY KEY, run INTEGER NOT NULL, instance INTEGER NOT NULL, result INTEGER NOT NULL,
  attempts INTEGER NOT NULL, started INTEGER NOT NULL, duration INTEGER NOT NULL, cpu INTEGER NOT NULL,
  peak INTEGER NOT NULL, address TEXT NOT NULL, blocked_by TEXT, error TEXT, outputs BLOB, context INTEGER,
  config BLOB);
CREATE TABLE attempts(
  row INTEGER PRIMARY KEY, run INTEGER NOT NULL, instance INTEGER NOT NULL, attempt INTEGER NOT NULL,
  started INTEGER NOT NULL, address TEXT NOT NULL, after INTEGER NOT NULL DEFAULT 0);
CREATE TABLE latest(
  pipeline TEXT NOT NULL, address TEXT NOT NULL, row INTEGER NOT NULL, PRIMARY KEY(pipeline, address)) WITHOUT ROWID;
CREATE TABLE folded(upto INTEGER NOT NULL);
INSERT INTO folded VALUES(0);
)";
constexpr char kSince2[] = R"(
CREATE TABLE reads(row INTEGER PRIMARY KEY, list TEXT NOT NULL);
)";
constexpr char kSince3[] = R"(
CREATE TABLE contexts(id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
CREATE TABLE sealed(row INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE reused(
  row INTEGER PRIMARY KEY, run INTEGER NOT NULL, after INTEGER NOT NULL, attempt INTEGER NOT NULL,
  pairs BLOB NOT NULL);
CREATE INDEX reused_run ON reused(run);
CREATE TABLE attempt_ends(
  row INTEGER PRIMARY KEY, run INTEGER NOT NULL, instance INTEGER NOT NULL, attempt INTEGER NOT NULL,
  result INTEGER NOT NULL, started INTEGER NOT NULL, duration INTEGER NOT NULL, cpu INTEGER NOT NULL,
  peak INTEGER NOT NULL, read_bytes INTEGER NOT NULL, write_bytes INTEGER NOT NULL, after INTEGER NOT NULL,
  address TEXT NOT NULL, error TEXT NOT NULL);
CREATE INDEX attempt_ends_run ON attempt_ends(run);
CREATE TABLE expansions(
  row INTEGER PRIMARY KEY, run INTEGER NOT NULL, address TEXT NOT NULL, text TEXT NOT NULL);
CREATE INDEX expansions_run ON expansions(run);
CREATE TABLE hooks(
  row INTEGER PRIMARY KEY, run INTEGER NOT NULL, at INTEGER NOT NULL, duration INTEGER NOT NULL,
  stage TEXT NOT NULL, address TEXT NOT NULL, script TEXT NOT NULL, decision TEXT NOT NULL, text TEXT NOT NULL);
CREATE INDEX hooks_run ON hooks(run);
CREATE TABLE renamed(row INTEGER PRIMARY KEY);
)";
// What kFirstTables has that those of versions 1 and 2 had not.
constexpr char kColumnsSince3[] = R"(
ALTER TABLE runs ADD COLUMN kind INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN profile TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN cleanups TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN cleaned INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN pruned INTEGER NOT NULL DEFAULT 0;
ALTER TABLE instances ADD COLUMN context INTEGER;
ALTER TABLE instances ADD COLUMN config BLOB;
ALTER TABLE attempts ADD COLUMN after INTEGER NOT NULL DEFAULT 0;
)";

}  // namespace

std::string tables_since(int64_t version) {
  std::string out;
  if (version < 1) out += kFirstTables;
  if (version < 2) out += kSince2;
  if (version >= 1 && version < 3) out += kColumnsSince3;
  if (version < 3) out += kSince3;
  return out;
}

// ---- Statement

Statement& Statement::bind(int index, int64_t value) {
  sqlite3_bind_int64(statement_.get(), index, value);
  return *this;
}

Statement& Statement::bind_text(int index, std::string_view value) {
  sqlite3_bind_text64(statement_.get(), index, value.empty() ? "" : value.data(), value.size(), SQLITE_STATIC,
                      SQLITE_UTF8);
  return *this;
}

Statement& Statement::bind_blob(int index, std::string_view value) {
  if (value.empty())
    sqlite3_bind_null(statement_.get(), index);
  else
    sqlite3_bind_blob64(statement_.get(), index, value.data(), value.size(), SQLITE_STATIC);
  return *this;
}

Statement& Statement::bind_null(int index) {
  sqlite3_bind_null(statement_.get(), index);
  return *this;
}

int Statement::run() {
  const int code = step();
  reset();
  return code == SQLITE_DONE || code == SQLITE_ROW ? SQLITE_OK : code;
}

std::string_view Statement::view(int column) const {
  const auto* data = static_cast<const char*>(sqlite3_column_blob(statement_.get(), column));
  if (data == nullptr) return {};
  return {data, static_cast<size_t>(sqlite3_column_bytes(statement_.get(), column))};
}

// ---- Connection

Result<Connection> Connection::open(const std::filesystem::path& file, const std::string& name, int flags,
                                    const char* vfs, Milliseconds patience) {
  Connection out;
  out.file_ = file;
  sqlite3* database = nullptr;
  const int code =
      sqlite3_open_v2(name.c_str(), &database, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, vfs);
  out.database_.reset(database);
  if (code != SQLITE_OK) return tl::unexpected(out.error(code));
  sqlite3_busy_timeout(database, static_cast<int>(patience.count()));
  return out;
}

Result<void> Connection::exec(const char* sql) {
  const int code = sqlite3_exec(database_.get(), sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return tl::unexpected(error(code));
  return {};
}

Result<Statement> Connection::prepare(const char* sql) {
  sqlite3_stmt* statement = nullptr;
  const int code =
      sqlite3_prepare_v3(database_.get(), sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  Statement out(statement);
  // Our own SQL is right: when a table or column is not there, the file is not what its version says.
  if (code == SQLITE_ERROR) return tl::unexpected(damaged(sqlite3_errmsg(database_.get())));
  if (code != SQLITE_OK) return tl::unexpected(error(code));
  return out;
}

Result<int64_t> Connection::number(const char* sql) {
  auto statement = prepare(sql);
  if (!statement) return tl::unexpected(statement.error());
  const int code = statement->step();
  if (code == SQLITE_ROW) return statement->number(0);
  if (code == SQLITE_DONE) return 0;
  return tl::unexpected(error(code));
}

Result<std::string> Connection::text(const char* sql) {
  auto statement = prepare(sql);
  if (!statement) return tl::unexpected(statement.error());
  const int code = statement->step();
  if (code == SQLITE_ROW) return statement->text(0);
  if (code == SQLITE_DONE) return std::string();
  return tl::unexpected(error(code));
}

Error Connection::damaged(std::string_view what) const { return damaged_error(file_, what); }

Error damaged_error(const std::filesystem::path& file, std::string_view what) {
  Error out;
  out.code = "state.damaged";
  out.message = file.string() + " is damaged: " + std::string(what);
  out.hint = "it was left as it is; restore it from a backup, or move it away (mv " +
             file.filename().string() + " " + file.filename().string() +
             ".damaged in that folder, with its -wal file if there is one) to begin anew";
  out.where.file = file.string();
  out.retryable = false;
  return out;
}

Error Connection::error(int code) const {
  const int system = database_ ? sqlite3_system_errno(database_.get()) : 0;
  const std::string what = sqlite3_errstr(code);
  Error out;
  out.where.file = file_.string();
  switch (code & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return damaged(what);
    case SQLITE_FULL: out = folder_error("cannot write", file_, ENOSPC); break;
    case SQLITE_READONLY: out = folder_error("cannot write", file_, EROFS); break;
    case SQLITE_PERM:
    case SQLITE_AUTH: out = folder_error("cannot open", file_, EACCES); break;
    case SQLITE_NOMEM: out = system_error("cannot use " + file_.string(), ENOMEM); break;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
      // SQLite tells the errno only of some failures.
      out = folder_error((code & 0xff) == SQLITE_IOERR ? "cannot read or write" : "cannot open", file_,
                         system != 0 ? system : EIO);
      break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
      out.code = "state.busy";
      out.message = file_.string() + " was kept locked by another process for too long";
      out.hint = "end the program that has it open (fuser " + file_.string() + " names it) and try again";
      break;
    default:
      out.code = "state.failed";
      out.message = "cannot use " + file_.string() + ": " + what;
      if (database_) out.message += std::string(" (") + sqlite3_errmsg(database_.get()) + ")";
      out.hint = "report this with the message, or keep the state elsewhere with --state-dir DIR";
      break;
  }
  out.where.file = file_.string();
  return out;
}

// ---- what the file is

Result<Content> check_content(Connection& connection) {
  auto application = connection.number("PRAGMA application_id");
  if (!application) return tl::unexpected(application.error());
  auto version = connection.number("PRAGMA user_version");
  if (!version) return tl::unexpected(version.error());
  if (*application == 0 && *version == 0) {
    auto tables = connection.number("SELECT count(*) FROM sqlite_master");
    if (!tables) return tl::unexpected(tables.error());
    if (*tables == 0) return Content::nothing;
  }
  if (*application != kApplicationId) {
    return tl::unexpected(connection.damaged("it is the database of another program"));
  }
  if (*version > kSchemaVersion) {
    return refuse(
        "state.newer",
        connection.file().string() + " was written by a newer pangeo-forge: its schema is version " +
            std::to_string(*version) + ", this program knows up to " + std::to_string(kSchemaVersion),
        "use that version, or give this one a state folder of its own with --state-dir DIR; the file was "
        "left as it is",
        {connection.file().string(), 0, 0, {}});
  }
  if (*version < 1) {
    return tl::unexpected(connection.damaged("its schema has version " + std::to_string(*version)));
  }
  // Preparing proves the tables; the step goes down to the page that the next row is written to.
  auto last = connection.number("SELECT max(row) FROM instances");
  if (!last) return tl::unexpected(last.error());
  return *version == kSchemaVersion ? Content::ours : Content::older;
}

bool is_network_file_system(uint64_t type) {
  switch (type & 0xffffffffU) {
    case 0x6969:      // NFS
    case 0x517b:      // SMB
    case 0xff534d42:  // CIFS
    case 0xfe534d42:  // SMB2
    case 0x01021997:  // 9p
    case 0x65735546:  // FUSE, virtiofs
    case 0x564c:      // NCP
    case 0x5346414f:  // OpenAFS
    case 0x6b414653:  // kAFS
    case 0x73757245:  // Coda
    case 0x00c36400:  // Ceph
    case 0x01161970:  // GFS2
    case 0x7461636f:  // OCFS2
    case 0x0bd00bd0:  // Lustre
    case 0x47504653:  // GPFS
    case 0x19830326:  // BeeGFS
    case 0x20030528:  // OrangeFS
    case 0xaad7aaea:  // PanFS
    case 0xbacbacbc:  // VMware's shared folders
    case 0x786f4256:  // VirtualBox's
    case 0x7c7c6673:  // Parallels'
    case 0x53464846:  // Windows' drives below WSL 1
      return true;
    default: return false;
  }
}

std::string uri(const std::filesystem::path& file, std::string_view options) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out = "file:";
  for (const char c : std::filesystem::absolute(file).string()) {
    if (c == '%' || c == '?' || c == '#') {
      out += '%';
      out += kDigits[static_cast<uint8_t>(c) >> 4];
      out += kDigits[static_cast<uint8_t>(c) & 15];
    } else {
      out += c;
    }
  }
  return out + "?" + std::string(options);
}

}  // namespace pf::state
