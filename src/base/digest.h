// SHA-256 (FIPS 180-4, OpenSSL's) and base64 (RFC 4648). Thread-safe: no shared state.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "base/error.h"

namespace pf {

std::array<uint8_t, 32> sha256(std::string_view data);
/// 64 lower-case hexadecimal digits.
std::string sha256_hex(std::string_view data);
std::string to_hex(std::string_view data);

/// RFC 2104 with SHA-256, in lower-case hexadecimal digits.
std::string hmac_sha256_hex(std::string_view key, std::string_view text);

/// Incremental SHA-256 for what is not in memory at once.
class Sha256 {
 public:
  Sha256();
  void update(std::string_view data);
  std::array<uint8_t, 32> finish();

 private:
  alignas(8) unsigned char state_[128];
};

std::string base64_encode(std::string_view data);
/// Standard alphabet, with or without padding, no white space; error `base64.invalid` names the offset.
Result<std::string> base64_decode(std::string_view text);

}  // namespace pf
