// HTTP from the core: requests go to the net module (libcurl, loaded with the first one), answers come back
// on the owner's thread. Redirects are followed here, one hop at a time, so that each hop's host is checked
// again.
//
// Belongs to one thread, its owner's: all functions are called there, and so are Check and Done. Proxies in
// the environment (http_proxy, …) are not used: behind a proxy the address that is really connected to cannot
// be checked. Certificates are verified against the system's bundle, or the file that Options names.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "services/url.h"

namespace pf::services {

/// Answers larger than this could not be handed to a worker: a frame holds 16 MiB.
inline constexpr uint64_t kMaxHttpBody = 15ULL << 20;
inline constexpr uint64_t kMaxHttpHeaders = 256ULL << 10;
inline constexpr int kMaxRedirects = 10;

using Headers = std::vector<std::pair<std::string, std::string>>;

/// One request. The method, header names and values must be well-formed (see valid_token, valid_value).
struct HttpRequest {
  std::string method = "GET";  // upper case
  Url url;                     // its user information becomes an Authorization header unless there is one
  Headers headers;
  std::optional<std::string> body;
  Milliseconds timeout{60000};          // over all redirects
  Milliseconds connect_timeout{10000};  // of each hop
  uint64_t max_body = kMaxHttpBody;     // bytes, after decompression
};

/// The last answer.
struct HttpResponse {
  int status = 0;
  Headers headers;  // names in lower case; repeated ones joined by ", "
  std::string body;
  Url url;  // after redirects
};

/// What a check allows.
struct HttpAccess {
  bool private_addresses = false;
};

/// The client.
class Http {
 public:
  struct Options {
    std::filesystem::path module;  // pangeo-forge-net.so; empty: the installed one
    std::string ca_file;           // PEM bundle; empty: the system's own
  };
  /// Runs a function on the owner's thread; called from any thread, must not throw.
  using Post = std::function<void(std::function<void()>)>;
  /// Asked before every hop; hop 0 is the request itself. An error ends the request with that error.
  using Check = std::function<Result<HttpAccess>(const Url& url, int hop)>;
  /// Called once, never from inside submit(), unless cancelled.
  ///
  /// Errors: `http.timeout`, `http.resolve`, `http.connect`, `http.address` (resolves to private addresses,
  /// and the check did not allow them), `http.tls`, `http.too_big`, `http.redirects`, `http.protocol`,
  /// `http.url` (a redirect to no http URL), `http.module` (the net module cannot be loaded),
  /// `http.internal`, and the check's.
  using Done = std::function<void(Result<HttpResponse>)>;

  static std::unique_ptr<Http> make(Post post, Options options);
  virtual ~Http() = default;  // drops all requests; no Done comes afterwards

  /// The request's number, for cancel().
  virtual uint64_t submit(HttpRequest request, Check check, Done done) = 0;
  virtual void cancel(uint64_t id) = 0;
  /// The ASCII form of an internationalised host name, in normal form. Error `http.url`, `http.module`.
  virtual Result<std::string> to_ascii(const std::string& host) = 0;
};

/// A method or header name (RFC 9110 token).
bool valid_token(std::string_view text);
/// A header value: no control characters but tab.
bool valid_value(std::string_view text);

}  // namespace pf::services
