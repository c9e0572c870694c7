#include "report/observer.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>

namespace pf::report {

bool can_redraw(int fd) {
  const char* term = std::getenv("TERM");
  return ::isatty(fd) == 1 && term != nullptr && *term != '\0' && std::string_view(term) != "dumb";
}

bool wants_color(int fd) {
  const char* no = std::getenv("NO_COLOR");
  return can_redraw(fd) && (no == nullptr || *no == '\0');
}

Size terminal_size(int fd) {
  winsize size{};
  if (::ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) return {};
  return {size.ws_col, size.ws_row};
}

std::unique_ptr<orchestrator::Observer> make_observer(Mode mode, ObserverOptions options) {
  if (options.clock == nullptr) options.clock = &Clock::system();
  if (!options.size) options.size = [fd = options.fd] { return terminal_size(fd); };
  switch (mode) {
    case Mode::json: return make_json_observer(std::move(options));
    case Mode::live: return make_live_observer(std::move(options));
    case Mode::lines: break;
  }
  return make_line_observer(std::move(options));
}

}  // namespace pf::report
