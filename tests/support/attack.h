// Attacks by instances of the extension `attack`, beside well-behaved instances of it and of another one, by
// the real program. Made for one test; its thread only.
#pragma once

#include <map>
#include <string>

#include "support/pipelines.h"

namespace pf::test {

/// What the attackers are, and what they get.
struct Attack {
  std::map<std::string, std::string>
      bodies;            // of execute, by the instance's name; `config`, `outputs`, `forge`
  std::string manifest;  // added to extension.yaml
  std::string keys;      // of each attacking instance, as `, key: value`
  std::string models;    // models.lua; `config` is then what `keys` give
  std::map<std::string, std::string> environment;
  uint64_t processes = 0;  // that the user may have
};

/// Runs them all at once. The failures of the test: a well-behaved instance (`attack.good`, `quiet.a` to
/// `quiet.c`) that did not succeed, an exit code that is none of a finished run, a process that is left.
RunResult run_attack(const Project& project, const Attack& attack);
/// The same with one attacker, `attack.bad`.
RunResult run_attack(const Project& project, const std::string& body, const std::string& manifest = "",
                     const std::string& keys = "");

/// Lua that runs a Python program: `forge.process.run(…)` with it, its further arguments and options.
/// The extension needs `python3` in `programs`.
std::string python(const std::string& script, const std::string& options = "{}",
                   const std::string& arguments = "");

}  // namespace pf::test
