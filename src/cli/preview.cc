#include "orchestrator/plan.h"

#include "base/text.h"
#include "cli/commands.h"
#include "cli/project.h"
#include "orchestrator/plan_file.h"
#include "orchestrator/run.h"
#include "report/json_text.h"
#include "report/visible.h"

namespace pf::cli {
namespace {

using orchestrator::Change;
using orchestrator::Plan;
using orchestrator::Planned;
using Action = Planned::Action;
using report::append_json_string;

constexpr size_t kFewCached = 20;  // so many are listed one by one without -v

orchestrator::PlanOptions plan_options(const Arguments& arguments) {
  orchestrator::PlanOptions out;
  out.project = project_options(arguments);
  out.selection = selection(arguments);
  out.force = arguments.force;
  out.keys = !arguments.plan_out.empty();
  return out;
}

void append_changes(std::string& out, const std::vector<Change>& changes) {
  out += '[';
  bool first = true;
  for (const Change& change : changes) {
    out += first ? "{\"key\":" : ",{\"key\":";
    first = false;
    append_json_string(out, change.key);
    out += ",\"path\":";
    append_json_string(out, change.path);
    out += ",\"from\":";
    append_json_string(out, change.from);
    out += ",\"to\":";
    append_json_string(out, change.to);
    out += ",\"computed\":";
    out += change.to == "(computed)" ? "true" : "false";
    out += ",\"file\":";
    append_json_string(out, change.where.file);
    out += ",\"line\":" + std::to_string(change.where.line);
    out += ",\"column\":" + std::to_string(change.where.column) + '}';
  }
  out += ']';
}

void append_last(std::string& out, WallTime last, const std::string& run) {
  if (last == WallTime{}) {
    out += ",\"last_success\":null";
    return;
  }
  out += ",\"last_success\":\"" + rfc3339(last) + "\",\"last_run\":";
  append_json_string(out, run);
}

void append_json(std::string& out, const Arguments& arguments, const Plan& plan) {
  const auto& pipeline = *plan.project->pipeline;
  out += R"({"event":"preview","time":")" + rfc3339(Clock::system().wall()) + R"(","run":null,"file":)";
  append_json_string(out, arguments.file);
  out += ",\"pipeline\":";
  append_json_string(out, pipeline.name);
  out += ",\"counts\":{";
  bool first = true;
  for (const Action action :
       {Action::run, Action::cached, Action::skipped, Action::blocked, Action::excluded}) {
    out += (first ? "\"" : ",\"") + std::string(to_text(action)) + "\":" + std::to_string(plan.count(action));
    first = false;
  }
  out += ",\"orphaned\":" + std::to_string(plan.orphans.size()) + "},\"instances\":{";
  first = true;
  for (uint32_t i = 0; i < plan.instances.size(); ++i) {
    if (!plan.shown[i]) continue;
    const Planned& planned = plan.instances[i];
    if (!first) out += ',';
    first = false;
    append_json_string(out, pipeline.address(i));
    out += ":{\"action\":\"" + std::string(to_text(planned.action)) + "\",\"why\":";
    append_json_string(out, planned.reason);
    out += ",\"depends\":";
    out += planned.depends ? "true" : "false";
    out += ",\"changes\":";
    append_changes(out, planned.changes);
    append_last(out, planned.last, planned.last_run);
    out += '}';
  }
  for (const auto& orphan : plan.orphans) {
    if (!first) out += ',';
    first = false;
    append_json_string(out, orphan.address);
    out +=
        R"(:{"action":"orphaned","why":"the pipeline does not hold it any more","depends":false,"changes":[])";
    append_last(out, orphan.last, orphan.last_run);
    out += '}';
  }
  out += "}}\n";
}

void append_line(std::string& out, std::string_view action, const std::string& address,
                 std::string_view why) {
  const size_t from = out.size();
  out += action;
  report::pad(out, from, 10);
  out += report::visible(address);
  if (!why.empty()) out += "  " + report::visible(why);
  out += '\n';
}

void append_text(std::string& out, const Arguments& arguments, const Plan& plan) {
  const auto& pipeline = *plan.project->pipeline;
  const size_t cached = plan.count(Action::cached);
  const auto now = Clock::system().wall();
  for (uint32_t i = 0; i < plan.instances.size(); ++i) {
    const Planned& planned = plan.instances[i];
    if (!plan.shown[i] || (planned.action == Action::excluded && !arguments.verbose)) continue;
    std::string why = planned.reason;
    if (planned.action == Action::cached) {
      if (cached > kFewCached && !arguments.verbose) continue;
      why = "as it was " + format_duration(std::chrono::duration_cast<Milliseconds>(now - planned.last)) +
            " ago";
    }
    append_line(out, to_text(planned.action), pipeline.address(i), why);
    for (const Change& change : planned.changes)
      out += "            " + report::visible(change.text()) + '\n';
  }
  for (const auto& orphan : plan.orphans) {
    append_line(out, "orphaned", orphan.address, "the pipeline does not hold it any more");
  }
  if (arguments.quiet) return;
  out += report::visible(pipeline.name) + ": " + report::count_of(plan.count(Action::run), "instance") +
         " would run, " + std::to_string(cached) + " cached";
  const auto more = [&](size_t count, std::string_view what) {
    if (count > 0) out += ", " + std::to_string(count) + ' ' + std::string(what);
  };
  more(plan.count(Action::skipped), "skipped");
  more(plan.count(Action::blocked), "blocked");
  more(plan.count(Action::excluded), "not selected");
  more(plan.orphans.size(), "orphaned");
  out += '\n';
  if (!arguments.plan_out.empty()) {
    out += "Kept in " + report::visible(arguments.plan_out) + ": " + arguments.same_project("run") +
           " --plan " + report::visible(shell_quote(arguments.plan_out)) + " carries out this, or nothing\n";
  }
}

}  // namespace

int preview(const Arguments& arguments, Screen& screen) {
  const auto options = plan_options(arguments);
  const auto plan = orchestrator::make_plan(options);
  if (!plan) return refuse(screen, arguments, plan.error());
  if (!arguments.plan_out.empty()) {
    if (auto kept = orchestrator::write_plan(arguments.plan_out, *plan, options); !kept)
      return refuse(screen, arguments, kept.error());
  }
  if (arguments.json())
    append_json(screen.text(), arguments, *plan);
  else
    append_text(screen.text(), arguments, *plan);
  return arguments.exit_code && plan->pending() ? orchestrator::kChangesPending : 0;
}

int why(const Arguments& arguments, Screen& screen) {
  const auto plan = orchestrator::make_plan(plan_options(arguments));
  if (!plan) return refuse(screen, arguments, plan.error());
  const auto& pipeline = *plan->project->pipeline;
  const int64_t instance = pipeline.find(arguments.operand);
  if (instance < 0) {
    Error error;
    error.code = "why.unknown";
    error.message = "the pipeline has no instance '" + arguments.operand + "'";
    std::vector<std::string> addresses;
    for (uint32_t i = 0; i < plan->instances.size(); ++i) {
      if (plan->shown[i]) addresses.push_back(pipeline.address(i));
    }
    error.hint = did_you_mean(arguments.operand, addresses);
    if (error.hint.empty()) error.hint = arguments.same_project("graph") + " shows those there are";
    return refuse(screen, arguments, error);
  }
  const Planned& planned = plan->instances[static_cast<size_t>(instance)];
  std::string& out = screen.text();
  if (arguments.json()) {
    out += R"({"event":"why","instance":)";
    append_json_string(out, arguments.operand);
    out += ",\"action\":\"" + std::string(to_text(planned.action)) + "\",\"why\":";
    append_json_string(out, planned.reason);
    out += ",\"changes\":";
    append_changes(out, planned.changes);
    append_last(out, planned.last, planned.last_run);
    out += "}\n";
    return 0;
  }
  if (planned.action == Action::cached) {
    const auto age = std::chrono::duration_cast<Milliseconds>(Clock::system().wall() - planned.last);
    out += report::visible(arguments.operand) + " is as it was when it last succeeded, " +
           format_duration(age) + " ago in run " + report::visible(planned.last_run) + '\n';
    return 0;
  }
  for (const Change& change : planned.changes) out += report::visible(change.text()) + '\n';
  if (!planned.reason.empty() && (planned.changes.empty() || arguments.verbose)) {
    out += report::visible(planned.reason) + '\n';
  }
  return 0;
}

}  // namespace pf::cli
