// The net module: libcurl's multi interface behind the table of net_module.h. Two loops, each a thread with a
// multi handle of its own: one for requests that may reach public addresses only, one for those that may
// reach private ones. They share no connections, so that a request of the first kind can never ride on a
// connection of the second.
#include <curl/curl.h>
#include <locale.h>
#include <pthread.h>
#include <signal.h>
#include <strings.h>

#include <cstdio>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "services/address.h"
#include "services/net_module.h"

namespace {

/// One request on its way; belongs to its loop's thread once submitted.
struct Transfer {
  ~Transfer() {
    curl_easy_cleanup(easy);
    curl_slist_free_all(headers);
  }

  uint64_t id = 0;
  std::string method, url, body, user_agent, ca_file;
  std::vector<std::string> lines;  // request headers as libcurl wants them
  bool has_body = false;
  bool allow_private = false;
  uint32_t timeout_ms = 0;
  uint32_t connect_timeout_ms = 0;
  uint64_t max_body = 0;
  uint64_t max_headers = 0;

  CURL* easy = nullptr;
  curl_slist* headers = nullptr;
  char error[CURL_ERROR_SIZE] = {};
  std::string answer_headers;
  std::string answer_body;
  bool too_big = false;
  std::string refused_address;
};

bool equal_nocase(const char* a, const char* b, size_t size) { return strncasecmp(a, b, size) == 0; }

size_t on_body(char* data, size_t size, size_t count, void* context) {
  auto& t = *static_cast<Transfer*>(context);
  const size_t bytes = size * count;
  if (t.answer_body.size() + bytes > t.max_body) {
    t.too_big = true;
    return 0;
  }
  try {
    t.answer_body.append(data, bytes);
  } catch (...) {
    return 0;
  }
  return bytes;
}

size_t on_header(char* data, size_t size, size_t count, void* context) {
  auto& t = *static_cast<Transfer*>(context);
  const size_t bytes = size * count;
  // A status line begins another answer: what an interim one (100, 103) said does not count.
  if (bytes > 5 && std::memcmp(data, "HTTP/", 5) == 0) {
    t.answer_headers.clear();
    return bytes;
  }
  if (t.answer_headers.size() + bytes > t.max_headers) {
    t.too_big = true;
    return 0;
  }
  try {
    t.answer_headers.append(data, bytes);
  } catch (...) {
    return 0;
  }
  return bytes;
}

// The address that is really connected to is judged here, after resolution: a name cannot change its mind in
// between.
curl_socket_t on_open_socket(void* context, curlsocktype purpose, curl_sockaddr* address) {
  auto& t = *static_cast<Transfer*>(context);
  if (purpose != CURLSOCKTYPE_IPCXN) return CURL_SOCKET_BAD;
  if (!t.allow_private && pf::services::is_private(&address->addr)) {
    char text[INET6_ADDRSTRLEN] = "?";
    if (address->family == AF_INET) {
      const auto* v4 = reinterpret_cast<const sockaddr_in*>(&address->addr);
      inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
    } else if (address->family == AF_INET6) {
      const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&address->addr);
      inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
    }
    try {
      t.refused_address = text;
    } catch (...) {
      t.refused_address.clear();
    }
    return CURL_SOCKET_BAD;
  }
  return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

pf_net_outcome outcome_of(CURLcode code, const Transfer& t) {
  if (t.too_big) return PF_NET_TOO_BIG;
  switch (code) {
    case CURLE_OK: return PF_NET_OK;
    case CURLE_OPERATION_TIMEDOUT: return PF_NET_TIMEOUT;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY: return PF_NET_RESOLVE;
    case CURLE_COULDNT_CONNECT: return t.refused_address.empty() ? PF_NET_CONNECT : PF_NET_ADDRESS;
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING: return PF_NET_CONNECT;
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

bool set_up(Transfer& t) {
  t.easy = curl_easy_init();
  if (t.easy == nullptr) return false;
  bool ok = true;
  const auto set = [&](CURLoption option, auto value) {
    if (curl_easy_setopt(t.easy, option, value) != CURLE_OK) ok = false;
  };
  set(CURLOPT_PRIVATE, static_cast<void*>(&t));
  set(CURLOPT_URL, t.url.c_str());
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
  set(CURLOPT_PROXY,
      "");  // none, whatever the environment says: behind a proxy the address cannot be checked
  set(CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  set(CURLOPT_SSL_VERIFYPEER, 1L);
  set(CURLOPT_SSL_VERIFYHOST, 2L);
  set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (!t.ca_file.empty()) set(CURLOPT_CAINFO, t.ca_file.c_str());
  set(CURLOPT_USERAGENT, t.user_agent.c_str());
  set(CURLOPT_ACCEPT_ENCODING, "");
  set(CURLOPT_TIMEOUT_MS, static_cast<long>(t.timeout_ms));
  set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(t.connect_timeout_ms));
  set(CURLOPT_BUFFERSIZE, 131072L);
  set(CURLOPT_ERRORBUFFER, t.error);
  set(CURLOPT_WRITEFUNCTION, on_body);
  set(CURLOPT_WRITEDATA, static_cast<void*>(&t));
  set(CURLOPT_HEADERFUNCTION, on_header);
  set(CURLOPT_HEADERDATA, static_cast<void*>(&t));
  set(CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
  set(CURLOPT_OPENSOCKETDATA, static_cast<void*>(&t));
#if LIBCURL_VERSION_NUM >= 0x075700
  set(CURLOPT_QUICK_EXIT, 1L);  // a name server that does not answer must not hold up a cancel
#endif

  const bool sends = t.has_body || t.method == "POST" || t.method == "PUT" || t.method == "PATCH";
  if (t.method == "HEAD") {
    set(CURLOPT_NOBODY, 1L);
  } else if (sends) {
    set(CURLOPT_POST, 1L);
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(t.body.size()));
    set(CURLOPT_POSTFIELDS, t.body.c_str());
  }
  if (t.method != "HEAD") set(CURLOPT_CUSTOMREQUEST, t.method.c_str());

  bool has_type = false;
  const auto add = [&](const char* line) {
    curl_slist* grown = curl_slist_append(t.headers, line);
    if (grown == nullptr)
      ok = false;
    else
      t.headers = grown;
  };
  for (const std::string& line : t.lines) {
    if (equal_nocase(line.c_str(), "content-type", 12) && (line[12] == ':' || line[12] == ';'))
      has_type = true;
    add(line.c_str());
  }
  add("Expect:");                                // no waiting for 100 Continue
  if (sends && !has_type) add("Content-Type:");  // else libcurl says it is a form
  set(CURLOPT_HTTPHEADER, t.headers);
  return ok;
}

/// A thread with a multi handle.
class Loop {
 public:
  Loop(pf_net_done done, void* context) : done_(done), context_(context) {}

  ~Loop() {
    {
      std::lock_guard lock(mutex_);
      stop_ = true;
    }
    if (multi_ != nullptr) curl_multi_wakeup(multi_);
    if (thread_.joinable()) thread_.join();
    for (auto& [id, transfer] : running_) curl_multi_remove_handle(multi_, transfer->easy);
    running_.clear();
    if (multi_ != nullptr) curl_multi_cleanup(multi_);
  }

  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  bool submit(std::unique_ptr<Transfer> transfer) {
    std::lock_guard lock(mutex_);
    if (!thread_.joinable() && !start()) return false;
    added_.push_back(std::move(transfer));
    curl_multi_wakeup(multi_);
    return true;
  }

  void cancel(uint64_t id) {
    std::lock_guard lock(mutex_);
    if (!thread_.joinable()) return;
    cancelled_.push_back(id);
    curl_multi_wakeup(multi_);
  }

 private:
  bool start() {
    multi_ = curl_multi_init();
    if (multi_ == nullptr) return false;
    curl_multi_setopt(multi_, CURLMOPT_MAX_TOTAL_CONNECTIONS, 128L);
    curl_multi_setopt(multi_, CURLMOPT_MAX_HOST_CONNECTIONS, 32L);
    // The program's signals are for its own thread; resolver threads inherit the mask.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = true;
    try {
      thread_ = std::thread([this] { run(); });
    } catch (...) {
      started = false;
      curl_multi_cleanup(multi_);
      multi_ = nullptr;
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return started;
  }

  void run() {
    while (true) {
      std::vector<std::unique_ptr<Transfer>> added;
      std::vector<uint64_t> cancelled;
      {
        std::lock_guard lock(mutex_);
        if (stop_) return;
        added.swap(added_);
        cancelled.swap(cancelled_);
      }
      for (auto& transfer : added) begin(std::move(transfer));
      for (uint64_t id : cancelled) {
        if (auto found = running_.find(id); found != running_.end()) {
          curl_multi_remove_handle(multi_, found->second->easy);
          running_.erase(found);
        }
      }
      int active = 0;
      curl_multi_perform(multi_, &active);
      int left = 0;
      while (CURLMsg* message = curl_multi_info_read(multi_, &left)) {
        if (message->msg != CURLMSG_DONE) continue;
        void* pointer = nullptr;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &pointer);
        const CURLcode code = message->data.result;  // the message dies with the handle's removal
        auto* transfer = static_cast<Transfer*>(pointer);
        curl_multi_remove_handle(multi_, transfer->easy);
        finish(*transfer, code);
        running_.erase(transfer->id);
      }
      curl_multi_poll(multi_, nullptr, 0, 60000, nullptr);
    }
  }

  void begin(std::unique_ptr<Transfer> transfer) {
    const uint64_t id = transfer->id;
    try {
      const auto [at, fresh] = running_.try_emplace(id, std::move(transfer));
      if (fresh) {
        Transfer& t = *at->second;
        if (set_up(t) && curl_multi_add_handle(multi_, t.easy) == CURLM_OK) return;
        running_.erase(at);
      }
    } catch (...) {  // no memory for the table's entry: nothing was entered
    }
    answer(id, PF_NET_INTERNAL, "the request could not be set up");
  }

  void answer(uint64_t id, pf_net_outcome outcome, const char* message) {
    pf_net_response response{};
    response.id = id;
    response.outcome = outcome;
    response.message = message;
    done_(context_, &response);
  }

  void finish(Transfer& t, CURLcode code) {
    const pf_net_outcome outcome = outcome_of(code, t);
    if (outcome != PF_NET_OK) {
      const char* text = t.error[0] != '\0' ? t.error : curl_easy_strerror(code);
      answer(t.id, outcome, outcome == PF_NET_ADDRESS ? t.refused_address.c_str() : text);
      return;
    }
    long status = 0;
    curl_easy_getinfo(t.easy, CURLINFO_RESPONSE_CODE, &status);
    pf_net_response response{};
    response.id = t.id;
    response.outcome = PF_NET_OK;
    response.message = "";
    response.status = static_cast<int>(status);
    response.headers = t.answer_headers.data();
    response.headers_size = t.answer_headers.size();
    response.body = t.answer_body.data();
    response.body_size = t.answer_body.size();
    done_(context_, &response);
  }

  pf_net_done done_;
  void* context_;
  CURLM* multi_ = nullptr;
  std::thread thread_;
  std::mutex mutex_;  // guards the next three
  bool stop_ = false;
  std::vector<std::unique_ptr<Transfer>> added_;
  std::vector<uint64_t> cancelled_;
  std::unordered_map<uint64_t, std::unique_ptr<Transfer>> running_;  // the thread's own
};

struct Net {
  Net(pf_net_done done, void* context) : open(done, context), guarded(done, context) {}
  Loop open;     // allow_private
  Loop guarded;  // public addresses only
};

void* net_create(pf_net_done done, void* context, char* message, size_t message_size) {
  static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (ready != CURLE_OK) {
    std::snprintf(message, message_size, "libcurl does not start: %s", curl_easy_strerror(ready));
    return nullptr;
  }
  try {
    return new Net(done, context);
  } catch (...) {
    std::snprintf(message, message_size, "no memory");
    return nullptr;
  }
}

void net_destroy(void* handle) { delete static_cast<Net*>(handle); }

int net_submit(void* handle, const pf_net_request* request) {
  try {
    auto t = std::make_unique<Transfer>();
    t->id = request->id;
    t->method = request->method;
    t->url = request->url;
    t->has_body = request->has_body != 0;
    if (t->has_body) t->body.assign(request->body, request->body_size);
    t->user_agent = request->user_agent;
    if (request->ca_file != nullptr) t->ca_file = request->ca_file;
    t->timeout_ms = request->timeout_ms;
    t->connect_timeout_ms = request->connect_timeout_ms;
    t->max_body = request->max_body;
    t->max_headers = request->max_headers;
    t->allow_private = request->allow_private != 0;
    for (size_t i = 0; i < request->header_count; ++i) {
      const std::string value = request->headers[2 * i + 1];
      // `Name:` would take the header away: `Name;` is libcurl's way to send it empty.
      t->lines.push_back(request->headers[2 * i] + (value.empty() ? std::string(";") : ": " + value));
    }
    auto& net = *static_cast<Net*>(handle);
    Loop& loop = t->allow_private ? net.open : net.guarded;
    return loop.submit(std::move(t)) ? 0 : -1;
  } catch (...) {
    return -1;
  }
}

void net_cancel(void* handle, uint64_t id) {
  try {
    auto& net = *static_cast<Net*>(handle);
    net.open.cancel(id);
    net.guarded.cancel(id);
  } catch (...) {  // no memory to note it: the request ends by its timeout, and its answer is dropped
  }
}

int net_host_to_ascii(const char* host, char* out, size_t out_size) {
#ifdef CURLU_PUNYCODE
  // libcurl takes the name in the locale's encoding, whatever that is: here it is UTF-8, for this thread and
  // moment.
  const locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
  if (utf8 == nullptr) return -1;
  const locale_t before = uselocale(utf8);
  CURLU* url = curl_url();
  int result = -1;
  char* ascii = nullptr;
  if (url != nullptr && curl_url_set(url, CURLUPART_SCHEME, "http", 0) == CURLUE_OK &&
      curl_url_set(url, CURLUPART_HOST, host, 0) == CURLUE_OK &&
      curl_url_get(url, CURLUPART_HOST, &ascii, CURLU_PUNYCODE) == CURLUE_OK) {
    const int written = std::snprintf(out, out_size, "%s", ascii);
    if (written > 0 && static_cast<size_t>(written) < out_size) result = 0;
  }
  curl_free(ascii);
  curl_url_cleanup(url);
  uselocale(before);
  freelocale(utf8);
  return result;
#else
  // COMPAT: libcurl before 7.88 (Ubuntu 22.04) does not give it out.
  (void)host;
  (void)out;
  (void)out_size;
  return -1;
#endif
}

constexpr pf_net_table kTable = {PF_NET_VERSION, net_create, net_destroy,
                                 net_submit,     net_cancel, net_host_to_ascii};

}  // namespace

extern "C" const pf_net_table* pf_net_module(void) { return &kTable; }
