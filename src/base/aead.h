// Authenticated encryption: AES-256-GCM (NIST SP 800-38D, OpenSSL's), 12 bytes of nonce, 16 of tag.
// Thread-safe: no shared state.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pf {

inline constexpr size_t kAeadNonce = 12;
inline constexpr size_t kAeadTag = 16;
using AeadKey = std::array<uint8_t, 32>;

/// Nonce (random), cipher text and tag, one after the other; `with` is authenticated with it and not part of
/// it. Nothing where OpenSSL fails or `plain` has 2 GiB or more.
std::optional<std::string> aead_seal(const AeadKey& key, std::string_view with, std::string_view plain);
/// Nothing where `sealed` is not what aead_seal() made under this key and `with`.
std::optional<std::string> aead_open(const AeadKey& key, std::string_view with, std::string_view sealed);

}  // namespace pf
