#include "base/digest.h"

// The low-level interface pulls a few kilobytes out of libcrypto.a; EVP would pull its providers into every
// start-up.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include <algorithm>
#include <cstring>
#include <new>

namespace pf {

static_assert(sizeof(SHA256_CTX) <= 128);

Sha256::Sha256() { SHA256_Init(new (state_) SHA256_CTX); }
void Sha256::update(std::string_view data) {
  SHA256_Update(reinterpret_cast<SHA256_CTX*>(state_), data.data(), data.size());
}
std::array<uint8_t, 32> Sha256::finish() {
  std::array<uint8_t, 32> out;
  SHA256_Final(out.data(), reinterpret_cast<SHA256_CTX*>(state_));
  return out;
}

std::array<uint8_t, 32> sha256(std::string_view data) {
  Sha256 h;
  h.update(data);
  return h.finish();
}

std::string to_hex(std::string_view data) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(data.size() * 2);
  for (char c : data) {
    out += kDigits[static_cast<uint8_t>(c) >> 4];
    out += kDigits[static_cast<uint8_t>(c) & 15];
  }
  return out;
}

std::string sha256_hex(std::string_view data) {
  auto d = sha256(data);
  return to_hex({reinterpret_cast<const char*>(d.data()), d.size()});
}

std::string hmac_sha256_hex(std::string_view key, std::string_view text) {
  std::array<char, 64> inner{};
  std::array<uint8_t, 32> hashed;
  if (key.size() > inner.size()) {
    hashed = sha256(key);
    key = {reinterpret_cast<const char*>(hashed.data()), hashed.size()};
  }
  std::copy(key.begin(), key.end(), inner.begin());
  auto outer = inner;
  for (char& c : inner) c = static_cast<char>(c ^ 0x36);
  for (char& c : outer) c = static_cast<char>(c ^ 0x5c);
  Sha256 first;
  first.update({inner.data(), inner.size()});
  first.update(text);
  const auto middle = first.finish();
  Sha256 second;
  second.update({outer.data(), outer.size()});
  second.update({reinterpret_cast<const char*>(middle.data()), middle.size()});
  const auto digest = second.finish();
  return to_hex({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

namespace {
constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
}

std::string base64_encode(std::string_view data) {
  std::string out;
  out.reserve((data.size() + 2) / 3 * 4);
  for (size_t i = 0; i < data.size(); i += 3) {
    uint32_t group = 0;
    const size_t have = std::min<size_t>(3, data.size() - i);
    for (size_t k = 0; k < 3; ++k) group = group << 8 | (k < have ? static_cast<uint8_t>(data[i + k]) : 0U);
    for (size_t k = 0; k < 4; ++k) out += k <= have ? kAlphabet[group >> (18 - 6 * k) & 63] : '=';
  }
  return out;
}

Result<std::string> base64_decode(std::string_view text) {
  std::string out;
  size_t size = text.size();
  for (int i = 0; i < 2 && size > 0 && size % 4 != 1 && text[size - 1] == '='; ++i) --size;
  auto invalid = [&](size_t at) {
    return refuse("base64.invalid", "not base64 at byte " + std::to_string(at),
                  "expected A-Z a-z 0-9 + / and padding at the end only");
  };
  if (size % 4 == 1 || (size != text.size() && text.size() % 4 != 0)) return invalid(size);
  uint32_t group = 0;
  int bits = 0;
  for (size_t i = 0; i < size; ++i) {
    const char* at = text[i] != '\0' ? std::strchr(kAlphabet, text[i]) : nullptr;
    if (at == nullptr) return invalid(i);
    group = (group << 6 | static_cast<uint32_t>(at - kAlphabet)) & 0xffffff;
    if ((bits += 6) >= 8) out += static_cast<char>(group >> (bits -= 8));
  }
  return out;
}

}  // namespace pf
