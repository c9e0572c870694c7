#include "state/reading.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>

#include "state/layout.h"

namespace pf::state {
namespace {

namespace fs = std::filesystem;

constexpr Milliseconds kPatience{5000};
constexpr int kTries = 8;

/// What tells that nobody wrote in the meantime.
struct Stamp {
  struct stat file {};
  bool wal = false;  // there is WAL content
  bool operator==(const Stamp& other) const {
    const auto same = [](const timespec& a, const timespec& b) {
      return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
    };
    return wal == other.wal && file.st_ino == other.file.st_ino && file.st_dev == other.file.st_dev &&
           file.st_size == other.file.st_size && same(file.st_mtim, other.file.st_mtim) &&
           same(file.st_ctim, other.file.st_ctim);
  }
};

tl::unexpected<Error> no_state(const fs::path& folder) {
  return refuse("state.none", "there is no run in the state folder " + folder.string(),
                "run the pipeline first, or name its state folder with --state-dir DIR");
}

Result<Stamp> stamp(const fs::path& folder) {
  const fs::path file = Layout(folder).database();
  Stamp out;
  if (::stat(file.c_str(), &out.file) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return no_state(folder);
    Error error = system_error("cannot read " + file.string(), errno);
    error.hint = "give yourself read permission there, or name another state folder with --state-dir DIR";
    return tl::unexpected(std::move(error));
  }
  if (!S_ISREG(out.file.st_mode)) {
    return refuse("file.not_regular", "cannot read " + file.string() + ": it is no regular file",
                  "move it away, or name another state folder with --state-dir DIR");
  }
  if (out.file.st_size == 0) return no_state(folder);
  struct stat wal {};
  // A killed writer may leave a WAL of its header alone. There is nothing in it, and SQLite, reading without
  // writing, waits in vain for somebody to complete it.
  constexpr off_t kWalHeader = 32;  // bytes
  out.wal = ::stat((file.string() + "-wal").c_str(), &wal) == 0 && wal.st_size > kWalHeader;
  // SQLite takes a file of one byte for an empty one, and does not notice when the last page was cut. While
  // there is a WAL or a journal, the file itself may be anything.
  if (!out.wal && ::access((file.string() + "-journal").c_str(), F_OK) != 0 && out.file.st_size % 512 != 0) {
    return tl::unexpected(damaged_error(file, "it ends in the middle of a page"));
  }
  return out;
}

// The header's read version, through the descriptor that SQLite has: one of our own would, when closed, drop
// the POSIX locks that this process may have on the file.
bool is_wal_file(Connection& connection) {
  sqlite3_file* file = nullptr;
  if (sqlite3_file_control(connection.get(), "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK)
    return false;
  unsigned char header[100];
  if (file == nullptr || file->pMethods == nullptr) return false;
  if (file->pMethods->xRead(file, header, sizeof header, 0) != SQLITE_OK) return false;
  return header[19] == 2;
}

Result<Connection> open(const fs::path& file, std::string_view options) {
  return Connection::open(file, uri(file, options), SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, nullptr,
                          kPatience);
}

// A journal of a killed run in DELETE mode: only a connection that may write can roll it back.
Result<void> roll_back(const fs::path& file) {
  auto connection =
      Connection::open(file, fs::absolute(file).string(), SQLITE_OPEN_READWRITE, nullptr, kPatience);
  if (!connection) return tl::unexpected(connection.error());
  auto done = connection->number("SELECT count(*) FROM sqlite_master");
  if (!done) return tl::unexpected(done.error());
  return {};
}

enum class Outcome { done, again };

// One try. `make_shm` is set where the next one cannot do without.
Result<Outcome> try_look(const fs::path& folder, bool& make_shm,
                         const std::function<Result<void>(Connection&)>& use) {
  const fs::path file = Layout(folder).database();
  auto before = stamp(folder);
  if (!before) return tl::unexpected(before.error());
  bool immutable = false;
  Result<Connection> connection = Connection();
  if (before->wal) {
    connection = open(file, make_shm ? "mode=ro" : "mode=ro&readonly_shm=1");
  } else {
    connection = open(file, "mode=ro&immutable=1");
    immutable = connection && is_wal_file(*connection);
    if (connection && !immutable) connection = open(file, "mode=ro");
  }
  const auto read = [&]() -> Result<void> {
    if (!connection) return tl::unexpected(connection.error());
    if (auto begun = connection->exec("BEGIN"); !begun) return begun;
    auto content = check_content(*connection);
    if (!content) return tl::unexpected(content.error());
    if (*content == Content::nothing) return no_state(folder);
    return use(*connection);
  };
  auto result = read();
  const int code = connection ? sqlite3_extended_errcode(connection->get()) : SQLITE_OK;
  connection = Connection();  // closed before the second stamp
  auto after = stamp(folder);
  if (!after) return tl::unexpected(after.error());
  if (immutable && !(*before == *after)) return Outcome::again;
  if (result) return Outcome::done;
  if (code == SQLITE_READONLY_ROLLBACK) {
    if (auto rolled = roll_back(file); !rolled) return tl::unexpected(rolled.error());
    return Outcome::again;
  }
  if (((code & 0xff) == SQLITE_CANTOPEN || code == SQLITE_READONLY_CANTINIT) && before->wal && !make_shm) {
    make_shm = after->wal;  // else a writer that has just ended took both away
    return Outcome::again;
  }
  return tl::unexpected(result.error());
}

}  // namespace

std::shared_mutex& opening() {
  static std::shared_mutex mutex;
  return mutex;
}

Result<void> look(const fs::path& folder, const std::function<Result<void>(Connection&)>& use) {
  std::shared_lock shared(opening());
  bool make_shm = false;
  for (int i = 0; i < kTries; ++i) {
    auto outcome = try_look(folder, make_shm, use);
    if (!outcome) return tl::unexpected(outcome.error());
    if (*outcome == Outcome::done) return {};
  }
  return fail("state.busy", Layout(folder).database().string() + " changed each time that it was read",
              "try again when the run has ended");
}

}  // namespace pf::state
