// Where secrets come from, as core.secrets has it, and the vault that keeps secret outputs. Belongs to the
// loop's thread.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "api/secrets.h"
#include "base/error.h"
#include "pipeline/pipeline.h"
#include "state/vault.h"

namespace pf::orchestrator {

/// The value of a source, without its last line break. Errors `secret.missing`, `command.*`, `file.*`,
/// `os.*`, with the place where it is written.
Result<std::string> read_source(const pipeline::Pipeline& pipeline, const pipeline::SecretSource& source);

/// Tells `secrets` where the values of core.secrets come from.
void set_sources(const pipeline::Pipeline& pipeline, api::Secrets& secrets);

/// The vault, opened when first needed: deriving its key takes 0.1 s.
class Keeper {
 public:
  /// `passphrase` of core.secrets, else the environment's; empty: there is none. Errors as of read_source.
  static Result<std::string> passphrase(const pipeline::Pipeline& pipeline);

  Keeper(std::filesystem::path state_folder, std::string passphrase)
      : folder_(std::move(state_folder)), passphrase_(std::move(passphrase)) {}
  bool can_keep() const { return !passphrase_.empty(); }
  /// Opens it now. Errors as of Vault::open.
  Result<void> open();
  Result<std::string> seal(std::string_view address, std::string_view plain);
  Result<std::string> unseal(std::string_view address, std::string_view sealed);

 private:
  std::filesystem::path folder_;
  std::string passphrase_;
  std::optional<state::Vault> vault_;
};

}  // namespace pf::orchestrator
