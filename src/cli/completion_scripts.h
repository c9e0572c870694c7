// Scripts that let shells complete our command lines, from the table of commands. Thread-safe: no state.
#pragma once

#include <string>

namespace pf::cli {

/// bash 4.2 or later, with or without the bash-completion package.
std::string bash_completion();
std::string zsh_completion();
std::string fish_completion();

}  // namespace pf::cli
