// Which network addresses are private to a machine or site. Pure, header only: shared by the net module,
// which checks the address that it is about to connect to, and by tests. Thread-safe.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <cstring>

namespace pf::services {

/// True for what the Internet does not route to: the IANA special-purpose registries (RFC 6890) without
/// documentation ranges, and multicast. `address` is in host byte order.
inline bool is_private_v4(uint32_t address) {
  struct Range {
    uint32_t base;
    int bits;
  };
  constexpr Range kRanges[] = {
      {0x00000000, 8},   // 0.0.0.0/8, "this network": Linux connects 0.0.0.0 to loopback
      {0x0a000000, 8},   // 10.0.0.0/8
      {0x64400000, 10},  // 100.64.0.0/10, carrier-grade NAT
      {0x7f000000, 8},   // 127.0.0.0/8, loopback
      {0xa9fe0000, 16},  // 169.254.0.0/16, link-local, cloud metadata
      {0xac100000, 12},  // 172.16.0.0/12
      {0xc0000000, 24},  // 192.0.0.0/24, IETF protocol assignments
      {0xc0a80000, 16},  // 192.168.0.0/16
      {0xc6120000, 15},  // 198.18.0.0/15, benchmarking
      {0xe0000000, 4},   // 224.0.0.0/4, multicast
      {0xf0000000, 4},   // 240.0.0.0/4, reserved, and broadcast
  };
  for (const Range& range : kRanges) {
    if ((address ^ range.base) >> (32 - range.bits) == 0) return true;
  }
  return false;
}

/// The same for IPv6; addresses that carry an IPv4 address are judged by it.
inline bool is_private_v6(const in6_addr& address) {
  const uint8_t* b = address.s6_addr;
  const auto v4_at = [&](int i) {
    return static_cast<uint32_t>(b[i]) << 24 | static_cast<uint32_t>(b[i + 1]) << 16 |
           static_cast<uint32_t>(b[i + 2]) << 8 | static_cast<uint32_t>(b[i + 3]);
  };
  constexpr uint8_t kZero[12] = {};
  constexpr uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  constexpr uint8_t kNat64[12] = {0x00, 0x64, 0xff, 0x9b};
  if (std::memcmp(b, kZero, 12) == 0) return true;  // ::, ::1, and the deprecated IPv4-compatible ones
  if (std::memcmp(b, kMapped, 12) == 0) return is_private_v4(v4_at(12));
  if (std::memcmp(b, kNat64, 12) == 0) return is_private_v4(v4_at(12));
  if (b[0] == 0x00 && b[1] == 0x64 && b[2] == 0xff && b[3] == 0x9b)
    return true;                                                            // 64:ff9b:1::/48, local NAT64
  if (b[0] == 0x20 && b[1] == 0x02) return is_private_v4(v4_at(2));         // 2002::/16, 6to4
  if (b[0] == 0x20 && b[1] == 0x01 && b[2] == 0 && b[3] == 0) return true;  // 2001::/32, Teredo
  if ((b[0] & 0xfe) == 0xfc) return true;                                   // fc00::/7, unique local
  if (b[0] == 0xfe && (b[1] & 0x80) == 0x80) return true;  // fe80::/10 link-local, fec0::/10 site-local
  return b[0] == 0xff;                                     // ff00::/8, multicast
}

/// Anything that is neither IPv4 nor IPv6 is private.
inline bool is_private(const sockaddr* address) {
  if (address->sa_family == AF_INET) {
    sockaddr_in v4;
    std::memcpy(&v4, address, sizeof v4);
    return is_private_v4(ntohl(v4.sin_addr.s_addr));
  }
  if (address->sa_family == AF_INET6) {
    sockaddr_in6 v6;
    std::memcpy(&v6, address, sizeof v6);
    return is_private_v6(v6.sin6_addr);
  }
  return true;
}

}  // namespace pf::services
