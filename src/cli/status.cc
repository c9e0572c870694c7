#include "cli/commands.h"
#include "cli/project.h"
#include "report/listing.h"
#include "state/store.h"

namespace pf::cli {
namespace {

// Reads what there is; a folder that no run has used yet is an empty status.
Result<report::Status> read_status(const Arguments& arguments, const Located& located) {
  report::Status status;
  status.pipeline = located.pipeline;
  // Asked before reading: a run that ends in between is then shown as ended rather than as broken off.
  if (auto holder = state::Lock::held_by(located.state_folder)) {
    status.held = true;
    status.holder = std::move(*holder);
  }
  const auto reader = state::Reader::open(located.state_folder);
  if (!reader) {
    if (reader.error().code == "state.none") return status;
    return tl::unexpected(reader.error());
  }
  auto run = (*reader)->last_run(located.pipeline);
  if (!run) return tl::unexpected(run.error());
  status.run = std::move(*run);
  if (!status.run) return status;
  auto instances = (*reader)->instances(status.run->id);
  if (!instances) return tl::unexpected(instances.error());
  status.instances = std::move(*instances);
  auto expansions = (*reader)->expansions(status.run->id);
  if (!expansions) return tl::unexpected(expansions.error());
  for (auto& [address, items] : *expansions) status.expanded.push_back(address);
  if (status.held && status.run->result == state::RunResult::none) {
    // A file that is being changed, and no file at all, only cost the estimate.
    pipeline::LoadOptions load;
    load.file = arguments.file;
    load.pipeline = arguments.pipeline;
    load.profile = status.run->profile;
    load.variables = arguments.variables;
    const auto pipeline = pipeline::load(load);
    const auto latest = (*reader)->latest(located.pipeline);
    if (pipeline && latest)
      status.left = report::time_left(status, *latest, **pipeline, Clock::system().wall());
  }
  return status;
}

}  // namespace

int status(const Arguments& arguments, Screen& screen) {
  const auto located = locate(arguments);
  if (!located) return refuse(screen, arguments, located.error());
  const auto found = read_status(arguments, *located);
  if (!found) return refuse(screen, arguments, found.error());
  if (arguments.json()) {
    report::write_status_json(screen.out, *found);
    return 0;
  }
  report::StatusOptions options;
  options.quiet = arguments.quiet;
  options.verbose = arguments.verbose;
  options.now = Clock::system().wall();
  report::append_status_text(screen.text(), *found, options);
  return 0;
}

}  // namespace pf::cli
