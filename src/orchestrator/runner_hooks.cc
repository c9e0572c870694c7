// Where hooks are asked in the life of a run, and what their decisions do.
#include "base/json.h"
#include "orchestrator/errors.h"
#include "orchestrator/plan.h"
#include "orchestrator/runner.h"

namespace pf::orchestrator {

using pipeline::HookStage;

// ---- of the pipeline

void Runner::open_hooks() {
  if (auto opened = open_door(); !opened) return refuse_run(opened.error());
  hooks_ = std::make_unique<Hooks>(HookParts{parts_.loop, pipeline_, parts_.project.hooks, layout_.folder(),
                                             *supervisor_, *door_, *this, parts_.secrets,
                                             [this](const HookRan& ran) { hook_ran(ran); }});
  tell_started();
  if (!hooks_->any(HookStage::before_pipeline)) return begin();
  hooks_->run(HookStage::before_pipeline, std::nullopt, Json::object(), [this](const Decision& decision) {
    if (decision.kind != Decision::Kind::none) return refuse_run(decision.error);
    begin();
  });
}

void Runner::begin() {
  const auto go = [this] {
    begun_ = true;
    scheduler_.start();
    finish_if_done();
  };
  if (!hooks_->any(HookStage::after_plan)) return go();
  hooks_->run(HookStage::after_plan, std::nullopt, plan_event(), [this, go](const Decision& decision) {
    if (decision.kind != Decision::Kind::none) return refuse_run(decision.error);
    go();
  });
}

Json Runner::plan_event() {
  Json list = Json::array();
  const auto planned =
      foresee(parts_.project, parts_.history, parts_.secrets, parts_.versions, parts_.scheduling,
              parts_.force, [this](uint32_t i) { return hooks_->digest(i); });
  for (uint32_t i = 0; i < planned.size(); ++i) {
    std::string why = planned[i].reason;
    for (const Change& change : planned[i].changes) why += (why.empty() ? "" : "\n") + change.text();
    list.push_back({{"instance", infos_[i].address}, {"decision", to_text(planned[i].action)}, {"why", why}});
  }
  return {{"plan", std::move(list)}};
}

// Nothing runs, not even cleanups: nothing was begun.
void Runner::refuse_run(const Error& error) {
  run_failed_ = true;
  if (!started_) tell_started();
  const Error told = shown(error);
  parts_.observer.on(RunFailure{Clock::system().wall(), &told});
  scheduler_.abandon();
  begun_ = true;
  scheduler_.start();
  finish_if_done();
}

bool Runner::ask_after_pipeline() {
  after_asked_ = true;
  if (!hooks_ || abandoned_ || aborted_ || !hooks_->any(HookStage::after_pipeline)) return false;
  const auto took = Clock::system().steady() - since_;
  Json event = {{"result", cancelled_ ? "cancelled"
                           : expired_ ? "timed_out"
                           : failed() ? "failed"
                                      : "succeeded"},
                {"duration_ms", std::chrono::duration_cast<Milliseconds>(took).count()}};
  if (const int64_t first = scheduler_.first_failed(); first >= 0) {
    const auto& record = records_[static_cast<size_t>(first)];
    if (auto error = parse_json(record.error)) {
      (*error)["instance"] = record.address;
      event["error"] = std::move(*error);
    }
  }
  hooks_->run(HookStage::after_pipeline, std::nullopt, event, [this](const Decision& decision) {
    if (decision.kind == Decision::Kind::failed && !run_failed_) {
      run_failed_ = true;
      const Error told = shown(decision.error);
      parts_.observer.on(RunFailure{Clock::system().wall(), &told});
    }
    finish_if_done();
  });
  return true;
}

void Runner::hook_ran(const HookRan& ran) {
  parts_.observer.on(ran);
  state::HookRecord record;
  record.stage = ran.stage;
  if (ran.index >= 0) record.address = infos_[static_cast<size_t>(ran.index)].address;
  record.script = ran.script;
  record.decision = ran.decision;
  record.text = ran.text;
  record.duration = ran.duration;
  record.at = ran.time;
  parts_.writer.hook(std::move(record), {});
}

// ---- of instances

bool Runner::ask_before_instance(uint32_t instance, uint32_t attempt, Upcoming& up) {
  if (!hooks_ || !hooks_->any(HookStage::before_instance, instance)) return false;
  Json event = {{"attempt", attempt}};
  if (auto config = from_cbor(up.making.config)) event["config"] = std::move(*config);
  hooks_->run(HookStage::before_instance, instance, event, [this, instance](Decision decision) {
    const auto found = upcoming_.find(instance);
    if (found == upcoming_.end()) return;  // it was cancelled meanwhile
    found->second.decision = std::move(decision);
    found->second.stage = Upcoming::Stage::hooked;
    scheduler_.ready_again(instance);
    finish_if_done();
  });
  return true;
}

// What the hooks before an instance said. `taken`: go on.
Scheduler::Offer Runner::follow_hooks(uint32_t instance, Upcoming& up, Scheduler::Answer& answer) {
  using Kind = Decision::Kind;
  using Offer = Scheduler::Offer;
  switch (up.decision.kind) {
    case Kind::none:
    case Kind::retry: return Offer::taken;
    case Kind::skip: whys_[instance] = up.decision.text; return Offer::skip;
    case Kind::veto:
    case Kind::failed: answer.error = std::move(up.decision.error); return Offer::refused;
    case Kind::config: break;
  }
  // The hook's digest is part of the key, so what was there before the patch is what a later run compares.
  up.kept = up.making.to_keep();
  auto patched = preparation_.patch(instance, *up.decision.config, up.making);
  if (!patched) {
    answer.error = std::move(patched.error());
    answer.error.message = "with what its hooks changed: " + answer.error.message;
    return Offer::refused;
  }
  whys_[instance] += (whys_[instance].empty() ? "hooks changed: " : "\nhooks changed: ") + up.decision.text;
  up.decision = {};
  return Offer::taken;
}

Json Runner::event_of(uint32_t instance, uint32_t attempt, const AttemptEnd& end) {
  Json event = {{"attempt", attempt}, {"result", state::to_text(end.result)}};
  if (const auto begun = timing_[instance].begun; begun != SteadyTime{}) {
    event["duration_ms"] = std::chrono::duration_cast<Milliseconds>(Clock::system().steady() - begun).count();
  }
  if (!end.error.code.empty()) {
    event["error"] = {{"code", end.error.code}, {"message", end.error.message}, {"hint", end.error.hint}};
  }
  if (const auto& outputs = records_[instance].outputs; !outputs.empty()) {
    if (auto decoded = from_cbor(outputs)) event["outputs"] = std::move(*decoded);
  }
  return event;
}

// The last attempt of an instance goes past its hooks before the scheduler hears of it.
void Runner::end_attempt(uint32_t instance, uint32_t attempt, AttemptEnd end) {
  const bool failed = end.result != InstanceResult::succeeded && end.result != InstanceResult::cancelled;
  if (hooks_ && failed && hooks_->any(HookStage::on_error, instance) && scheduler_.is_last(instance, end)) {
    const Json event = event_of(instance, attempt, end);
    hooks_->run(HookStage::on_error, instance, event,
                [this, instance, attempt, end = std::move(end)](const Decision& decision) mutable {
                  end.again = decision.kind == Decision::Kind::retry;
                  ask_after_instance(instance, attempt, std::move(end));
                });
    return;
  }
  ask_after_instance(instance, attempt, std::move(end));
}

void Runner::ask_after_instance(uint32_t instance, uint32_t attempt, AttemptEnd end) {
  const auto finish = [this, instance](AttemptEnd last) { finish_attempt(instance, std::move(last)); };
  const bool succeeded = end.result == InstanceResult::succeeded;
  const bool ends = succeeded || scheduler_.is_last(instance, end);
  if (!hooks_ || !ends || end.result == InstanceResult::cancelled ||
      !hooks_->any(HookStage::after_instance, instance)) {
    return finish(std::move(end));
  }
  const Json event = event_of(instance, attempt, end);
  hooks_->run(HookStage::after_instance, instance, event,
              [this, instance, finish, succeeded, end = std::move(end)](const Decision& decision) mutable {
                // The error of the instance itself stays the one that is told.
                if (decision.kind == Decision::Kind::failed && succeeded) {
                  end.result = InstanceResult::failed;
                  end.error = decision.error;
                  end.error.retryable = false;
                  records_[instance].outputs.clear();
                  plain_outputs_.erase(instance);
                }
                finish(std::move(end));
              });
}

}  // namespace pf::orchestrator
