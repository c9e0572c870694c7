
#include "cli/commands.h"
#include "cli/project.h"
#include "orchestrator/run.h"
#include "report/observer.h"
#include "report/visible.h"

namespace pf::cli {
namespace {

constexpr size_t kListed = 50;  // addresses that the question names

bool confirmed(const std::vector<std::string>& addresses) {
  std::string question;
  for (size_t i = 0; i < addresses.size() && i < kListed; ++i) {
    question += "  " + report::visible(addresses[i]) + '\n';
  }
  if (addresses.size() > kListed)
    question += "  and " + std::to_string(addresses.size() - kListed) + " more\n";
  return answers_yes(question + (addresses.size() == 1 ? "Destroy it" : "Destroy them"));
}

int tear_down(const Arguments& arguments, Screen& screen, state::RunKind kind) {
  const bool destroys = kind == state::RunKind::destroy;
  if (!arguments.yes && destroys && !can_ask()) {
    return refuse(
        screen, arguments,
        pf::refuse("destroy.unconfirmed", "there is no terminal to ask on", "say --yes to go on without")
            .value());
  }
  report::ObserverOptions look;
  look.verbose = arguments.verbose;
  look.quiet = arguments.quiet;
  look.color = report::wants_color(1);
  look.outputs_command = arguments.same_project("outputs");
  look.status_command = arguments.same_project("status");
  const auto observer =
      report::make_observer(arguments.json() ? report::Mode::json : report::Mode::lines, std::move(look));
  orchestrator::RunOptions options;
  options.project = project_options(arguments);
  options.kind = kind;
  options.orphans = arguments.orphans;
  options.selection = selection(arguments);
  options.max_parallel = arguments.max_parallel;
  options.command = arguments.line;
  if (destroys && !arguments.yes) {
    options.confirm = confirmed;
  }
  const auto code = orchestrator::run(options, *observer);
  if (!code) return refuse(screen, arguments, code.error());
  if (*code == orchestrator::kDeclined) {
    if (!arguments.quiet) screen.text() += "nothing was done\n";
    return orchestrator::kInstanceFailed;
  }
  if (*code == orchestrator::kNothingToDo) {
    if (arguments.json())
      screen.text() += "{\"event\":\"nothing_to_do\",\"run\":null}\n";
    else if (!arguments.quiet)
      screen.text() += destroys ? "There is nothing to destroy\n" : "There is nothing to refresh\n";
    return 0;
  }
  return *code;
}

}  // namespace

int destroy(const Arguments& arguments, Screen& screen) {
  return tear_down(arguments, screen, state::RunKind::destroy);
}

int refresh(const Arguments& arguments, Screen& screen) {
  return tear_down(arguments, screen, state::RunKind::refresh);
}

}  // namespace pf::cli
