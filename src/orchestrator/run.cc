#include "orchestrator/run.h"

#include <unistd.h>
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/signal_set.hpp>
#include <asio/steady_timer.hpp>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <utility>

#include "base/json.h"
#include "base/places.h"
#include "orchestrator/affected.h"
#include "orchestrator/errors.h"
#include "orchestrator/keys.h"
#include "orchestrator/plan_file.h"
#include "orchestrator/runner.h"

namespace pf::orchestrator {
namespace {

constexpr Milliseconds kTick{100};
// By how much the wall clock and a run's own duration may differ without anybody having set the clock.
constexpr Milliseconds kClockSet{5000};

tl::unexpected<Errors> stop(Error error) { return tl::unexpected(Errors{std::move(error)}); }

// A message about the sandbox where running would not be safe.
Result<void> check_sandbox(const pipeline::Pipeline& pipeline, const Json& sandbox) {
  if (sandbox.value("landlock_abi", 0) > 0 || pipeline.degraded_sandbox) return {};
  return refuse("sandbox.degraded",
                "this kernel offers no Landlock: workers would be confined by seccomp alone",
                "use a kernel of 5.13 or later, or accept it with `core: {sandbox: degraded}`",
                {pipeline.file.string(), 1, 1, {}});
}

/// One `pangeo-forge run`: what all of its runs (cleanups of a dead one, then its own) share.
class Session {
 public:
  Session(const RunOptions& options, Observer& observer)
      : options_(options), selection_(options.selection), observer_(observer) {}

  tl::expected<int, Errors> run();

 private:
  tl::expected<void, Errors> open();
  tl::expected<void, Errors> look_at_tools();
  Result<worker::Supervisor*> supervisor();
  Result<void> move_all();
  Result<void> move(const History::Moved& moved);
  std::vector<std::string> due(const state::PendingCleanups& dead) const;
  std::vector<bool> cleaned_by(uint32_t cleanup) const;
  void find_due_again();
  Result<void> find_unfinished();
  tl::expected<int, Errors> clean_up();
  tl::expected<int, Errors> tear_down();
  tl::expected<void, Errors> find_kept();
  int execute(state::RunRecord record, std::vector<bool> excluded);
  void tick_forever(asio::steady_timer& timer, Runner& runner);
  void watch_signals(asio::signal_set& signals, Runner& runner);
  std::string details(uint32_t refused) const;
  state::RunRecord new_record() const;
  Scheduler::Options scheduling(const std::vector<bool>& excluded) const;

  const RunOptions& options_;
  Selection selection_;
  Observer& observer_;
  std::unique_ptr<Project> project_;
  std::optional<state::Lock> lock_;
  asio::io_context loop_{1};
  api::Secrets secrets_;
  std::optional<api::Versions> versions_;
  std::unique_ptr<worker::Supervisor> supervisor_;
  ToolVersions tools_;
  std::optional<History> history_;
  std::optional<Keeper> keeper_;
  std::optional<Earlier> earlier_;
  std::unique_ptr<pipeline::Pipeline> graph_;  // destroy and refresh: the other way round
  state::RunRecord resumed_;
  Json abandoned_ = Json::array();  // cleanups that are given up: {run, instance}
  Json due_again_ =
      Json::object();  // cleanups of the resumed run that had ended, with their rows in the store
  std::vector<std::string> settled_;  // runs that owe no cleanup any more, once the next one has begun
  std::unique_ptr<iac::Engine> engine_;
  std::unique_ptr<state::Writer> writer_;
  bool store_failed_ = false;
  Error store_error_;
  std::function<void()> on_store_failure_;
  int first_signal_ = 0;  // negative once there was a second one
};

std::string Session::details(uint32_t refused) const {
  Json out = {{"command", options_.command}, {"refused_calls", refused}};
  out["sandbox"] = supervisor_ ? supervisor_->sandbox() : Json();
  out["max_parallel"] = options_.max_parallel != 0 ? options_.max_parallel : project_->pipeline->max_parallel;
  if (!abandoned_.empty()) out["abandoned_cleanups"] = abandoned_;
  if (!due_again_.empty()) out["due_again"] = due_again_;
  if (Json selection = selection_to_json(selection_); !selection.is_null())
    out["selection"] = std::move(selection);
  return to_json_text(out);
}

// The selection that a run was begun with.
Selection selection_of(const state::RunRecord& run) {
  const auto details = parse_json(run.details);
  if (!details || !details->is_object() || !details->contains("selection")) return {};
  return selection_from_json((*details)["selection"]);
}

tl::expected<void, Errors> Session::open() {
  // Nothing is written, not even the lock, before the input is known to be good.
  auto project = open_project(options_.project);
  if (!project) return tl::unexpected(std::move(project.error()));
  project_ = std::move(*project);
  if (auto found = find_affected(*project_, selection_); !found) return stop(std::move(found.error()));
  if (auto selected = select(*project_->pipeline, selection_); !selected) {
    return tl::unexpected(std::move(selected.error()));
  }
  auto lock = state::Lock::acquire(project_->state_folder, options_.command);
  if (!lock) return stop(std::move(lock.error()));
  lock_.emplace(std::move(*lock));
  if (options_.plan != nullptr) {
    if (auto held = check_plan(*options_.plan, options_.project); !held) return held;
  }
  keep_descriptions(*project_);

  const state::Layout layout(project_->state_folder);
  secrets_.set_key_file(layout.digest_key());
  versions_.emplace(secrets_, project_->state_folder);
  history_.emplace(*project_->pipeline);
  if (auto loaded = history_->load(project_->state_folder); !loaded) return stop(std::move(loaded.error()));
  set_sources(*project_->pipeline, secrets_);
  auto passphrase = Keeper::passphrase(*project_->pipeline);
  if (!passphrase) return stop(std::move(passphrase.error()));
  keeper_.emplace(project_->state_folder, std::move(*passphrase));
  // A wrong passphrase is told now, not when half of the pipeline has run.
  if (keeper_->can_keep() && history_->has_sealed()) {
    if (auto opened = keeper_->open(); !opened) return stop(std::move(opened.error()));
  }
  if (auto tools = look_at_tools(); !tools) return tools;
  if (options_.resume) {
    if (auto found = find_unfinished(); !found) return stop(std::move(found.error()));
    // It goes on with what was selected then, unless it is told otherwise.
    if (earlier_ && selection_.all()) {
      selection_ = selection_of(resumed_);
      if (auto found = find_affected(*project_, selection_); !found) return stop(std::move(found.error()));
    }
  }
  // Where something has certainly to run, what keeps it from running is told before anything is written.
  if (history_->empty() || options_.force) {
    if (auto started = supervisor(); !started) return stop(std::move(started.error()));
  }
  engine_ = iac::make_embedded_engine(layout.backend());
  auto writer = state::Writer::open(
      project_->state_folder,
      [this](state::Writer::Callback callback) { asio::post(loop_, std::move(callback)); },
      [this](Error error) {
        store_failed_ = true;
        store_error_ = std::move(error);
        if (on_store_failure_) on_store_failure_();
      });
  if (!writer) return stop(std::move(writer.error()));
  writer_ = std::move(*writer);
  return {};
}

// What core.moved says. Not before it is certain that anything is done at all.
Result<void> Session::move_all() {
  for (const auto& moved : history_->moved()) {
    if (auto done = move(moved); !done) return done;
  }
  return {};
}

// Work folder and stack go along, and the store knows it last: whatever interrupts this, it is done again.
Result<void> Session::move(const History::Moved& moved) {
  const auto& pipeline = *project_->pipeline;
  const state::Layout layout(project_->state_folder);
  const auto folder = [&](const std::string& address) {
    const size_t dot = address.find('.');
    return layout.work(address.substr(0, dot), address.substr(dot + 1));
  };
  std::error_code code;
  if (std::filesystem::exists(folder(moved.from), code) && !std::filesystem::exists(folder(moved.to), code)) {
    std::filesystem::create_directories(folder(moved.to).parent_path(), code);
    if (!code) std::filesystem::rename(folder(moved.from), folder(moved.to), code);
    if (code) return tl::unexpected(system_error("cannot move " + folder(moved.from).string(), code.value()));
  }
  const int64_t instance = pipeline.find(moved.to);
  const iac::StackId from{pipeline.name, moved.stack};
  const iac::StackId to{pipeline.name, pipeline.instances[static_cast<size_t>(instance)].stack};
  if (from.stack != to.stack) {
    auto content = engine_->read(from);
    if (!content) return tl::unexpected(std::move(content.error()));
    if (*content) {
      if (auto exported = engine_->export_content(to, **content); !exported) return exported;
      if (auto removed = engine_->remove(from); !removed) return tl::unexpected(std::move(removed.error()));
    }
  }
  writer_->move(pipeline.name, moved.from, moved.to, {});
  return writer_->drain();
}

Result<worker::Supervisor*> Session::supervisor() {
  if (supervisor_) return supervisor_.get();
  const auto& pipeline = *project_->pipeline;
  worker::Options workers;
  workers.program = places::worker_program();
  workers.max_workers =
      static_cast<int>(options_.max_parallel != 0 ? options_.max_parallel : pipeline.max_parallel);
  workers.degraded = pipeline.degraded_sandbox;
  auto started = worker::Supervisor::start(loop_, workers);
  if (!started) return tl::unexpected(std::move(started.error()));
  if (auto safe = check_sandbox(pipeline, (*started)->sandbox()); !safe) {
    return tl::unexpected(std::move(safe.error()));
  }
  supervisor_ = std::move(*started);
  return supervisor_.get();
}

tl::expected<void, Errors> Session::look_at_tools() {
  if (!declares_tools(*project_)) return {};
  auto started = supervisor();
  if (!started) return stop(std::move(started.error()));
  return learn_tools(loop_, (*started)->programs(), *project_, tools_, *versions_);
}

// The last run, where it died or was stopped, and was no cleanup of another one. Without one there is nothing
// to go on with: a plain run.
Result<void> Session::find_unfinished() {
  auto reader = state::Reader::open(project_->state_folder);
  if (!reader) {
    if (reader.error().code == "state.none") return {};
    return tl::unexpected(std::move(reader.error()));
  }
  auto last = (*reader)->last_run(project_->pipeline->name);
  if (!last) return tl::unexpected(std::move(last.error()));
  using state::RunResult;
  if (!*last || (*last)->kind != state::RunKind::run || (*last)->result == RunResult::succeeded ||
      (*last)->result == RunResult::failed) {
    return {};
  }
  auto ended = (*reader)->instances_in_full((*last)->id);
  if (!ended) return tl::unexpected(std::move(ended.error()));
  auto attempts = (*reader)->attempts((*last)->id);
  if (!attempts) return tl::unexpected(std::move(attempts.error()));
  auto expansions = (*reader)->expansions((*last)->id);
  if (!expansions) return tl::unexpected(std::move(expansions.error()));
  resumed_ = std::move(**last);
  earlier_.emplace();
  earlier_->expansions = std::move(*expansions);
  // What the pipeline's deadline ended was interrupted: it has not failed for good.
  const auto interrupted = [](InstanceResult result, const std::string& error) {
    return result == InstanceResult::timed_out && error_from_json(error).code == "deadline.pipeline";
  };
  for (auto& record : *ended) {
    if (!interrupted(record.result, record.error)) earlier_->ended[record.address] = std::move(record);
  }
  for (const auto& attempt : *attempts) {
    if (is_failure(attempt.result) && !interrupted(attempt.result, attempt.error))
      ++earlier_->failed[attempt.address];
    uint32_t& number = earlier_->last[attempt.address];
    number = std::max(number, attempt.attempt);
  }
  find_due_again();
  return {};
}

// What a `finally` instance cleans up after, among all instances.
std::vector<bool> Session::cleaned_by(uint32_t cleanup) const {
  const auto& pipeline = *project_->pipeline;
  if (pipeline.upstream(cleanup).empty()) return std::vector<bool>(pipeline.instances.size(), true);
  std::vector<bool> out(pipeline.instances.size(), false);
  out[cleanup] = true;
  close_over(pipeline, false, out);
  return out;
}

// Cleanups that had ended when the run was interrupted, and are due again because something that they clean
// up after goes on. Kept with the run before it does: the store would know too late what has been begun.
void Session::find_due_again() {
  const auto& pipeline = *project_->pipeline;
  const auto finally = [&](uint32_t i) { return pipeline.settings[pipeline.instances[i].settings].finally; };
  const auto settled = [&](uint32_t i) {
    const auto* ended = earlier_->find(pipeline.address(i));
    return ended != nullptr &&
           (ended->result == InstanceResult::succeeded || ended->result == InstanceResult::cached ||
            ended->result == InstanceResult::skipped);
  };
  for (uint32_t i = 0; i < pipeline.instances.size(); ++i) {
    const auto* ended = finally(i) ? earlier_->find(pipeline.address(i)) : nullptr;
    if (ended == nullptr || ended->result == InstanceResult::none) continue;
    const auto cleaned = cleaned_by(i);
    for (uint32_t main = 0; main < cleaned.size(); ++main) {
      if (!cleaned[main] || finally(main) || settled(main)) continue;
      due_again_[pipeline.address(i)] = ended->row;
      break;
    }
  }
}

state::RunRecord Session::new_record() const {
  const auto& pipeline = *project_->pipeline;
  state::RunRecord record;
  record.started = Clock::system().wall();
  record.id = state::new_run_id(record.started);
  record.kind = options_.kind;
  record.pipeline = pipeline.name;
  record.profile = pipeline.profile;
  record.file = (pipeline.folder / pipeline.file.filename()).string();
  record.instances = static_cast<uint32_t>(pipeline.instances.size());
  record.details = details(0);
  return record;
}

Scheduler::Options Session::scheduling(const std::vector<bool>& excluded) const {
  const auto& pipeline = *project_->pipeline;
  Scheduler::Options out;
  out.max_parallel = options_.max_parallel != 0 ? options_.max_parallel : pipeline.max_parallel;
  out.fail_fast = options_.fail_fast;
  out.known.resize(pipeline.instances.size());
  for (uint32_t i = 0; i < out.known.size(); ++i) {
    const uint32_t most = pipeline.settings[pipeline.instances[i].settings].max_attempts;
    if (earlier_) out.known[i] = earlier_->known(pipeline.address(i), most);
    out.known[i].excluded = !excluded.empty() && excluded[i];
    if (const auto* last = history_->last(i); last != nullptr) out.known[i].expected = last->duration;
  }
  return out;
}

tl::expected<int, Errors> Session::run() {
  if (auto opened = open(); !opened) return tl::unexpected(std::move(opened.error()));
  const auto& pipeline = *project_->pipeline;
  if (options_.kind != state::RunKind::run) return tear_down();
  if (auto moved = move_all(); !moved) return stop(std::move(moved.error()));
  auto left_out = excluded(pipeline, selection_, *history_);
  if (!left_out) return tl::unexpected(std::move(left_out.error()));
  if (earlier_) return execute(resumed_, std::move(*left_out));
  if (auto cleaned = clean_up(); !cleaned || *cleaned != kOk) return cleaned;

  state::RunRecord record = new_record();
  Json cleanups = Json::array();
  for (uint32_t i = 0; i < pipeline.instances.size(); ++i) {
    const bool cleans = pipeline.settings[pipeline.instances[i].settings].finally;
    if (cleans && (left_out->empty() || !(*left_out)[i])) cleanups.push_back(pipeline.address(i));
  }
  if (!cleanups.empty()) record.cleanups = to_json_text(cleanups);
  return execute(std::move(record), std::move(*left_out));
}

/// Outputs as they were kept.
class KeptOutputs final : public pipeline::Outputs {
 public:
  KeptOutputs(const History& history, Keeper& keeper, api::Secrets& secrets)
      : history_(history), keeper_(keeper), secrets_(secrets) {}
  const Json* of(uint32_t instance) override {
    if (const auto found = decoded_.find(instance); found != decoded_.end()) return &found->second;
    const auto* last = history_.last(instance);
    if (last == nullptr) return nullptr;
    std::string outputs = last->outputs;
    if (!last->sealed.empty() && keeper_.can_keep()) {
      auto plain = keeper_.unseal(last->sealed_as.empty() ? last->address : last->sealed_as, last->sealed);
      if (plain) outputs = std::move(*plain);
    }
    auto decoded = from_cbor(outputs);
    if (!decoded) return nullptr;
    return &decoded_.emplace(instance, std::move(*decoded)).first->second;
  }
  Result<std::string> secret(std::string_view name) override { return secrets_.get(name); }

 private:
  const History& history_;
  Keeper& keeper_;
  api::Secrets& secrets_;
  std::map<uint32_t, Json> decoded_;
};

// Gives the pipeline the instances that earlier runs made: those of for_each over outputs, and orphans where
// they are asked for.
tl::expected<void, Errors> Session::find_kept() {
  auto& pipeline = *project_->pipeline;
  KeptOutputs outputs(*history_, *keeper_, secrets_);
  const auto written = static_cast<uint32_t>(pipeline.instances.size());
  for (uint32_t i = 0; i < written; ++i) {
    // Without its upstream's outputs a group has made nothing.
    if (pipeline.instances[i].group) (void)pipeline::expand(pipeline, i, outputs);
  }
  if (!options_.orphans) return {};
  Errors errors;
  for (const auto* record : history_->others()) {
    const size_t dot = record->address.find('.');
    const std::string type = record->address.substr(0, dot);
    const std::string name = record->address.substr(dot + 1);
    const auto refuse_orphan = [&](const std::string& what, const std::string& hint) {
      errors.push_back(refuse("destroy.orphan", record->address + " cannot be destroyed: " + what, hint,
                              {pipeline.file.string(), 0, 0, {}})
                           .value());
    };
    auto config = record->config.empty() ? Result<Json>(Json::object()) : from_cbor(record->config);
    const auto context = parse_json(record->context);
    if (!config || !context || !context->is_object()) {
      refuse_orphan("its last configuration is not readable",
                    "put it back into the file and destroy it there");
      continue;
    }
    if (record->config.find(kConcealed) != std::string::npos) {
      refuse_orphan("its configuration held secrets, which are not kept",
                    "put it back into the file and destroy it there");
      continue;
    }
    if (auto loaded = load_extension(*project_, options_.project, type); !loaded) {
      std::move(loaded.error().begin(), loaded.error().end(), std::back_inserter(errors));
      continue;
    }
    const std::string digest = context->value("package", "");
    if (digest != "sha256:" + project_->extensions.at(type).package.digest) {
      refuse_orphan(
          "it was made by another version of the extension " + type,
          "install that version (its digest is " + digest + "), or put the instance back into the file");
      continue;
    }
    pipeline::adopt(pipeline, type, name, context->value("stack", pipeline.stack + "-*"), *config);
  }
  if (!errors.empty()) return tl::unexpected(std::move(errors));
  history_->index_again();
  return {};
}

// Destroys or refreshes what earlier runs made, the last first.
tl::expected<int, Errors> Session::tear_down() {
  const auto& pipeline = *project_->pipeline;
  const auto written = static_cast<uint32_t>(pipeline.instances.size());
  if (auto found = find_kept(); !found) return tl::unexpected(std::move(found.error()));
  const auto count = static_cast<uint32_t>(pipeline.instances.size());
  auto selected = options_.orphans ? std::vector<bool>(count, false) : std::vector<bool>();
  if (options_.orphans) {
    for (uint32_t i = written; i < count; ++i) selected[i] = pipeline.instances[i].each == UINT32_MAX;
  } else {
    auto chosen = select(pipeline, selection_);
    if (!chosen) return tl::unexpected(std::move(chosen.error()));
    selected = std::move(*chosen);
    close_over(pipeline, true, selected);
  }
  graph_ = pipeline::reversed(pipeline);
  std::vector<std::string> addresses;
  Errors errors;
  std::vector<bool> left_out(count, true);
  for (uint32_t i = 0; i < count; ++i) {
    if (!selected[i] || pipeline.instances[i].group) continue;
    if (history_->last(i) == nullptr) {
      const auto stack = engine_->read({pipeline.name, pipeline.instances[i].stack});
      if (!stack) return stop(stack.error());
      if (!stack->has_value()) continue;  // it never was
    }
    left_out[i] = false;
    addresses.push_back(pipeline.address(i));
    if (options_.kind == state::RunKind::destroy &&
        pipeline.settings[pipeline.instances[i].settings].protect) {
      errors.push_back(refuse("destroy.protected", addresses.back() + " is protected",
                              "leave it out with --skip '" + addresses.back() +
                                  "' (and what it needs), or take `protect: true` away",
                              pipeline.document->where(pipeline.instances[i].at, addresses.back()))
                           .value());
    }
  }
  if (!errors.empty()) return tl::unexpected(std::move(errors));
  if (addresses.empty()) return kNothingToDo;
  std::reverse(addresses.begin(), addresses.end());
  if (options_.confirm && !options_.confirm(addresses)) return kDeclined;
  if (auto moved = move_all(); !moved) return stop(std::move(moved.error()));
  return execute(new_record(), std::move(left_out));
}

// Those of its cleanups that never ended, and those that ended before something that they clean up after went
// on.
std::vector<std::string> Session::due(const state::PendingCleanups& dead) const {
  const auto& pipeline = *project_->pipeline;
  std::vector<std::string> out = dead.addresses;
  for (const auto& overtaken : dead.overtaken) {
    const int64_t instance = pipeline.find(overtaken.address);
    // What it cleans up after cannot be told where one of the two is not known.
    bool again = instance < 0;
    if (!again) {
      const auto cleaned = cleaned_by(static_cast<uint32_t>(instance));
      again = std::any_of(overtaken.by.begin(), overtaken.by.end(), [&](const std::string& address) {
        const int64_t by = pipeline.find(address);
        return by < 0 || cleaned[static_cast<size_t>(by)];
      });
    }
    if (again) out.push_back(overtaken.address);
  }
  return out;
}

// What a run that died had still to clean up: the intent was on disk before anything was acquired.
tl::expected<int, Errors> Session::clean_up() {
  if (history_->empty() && !std::filesystem::exists(state::Layout(project_->state_folder).database()))
    return kOk;
  auto reader = state::Reader::open(project_->state_folder);
  if (!reader)
    return reader.error().code == "state.none" ? tl::expected<int, Errors>(kOk) : stop(reader.error());
  const auto& pipeline = *project_->pipeline;
  auto pending = (*reader)->pending_cleanups(pipeline.name);
  if (!pending)
    return pending.error().code == "state.none" ? tl::expected<int, Errors>(kOk) : stop(pending.error());
  std::vector<bool> left_out(pipeline.instances.size(), true);
  Json again = Json::array();
  std::vector<std::string> gone;
  for (const auto& dead : *pending) {
    for (const std::string& address : due(dead)) {
      const int64_t instance = pipeline.find(address);
      if (instance < 0) {
        if (!options_.abandon_cleanups) {
          return stop(refuse("cleanup.gone",
                             "the run " + dead.run.id + " died before " + address +
                                 " could clean up after it, and the pipeline has no such instance any more",
                             "put it back into the file and run again; it may go once it has cleaned up. Or "
                             "clean up by hand, and give it up with `run --abandon-cleanups`",
                             {pipeline.file.string(), 0, 0, {}})
                          .value());
        }
        gone.push_back(address);
        abandoned_.push_back({{"run", dead.run.id}, {"instance", address}});
        continue;
      }
      if (!left_out[static_cast<size_t>(instance)]) continue;
      left_out[static_cast<size_t>(instance)] = false;
      again.push_back(address);
    }
  }
  if (!gone.empty() && options_.confirm && !options_.confirm(gone)) return kDeclined;
  if (again.empty()) {
    // The run that follows records that they were given up.
    for (const auto& dead : *pending) settled_.push_back(dead.run.id);
    return kOk;
  }
  state::RunRecord record = new_record();
  record.kind = state::RunKind::cleanup;
  record.cleanups = to_json_text(again);
  const int code = execute(std::move(record), std::move(left_out));
  if (code != kOk) return code;
  abandoned_ = Json::array();
  for (const auto& dead : *pending) writer_->cleanups_done(dead.run.id, {});
  if (auto drained = writer_->drain(); !drained) return stop(drained.error());
  return kOk;
}

// Repeats itself as long as the loop runs.
void Session::tick_forever(asio::steady_timer& timer, Runner& runner) {
  timer.expires_after(kTick);
  timer.async_wait([this, &timer, &runner](std::error_code code) {
    if (code) return;
    runner.tick();
    tick_forever(timer, runner);
  });
}

// The first signal cancels, the second kills, the third leaves at once.
void Session::watch_signals(asio::signal_set& signals, Runner& runner) {
  signals.async_wait([this, &signals, &runner](std::error_code code, int number) {
    if (code) return;
    if (first_signal_ == 0) {
      first_signal_ = number;
      runner.cancel(number);
    } else if (first_signal_ > 0) {
      first_signal_ = -first_signal_;
      runner.cancel(number);
    } else {
      observer_.leaving();
      ::_exit(128 + number);
    }
    watch_signals(signals, runner);
  });
}

// When a run ended. Where the clock was set while it ran, its own duration is what is true of it.
WallTime end_of(const state::RunRecord& record, bool resumed, Milliseconds took) {
  const WallTime now = Clock::system().wall();
  if (resumed) return std::max(now, record.started);
  const auto off = now - (record.started + took);
  return off > kClockSet || off < -kClockSet ? record.started + took : now;
}

int Session::execute(state::RunRecord record, std::vector<bool> left_out) {
  const auto& pipeline = *project_->pipeline;
  const bool resumes = earlier_.has_value();
  const SteadyTime begun = Clock::system().steady();
  RunnerParts parts{loop_,    *project_,  [this] { return supervisor(); },
                    *writer_, *engine_,   observer_,
                    secrets_, *versions_, *history_};
  parts.earlier = resumes ? &*earlier_ : nullptr;
  parts.kind = record.kind == state::RunKind::cleanup ? state::RunKind::run : record.kind;
  for (const Json& one : abandoned_) {
    parts.notes.push_back("given up: " + one["instance"].get<std::string>() +
                          " does not clean up after the run " + one["run"].get<std::string>());
  }
  parts.graph = graph_.get();
  if (keeper_->can_keep()) {
    parts.seal = [this](const std::string& address, std::string_view plain) {
      return keeper_->seal(address, plain);
    };
    parts.unseal = [this](const std::string& address, std::string_view sealed) {
      return keeper_->unseal(address, sealed);
    };
  }
  parts.run = record.id;
  parts.scheduling = scheduling(left_out);
  parts.force = options_.force;
  parts.tools = &tools_;
  Runner runner(std::move(parts));
  on_store_failure_ = [&] {
    const RunFailure failure{Clock::system().wall(), &store_error_};
    observer_.on(failure);
    runner.abort();
  };

  asio::signal_set signals(loop_, SIGINT, SIGTERM);
  watch_signals(signals, runner);
  asio::steady_timer timer(loop_);
  tick_forever(timer, runner);
  asio::steady_timer deadline(loop_);
  if (pipeline.deadline.count() > 0) {
    deadline.expires_after(pipeline.deadline);
    deadline.async_wait([&](std::error_code code) {
      if (!code) runner.expire();
    });
  }
  auto work = asio::make_work_guard(loop_);
  const auto start = [&] { runner.start(); };
  if (resumes)
    writer_->resume_run(record.id, details(0), start);
  else
    writer_->begin_run(record, start);
  due_again_ = Json::object();  // it holds while the run has no end
  for (const auto& id : std::exchange(settled_, {})) writer_->cleanups_done(id, {});
  worker::run_awake(loop_, supervisor_);
  loop_.restart();

  RunFinished finished;
  using state::RunResult;
  finished.result = runner.cancelled() ? RunResult::cancelled
                    : runner.expired() ? RunResult::timed_out
                    : runner.failed()  ? RunResult::failed
                                       : RunResult::succeeded;
  if (store_failed_) finished.result = RunResult::failed;
  finished.time = Clock::system().wall();
  finished.duration = std::chrono::duration_cast<Milliseconds>(Clock::system().steady() - begun);
  finished.refused_calls = runner.refused();
  finished.oldest = runner.oldest();
  const std::string first_failed = runner.first_failed();
  finished.first_failed = first_failed;
  if (!store_failed_) {
    writer_->finish_run(record.id, finished.result, end_of(record, resumes, finished.duration),
                        details(runner.refused()), [this] { loop_.stop(); });
    loop_.run();
    loop_.restart();
  }
  on_store_failure_ = {};
  if (store_failed_) finished.result = RunResult::failed;
  if (finished.result != RunResult::succeeded) finished.command = options_.command;
  const auto records = runner.take_records();
  finished.instances = &records;
  observer_.on(finished);

  if (first_signal_ != 0) return 128 + std::abs(first_signal_);
  if (finished.result == RunResult::timed_out) return kDeadline;
  return finished.result == RunResult::succeeded ? kOk : kInstanceFailed;
}

}  // namespace

tl::expected<std::vector<bool>, Errors> excluded(const pipeline::Pipeline& pipeline,
                                                 const Selection& selection, const History& history) {
  if (selection.all()) return std::vector<bool>();
  auto selected = select(pipeline, selection);
  if (!selected) return tl::unexpected(std::move(selected.error()));
  Errors errors;
  for (uint32_t i = 0; i < selected->size(); ++i) {
    if (!(*selected)[i]) continue;
    for (const auto& edge : pipeline.upstream(i)) {
      if ((*selected)[edge.upstream] || edge.when != pipeline::EdgeWhen::succeeded) continue;
      if (history.last(edge.upstream) != nullptr) continue;
      const std::string address = pipeline.address(i);
      errors.push_back(
          refuse("selection.no_outputs",
                 address + " needs " + pipeline.address(edge.upstream) +
                     ", which is not selected and has never succeeded: it has no outputs to lend",
                 "select what it needs, too: --until '" + address + "'",
                 pipeline.document->where(pipeline.instances[i].at, address))
              .value());
    }
  }
  if (!errors.empty()) return tl::unexpected(std::move(errors));
  selected->flip();
  return std::move(*selected);
}

tl::expected<int, Errors> run(const RunOptions& options, Observer& observer) {
  return Session(options, observer).run();
}

}  // namespace pf::orchestrator
