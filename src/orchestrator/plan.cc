#include "orchestrator/plan.h"

#include <algorithm>
#include <asio/io_context.hpp>

#include "base/digest.h"
#include "base/file.h"
#include "base/json.h"
#include "base/places.h"
#include "orchestrator/affected.h"
#include "orchestrator/keys.h"
#include "orchestrator/preparation.h"
#include "orchestrator/run.h"
#include "orchestrator/scheduler.h"
#include "orchestrator/tools.h"
#include "state/layout.h"
#include "worker/supervisor.h"

namespace pf::orchestrator {
namespace {

using Action = Planned::Action;
using Offer = Scheduler::Offer;

/// A world in which nothing runs: what would run counts as succeeded, with outputs that nobody knows.
class Foresight final : public Scheduler::Actions, public pipeline::Outputs {
 public:
  struct Parts {
    Project& project;
    const History& history;
    api::Secrets& secrets;
    api::Versions& versions;
    bool force = false;
    bool expand = true;  // whether the pipeline may grow
    bool keys = false;
    std::function<std::string(uint32_t)> hooks;
  };
  explicit Foresight(Parts parts)
      : parts_(std::move(parts)),
        pipeline_(*parts_.project.pipeline),
        history_(parts_.history),
        secrets_(parts_.secrets),
        versions_(parts_.versions),
        preparation_(parts_.project, secrets_, *this) {
    grow();
  }
  std::vector<Planned> instances;
  std::vector<bool> shown;

  Offer offer(uint32_t instance, uint32_t, bool, Scheduler::Answer& answer) override {
    Planned& planned = instances[instance];
    auto wanted = pipeline::evaluate_when(pipeline_, instance, *this);
    if (!wanted) return refuse(planned, wanted.error(), answer);
    if (*wanted && !**wanted) return Offer::skip;
    auto making = preparation_.make(instance);
    if (!making) return refuse(planned, making.error(), answer);
    const auto* last = history_.last(instance);
    if (last != nullptr) {
      planned.last = last->started + last->duration;
      planned.last_run = last->run;
    }
    const bool cleans = pipeline_.settings[pipeline_.instances[instance].settings].finally;
    const std::string context =
        preparation_.context(instance, parts_.hooks ? parts_.hooks(instance) : std::string());
    auto verdict = history_.judge(last, *making, context, preparation_.cache(instance), versions_,
                                  Clock::system().wall());
    if (parts_.keys) planned.key = key_of(*making, context, planned.last_run, verdict);
    if (!*wanted) planned.reason = "its `when` depends on what runs before it";
    if (cleans) planned.reason = "it cleans up after each run";
    if (parts_.force) planned.reason = "--force";
    if (verdict.same && planned.reason.empty()) {
      planned.action = Action::cached;
      answer.result = InstanceResult::cached;
      return Offer::reuse;
    }
    planned.depends = !*wanted || !making->complete;
    if (planned.reason.empty()) planned.reason = std::move(verdict.reason);
    planned.changes = std::move(verdict.changes);
    answer.result = InstanceResult::succeeded;
    return Offer::reuse;
  }
  uint32_t running() const override { return 0; }
  void retry(uint32_t, uint32_t, const Error&, Milliseconds) override {}
  double random() override { return 0; }

  void conclude(uint32_t instance, InstanceResult result, uint32_t, const Error*, int64_t cause) override {
    Planned& planned = instances[instance];
    const std::string by = cause < 0 ? std::string() : pipeline_.address(static_cast<uint32_t>(cause));
    switch (result) {
      case InstanceResult::skipped:
        planned.action = Action::skipped;
        planned.reason =
            by.empty() ? "its `when` is false" : "it waits for a result of " + by + " that is not expected";
        break;
      case InstanceResult::blocked:
        planned.action = Action::blocked;
        planned.reason = by + " cannot run";
        break;
      case InstanceResult::excluded:
        planned.action = Action::excluded;
        planned.reason = "it is not selected";
        break;
      default: break;
    }
  }

  Scheduler::Expansion expand(uint32_t group, Scheduler::Children& children) override {
    const auto edges = pipeline_.upstream(group);
    const auto open =
        std::find_if(edges.begin(), edges.end(), [&](const auto& edge) { return !known(edge.upstream); });
    if (open != edges.end() || !parts_.expand) {
      instances[group].reason = open == edges.end()
                                    ? "how many there are is known when it is expanded"
                                    : "how many there are depends on " + pipeline_.address(open->upstream);
      instances[group].depends = true;
      return Scheduler::Expansion::done;  // of no instances, but unknown to those who refer to it
    }
    children.first = static_cast<uint32_t>(pipeline_.instances.size());
    auto made = pipeline::expand(*parts_.project.pipeline, group, *this);
    if (!made) {
      children.error = std::move(made.error());
      return Scheduler::Expansion::failed;
    }
    children.count = *made;
    shown[group] = false;
    grow();
    return Scheduler::Expansion::done;
  }

  // pipeline::Outputs
  bool known(uint32_t instance) override {
    const Planned& planned = instances[instance];
    if (pipeline_.instances[instance].group) return !shown[instance];
    return planned.action == Action::cached ||
           (planned.action == Action::excluded && history_.last(instance) != nullptr);
  }
  const Json* of(uint32_t instance) override {
    if (const auto found = decoded_.find(instance); found != decoded_.end()) return &found->second;
    const auto* last = history_.last(instance);
    if (last == nullptr || last->outputs.empty()) return nullptr;
    auto decoded = from_cbor(last->outputs);
    if (!decoded) return nullptr;
    return &decoded_.emplace(instance, std::move(*decoded)).first->second;
  }
  Result<std::string> secret(std::string_view name) override { return secrets_.get(name); }

 private:
  void grow() {
    instances.resize(pipeline_.instances.size());
    shown.resize(pipeline_.instances.size(), true);
  }
  static std::string key_of(const Making& making, const std::string& context, const std::string& last_run,
                            const Verdict& verdict) {
    std::string all;
    for (const std::string& part : {making.to_keep(), context, last_run}) {
      all += std::to_string(part.size()) + ':' + part;  // no part can be taken for the beginning of the next
    }
    for (const Change& change : verdict.changes) {
      for (const std::string& part : {change.path, change.key, change.from, change.to})
        all += std::to_string(part.size()) + ':' + part;
    }
    return sha256_hex(all);
  }
  static Offer refuse(Planned& planned, const Error& error, Scheduler::Answer& answer) {
    planned.reason = "it will fail: " + error.message;
    answer.error = error;
    return Offer::refused;
  }

  Parts parts_;
  const pipeline::Pipeline& pipeline_;
  const History& history_;
  api::Secrets& secrets_;
  api::Versions& versions_;
  Preparation preparation_;
  std::map<uint32_t, Json> decoded_;
};

// Versions of declared tools are part of what is compared.
tl::expected<void, Errors> look_at_tools(const Project& project, api::Versions& versions) {
  if (!declares_tools(project)) return {};
  asio::io_context loop(1);
  worker::Options workers;
  workers.program = places::worker_program();
  workers.degraded = project.pipeline->degraded_sandbox;
  auto supervisor = worker::Supervisor::start(loop, workers);
  if (!supervisor) return tl::unexpected(Errors{supervisor.error()});
  ToolVersions tools;
  return learn_tools(loop, (*supervisor)->programs(), project, tools, versions);
}

}  // namespace

std::string_view to_text(Planned::Action action) {
  switch (action) {
    case Action::run: return "run";
    case Action::cached: return "cached";
    case Action::skipped: return "skipped";
    case Action::blocked: return "blocked";
    case Action::excluded: return "excluded";
  }
  return "";
}

size_t Plan::count(Action action) const {
  size_t out = 0;
  for (size_t i = 0; i < instances.size(); ++i) out += shown[i] && instances[i].action == action ? 1 : 0;
  return out;
}

bool Plan::pending() const {
  const auto& pipeline = *project->pipeline;
  for (size_t i = 0; i < instances.size(); ++i) {
    const bool cleans = pipeline.settings[pipeline.instances[i].settings].finally;
    if (shown[i] && !cleans && instances[i].action == Action::run) return true;
  }
  return false;
}

tl::expected<Plan, Errors> make_plan(const PlanOptions& options) {
  auto project = open_project(options.project);
  if (!project) return tl::unexpected(std::move(project.error()));
  Plan plan;
  plan.project = std::move(*project);
  const auto& pipeline = *plan.project->pipeline;
  History history(pipeline);
  if (auto loaded = history.load(plan.project->state_folder); !loaded) {
    return tl::unexpected(Errors{loaded.error()});
  }
  Selection selection = options.selection;
  if (auto found = find_affected(*plan.project, selection); !found) {
    return tl::unexpected(Errors{std::move(found.error())});
  }
  auto left_out = excluded(pipeline, selection, history);
  if (!left_out) return tl::unexpected(std::move(left_out.error()));

  api::Secrets secrets;
  const auto key_file = state::Layout(plan.project->state_folder).digest_key();
  if (options.keys) {
    if (auto made = make_folders(key_file.parent_path()); !made) return tl::unexpected(Errors{made.error()});
  }
  secrets.set_key_file(key_file, options.keys);
  set_sources(pipeline, secrets);
  api::Versions versions(secrets, plan.project->state_folder);
  if (auto tools = look_at_tools(*plan.project, versions); !tools)
    return tl::unexpected(std::move(tools.error()));

  Scheduler::Options scheduling;
  scheduling.known.resize(left_out->size());
  for (size_t i = 0; i < left_out->size(); ++i) scheduling.known[i].excluded = (*left_out)[i];
  Foresight foresight(
      {*plan.project, history, secrets, versions, options.force, true, options.keys,
       [&](uint32_t instance) { return patching_digest(plan.project->hooks, pipeline, instance); }});
  Scheduler scheduler(pipeline, std::move(scheduling), foresight);
  scheduler.start();
  plan.instances = std::move(foresight.instances);
  plan.shown = std::move(foresight.shown);
  for (const auto* record : history.others()) {
    // Of a for_each that could not be expanded nobody knows which instances it will have.
    const int64_t group = pipeline.find(record->address.substr(0, record->address.find('[')));
    if (group >= 0 && pipeline.instances[static_cast<size_t>(group)].group &&
        plan.shown[static_cast<size_t>(group)])
      continue;
    plan.orphans.push_back({record->address, record->started + record->duration, record->run});
  }
  return plan;
}

std::vector<Planned> foresee(Project& project, const History& history, api::Secrets& secrets,
                             api::Versions& versions, const Scheduler::Options& scheduling, bool force,
                             std::function<std::string(uint32_t)> hooks) {
  Foresight foresight({project, history, secrets, versions, force, false, false, std::move(hooks)});
  Scheduler(*project.pipeline, scheduling, foresight).start();
  return std::move(foresight.instances);
}

}  // namespace pf::orchestrator
