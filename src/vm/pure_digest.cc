// digest, hex, base64, uuid.
#include <sys/random.h>

#include <cerrno>

#include "base/digest.h"
#include "vm/digests.h"
#include "vm/pure.h"

namespace pf::vm {
namespace {

/// digest.NAME(text)
template <std::string (*digest)(std::string_view)>
int digest_call(lua_State* L) {
  checked_call(L);
  return scratch_call(L, [&](Machine& m) {
    m.scratch = digest(text_argument(L, 1));
    return true;
  });
}

int hmac_call(lua_State* L) {
  checked_call(L);
  return scratch_call(L, [&](Machine& m) {
    m.scratch = hmac_sha256_hex(text_argument(L, 1), text_argument(L, 2));
    return true;
  });
}

/// machine.scratch or machine.error of a result.
bool keep(Machine& m, Result<std::string> result) {
  if (result)
    m.scratch = std::move(*result);
  else
    m.error = std::move(result.error());
  return result.has_value();
}

int hex_decode(lua_State* L) {
  checked_call(L);
  return scratch_call(L, [&](Machine& m) { return keep(m, from_hex(text_argument(L, 1))); });
}

int base64_encode_call(lua_State* L) {
  checked_call(L);
  const bool url = flag(L, 2, "url");
  return scratch_call(L, [&](Machine& m) {
    m.scratch = url ? base64url_encode(text_argument(L, 1)) : base64_encode(text_argument(L, 1));
    return true;
  });
}

int base64_decode_call(lua_State* L) {
  checked_call(L);
  const bool url = flag(L, 2, "url");
  return scratch_call(L, [&](Machine& m) {
    return keep(m, url ? base64url_decode(text_argument(L, 1)) : base64_decode(text_argument(L, 1)));
  });
}

int uuid_call(lua_State* L) {
  checked_call(L);
  return scratch_call(L, [&](Machine& m) {
    unsigned char random[16];
    ssize_t drawn = 0;
    while ((drawn = getrandom(random, sizeof random, 0)) < 0 && errno == EINTR) {
    }
    if (drawn != static_cast<ssize_t>(sizeof random)) {
      m.error = system_error("getrandom", errno);
      return false;
    }
    m.scratch = uuid4(random);
    return true;
  });
}

constexpr PureCall kCalls[] = {
    {"digest.md5", digest_call<md5_hex>},
    {"digest.sha1", digest_call<sha1_hex>},
    {"digest.sha256", digest_call<sha256_hex>},
    {"digest.sha512", digest_call<sha512_hex>},
    {"digest.hmac_sha256", hmac_call},
    {"hex.encode", digest_call<to_hex>},
    {"hex.decode", hex_decode},
    {"base64.encode", base64_encode_call},
    {"base64.decode", base64_decode_call},
    {"uuid", uuid_call},
};

}  // namespace

std::span<const PureCall> digest_calls() { return kCalls; }

}  // namespace pf::vm
