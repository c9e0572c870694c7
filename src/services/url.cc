#include "services/url.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <vector>

#include "base/cbor.h"
#include "base/text.h"

namespace pf::services {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = lower(c);
  return out;
}

bool digit(char c) { return c >= '0' && c <= '9'; }

bool ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

int hex(char c) {
  if (digit(c)) return c - '0';
  c = lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

std::string percent_decode(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && hex(text[i + 1]) >= 0 && hex(text[i + 2]) >= 0) {
      out += static_cast<char>(hex(text[i + 1]) * 16 + hex(text[i + 2]));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

void append_escaped(std::string& out, char c) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  const auto byte = static_cast<unsigned char>(c);
  out += '%';
  out += kDigits[byte >> 4];
  out += kDigits[byte & 15];
}

tl::unexpected<Error> bad(std::string_view text, std::string_view why) {
  return refuse("http.url", "'" + shorten(text, 200) + "' is no usable URL: " + std::string(why),
                "write it as https://host/path or http://host:port/path");
}

// Path and query as they may stand in a request line: what may not is percent-encoded, so that nothing is
// lost.
std::string normal_target(std::string_view text) {
  std::string out;
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= 0x20 || byte >= 0x7f || std::string_view("\"<>\\^`{|}").find(c) != std::string_view::npos) {
      append_escaped(out, c);
    } else {
      out += c;
    }
  }
  return out;
}

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f;
  });
}

Result<uint16_t> parse_port(std::string_view text, std::string_view whole) {
  uint32_t port = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (code != std::errc() || end != text.data() + text.size() || port == 0 || port > 65535) {
    return bad(whole, "the port must be a number from 1 to 65535");
  }
  return static_cast<uint16_t>(port);
}

uint16_t default_port(std::string_view scheme) { return scheme == "https" ? 443 : 80; }

struct HostPort {
  std::string host;
  bool v6 = false;
  uint16_t port = 0;  // 0: none given
};

Result<HostPort> parse_host_port(std::string_view text, std::string_view whole) {
  HostPort out;
  std::string_view host = text;
  std::string_view port;
  bool has_port = false;
  if (!text.empty() && text[0] == '[') {
    const size_t close = text.find(']');
    if (close == std::string_view::npos) return bad(whole, "an IPv6 address needs its closing bracket");
    host = text.substr(0, close + 1);
    std::string_view rest = text.substr(close + 1);
    if (!rest.empty() && rest[0] != ':') return bad(whole, "after an IPv6 address only :port may come");
    has_port = !rest.empty();
    if (has_port) port = rest.substr(1);
  } else if (const size_t colon = text.find(':'); colon != std::string_view::npos) {
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
    has_port = true;
  }
  auto normal = normal_host(host, out.v6);
  if (!normal) return bad(whole, normal.error().message);
  out.host = std::move(*normal);
  if (has_port && !port.empty()) {
    auto number = parse_port(port, whole);
    if (!number) return tl::unexpected(number.error());
    out.port = *number;
  }
  return out;
}

// RFC 3986, section 5.2.4.
std::string remove_dots(std::string_view path) {
  std::vector<std::string_view> parts;
  size_t at = 1;
  bool open = false;  // the path ends in a slash
  while (at <= path.size()) {
    size_t end = path.find('/', at);
    if (end == std::string_view::npos) end = path.size();
    const std::string_view part = path.substr(at, end - at);
    const bool last = end == path.size();
    if (part == "..") {
      if (!parts.empty()) parts.pop_back();
      open = last;
    } else if (part == ".") {
      open = last;
    } else {
      parts.push_back(part);
      open = false;
    }
    at = end + 1;
  }
  std::string out;
  for (std::string_view part : parts) {
    out += '/';
    out += part;
  }
  if (open || out.empty()) out += '/';
  return out;
}

}  // namespace

std::string percent_encode(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (digit(c) || (lower(c) >= 'a' && lower(c) <= 'z') || c == '-' || c == '.' || c == '_' || c == '~')
      out += c;
    else
      append_escaped(out, c);
  }
  return out;
}

Result<std::string> normal_host(std::string_view text, bool& v6) {
  const auto wrong = [](std::string why) { return refuse("http.url", std::move(why)); };
  v6 = false;
  if (!text.empty() && text.front() == '[') {
    in6_addr address{};
    const std::string inner(text.substr(1, text.size() >= 2 ? text.size() - 2 : 0));
    if (text.back() != ']' || inet_pton(AF_INET6, inner.c_str(), &address) != 1) {
      return wrong("what stands in brackets must be an IPv6 address without a zone");
    }
    char shortest[INET6_ADDRSTRLEN];
    inet_ntop(AF_INET6, &address, shortest, sizeof shortest);
    v6 = true;
    return std::string(shortest);
  }
  if (!text.empty() && text.back() == '.') text.remove_suffix(1);
  if (text.empty()) return wrong("there is no host");
  if (text.size() > 253) return wrong("a host name has at most 253 bytes");
  if (!ascii(text)) {
    if (!cbor::is_utf8(text)) return wrong("the host is neither ASCII nor UTF-8");
    return std::string(text);
  }
  std::string host = lower(text);
  size_t start = 0;
  std::string_view label;
  while (start <= host.size()) {
    size_t end = host.find('.', start);
    if (end == std::string::npos) end = host.size();
    label = std::string_view(host).substr(start, end - start);
    if (label.empty() || label.size() > 63) return wrong("a part of a host name has 1 to 63 characters");
    for (char c : label) {
      if (!digit(c) && !(c >= 'a' && c <= 'z') && c != '-' && c != '_') {
        return wrong("a host name is made of letters, digits, '-' and '.'");
      }
    }
    start = end + 1;
  }
  // What ends in a number would be read as an IPv4 address by the resolver, in any of its odd notations.
  const bool number = std::all_of(label.begin(), label.end(), digit) ||
                      (label.size() >= 2 && label[0] == '0' && label[1] == 'x' &&
                       std::all_of(label.begin() + 2, label.end(), [](char c) { return hex(c) >= 0; }));
  in_addr address{};
  if (number && inet_pton(AF_INET, host.c_str(), &address) != 1) {
    return wrong("an IPv4 address is written as four decimal numbers");
  }
  return host;
}

std::string Url::place() const {
  std::string out = v6 ? "[" + host + "]" : host;
  if (port != default_port(scheme)) out += ":" + std::to_string(port);
  return out;
}

std::string Url::text() const { return scheme + "://" + place() + target; }

bool Url::international() const { return !ascii(host); }

Result<Url> parse_url(std::string_view text) {
  if (has_control(text)) return bad(text, "it holds control characters");
  if (text.size() > 16384) return bad(text, "it is longer than 16384 bytes");
  const size_t mark = text.find("://");
  if (mark == std::string_view::npos) return bad(text, "it does not begin with http:// or https://");
  Url url;
  url.scheme = lower(text.substr(0, mark));
  if (url.scheme != "http" && url.scheme != "https") return bad(text, "only http and https are spoken");
  std::string_view rest = text.substr(mark + 3);
  const size_t end = rest.find_first_of("/?#");
  std::string_view authority = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view() : rest.substr(end);
  if (authority.find('\\') != std::string_view::npos) return bad(text, "a backslash does not end a host");
  if (const size_t at = authority.rfind('@'); at != std::string_view::npos) {
    const std::string_view user = authority.substr(0, at);
    const size_t colon = user.find(':');
    url.user = percent_decode(user.substr(0, colon)) + ":";
    if (colon != std::string_view::npos) url.user += percent_decode(user.substr(colon + 1));
    authority.remove_prefix(at + 1);
  }
  auto host = parse_host_port(authority, text);
  if (!host) return tl::unexpected(host.error());
  url.host = std::move(host->host);
  url.v6 = host->v6;
  url.port = host->port != 0 ? host->port : default_port(url.scheme);
  url.target = normal_target(rest.substr(0, rest.find('#')));
  if (url.target.empty() || url.target[0] != '/') url.target.insert(0, "/");
  return url;
}

Result<std::string> parse_file_url(std::string_view text) {
  const auto wrong = [&](std::string_view why) {
    return refuse("http.url", "'" + shorten(text, 200) + "' is no usable URL: " + std::string(why),
                  "write it as file:///absolute/path");
  };
  if (lower(text.substr(0, 7)) != "file://") return wrong("it does not begin with file://");
  std::string_view rest = text.substr(7);
  if (lower(rest.substr(0, 10)) == "localhost/") rest.remove_prefix(9);
  if (rest.empty() || rest.front() != '/')
    return wrong("a file lies on this machine, under an absolute path");
  if (rest.find_first_of("?#") != std::string_view::npos) {
    return wrong("a file has no query or fragment; '?' and '#' in its name are written %3F and %23");
  }
  std::string path = percent_decode(rest);
  if (path.find('\0') != std::string::npos) return wrong("its path holds a NUL byte");
  return path;
}

Result<Url> resolve(const Url& base, std::string_view reference) {
  while (!reference.empty() && (reference.front() == ' ' || reference.front() == '\t'))
    reference.remove_prefix(1);
  while (!reference.empty() && (reference.back() == ' ' || reference.back() == '\t'))
    reference.remove_suffix(1);
  if (has_control(reference)) return bad(reference, "it holds control characters");
  const size_t colon = reference.find(':');
  const bool absolute = colon != std::string_view::npos && colon > 0 &&
                        reference.find_first_of("/?#") > colon && lower(reference[0]) >= 'a' &&
                        lower(reference[0]) <= 'z';
  Result<Url> url = base;
  if (absolute) {
    url = parse_url(reference);
  } else if (reference.substr(0, 2) == "//") {
    url = parse_url(base.scheme + ":" + std::string(reference));
  } else {
    const std::string target = normal_target(reference.substr(0, reference.find('#')));
    const std::string path = base.target.substr(0, base.target.find('?'));
    if (target.empty()) {
      url->target = base.target;
    } else if (target[0] == '?') {
      url->target = path + target;
    } else {
      const std::string whole = target[0] == '/' ? target : path.substr(0, path.rfind('/') + 1) + target;
      const size_t query = whole.find('?');
      url->target = remove_dots(std::string_view(whole).substr(0, query));
      if (query != std::string::npos) url->target += whole.substr(query);
    }
  }
  if (url) url->user.clear();
  return url;
}

Result<HostPattern> parse_host_pattern(std::string_view entry) {
  HostPattern out;
  if (entry.find("://") != std::string_view::npos) {
    auto url = parse_url(entry);
    if (!url) return tl::unexpected(url.error());
    out.host = std::move(url->host);
    out.v6 = url->v6;
    out.port = url->port;
    return out;
  }
  std::string_view rest = entry;
  if (rest.substr(0, 2) == "*.") {
    out.wildcard = true;
    rest.remove_prefix(2);
  }
  std::string bare;
  if (rest.find(':') != rest.rfind(':') && !rest.empty() && rest[0] != '[') {
    bare = "[" + std::string(rest) + "]";  // an IPv6 address without brackets
    rest = bare;
  }
  auto host = parse_host_port(rest, entry);
  if (!host) return tl::unexpected(host.error());
  in_addr address{};
  if (out.wildcard && (host->v6 || inet_pton(AF_INET, host->host.c_str(), &address) == 1)) {
    return bad(entry, "a wildcard stands before a name, not an address");
  }
  out.host = std::move(host->host);
  out.v6 = host->v6;
  out.port = host->port;
  return out;
}

bool matches(const HostPattern& pattern, const Url& url) {
  if (url.port != (pattern.port != 0 ? pattern.port : default_port(url.scheme))) return false;
  if (pattern.v6 != url.v6) return false;
  if (!pattern.wildcard) return url.host == pattern.host;
  const std::string_view host = url.host;
  return host.size() > pattern.host.size() + 1 && host.ends_with(pattern.host) &&
         host[host.size() - pattern.host.size() - 1] == '.';
}

}  // namespace pf::services
