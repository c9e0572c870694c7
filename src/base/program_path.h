// Where programs are found: PATH, as this process has it. Thread-safe while nobody changes the environment.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace pf {

/// PATH, or the usual folders where it is not set.
std::string program_path();
/// Whether a path is a regular file that may be executed.
bool is_executable(const std::string& path);
/// The absolute path of a program, by its plain name; relative folders of PATH do not count, for they would
/// be others for each program.
std::optional<std::string> find_program(std::string_view name);

}  // namespace pf
