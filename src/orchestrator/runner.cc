#include "orchestrator/runner.h"

#include <asio/post.hpp>
#include <filesystem>

#include "base/json.h"
#include "base/places.h"
#include "base/text.h"
#include "extension/grants.h"
#include "extension/lifecycle.h"

namespace pf::orchestrator {
namespace {

namespace fs = std::filesystem;
using worker::Done;

// Job ids: an instance's index, or this bit and a section's index for its bootstrap.
constexpr size_t kLongestError = 64U << 10;  // bytes of each of its texts
constexpr uint64_t kBootstrapJob = 1ULL << 32;

std::string error_json(const Error& error) {
  Json out = {{"code", error.code}, {"message", error.message}, {"hint", error.hint}};
  if (!error.where.text().empty()) out["where"] = error.where.text();
  if (!error.traceback.empty()) out["traceback"] = error.traceback;
  return to_json_text(out);
}

void join_items(std::string& items, std::string_view more) {
  if (!items.empty() && !more.empty()) items += ',';
  items += more;
}

Error deadline_error(Milliseconds deadline) {
  Error error;
  error.code = "deadline.instance";
  error.message = "the instance took longer than its deadline of " + format_duration(deadline) +
                  ", counted over all of its attempts";
  error.hint = "raise limits.deadline, or see in the log what its attempts did";
  error.retryable = false;
  return error;
}

InstanceResult to_result(const Done& done) {
  switch (done.status) {
    case Done::Status::succeeded: return InstanceResult::succeeded;
    case Done::Status::failed:
      return done.error.code == "deadline.attempt" ? InstanceResult::timed_out : InstanceResult::failed;
    case Done::Status::timed_out: return InstanceResult::timed_out;
    case Done::Status::crashed: return InstanceResult::crashed;
    case Done::Status::cancelled: return InstanceResult::cancelled;
  }
  return InstanceResult::failed;
}

}  // namespace

Runner::Runner(RunnerParts parts)
    : parts_(std::move(parts)),
      pipeline_(*parts_.project.pipeline),
      layout_(parts_.project.state_folder),
      log_file_(layout_.log(parts_.run)),
      io_(parts_.supervisor.programs(), places::io_program()),
      door_(api::Door::make(parts_.loop, *this, layout_.audit(parts_.run), secrets_,
                            &parts_.supervisor.programs())),
      sections_(pipeline_.sections.size()),
      timing_(pipeline_.instances.size()),
      records_(pipeline_.instances.size()),
      grace_timer_(parts_.loop),
      scheduler_(pipeline_, {parts_.max_parallel, parts_.fail_fast}, *this),
      disk_(layout_.folder()) {
  secrets_.set_key_file(layout_.digest_key());
  door_->set_io(io_, layout_.cache());
  door_->set_download_cache(layout_.cache() / "downloads");
  infos_.reserve(records_.size());
  for (uint32_t i = 0; i < records_.size(); ++i) {
    const std::string& type = pipeline_.sections[pipeline_.instances[i].section].type;
    infos_.push_back({pipeline_.address(i), type});
    records_[i].instance = i;
    records_[i].address = infos_[i].address;
  }
  // A worker serves all instances of its section: it needs room for the largest.
  std::vector<uint64_t> memory(sections_.size());
  for (const auto& [instance, limits] : parts_.project.limits) {
    uint64_t& most = memory[pipeline_.instances[instance].section];
    most = std::max(most, limits.memory);
  }
  for (size_t i = 0; i < sections_.size(); ++i) {
    Section& section = sections_[i];
    section.loaded = &parts_.project.extensions.at(pipeline_.sections[i].type);
    section.package = extension::worker_package(section.loaded->package, memory[i]);
    section.pool = parts_.supervisor.pool(section.package, *this);
    if (section.loaded->has_bootstrap) section.bootstrap = Section::Bootstrap::needed;
    for (const auto& tool : section.loaded->package.manifest.tools) {
      const auto version =
          parts_.tools == nullptr ? ToolVersions::const_iterator() : parts_.tools->find(tool.probe);
      if (parts_.tools == nullptr || version == parts_.tools->end()) continue;
      join_items(section.reads,
                 to_json_text({{"what", "tool"}, {"name", tool.name}, {"version", version->second}}));
    }
  }
  std::error_code code;
  backend_exists_ = fs::exists(layout_.backend(), code);
}

Runner::~Runner() {
  exporters_.join();
  // Sessions answer into pools, and the door's sink is this object.
  attempts_.clear();
  for (auto& section : sections_) section.bootstrap_session.reset();
}

void Runner::start() {
  RunStarted event;
  event.run = parts_.run;
  event.pipeline = pipeline_.name;
  event.file = pipeline_.file.string();
  event.time = Clock::system().wall();
  event.instances = &infos_;
  event.sandbox = &parts_.supervisor.sandbox();
  event.log_file = layout_.log(parts_.run).string();
  parts_.observer.on(event);
  log_file_.append(to_json_text({{"time", rfc3339(event.time)},
                                 {"level", "info"},
                                 {"message", "run started"},
                                 {"pipeline", pipeline_.name},
                                 {"instances", infos_.size()}}));
  scheduler_.start();
  finish_if_done();
}

Runner::Section& Runner::section_of(uint32_t instance) {
  return sections_[pipeline_.instances[instance].section];
}

iac::StackId Runner::stack_of(uint32_t instance) const {
  return {pipeline_.name, pipeline_.instances[instance].stack};
}

std::string Runner::work_folder(uint32_t instance) const {
  return layout_.work(infos_[instance].type, pipeline_.instances[instance].name).string();
}

// ---- what the scheduler asks for

uint32_t Runner::running() const {
  int count = 0;
  for (const auto& section : sections_) count += section.pool->running();
  return static_cast<uint32_t>(count);
}

double Runner::random() { return std::uniform_real_distribution<double>(0, 1)(random_); }

Scheduler::Offer Runner::offer(uint32_t instance, uint32_t attempt, bool may_start,
                               Scheduler::Answer& answer) {
  Section& section = section_of(instance);
  Scheduler::Offer offer{};
  if (!bootstrapped(instance, section, may_start, offer, answer.error)) return offer;
  if (section.prepared != instance) {
    offer = prepare(instance, attempt, section, answer.error);
    if (offer != Scheduler::Offer::taken) return offer;
    section.prepared = instance;
  }
  if (!section.pool->offer(section.job, may_start)) return Scheduler::Offer::no_room;
  section.prepared = -1;
  attempts_.emplace(instance, std::move(section.attempt));
  parts_.writer.start_attempt({instance, attempt, infos_[instance].address}, Clock::system().wall());
  return Scheduler::Offer::taken;
}

// False: the instance has to wait for its section's bootstrap, or fails with it; `offer` says which.
bool Runner::bootstrapped(uint32_t instance, Section& section, bool may_start, Scheduler::Offer& offer,
                          Error& error) {
  using State = Section::Bootstrap;
  if (section.bootstrap == State::none || section.bootstrap == State::done) return true;
  if (section.bootstrap == State::failed) {
    error = section.error;
    offer = Scheduler::Offer::refused;
    return false;
  }
  if (section.bootstrap == State::needed) {
    const auto index = static_cast<uint64_t>(&section - sections_.data());
    section.bootstrap_job =
        extension::bootstrap_job(kBootstrapJob | index, section.loaded->package.manifest.limits);
    section.bootstrap_for = instance;
    section.bootstrap = State::running;
  }
  if (!section.bootstrap_offered) {
    section.bootstrap_offered = section.pool->offer(section.bootstrap_job, may_start);
  }
  offer = Scheduler::Offer::no_room;
  return false;
}

void Runner::bootstrap_done(Section& section, Done done) {
  if (section.bootstrap_session) join_items(section.reads, section.bootstrap_session->reads());
  section.bootstrap_session.reset();
  if (done.status == Done::Status::succeeded) {
    section.runtime = std::move(done.value);
    section.bootstrap = Section::Bootstrap::done;
  } else {
    section.error = std::move(done.error);
    section.error.message = "bootstrap.lua failed: " + section.error.message;
    section.error.retryable = false;
    section.bootstrap = Section::Bootstrap::failed;
  }
  scheduler_.pump();
  finish_if_done();
}

Scheduler::Offer Runner::prepare(uint32_t instance, uint32_t attempt, Section& section, Error& error) {
  const auto& written = pipeline_.instances[instance];
  if (attempt == 1 && !written.when.is_null()) {
    auto wanted = pipeline::evaluate_when(pipeline_, instance, *this);
    if (!wanted) {
      error = wanted.error();
      return Scheduler::Offer::refused;
    }
    if (!wanted->value_or(true)) return Scheduler::Offer::skip;
  }
  Attempt made;
  made.number = attempt;
  const extension::Limits& limits = parts_.project.limits_of(instance);
  made.timeout = pipeline_.settings[written.settings].timeout;
  if (limits.deadline.count() > 0) {
    const Milliseconds left = deadline_left(instance, limits.deadline);
    if (left.count() <= 0) {
      error = deadline_error(limits.deadline);
      return Scheduler::Offer::expired;
    }
    if (made.timeout.count() == 0 || left < made.timeout) {
      made.timeout = left;
      made.last = true;
    }
  }
  auto config = encode_config(instance, made);
  if (!config) {
    error = config.error();
    return Scheduler::Offer::refused;
  }
  made.config = std::move(*config);

  extension::InstanceJob job;
  std::string state;
  if (backend_exists_) {
    auto content = parts_.engine.read(stack_of(instance));
    if (!content) {
      error = content.error();
      return Scheduler::Offer::refused;
    }
    made.had_stack = content->has_value();
    if (made.had_stack) state = std::move((*content)->state);
  }
  job.name = written.name;
  job.type = infos_[instance].type;
  job.stack = written.stack;
  job.config = made.config;
  job.state = state;
  job.runtime = section.runtime;
  job.attempt = attempt;
  job.timeout = made.timeout;
  section.job = extension::instance_job(instance, job, limits);
  section.attempt = std::move(made);
  return Scheduler::Offer::taken;
}

// How much is left of a deadline that counts from the start of the first attempt.
Milliseconds Runner::deadline_left(uint32_t instance, Milliseconds deadline) const {
  const SteadyTime begun = timing_[instance].begun;
  if (begun == SteadyTime{}) return deadline;
  return deadline - std::chrono::duration_cast<Milliseconds>(Clock::system().steady() - begun);
}

Result<std::string> Runner::encode_config(uint32_t instance, Attempt& attempt) {
  const auto& schema = *section_of(instance).loaded->schema;
  const auto& written = pipeline_.instances[instance];
  std::string out;
  if (!written.config.computed && !written.config.escaped) {
    schema.encode(*pipeline_.document, written.config, out);
    return out;
  }
  pipeline::Document scratch;
  auto evaluated = pipeline::evaluate(pipeline_, instance, *this, scratch);
  if (!evaluated) return tl::unexpected(evaluated.error());
  Errors errors;
  schema.check(scratch, evaluated->config, infos_[instance].address, false, errors);
  if (!errors.empty()) return tl::unexpected(std::move(errors.front()));
  schema.encode(scratch, evaluated->config, out);
  attempt.from_outputs = std::move(evaluated->from_outputs);
  return out;
}

const Json* Runner::of(uint32_t instance) {
  if (auto found = decoded_.find(instance); found != decoded_.end()) return &found->second;
  const auto plain = plain_outputs_.find(instance);
  const std::string& outputs = plain != plain_outputs_.end() ? plain->second : records_[instance].outputs;
  if (outputs.empty()) return nullptr;
  auto decoded = from_cbor(outputs);
  if (!decoded) return nullptr;
  return &decoded_.emplace(instance, std::move(*decoded)).first->second;
}

void Runner::conclude(uint32_t instance, InstanceResult result, uint32_t attempts, const Error* error,
                      int64_t cause) {
  auto& record = records_[instance];
  const WallTime now = Clock::system().wall();
  record.result = result;
  record.attempts = attempts;
  const bool ran = timing_[instance].begun != SteadyTime{};
  record.started = ran ? timing_[instance].started : now;
  if (ran) {
    record.duration =
        std::chrono::duration_cast<Milliseconds>(Clock::system().steady() - timing_[instance].begun);
  }
  if (error != nullptr) {
    Error told = shown(*error);
    record.error = error_json(told);
    log_failure(instance, attempts, told);
    errors_.emplace(instance, std::move(told));
  }
  if (cause >= 0) record.blocked_by = infos_[static_cast<size_t>(cause)].address;
  ++undurable_;
  state::InstanceRecord kept = record;
  if (const auto reads = reads_.find(instance); reads != reads_.end()) {
    kept.reads = '[' + reads->second + ']';
    reads_.erase(reads);
  }
  parts_.writer.finish_instance(std::move(kept), [this, instance] { durable(instance); });
}

void Runner::retry(uint32_t instance, uint32_t failed_attempt, const Error& error, Milliseconds delay) {
  const Error told = shown(error);
  log_failure(instance, failed_attempt, told);
  if (const Milliseconds deadline = parts_.project.limits_of(instance).deadline; deadline.count() > 0) {
    delay = std::clamp(deadline_left(instance, deadline), Milliseconds(0), delay);
  }
  AttemptFailed event{instance, failed_attempt, Clock::system().wall(), &told, delay};
  parts_.observer.on(event);
  auto timer = std::make_unique<asio::steady_timer>(parts_.loop, delay);
  timer->async_wait([this, instance](std::error_code code) {
    if (!code) scheduler_.ready_again(instance);
    if (!code) finish_if_done();
  });
  backoff_[instance] = std::move(timer);
}

// ---- what workers tell

void Runner::job_started(uint64_t job) {
  if ((job & kBootstrapJob) != 0) return;
  const auto instance = static_cast<uint32_t>(job);
  Attempt& attempt = attempts_.at(instance);
  attempt.begun = true;
  Timing& timing = timing_[instance];
  const WallTime now = Clock::system().wall();
  if (timing.begun == SteadyTime{}) timing = {now, Clock::system().steady()};
  parts_.observer.on(InstanceStarted{instance, attempt.number, now});
}

std::unique_ptr<api::Session> Runner::open_session(uint64_t job, uint32_t instance, const Attempt& attempt,
                                                   const Section& section,
                                                   const extension::Permissions& permissions,
                                                   const extension::Limits& limits) {
  const extension::Manifest& manifest = section.loaded->package.manifest;
  api::Caller caller;
  caller.index = instance;
  caller.address = infos_[instance].address;
  caller.extension = manifest.name;
  caller.manifest = manifest.file.string();
  const bool bootstraps = (job & kBootstrapJob) != 0;
  caller.work_folder = bootstraps ? layout_.bootstrap(infos_[instance].type).string() : work_folder(instance);
  caller.attempt = attempt.number;
  caller.calls = limits.calls;
  caller.log = limits.log;
  caller.fail = [pool = section.pool.get(), job](Error error) { pool->fail(job, std::move(error)); };
  extension::Surroundings around{pipeline_.folder, layout_.folder(), {}};
  for (const auto& from : attempt.from_outputs) {
    extension::FromOutputs value{from.path, {}};
    for (const uint32_t producer : from.instances) value.folders.push_back(work_folder(producer));
    around.from_outputs.push_back(std::move(value));
  }
  const auto config = attempt.config.empty() ? Result<Json>(Json::object()) : from_cbor(attempt.config);
  caller.grants = extension::make_grants(permissions, config ? *config : Json::object(), around);
  // What the bootstrap made (an environment, a chart) is there for all instances, which cannot change it. It
  // has ended: no link that it may have left on the way counts.
  std::error_code code;
  if (!bootstraps && section.bootstrap == Section::Bootstrap::done) {
    const auto made = fs::canonical(layout_.bootstrap(infos_[instance].type), code);
    if (!code) {
      caller.grants.read.push_back({made.string(), false});
      caller.derived.push_back(made.string());
    }
  }
  return door_->open(std::move(caller));
}

void Runner::host_call(uint64_t job, uint32_t request, int call, std::string_view arguments) {
  std::unique_ptr<api::Session>* session = nullptr;
  Section* section = nullptr;
  if ((job & kBootstrapJob) != 0) {
    section = &sections_[job & ~kBootstrapJob];
    session = &section->bootstrap_session;
    if (!*session)
      *session = open_session(
          job, section->bootstrap_for, Attempt{}, *section,
          parts_.project.bootstrap_permissions(pipeline_.instances[section->bootstrap_for].section),
          section->loaded->package.manifest.limits);
  } else {
    const auto instance = static_cast<uint32_t>(job);
    section = &section_of(instance);
    Attempt& attempt = attempts_.at(instance);
    session = &attempt.session;
    if (!*session)
      *session = open_session(job, instance, attempt, *section, parts_.project.permissions_of(instance),
                              parts_.project.limits_of(instance));
  }
  (*session)->call(
      call, arguments,
      [pool = section->pool.get(), job, request](Result<std::string> value) {
        if (request != 0) pool->reply(job, request, value);
      },
      request);
}

void Runner::cancel_call(uint64_t job, uint32_t request) {
  const bool bootstraps = (job & kBootstrapJob) != 0;
  Section& section = bootstraps ? sections_[job & ~kBootstrapJob] : section_of(static_cast<uint32_t>(job));
  const auto& session =
      bootstraps ? section.bootstrap_session : attempts_.at(static_cast<uint32_t>(job)).session;
  if (!session || !session->cancel(request)) return;
  section.pool->reply(job, request, fail("async.cancelled", "the task that made this call was cancelled"));
}

void Runner::job_done(uint64_t job, Done done) {
  if ((job & kBootstrapJob) != 0) {
    bootstrap_done(sections_[job & ~kBootstrapJob], std::move(done));
    return;
  }
  const auto instance = static_cast<uint32_t>(job);
  Attempt& attempt = attempts_.at(instance);
  std::string reads = section_of(instance).reads;
  if (attempt.session) join_items(reads, attempt.session->reads());
  if (reads.empty())
    reads_.erase(instance);
  else
    reads_[instance] = std::move(reads);
  attempt.session.reset();
  records_[instance].cpu_us += done.cpu_us;
  records_[instance].peak_bytes = std::max(records_[instance].peak_bytes, done.peak_bytes);
  if (done.status != Done::Status::succeeded) {
    const bool last = attempt.last;
    attempts_.erase(instance);
    const InstanceResult result = to_result(done);
    if (last && result == InstanceResult::timed_out) {
      std::string traceback = std::move(done.error.traceback);
      done.error = deadline_error(parts_.project.limits_of(instance).deadline);
      done.error.traceback = std::move(traceback);
    }
    attempt_failed(instance, result, std::move(done.error));
    return;
  }
  if (secrets_.mask().finds(done.state)) {
    attempts_.erase(instance);
    auto error =
        refuse("secret.state", "self.state holds a secret, and there is no key to keep it with",
               "keep what is no secret in self.state, and get the secret anew with forge.secret.get");
    attempt_failed(instance, InstanceResult::failed, std::move(error.value()));
    return;
  }
  const bool has_outputs = done.value.size() > 1;  // an empty map is one byte
  if (!done.state.empty() || has_outputs || attempt.had_stack) {
    export_stack(instance, std::move(done));
    return;
  }
  attempts_.erase(instance);
  attempt_succeeded(instance, std::move(done.value));
}

// Off the loop, since it waits for the disk. The attempt counts as running until the stack holds what it
// made.
void Runner::export_stack(uint32_t instance, Done done) {
  std::string kept = masked(done.value);
  asio::post(exporters_, [this, instance, done = std::move(done), shown = std::move(kept),
                          id = stack_of(instance)]() mutable {
    iac::StackContent content;
    content.state = std::move(done.state);
    if (done.value.size() > 1) content.outputs = std::move(shown);
    auto exported = parts_.engine.export_content(id, content);
    asio::post(parts_.loop,
               [this, instance, exported = std::move(exported), value = std::move(done.value)]() mutable {
                 attempts_.erase(instance);
                 if (exported)
                   attempt_succeeded(instance, std::move(value));
                 else
                   attempt_failed(instance, InstanceResult::failed, std::move(exported.error()));
               });
  });
}

// Outputs (CBOR) as they may be kept and shown. There is no key yet to keep secrets with.
std::string Runner::masked(std::string_view outputs) const {
  if (!secrets_.mask().finds(outputs)) return std::string(outputs);
  auto value = from_cbor(outputs);
  if (!value) return {};
  secrets_.mask().apply(*value);
  return to_cbor(*value);
}

void Runner::attempt_succeeded(uint32_t instance, std::string outputs) {
  if (outputs.size() > 1) {
    std::string shown = masked(outputs);
    if (shown != outputs) plain_outputs_[instance] = std::move(outputs);
    records_[instance].outputs = std::move(shown);
  }
  scheduler_.attempt_ended(instance, {});
  finish_if_done();
}

void Runner::attempt_failed(uint32_t instance, InstanceResult result, Error error) {
  // What a dying worker reports while we cancel is our doing.
  if (cancelled_ && result != InstanceResult::failed) result = InstanceResult::cancelled;
  AttemptEnd end;
  end.result = result;
  end.error = std::move(error);
  scheduler_.attempt_ended(instance, std::move(end));
  finish_if_done();
}

void Runner::room() {
  scheduler_.pump();
  finish_if_done();
}

// ---- what the door tells

void Runner::log(uint32_t index, int level, std::string_view text, const Json* fields) {
  const LogLine event{index, Clock::system().wall(), static_cast<LogLevel>(level), text, fields};
  static constexpr const char* kLevels[] = {"debug", "info", "warn", "error"};
  Json line = {{"time", rfc3339(event.time)},
               {"instance", infos_[index].address},
               {"level", kLevels[level]},
               {"message", std::string(text)}};
  if (fields != nullptr) line["fields"] = *fields;
  log_file_.append(to_json_text(line));
  parts_.observer.on(event);
}

// As people and files get to see it: without secrets, and then no longer than they can use.
Error Runner::shown(const Error& error) const {
  Error out = error;
  secrets_.mask().apply(out);
  for (std::string* text : {&out.code, &out.message, &out.hint}) *text = cut_text(*text, kLongestError);
  return out;
}

// So that the run's log tells the whole story of what failed, also where the extension logged nothing.
void Runner::log_failure(uint32_t instance, uint32_t attempt, const Error& error) {
  Json line = {{"time", rfc3339(Clock::system().wall())},
               {"instance", infos_[instance].address},
               {"level", "error"},
               {"attempt", attempt},
               {"code", error.code},
               {"message", error.message}};
  if (!error.hint.empty()) line["hint"] = error.hint;
  if (!error.traceback.empty()) line["traceback"] = error.traceback;
  log_file_.append(to_json_text(line));
}

void Runner::progress(uint32_t index, double done, double total, std::string_view text) {
  parts_.observer.on(Progress{index, Clock::system().wall(), done, total, text});
}

void Runner::refused(uint32_t index, std::string_view call, const Error& error) {
  parts_.observer.on(Refused{index, Clock::system().wall(), call, &error});
}

// ---- ends

void Runner::durable(uint32_t instance) {
  --undurable_;
  const auto& record = records_[instance];
  InstanceFinished event{};
  event.index = instance;
  event.time = Clock::system().wall();
  event.result = record.result;
  event.attempts = record.attempts;
  event.duration = record.duration;
  event.outputs = record.outputs;
  event.blocked_by = record.blocked_by;
  const auto error = errors_.find(instance);
  if (error != errors_.end()) event.error = &error->second;
  std::string kept;
  if (record.result != InstanceResult::succeeded && record.attempts > 0) {
    kept = work_folder(instance);
    std::error_code code;
    if (!fs::exists(kept, code)) kept.clear();
  }
  event.work_folder = kept;
  parts_.observer.on(event);
  if (error != errors_.end()) errors_.erase(error);
  finish_if_done();
}

void Runner::finish_if_done() {
  if (scheduler_.finished() && undurable_ == 0) parts_.loop.stop();
}

void Runner::kill_running() {
  killed_ = true;
  // A copy: cancelling may end an attempt that was only queued.
  std::vector<uint32_t> ids;
  for (const auto& [instance, attempt] : attempts_) ids.push_back(instance);
  for (uint32_t instance : ids) section_of(instance).pool->cancel(instance);
  for (auto& section : sections_) {
    if (section.bootstrap == Section::Bootstrap::running && section.bootstrap_offered) {
      section.pool->cancel(section.bootstrap_job.id);
    }
  }
}

void Runner::cancel(Milliseconds grace) {
  if (!cancelled_) {
    cancelled_ = true;
    backoff_.clear();
    scheduler_.stop();
    grace_timer_.expires_after(grace);
    grace_timer_.async_wait([this](std::error_code code) {
      if (!code && !killed_) kill_running();
    });
  } else if (!killed_) {
    grace_timer_.cancel();
    kill_running();
  }
  finish_if_done();
}

void Runner::abort() {
  if (aborted_) return;
  aborted_ = true;
  cancelled_ = true;
  backoff_.clear();
  scheduler_.stop();
  parts_.loop.stop();
}

// A work folder may hold a million files: they are counted off the loop.
void Runner::watch_disk() {
  if (measuring_ || attempts_.empty() || !disk_.low()) return;
  std::vector<std::pair<uint32_t, std::string>> folders;
  for (const auto& [instance, attempt] : attempts_) {
    if (attempt.begun) folders.emplace_back(instance, work_folder(instance));
  }
  measuring_ = true;
  asio::post(exporters_, [this, folders = std::move(folders)] {
    std::vector<std::pair<uint32_t, uint64_t>> sizes;
    for (const auto& [instance, folder] : folders) sizes.emplace_back(instance, DiskWatch::measure(folder));
    asio::post(parts_.loop, [this, sizes = std::move(sizes)] {
      measuring_ = false;
      end_who_fills_the_disk(sizes);
    });
  });
}

void Runner::end_who_fills_the_disk(const std::vector<std::pair<uint32_t, uint64_t>>& sizes) {
  const auto largest = std::max_element(sizes.begin(), sizes.end(),
                                        [](const auto& a, const auto& b) { return a.second < b.second; });
  if (largest == sizes.end()) return;
  const auto [instance, bytes] = *largest;
  const std::string left =
      "the disk of " + layout_.folder().string() + " has only " + format_bytes(disk_.left()) + " left";
  if (!disk_.to_blame(bytes)) {
    if (!disk_told_) log(instance, 2, left + ", and no work folder of this run takes much of it", nullptr);
    disk_told_ = true;
    return;
  }
  if (!attempts_.contains(instance)) return;
  Error error;
  error.code = "limit.disk";
  error.message = left + ", and the work folder of this instance takes " + format_bytes(bytes) +
                  ", most of what the run has used: its attempt was ended before nobody can write any more";
  error.hint = "remove what it left in " + work_folder(instance) +
               ", or keep the state on a larger disk (--state-dir)";
  error.retryable = false;
  section_of(instance).pool->fail(instance, std::move(error));
}

void Runner::tick() {
  watch_disk();
  log_file_.tick(Clock::system().steady());
  parts_.observer.tick(Clock::system().steady());
}

}  // namespace pf::orchestrator
