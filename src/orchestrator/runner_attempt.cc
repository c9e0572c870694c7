// Attempts: their host calls, and what comes of them.
#include <asio/post.hpp>
#include <filesystem>

#include "base/json.h"
#include "base/text.h"
#include "extension/grants.h"
#include "orchestrator/errors.h"
#include "orchestrator/runner.h"
#include "services/usage.h"

namespace pf::orchestrator {
namespace {

namespace fs = std::filesystem;
using worker::Done;

constexpr size_t kLongestError = 64U << 10;  // bytes of each of its texts

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

// What was read although no host call was made, in the form of api::Reads::items.
std::string inputs_read(const std::vector<api::Caller::Input>& inputs) {
  std::string out;
  for (const auto& input : inputs) {
    Json item = {{"what", input.what}, {"name", input.name}};
    item["version"] = input.version ? Json(*input.version) : Json();
    out += (out.empty() ? "" : ",") + to_json_text(item);
  }
  return out;
}

}  // namespace

Runner::Attempt& Runner::attempt_of(uint64_t job) {
  const auto instance = static_cast<uint32_t>(job);
  return (job & kDestroyJob) != 0 ? undoings_.at(instance).attempt : attempts_.at(instance);
}

void Runner::job_started(uint64_t job) {
  if ((job & (kBootstrapJob | kDestroyJob)) != 0) return;
  const auto instance = static_cast<uint32_t>(job);
  Attempt& attempt = attempts_.at(instance);
  attempt.begun = true;
  main_ran_ = main_ran_ || !pipeline_.settings[pipeline_.instances[instance].settings].finally;
  Timing& timing = timing_[instance];
  const WallTime now = Clock::system().wall();
  if (timing.begun == SteadyTime{}) timing = {now, Clock::system().steady()};
  attempt.started = now;
  attempt.since = Clock::system().steady();
  const auto why = whys_.find(instance);
  parts_.observer.on(
      InstanceStarted{instance, attempt.number, now, why == whys_.end() ? std::string_view() : why->second});
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
  caller.inputs = attempt.from.inputs;
  caller.fail = [pool = section.pool.get(), job](Error error) { pool->fail(job, std::move(error)); };
  extension::Surroundings around{pipeline_.folder, layout_.folder(), {}};
  for (const auto& from : attempt.from.making.from_outputs) {
    extension::FromOutputs value{from.path, {}};
    for (const uint32_t producer : from.instances) value.folders.push_back(work_folder(producer));
    around.from_outputs.push_back(std::move(value));
  }
  const auto config = bootstraps ? Result<Json>(Json::object()) : from_cbor(attempt.from.making.config);
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
    Attempt& attempt = attempt_of(job);
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
  const auto& session = bootstraps ? section.bootstrap_session : attempt_of(job).session;
  if (!session || !session->cancel(request)) return;
  section.pool->reply(job, request, fail("async.cancelled", "the task that made this call was cancelled"));
}

void Runner::job_done(uint64_t job, Done done) {
  if ((job & kBootstrapJob) != 0) {
    bootstrap_done(sections_[job & ~kBootstrapJob], std::move(done));
    return;
  }
  if (!programs_may_end(job, done)) job_over(job, std::move(done));
}

void Runner::attempt_done(uint32_t instance, Done done) {
  Attempt& attempt = attempts_.at(instance);
  std::string reads = section_of(instance).reads;
  std::string own = attempt.session ? attempt.session->reads() : inputs_read(attempt.from.inputs);
  if (!reads.empty() && !own.empty()) reads += ',';
  reads += own;
  if (reads.empty())
    reads_.erase(instance);
  else
    reads_[instance] = std::move(reads);
  if (attempt.session) {
    const services::Usage& usage = attempt.session->usage();
    done.cpu_us += usage.cpu_us();
    done.peak_bytes = std::max(done.peak_bytes, usage.peak_bytes());
    attempt.read_bytes = usage.read_bytes();
    attempt.write_bytes = usage.write_bytes();
  }
  if (attempt.session && stopping(instance)) {
    const auto interrupted = attempt.session->interrupted();
    attempt.interrupted = interrupted.told;
    // It says that it succeeded, with a program that we have ended before its time.
    if (interrupted.broke && done.status == Done::Status::succeeded) {
      done.status = Done::Status::cancelled;
      done.error = program_interrupted();
    }
  }
  attempt.session.reset();
  const auto& kept = attempt.from.kept.empty() ? attempt.from.making.to_keep() : attempt.from.kept;
  made_of_[instance] = {kept, context_of(instance)};
  records_[instance].cpu_us += done.cpu_us;
  records_[instance].peak_bytes = std::max(records_[instance].peak_bytes, done.peak_bytes);
  if (attempt.read_bytes + attempt.write_bytes > 0) {
    used_io_[instance].read_bytes += attempt.read_bytes;
    used_io_[instance].write_bytes += attempt.write_bytes;
  }
  attempt.cpu_us = done.cpu_us;
  attempt.peak_bytes = done.peak_bytes;
  if (done.status != Done::Status::succeeded) {
    const InstanceResult result = to_result(done);
    if (attempt.last && result == InstanceResult::timed_out) {
      std::string traceback = std::move(done.error.traceback);
      done.error = instance_deadline(deadline_of(instance));
      done.error.traceback = std::move(traceback);
    }
    return attempt_failed(instance, result, std::move(done.error));
  }
  if (parts_.secrets.mask().finds(done.state)) {
    auto error =
        refuse("secret.state", "self.state holds a secret, and there is no key to keep it with",
               "keep what is no secret in self.state, and get the secret anew with forge.secret.get");
    return attempt_failed(instance, InstanceResult::failed, std::move(error.value()));
  }
  if (parts_.kind == state::RunKind::destroy) return remove_all(instance);
  if (parts_.kind == state::RunKind::refresh) return export_state(instance, std::move(done));
  const bool has_outputs = done.value.size() > 1;  // an empty map is one byte
  if (!done.state.empty() || has_outputs || attempt.had_stack) {
    return export_stack(instance, std::move(done));
  }
  attempt_succeeded(instance, std::move(done.value));
}

// Off the loop, since it waits for the disk. The attempt counts as running until the stack holds what it
// made.
void Runner::export_stack(uint32_t instance, Done done) {
  std::string kept = masked(done.value);
  asio::post(helpers_, [this, instance, done = std::move(done), shown = std::move(kept),
                        id = stack_of(instance)]() mutable {
    iac::StackContent content;
    content.state = std::move(done.state);
    if (done.value.size() > 1) content.outputs = std::move(shown);
    auto exported = parts_.engine.export_content(id, content);
    asio::post(parts_.loop,
               [this, instance, exported = std::move(exported), value = std::move(done.value)]() mutable {
                 backend_exists_ = true;
                 if (exported)
                   attempt_succeeded(instance, std::move(value));
                 else
                   attempt_failed(instance, InstanceResult::failed, std::move(exported.error()));
               });
  });
}

void Runner::finish_attempt(uint32_t instance, AttemptEnd end) {
  if (undo(instance, end)) return;
  scheduler_.attempt_ended(instance, std::move(end));
  finish_if_done();
}

// on_failure: destroy. False: there is nothing to undo. The instance ends when that has ended.
bool Runner::undo(uint32_t instance, AttemptEnd& end) {
  const auto& written = pipeline_.instances[instance];
  if (!pipeline_.settings[written.settings].destroy_failed || parts_.kind != state::RunKind::run)
    return false;
  if (end.result == InstanceResult::succeeded || end.result == InstanceResult::cancelled) return false;
  const auto up = upcoming_.find(instance);
  if (up == upcoming_.end() || abandoned_ || !scheduler_.is_last(instance, end)) return false;
  Undoing undoing;
  undoing.attempt.from = up->second;
  undoing.attempt.timeout = pipeline_.settings[written.settings].timeout;
  auto job = make_job(instance | kDestroyJob, extension::Verb::destroy, up->second.making, undoing.attempt);
  if (!job) {
    log(instance, 2, "what it made was not destroyed: " + job.error().message, nullptr);
    return false;
  }
  undoing.job = std::move(*job);
  undoing.end = std::move(end);
  undoings_.emplace(instance, std::move(undoing));
  offer_undoings();
  return true;
}

void Runner::offer_undoings() {
  for (auto& [instance, undoing] : undoings_) {
    if (!undoing.offered) undoing.offered = section_of(instance).pool->offer(undoing.job, may_start());
  }
}

void Runner::undone(uint32_t instance, Done done) {
  Undoing undoing = std::move(undoings_.at(instance));
  undoings_.erase(instance);
  undoing.attempt.session.reset();
  const auto finish = [this, instance](AttemptEnd end, const std::string& problem) {
    if (!problem.empty()) {
      end.error.message += "; what it made was not destroyed: " + problem;
      log(instance, 2, "what it made was not destroyed: " + problem, nullptr);
    }
    scheduler_.attempt_ended(instance, std::move(end));
    finish_if_done();
  };
  if (done.status != Done::Status::succeeded) return finish(std::move(undoing.end), done.error.message);
  asio::post(helpers_, [this, finish, end = std::move(undoing.end), id = stack_of(instance)]() mutable {
    auto removed = parts_.engine.remove(id);
    asio::post(parts_.loop, [finish, end = std::move(end), removed = std::move(removed)]() mutable {
      finish(std::move(end), removed ? std::string() : removed.error().message);
    });
  });
}

// The stack, then the work folder: a work folder without a stack is only what a later run finds there, a
// stack without its folder could not be destroyed any more. Off the loop.
void Runner::remove_all(uint32_t instance) {
  asio::post(helpers_, [this, instance, id = stack_of(instance), folder = work_folder(instance)] {
    auto removed = parts_.engine.remove(id);
    std::error_code code;
    if (removed) fs::remove_all(folder, code);
    Error error;
    if (!removed)
      error = std::move(removed.error());
    else if (code)
      error = system_error("cannot remove " + folder, code.value());
    asio::post(parts_.loop, [this, instance, error = std::move(error)]() mutable {
      if (error.code.empty())
        attempt_succeeded(instance, {});
      else
        attempt_failed(instance, InstanceResult::failed, std::move(error));
    });
  });
}

// After a refresh: the outputs stay.
void Runner::export_state(uint32_t instance, Done done) {
  asio::post(helpers_, [this, instance, state = std::move(done.state), id = stack_of(instance)]() mutable {
    Error error;
    auto content = parts_.engine.read(id);
    if (!content) {
      error = std::move(content.error());
    } else if (*content || !state.empty()) {
      iac::StackContent next = content->value_or(iac::StackContent{});
      next.state = std::move(state);
      if (auto exported = parts_.engine.export_content(id, next); !exported)
        error = std::move(exported.error());
    }
    asio::post(parts_.loop, [this, instance, error = std::move(error)]() mutable {
      if (error.code.empty())
        attempt_succeeded(instance, {});
      else
        attempt_failed(instance, InstanceResult::failed, std::move(error));
    });
  });
}

// Outputs (CBOR) as they may be kept and shown.
std::string Runner::masked(std::string_view outputs) const {
  if (!parts_.secrets.mask().finds(outputs)) return std::string(outputs);
  auto value = from_cbor(outputs);
  if (!value) return {};
  parts_.secrets.mask().apply(*value);
  return to_cbor(*value);
}

void Runner::attempt_succeeded(uint32_t instance, std::string outputs) {
  if (outputs.size() > 1) {
    std::string kept = masked(outputs);
    if (kept != outputs) {
      keep_secret_outputs(instance, outputs);
      plain_outputs_[instance] = std::move(outputs);
    }
    records_[instance].outputs = std::move(kept);
  }
  Attempt attempt = take_attempt(instance);
  // The instance's own end tells of a single attempt, but not what it read and wrote.
  if (attempt.number > 1 || attempt.read_bytes + attempt.write_bytes > 0)
    journal_attempt(instance, attempt, InstanceResult::succeeded, {}, {});
  // A hook after it may still make it a failure, and then it may have to be destroyed.
  if (hooks_ && pipeline_.settings[pipeline_.instances[instance].settings].destroy_failed &&
      hooks_->any(pipeline::HookStage::after_instance, instance)) {
    upcoming_[instance] = std::move(attempt.from);
  }
  end_attempt(instance, attempt.number, {});
}

// Outputs with secrets are kept where there is a key. Elsewhere they are gone with the run, and the instance
// has to run again for who needs them.
void Runner::keep_secret_outputs(uint32_t instance, const std::string& outputs) {
  if (parts_.seal) {
    if (auto sealed = parts_.seal(infos_[instance].address, outputs)) {
      sealed_[instance] = std::move(*sealed);
      return;
    }
  }
  std::string& reads = reads_[instance];
  if (!reads.empty()) reads += ',';
  reads += R"({"what":"outputs","name":"secret","version":null})";
}

Runner::Attempt Runner::take_attempt(uint32_t instance) {
  const auto at = attempts_.find(instance);
  Attempt attempt = std::move(at->second);
  attempts_.erase(at);
  return attempt;
}

void Runner::journal_attempt(uint32_t instance, const Attempt& attempt, InstanceResult result,
                             const Error& error, state::Writer::Callback on_durable) {
  state::AttemptEnd end;
  end.instance = instance;
  end.attempt = attempt.number;
  end.address = infos_[instance].address;
  end.result = result;
  end.started = attempt.started;
  if (attempt.begun) {
    end.duration = std::chrono::duration_cast<Milliseconds>(Clock::system().steady() - attempt.since);
  }
  end.cpu_us = attempt.cpu_us;
  end.peak_bytes = attempt.peak_bytes;
  end.read_bytes = attempt.read_bytes;
  end.write_bytes = attempt.write_bytes;
  if (!error.code.empty()) end.error = error_to_json(shown(error));
  parts_.writer.end_attempt(std::move(end), std::move(on_durable));
}

void Runner::attempt_failed(uint32_t instance, InstanceResult result, Error error) {
  Attempt attempt = take_attempt(instance);
  // What a dying worker reports while we cancel is our doing, and so is what comes of interrupted programs.
  if (attempt.interrupted || (cancelled_ && !spared(instance) && result != InstanceResult::failed))
    result = InstanceResult::cancelled;
  if (expired_ && result == InstanceResult::cancelled) {
    result = InstanceResult::timed_out;
    error = pipeline_deadline(pipeline_.deadline);
  }
  failures_[instance] = {};
  journal_attempt(instance, attempt, result, error, [this, instance] { failure_durable(instance); });
  // Each expression is evaluated once: another attempt gets the same.
  upcoming_[instance] = std::move(attempt.from);
  AttemptEnd end;
  end.result = result;
  end.error = std::move(error);
  end_attempt(instance, attempt.number, std::move(end));
}

// ---- what the door tells

void Runner::log(uint32_t index, int level, std::string_view text, const Json* fields) {
  const LogLine event{index, Clock::system().wall(), static_cast<LogLevel>(level), text, fields};
  const bool of_pipeline = index == Hooks::kPipeline;
  static constexpr const char* kLevels[] = {"debug", "info", "warn", "error"};
  Json line = {{"time", rfc3339(event.time)},
               {"instance", of_pipeline ? Json() : Json(infos_[index].address)},
               {"level", kLevels[level]},
               {"message", std::string(text)}};
  if (fields != nullptr) line["fields"] = *fields;
  log_file_.append(to_json_text(line));
  parts_.observer.on(event);
}

// As people and files get to see it: without secrets, and then no longer than they can use.
Error Runner::shown(const Error& error) const {
  Error out = error;
  parts_.secrets.mask().apply(out);
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

}  // namespace pf::orchestrator
