// What GitHub Actions reads in the output of a step: its workflow commands
// (https://docs.github.com/actions/reference/workflow-commands-for-github-actions) and the summary of a job.
// Thread-safe: no state but the environment.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "orchestrator/events.h"
#include "report/observer.h"

namespace pf::report {

/// Whether we run in a step of GitHub Actions (GITHUB_ACTIONS=true).
bool in_github_actions();

/// The text of a command: `%`, CR and LF escaped, as @actions/toolkit has it.
std::string command_data(std::string_view text);
/// The value of a command's property: `:` and `,` as well.
std::string command_property(std::string_view text);

/// `::error file=…,line=…,col=…,title=…::MESSAGE [CODE]` with the hint on a line of its own. A file below
/// GITHUB_WORKSPACE is named from there.
void append_annotation(std::string& out, const Error& error, std::string_view title);
/// `lines` in a group that can be folded.
void append_group(std::string& out, std::string_view title, std::string_view lines);

/// Text that gathered with the two above, as it may be printed: only their commands are commands, and lines
/// of others that look like one are changed so that they do not (`::` becomes `: :`, `##[` becomes `# #[`).
std::string guarded(std::string_view text);

/// Appends a table of the run to the file of the job's summary (GITHUB_STEP_SUMMARY) when it ends. A file
/// that cannot be written is told of as an error of the run, through `tell`; it changes nothing else.
std::unique_ptr<orchestrator::Observer> make_step_summary(std::string file, orchestrator::Observer& tell);
/// What it appends.
std::string step_summary(const Tally& tally, const orchestrator::RunFinished& event);

}  // namespace pf::report
