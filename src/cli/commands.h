// The commands, one file each. Each prints to the screen and returns the exit code. Main thread.
#pragma once

#include "cli/command_line.h"
#include "cli/screen.h"

namespace pf::cli {

int run(const Arguments& arguments, Screen& screen);
int validate(const Arguments& arguments, Screen& screen);
int preview(const Arguments& arguments, Screen& screen);
int why(const Arguments& arguments, Screen& screen);
int outputs(const Arguments& arguments, Screen& screen);
int status(const Arguments& arguments, Screen& screen);
int logs(const Arguments& arguments, Screen& screen);
int runs_list(const Arguments& arguments, Screen& screen);
int runs_show(const Arguments& arguments, Screen& screen);
int runs_diff(const Arguments& arguments, Screen& screen);
int runs_prune(const Arguments& arguments, Screen& screen);
int runs_export(const Arguments& arguments, Screen& screen);
int unlock(const Arguments& arguments, Screen& screen);
int graph(const Arguments& arguments, Screen& screen);
int config(const Arguments& arguments, Screen& screen);
int extension_list(const Arguments& arguments, Screen& screen);
int extension_show(const Arguments& arguments, Screen& screen);
int doctor(const Arguments& arguments, Screen& screen);
int completion(const Arguments& arguments, Screen& screen);
int version(const Arguments& arguments, Screen& screen);

/// What was typed is help, or wrong.
int not_a_command(const CommandLine& line, Screen& screen);
/// Hands over to the command.
int dispatch(const Arguments& arguments, Screen& screen);

}  // namespace pf::cli
