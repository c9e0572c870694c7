// From an instance as it was written to what an attempt gets: expressions evaluated, the result checked
// again, encoded, and as it may be kept. The same for runs and previews. Belongs to the loop's thread.
#pragma once

#include <string>
#include <vector>

#include "api/secrets.h"
#include "orchestrator/history.h"
#include "orchestrator/project.h"

namespace pf::orchestrator {

class Preparation {
 public:
  Preparation(const Project& project, api::Secrets& secrets, pipeline::Outputs& outputs);

  /// Errors `expression.*`, `config.*`, `secret.*`: it cannot run.
  Result<Making> make(uint32_t instance);
  /// Lays a hook's changes over a configuration (a JSON object, merged deeply) and checks the result.
  Result<void> patch(uint32_t instance, const Json& changes, Making& making);
  /// What counts beside the configuration, as JSON text: the package, the stack's name where it is not made
  /// from the instance's (else how it is), the operator's permissions, and `hooks` that may patch it.
  std::string context(uint32_t instance, const std::string& hooks = {}) const;
  /// What holds for an instance: its own key `cache`, else the manifest's.
  pipeline::CachePolicy cache(uint32_t instance) const;
  /// The declared inputs of its extension, as absolute patterns.
  std::vector<std::string> declared_inputs(uint32_t instance, const Making& making) const;

 private:
  Result<void> encode(uint32_t instance, const pipeline::Document& document, Making& making);
  std::string conceal(std::string_view value);
  const Loaded& loaded(uint32_t instance) const {
    return *loaded_[project_.pipeline->instances[instance].section];
  }

  const Project& project_;
  const pipeline::Pipeline& pipeline_;
  api::Secrets& secrets_;
  pipeline::Outputs& outputs_;
  std::vector<const Loaded*> loaded_;  // by section
  std::vector<std::string> contexts_;  // by section, without the end
};

}  // namespace pf::orchestrator
