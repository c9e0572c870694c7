// What comes before an attempt: whether it is needed at all, its configuration, the section's bootstrap, and
// the job that workers take.
#include <asio/post.hpp>
#include <filesystem>

#include "base/json.h"
#include "base/places.h"
#include "base/text.h"
#include "extension/lifecycle.h"
#include "orchestrator/errors.h"
#include "orchestrator/runner.h"

namespace pf::orchestrator {
namespace {

// How long a cleanup may take over all its attempts where it says nothing itself.
constexpr Milliseconds kCleanupDeadline{5 * 60'000};

// What stands in `plain` where something was masked in `shown`.
void learn_secrets(const Json& shown, const Json& plain, api::Secrets& secrets) {
  if (shown.is_string() && plain.is_string()) {
    const auto& masked = shown.get_ref<const std::string&>();
    const auto& text = plain.get_ref<const std::string&>();
    if (masked == text) return;
    size_t head = 0;
    while (head < masked.size() && head < text.size() && masked[head] == text[head]) ++head;
    size_t tail = 0;
    while (tail < masked.size() - head && tail < text.size() - head &&
           masked[masked.size() - 1 - tail] == text[text.size() - 1 - tail]) {
      ++tail;
    }
    // The mask's sign may share letters with the secret's ends: then all of the text is one.
    if (!secrets.mark(text.substr(head, text.size() - head - tail))) (void)secrets.mark(text);
  } else if (shown.is_array() && plain.is_array() && shown.size() == plain.size()) {
    for (size_t i = 0; i < plain.size(); ++i) learn_secrets(shown[i], plain[i], secrets);
  } else if (shown.is_object() && plain.is_object()) {
    for (const auto& [key, value] : plain.items()) {
      if (const auto found = shown.find(key); found != shown.end()) learn_secrets(*found, value, secrets);
    }
  }
}

void learn_secrets(const std::string& shown, const std::string& plain, api::Secrets& secrets) {
  const auto before = shown.empty() ? Result<Json>(Json()) : from_cbor(shown);
  const auto after = from_cbor(plain);
  if (before && after) learn_secrets(*before, *after, secrets);
}

}  // namespace

Scheduler::Offer Runner::offer(uint32_t instance, uint32_t attempt, bool may_start,
                               Scheduler::Answer& answer) {
  using Offer = Scheduler::Offer;
  Upcoming& up = upcoming_[instance];
  if (up.stage != Upcoming::Stage::considered) {
    const Offer offer = consider(instance, attempt, up, answer);
    if (offer != Offer::taken) return offer;
    up.stage = Upcoming::Stage::considered;
  }
  if (!up.refusal.code.empty()) {
    answer.error = std::move(up.refusal);
    return Offer::refused;
  }
  Section& section = section_of(instance);
  if (auto open = open_workers(section); !open) {
    answer.error = std::move(open.error());
    return Offer::refused;
  }
  Offer offer{};
  if (!bootstrapped(instance, section, may_start, offer, answer.error)) return offer;
  if (section.prepared != instance) {
    offer = prepare(instance, attempt, section, up, answer.error);
    if (offer != Offer::taken) return offer;
    section.prepared = instance;
  }
  if (!section.pool->offer(section.job, may_start)) return Offer::no_room;
  section.prepared = -1;
  section.attempt.from = std::move(up);
  upcoming_.erase(instance);
  attempts_.emplace(instance, std::move(section.attempt));
  parts_.writer.start_attempt({instance, attempt, infos_[instance].address}, Clock::system().wall());
  return Offer::taken;
}

// `taken`: it has to run.
Scheduler::Offer Runner::consider(uint32_t instance, uint32_t attempt, Upcoming& up,
                                  Scheduler::Answer& answer) {
  using Offer = Scheduler::Offer;
  if (parts_.kind != state::RunKind::run) return consider_kept(instance, up, answer);
  if (up.stage == Upcoming::Stage::fresh) {
    auto wanted = pipeline::evaluate_when(pipeline_, instance, *this);
    if (!wanted) {
      answer.error = std::move(wanted.error());
      return Offer::refused;
    }
    if (!wanted->value_or(true)) return Offer::skip;
    auto making = preparation_.make(instance);
    if (!making) {
      answer.error = std::move(making.error());
      return Offer::refused;
    }
    up.making = std::move(*making);
    up.stage = Upcoming::Stage::made;
  }
  if (up.stage == Upcoming::Stage::made) {
    if (warm(instance, up)) return Offer::wait;
    if (reuse_earlier(instance, up, answer) || reuse_last(instance, up, answer)) return Offer::reuse;
    up.stage = Upcoming::Stage::needed;
    if (ask_before_instance(instance, attempt, up)) return Offer::wait;
  }
  if (const Offer said = follow_hooks(instance, up, answer); said != Offer::taken) return said;
  for (const uint32_t upstream : upstream_[instance]) {
    if (records_[upstream].result != InstanceResult::excluded || records_[upstream].run.empty()) continue;
    whys_[instance] += "\n" + infos_[upstream].address + " is not selected: its outputs are those of run " +
                       records_[upstream].run;
  }
  read_inputs(instance, up);
  return Offer::taken;
}

// What is destroyed or refreshed is what an earlier run made: whether it would run now does not matter.
Scheduler::Offer Runner::consider_kept(uint32_t instance, Upcoming& up, Scheduler::Answer& answer) {
  auto making = preparation_.make(instance);
  if (!making) {
    answer.error = std::move(making.error());
    return Scheduler::Offer::refused;
  }
  up.making = std::move(*making);
  return Scheduler::Offer::taken;
}

// Reads files that judging needs, where they are large, off the loop: their digests are known afterwards.
bool Runner::warm(uint32_t instance, Upcoming& up) {
  if (up.warmed) return false;
  up.warmed = true;
  auto paths = parts_.history.to_read(instance, up.making, parts_.versions);
  if (paths.empty()) return false;
  asio::post(helpers_, [this, instance, paths = std::move(paths)] {
    // What cannot be read is met again, and told, by those who need it.
    for (const std::string& path : paths) (void)parts_.versions.content(path);
    asio::post(parts_.loop, [this, instance] {
      scheduler_.ready_again(instance);
      finish_if_done();
    });
  });
  return true;
}

// In a resumed run: what has ended stays as it is, unless what it is made of has changed.
bool Runner::reuse_earlier(uint32_t instance, const Upcoming& up, Scheduler::Answer& answer) {
  if (parts_.earlier == nullptr) return false;
  const state::InstanceRecord* earlier = parts_.earlier->find(infos_[instance].address);
  if (earlier == nullptr) return false;
  const bool succeeded = earlier->result == InstanceResult::succeeded;
  const bool failed = is_failure(earlier->result);
  if (!succeeded && !failed) return false;
  const auto& settings = pipeline_.settings[pipeline_.instances[instance].settings];
  if (settings.finally && main_ran_) {
    whys_[instance] = "what it cleans up after has gone on";
    return false;
  }
  // After a signal nothing is attempted again, although an attempt may be left.
  if (failed && parts_.earlier->failed_attempts(infos_[instance].address) < settings.max_attempts &&
      Scheduler::may_mend(settings, error_from_json(earlier->error))) {
    return false;
  }
  const auto verdict = parts_.history.judge(earlier, up.making, context_of(instance),
                                            {pipeline::CachePolicy::Kind::always, {}}, parts_.versions,
                                            Clock::system().wall());
  if (!verdict.same) {
    whys_[instance] = verdict.text();
    return false;
  }
  records_[instance] = *earlier;
  records_[instance].instance = instance;
  answer.result = earlier->result;
  answer.attempts = earlier->attempts;
  if (failed) answer.error = error_from_json(earlier->error);
  unseal(instance, *earlier);
  return true;
}

bool Runner::reuse_last(uint32_t instance, Upcoming& up, Scheduler::Answer& answer) {
  const auto& settings = pipeline_.settings[pipeline_.instances[instance].settings];
  if (settings.finally) {
    whys_[instance] = "it cleans up after each run";
    return false;
  }
  if (parts_.force) {
    whys_[instance] = "--force";
    return false;
  }
  const WallTime now = Clock::system().wall();
  const auto* last = parts_.history.last(instance);
  auto verdict = parts_.history.judge(last, up.making, context_of(instance), preparation_.cache(instance),
                                      parts_.versions, now);
  if (verdict.same && !last->sealed.empty() && !unseal(instance, *last)) {
    verdict.same = false;
    verdict.reason = "its secret outputs cannot be read without their passphrase";
  }
  if (!verdict.same) {
    if (!whys_.contains(instance)) whys_[instance] = verdict.text();
    return false;
  }
  auto& record = records_[instance];
  record.outputs = last->outputs;
  record.started = last->started;
  record.duration = last->duration;
  record.row = last->row;
  const WallTime made = last->started + last->duration;
  if (oldest_ == WallTime{} || made < oldest_) oldest_ = made;
  answer.result = InstanceResult::cached;
  answer.attempts = 0;
  return true;
}

// Outputs with their secrets, as others get them. The mask learns the secrets by what is masked in what is
// shown.
bool Runner::unseal(uint32_t instance, const state::InstanceRecord& record) {
  if (record.sealed.empty()) return true;
  if (!parts_.unseal) return false;
  auto plain = parts_.unseal(record.sealed_as.empty() ? record.address : record.sealed_as, record.sealed);
  if (!plain) return false;
  learn_secrets(record.outputs, *plain, parts_.secrets);
  plain_outputs_[instance] = std::move(*plain);
  return true;
}

// The versions of the paths that the configuration names, before the attempt may change them.
void Runner::read_inputs(uint32_t instance, Upcoming& up) {
  const auto version = [&](std::string_view what, const std::string& path) {
    up.inputs.push_back({std::string(what), path, parts_.versions.now(what, path, {})});
  };
  for (const std::string& path : up.making.inputs) version("file", path);
  for (const std::string& pattern : preparation_.declared_inputs(instance, up.making)) {
    version("inputs", pattern);
  }
}

std::string Runner::context_of(uint32_t instance) const {
  return preparation_.context(instance, hooks_ ? hooks_->digest(instance) : std::string());
}

Result<void> Runner::open_door() {
  if (supervisor_ != nullptr) return {};
  auto started = parts_.supervisor();
  if (!started) return tl::unexpected(std::move(started.error()));
  supervisor_ = *started;
  io_ = std::make_unique<worker::IoPrograms>(supervisor_->programs(), places::io_program());
  door_ = api::Door::make(parts_.loop, *this, layout_.audit(parts_.run), parts_.secrets,
                          &supervisor_->programs());
  door_->set_io(*io_, layout_.cache());
  door_->set_download_cache(layout_.cache() / "downloads");
  return {};
}

Result<void> Runner::open_workers(Section& section) {
  if (section.pool) return {};
  if (auto opened = open_door(); !opened) return opened;
  // A worker serves all instances of its section: it needs room for the largest.
  uint64_t memory = 0;
  for (const auto& [instance, limits] : parts_.project.limits) {
    if (&section_of(instance) == &section) memory = std::max(memory, limits.memory);
  }
  section.package = extension::worker_package(section.loaded->package, memory);
  section.pool = supervisor_->pool(section.package, *this);
  return {};
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

void Runner::bootstrap_done(Section& section, worker::Done done) {
  if (section.bootstrap_session) {
    const std::string reads = section.bootstrap_session->reads();
    if (!section.reads.empty() && !reads.empty()) section.reads += ',';
    section.reads += reads;
  }
  section.bootstrap_session.reset();
  if (done.status == worker::Done::Status::succeeded) {
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

Scheduler::Offer Runner::prepare(uint32_t instance, uint32_t attempt, Section& section, Upcoming& up,
                                 Error& error) {
  const auto& written = pipeline_.instances[instance];
  Attempt made;
  made.number = attempt;
  made.timeout = pipeline_.settings[written.settings].timeout;
  if (const Milliseconds deadline = deadline_of(instance); deadline.count() > 0) {
    const Milliseconds left = deadline_left(instance, deadline);
    if (left.count() <= 0) {
      error = instance_deadline(deadline);
      return Scheduler::Offer::expired;
    }
    if (made.timeout.count() == 0 || left < made.timeout) {
      made.timeout = left;
      made.last = true;
    }
  }
  const auto verb = parts_.kind == state::RunKind::destroy   ? extension::Verb::destroy
                    : parts_.kind == state::RunKind::refresh ? extension::Verb::refresh
                                                             : extension::Verb::execute;
  auto job = make_job(instance, verb, up.making, made);
  if (!job) {
    error = std::move(job.error());
    return Scheduler::Offer::refused;
  }
  section.job = std::move(*job);
  section.attempt = std::move(made);
  return Scheduler::Offer::taken;
}

// With what the instance's stack holds now.
Result<worker::Job> Runner::make_job(uint64_t id, extension::Verb verb, const Making& making,
                                     Attempt& attempt) {
  const auto instance = static_cast<uint32_t>(id);
  const auto& written = pipeline_.instances[instance];
  extension::InstanceJob job;
  std::string state;
  if (backend_exists_) {
    auto content = parts_.engine.read(stack_of(instance));
    if (!content) return tl::unexpected(std::move(content.error()));
    attempt.had_stack = content->has_value();
    if (attempt.had_stack) state = std::move((*content)->state);
  }
  job.name = written.name;
  job.type = infos_[instance].type;
  job.stack = written.stack;
  job.config = making.config;
  job.state = state;
  job.runtime = section_of(instance).runtime;
  job.attempt = attempt.number;
  job.timeout = attempt.timeout;
  job.verb = verb;
  return extension::instance_job(id, job, parts_.project.limits_of(instance));
}

// Over all attempts: of the keys `deadline` and `limits.deadline` the shorter one; 0: none.
Milliseconds Runner::deadline_of(uint32_t instance) const {
  const auto& settings = pipeline_.settings[pipeline_.instances[instance].settings];
  Milliseconds out = parts_.project.limits_of(instance).deadline;
  if (settings.deadline.count() > 0 && (out.count() == 0 || settings.deadline < out)) out = settings.deadline;
  return out.count() == 0 && settings.finally ? kCleanupDeadline : out;
}

// How much is left of a deadline that counts from the start of the first attempt.
Milliseconds Runner::deadline_left(uint32_t instance, Milliseconds deadline) const {
  const SteadyTime begun = timing_[instance].begun;
  if (begun == SteadyTime{}) return deadline;
  return deadline - std::chrono::duration_cast<Milliseconds>(Clock::system().steady() - begun);
}

}  // namespace pf::orchestrator
