#include "state/recorder.h"

#include <algorithm>
#include <utility>

namespace pf::state {

Result<Recorder> Recorder::make(Connection connection) {
  Recorder out;
  out.connection_ = std::move(connection);
  Statements& sql = out.sql_;
  const std::string success = std::to_string(static_cast<int>(InstanceResult::succeeded));
  const std::string destroyed = std::to_string(static_cast<int>(RunKind::destroy));
  const std::string ran = std::to_string(static_cast<int>(RunKind::run)) + ", " +
                          std::to_string(static_cast<int>(RunKind::cleanup));
  const std::string fold =
      "INSERT OR REPLACE INTO latest SELECT r.pipeline, i.address, i.row FROM instances i CROSS JOIN runs r "
      "ON r.run = i.run WHERE i.row > (SELECT upto FROM folded) AND i.result = " +
      success + " AND r.kind IN (" + ran + ", " + destroyed + ") ORDER BY i.row";
  // Of what was destroyed only the last word counts, and that is what the fold has left of it.
  const std::string forget =
      "DELETE FROM latest WHERE row > (SELECT upto FROM folded) AND EXISTS(SELECT 1 FROM instances i JOIN "
      "runs "
      "r ON r.run = i.run WHERE i.row = latest.row AND r.kind = " +
      destroyed + ")";
  const std::pair<Statement*, std::string> all[] = {
      {&sql.begin, "BEGIN IMMEDIATE"},
      {&sql.commit, "COMMIT"},
      {&sql.last_rows,
       "SELECT coalesce((SELECT max(row) FROM instances), 0), coalesce((SELECT max(row) FROM attempts), 0)"},
      {&sql.begin_run,
       "INSERT INTO runs(id, pipeline, file, started, instances, first_row, first_attempt, details, kind, "
       "profile, cleanups) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"},
      {&sql.resume_run,
       "UPDATE runs SET result = 0, finished = 0, last_row = NULL, "
       "details = CASE ?2 WHEN '' THEN details ELSE ?2 END WHERE id = ?1 AND pruned = 0"},
      {&sql.find_run, "SELECT run FROM runs WHERE id = ?1"},
      {&sql.end_run,
       "UPDATE runs SET result = ?2, finished = ?3, last_row = ?5, "
       "details = CASE ?4 WHEN '' THEN details ELSE ?4 END WHERE id = ?1"},
      {&sql.cleaned, "UPDATE runs SET cleaned = 1 WHERE id = ?1"},
      {&sql.start,
       "INSERT INTO attempts(run, instance, attempt, started, address, after) "
       "VALUES(?1, ?2, ?3, ?4, ?5, ?6)"},
      {&sql.end_attempt,
       "INSERT INTO attempt_ends(run, instance, attempt, result, started, duration, cpu, peak, read_bytes, "
       "write_bytes, after, address, error) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)"},
      {&sql.finish,
       "INSERT INTO instances(run, instance, result, attempts, started, duration, cpu, peak, address, "
       "blocked_by, error, outputs, context, config) "
       "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)"},
      {&sql.reads, "INSERT INTO reads(row, list) VALUES(?1, ?2)"},
      {&sql.sealed, "INSERT INTO sealed(row, data) VALUES(?1, ?2)"},
      {&sql.reused, "INSERT INTO reused(run, after, attempt, pairs) VALUES(?1, ?2, ?3, ?4)"},
      {&sql.expansion, "INSERT INTO expansions(run, address, text) VALUES(?1, ?2, ?3)"},
      {&sql.hook,
       "INSERT INTO hooks(run, at, duration, stage, address, script, decision, text) "
       "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"},
      {&sql.add_context, "INSERT OR IGNORE INTO contexts(text) VALUES(?1)"},
      {&sql.find_context, "SELECT id FROM contexts WHERE text = ?1"},
      {&sql.fold, fold},
      {&sql.forget, forget},
      {&sql.folded, "UPDATE folded SET upto = max(upto, ?1)"},
      {&sql.move,
       "UPDATE OR REPLACE latest SET address = ?3 WHERE pipeline = ?1 AND address = ?2 RETURNING row"},
      {&sql.renamed, "INSERT OR IGNORE INTO renamed(row) VALUES(?1)"},
  };
  for (const auto& [statement, text] : all) {
    auto prepared = out.connection_.prepare(text.c_str());
    if (!prepared) return tl::unexpected(prepared.error());
    *statement = std::move(*prepared);
  }
  if (const int code = out.read_last_rows(); code != SQLITE_OK) {
    return tl::unexpected(out.connection_.error(code));
  }
  auto renamed = out.connection_.prepare("SELECT row FROM renamed");
  if (!renamed) return tl::unexpected(renamed.error());
  int code = SQLITE_OK;
  while ((code = renamed->step()) == SQLITE_ROW) out.renamed_.insert(renamed->number(0));
  if (code != SQLITE_DONE) return tl::unexpected(out.connection_.error(code));
  return out;
}

Result<void> Recorder::write(const std::vector<Write>& batch) {
  mark_finished(batch);
  pairs_.clear();
  int code = sql_.begin.run();
  Error order;
  for (const auto& write : batch) {
    if (code != SQLITE_OK || !order.code.empty()) break;
    code = std::visit([&](const auto& what) { return apply(what, order); }, write.what);
  }
  if (code == SQLITE_OK && order.code.empty()) code = write_pairs();
  if (code == SQLITE_OK && order.code.empty()) code = sql_.commit.run();
  if (code == SQLITE_OK && order.code.empty()) return {};
  if (order.code.empty()) order = connection_.error(code);
  if (sqlite3_get_autocommit(connection_.get()) == 0) (void)connection_.exec("ROLLBACK");
  return tl::unexpected(std::move(order));
}

Result<void> Recorder::fold(int64_t after) {
  auto upto = connection_.number("SELECT upto FROM folded");
  if (!upto) return tl::unexpected(upto.error());
  if (last_row_ - *upto < after) return {};
  int code = sql_.begin.run();
  if (code == SQLITE_OK) code = fold_rows();
  if (code == SQLITE_OK) code = sql_.commit.run();
  if (code == SQLITE_OK) return {};
  Error error = connection_.error(code);
  if (sqlite3_get_autocommit(connection_.get()) == 0) (void)connection_.exec("ROLLBACK");
  return tl::unexpected(std::move(error));
}

int Recorder::fold_rows() {
  int code = sql_.fold.run();
  if (code == SQLITE_OK) code = sql_.forget.run();
  if (code == SQLITE_OK) code = sql_.folded.bind(1, last_row_).run();
  return code;
}

// An attempt whose instance ends in the same commit needs no row of its own.
void Recorder::mark_finished(const std::vector<Write>& batch) {
  const uint64_t first = ++mark_;
  for (const auto& write : batch) {
    if (std::holds_alternative<Begin>(write.what) || std::holds_alternative<Resume>(write.what)) ++mark_;
    const auto* finish = std::get_if<Finish>(&write.what);
    if (finish == nullptr) continue;
    const size_t instance = finish->record.instance;
    if (instance >= marks_.size()) marks_.resize(std::max(instance + 1, marks_.size() * 2));
    marks_[instance] = mark_;
  }
  applying_ = first;
}

int Recorder::read_last_rows() {
  const int code = sql_.last_rows.step();
  last_row_ = sql_.last_rows.number(0);
  last_attempt_ = sql_.last_rows.number(1);
  sql_.last_rows.reset();
  return code == SQLITE_ROW ? SQLITE_OK : code;
}

// Pairs belong to the run that goes on and to the rows before them.
int Recorder::write_pairs() {
  if (pairs_.text().empty()) return SQLITE_OK;
  const int code =
      sql_.reused.bind(1, run_).bind(2, last_row_).bind(3, last_attempt_).bind_blob(4, pairs_.text()).run();
  pairs_.clear();
  return code;
}

int Recorder::apply(const Begin& begin, Error&) {
  if (const int code = write_pairs(); code != SQLITE_OK) return code;
  ++applying_;
  const RunRecord& run = begin.run;
  sql_.begin_run.bind_text(1, run.id)
      .bind_text(2, run.pipeline)
      .bind_text(3, run.file)
      .bind(4, to_micros(run.started))
      .bind(5, run.instances)
      .bind(6, last_row_ + 1)
      .bind(7, last_attempt_ + 1)
      .bind_text(8, run.details)
      .bind(9, static_cast<int64_t>(run.kind))
      .bind_text(10, run.profile)
      .bind_text(11, run.cleanups);
  const int code = sql_.begin_run.run();
  if (code == SQLITE_OK) run_ = sqlite3_last_insert_rowid(connection_.get());
  return code;
}

int Recorder::apply(const Resume& resume, Error& order) {
  if (const int code = write_pairs(); code != SQLITE_OK) return code;
  ++applying_;
  const int code = sql_.resume_run.bind_text(1, resume.id).bind_text(2, resume.details).run();
  if (code != SQLITE_OK) return code;
  if (sqlite3_changes(connection_.get()) == 0) {
    return out_of_order(order, "the run " + resume.id + " was resumed");
  }
  const int found = sql_.find_run.bind_text(1, resume.id).step();
  run_ = sql_.find_run.number(0);
  sql_.find_run.reset();
  return found == SQLITE_ROW ? SQLITE_OK : found;
}

int Recorder::apply(const Start& start, Error& order) {
  const size_t instance = start.attempt.instance;
  if (instance < marks_.size() && marks_[instance] == applying_) return SQLITE_OK;
  if (run_ == 0) return out_of_order(order, "an attempt was started");
  if (const int code = write_pairs(); code != SQLITE_OK) return code;
  sql_.start.bind(1, run_)
      .bind(2, start.attempt.instance)
      .bind(3, start.attempt.attempt)
      .bind(4, to_micros(start.at))
      .bind_text(5, start.attempt.address)
      .bind(6, last_row_);
  const int code = sql_.start.run();
  if (code == SQLITE_OK) last_attempt_ = sqlite3_last_insert_rowid(connection_.get());
  return code;
}

int Recorder::apply(const AttemptEnded& ended, Error& order) {
  if (run_ == 0) return out_of_order(order, "an attempt ended");
  const AttemptEnd& end = ended.end;
  return sql_.end_attempt.bind(1, run_)
      .bind(2, end.instance)
      .bind(3, end.attempt)
      .bind(4, static_cast<int64_t>(end.result))
      .bind(5, to_micros(end.started))
      .bind(6, end.duration.count())
      .bind(7, static_cast<int64_t>(end.cpu_us))
      .bind(8, static_cast<int64_t>(end.peak_bytes))
      .bind(9, static_cast<int64_t>(end.read_bytes))
      .bind(10, static_cast<int64_t>(end.write_bytes))
      .bind(11, last_attempt_)
      .bind_text(12, end.address)
      .bind_text(13, end.error)
      .run();
}

int Recorder::context_of(const std::string& text, int64_t& id) {
  if (last_context_id_ != 0 && text == last_context_) {
    id = last_context_id_;
    return SQLITE_OK;
  }
  if (const auto known = contexts_.find(text); known != contexts_.end()) {
    id = known->second;
  } else {
    if (const int code = sql_.add_context.bind_text(1, text).run(); code != SQLITE_OK) return code;
    const int code = sql_.find_context.bind_text(1, text).step();
    id = sql_.find_context.number(0);
    sql_.find_context.reset();
    if (code != SQLITE_ROW) return code;
    contexts_.emplace(text, id);
  }
  last_context_ = text;
  last_context_id_ = id;
  return SQLITE_OK;
}

int Recorder::apply(const Finish& finish, Error& order) {
  if (run_ == 0) return out_of_order(order, "an instance ended");
  if (const int code = write_pairs(); code != SQLITE_OK) return code;
  const InstanceRecord& record = finish.record;
  int64_t context = 0;
  if (!record.context.empty()) {
    if (const int code = context_of(record.context, context); code != SQLITE_OK) return code;
  }
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
      .bind_blob(12, record.outputs)
      .bind_blob(14, record.config);
  if (context != 0)
    sql_.finish.bind(13, context);
  else
    sql_.finish.bind_null(13);
  int code = sql_.finish.run();
  if (code != SQLITE_OK) return code;
  last_row_ = sqlite3_last_insert_rowid(connection_.get());
  if (!record.reads.empty()) code = sql_.reads.bind(1, last_row_).bind_text(2, record.reads).run();
  if (code == SQLITE_OK && !record.sealed.empty()) {
    code = sql_.sealed.bind(1, last_row_).bind_blob(2, record.sealed).run();
  }
  return code;
}

int Recorder::apply(const Reuse& reuse, Error& order) {
  if (run_ == 0) return out_of_order(order, "an instance was reused");
  for (const auto& one : reuse.all) {
    const bool moved = !renamed_.empty() && renamed_.count(one.row) != 0;
    pairs_.add({one.instance, one.row, moved ? std::string_view(one.address) : std::string_view()});
  }
  return SQLITE_OK;
}

int Recorder::apply(const Expansion& expansion, Error& order) {
  if (run_ == 0) return out_of_order(order, "a for_each was expanded");
  return sql_.expansion.bind(1, run_).bind_text(2, expansion.group).bind_text(3, expansion.text).run();
}

int Recorder::apply(const Hooked& hooked, Error& order) {
  if (run_ == 0) return out_of_order(order, "a hook ran");
  const HookRecord& hook = hooked.hook;
  return sql_.hook.bind(1, run_)
      .bind(2, to_micros(hook.at))
      .bind(3, hook.duration.count())
      .bind_text(4, hook.stage)
      .bind_text(5, hook.address)
      .bind_text(6, hook.script)
      .bind_text(7, hook.decision)
      .bind_text(8, hook.text)
      .run();
}

// What came before has the old name, what comes after it the new one: so all that came before is folded.
int Recorder::apply(const Move& move, Error&) {
  if (const int code = fold_rows(); code != SQLITE_OK) return code;
  sql_.move.bind_text(1, move.pipeline).bind_text(2, move.from).bind_text(3, move.to);
  int code = sql_.move.step();
  const int64_t row = code == SQLITE_ROW ? sql_.move.number(0) : 0;
  if (code == SQLITE_ROW) code = sql_.move.step();
  sql_.move.reset();
  if (code != SQLITE_DONE) return code;
  if (row == 0) return SQLITE_OK;
  renamed_.insert(row);
  return sql_.renamed.bind(1, row).run();
}

int Recorder::apply(const CleanupsDone& done, Error& order) {
  const int code = sql_.cleaned.bind_text(1, done.id).run();
  if (code == SQLITE_OK && sqlite3_changes(connection_.get()) == 0) {
    return out_of_order(order, "the run " + done.id + " was cleaned up");
  }
  return code;
}

int Recorder::apply(const End& end, Error& order) {
  if (const int code = write_pairs(); code != SQLITE_OK) return code;
  sql_.end_run.bind_text(1, end.id)
      .bind(2, static_cast<int64_t>(end.result))
      .bind(3, to_micros(end.at))
      .bind_text(4, end.details)
      .bind(5, last_row_);
  const int code = sql_.end_run.run();
  if (code == SQLITE_OK && sqlite3_changes(connection_.get()) == 0) {
    return out_of_order(order, "the run " + end.id + " ended");
  }
  run_ = 0;
  return code;
}

int Recorder::out_of_order(Error& order, const std::string& what) const {
  order.code = "state.failed";
  order.message = "cannot write " + connection_.file().string() + ": " + what + " that was never begun";
  order.hint = "report this with the message";
  return SQLITE_OK;
}

}  // namespace pf::state
