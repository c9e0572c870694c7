#include "api/http_access.h"

#include <algorithm>

namespace pf::api {
namespace {

using registry::Permission;
using services::Url;

// The `http` entries, taken apart once. What is no entry grants nothing: the manifest's reader reports it.
const std::vector<HostGrant>& hosts(Attempt& attempt) {
  if (!attempt.hosts) {
    attempt.hosts.emplace();
    for (const Grants::Entry& entry : attempt.caller.grants.http) {
      auto pattern = services::parse_host_pattern(entry.value);
      if (!pattern) continue;
      const bool ascii =
          std::none_of(pattern->host.begin(), pattern->host.end(), [](char c) { return (c & 0x80) != 0; });
      if (!ascii) {
        auto converted = attempt.hall.http().to_ascii(pattern->host);
        if (!converted) continue;
        pattern->host = std::move(*converted);
      }
      attempt.hosts->push_back({std::move(*pattern), entry.literal});
    }
  }
  return *attempt.hosts;
}

}  // namespace

std::string audited(const Url& url) {
  Url bare = url;
  bare.target.resize(std::min(bare.target.size(), bare.target.find('?')));
  return bare.text();
}

Result<services::HttpAccess> HopCheck::operator()(const Url& url, int hop) {
  last_ = url;
  hop_ = hop;
  services::HttpAccess access;
  bool granted = false;
  for (const HostGrant& grant : hosts(*attempt_)) {
    if (!services::matches(grant.pattern, url)) continue;
    granted = true;
    if (grant.literal && !grant.pattern.wildcard) access.private_addresses = true;
  }
  const std::string way = hop == 0 ? "" : "a redirect led to ";
  if (!granted) {
    return tl::unexpected(attempt_->refuse(call_, Permission::http,
                                           way + audited(url) + ", which no entry of `http` covers",
                                           audited(url), url.place(), hop));
  }
  if (proxied_ && !access.private_addresses) {
    Error refused =
        attempt_->refuse(call_, Permission::http,
                         way + audited(url) + " through a proxy, which no entry of `http` names itself",
                         audited(url), url.place(), hop);
    refused.hint =
        "a proxy looks names up itself, so that a private address cannot be told here: through it, each host "
        "needs an entry of its own without a wildcard, written in the manifest or by the operator; " +
        refused.hint;
    return tl::unexpected(std::move(refused));
  }
  attempt_->allow(call_, audited(url), to_, hop);
  return access;
}

Error HopCheck::private_address(const Error& error) {
  Error refused =
      attempt_->refuse(call_, Permission::http, error.message, audited(last_), last_.place(), hop_);
  refused.hint =
      "private and loopback addresses need an entry that names this host itself, written in the manifest "
      "or by the operator; " +
      refused.hint;
  return refused;
}

Result<void> check_proxy(Attempt& attempt, const registry::Call& call, Url& proxy) {
  if (proxy.international()) {
    auto ascii = attempt.hall.http().to_ascii(proxy.host);
    if (!ascii) return tl::unexpected(ascii.error());
    proxy.host = std::move(*ascii);
  }
  for (const HostGrant& grant : hosts(attempt)) {
    if (grant.literal && !grant.pattern.wildcard && services::matches(grant.pattern, proxy)) {
      attempt.allow(call, audited(proxy));
      return {};
    }
  }
  Error refused = attempt.refuse(call, Permission::http,
                                 "the proxy " + proxy.place() + ", which no entry of `http` names itself",
                                 audited(proxy), proxy.place());
  refused.hint =
      "a proxy needs an entry of its own, written in the manifest or by the operator; " + refused.hint;
  return tl::unexpected(std::move(refused));
}

}  // namespace pf::api
