// The permission of forge.http and forge.download: which hosts may be asked, hop by hop. Belongs to the
// loop's thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "api/attempt.h"
#include "api/granted_path.h"

namespace pf::api {

/// The check of one request, asked before each hop. What it allows and refuses is recorded.
///
/// A private address is reached only where the entry that allows the host was written by a person and names
/// that very host. The same holds for every host that a proxy is asked for: the proxy looks the name up, so
/// that nobody here can see where it leads.
class HopCheck {
 public:
  /// `to`: the path that the answer is written to, for the record; `proxied`: a proxy is asked.
  HopCheck(std::shared_ptr<Attempt> attempt, const registry::Call& call, std::string to = {},
           bool proxied = false)
      : attempt_(std::move(attempt)), call_(call), to_(std::move(to)), proxied_(proxied) {}

  Result<services::HttpAccess> operator()(const services::Url& url, int hop);
  /// What `http.address` of the last hop is to the extension: the host is granted, but lies on this machine
  /// or in its network.
  Error private_address(const Error& error);

 private:
  std::shared_ptr<Attempt> attempt_;
  const registry::Call& call_;
  std::string to_;
  bool proxied_;
  services::Url last_;
  int hop_ = 0;
};

/// Whether an entry that a person wrote names the proxy itself. A refusal is recorded.
Result<void> check_proxy(Attempt& attempt, const registry::Call& call, services::Url& proxy);

/// What is written into the audit record: no user information, query or fragment, which may hold secrets.
std::string audited(const services::Url& url);

}  // namespace pf::api
