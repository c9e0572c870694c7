// Digests of whole texts, HMAC, and the texts that bytes are written as: what the pure calls need beyond
// base/digest.h. Thread-safe: no state.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace pf::vm {

/// Lower-case hexadecimal digits. MD5 (RFC 1321) and SHA-1 protect nothing: they are for comparing with what
/// others give.
std::string md5_hex(std::string_view data);
std::string sha1_hex(std::string_view data);
std::string sha512_hex(std::string_view data);

/// Digits of either case; error `hex.invalid` names the offset.
Result<std::string> from_hex(std::string_view text);

/// Base64url (RFC 4648, section 5), without padding.
std::string base64url_encode(std::string_view data);
/// With or without padding; error `base64.invalid` names the offset.
Result<std::string> base64url_decode(std::string_view text);

/// A random UUID (RFC 9562, version 4) of these 16 bytes.
std::string uuid4(const unsigned char (&random)[16]);

}  // namespace pf::vm
