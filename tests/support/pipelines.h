// Pipelines and extensions written on the spot, run by the real program.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "support/program.h"

namespace pf::test {

/// A project folder: extensions in `extensions/`, the pipeline file `p.yaml`.
class Project : public Folder {
 public:
  Project() = default;
  /// Its commands run as this user, who is given the folder; 0: as ourselves.
  explicit Project(uid_t user) : user_(user) {}
  /// A package `extensions/NAME` with this extension.lua; `manifest` is added to its extension.yaml, `models`
  /// is models.lua where not empty.
  void extension(const std::string& name, const std::string& lua, const std::string& manifest = "",
                 const std::string& models = "") const;
  /// `pangeo-forge ARGS…` in the folder.
  Output forge(std::vector<std::string> args, std::map<std::string, std::string> environment = {}) const;
  Process::Options command(std::vector<std::string> args) const;

 private:
  uid_t user_ = 0;
};

/// The JSON lines of a text; a line that is no JSON fails the test.
std::vector<Json> events(const std::string& out);
/// The last event of a name, or null.
Json last(const std::vector<Json>& events, const std::string& name);

/// What `run p.yaml --format json` said in the end.
struct RunResult {
  Output output;
  std::vector<Json> all;
  Json finished;                                          // the run_finished event
  std::vector<std::string> left;                          // what ran on after it, see support/leftovers.h
  std::string result(const std::string& instance) const;  // of one instance; empty when there is none
  Json outputs(const std::string& instance) const;
  std::string error_code(const std::string& instance) const;
  std::string error_message(const std::string& instance) const;
};
RunResult run_pipeline(const Project& project, const std::string& yaml, std::vector<std::string> more = {},
                       std::map<std::string, std::string> environment = {}, uint64_t processes = 0);

/// An extension.lua whose execute has this body; `config`, `outputs`, `forge` are at hand.
std::string execute(const std::string& body);

}  // namespace pf::test
