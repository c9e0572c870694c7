// git over http and https through libcurl, for libgit2's smart protocol: one request for the refs, one for
// each round of the negotiation. The address is checked when the socket is opened; redirects are followed
// only for the first request, and only on the same host.
#include <curl/curl.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "base/digest.h"
#include "base/text.h"
#include "services/address.h"
#include "services/io/git_common.h"
#include "services/url.h"

namespace pf::services::io {
namespace {

constexpr size_t kAhead = 8U << 20;      // bytes that may wait for libgit2
constexpr size_t kInMemory = 16U << 20;  // of a request's body; more goes to a file without a name
constexpr int kMaxHops = 5;

/// What is sent: small bodies in memory.
class Body {
 public:
  bool add(const char* data, size_t size) {
    if (!file_ && text_.size() + size <= kInMemory) {
      text_.append(data, size);
      return true;
    }
    if (!file_) {
      for (const char* folder : {".git", "."}) {
        file_.reset(::open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
        if (file_) break;
      }
      if (!file_ || !write_all(file_.get(), text_)) return false;
      size_ = text_.size();
      text_.clear();
    }
    size_ += size;
    return write_all(file_.get(), {data, size}).has_value();
  }
  uint64_t size() const { return file_ ? size_ : text_.size(); }
  void rewind() { at_ = 0; }
  size_t read(char* to, size_t size) {
    if (file_) {
      const ssize_t n = ::pread(file_.get(), to, size, static_cast<off_t>(at_));
      if (n < 0) return CURL_READFUNC_ABORT;
      at_ += static_cast<uint64_t>(n);
      return static_cast<size_t>(n);
    }
    const size_t n = std::min<size_t>(size, text_.size() - at_);
    std::memcpy(to, text_.data() + at_, n);
    at_ += n;
    return n;
  }

 private:
  std::string text_;
  UniqueFd file_;
  uint64_t size_ = 0, at_ = 0;
};

struct Http;

/// One request and its answer.
struct Stream {
  git_smart_subtransport_stream base{};
  Http* http = nullptr;
  git_smart_service_t action{};
  Body body;
  std::string in;
  size_t at = 0;
  bool started = false, done = false, paused = false, opened_private = false;
  curl_slist* headers = nullptr;
};

/// One connection.
struct Http {
  git_smart_subtransport base{};
  Peers* peers = nullptr;
  GitUrl url;
  bool url_known = false;
  bool private_addresses = false;
  CURL* easy = nullptr;
  CURLM* multi = nullptr;
  Stream* current = nullptr;
};

size_t on_data(char* data, size_t, size_t size, void* payload) {
  auto& stream = *static_cast<Stream*>(payload);
  long status = 0;
  curl_easy_getinfo(stream.http->easy, CURLINFO_RESPONSE_CODE, &status);
  if (status != 200) return size;
  if (stream.in.size() - stream.at > kAhead) {
    stream.paused = true;
    return CURL_WRITEFUNC_PAUSE;
  }
  stream.in.append(data, size);
  return size;
}

size_t on_send(char* to, size_t, size_t size, void* payload) {
  return static_cast<Stream*>(payload)->body.read(to, size);
}

int on_seek(void* payload, curl_off_t offset, int origin) {
  if (offset != 0 || origin != SEEK_SET) return CURL_SEEKFUNC_CANTSEEK;
  static_cast<Stream*>(payload)->body.rewind();
  return CURL_SEEKFUNC_OK;
}

curl_socket_t on_socket(void* payload, curlsocktype, curl_sockaddr* address) {
  auto& stream = *static_cast<Stream*>(payload);
  if (!stream.http->private_addresses && is_private(&address->addr)) {
    stream.opened_private = true;
    return CURL_SOCKET_BAD;
  }
  return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

bool lists_refs(git_smart_service_t action) {
  return action == GIT_SERVICE_UPLOADPACK_LS || action == GIT_SERVICE_RECEIVEPACK_LS;
}

void end(Stream& stream) {
  if (stream.started) curl_multi_remove_handle(stream.http->multi, stream.http->easy);
  curl_slist_free_all(stream.headers);
  stream.headers = nullptr;
  stream.started = false;
}

void begin(Stream& stream) {
  Http& http = *stream.http;
  CURL* easy = http.easy;
  const GitAccess& access = http.peers->access();
  const std::string service(service_name(stream.action));
  const bool refs = lists_refs(stream.action);
  curl_easy_reset(easy);
  const std::string url = http.url.text() + (refs ? "/info/refs?service=" + service : "/" + service);
  curl_easy_setopt(easy, CURLOPT_URL, url.c_str());
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(easy, CURLOPT_PROXY, "");
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, 30L);
  curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 512L * 1024);
  curl_easy_setopt(easy, CURLOPT_USERAGENT, "git/2.39 (pangeo-forge)");
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_2TLS);
  if (refs) curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "");
  if (!access.ca_file.empty()) curl_easy_setopt(easy, CURLOPT_CAINFO, access.ca_file.c_str());
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_data);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &stream);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_socket);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, &stream);
  // The user first: those of the call, then those of the address.
  std::string user = access.user, password = access.password;
  if (!access.token.empty()) {
    password = access.token;
    if (user.empty()) user = "x-access-token";
  } else if (user.empty() && password.empty()) {
    user = http.url.user;
    password = http.url.password;
  }
  if (!user.empty() || !password.empty()) {
    const std::string header = "Authorization: Basic " + base64_encode(user + ":" + password);
    stream.headers = curl_slist_append(stream.headers, header.c_str());
  }
  if (!refs) {
    stream.headers =
        curl_slist_append(stream.headers, ("Content-Type: application/x-" + service + "-request").c_str());
    stream.headers =
        curl_slist_append(stream.headers, ("Accept: application/x-" + service + "-result").c_str());
    stream.headers = curl_slist_append(stream.headers, "Expect:");
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_send);
    curl_easy_setopt(easy, CURLOPT_READDATA, &stream);
    curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_seek);
    curl_easy_setopt(easy, CURLOPT_SEEKDATA, &stream);
    stream.body.rewind();
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(stream.body.size()));
  }
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, stream.headers);
  curl_multi_add_handle(http.multi, easy);
  stream.started = true;
  stream.done = false;
}

// Runs until something can be read or the answer has ended; its result.
CURLcode pump(Stream& stream) {
  Http& http = *stream.http;
  while (!stream.done && stream.in.size() == stream.at) {
    if (stream.paused) {
      stream.paused = false;
      curl_easy_pause(http.easy, CURLPAUSE_CONT);
      continue;
    }
    int running = 0;
    if (curl_multi_perform(http.multi, &running) != CURLM_OK) return CURLE_FAILED_INIT;
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(http.multi, &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      stream.done = true;
      if (message->data.result != CURLE_OK) return message->data.result;
    }
    if (!stream.done && stream.in.size() == stream.at) curl_multi_poll(http.multi, nullptr, 0, 1000, nullptr);
  }
  return CURLE_OK;
}

Error transport_error(const Stream& stream, CURLcode code) {
  const std::string url = stream.http->url.text();
  if (stream.opened_private) {
    return refuse("git.address", url, stream.http->url.place()).value();
  }
  const std::string why = url + ": " + curl_easy_strerror(code);
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
      return fail("git.resolve", why, "check the host's name, and the name server").value();
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
      return refuse("git.tls", why, "name the authority's PEM file in SSL_CERT_FILE, or mend the server")
          .value();
    case CURLE_SSL_CONNECT_ERROR: return fail("git.tls", why, "check that the server speaks TLS").value();
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
      return fail("git.connect", why, "check that the server runs and can be reached from this machine")
          .value();
    default: return fail("git.protocol", why, "the connection broke; try again").value();
  }
}

// The status of an answer; nothing for 200. A redirect changes the URL and asks for a repetition.
std::optional<Error> judge(Stream& stream, bool& again) {
  Http& http = *stream.http;
  long status = 0;
  curl_easy_getinfo(http.easy, CURLINFO_RESPONSE_CODE, &status);
  const std::string url = http.url.text();
  const bool refs = lists_refs(stream.action);
  if (status == 200) {
    const char* type = nullptr;
    curl_easy_getinfo(http.easy, CURLINFO_CONTENT_TYPE, &type);
    const std::string expected =
        "application/x-" + std::string(service_name(stream.action)) + (refs ? "-advertisement" : "-result");
    if (type != nullptr && std::string_view(type).starts_with(expected)) return std::nullopt;
    return refuse("git.protocol", url + " is served by something that speaks no git",
                  "check the address; old servers without the smart protocol are not supported")
        .value();
  }
  if (status == 401 || status == 403 || status == 407) {
    return refuse("git.auth", url + " refuses access (status " + std::to_string(status) + ")",
                  "pass credentials: {token}, or {user, password}, from a secret")
        .value();
  }
  if (status == 404 || status == 410)
    return refuse("git.not_found", "there is no repository at " + url, "check the address, and the rights")
        .value();
  if (status >= 301 && status <= 308 && status != 304 && status != 305) {
    const char* location = nullptr;
    curl_easy_getinfo(http.easy, CURLINFO_REDIRECT_URL, &location);
    const std::string suffix = "/info/refs?service=" + std::string(service_name(stream.action));
    auto next = location == nullptr ? Result<GitUrl>(tl::unexpected(Error{})) : [&]() -> Result<GitUrl> {
      std::string to = location;
      if (!to.ends_with(suffix)) return tl::unexpected(Error{});
      return parse_git_url(to.substr(0, to.size() - suffix.size()));
    }();
    const bool upgrade = next && http.url.scheme == GitUrl::Scheme::http &&
                         next->scheme == GitUrl::Scheme::https && http.url.port == 80 && next->port == 443;
    const bool same = next && next->host == http.url.host &&
                      ((next->port == http.url.port && next->scheme == http.url.scheme) || upgrade);
    if (!refs || !same) {
      return refuse("git.redirect",
                    url + " redirects to " +
                        (next                  ? next->text()
                         : location == nullptr ? "nowhere"
                                               : shorten(location, 200)),
                    "use that address itself where it is meant, and grant its host in `git`")
          .value();
    }
    next->user = http.url.user;
    next->password = http.url.password;
    http.url = std::move(*next);
    if (auto granted = http.peers->contact(http.url); !granted) return granted.error();
    again = true;
    return std::nullopt;
  }
  Error error =
      fail("git.protocol", url + " answers with status " + std::to_string(status), "try again later").value();
  error.retryable = status >= 500 || status == 429;
  return error;
}

int read_stream(git_smart_subtransport_stream* base, char* buffer, size_t size, size_t* got) {
  auto& stream = *reinterpret_cast<Stream*>(base);
  Peers& peers = *stream.http->peers;
  *got = 0;
  try {
    for (int hop = 0;; ++hop) {
      const bool first = !stream.started;
      if (first) begin(stream);
      const CURLcode code = pump(stream);
      if (code != CURLE_OK) return peers.failed(transport_error(stream, code));
      if (!first) break;
      bool again = false;
      if (auto error = judge(stream, again)) return peers.failed(std::move(*error));
      if (!again) break;
      if (hop == kMaxHops)
        return peers.failed(
            refuse("git.redirect", stream.http->url.text() + " redirects in a circle").value());
      end(stream);
    }
  } catch (const std::exception& e) {
    return peers.failed(fail("os.enomem", e.what()).value());
  }
  const size_t n = std::min(size, stream.in.size() - stream.at);
  std::memcpy(buffer, stream.in.data() + stream.at, n);
  stream.at += n;
  if (stream.at == stream.in.size()) {
    stream.in.clear();
    stream.at = 0;
  }
  *got = n;
  return 0;
}

int write_stream(git_smart_subtransport_stream* base, const char* buffer, size_t size) {
  auto& stream = *reinterpret_cast<Stream*>(base);
  try {
    if (stream.body.add(buffer, size)) return 0;
    return stream.http->peers->failed(system_error("cannot keep what is to be sent", errno));
  } catch (const std::exception& e) {
    return stream.http->peers->failed(fail("os.enomem", e.what()).value());
  }
}

void free_stream(git_smart_subtransport_stream* base) {
  auto* stream = reinterpret_cast<Stream*>(base);
  end(*stream);
  if (stream->http->current == stream) stream->http->current = nullptr;
  delete stream;
}

int act(git_smart_subtransport_stream** out, git_smart_subtransport* base, const char* url,
        git_smart_service_t action) {
  auto& http = *reinterpret_cast<Http*>(base);
  try {
    if (!http.url_known) {
      auto parsed = parse_git_url(url);
      if (!parsed) return http.peers->failed(std::move(parsed.error()));
      auto granted = http.peers->contact(*parsed);
      if (!granted) return http.peers->failed(std::move(granted.error()));
      http.url = std::move(*parsed);
      http.private_addresses = (*granted)->private_addresses;
      http.url_known = true;
    }
    auto stream = std::make_unique<Stream>();
    stream->base.subtransport = base;
    stream->base.read = read_stream;
    stream->base.write = write_stream;
    stream->base.free = free_stream;
    stream->http = &http;
    stream->action = action;
    if (http.current != nullptr) end(*http.current);
    http.current = stream.get();
    *out = &stream.release()->base;
    return 0;
  } catch (const std::exception& e) {
    return http.peers->failed(fail("os.enomem", e.what()).value());
  }
}

int close_http(git_smart_subtransport*) { return 0; }

void free_http(git_smart_subtransport* base) {
  auto* http = reinterpret_cast<Http*>(base);
  curl_easy_cleanup(http->easy);
  curl_multi_cleanup(http->multi);
  delete http;
}

}  // namespace

int http_subtransport(git_smart_subtransport** out, git_transport*, void* peers) {
  auto http = std::make_unique<Http>();
  http->peers = static_cast<Peers*>(peers);
  http->base.action = act;
  http->base.close = close_http;
  http->base.free = free_http;
  http->easy = curl_easy_init();
  http->multi = curl_multi_init();
  if (http->easy == nullptr || http->multi == nullptr) {
    curl_easy_cleanup(http->easy);
    curl_multi_cleanup(http->multi);
    return http->peers->failed(fail("os.enomem", "libcurl cannot be used").value());
  }
  *out = &http.release()->base;
  return 0;
}

}  // namespace pf::services::io
