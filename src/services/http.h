// HTTP from the core: requests go to the net module (libcurl, loaded with the first one), answers come back
// on the owner's thread. Redirects are followed here, one hop at a time, so that each hop's host is checked
// again; so are repetitions, each of which begins with the check of its first hop.
//
// Belongs to one thread, its owner's: all functions are called there, and so are Check and Done; bodies that
// are not in memory are read and written on a thread of the module. Proxies in the environment (http_proxy,
// …) are not used. Certificates are verified against the system's bundle, or the file that Options names.
// HTTP/2 is spoken where TLS agrees on it.
#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "services/http_text.h"
#include "services/url.h"
#include "services/usage.h"

namespace pf::services {

/// Answers larger than this could not be handed to a worker: a frame holds 16 MiB.
inline constexpr uint64_t kMaxHttpBody = 15ULL << 20;
inline constexpr uint64_t kMaxHttpHeaders = 256ULL << 10;
inline constexpr int kMaxRedirects = 10;

/// Gives a request's body, piece by piece, on a thread of the module.
class BodySource {
 public:
  virtual ~BodySource() = default;
  virtual uint64_t size() const = 0;  // bytes; known before, and kept to
  /// The next piece: its size, 0 at the end, -1 on failure.
  virtual ptrdiff_t read(char* buffer, size_t size) noexcept = 0;
  virtual bool rewind() noexcept = 0;  // to the first byte
  /// Why a function failed; asked on the owner's thread once nothing is under way.
  virtual Error failure() const = 0;
};

/// Takes an answer's body, piece by piece, on a thread of the module.
class BodySink {
 public:
  virtual ~BodySink() = default;
  enum class Where { take, keep, stop };  // here; in memory, as HttpResponse::body; nowhere, the request ends
  /// Before the first byte of each answer, also of one without body, and of each hop and repetition.
  virtual Where begin(int status, const Headers& headers) noexcept = 0;
  virtual bool write(std::string_view data) noexcept = 0;
  /// After the last byte of a taken body. False: the request fails.
  virtual bool end() noexcept = 0;
  /// Why a function failed; asked on the owner's thread once nothing is under way.
  virtual Error failure() const = 0;
};

/// When a request is made again: after a failure of the connection, and after the statuses of
/// retryable_status(). What the server says in Retry-After is waited for, if it is not longer than max_delay:
/// then the answer is the last one.
struct HttpRetry {
  int attempts = 1;  // in all
  Milliseconds delay{500};
  Milliseconds max_delay{30000};
  bool any_method = false;  // else only what is safe to repeat: GET, HEAD, OPTIONS, TRACE, PUT, DELETE
};

/// One request. The method, header names and values must be well-formed (see valid_token, valid_value).
struct HttpRequest {
  std::string method = "GET";  // upper case
  Url url;                     // its user information becomes an Authorization header unless there is one
  Headers headers;
  std::optional<std::string> body;
  std::shared_ptr<BodySource> source;   // in place of body
  std::shared_ptr<BodySink> sink;       // may take the answer's body
  Milliseconds timeout{60000};          // of each attempt, over all redirects; 0: none
  Milliseconds connect_timeout{10000};  // of each hop
  Milliseconds stall{0};                // longest time without a byte, in whole seconds; 0: any
  uint64_t max_body = kMaxHttpBody;     // bytes, after decompression, taken or kept
  uint64_t max_kept = kMaxHttpBody;     // bytes of a body that is kept
  bool cut_kept = false;                // a kept body that is larger is cut off, not an error
  bool raw = false;                     // no compression is asked for
  bool bulk = false;                    // large or many bodies: not among others' requests
  bool follow = true;                   // redirects; else they are answers
  int max_redirects = kMaxRedirects;
  std::optional<Url> proxy;  // http; the proxy resolves the names, and its address alone is checked here
  HttpRetry retry;
  std::shared_ptr<Usage> usage;  // counts the bodies of each hop and repetition; null: nothing does
};

/// The last answer.
struct HttpResponse {
  int status = 0;
  Headers headers;  // names in lower case; repeated ones joined by ", "
  std::string body;
  Url url;  // after redirects
  int attempts = 1;
};

/// What a check allows.
struct HttpAccess {
  bool private_addresses = false;
};

/// The client.
class Http {
 public:
  /// Runs a function on the owner's thread; called from any thread, must not throw.
  using Post = std::function<void(std::function<void()>)>;
  /// Runs a function on the owner's thread after a time; what it returns takes that back. Called on the
  /// owner's thread.
  using After = std::function<std::function<void()>(Milliseconds, std::function<void()>)>;
  struct Options {
    std::filesystem::path module;  // pangeo-forge-net.so; empty: the installed one
    std::string ca_file;           // PEM bundle; empty: the system's own
    After after{};                 // needed where a request may be repeated
  };
  /// Asked before every hop; hop 0 is the request itself. An error ends the request with that error.
  using Check = std::function<Result<HttpAccess>(const Url& url, int hop)>;
  /// Called once, never from inside submit(), unless cancelled.
  ///
  /// Errors: `http.timeout`, `http.resolve`, `http.connect`, `http.address` (resolves to private addresses,
  /// and the check did not allow them), `http.tls`, `http.too_big`, `http.redirects`, `http.protocol`,
  /// `http.proxy`, `http.url` (a redirect to no http URL), `http.module` (the net module cannot be loaded),
  /// `http.internal`, and those of the check, the source and the sink.
  using Done = std::function<void(Result<HttpResponse>)>;

  static std::unique_ptr<Http> make(Post post, Options options);
  virtual ~Http() = default;  // drops all requests; no Done comes afterwards

  /// The request's number, for cancel().
  virtual uint64_t submit(HttpRequest request, Check check, Done done) = 0;
  /// Source and sink may be used for a moment longer.
  virtual void cancel(uint64_t id) = 0;
  /// The ASCII form of an internationalised host name, in normal form. Error `http.url`, `http.module`.
  virtual Result<std::string> to_ascii(const std::string& host) = 0;
};

/// A method or header name (RFC 9110 token).
bool valid_token(std::string_view text);
/// A header value: no control characters but tab.
bool valid_value(std::string_view text);

}  // namespace pf::services
