#include "base/aead.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <memory>

namespace pf {
namespace {

struct FreeContext {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_CIPHER_CTX, FreeContext>;

const uint8_t* bytes(std::string_view text) { return reinterpret_cast<const uint8_t*>(text.data()); }
uint8_t* bytes(std::string& text) { return reinterpret_cast<uint8_t*>(text.data()); }

}  // namespace

std::optional<std::string> aead_seal(const AeadKey& key, std::string_view with, std::string_view plain) {
  if (plain.size() > INT32_MAX) return std::nullopt;
  std::string out(kAeadNonce + plain.size() + kAeadTag, '\0');
  uint8_t* nonce = bytes(out);
  uint8_t* cipher = nonce + kAeadNonce;
  const Context context(EVP_CIPHER_CTX_new());
  int size = 0;
  if (!context || RAND_bytes(nonce, kAeadNonce) != 1 ||
      EVP_EncryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, key.data(), nonce) != 1 ||
      EVP_EncryptUpdate(context.get(), nullptr, &size, bytes(with), static_cast<int>(with.size())) != 1 ||
      EVP_EncryptUpdate(context.get(), cipher, &size, bytes(plain), static_cast<int>(plain.size())) != 1 ||
      EVP_EncryptFinal_ex(context.get(), cipher + size, &size) != 1 ||
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_GET_TAG, kAeadTag, cipher + plain.size()) != 1) {
    return std::nullopt;
  }
  return out;
}

std::optional<std::string> aead_open(const AeadKey& key, std::string_view with, std::string_view sealed) {
  if (sealed.size() < kAeadNonce + kAeadTag || sealed.size() > INT32_MAX) return std::nullopt;
  const std::string_view nonce = sealed.substr(0, kAeadNonce);
  const std::string_view cipher = sealed.substr(kAeadNonce, sealed.size() - kAeadNonce - kAeadTag);
  std::string tag(sealed.substr(sealed.size() - kAeadTag));
  std::string out(cipher.size(), '\0');
  const Context context(EVP_CIPHER_CTX_new());
  int size = 0;
  uint8_t none[16];
  if (!context ||
      EVP_DecryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, key.data(), bytes(nonce)) != 1 ||
      EVP_DecryptUpdate(context.get(), nullptr, &size, bytes(with), static_cast<int>(with.size())) != 1 ||
      EVP_DecryptUpdate(context.get(), bytes(out), &size, bytes(cipher), static_cast<int>(cipher.size())) !=
          1 ||
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_SET_TAG, kAeadTag, tag.data()) != 1 ||
      EVP_DecryptFinal_ex(context.get(), none, &size) != 1) {
    OPENSSL_cleanse(out.data(), out.size());
    return std::nullopt;
  }
  return out;
}

}  // namespace pf
