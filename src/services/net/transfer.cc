#include "services/net/transfer.h"

#include <arpa/inet.h>
#include <strings.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "services/address.h"

namespace pf::net {
namespace {

/// Of each read from a socket: the largest that libcurl takes. It hands the bytes on in pieces of 16 KiB.
constexpr long kBulkBuffer = 512L << 10;
constexpr long kBuffer = 128L << 10;

size_t on_body(char* data, size_t size, size_t count, void* context) {
  return static_cast<Transfer*>(context)->body(data, size * count);
}

size_t on_header(char* data, size_t size, size_t count, void* context) {
  return static_cast<Transfer*>(context)->header(data, size * count);
}

size_t on_read(char* buffer, size_t size, size_t count, void* context) {
  return static_cast<Transfer*>(context)->read(buffer, size * count);
}

// libcurl goes back to the start only: after a connection that had died, to send the body again.
int on_seek(void* context, curl_off_t offset, int origin) {
  auto& t = *static_cast<Transfer*>(context);
  if (offset != 0 || origin != SEEK_SET || t.stream.rewind == nullptr) return CURL_SEEKFUNC_CANTSEEK;
  return t.stream.rewind(t.options.stream_context) == 0 ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_FAIL;
}

curl_socket_t on_open_socket(void* context, curlsocktype purpose, curl_sockaddr* address) {
  if (purpose != CURLSOCKTYPE_IPCXN) return CURL_SOCKET_BAD;
  return static_cast<Transfer*>(context)->open_socket(address);
}

std::string text_of(const char* text) { return text != nullptr ? text : ""; }

}  // namespace

Transfer::Transfer(const pf_net_request& request) : id(request.id), options(request) {
  const pf_net_stream* given = request.stream;
  try {
    method = request.method;
    url = request.url;
    if (request.has_body != 0 && request.body != nullptr) {
      request_body.assign(request.body, static_cast<size_t>(request.body_size));
    }
    user_agent = request.user_agent;
    ca_file = text_of(request.ca_file);
    proxy = text_of(request.proxy);
    proxy_user = text_of(request.proxy_user);
    for (size_t i = 0; i < request.header_count; ++i) {
      const std::string value = request.headers[2 * i + 1];
      // `Name:` would take the header away: `Name;` is libcurl's way to send it empty.
      lines.push_back(request.headers[2 * i] + (value.empty() ? std::string(";") : ": " + value));
    }
  } catch (...) {
    if (given != nullptr) given->release(request.stream_context);
    throw;
  }
  if (given != nullptr) stream = *given;
  streams_out = request.has_body != 0 && request.body == nullptr && stream.read != nullptr;
  streams_in = stream.begin != nullptr && stream.write != nullptr;
}

Transfer::~Transfer() {
  curl_slist_free_all(headers);
  if (stream.release != nullptr) stream.release(options.stream_context);
}

// Where the answer's body goes. False: the request ends.
bool Transfer::begin() {
  begun_ = true;
  if (!streams_in) return true;
  long status = 0;
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
  where_ = stream.begin(options.stream_context, static_cast<int>(status), answer_headers.data(),
                        answer_headers.size());
  stopped_ = where_ == PF_NET_STOP;
  return !stopped_;
}

size_t Transfer::body(const char* data, size_t bytes) {
  if (!begun_ && !begin()) return 0;
  if (where_ == PF_NET_TAKE) {
    if (bytes > options.max_body - taken_) {
      too_big_ = true;
      return 0;
    }
    if (stream.write(options.stream_context, data, bytes) != 0) {
      stopped_ = true;
      return 0;
    }
    taken_ += bytes;
    return bytes;
  }
  const uint64_t most = std::min(options.max_kept, options.max_body);
  if (bytes > most - answer_body.size()) {
    (options.cut_kept != 0 ? cut_ : too_big_) = true;
    return 0;
  }
  try {
    answer_body.append(data, bytes);
  } catch (...) {
    return 0;
  }
  return bytes;
}

size_t Transfer::header(const char* data, size_t bytes) {
  // A status line begins another answer: what an interim one (100, 103) said does not count.
  if (bytes > 5 && std::memcmp(data, "HTTP/", 5) == 0) {
    answer_headers.clear();
    return bytes;
  }
  if (answer_headers.size() + bytes > options.max_headers) {
    too_big_ = true;
    return 0;
  }
  try {
    answer_headers.append(data, bytes);
  } catch (...) {
    return 0;
  }
  return bytes;
}

size_t Transfer::read(char* buffer, size_t bytes) {
  const ptrdiff_t got = stream.read(options.stream_context, buffer, bytes);
  if (got >= 0) return static_cast<size_t>(got);
  stopped_ = true;
  return CURL_READFUNC_ABORT;
}

// The address that is really connected to is judged here, after resolution: a name cannot change its mind in
// between.
curl_socket_t Transfer::open_socket(const curl_sockaddr* address) {
  if (options.allow_private == 0 && pf::services::is_private(&address->addr)) {
    char text[INET6_ADDRSTRLEN] = "?";
    if (address->family == AF_INET) {
      const auto* v4 = reinterpret_cast<const sockaddr_in*>(&address->addr);
      inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
    } else if (address->family == AF_INET6) {
      const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&address->addr);
      inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
    }
    try {
      refused_address = text;
    } catch (...) {
      refused_address.clear();
    }
    return CURL_SOCKET_BAD;
  }
  return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

pf_net_outcome Transfer::outcome_of(CURLcode code) const {
  if (too_big_) return PF_NET_TOO_BIG;
  if (stopped_) return PF_NET_STOPPED;
  if (cut_) return PF_NET_OK;
  switch (code) {
    case CURLE_OK: return PF_NET_OK;
    case CURLE_OPERATION_TIMEDOUT: {
      curl_off_t sent_at = 0;
      curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &sent_at);
      return sent_at == 0 ? PF_NET_CONNECT_TIMEOUT : PF_NET_TIMEOUT;
    }
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY: return PF_NET_RESOLVE;
    case CURLE_COULDNT_CONNECT: return refused_address.empty() ? PF_NET_CONNECT : PF_NET_ADDRESS;
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR: return begun_ ? PF_NET_BROKEN : PF_NET_CONNECT;
    case CURLE_GOT_NOTHING: return PF_NET_CONNECT;
    case CURLE_PARTIAL_FILE:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM: return PF_NET_BROKEN;
    case CURLE_PROXY: return PF_NET_PROXY;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS: return PF_NET_VERIFY;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ENGINE_INITFAILED:
    case CURLE_SSL_SHUTDOWN_FAILED:
    case CURLE_USE_SSL_FAILED: return PF_NET_TLS;
    case CURLE_OUT_OF_MEMORY:
    case CURLE_FAILED_INIT:
    case CURLE_WRITE_ERROR: return PF_NET_INTERNAL;
    default: return PF_NET_PROTOCOL;
  }
}

pf_net_outcome Transfer::finish(CURLcode code, const char*& message) {
  if (code == CURLE_OK && !begun_) begin();
  const pf_net_outcome outcome = outcome_of(code);
  long connected = 0;
  // libcurl says "received HTTP code 407 from proxy after CONNECT" with the code of a broken connection.
  if (outcome != PF_NET_OK && !proxy.empty() && !begun_ &&
      curl_easy_getinfo(easy, CURLINFO_HTTP_CONNECTCODE, &connected) == CURLE_OK && connected >= 300) {
    message = error[0] != '\0' ? error : curl_easy_strerror(code);
    return PF_NET_PROXY;
  }
  message = error[0] != '\0' ? error : curl_easy_strerror(code);
  if (outcome == PF_NET_ADDRESS) message = refused_address.c_str();
  if (outcome == PF_NET_OK) message = "";
  return outcome;
}

bool Transfer::set_up(CURL* handle) {
  easy = handle;
  curl_slist_free_all(headers);
  headers = nullptr;
  bool ok = true;
  const auto set = [&](CURLoption option, auto value) {
    if (curl_easy_setopt(easy, option, value) != CURLE_OK) ok = false;
  };
  set(CURLOPT_PRIVATE, static_cast<void*>(this));
  set(CURLOPT_URL, url.c_str());
#if LIBCURL_VERSION_NUM >= 0x075500
  set(CURLOPT_PROTOCOLS_STR, "http,https");
#else
  // COMPAT: libcurl before 7.85 (Ubuntu 22.04)
  set(CURLOPT_PROTOCOLS, static_cast<long>(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
  set(CURLOPT_FOLLOWLOCATION, 0L);
  set(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
  set(CURLOPT_PATH_AS_IS, 1L);
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_PROXY, proxy.c_str());  // empty: none, whatever the environment says
  set(CURLOPT_NOPROXY, "");
  if (!proxy.empty()) {
    set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    if (!proxy_user.empty()) {
      set(CURLOPT_PROXYAUTH, static_cast<long>(CURLAUTH_BASIC));
      const size_t colon = proxy_user.find(':');
      set(CURLOPT_PROXYUSERNAME, proxy_user.substr(0, colon).c_str());
      set(CURLOPT_PROXYPASSWORD,
          colon == std::string::npos ? "" : proxy_user.c_str() + static_cast<ptrdiff_t>(colon) + 1);
    }
  }
  set(CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  set(CURLOPT_SSL_VERIFYPEER, 1L);
  set(CURLOPT_SSL_VERIFYHOST, 2L);
  set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  // HTTP/2 where TLS's ALPN agrees on it. Who fetches much waits for a connection that may carry several.
  set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2TLS));
  if (options.bulk != 0 && url.starts_with("https:")) set(CURLOPT_PIPEWAIT, 1L);
  if (!ca_file.empty()) set(CURLOPT_CAINFO, ca_file.c_str());
  set(CURLOPT_USERAGENT, user_agent.c_str());
  if (options.raw == 0) set(CURLOPT_ACCEPT_ENCODING, "");
  set(CURLOPT_TIMEOUT_MS, static_cast<long>(options.timeout_ms));
  set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options.connect_timeout_ms));
  if (options.stall_ms != 0) {
    set(CURLOPT_LOW_SPEED_LIMIT, 1L);
    set(CURLOPT_LOW_SPEED_TIME, std::max(1L, static_cast<long>(options.stall_ms / 1000)));
  }
  set(CURLOPT_BUFFERSIZE, options.bulk != 0 ? kBulkBuffer : kBuffer);
  set(CURLOPT_ERRORBUFFER, error);
  set(CURLOPT_WRITEFUNCTION, on_body);
  set(CURLOPT_WRITEDATA, static_cast<void*>(this));
  set(CURLOPT_HEADERFUNCTION, on_header);
  set(CURLOPT_HEADERDATA, static_cast<void*>(this));
  set(CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
  set(CURLOPT_OPENSOCKETDATA, static_cast<void*>(this));
#if LIBCURL_VERSION_NUM >= 0x075700
  set(CURLOPT_QUICK_EXIT, 1L);  // a name server that does not answer must not hold up a cancel
#endif

  const bool has_body = options.has_body != 0;
  const bool sends = has_body || method == "POST" || method == "PUT" || method == "PATCH";
  if (method == "HEAD") {
    set(CURLOPT_NOBODY, 1L);
  } else if (sends) {
    set(CURLOPT_POST, 1L);
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(has_body ? options.body_size : 0));
    if (streams_out) {
      set(CURLOPT_READFUNCTION, on_read);
      set(CURLOPT_READDATA, static_cast<void*>(this));
      set(CURLOPT_SEEKFUNCTION, on_seek);
      set(CURLOPT_SEEKDATA, static_cast<void*>(this));
    } else {
      set(CURLOPT_POSTFIELDS, request_body.c_str());
    }
  }
  // What libcurl does without being told needs no copy of the name.
  if (method != "HEAD" && (sends || method != "GET")) set(CURLOPT_CUSTOMREQUEST, method.c_str());

  bool has_type = false;
  const auto add = [&](const char* line) {
    curl_slist* grown = curl_slist_append(headers, line);
    if (grown == nullptr)
      ok = false;
    else
      headers = grown;
  };
  for (const std::string& line : lines) {
    if (strncasecmp(line.c_str(), "content-type", 12) == 0 && (line[12] == ':' || line[12] == ';')) {
      has_type = true;
    }
    add(line.c_str());
  }
  if (sends) add("Expect:");                     // no waiting for 100 Continue
  if (sends && !has_type) add("Content-Type:");  // else libcurl says it is a form
  set(CURLOPT_HTTPHEADER, headers);
  return ok;
}

}  // namespace pf::net
