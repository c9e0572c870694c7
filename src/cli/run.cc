#include "orchestrator/run.h"

#include <unistd.h>

#include "cli/commands.h"
#include "cli/project.h"
#include "report/observer.h"

namespace pf::cli {
namespace {

// A log line of our own on the same terminal would tear the live view.
bool logs_tear_the_view(const Arguments& arguments) {
  return (arguments.log_level == "debug" || arguments.log_level == "info") && ::isatty(2) == 1;
}

report::Mode mode_of(const Arguments& arguments) {
  if (arguments.json()) return report::Mode::json;
  if (arguments.quiet || !report::can_redraw(1) || logs_tear_the_view(arguments)) return report::Mode::lines;
  return report::Mode::live;
}

}  // namespace

int run(const Arguments& arguments, Screen& screen) {
  if (arguments.dry_run) return preview(arguments, screen);
  report::ObserverOptions look;
  look.verbose = arguments.verbose;
  look.quiet = arguments.quiet;
  look.color = report::wants_color(1);
  look.outputs_command = arguments.same_project("outputs");
  look.status_command = arguments.same_project("status");
  const auto observer = report::make_observer(mode_of(arguments), std::move(look));

  orchestrator::RunOptions options;
  options.project = project_options(arguments);
  options.max_parallel = arguments.max_parallel;
  options.fail_fast = arguments.fail_fast;
  options.selection = selection(arguments);
  options.force = arguments.force;
  options.resume = arguments.resume;
  options.command = arguments.line;
  const auto code = orchestrator::run(options, *observer);
  return code ? *code : refuse(screen, arguments, code.error());
}

}  // namespace pf::cli
