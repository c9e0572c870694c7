#include "cli/screen.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <iostream>
#include <string>

#include "base/clock.h"
#include "base/log.h"
#include "orchestrator/run.h"
#include "report/github.h"
#include "report/messages.h"
#include "report/observer.h"
#include "report/visible.h"

namespace pf::cli {

void prepare_process() {
  std::signal(SIGPIPE, SIG_IGN);
  // A file opened later must not become stdout, where text would be written into it.
  for (int fd = 0; fd <= 2; ++fd) {
    if (::fcntl(fd, F_GETFD) == -1 && errno == EBADF) (void)!::open("/dev/null", O_RDWR);
  }
}

void apply_log_level(const Arguments& arguments) {
  using log::Level;
  if (arguments.log_level == "debug") log::set_level(Level::debug);
  if (arguments.log_level == "info") log::set_level(Level::info);
  if (arguments.log_level == "warn") log::set_level(Level::warn);
  if (arguments.log_level == "error") log::set_level(Level::error);
  if (arguments.log_level == "off") log::set_level(Level::off);
  if (!arguments.log_level.empty()) return;
  // `run -v` is about what extensions say, and a log line would tear its live view.
  if (arguments.quiet) log::set_level(Level::error);
  if (arguments.verbose && arguments.command != Command::run) log::set_level(Level::info);
}

size_t line_width() {
  constexpr size_t kNoTerminal = 100;
  if (::isatty(1) != 1) return kNoTerminal;
  return std::max<size_t>(report::terminal_size(1).columns, 40);
}

int exit_code_of(const Errors& errors) {
  const auto begins = [&](const Error& error, std::string_view prefix) {
    return error.code.rfind(prefix, 0) == 0;
  };
  const auto any = [&](auto test) { return std::any_of(errors.begin(), errors.end(), test); };
  if (any([](const Error& error) { return error.code == "state.locked"; })) return orchestrator::kLocked;
  const bool machine = any([&](const Error& error) {
    return begins(error, "state.") || begins(error, "os.") || begins(error, "worker.") ||
           begins(error, "sandbox.");
  });
  return machine ? orchestrator::kInstanceFailed : orchestrator::kInvalidInput;
}

int refuse(Screen& screen, bool json, const Errors& errors) {
  if (json) {
    for (const Error& error : errors)
      report::append_error_event(screen.text(), error, Clock::system().wall());
  } else {
    std::string text;
    for (const Error& error : errors) {
      report::append_error(text, error, 0, true);
      if (report::in_github_actions()) report::append_annotation(text, error, "Refused");
    }
    screen.err.text() += report::in_github_actions() ? report::guarded(text) : text;
    if (errors.size() > 1) screen.err.text() += report::count_of(errors.size(), "error") + '\n';
  }
  return exit_code_of(errors);
}

int refuse(Screen& screen, const Arguments& arguments, const Errors& errors) {
  return refuse(screen, arguments.json(), errors);
}

int refuse(Screen& screen, const Arguments& arguments, const Error& error) {
  return refuse(screen, arguments.json(), Errors{error});
}

bool can_ask() { return ::isatty(0) == 1 && ::isatty(2) == 1; }

bool answers_yes(std::string_view question) {
  std::cerr << question << "? Only `yes` is taken: " << std::flush;
  std::string answer;
  return std::getline(std::cin, answer) && answer == "yes";
}

int finish(Screen& screen, int code) {
  screen.out.flush();
  const int failure = screen.out.failure();
  if (failure != 0 && failure != EPIPE) {
    screen.err.text() +=
        std::string("cannot write the output: ") + std::strerror(failure) + " [output.write]\n";
    if (code == 0) code = 1;
  }
  screen.err.flush();
  return code;
}

}  // namespace pf::cli
