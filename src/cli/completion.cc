#include "cli/commands.h"
#include "cli/completion_scripts.h"

namespace pf::cli {

int completion(const Arguments& arguments, Screen& screen) {
  if (arguments.operand == "bash") screen.text() += bash_completion();
  if (arguments.operand == "zsh") screen.text() += zsh_completion();
  if (arguments.operand == "fish") screen.text() += fish_completion();
  return 0;
}

}  // namespace pf::cli
