#include "iac/passphrase.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "base/digest.h"

namespace pf::iac {
namespace {

constexpr int kIterations = 1'000'000;
constexpr size_t kSaltBytes = 8;
constexpr std::string_view kVersion = "v1:";
constexpr std::string_view kCheckWord = "pulumi";

bool derive(std::string_view passphrase, std::string_view salt, AeadKey& key) {
  return PKCS5_PBKDF2_HMAC(passphrase.data(), static_cast<int>(passphrase.size()),
                           reinterpret_cast<const uint8_t*>(salt.data()), static_cast<int>(salt.size()),
                           kIterations, EVP_sha256(), static_cast<int>(key.size()), key.data()) == 1;
}

tl::unexpected<Error> no_salt(const std::string& what) {
  return refuse("stack.salt", "the salt of the stack's secrets is unusable: " + what,
                "restore the stack's file from a backup; without its salt its secrets cannot be read");
}

tl::unexpected<Error> no_cipher(const std::string& what) {
  return refuse("stack.cipher", "a secret of the stack cannot be read: " + what,
                "restore the stack's file from a backup, or set the secret again");
}

}  // namespace

PassphraseKey::~PassphraseKey() { OPENSSL_cleanse(key_.data(), key_.size()); }

Result<std::shared_ptr<const PassphraseKey>> PassphraseKey::open(std::string_view passphrase,
                                                                 const std::string& salt) {
  const size_t end = salt.starts_with(kVersion) ? salt.find(':', kVersion.size()) : std::string::npos;
  if (end == std::string::npos) return no_salt("it is not `v1:SALT:v1:NONCE:TEXT`");
  const auto bytes = base64_decode(salt.substr(kVersion.size(), end - kVersion.size()));
  if (!bytes || bytes->empty()) return no_salt("its bytes are no base64");
  std::shared_ptr<PassphraseKey> out(new PassphraseKey);
  if (!derive(passphrase, *bytes, out->key_)) return no_salt("OpenSSL cannot derive a key with PBKDF2");
  const auto word = out->decrypt(std::string_view(salt).substr(end + 1));
  if (!word || *word != kCheckWord) {
    return refuse("stack.passphrase",
                  "the passphrase is not the one that the stack's secrets were encrypted with",
                  "set PULUMI_CONFIG_PASSPHRASE, or PANGEO_FORGE_PASSPHRASE, to that one");
  }
  out->salt_ = salt;
  return out;
}

Result<std::shared_ptr<const PassphraseKey>> PassphraseKey::make(std::string_view passphrase) {
  std::string bytes(kSaltBytes, '\0');
  std::shared_ptr<PassphraseKey> out(new PassphraseKey);
  if (RAND_bytes(reinterpret_cast<uint8_t*>(bytes.data()), kSaltBytes) != 1 ||
      !derive(passphrase, bytes, out->key_))
    return no_salt("OpenSSL cannot derive a key with PBKDF2");
  const auto word = out->encrypt(kCheckWord);
  if (!word) return tl::unexpected(word.error());
  out->salt_ = std::string(kVersion) + base64_encode(bytes) + ':' + *word;
  return out;
}

Result<std::string> PassphraseKey::encrypt(std::string_view plain) const {
  const auto sealed = aead_seal(key_, {}, plain);
  if (!sealed) return no_cipher("OpenSSL cannot encrypt with AES-256-GCM");
  return std::string(kVersion) + base64_encode(sealed->substr(0, kAeadNonce)) + ':' +
         base64_encode(sealed->substr(kAeadNonce));
}

Result<std::string> PassphraseKey::decrypt(std::string_view text) const {
  if (!text.starts_with(kVersion)) return no_cipher("it is not `v1:NONCE:TEXT`");
  text.remove_prefix(kVersion.size());
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos) return no_cipher("it is not `v1:NONCE:TEXT`");
  const auto nonce = base64_decode(text.substr(0, colon));
  const auto rest = base64_decode(text.substr(colon + 1));
  if (!nonce || !rest) return no_cipher("it is no base64");
  if (nonce->size() != kAeadNonce)
    return no_cipher("its nonce has " + std::to_string(nonce->size()) + " bytes");
  auto plain = aead_open(key_, {}, *nonce + *rest);
  if (!plain) return no_cipher("it was changed, or encrypted with another key");
  return std::move(*plain);
}

}  // namespace pf::iac
