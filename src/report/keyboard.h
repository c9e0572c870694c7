// Keys that are typed while the live view shows. Belongs to the thread of the run's loop.
#pragma once

#include <memory>
#include <string>

namespace pf::report {

/// Where the live view's keys come from.
class Keys {
 public:
  virtual ~Keys() = default;
  /// Takes the terminal. Not before a run handles SIGINT: it would end us with the terminal changed.
  virtual void open() = 0;
  /// What was typed since the last call, as the terminal sends it; never waits.
  virtual std::string take() = 0;
  /// Whether the screen is ours to draw on: false while a shell has put us into the background.
  virtual bool foreground() = 0;
  /// True once after we were stopped and went on: what is on the screen is not ours any more.
  virtual bool resumed() = 0;
  /// Puts the terminal back as it was; nothing is read afterwards.
  virtual void close() = 0;
};

/// Reads a terminal without line editing and echo (signals by key stay) from open() until close();
/// where `fd` is no terminal nothing is ever typed. The terminal is put back also when a signal ends or stops
/// the process (SIGTSTP, SIGHUP, SIGQUIT and those of a crash; SIGINT and SIGTERM end a run in order), and
/// taken again when it goes on. One at a time: it holds these signals' handlers.
std::shared_ptr<Keys> open_terminal_keys(int fd);

/// Puts the terminal back as it was. Async-signal-safe; for who ends the process without any destructor.
void restore_terminal();

}  // namespace pf::report
