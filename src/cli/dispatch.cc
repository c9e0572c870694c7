#include "cli/commands.h"

namespace pf::cli {

int not_a_command(const CommandLine& line, Screen& screen) {
  if (line.error) return refuse(screen, line.json, Errors{*line.error});
  screen.text() += line.help;
  return 0;
}

int dispatch(const Arguments& arguments, Screen& screen) {
  apply_log_level(arguments);
  switch (arguments.command) {
    case Command::run: return run(arguments, screen);
    case Command::validate: return validate(arguments, screen);
    case Command::preview: return preview(arguments, screen);
    case Command::why: return why(arguments, screen);
    case Command::outputs: return outputs(arguments, screen);
    case Command::status: return status(arguments, screen);
    case Command::logs: return logs(arguments, screen);
    case Command::runs_list: return runs_list(arguments, screen);
    case Command::runs_show: return runs_show(arguments, screen);
    case Command::runs_diff: return runs_diff(arguments, screen);
    case Command::runs_prune: return runs_prune(arguments, screen);
    case Command::runs_export: return runs_export(arguments, screen);
    case Command::unlock: return unlock(arguments, screen);
    case Command::graph: return graph(arguments, screen);
    case Command::config: return config(arguments, screen);
    case Command::extension_list: return extension_list(arguments, screen);
    case Command::extension_show: return extension_show(arguments, screen);
    case Command::doctor: return doctor(arguments, screen);
    case Command::completion: return completion(arguments, screen);
    case Command::version: return version(arguments, screen);
  }
  return 3;
}

}  // namespace pf::cli
