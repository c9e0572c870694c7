// What a command prints to, and how it tells of errors. Belongs to the main thread.
#pragma once

#include <string_view>

#include "base/error.h"
#include "cli/command_line.h"
#include "report/sink.h"

namespace pf::cli {

/// The two outputs of a command; flushed by finish().
struct Screen {
  report::Sink out{1};
  report::Sink err{2};

  std::string& text() { return out.text(); }
};

/// Makes the process fit for what follows: descriptors 0 to 2 are open, a reader that goes away ends nothing,
/// the log level is set where it was given.
void prepare_process();
void apply_log_level(const Arguments& arguments);

/// The cells of a line on stdout: the terminal's, or 100.
size_t line_width();

/// Whether there is somebody to ask: stdin and stderr are terminals.
bool can_ask();
/// Asks on stderr; true where exactly `yes` is the answer. `question` ends with what is asked, without its
/// mark.
bool answers_yes(std::string_view question);

/// Prints the errors: as text to stderr, in the order given, then their number; as JSON events to stdout.
/// Returns the exit code that they come to.
int refuse(Screen& screen, bool json, const Errors& errors);
int refuse(Screen& screen, const Arguments& arguments, const Errors& errors);
int refuse(Screen& screen, const Arguments& arguments, const Error& error);
/// 4 where a state folder is held by another process, 1 where the machine or the state is at fault, else 3.
int exit_code_of(const Errors& errors);

/// Flushes. Output that could not be written is a failure of its own, unless nobody reads it any more.
int finish(Screen& screen, int code);

}  // namespace pf::cli
