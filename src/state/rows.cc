#include "state/rows.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "state/pairs.h"

namespace pf::state {
namespace {

// The columns that select() gives; those from kContext on with `full` only.
enum Column : int {
  kRow,
  kRun,
  kInstance,
  kResult,
  kAttempts,
  kStarted,
  kDuration,
  kCpu,
  kPeak,
  kAddress,
  kBlockedBy,
  kError,
  kOutputs,
  kContext,
  kConfig,
  kReads,
  kSealed,
};

std::string select(int64_t version, bool full, std::string_view rest) {
  std::string out =
      "SELECT i.row, i.run, i.instance, i.result, i.attempts, i.started, i.duration, i.cpu, i.peak, "
      "i.address, i.blocked_by, i.error, i.outputs";
  if (full) {
    out += version >= 3 ? ", i.context, i.config" : ", NULL, NULL";
    out += version >= 2 ? ", r.list" : ", NULL";
    out += version >= 3 ? ", s.data" : ", NULL";
  }
  out += " FROM instances i";
  if (full && version >= 2) out += " LEFT JOIN reads r ON r.row = i.row";
  if (full && version >= 3) out += " LEFT JOIN sealed s ON s.row = i.row";
  return out.append(" ").append(rest);
}

Result<int64_t> version_of(Connection& connection) { return connection.number("PRAGMA user_version"); }

/// The texts of `contexts`, each looked up once.
class Contexts {
 public:
  explicit Contexts(Connection& connection) : connection_(connection) {}

  Result<void> get(int64_t id, std::string& out) {
    if (id == 0) return {};
    if (id != last_) {
      auto known = texts_.find(id);
      if (known == texts_.end()) {
        if (!find_) {
          auto prepared = connection_.prepare("SELECT text FROM contexts WHERE id = ?1");
          if (!prepared) return tl::unexpected(prepared.error());
          find_ = std::move(*prepared);
        }
        find_->reset();
        const int code = find_->bind(1, id).step();
        if (code == SQLITE_DONE) return tl::unexpected(connection_.damaged("a context is missing"));
        if (code != SQLITE_ROW) return tl::unexpected(connection_.error(code));
        known = texts_.emplace(id, find_->text(0)).first;
      }
      last_ = id;
      text_ = &known->second;
    }
    out = *text_;
    return {};
  }

 private:
  Connection& connection_;
  std::optional<Statement> find_;
  std::unordered_map<int64_t, std::string> texts_;
  int64_t last_ = 0;
  const std::string* text_ = nullptr;
};

/// Runs by their rows, each looked up once.
class Runs {
 public:
  struct Head {
    std::string id, pipeline;
    RunKind kind = RunKind::run;
  };
  Runs(Connection& connection, int64_t version) : connection_(connection), version_(version) {}

  Result<const Head*> get(int64_t run) {
    if (run == last_ && head_ != nullptr) return head_;
    auto known = heads_.find(run);
    if (known == heads_.end()) {
      if (!find_) {
        auto prepared =
            connection_.prepare(version_ >= 3 ? "SELECT id, pipeline, kind FROM runs WHERE run = ?1"
                                              : "SELECT id, pipeline, 0 FROM runs WHERE run = ?1");
        if (!prepared) return tl::unexpected(prepared.error());
        find_ = std::move(*prepared);
      }
      find_->reset();
      const int code = find_->bind(1, run).step();
      if (code == SQLITE_DONE) return tl::unexpected(connection_.damaged("a run is missing"));
      if (code != SQLITE_ROW) return tl::unexpected(connection_.error(code));
      known =
          heads_.emplace(run, Head{find_->text(0), find_->text(1), static_cast<RunKind>(find_->number(2))})
              .first;
    }
    last_ = run;
    head_ = &known->second;
    return head_;
  }

 private:
  Connection& connection_;
  int64_t version_;
  std::optional<Statement> find_;
  std::unordered_map<int64_t, Head> heads_;
  int64_t last_ = 0;
  const Head* head_ = nullptr;
};

Result<void> take(Connection& connection, const Statement& row, bool full, Contexts& contexts,
                  InstanceRecord& out) {
  const int64_t result = row.number(kResult);
  if (result < 0 || result > static_cast<int64_t>(InstanceResult::excluded)) {
    return tl::unexpected(connection.damaged("an instance has the result " + std::to_string(result)));
  }
  out.row = row.number(kRow);
  out.instance = static_cast<uint32_t>(row.number(kInstance));
  out.result = static_cast<InstanceResult>(result);
  out.attempts = static_cast<uint32_t>(row.number(kAttempts));
  out.started = from_micros(row.number(kStarted));
  out.duration = Milliseconds(row.number(kDuration));
  out.cpu_us = static_cast<uint64_t>(row.number(kCpu));
  out.peak_bytes = static_cast<uint64_t>(row.number(kPeak));
  out.address = row.view(kAddress);
  out.blocked_by = row.view(kBlockedBy);
  out.error = row.view(kError);
  out.outputs = row.view(kOutputs);
  if (!full) return {};
  out.config = row.view(kConfig);
  out.reads = row.view(kReads);
  out.sealed = row.view(kSealed);
  return contexts.get(row.number(kContext), out.context);
}

/// Which of `rows` is where it is asked for.
struct Wanted {
  int64_t row;
  size_t index;
};

// Calls `use` with each of the wanted rows (ascending): by one scan where they lie close together, else one
// by one.
Result<void> fetch(Connection& connection, int64_t version, bool full, const std::vector<Wanted>& wanted,
                   const std::function<Result<void>(const Statement&, const Wanted&)>& use) {
  constexpr int64_t kWorthwhile = 4;  // a seek costs as much as so many steps
  if (wanted.empty()) return {};
  const int64_t first = wanted.front().row;
  const int64_t last = wanted.back().row;
  const auto missing = [&] { return tl::unexpected(connection.damaged("a result is missing")); };
  if (last - first < static_cast<int64_t>(wanted.size()) * kWorthwhile) {
    auto rows =
        connection.prepare(select(version, full, "WHERE i.row BETWEEN ?1 AND ?2 ORDER BY i.row").c_str());
    if (!rows) return tl::unexpected(rows.error());
    rows->bind(1, first).bind(2, last);
    auto next = wanted.begin();
    auto done = each(connection, *rows, [&](const Statement& row) -> Result<void> {
      for (; next != wanted.end() && next->row == row.number(kRow); ++next) {
        if (auto used = use(row, *next); !used) return used;
      }
      return {};
    });
    if (!done) return done;
    if (next != wanted.end()) return missing();
    return {};
  }
  auto one = connection.prepare(select(version, full, "WHERE i.row = ?1").c_str());
  if (!one) return tl::unexpected(one.error());
  for (const Wanted& each_wanted : wanted) {
    one->reset();
    const int code = one->bind(1, each_wanted.row).step();
    if (code == SQLITE_DONE) return missing();
    if (code != SQLITE_ROW) return tl::unexpected(connection.error(code));
    if (auto used = use(*one, each_wanted); !used) return used;
  }
  return {};
}

/// A set of addresses: those of records, by their index, and others.
class Seen {
 public:
  explicit Seen(const std::vector<InstanceRecord>& records) : records_(records), slots_(1024, kFree) {}

  /// False: it was there. Else it is taken for the one of records[index].
  bool add_record(std::string_view address, size_t index) {
    return add(address, static_cast<int64_t>(index));
  }
  bool add_other(std::string_view address) {
    if (!add(address, -2 - static_cast<int64_t>(others_.size()))) return false;
    others_.emplace_back(address);
    return true;
  }
  bool contains(std::string_view address) const { return slots_[find(address)] != kFree; }

 private:
  static constexpr int64_t kFree = -1;

  std::string_view text(int64_t slot) const {
    return slot >= 0 ? std::string_view(records_[static_cast<size_t>(slot)].address)
                     : std::string_view(others_[static_cast<size_t>(-2 - slot)]);
  }
  size_t find(std::string_view address) const {
    size_t at = std::hash<std::string_view>()(address) & (slots_.size() - 1);
    while (slots_[at] != kFree && text(slots_[at]) != address) at = (at + 1) & (slots_.size() - 1);
    return at;
  }
  bool add(std::string_view address, int64_t slot) {
    if (used_ * 2 >= slots_.size()) grow();
    const size_t at = find(address);
    if (slots_[at] != kFree) return false;
    slots_[at] = slot;
    ++used_;
    return true;
  }
  void grow() {
    std::vector<int64_t> old(slots_.size() * 2, kFree);
    old.swap(slots_);
    for (const int64_t slot : old) {
      if (slot != kFree) slots_[find(text(slot))] = slot;
    }
  }

  const std::vector<InstanceRecord>& records_;
  std::vector<std::string> others_;
  std::vector<int64_t> slots_;
  size_t used_ = 0;
};

/// Where the rows of a run lie.
struct RunRows {
  int64_t run = 0;  // 0: there is no such run
  int64_t first = 0, last = 0, first_attempt = 0;
};

Result<RunRows> find_run(Connection& connection, const std::string& id) {
  auto head = connection.prepare("SELECT run, first_row, last_row, first_attempt FROM runs WHERE id = ?1");
  if (!head) return tl::unexpected(head.error());
  const int code = head->bind_text(1, id).step();
  RunRows out;
  if (code == SQLITE_DONE) return out;
  if (code != SQLITE_ROW) return tl::unexpected(connection.error(code));
  out.run = head->number(0);
  out.first = head->number(1);
  // A run without an end (it goes on, or died) may be followed by others.
  out.last = head->number(2) != 0 ? head->number(2) : INT64_MAX;
  out.first_attempt = head->number(3);
  return out;
}

/// Puts a run's instances together.
class Gathering {
 public:
  Gathering(Connection& connection, int64_t version, bool full, std::vector<InstanceRecord>& out)
      : connection_(connection), version_(version), full_(full), contexts_(connection), out_(out) {}

  Result<void> ends(const RunRows& run) {
    auto rows = connection_.prepare(
        select(version_, full_, "WHERE i.row BETWEEN ?1 AND ?2 AND i.run = ?3 ORDER BY i.row").c_str());
    if (!rows) return tl::unexpected(rows.error());
    rows->bind(1, run.first).bind(2, run.last).bind(3, run.run);
    return each(connection_, *rows, [&](const Statement& row) {
      const auto instance = static_cast<uint32_t>(row.number(kInstance));
      Known& known = known_of(instance);
      known = {known.index, row.number(kRow), 0};
      out_[known.index] = {};
      return take(connection_, row, full_, contexts_, out_[known.index]);
    });
  }

  Result<void> reused(const RunRows& run) {
    if (version_ < 3) return {};
    auto rows = connection_.prepare("SELECT after, attempt, pairs FROM reused WHERE run = ?1 ORDER BY row");
    if (!rows) return tl::unexpected(rows.error());
    rows->bind(1, run.run);
    std::vector<Wanted> wanted;
    std::unordered_map<size_t, std::string> addresses;  // of what was moved
    auto done = each(connection_, *rows, [&](const Statement& row) -> Result<void> {
      PairReader pairs(row.view(2));
      for (Pair pair; pairs.next(pair);) {
        Known& known = known_of(pair.instance);
        if (known.row > row.number(0)) continue;  // it ended once more
        known.attempt = row.number(1);
        out_[known.index] = {};
        out_[known.index].instance = pair.instance;
        out_[known.index].row = pair.row;
        wanted.push_back({pair.row, known.index});
        if (!pair.address.empty()) addresses[known.index] = pair.address;
      }
      if (pairs.damaged()) return tl::unexpected(connection_.damaged("a list of reused results"));
      return {};
    });
    if (!done) return done;
    std::sort(wanted.begin(), wanted.end(), [](const Wanted& a, const Wanted& b) { return a.row < b.row; });
    Runs runs(connection_, version_);
    return fetch(connection_, version_, full_, wanted, [&](const Statement& row, const Wanted& which) {
      InstanceRecord& record = out_[which.index];
      if (record.row != which.row) return Result<void>();  // it was reused once more
      const uint32_t instance = record.instance;
      auto taken = take(connection_, row, full_, contexts_, record);
      if (!taken) return taken;
      auto head = runs.get(row.number(kRun));
      if (!head) return Result<void>(tl::unexpected(head.error()));
      record.run = (*head)->id;
      record.instance = instance;
      record.result = InstanceResult::cached;
      record.attempts = 0;
      record.cpu_us = record.peak_bytes = 0;
      if (const auto moved = addresses.find(which.index); moved != addresses.end()) {
        record.sealed_as = std::exchange(record.address, moved->second);
      }
      return Result<void>();
    });
  }

  // Those that began, and have not ended since.
  Result<void> starts(const RunRows& run) {
    auto rows = connection_.prepare(
        version_ >= 3 ? "SELECT row, instance, attempt, started, address, after FROM attempts "
                        "WHERE row >= ?1 AND run = ?2 ORDER BY row"
                      : "SELECT row, instance, attempt, started, address, 0 FROM attempts "
                        "WHERE row >= ?1 AND run = ?2 ORDER BY row");
    if (!rows) return tl::unexpected(rows.error());
    rows->bind(1, run.first_attempt).bind(2, run.run);
    return each(connection_, *rows, [&](const Statement& row) -> Result<void> {
      const auto instance = static_cast<uint32_t>(row.number(1));
      const auto attempt = static_cast<uint32_t>(row.number(2));
      const auto found = known_.find(instance);
      if (found != known_.end()) {
        Known& known = found->second;
        if (known.row > row.number(5) || known.attempt >= row.number(0)) return {};
        if (out_[known.index].result == InstanceResult::none) {
          // Of several attempts the last one tells; the instance began with its first.
          out_[known.index].attempts = attempt;
          return {};
        }
      }
      Known& known = known_of(instance);
      InstanceRecord& record = out_[known.index] = {};
      record.instance = instance;
      record.attempts = attempt;
      record.started = from_micros(row.number(3));
      record.address = row.text(4);
      return {};
    });
  }

 private:
  struct Known {
    size_t index = 0;
    int64_t row = 0;      // of its end in this run; 0: none
    int64_t attempt = 0;  // when it was reused: the row of `attempts` that came before
  };

  Known& known_of(uint32_t instance) {
    const auto [known, fresh] = known_.try_emplace(instance);
    if (fresh) {
      known->second.index = out_.size();
      out_.emplace_back();
    }
    return known->second;
  }

  Connection& connection_;
  int64_t version_;
  bool full_;
  Contexts contexts_;
  std::vector<InstanceRecord>& out_;
  std::unordered_map<uint32_t, Known> known_;
};

}  // namespace

Result<void> read_instances(Connection& connection, const std::string& run, bool full,
                            std::vector<InstanceRecord>& out) {
  out.clear();
  auto version = version_of(connection);
  if (!version) return tl::unexpected(version.error());
  auto rows = find_run(connection, run);
  if (!rows) return tl::unexpected(rows.error());
  if (rows->run == 0) return {};
  Gathering gathering(connection, *version, full, out);
  if (auto done = gathering.ends(*rows); !done) return done;
  if (auto done = gathering.reused(*rows); !done) return done;
  if (auto done = gathering.starts(*rows); !done) return done;
  std::sort(out.begin(), out.end(),
            [](const InstanceRecord& a, const InstanceRecord& b) { return a.instance < b.instance; });
  return {};
}

Result<void> read_latest(Connection& connection, const std::string& pipeline,
                         std::vector<InstanceRecord>& out) {
  out.clear();
  auto version = version_of(connection);
  if (!version) return tl::unexpected(version.error());
  const std::string success = std::to_string(static_cast<int>(InstanceResult::succeeded));
  Seen seen(out);
  Contexts contexts(connection);
  Runs runs(connection, *version);
  auto recent = connection.prepare(
      select(*version, true,
             "WHERE i.row > (SELECT upto FROM folded) AND i.result = " + success + " ORDER BY i.row DESC")
          .c_str());
  if (!recent) return tl::unexpected(recent.error());
  auto unfolded = connection.number("SELECT max(row) - (SELECT upto FROM folded) FROM instances");
  if (!unfolded) return tl::unexpected(unfolded.error());
  // Growing would touch thrice the memory; what is reserved and not used costs nothing.
  out.reserve(static_cast<size_t>(std::clamp<int64_t>(*unfolded, 0, 1 << 17)));
  auto done = each(connection, *recent, [&](const Statement& row) -> Result<void> {
    auto run = runs.get(row.number(kRun));
    if (!run) return tl::unexpected(run.error());
    if ((*run)->pipeline != pipeline || (*run)->kind == RunKind::refresh) return {};
    const std::string_view address = row.view(kAddress);
    if ((*run)->kind == RunKind::destroy) {
      seen.add_other(address);
      return {};
    }
    if (!seen.add_record(address, out.size())) return {};
    InstanceRecord& record = out.emplace_back();
    record.run = (*run)->id;
    return take(connection, row, true, contexts, record);
  });
  if (!done) return done;
  // What was folded, in the order of the file.
  auto folded = connection.prepare("SELECT row, address FROM latest WHERE pipeline = ?1");
  if (!folded) return tl::unexpected(folded.error());
  folded->bind_text(1, pipeline);
  std::vector<Wanted> wanted;
  std::vector<std::string> addresses;
  done = each(connection, *folded, [&](const Statement& row) -> Result<void> {
    if (seen.contains(row.view(1))) return {};
    wanted.push_back({row.number(0), addresses.size()});
    addresses.push_back(row.text(1));
    return {};
  });
  if (!done) return done;
  std::sort(wanted.begin(), wanted.end(), [](const Wanted& a, const Wanted& b) { return a.row < b.row; });
  size_t next = out.size() + wanted.size();  // newest first
  out.resize(next);
  return fetch(connection, *version, true, wanted,
               [&](const Statement& row, const Wanted& which) -> Result<void> {
                 InstanceRecord& record = out[--next];
                 if (auto taken = take(connection, row, true, contexts, record); !taken) return taken;
                 auto run = runs.get(row.number(kRun));
                 if (!run) return tl::unexpected(run.error());
                 record.run = (*run)->id;
                 std::string& address = addresses[which.index];
                 if (address != record.address) record.sealed_as = std::exchange(record.address, address);
                 return {};
               });
}

Result<void> read_attempts(Connection& connection, const std::string& run, std::vector<AttemptEnd>& out) {
  out.clear();
  auto version = version_of(connection);
  if (!version) return tl::unexpected(version.error());
  auto found = find_run(connection, run);
  if (!found) return tl::unexpected(found.error());
  if (found->run == 0) return {};
  struct Known {
    AttemptEnd attempt;
    int64_t start = 0;  // its row of `attempts`
  };
  std::map<std::pair<uint32_t, uint32_t>, Known> known;
  auto starts = connection.prepare(
      "SELECT row, instance, attempt, started, address FROM attempts WHERE row >= ?1 AND run = ?2 ORDER BY "
      "row");
  if (!starts) return tl::unexpected(starts.error());
  starts->bind(1, found->first_attempt).bind(2, found->run);
  auto done = each(connection, *starts, [&](const Statement& row) -> Result<void> {
    AttemptEnd attempt;
    attempt.instance = static_cast<uint32_t>(row.number(1));
    attempt.attempt = static_cast<uint32_t>(row.number(2));
    attempt.started = from_micros(row.number(3));
    attempt.address = row.text(4);
    known[{attempt.instance, attempt.attempt}] = {std::move(attempt), row.number(0)};
    return {};
  });
  if (!done) return done;
  if (*version >= 3) {
    auto ends = connection.prepare(
        "SELECT instance, attempt, result, started, duration, cpu, peak, read_bytes, write_bytes, after, "
        "address, error FROM attempt_ends WHERE run = ?1 ORDER BY row");
    if (!ends) return tl::unexpected(ends.error());
    ends->bind(1, found->run);
    done = each(connection, *ends, [&](const Statement& row) -> Result<void> {
      const int64_t result = row.number(2);
      if (result < 0 || result > static_cast<int64_t>(InstanceResult::excluded)) {
        return tl::unexpected(connection.damaged("an attempt has the result " + std::to_string(result)));
      }
      AttemptEnd end;
      end.instance = static_cast<uint32_t>(row.number(0));
      end.attempt = static_cast<uint32_t>(row.number(1));
      end.result = static_cast<InstanceResult>(result);
      end.started = from_micros(row.number(3));
      end.duration = Milliseconds(row.number(4));
      end.cpu_us = static_cast<uint64_t>(row.number(5));
      end.peak_bytes = static_cast<uint64_t>(row.number(6));
      end.read_bytes = static_cast<uint64_t>(row.number(7));
      end.write_bytes = static_cast<uint64_t>(row.number(8));
      end.address = row.text(10);
      end.error = row.text(11);
      Known& one = known[{end.instance, end.attempt}];
      if (one.start <= row.number(9)) one.attempt = std::move(end);  // else it was repeated since
      return {};
    });
    if (!done) return done;
  }
  // The last attempt of what has ended is told by the instance's own end.
  std::vector<InstanceRecord> records;
  if (done = read_instances(connection, run, false, records); !done) return done;
  for (auto& record : records) {
    if (record.result == InstanceResult::none || record.attempts == 0) continue;
    const auto one = known.find({record.instance, record.attempts});
    if (one == known.end() ? record.attempts > 1 : one->second.attempt.result != InstanceResult::none)
      continue;
    AttemptEnd end;
    end.instance = record.instance;
    end.attempt = record.attempts;
    end.address = std::move(record.address);
    end.result = record.result;
    end.started = one == known.end() ? record.started : one->second.attempt.started;
    end.duration = record.duration;
    if (record.attempts > 1) {
      const auto rest = record.started + record.duration - end.started;
      end.duration = std::max(Milliseconds(0), std::chrono::duration_cast<Milliseconds>(rest));
    }
    end.cpu_us = record.attempts == 1 ? record.cpu_us : 0;
    end.peak_bytes = record.attempts == 1 ? record.peak_bytes : 0;
    end.error = std::move(record.error);
    known[{end.instance, end.attempt}].attempt = std::move(end);
  }
  out.reserve(known.size());
  for (auto& [key, one] : known) out.push_back(std::move(one.attempt));
  return {};
}

}  // namespace pf::state
