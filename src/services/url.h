// URLs of http and https, taken apart strictly and put together again: what is checked against permissions is
// what is connected to. Pure; thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace pf::services {

/// An http or https URL in normal form.
struct Url {
  std::string scheme;  // "http" or "https"
  std::string user;    // percent-decoded; `user:password`, empty when there is none
  std::string host;    // lower case, no final dot; an IPv6 address in its shortest form, without brackets
  bool v6 = false;
  uint16_t port = 0;   // never 0 once parsed
  std::string target;  // path and query, at least `/`

  /// Without user information and fragment.
  std::string text() const;
  /// `host`, or `host:port` where the port is not the scheme's own: what an `http` permission names.
  std::string place() const;
  /// The host is not ASCII: it needs its punycode form before it can be compared or connected to.
  bool international() const;
};

/// Error `http.url`: not http or https, or no well-formed URL.
Result<Url> parse_url(std::string_view text);
/// A reference such as a Location header's, resolved against `base` (RFC 3986, section 5.2). User information
/// in it is dropped: a server does not choose our credentials. Error `http.url`.
Result<Url> resolve(const Url& base, std::string_view reference);

/// One entry of an `http` permission.
struct HostPattern {
  std::string host;  // as in Url; for a wildcard what follows `*.`
  bool wildcard = false;
  bool v6 = false;
  uint16_t port = 0;  // 0: the scheme's own
};

/// `host`, `host:port`, `*.host`, `*.host:port`, or a URL, whose host and port count. Error `http.url`.
Result<HostPattern> parse_host_pattern(std::string_view entry);
bool matches(const HostPattern& pattern, const Url& url);
/// Normal form of a host name or address: lower case, no final dot, no brackets. `v6` is set where it is one.
/// Text that is not ASCII is left as it is. Error `http.url`.
Result<std::string> normal_host(std::string_view text, bool& v6);

/// The absolute path that a file:// URL names, percent-decoded. Error `http.url`: a host other than
/// localhost, a query, no absolute path, or a NUL byte in it.
Result<std::string> parse_file_url(std::string_view text);

/// Percent-encodes all but unreserved characters (RFC 3986).
std::string percent_encode(std::string_view text);

}  // namespace pf::services
