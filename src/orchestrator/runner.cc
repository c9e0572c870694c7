#include "orchestrator/runner.h"

#include <asio/post.hpp>
#include <filesystem>

#include "base/json.h"
#include "base/text.h"
#include "orchestrator/errors.h"

namespace pf::orchestrator {
namespace fs = std::filesystem;

Runner::Runner(RunnerParts parts)
    : parts_(std::move(parts)),
      pipeline_(*parts_.project.pipeline),
      layout_(parts_.project.state_folder),
      log_file_(layout_.log(parts_.run)),
      preparation_(parts_.project, parts_.secrets, *this),
      sections_(pipeline_.sections.size()),
      grace_timer_(parts_.loop),
      scheduler_(parts_.graph != nullptr ? *parts_.graph : pipeline_, parts_.scheduling, *this),
      disk_(layout_.folder()) {
  know(0);
  for (size_t i = 0; i < sections_.size(); ++i) {
    Section& section = sections_[i];
    section.loaded = &parts_.project.extensions.at(pipeline_.sections[i].type);
    if (section.loaded->has_bootstrap) section.bootstrap = Section::Bootstrap::needed;
    for (const auto& tool : section.loaded->package.manifest.tools) {
      if (parts_.tools == nullptr) continue;
      const auto version = parts_.tools->find(tool.probe);
      if (version == parts_.tools->end()) continue;
      if (!section.reads.empty()) section.reads += ',';
      section.reads +=
          to_json_text({{"what", "tool"}, {"name", tool_key(tool)}, {"version", version->second}});
    }
  }
  std::error_code code;
  backend_exists_ = fs::exists(layout_.backend(), code);
}

Runner::~Runner() {
  helpers_.join();
  // Sessions answer into pools, and the door's sink is this object.
  hooks_.reset();
  attempts_.clear();
  undoings_.clear();
  for (auto& section : sections_) section.bootstrap_session.reset();
}

// What is kept for each instance, from `first` on: a for_each over outputs adds some.
void Runner::know(uint32_t first) {
  const auto count = static_cast<uint32_t>(pipeline_.instances.size());
  infos_.reserve(count);
  timing_.resize(count);
  records_.resize(count);
  expected_.resize(count);
  upstream_.resize(count);
  for (uint32_t i = first; i < count; ++i) {
    infos_.push_back({pipeline_.address(i), pipeline_.sections[pipeline_.instances[i].section].type});
    records_[i].instance = i;
    records_[i].address = infos_[i].address;
    const auto& graph = parts_.graph != nullptr ? *parts_.graph : pipeline_;
    for (const auto& edge : graph.upstream(i)) upstream_[i].push_back(edge.upstream);
    if (const auto* last = parts_.history.last(i); last != nullptr) expected_[i] = last->duration;
  }
}

void Runner::start() {
  since_ = Clock::system().steady();
  log_file_.append(to_json_text({{"time", rfc3339(Clock::system().wall())},
                                 {"level", "info"},
                                 {"message", parts_.earlier != nullptr ? "run resumed" : "run started"},
                                 {"pipeline", pipeline_.name},
                                 {"instances", infos_.size()}}));
  if (parts_.kind == state::RunKind::run && !parts_.project.hooks.scripts.empty()) return open_hooks();
  // Nothing is told from inside: what workers and the store say comes later. So it is known by then whether
  // anything had to be started, and in which sandbox.
  begun_ = true;
  scheduler_.start();
  tell_started();
  finish_if_done();
}

void Runner::tell_started() {
  RunStarted event;
  event.run = parts_.run;
  event.pipeline = pipeline_.name;
  event.file = pipeline_.file.string();
  event.profile = pipeline_.profile;
  event.time = Clock::system().wall();
  event.log_file = layout_.log(parts_.run).string();
  event.resumed = parts_.earlier != nullptr;
  event.max_parallel = parts_.scheduling.max_parallel;
  event.instances = &infos_;
  event.expected = &expected_;
  event.upstream = &upstream_;
  event.sandbox = supervisor_ == nullptr ? nullptr : &supervisor_->sandbox();
  parts_.observer.on(event);
  started_ = true;
  for (const std::string& note : parts_.notes) log(Hooks::kPipeline, 2, note, nullptr);
}

std::vector<state::InstanceRecord> Runner::take_records() {
  for (auto group = expanded_.rbegin(); group != expanded_.rend(); ++group) {
    records_.erase(records_.begin() + *group);
  }
  return std::move(records_);
}

std::string Runner::first_failed() const {
  const int64_t instance = scheduler_.first_failed();
  return instance < 0 ? std::string() : infos_[static_cast<size_t>(instance)].address;
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
  for (const auto& section : sections_) count += section.pool ? section.pool->running() : 0;
  return static_cast<uint32_t>(count);
}

double Runner::random() { return std::uniform_real_distribution<double>(0, 1)(random_); }

const Json* Runner::of(uint32_t instance) {
  if (auto found = decoded_.find(instance); found != decoded_.end()) return &found->second;
  if (parts_.kind != state::RunKind::run && !plain_outputs_.contains(instance)) {
    const auto* last = parts_.history.last(instance);
    if (last == nullptr) return nullptr;
    records_[instance].outputs = last->outputs;
    unseal(instance, *last);
  }
  const auto plain = plain_outputs_.find(instance);
  const std::string& outputs = plain != plain_outputs_.end() ? plain->second : records_[instance].outputs;
  if (outputs.empty()) return nullptr;
  auto decoded = from_cbor(outputs);
  if (!decoded) return nullptr;
  return &decoded_.emplace(instance, std::move(*decoded)).first->second;
}

Scheduler::Expansion Runner::expand(uint32_t group, Scheduler::Children& children) {
  auto wanted = pipeline::evaluate_when(pipeline_, group, *this);
  if (!wanted) {
    children.error = std::move(wanted.error());
    return Scheduler::Expansion::failed;
  }
  if (!wanted->value_or(true)) return Scheduler::Expansion::skip;
  const auto before = static_cast<uint32_t>(pipeline_.instances.size());
  auto& pipeline = *parts_.project.pipeline;
  const std::string* kept = nullptr;
  if (parts_.earlier != nullptr) {
    const auto found = parts_.earlier->expansions.find(infos_[group].address);
    if (found != parts_.earlier->expansions.end()) kept = &found->second;
  }
  Result<uint32_t> made = 0;
  if (kept != nullptr) {
    auto expansion = parse_json(*kept);
    made = expansion ? pipeline::expand_again(pipeline, group, *expansion)
                     : Result<uint32_t>(tl::unexpected(expansion.error()));
  } else {
    made = pipeline::expand(pipeline, group, *this);
  }
  if (!made) {
    children.error = std::move(made.error());
    return Scheduler::Expansion::failed;
  }
  if (Errors errors = read_operators_keys(parts_.project, before); !errors.empty()) {
    children.error = std::move(errors.front());
    return Scheduler::Expansion::failed;
  }
  children.first = before;
  children.count = *made;
  know(before);
  for (uint32_t i = before; i < before + *made; ++i) {
    Scheduler::Known known;
    const auto& settings = pipeline_.settings[pipeline_.instances[i].settings];
    if (parts_.earlier != nullptr) known = parts_.earlier->known(infos_[i].address, settings.max_attempts);
    known.expected = expected_[i];
    children.known.push_back(known);
  }
  if (kept == nullptr) {
    parts_.writer.expanded(infos_[group].address, to_json_text(pipeline::expansion(pipeline, before, *made)),
                           {});
  }
  if (started_) parts_.observer.on(Expanded{group, before, *made, Clock::system().wall()});
  return Scheduler::Expansion::done;
}

void Runner::group_ended(uint32_t group, InstanceResult result, int64_t cause) {
  records_[group].result = result;
  if (cause >= 0) group_causes_[group] = static_cast<uint32_t>(cause);
  expanded_.push_back(group);
}

void Runner::conclude(uint32_t instance, InstanceResult result, uint32_t attempts, const Error* error,
                      int64_t cause) {
  auto& record = records_[instance];
  upcoming_.erase(instance);
  if (const auto failure = failures_.find(instance); failure != failures_.end() && !failure->second.then)
    failures_.erase(failure);
  if (result == InstanceResult::excluded) {
    record.result = result;
    // It lends what it last put out.
    if (const auto* last = parts_.history.last(instance); last != nullptr) {
      record.outputs = last->outputs;
      record.run = last->run;
      unseal(instance, *last);
    }
    return;
  }
  const WallTime now = Clock::system().wall();
  const bool again = record.result != InstanceResult::none;  // it is as an earlier part of the run left it
  record.result = result;
  record.attempts = attempts;
  const bool ran = timing_[instance].begun != SteadyTime{};
  if (record.started == WallTime{}) record.started = ran ? timing_[instance].started : now;
  if (ran) {
    record.duration =
        std::chrono::duration_cast<Milliseconds>(Clock::system().steady() - timing_[instance].begun);
  }
  ++undurable_;
  if (error != nullptr) {
    Error told = shown(*error);
    record.error = error_to_json(told);
    log_failure(instance, attempts, told);
    errors_.emplace(instance, std::move(told));
  }
  if (cause >= 0) {
    const auto child = group_causes_.find(static_cast<uint32_t>(cause));
    record.blocked_by =
        infos_[child != group_causes_.end() ? child->second : static_cast<size_t>(cause)].address;
  }
  if (again) return durable_later(instance);
  if (result == InstanceResult::cached) {
    parts_.writer.reuse_instance(instance, record.row, record.address,
                                 [this, instance] { durable(instance); });
    return;
  }
  state::InstanceRecord kept = record;
  if (const auto reads = reads_.find(instance); reads != reads_.end()) {
    kept.reads = '[' + reads->second + ']';
    reads_.erase(reads);
  }
  if (const auto made = made_of_.find(instance); made != made_of_.end()) {
    kept.config = std::move(made->second.first);
    kept.context = std::move(made->second.second);
    made_of_.erase(made);
  }
  if (const auto sealed = sealed_.find(instance); sealed != sealed_.end()) {
    kept.sealed = std::move(sealed->second);
    sealed_.erase(sealed);
  }
  parts_.writer.finish_instance(std::move(kept), [this, instance] { durable(instance); });
}

// For what is on disk already; events do not come from inside the scheduler.
void Runner::durable_later(uint32_t instance) {
  asio::post(parts_.loop, [this, instance] { durable(instance); });
}

void Runner::retry(uint32_t instance, uint32_t failed_attempt, const Error& error, Milliseconds delay) {
  const Error told = shown(error);
  log_failure(instance, failed_attempt, told);
  if (const Milliseconds deadline = deadline_of(instance); deadline.count() > 0) {
    delay = std::clamp(deadline_left(instance, deadline), Milliseconds(0), delay);
  }
  failures_[instance].then = [this, instance, failed_attempt, told, delay] {
    parts_.observer.on(AttemptFailed{instance, failed_attempt, Clock::system().wall(), &told, delay});
    if (!hooks_ || !hooks_->any(pipeline::HookStage::on_retry, instance)) return back_off(instance, delay);
    AttemptEnd end;
    end.result = InstanceResult::failed;
    end.error = told;
    hooks_->run(pipeline::HookStage::on_retry, instance, event_of(instance, failed_attempt + 1, end),
                [this, instance, delay](Decision decision) {
                  const auto up = upcoming_.find(instance);
                  if (up == upcoming_.end()) return;  // it was cancelled meanwhile
                  if (decision.kind == Decision::Kind::failed) up->second.refusal = std::move(decision.error);
                  back_off(instance, delay);
                });
  };
  if (failures_[instance].durable) failure_durable(instance);
}

void Runner::failure_durable(uint32_t instance) {
  const auto failure = failures_.find(instance);
  if (failure == failures_.end()) return;
  failure->second.durable = true;
  if (!failure->second.then) return;
  const auto then = std::move(failure->second.then);
  failures_.erase(failure);
  then();
}

void Runner::back_off(uint32_t instance, Milliseconds delay) {
  auto timer = std::make_unique<asio::steady_timer>(parts_.loop, delay);
  timer->async_wait([this, instance](std::error_code code) {
    if (!code) scheduler_.ready_again(instance);
    if (!code) finish_if_done();
  });
  backoff_[instance] = std::move(timer);
}

void Runner::room() {
  offer_undoings();
  scheduler_.pump();
  finish_if_done();
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
  event.cpu_us = record.cpu_us;
  event.peak_bytes = record.peak_bytes;
  if (const auto io = used_io_.find(instance); io != used_io_.end()) {
    event.read_bytes = io->second.read_bytes;
    event.write_bytes = io->second.write_bytes;
  }
  if (record.result == InstanceResult::cached) {
    event.cached_at = record.started + record.duration;
    event.duration = Milliseconds(0);
  }
  const auto why = whys_.find(instance);
  if (why != whys_.end()) event.why = why->second;
  const auto error = errors_.find(instance);
  if (error != errors_.end()) event.error = &error->second;
  std::string kept;
  if (record.result != InstanceResult::succeeded && record.result != InstanceResult::cached &&
      record.attempts > 0) {
    kept = work_folder(instance);
    std::error_code code;
    if (!fs::exists(kept, code)) kept.clear();
  }
  event.work_folder = kept;
  parts_.observer.on(event);
  if (error != errors_.end()) errors_.erase(error);
  if (why != whys_.end()) whys_.erase(why);
  finish_if_done();
}

void Runner::finish_if_done() {
  if (!begun_ || !scheduler_.finished() || undurable_ != 0) return;
  if (!after_asked_ && ask_after_pipeline()) return;
  parts_.loop.stop();
}

void Runner::abort() {
  if (aborted_) return;
  aborted_ = true;
  cancelled_ = true;
  backoff_.clear();
  scheduler_.abandon();
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
  asio::post(helpers_, [this, folders = std::move(folders)] {
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
