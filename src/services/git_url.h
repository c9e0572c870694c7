// Addresses of git repositories: which host they name, or which path. Pure; thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "services/io_protocol.h"

namespace pf::services {

/// An address in normal form. Only these transports exist: nothing that runs a program (`ext::`), nothing
/// that is not authenticated at all (`git://`).
struct GitUrl {
  enum class Scheme : uint8_t { https, http, ssh, path } scheme = Scheme::path;
  std::string user, password;  // decoded; empty where there are none
  std::string host;            // lower case; an IPv6 address without brackets
  bool v6 = false;
  uint16_t port = 0;
  std::string path;  // with its leading slash; of ssh as the server shall see it; or the path

  bool network() const { return scheme != Scheme::path; }
  /// Without user and password but for ssh, where the user belongs to the address.
  std::string text() const;
  /// `host`, or `host:port` where the port is not the scheme's own: what a `git` permission names.
  std::string place() const;
};

/// `https://…`, `http://…`, `ssh://…`, `user@host:path`, `file:///…`, a path. Error `git.url`.
Result<GitUrl> parse_git_url(std::string_view text);

/// The entry that allows the host, or null; one that a person wrote before others.
const io::GitHost* allowed_host(const std::vector<io::GitHost>& hosts, const GitUrl& url);

}  // namespace pf::services
