// Secret outputs at rest: AES-256-GCM (NIST SP 800-38D, OpenSSL's) under a key that scrypt (RFC 7914) makes
// of a passphrase. `<state>/vault.json` (0600) holds what the derivation needs and a check value, never the
// key. A Vault belongs to one owner; its calls may come from any thread, one at a time.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/error.h"

namespace pf::state {

/// The key of one state folder, wiped from memory when it ends.
class Vault {
 public:
  /// What the derivation costs; a new vault has these values, an old one its own.
  struct Cost {
    uint64_t n = 1 << 15;  // a power of two; with r: 32 MiB of memory for the time of the derivation
    uint32_t r = 8;
    uint32_t p = 1;
  };

  /// Derives the key (about 100 ms). Makes `vault.json` where there is none; the caller holds the state
  /// folder's Lock. Errors `state.passphrase` (it is empty, or not the one that the vault was made with),
  /// `state.vault` (vault.json is not what we write), `state.read_only`, `state.full`, `os.*`.
  static Result<Vault> open(const std::filesystem::path& state_folder, std::string_view passphrase);
  static Result<Vault> open(const std::filesystem::path& state_folder, std::string_view passphrase,
                            const Cost& cost);
  /// The same, but makes nothing: error `state.vault` where there is no vault.json.
  static Result<Vault> open_existing(const std::filesystem::path& state_folder, std::string_view passphrase);

  Vault(Vault&& other) noexcept;
  Vault& operator=(Vault&& other) noexcept;
  ~Vault();

  /// Encrypts for one address: a version byte, 12 random bytes, the cipher text, 16 bytes of tag. Two calls
  /// never give the same. Error `state.vault` where OpenSSL fails.
  Result<std::string> seal(std::string_view address, std::string_view plain) const;
  /// Error `state.vault` where `sealed` is not what seal() made for this address under this key.
  Result<std::string> unseal(std::string_view address, std::string_view sealed) const;

 private:
  Vault() = default;
  static Result<Vault> read(const std::filesystem::path& file, std::string_view passphrase);
  static Result<Vault> make(const std::filesystem::path& file, std::string_view passphrase, const Cost& cost);

  std::array<uint8_t, 32> key_{};
};

/// The passphrase that the environment gives: PANGEO_FORGE_PASSPHRASE, else PULUMI_CONFIG_PASSPHRASE, else
/// the content of the file that PULUMI_CONFIG_PASSPHRASE_FILE names (without its last line break); empty
/// where none is set. Errors `os.*`, `file.*` where the file cannot be read.
Result<std::string> passphrase_of_environment();

}  // namespace pf::state
