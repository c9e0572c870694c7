// What watches a run: JSON events, one line per event, or a live view. An observer belongs to the thread of
// the run's loop. See docs/interface.md, Events.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "orchestrator/events.h"

namespace pf::report {

class Keys;
class Tally;

enum class Mode : uint8_t {
  json,   // one object a line, for programs
  lines,  // one line an event, for logs
  live,   // a view that redraws in place, for terminals
};

/// A terminal's cells.
struct Size {
  size_t columns = 80;
  size_t rows = 24;
};

struct ObserverOptions {
  int fd = 1;                   // not owned
  bool verbose = false;         // also what extensions log at level debug
  bool quiet = false;           // only failures, and the last line of the summary; JSON: no log and progress
  bool color = false;           // see wants_color
  std::string outputs_command;  // what to type to see all outputs; empty: nothing is suggested
  std::string status_command;   // what to type to see all failures
  std::vector<std::string> written_files;  // reports that are written beside; the summary names them
  bool github = false;                     // lines: for GitHub Actions, see github.h
  std::shared_ptr<Keys> keys;    // live: what is typed while the view shows (keyboard.h); null: nothing
  std::function<Size()> size;    // empty: the terminal behind fd is asked, each time
  const Clock* clock = nullptr;  // null: the system's
};

/// Whether a view that moves the cursor can be shown there: a terminal, and not TERM=dumb.
bool can_redraw(int fd);
/// can_redraw, and NO_COLOR is unset or empty (https://no-color.org).
bool wants_color(int fd);
/// The size of the terminal behind a descriptor, 80 by 24 where it does not know.
Size terminal_size(int fd);

std::unique_ptr<orchestrator::Observer> make_observer(Mode mode, ObserverOptions options);

// The kinds, for make_observer.
std::unique_ptr<orchestrator::Observer> make_json_observer(ObserverOptions options);
std::unique_ptr<orchestrator::Observer> make_line_observer(ObserverOptions options);
std::unique_ptr<orchestrator::Observer> make_live_observer(ObserverOptions options);
/// A line observer that goes on where another view left off.
std::unique_ptr<orchestrator::Observer> make_line_observer(ObserverOptions options, const Tally& so_far);

}  // namespace pf::report
