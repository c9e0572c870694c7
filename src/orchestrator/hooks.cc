#include "orchestrator/hooks.h"

#include <algorithm>
#include <asio/post.hpp>
#include <deque>
#include <map>
#include <set>

#include "base/digest.h"
#include "base/json.h"
#include "base/text.h"
#include "extension/grants.h"
#include "registry/frames.h"
#include "state/layout.h"

namespace pf::orchestrator {
namespace {

using pipeline::HookStage;
using worker::Done;

constexpr size_t kLongestError = 64U << 10;  // bytes of each of its texts
constexpr size_t kMaxEvent = frames::kMaxFrame - (64U << 10);

bool of_instances(HookStage stage) {
  return stage == HookStage::before_instance || stage == HookStage::on_retry ||
         stage == HookStage::after_instance || stage == HookStage::on_error;
}

uint8_t stages_of(const std::vector<HookSet::Loaded>& hooks, bool core) {
  unsigned bits = 0;
  for (const auto& loaded : hooks) {
    if (core || of_instances(loaded.hook.stage)) bits |= 1U << static_cast<unsigned>(loaded.hook.stage);
  }
  return static_cast<uint8_t>(bits);
}

Error cancelled_error() {
  Error error;
  error.code = "job.cancelled";
  error.message = "the hook was cancelled";
  error.retryable = false;
  return error;
}

Decision failed(Error error) {
  Decision out;
  out.kind = Decision::Kind::failed;
  out.text = error.message;
  out.error = std::move(error);
  return out;
}

// `${config.…}` has nothing to stand for in a hook's permissions, and would silently grant nothing.
Errors find_expressions(const extension::Permissions& permissions, const Where& where) {
  Errors errors;
  const auto look = [&](const std::string& entry) {
    if (entry.find("${") == std::string::npos) return;
    errors.push_back(
        refuse("hook.permission",
               "expected plain text, found '" + shorten(entry, 60) + "': a hook has no configuration",
               "write out what the hook may use", where)
            .value());
  };
  for (const auto* list : {&permissions.http, &permissions.env, &permissions.read, &permissions.write,
                           &permissions.git, &permissions.secrets}) {
    for (const auto& entry : *list) look(entry);
  }
  for (const auto& program : permissions.programs) look(program.name);
  return errors;
}

/// Reads what load_hooks() gives, collecting errors.
class Loading {
 public:
  explicit Loading(const pipeline::Pipeline& pipeline) : pipeline_(pipeline) {}

  std::vector<HookSet::Loaded> load(const std::vector<pipeline::Hook>& hooks) {
    std::vector<HookSet::Loaded> out;
    for (const auto& hook : hooks) {
      HookSet::Loaded loaded{hook, 0, {}};
      const std::string path = "hooks." + std::string(pipeline::to_text(hook.stage));
      if (!hook.permissions.is_null()) {
        auto read =
            extension::read_permissions(*pipeline_.document, hook.permissions, path + ".permissions", {});
        if (read) {
          add(find_expressions(*read, pipeline_.document->where(hook.permissions, path + ".permissions")));
          loaded.permissions = std::move(*read);
        } else {
          add(std::move(read.error()));
        }
      }
      if (const auto found = known_.find(hook.script); found != known_.end()) {
        loaded.script = found->second;
      } else if (auto script = extension::read_hook_script(hook.script, pipeline_.folder); script) {
        loaded.script = static_cast<uint32_t>(set.scripts.size());
        known_.emplace(hook.script, loaded.script);
        set.scripts.push_back(std::move(*script));
      } else {
        // The place of the hook, where something can be done about it: the message names the file.
        Error error = std::move(script.error());
        error.where = pipeline_.document->where(hook.at, path);
        errors.push_back(std::move(error));
      }
      out.push_back(std::move(loaded));
    }
    return out;
  }

  void check() {
    std::vector<const extension::HookScript*> scripts;
    for (const auto& script : set.scripts) scripts.push_back(script.get());
    Errors found = extension::check_hook_scripts(scripts);
    for (Error& error : found) {
      if (!error.code.empty()) errors.push_back(std::move(error));
    }
  }

  HookSet set;
  Errors errors;

 private:
  void add(Errors more) { errors.insert(errors.end(), more.begin(), more.end()); }

  const pipeline::Pipeline& pipeline_;
  std::map<std::filesystem::path, uint32_t> known_;
};

}  // namespace

tl::expected<HookSet, Errors> load_hooks(const pipeline::Pipeline& pipeline) {
  Loading loading(pipeline);
  loading.set.core = loading.load(pipeline.core_hooks);
  for (const auto& hooks : pipeline.hooks) loading.set.instances.push_back(loading.load(hooks));
  loading.check();
  if (!loading.errors.empty()) return tl::unexpected(std::move(loading.errors));
  return std::move(loading.set);
}

/// The stages that are under way. One script runs in one pool; a stage has at most one job out at a time.
class Hooks::Runs {
 public:
  explicit Runs(HookParts& parts) : parts_(parts) {
    for (const auto& script : parts.set.scripts) scripts_.push_back(std::make_unique<Script>(*this, *script));
  }
  ~Runs() { *alive_ = false; }
  Runs(const Runs&) = delete;
  Runs& operator=(const Runs&) = delete;

  void begin(HookStage stage, std::optional<uint32_t> instance, const Json& event,
             std::function<void(Decision)> done);
  void cancel();
  void interrupt(int signal) {
    for (auto& [id, stage] : stages_) {
      if (stage.session) stage.session->interrupt(signal);
    }
  }
  size_t running() const { return stages_.size(); }

 private:
  /// One run() that has not ended.
  struct Stage {
    uint64_t id = 0;
    HookStage stage = HookStage::before_pipeline;
    std::optional<uint32_t> instance;
    Json event;  // secrets masked
    std::vector<const HookSet::Loaded*> hooks;
    size_t at = 0;
    Decision decision;
    std::function<void(Decision)> done;
    SteadyTime begun{};
    std::unique_ptr<api::Session> session;  // at its hook's first host call
    bool cancelled = false;

    const HookSet::Loaded& hook() const { return *hooks[at]; }
  };

  /// The workers of one script. A job's id is its stage's.
  class Script final : public worker::Client {
   public:
    Script(Runs& runs, const extension::HookScript& script)
        : runs_(runs), script_(script), pool_(runs.parts_.supervisor.pool(script.package, *this)) {}

    void start(worker::Job job) {
      if (waiting_.empty() && pool_->offer(job, true)) return;
      waiting_.push_back(std::move(job));
    }
    /// True: the job waited still, and is forgotten. False: job_done() follows.
    bool cancel(uint64_t job) {
      const auto found = std::find_if(waiting_.begin(), waiting_.end(),
                                      [&](const worker::Job& other) { return other.id == job; });
      if (found == waiting_.end()) {
        pool_->cancel(job);
        return false;
      }
      waiting_.erase(found);
      return true;
    }
    worker::Pool& pool() { return *pool_; }
    const extension::HookScript& script() const { return script_; }

    void job_started(uint64_t job) override {
      if (Stage* stage = runs_.find(job)) stage->begun = Clock::system().steady();
    }
    void host_call(uint64_t job, uint32_t request, int call, std::string_view arguments) override {
      runs_.host_call(*this, job, request, call, arguments);
    }
    void cancel_call(uint64_t job, uint32_t request) override {
      const Stage* stage = runs_.find(job);
      if (stage == nullptr || !stage->session || !stage->session->cancel(request)) return;
      pool_->reply(job, request, fail("async.cancelled", "the task that made this call was cancelled"));
    }
    void job_done(uint64_t job, Done done) override { runs_.hook_done(job, std::move(done)); }
    void room() override {
      while (!waiting_.empty() && pool_->offer(waiting_.front(), true)) waiting_.pop_front();
    }
    bool may_start() override { return true; }

   private:
    Runs& runs_;
    const extension::HookScript& script_;
    std::unique_ptr<worker::Pool> pool_;
    std::deque<worker::Job> waiting_;
  };

  Stage* find(uint64_t id) {
    const auto found = stages_.find(id);
    return found == stages_.end() ? nullptr : &found->second;
  }
  Script& script_of(const Stage& stage) { return *scripts_[stage.hook().script]; }
  void start(Stage& stage);
  void finish(Stage& stage);
  void host_call(Script& script, uint64_t job, uint32_t request, int call, std::string_view arguments);
  std::unique_ptr<api::Session> open_session(const Stage& stage, Script& script);
  void hook_done(uint64_t job, Done done);
  Decision judge(const Stage& stage, Done done) const;
  Error explain(const Stage& stage, Error error, Done::Status status) const;
  void tell(const Stage& stage, const Decision& decision, Milliseconds duration) const;
  bool take(Stage& stage, Decision decision);
  // Calls f later, unless these are gone by then.
  template <class F>
  void later(F f) {
    asio::post(parts_.loop, [alive = alive_, f = std::move(f)]() mutable {
      if (*alive) f();
    });
  }

  const HookParts& parts_;
  std::vector<std::unique_ptr<Script>> scripts_;
  std::map<uint64_t, Stage> stages_;
  uint64_t next_ = 1;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

void Hooks::Runs::begin(HookStage stage, std::optional<uint32_t> instance, const Json& event,
                        std::function<void(Decision)> done) {
  const uint64_t id = next_++;
  Stage& made = stages_[id];
  made.id = id;
  made.stage = stage;
  made.instance = instance;
  made.done = std::move(done);
  const auto collect = [&](const std::vector<HookSet::Loaded>& hooks) {
    for (const auto& loaded : hooks) {
      if (loaded.hook.stage == stage) made.hooks.push_back(&loaded);
    }
  };
  collect(parts_.set.core);
  if (instance && of_instances(stage))
    collect(parts_.set.instances[parts_.pipeline.instances[*instance].hooks]);
  made.event = Json::object();
  if (!made.hooks.empty()) {
    for (const auto& [key, value] : event.items()) {
      if (!value.is_null()) made.event[key] = value;
    }
    made.event["stage"] = pipeline::to_text(stage);
    made.event["pipeline"] = parts_.pipeline.name;
    made.event["project"] = parts_.pipeline.folder.string();
    if (instance) made.event["instance"] = parts_.pipeline.address(*instance);
  }
  later([this, id] {
    Stage* begun = find(id);
    if (begun == nullptr) return;
    if (begun->cancelled || begun->hooks.empty())
      finish(*begun);
    else
      start(*begun);
  });
}

// Hands the stage's next hook to its workers.
void Hooks::Runs::start(Stage& stage) {
  // A secret may have become known since the last hook.
  parts_.secrets.mask().apply(stage.event);
  const auto& loaded = stage.hook();
  stage.begun = Clock::system().steady();
  const std::string event = to_cbor(stage.event);
  if (event.size() > kMaxEvent) {
    Done done;
    done.error = refuse("limit.frame", "the event has " + format_bytes(event.size()) +
                                           "; a hook can be sent at most " + format_bytes(kMaxEvent))
                     .value();
    later([this, id = stage.id, done = std::move(done)]() mutable { hook_done(id, std::move(done)); });
    return;
  }
  auto& script = script_of(stage);
  script.start(extension::hook_job(stage.id, script.script(), event, loaded.hook.timeout));
}

void Hooks::Runs::finish(Stage& stage) {
  auto done = std::move(stage.done);
  Decision decision = stage.cancelled ? failed(cancelled_error()) : std::move(stage.decision);
  stages_.erase(stage.id);
  done(std::move(decision));
}

void Hooks::Runs::cancel() {
  std::vector<uint64_t> ids;
  for (auto& [id, stage] : stages_) ids.push_back(id);
  for (const uint64_t id : ids) {
    Stage* stage = find(id);
    if (stage == nullptr || stage->cancelled) continue;
    stage->cancelled = true;
    if (stage->begun == SteadyTime{}) continue;  // begin() has it in hand
    if (script_of(*stage).cancel(id)) {
      later([this, id] {
        if (Stage* left = find(id)) finish(*left);
      });
    }
  }
}

// ---- what workers tell

std::unique_ptr<api::Session> Hooks::Runs::open_session(const Stage& stage, Script& script) {
  const auto& loaded = stage.hook();
  const auto& name = script.script().name;
  const std::string stage_name(pipeline::to_text(stage.stage));
  const state::Layout layout(parts_.state_folder);
  const std::string owner =
      stage.instance ? parts_.pipeline.address(*stage.instance) : std::string("pipeline");
  api::Caller caller;
  caller.index = stage.instance ? *stage.instance : kPipeline;
  caller.address = "hook:" + stage_name + (stage.instance ? ":" + owner : "");
  caller.extension = name;
  caller.manifest = parts_.pipeline.file.string();
  const Where where = parts_.pipeline.document->where(loaded.hook.at);
  caller.hook = "write at " + where.text() + ", in `hooks:` under " + stage_name + ":\n  script: " + name;
  // Of each instance its own: hooks of several may run at the same time, and `tmp` in it is emptied for each.
  caller.work_folder =
      parts_.state_folder / "hooks" / state::Layout::file_name(name) / state::Layout::file_name(owner);
  if (stage.event.contains("attempt") && stage.event["attempt"].is_number_unsigned()) {
    caller.attempt = stage.event["attempt"].get<uint32_t>();
  }
  const extension::Surroundings around{parts_.pipeline.folder, parts_.state_folder, {}};
  caller.grants = extension::make_grants(loaded.permissions, Json::object(), around);
  const extension::Limits limits = extension::hook_limits();
  caller.calls = limits.calls;
  caller.log = limits.log;
  caller.fail = [pool = &script.pool(), id = stage.id](Error error) { pool->fail(id, std::move(error)); };
  return parts_.door.open(std::move(caller));
}

void Hooks::Runs::host_call(Script& script, uint64_t job, uint32_t request, int call,
                            std::string_view arguments) {
  Stage* stage = find(job);
  if (stage == nullptr) return;
  if (!stage->session) stage->session = open_session(*stage, script);
  stage->session->call(
      call, arguments,
      [pool = &script.pool(), job, request](Result<std::string> value) {
        if (request != 0) pool->reply(job, request, value);
      },
      request);
}

// What went wrong, in the words of hooks: some errors of workers speak of instances and their keys.
Error Hooks::Runs::explain(const Stage& stage, Error error, Done::Status status) const {
  const auto& loaded = stage.hook();
  const std::string which = "the hook " + parts_.set.scripts[loaded.script]->name + " of " +
                            std::string(pipeline::to_text(stage.stage));
  if (status == Done::Status::timed_out || error.code == "deadline.attempt") {
    error.code = "hook.timeout";
    error.message = which + " took longer than its timeout of " + format_duration(loaded.hook.timeout);
    error.hint = "raise the hook's `timeout`, or see in the traceback where the time went";
  } else if (error.code == "hook.veto") {
    if (!guards(stage.stage)) error.code = "hook.failed";
    if (error.hint.empty()) error.hint = "this is what " + which + " says";
    error.retryable = false;
  } else if (error.code == "extension.error") {
    error.code = "hook.failed";
    error.message = which + " failed: " + error.message;
  } else if (error.code.starts_with("limit.") || error.code == "worker.crashed") {
    const extension::Limits limits = extension::hook_limits();
    error.message = which + " failed: " + error.message;
    error.hint = "a hook has at most " + format_bytes(limits.memory) + " of memory, " +
                 std::to_string(limits.calls) + " host calls at once, and " + format_bytes(limits.log) +
                 " of log lines";
  } else if (error.code == "hook.result" || error.code == "hook.script") {
    error.message = which + ": " + error.message;
    error.retryable = false;
  }
  if (error.where.text().empty()) {
    error.where = parts_.pipeline.document->where(loaded.hook.at,
                                                  "hooks." + std::string(pipeline::to_text(stage.stage)));
  }
  parts_.secrets.mask().apply(error);
  for (std::string* text : {&error.message, &error.hint}) *text = cut_text(*text, kLongestError);
  return error;
}

// The decision of the hook that has ended.
Decision Hooks::Runs::judge(const Stage& stage, Done done) const {
  if (done.status != Done::Status::succeeded) {
    Decision out = failed(explain(stage, std::move(done.error), done.status));
    if (out.error.code == "hook.veto") out.kind = Decision::Kind::veto;
    return out;
  }
  Json nothing = Json::object();
  const auto seen = stage.event.find("config");
  auto value = done.value.empty() ? Result<Json>(nullptr) : from_cbor(done.value);
  if (!value) return failed(explain(stage, std::move(value.error()), Done::Status::failed));
  auto decision = read_decision(stage.stage, *value, seen != stage.event.end() ? *seen : nothing);
  if (!decision) return failed(explain(stage, std::move(decision.error()), Done::Status::failed));
  decision->text = parts_.secrets.mask().apply(decision->text);
  return std::move(*decision);
}

void Hooks::Runs::tell(const Stage& stage, const Decision& decision, Milliseconds duration) const {
  if (!parts_.told) return;
  const auto& script = parts_.set.scripts[stage.hook().script]->name;
  HookRan event{};
  event.time = Clock::system().wall();
  event.stage = pipeline::to_text(stage.stage);
  event.index = stage.instance ? static_cast<int64_t>(*stage.instance) : -1;
  event.script = script;
  event.decision = to_text(decision.kind);
  event.text = decision.text;
  event.duration = duration;
  parts_.told(event);
}

// Adds a hook's decision to the stage's. False: no hook after it runs.
bool Hooks::Runs::take(Stage& stage, Decision decision) {
  using Kind = Decision::Kind;
  switch (decision.kind) {
    case Kind::none: return true;
    case Kind::skip:
    case Kind::veto: stage.decision = std::move(decision); return false;
    case Kind::failed:
      if (stage.hook().hook.allow_failure) {
        parts_.sink.log(stage.instance ? *stage.instance : kPipeline, 2,
                        decision.error.message + " [" + decision.error.code + "] (a failure that is allowed)",
                        nullptr);
        return true;
      }
      if (stage.decision.kind != Kind::failed) stage.decision = std::move(decision);
      return !guards(stage.stage);
    case Kind::retry:
      if (stage.decision.kind == Kind::none) stage.decision = std::move(decision);
      return true;
    case Kind::config: {
      if (!stage.event.contains("config")) stage.event["config"] = Json::object();
      merge_patch(stage.event["config"], *decision.config);
      Json merged = stage.decision.config ? *stage.decision.config : Json::object();
      merge_patch(merged, *decision.config);
      stage.decision.kind = Kind::config;
      stage.decision.text += (stage.decision.text.empty() ? "" : ", ") + decision.text;
      stage.decision.config = std::make_shared<const Json>(std::move(merged));
      return true;
    }
  }
  return true;
}

void Hooks::Runs::hook_done(uint64_t job, Done done) {
  Stage* stage = find(job);
  if (stage == nullptr) return;
  stage->session.reset();
  const bool cancelled = stage->cancelled;
  Decision decision = cancelled ? failed(cancelled_error()) : judge(*stage, std::move(done));
  const auto took = std::chrono::duration_cast<Milliseconds>(Clock::system().steady() - stage->begun);
  tell(*stage, decision, took);
  if (cancelled || !take(*stage, std::move(decision)) || ++stage->at == stage->hooks.size())
    finish(*stage);
  else
    start(*stage);
}

// ---- the public side

Hooks::Hooks(HookParts parts) : parts_(std::move(parts)), core_stages_(stages_of(parts_.set.core, true)) {
  for (const auto& hooks : parts_.set.instances) stages_.push_back(stages_of(hooks, false));
  runs_ = std::make_unique<Runs>(parts_);
}

Hooks::~Hooks() = default;

std::string patching_digest(const HookSet& set, const pipeline::Pipeline& pipeline, uint32_t instance) {
  std::string all;
  const auto add = [&](const std::vector<HookSet::Loaded>& hooks) {
    for (const auto& loaded : hooks) {
      if (loaded.hook.stage == HookStage::before_instance) all += set.scripts[loaded.script]->digest + '\n';
    }
  };
  add(set.core);
  if (!set.instances.empty()) add(set.instances[pipeline.instances[instance].hooks]);
  return all.empty() ? std::string() : sha256_hex(all);
}

void Hooks::run(HookStage stage, std::optional<uint32_t> instance, const Json& event,
                std::function<void(Decision)> done) {
  runs_->begin(stage, instance, event, std::move(done));
}

void Hooks::cancel() { runs_->cancel(); }

void Hooks::interrupt(int signal) { runs_->interrupt(signal); }

size_t Hooks::running() const { return runs_->running(); }

}  // namespace pf::orchestrator
