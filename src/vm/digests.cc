#include "vm/digests.h"

// The low-level interface, as in base/digest.cc: a few kilobytes of libcrypto.a.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/md5.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>

#include "base/digest.h"

namespace pf::vm {
namespace {

const unsigned char* bytes(std::string_view data) {
  return reinterpret_cast<const unsigned char*>(data.data());
}

template <size_t N>
std::string hex(const std::array<unsigned char, N>& digest) {
  return to_hex({reinterpret_cast<const char*>(digest.data()), N});
}

int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::string md5_hex(std::string_view data) {
  std::array<unsigned char, MD5_DIGEST_LENGTH> out;
  MD5_CTX context;
  MD5_Init(&context);
  MD5_Update(&context, data.data(), data.size());
  MD5_Final(out.data(), &context);
  return hex(out);
}

std::string sha1_hex(std::string_view data) {
  std::array<unsigned char, SHA_DIGEST_LENGTH> out;
  SHA_CTX context;
  SHA1_Init(&context);
  SHA1_Update(&context, data.data(), data.size());
  SHA1_Final(out.data(), &context);
  return hex(out);
}

std::string sha512_hex(std::string_view data) {
  std::array<unsigned char, SHA512_DIGEST_LENGTH> out;
  SHA512_CTX context;
  SHA512_Init(&context);
  SHA512_Update(&context, bytes(data), data.size());
  SHA512_Final(out.data(), &context);
  return hex(out);
}

Result<std::string> from_hex(std::string_view text) {
  std::string out;
  out.reserve(text.size() / 2);
  for (size_t i = 0; i < text.size(); ++i) {
    if (digit(text[i]) < 0) {
      return refuse("hex.invalid", "not hexadecimal at byte " + std::to_string(i),
                    "expected 0-9 a-f A-F only");
    }
    if (i % 2 == 1) out += static_cast<char>(digit(text[i - 1]) << 4 | digit(text[i]));
  }
  if (text.size() % 2 != 0) {
    return refuse("hex.invalid", "not hexadecimal: " + std::to_string(text.size()) + " digits",
                  "expected two digits for each byte");
  }
  return out;
}

std::string base64url_encode(std::string_view data) {
  std::string out = base64_encode(data);
  while (!out.empty() && out.back() == '=') out.pop_back();
  std::replace(out.begin(), out.end(), '+', '-');
  std::replace(out.begin(), out.end(), '/', '_');
  return out;
}

Result<std::string> base64url_decode(std::string_view text) {
  std::string standard(text);
  const size_t wrong = text.find_first_of("+/");
  if (wrong == std::string_view::npos) {
    std::replace(standard.begin(), standard.end(), '-', '+');
    std::replace(standard.begin(), standard.end(), '_', '/');
  } else {
    standard.at(wrong) = '!';  // refused below, by its place
  }
  auto out = base64_decode(standard);
  if (!out) out.error().hint = "expected A-Z a-z 0-9 - _ and padding at the end only";
  return out;
}

std::string uuid4(const unsigned char (&random)[16]) {
  std::string digits = to_hex({reinterpret_cast<const char*>(random), sizeof random});
  digits[12] = '4';
  digits[16] = "89ab"[random[8] >> 6];
  for (const size_t at : {20, 16, 12, 8}) digits.insert(at, 1, '-');
  return digits;
}

}  // namespace pf::vm
