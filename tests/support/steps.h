// A project for tests of the orchestrator: its extension `t` does what each instance's configuration says,
// and counts how often it was executed.
#pragma once

#include <string>
#include <vector>

#include "support/pipelines.h"

namespace pf::test {

/// The configuration of an instance of `t`, all of it optional: `value` (anything; becomes the output
/// `value`); `wait` (from this execution on it waits to be let go, or for ever); `failures` (how many
/// executions fail, with `says` as their error's text); `spin` (an endless loop). Each execution logs
/// `executing`, and where it succeeds `done`; and puts out its number as `ran`.
class Steps : public Project {
 public:
  Steps();
  /// Options of `run p.yaml --format json MORE…`, for a Process.
  Process::Options running(const std::string& yaml, std::vector<std::string> more = {},
                           std::map<std::string, std::string> environment = {}) const;
  RunResult run(const std::string& yaml, std::vector<std::string> more = {}) const;
  /// Ends the waiting of `t.NAME`, now and in later executions.
  void let_go(const std::string& name) const;
  /// Of all that were executed so far.
  void let_all_go() const;
  /// How often `t.NAME` was executed.
  int executed(const std::string& name) const;
};

/// What a run said that has ended.
RunResult told(Output output);
/// For Process::wait_for: whether each of these was printed, `EVENT type.name` (`log type.name`: it
/// executes); the same twice: two of them.
std::function<bool(const std::string&)> seen(std::vector<std::string> events);
/// Events of a name, in order, as `FIELD` of each.
std::vector<Json> each(const RunResult& run, const std::string& event, const std::string& field);
/// `type.name attempt` of each instance_started.
std::vector<std::string> starts(const RunResult& run);
/// How many of these instances (none named: of all) executed side by side; where none fails.
int most_at_once(const RunResult& run, const std::vector<std::string>& instances = {});
/// `type.name result` of each instance, in the order of their names.
std::vector<std::string> results(const RunResult& run);

}  // namespace pf::test
