#include "orchestrator/run.h"

#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <optional>

#include "cli/commands.h"
#include "cli/project.h"
#include "orchestrator/plan_file.h"
#include "report/files.h"
#include "report/github.h"
#include "report/html_report.h"
#include "report/keyboard.h"
#include "report/metrics.h"
#include "report/observer.h"
#include "report/tee.h"
#include "report/visible.h"

namespace pf::cli {
namespace {

// A log line of our own on the same terminal would tear the live view.
bool logs_tear_the_view(const Arguments& arguments) {
  return (arguments.log_level == "debug" || arguments.log_level == "info") && ::isatty(2) == 1;
}

report::Mode mode_of(const Arguments& arguments) {
  if (arguments.json()) return report::Mode::json;
  if (arguments.quiet || report::in_github_actions() || !report::can_redraw(1) ||
      logs_tear_the_view(arguments))
    return report::Mode::lines;
  return report::Mode::live;
}

// Files that are written at the end are tried at the beginning: a run may take hours.
Errors check_files(const Arguments& arguments) {
  Errors errors;
  if (!arguments.report.empty()) {
    if (auto good = report::check_file("the report", arguments.report); !good) errors.push_back(good.error());
  }
  if (!arguments.metrics.empty()) {
    if (auto good = report::check_file("the metrics", arguments.metrics); !good)
      errors.push_back(good.error());
  }
  if (!arguments.report.empty() && arguments.report == arguments.metrics) {
    errors.push_back(pf::refuse("report.file",
                                "--report and --metrics name the same file " + arguments.report,
                                "give each its own")
                         .value());
  }
  return errors;
}

report::ObserverOptions look_of(const Arguments& arguments, report::Mode mode) {
  report::ObserverOptions look;
  look.verbose = arguments.verbose;
  look.quiet = arguments.quiet;
  look.color = report::wants_color(1);
  look.github = mode == report::Mode::lines && report::in_github_actions();
  look.outputs_command = arguments.same_project("outputs");
  look.status_command = arguments.same_project("status");
  for (const auto& file : {arguments.report, arguments.metrics}) {
    if (!file.empty()) look.written_files.push_back(file);
  }
  if (mode == report::Mode::live) look.keys = report::open_terminal_keys(0);
  return look;
}

bool may_give_up(const std::vector<std::string>& addresses) {
  std::cerr << "Nothing will clean up any more what these should have:\n";
  for (const auto& address : addresses) std::cerr << "  " << report::visible(address) << '\n';
  std::cerr << "Give up? Only `yes` is taken: " << std::flush;
  std::string answer;
  return std::getline(std::cin, answer) && answer == "yes";
}

}  // namespace

int run(const Arguments& arguments, Screen& screen) {
  if (arguments.dry_run) return preview(arguments, screen);
  if (const Errors errors = check_files(arguments); !errors.empty()) return refuse(screen, arguments, errors);
  const bool asks = arguments.abandon_cleanups && !arguments.yes;
  if (asks && (::isatty(0) != 1 || ::isatty(2) != 1)) {
    return refuse(
        screen, arguments,
        pf::refuse("cleanup.unconfirmed", "there is no terminal to ask on", "say --yes to go on without")
            .value());
  }
  std::optional<orchestrator::PlanFile> plan;
  if (!arguments.plan.empty()) {
    auto kept = orchestrator::read_plan(arguments.plan);
    if (!kept) return refuse(screen, arguments, kept.error());
    plan = std::move(*kept);
  }
  // Where something is asked, keys and a view would be in the way.
  const report::Mode mode = asks && !arguments.json() ? report::Mode::lines : mode_of(arguments);
  auto view = report::make_observer(mode, look_of(arguments, mode));
  report::Tee observer;
  if (!arguments.report.empty()) observer.add(report::make_html_report(arguments.report, *view));
  if (!arguments.metrics.empty()) observer.add(report::make_metrics(arguments.metrics, *view));
  const char* summary = std::getenv("GITHUB_STEP_SUMMARY");
  if (report::in_github_actions() && summary != nullptr && *summary != '\0')
    observer.add(report::make_step_summary(summary, *view));
  observer.add(std::move(view));

  orchestrator::RunOptions options;
  options.project = project_options(arguments);
  options.max_parallel = arguments.max_parallel;
  options.fail_fast = arguments.fail_fast;
  options.selection = selection(arguments);
  options.force = arguments.force;
  options.resume = arguments.resume;
  if (plan) {
    options.plan = &*plan;
    options.selection = plan->selection;
    options.force = plan->force;
  }
  options.command = arguments.line;
  options.abandon_cleanups = arguments.abandon_cleanups;
  if (asks) options.confirm = may_give_up;
  const auto code = orchestrator::run(options, observer);
  observer.leaving();
  if (code && *code == orchestrator::kDeclined) {
    if (!arguments.quiet) screen.text() += "nothing was done\n";
    return orchestrator::kInstanceFailed;
  }
  return code ? *code : refuse(screen, arguments, code.error());
}

}  // namespace pf::cli
