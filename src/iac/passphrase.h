// Secrets in state files under a passphrase, as Pulumi's CLI keeps them: PBKDF2-HMAC-SHA256 (RFC 8018) with
// 1,000,000 iterations over 8 bytes of salt, then AES-256-GCM without associated data. Texts are
// `v1:<base64 nonce>:<base64 cipher text and tag>`; the salt's own text is `v1:<base64 salt>:` and the text
// of the word `pulumi` (pulumi/pulumi, pkg/secrets/passphrase and sdk/go/common/resource/config/crypt.go).
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/aead.h"
#include "base/error.h"

namespace pf::iac {

/// The key that one passphrase and one salt make, wiped from memory when the last copy ends. Thread-safe.
class PassphraseKey {
 public:
  /// Derives the key for a salt that a state file or `Pulumi.<stack>.yaml` holds: about 0.2 s, so off the
  /// loop's thread. An empty passphrase is one, too. Errors `stack.salt` (the text is none),
  /// `stack.passphrase` (it is not the one that the salt was made with).
  static Result<std::shared_ptr<const PassphraseKey>> open(std::string_view passphrase,
                                                           const std::string& salt);
  /// The same with a salt of its own.
  static Result<std::shared_ptr<const PassphraseKey>> make(std::string_view passphrase);

  PassphraseKey(const PassphraseKey&) = delete;
  ~PassphraseKey();

  /// The salt's text, for state files.
  const std::string& salt() const { return salt_; }
  /// Never the same text twice. Error `stack.cipher` where OpenSSL fails.
  Result<std::string> encrypt(std::string_view plain) const;
  /// Error `stack.cipher`: it is no such text, or of another key.
  Result<std::string> decrypt(std::string_view text) const;

 private:
  PassphraseKey() = default;

  AeadKey key_{};
  std::string salt_;
};

}  // namespace pf::iac
