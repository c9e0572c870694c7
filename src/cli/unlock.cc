#include "base/json.h"
#include "cli/commands.h"
#include "cli/project.h"
#include "report/visible.h"
#include "state/store.h"

namespace pf::cli {

int unlock(const Arguments& arguments, Screen& screen) {
  const auto located = locate(arguments);
  if (!located) return refuse(screen, arguments, located.error());
  const auto holder = state::Lock::held_by(located->state_folder);
  const std::string folder = located->state_folder.string();
  if (holder) {
    return refuse(screen, arguments,
                  pf::fail("state.locked", "the state folder " + folder + " is in use by " + *holder,
                           "its lock ends with that process, and with nothing else: wait for it, or end it "
                           "(Ctrl-C where it runs, or kill with its pid)")
                      .value());
  }
  if (arguments.json()) {
    screen.text() += to_json_text(Json{{"state_folder", folder}, {"held", false}}) + '\n';
  } else if (!arguments.quiet) {
    screen.text() +=
        "nobody holds the state folder " + report::visible(folder) +
        ": there is nothing to unlock. Its lock ends with the process that holds it, also when that "
        "is killed\n";
  }
  return 0;
}

}  // namespace pf::cli
