// The examples of our pages (Markdown): what stands in fenced blocks is written, checked and executed as it
// stands there. Words behind the language say what a block is, which a reader of the rendered page does not
// see:
//
//   ```yaml file=prod.yaml           that file; then `validate` has to take it. With `part`: it is one of
//   several
//                                    files, and not checked by itself. With `run`: it has to run, too
//   ```lua file=hooks/a.lua hook=on_error permissions="{http: [example.org]}"
//                                    that file; a pipeline with this hook has to be valid
//   ```console                       lines that begin with `$ ` are given to a shell, and what follows is
//   what they print.
//                                    `…` alone on a line stands for any lines. `exit=N`: of the last command,
//                                    else all succeed. `setup="COMMAND"` is executed before, and not looked
//                                    at
//
// Run ids, times, durations, ages, digests and amounts of memory are never the same twice: where both sides
// have one, it counts as equal, but a run's id always means the same run. Nothing else is.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "support/pipelines.h"

namespace pf::test {

/// A fenced block.
struct Block {
  int line = 0;  // of its first line of text
  std::string language;
  std::map<std::string, std::string> words;  // behind the language; `run` has an empty value
  std::string section;                       // the heading (`##`) that it is under
  std::string text;
};
std::vector<Block> blocks_of(std::string_view page);

/// One page's examples, in a folder of their own.
class Examples {
 public:
  /// What the examples take to be there is in `setting`, a folder that is copied.
  explicit Examples(const std::filesystem::path& setting);
  /// Does what a block says; what is wrong with it, or nothing. Each section of a page begins without state.
  std::string check(const Block& block);
  const Project& project() const { return project_; }

 private:
  std::string shell(const std::string& command, int& code) const;
  std::string console(const Block& block);

  Project project_;
  std::string section_;
  std::map<std::string, std::string> runs_;  // ids of the page -> those of real runs
};

/// Whether a line that was printed is the one of a page, but for what is never the same twice; `runs` gains
/// the ids that it finds.
bool same_line(std::string_view page, std::string_view printed, std::map<std::string, std::string>& runs);

}  // namespace pf::test
