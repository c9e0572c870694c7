#include <algorithm>
#include <set>
#include <unordered_map>

#include "base/json.h"
#include "state/reading.h"
#include "state/rows.h"
#include "state/store.h"

namespace pf::state {
namespace {

namespace fs = std::filesystem;

std::string select_runs(int64_t version, std::string_view where) {
  std::string out = "SELECT id, pipeline, file, started, finished, result, instances, details";
  out += version >= 3 ? ", kind, profile, cleanups FROM runs WHERE pruned = 0 AND "
                      : ", 0, '', '' FROM runs WHERE ";
  return out.append(where);
}

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
  out.kind = static_cast<RunKind>(row.number(8));
  out.profile = row.text(9);
  out.cleanups = row.text(10);
  return out;
}

Result<void> take_run(Connection& connection, const Statement& row, std::vector<RunRecord>& out) {
  const int64_t result = row.number(5);
  if (result < 0 || result > static_cast<int64_t>(RunResult::timed_out)) {
    return tl::unexpected(connection.damaged("a run has the result " + std::to_string(result)));
  }
  if (row.number(8) < 0 || row.number(8) > static_cast<int64_t>(RunKind::cleanup)) {
    return tl::unexpected(connection.damaged("a run has the kind " + std::to_string(row.number(8))));
  }
  out.push_back(read_run(row));
  return {};
}

class SqliteReader final : public Reader {
 public:
  explicit SqliteReader(fs::path folder) : folder_(std::move(folder)) {}

  Result<std::optional<RunRecord>> last_run(const std::string& pipeline) override {
    return first_of(runs(pipeline, 1));
  }

  Result<std::vector<RunRecord>> runs(const std::string& pipeline, size_t limit) override {
    return gather<std::vector<RunRecord>>([&](Connection& connection, int64_t version, auto& out) {
      return find_runs(connection, version, "pipeline = ?1 ORDER BY run DESC LIMIT ?2", pipeline, limit, out);
    });
  }

  Result<std::optional<RunRecord>> run(const std::string& id) override {
    return first_of(gather<std::vector<RunRecord>>([&](Connection& connection, int64_t version, auto& out) {
      return find_runs(connection, version, "id = ?1 LIMIT ?2", id, 1, out);
    }));
  }

  Result<std::vector<InstanceRecord>> instances(const std::string& run) override {
    return gather<std::vector<InstanceRecord>>([&](Connection& connection, int64_t, auto& out) {
      return read_instances(connection, run, false, out);
    });
  }

  Result<std::vector<InstanceRecord>> instances_in_full(const std::string& run) override {
    return gather<std::vector<InstanceRecord>>([&](Connection& connection, int64_t, auto& out) {
      return read_instances(connection, run, true, out);
    });
  }

  Result<std::map<uint32_t, std::string>> reads(const std::string& run) override {
    using Lists = std::map<uint32_t, std::string>;
    return gather<Lists>([&](Connection& connection, int64_t version, Lists& out) -> Result<void> {
      if (version < 2) return {};
      auto rows = connection.prepare(
          "SELECT i.instance, r.list FROM runs u JOIN instances i ON i.row BETWEEN u.first_row AND "
          "coalesce(u.last_row, 9223372036854775807) AND i.run = u.run LEFT JOIN reads r ON r.row = i.row "
          "WHERE u.id = ?1 ORDER BY i.row");
      if (!rows) return tl::unexpected(rows.error());
      rows->bind_text(1, run);
      return each(connection, *rows, [&](const Statement& row) -> Result<void> {
        const auto instance = static_cast<uint32_t>(row.number(0));
        // Of several rows of an instance the last counts, also where it read nothing.
        if (row.view(1).empty())
          out.erase(instance);
        else
          out[instance] = row.view(1);
        return {};
      });
    });
  }

  Result<std::vector<AttemptEnd>> attempts(const std::string& run) override {
    return gather<std::vector<AttemptEnd>>(
        [&](Connection& connection, int64_t, auto& out) { return read_attempts(connection, run, out); });
  }

  Result<std::map<std::string, std::string>> expansions(const std::string& run) override {
    using Expansions = std::map<std::string, std::string>;
    return gather<Expansions>([&](Connection& connection, int64_t version, Expansions& out) -> Result<void> {
      if (version < 3) return {};
      auto rows = connection.prepare(
          "SELECT address, text FROM expansions WHERE run = (SELECT run FROM runs WHERE id = ?1) "
          "ORDER BY row");
      if (!rows) return tl::unexpected(rows.error());
      rows->bind_text(1, run);
      return each(connection, *rows, [&](const Statement& row) -> Result<void> {
        out[row.text(0)] = row.text(1);
        return {};
      });
    });
  }

  Result<std::vector<HookRecord>> hooks(const std::string& run) override {
    using Hooks = std::vector<HookRecord>;
    return gather<Hooks>([&](Connection& connection, int64_t version, Hooks& out) -> Result<void> {
      if (version < 3) return {};
      auto rows = connection.prepare(
          "SELECT at, duration, stage, address, script, decision, text FROM hooks "
          "WHERE run = (SELECT run FROM runs WHERE id = ?1) ORDER BY row");
      if (!rows) return tl::unexpected(rows.error());
      rows->bind_text(1, run);
      return each(connection, *rows, [&](const Statement& row) -> Result<void> {
        HookRecord hook;
        hook.at = from_micros(row.number(0));
        hook.duration = Milliseconds(row.number(1));
        hook.stage = row.text(2);
        hook.address = row.text(3);
        hook.script = row.text(4);
        hook.decision = row.text(5);
        hook.text = row.text(6);
        out.push_back(std::move(hook));
        return {};
      });
    });
  }

  Result<std::vector<PendingCleanups>> pending_cleanups(const std::string& pipeline) override {
    using Pending = std::vector<PendingCleanups>;
    return gather<Pending>([&](Connection& connection, int64_t version, Pending& out) -> Result<void> {
      if (version < 3) return {};
      std::vector<RunRecord> runs;
      auto found =
          find_runs(connection, version,
                    "pipeline = ?1 AND kind IN (0, 3) AND finished = 0 AND cleaned = 0 AND cleanups <> '' "
                    "ORDER BY run DESC LIMIT ?2",
                    pipeline, SIZE_MAX, runs);
      if (!found) return found;
      for (auto& run : runs) {
        PendingCleanups pending;
        pending.run = std::move(run);
        if (auto gathered = gather_pending(connection, pending); !gathered) return gathered;
        if (!pending.addresses.empty() || !pending.overtaken.empty()) out.push_back(std::move(pending));
      }
      return {};
    });
  }

  Result<std::vector<InstanceRecord>> latest(const std::string& pipeline) override {
    return gather<std::vector<InstanceRecord>>(
        [&](Connection& connection, int64_t, auto& out) { return read_latest(connection, pipeline, out); });
  }

 private:
  // `read` is called with an empty Out, and once more where a writer came between.
  template <class Out, class Read>
  Result<Out> gather(Read read) {
    Out out;
    auto looked = look(folder_, [&](Connection& connection) -> Result<void> {
      out.clear();
      auto version = connection.number("PRAGMA user_version");
      if (!version) return tl::unexpected(version.error());
      return read(connection, *version, out);
    });
    if (!looked) return tl::unexpected(looked.error());
    return out;
  }

  static Result<std::optional<RunRecord>> first_of(Result<std::vector<RunRecord>> found) {
    if (!found) return tl::unexpected(found.error());
    if (found->empty()) return std::nullopt;
    return std::move(found->front());
  }

  static Result<void> find_runs(Connection& connection, int64_t version, std::string_view where,
                                const std::string& text, size_t limit, std::vector<RunRecord>& out) {
    auto rows = connection.prepare(select_runs(version, where).c_str());
    if (!rows) return tl::unexpected(rows.error());
    rows->bind_text(1, text).bind(2, static_cast<int64_t>(std::min<size_t>(limit, INT64_MAX)));
    return each(connection, *rows, [&](const Statement& row) { return take_run(connection, row, out); });
  }

  static Result<void> gather_pending(Connection& connection, PendingCleanups& out) {
    const RunRecord& run = out.run;
    const auto list = parse_json(run.cleanups);
    const auto is_text = [](const Json& value) { return value.is_string(); };
    if (!list || !list->is_array() || !std::all_of(list->begin(), list->end(), is_text)) {
      return tl::unexpected(connection.damaged("the list of cleanups of the run " + run.id));
    }
    std::vector<InstanceRecord> records;
    if (auto read = read_instances(connection, run.id, false, records); !read) return read;
    std::unordered_map<std::string, int64_t> ended;  // with the row
    for (auto& record : records) {
      if (record.result != InstanceResult::none) ended.emplace(std::move(record.address), record.row);
    }
    // Those that had ended, at these rows, when the run was resumed with what they clean up after.
    const auto details = parse_json(run.details);
    const Json due_again =
        details && details->is_object() ? details->value("due_again", Json::object()) : Json::object();
    int64_t first = INT64_MAX;
    for (const Json& one : *list) {
      const auto& address = one.get_ref<const std::string&>();
      const auto end = ended.find(address);
      if (end != ended.end() && due_again.is_object() && due_again.value(address, Json()) == end->second)
        ended.erase(end);
      if (const auto left = ended.find(address); left == ended.end())
        out.addresses.push_back(address);
      else
        first = std::min(first, left->second);
    }
    if (first == INT64_MAX) return {};
    auto begun = begun_after(connection, run.id, first);
    if (!begun) return tl::unexpected(begun.error());
    const std::set<std::string> cleanups(list->begin(), list->end());
    for (const Json& one : *list) {
      const auto end = ended.find(one.get_ref<const std::string&>());
      if (end == ended.end()) continue;
      PendingCleanups::Overtaken overtaken{end->first, {}};
      for (const auto& [address, row] : *begun) {
        if (row >= end->second && cleanups.count(address) == 0) overtaken.by.push_back(address);
      }
      if (!overtaken.by.empty()) out.overtaken.push_back(std::move(overtaken));
    }
    return {};
  }

  // Instances of a run with attempts that began when `first` was a row of `instances`, with the last row that
  // there was then. An attempt may have no row of its own but that of its instance's end.
  static Result<std::map<std::string, int64_t>> begun_after(Connection& connection, const std::string& run,
                                                            int64_t first) {
    std::map<std::string, int64_t> out;
    for (const char* sql :
         {"SELECT address, max(after) FROM attempts WHERE run = (SELECT run FROM runs WHERE id = ?1) AND "
          "after >= ?2 GROUP BY address",
          "SELECT address, max(row) - 1 FROM instances WHERE run = (SELECT run FROM runs WHERE id = ?1) AND "
          "row > ?2 AND attempts > 0 AND result BETWEEN 1 AND 6 GROUP BY address"}) {
      auto rows = connection.prepare(sql);
      if (!rows) return tl::unexpected(rows.error());
      rows->bind_text(1, run).bind(2, first);
      auto done = each(connection, *rows, [&](const Statement& row) -> Result<void> {
        int64_t& last = out[row.text(0)];
        last = std::max(last, row.number(1));
        return {};
      });
      if (!done) return tl::unexpected(done.error());
    }
    return out;
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
