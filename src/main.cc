// The program: parse, dispatch, exit code.
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/screen.h"

int main(int argc, char** argv) {
  pf::cli::prepare_process();
  pf::cli::Screen screen;
  const auto line = pf::cli::parse(argc, argv);
  const int code =
      line.arguments ? pf::cli::dispatch(*line.arguments, screen) : pf::cli::not_a_command(line, screen);
  return pf::cli::finish(screen, code);
}
