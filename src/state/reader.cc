#include <algorithm>
#include <unordered_set>

#include "state/reading.h"
#include "state/store.h"

namespace pf::state {
namespace {

namespace fs = std::filesystem;

constexpr char kRunColumns[] =
    "SELECT id, pipeline, file, started, finished, result, instances, details FROM runs ";
constexpr char kInstanceColumns[] =
    "SELECT i.instance, i.result, i.attempts, i.started, i.duration, i.cpu, i.peak, i.address, i.blocked_by, "
    "i.error, "
    "i.outputs ";

RunRecord read_run(const Statement& row) {
  RunRecord out;
  out.id = row.text(0);
  out.pipeline = row.text(1);
  out.file = row.text(2);
  out.started = from_micros(row.number(3));
  out.finished = from_micros(row.number(4));
  out.result = static_cast<RunResult>(row.number(5));
  out.instances = static_cast<uint32_t>(row.number(6));
  out.details = row.text(7);
  return out;
}

InstanceRecord read_instance(const Statement& row) {
  InstanceRecord out;
  out.instance = static_cast<uint32_t>(row.number(0));
  out.result = static_cast<InstanceResult>(row.number(1));
  out.attempts = static_cast<uint32_t>(row.number(2));
  out.started = from_micros(row.number(3));
  out.duration = Milliseconds(row.number(4));
  out.cpu_us = static_cast<uint64_t>(row.number(5));
  out.peak_bytes = static_cast<uint64_t>(row.number(6));
  out.address = row.text(7);
  out.blocked_by = row.text(8);
  out.error = row.text(9);
  out.outputs = row.text(10);
  return out;
}

// Calls `row` for each row that the statement gives.
template <class Row>
Result<void> each(Connection& connection, Statement& statement, Row row) {
  while (true) {
    const int code = statement.step();
    if (code == SQLITE_DONE) return {};
    if (code != SQLITE_ROW) return tl::unexpected(connection.error(code));
    if (auto taken = row(statement); !taken) return taken;
  }
}

Result<void> take_run(Connection& connection, const Statement& row, std::vector<RunRecord>& out) {
  const int64_t result = row.number(5);
  if (result < 0 || result > static_cast<int64_t>(RunResult::timed_out)) {
    return tl::unexpected(connection.damaged("a run has the result " + std::to_string(result)));
  }
  out.push_back(read_run(row));
  return {};
}

Result<void> take_instance(Connection& connection, const Statement& row, std::vector<InstanceRecord>& out) {
  const int64_t result = row.number(1);
  if (result < 0 || result > static_cast<int64_t>(InstanceResult::excluded)) {
    return tl::unexpected(connection.damaged("an instance has the result " + std::to_string(result)));
  }
  out.push_back(read_instance(row));
  return {};
}

/// Lets a set of strings be asked for a view.
struct Hash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};

class SqliteReader final : public Reader {
 public:
  explicit SqliteReader(fs::path folder) : folder_(std::move(folder)) {}

  Result<std::optional<RunRecord>> last_run(const std::string& pipeline) override {
    auto found = runs(pipeline, 1);
    if (!found) return tl::unexpected(found.error());
    if (found->empty()) return std::nullopt;
    return std::move(found->front());
  }

  Result<std::vector<RunRecord>> runs(const std::string& pipeline, size_t limit) override {
    std::vector<RunRecord> out;
    auto looked = look(folder_, [&](Connection& connection) -> Result<void> {
      out.clear();
      auto rows = connection.prepare(
          (std::string(kRunColumns) + "WHERE pipeline = ?1 ORDER BY run DESC LIMIT ?2").c_str());
      if (!rows) return tl::unexpected(rows.error());
      rows->bind_text(1, pipeline).bind(2, static_cast<int64_t>(std::min<size_t>(limit, INT64_MAX)));
      return each(connection, *rows, [&](const Statement& row) { return take_run(connection, row, out); });
    });
    if (!looked) return tl::unexpected(looked.error());
    return out;
  }

  Result<std::vector<InstanceRecord>> instances(const std::string& run) override {
    std::vector<InstanceRecord> out;
    auto looked = look(folder_, [&](Connection& connection) {
      out.clear();
      return read_instances(connection, run, out);
    });
    if (!looked) return tl::unexpected(looked.error());
    return out;
  }

  Result<std::map<uint32_t, std::string>> reads(const std::string& run) override {
    std::map<uint32_t, std::string> out;
    auto looked = look(folder_, [&](Connection& connection) -> Result<void> {
      out.clear();
      auto version = connection.number("PRAGMA user_version");
      if (!version) return tl::unexpected(version.error());
      if (*version < 2) return {};
      auto rows = connection.prepare(
          "SELECT i.instance, r.list FROM runs u JOIN instances i ON i.row BETWEEN u.first_row AND "
          "coalesce(u.last_row, 9223372036854775807) AND i.run = u.run JOIN reads r ON r.row = i.row WHERE "
          "u.id = "
          "?1");
      if (!rows) return tl::unexpected(rows.error());
      rows->bind_text(1, run);
      return each(connection, *rows, [&](const Statement& row) -> Result<void> {
        out[static_cast<uint32_t>(row.number(0))] = row.text(1);
        return {};
      });
    });
    if (!looked) return tl::unexpected(looked.error());
    return out;
  }

  Result<std::vector<InstanceRecord>> latest(const std::string& pipeline) override {
    std::vector<InstanceRecord> out;
    auto looked = look(folder_, [&](Connection& connection) {
      out.clear();
      return read_latest(connection, pipeline, out);
    });
    if (!looked) return tl::unexpected(looked.error());
    return out;
  }

 private:
  static Result<void> read_instances(Connection& connection, const std::string& run,
                                     std::vector<InstanceRecord>& out) {
    auto head = connection.prepare("SELECT run, first_row, last_row, first_attempt FROM runs WHERE id = ?1");
    if (!head) return tl::unexpected(head.error());
    head->bind_text(1, run);
    const int code = head->step();
    if (code == SQLITE_DONE) return {};
    if (code != SQLITE_ROW) return tl::unexpected(connection.error(code));
    // A run without an end (it goes on, or died) may be followed by others: hence the test for `run` as well.
    const int64_t last = head->number(2) != 0 ? head->number(2) : INT64_MAX;
    auto rows =
        connection.prepare((std::string(kInstanceColumns) +
                            "FROM instances i WHERE i.row BETWEEN ?1 AND ?2 AND i.run = ?3 ORDER BY i.row")
                               .c_str());
    if (!rows) return tl::unexpected(rows.error());
    rows->bind(1, head->number(1)).bind(2, last).bind(3, head->number(0));
    auto done =
        each(connection, *rows, [&](const Statement& row) { return take_instance(connection, row, out); });
    if (!done) return done;
    auto starts = connection.prepare(
        "SELECT instance, attempt, started, address FROM attempts WHERE row >= ?1 AND run = ?2 ORDER BY row");
    if (!starts) return tl::unexpected(starts.error());
    starts->bind(1, head->number(3)).bind(2, head->number(0));
    std::unordered_set<uint32_t> finished;
    for (const auto& record : out) finished.insert(record.instance);
    const size_t ends = out.size();
    done = each(connection, *starts, [&](const Statement& row) -> Result<void> {
      const auto instance = static_cast<uint32_t>(row.number(0));
      if (finished.contains(instance)) return {};
      // Of several attempts the last one tells; the instance began with its first.
      const auto known =
          std::find_if(out.begin() + static_cast<std::ptrdiff_t>(ends), out.end(),
                       [&](const InstanceRecord& record) { return record.instance == instance; });
      if (known != out.end()) {
        known->attempts = static_cast<uint32_t>(row.number(1));
        return {};
      }
      InstanceRecord record;
      record.instance = instance;
      record.attempts = static_cast<uint32_t>(row.number(1));
      record.started = from_micros(row.number(2));
      record.address = row.text(3);
      out.push_back(std::move(record));
      return {};
    });
    if (!done) return done;
    std::stable_sort(out.begin(), out.end(), [](const InstanceRecord& a, const InstanceRecord& b) {
      return a.instance < b.instance;
    });
    return {};
  }

  static Result<void> read_latest(Connection& connection, const std::string& pipeline,
                                  std::vector<InstanceRecord>& out) {
    std::unordered_set<std::string, Hash, std::equal_to<>> seen;
    const auto take = [&](const Statement& row) -> Result<void> {
      const std::string_view address = row.view(7);
      if (seen.contains(address)) return {};
      seen.emplace(address);
      return take_instance(connection, row, out);
    };
    const std::string success = std::to_string(static_cast<int>(InstanceResult::succeeded));
    auto recent = connection.prepare(
        (std::string(kInstanceColumns) +
         "FROM instances i WHERE i.row > (SELECT upto FROM folded) AND i.result = " + success +
         " AND i.run IN (SELECT run FROM runs WHERE pipeline = ?1) "
         "ORDER BY i.row DESC")
            .c_str());
    if (!recent) return tl::unexpected(recent.error());
    recent->bind_text(1, pipeline);
    if (auto done = each(connection, *recent, take); !done) return done;
    // The others are looked up one by one, in the order of the file.
    auto folded = connection.prepare("SELECT row, address FROM latest WHERE pipeline = ?1");
    if (!folded) return tl::unexpected(folded.error());
    folded->bind_text(1, pipeline);
    std::vector<int64_t> older;
    auto done = each(connection, *folded, [&](const Statement& row) -> Result<void> {
      if (!seen.contains(row.view(1))) older.push_back(row.number(0));
      return {};
    });
    if (!done) return done;
    std::sort(older.begin(), older.end(), std::greater<>());
    auto one =
        connection.prepare((std::string(kInstanceColumns) + "FROM instances i WHERE i.row = ?1").c_str());
    if (!one) return tl::unexpected(one.error());
    for (const int64_t row : older) {
      one->reset();
      one->bind(1, row);
      if (done = each(connection, *one, take); !done) return done;
    }
    return {};
  }

  fs::path folder_;
};

}  // namespace

Result<std::unique_ptr<Reader>> Reader::open(const fs::path& state_folder) {
  auto looked = look(state_folder, [](Connection&) -> Result<void> { return {}; });
  if (!looked) return tl::unexpected(looked.error());
  return std::make_unique<SqliteReader>(state_folder);
}

}  // namespace pf::state
