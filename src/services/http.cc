#include "services/http.h"

#include <dlfcn.h>

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>

#include "base/digest.h"
#include "base/places.h"
#include "base/version.h"
#include "services/net_module.h"

namespace pf::services {
namespace {

using std::chrono::steady_clock;

Result<const pf_net_table*> load(const std::filesystem::path& path) {
  const auto failed = [&](const std::string& why) {
    return refuse(
        "http.module", "the HTTP module " + path.string() + " cannot be used: " + why,
        "install the program again, with libcurl 4; the module belongs beside the program, in ../lib");
  };
  // Never unloaded: libcurl keeps global state, and resolver threads may outlive a cancelled request.
  void* library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (library == nullptr) {
    const char* why = ::dlerror();
    return failed(why != nullptr ? why : "unknown reason");
  }
  auto function = reinterpret_cast<decltype(&pf_net_module)>(::dlsym(library, "pf_net_module"));
  if (function == nullptr) return failed("it exports no pf_net_module");
  const pf_net_table* table = function();
  if (table->version != PF_NET_VERSION) {
    return failed("it speaks version " + std::to_string(table->version) + ", the program version " +
                  std::to_string(PF_NET_VERSION));
  }
  return table;
}

// A response, copied out of the module's thread.
struct Raw {
  uint64_t id = 0;
  int outcome = 0;
  int status = 0;
  bool by_source = false;  // where it was stopped
  std::string message, body;
  Headers headers;
};

Error make_error(std::string code, std::string message, std::string hint, bool retryable) {
  Error error;
  error.code = std::move(code);
  error.message = std::move(message);
  error.hint = std::move(hint);
  error.retryable = retryable;
  return error;
}

struct Pending {
  HttpRequest request;
  std::unique_ptr<HttpRequest> first;  // as it was asked for, where it may be repeated
  Http::Check check;
  Http::Done done;
  int hop = 0;
  int attempt = 1;
  std::function<void()> not_yet;  // takes that back
  steady_clock::time_point deadline;
};

bool repeatable(const HttpRequest& r) {
  if (r.retry.attempts <= 1) return false;
  return r.retry.any_method || r.method == "GET" || r.method == "HEAD" || r.method == "OPTIONS" ||
         r.method == "TRACE" || r.method == "PUT" || r.method == "DELETE";
}

// The connection failed, before or amid the answer.
bool broken(int outcome) {
  return outcome == PF_NET_RESOLVE || outcome == PF_NET_CONNECT || outcome == PF_NET_BROKEN ||
         outcome == PF_NET_CONNECT_TIMEOUT || outcome == PF_NET_TLS;
}

/// Source and sink of one hop, for as long as the module may call them.
struct Stream {
  std::shared_ptr<BodySource> source;
  std::shared_ptr<BodySink> sink;
  std::shared_ptr<Usage> usage;
  bool taken = false;
  bool source_failed = false;
  Headers headers{};        // of the last answer that was begun
  size_t headers_size = 0;  // that they were read from
};

pf_net_body stream_begin(void* context, int status, const char* headers, size_t size) {
  auto& s = *static_cast<Stream*>(context);
  try {
    s.headers = parse_headers({headers, size});
    s.headers_size = size;
    switch (s.sink->begin(status, s.headers)) {
      case BodySink::Where::take: s.taken = true; return PF_NET_TAKE;
      case BodySink::Where::keep: return PF_NET_KEEP;
      case BodySink::Where::stop: break;
    }
  } catch (const std::exception&) {  // no memory for the headers
  }
  return PF_NET_STOP;
}

int stream_write(void* context, const char* data, size_t size) {
  auto& s = *static_cast<Stream*>(context);
  if (s.usage) s.usage->read(size);
  return s.sink->write({data, size}) ? 0 : -1;
}

ptrdiff_t stream_read(void* context, char* buffer, size_t size) {
  auto& s = *static_cast<Stream*>(context);
  const ptrdiff_t got = s.source->read(buffer, size);
  s.source_failed = s.source_failed || got < 0;
  if (s.usage && got > 0) s.usage->write(static_cast<uint64_t>(got));
  return got;
}

int stream_rewind(void* context) {
  auto& s = *static_cast<Stream*>(context);
  s.source_failed = s.source_failed || !s.source->rewind();
  return s.source_failed ? -1 : 0;
}

void stream_release(void* context) { delete static_cast<Stream*>(context); }

Error error_of(const Raw& raw, const Pending& p) {
  const std::string what = p.request.method + " " + p.request.url.text();
  switch (raw.outcome) {
    case PF_NET_TIMEOUT:
    case PF_NET_CONNECT_TIMEOUT:
      return make_error("http.timeout", what + ": no whole answer in time: " + raw.message,
                        "give a longer `timeout` (seconds), or try again later", true);
    case PF_NET_RESOLVE:
      return make_error("http.resolve", what + ": the host name has no address: " + raw.message,
                        "check the spelling of the host, and this machine's name server", true);
    case PF_NET_CONNECT:
      return make_error("http.connect", what + ": no connection, or it broke: " + raw.message,
                        "check that the server runs and can be reached from this machine", true);
    case PF_NET_ADDRESS:
      return make_error("http.address",
                        what + ": " + p.request.url.host + " resolves to the private address " + raw.message,
                        "", false);
    case PF_NET_TLS:
      return make_error("http.tls", what + ": no TLS connection: " + raw.message,
                        "check that the server speaks TLS 1.2 or later on that port", true);
    case PF_NET_VERIFY:
      return make_error("http.tls", what + ": the server's certificate is not trusted: " + raw.message,
                        "where it is signed by an authority of your own, name its PEM file in SSL_CERT_FILE",
                        false);
    case PF_NET_TOO_BIG:
      return make_error("http.too_big",
                        what + ": the answer is larger than " + std::to_string(p.request.max_body) +
                            " bytes, or its headers than " + std::to_string(kMaxHttpHeaders),
                        "ask for less, in several requests", false);
    case PF_NET_STOPPED: return raw.by_source ? p.request.source->failure() : p.request.sink->failure();
    case PF_NET_PROXY:
      return make_error(
          "http.proxy", what + ": the proxy " + p.request.proxy->place() + " refuses: " + raw.message,
          "check which hosts and ports the proxy lets through, and its user and password in `proxy`", false);
    case PF_NET_PROTOCOL:
    case PF_NET_BROKEN:
      return make_error("http.protocol", what + ": the answer is cut off or no HTTP: " + raw.message,
                        "check that an HTTP server answers on that port", true);
    default:
      return make_error("http.internal", what + ": the HTTP module failed: " + raw.message,
                        "check this machine's free memory and open files", true);
  }
}

/// The client over the module's table. `alive_` tells functions that are still posted whether it lives.
class Client final : public Http {
 public:
  Client(Post post, Options options) : post_(std::move(post)), options_(std::move(options)) {
    if (options_.module.empty()) options_.module = places::module("net");
  }

  ~Client() override {
    *alive_ = nullptr;
    for (auto& [id, p] : pending_) {
      if (p.not_yet) p.not_yet();
    }
    if (handle_ != nullptr) table_->destroy(handle_);
  }

  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  uint64_t submit(HttpRequest request, Check check, Done done) override {
    const uint64_t id = next_++;
    Pending& p = pending_[id];
    p.request = std::move(request);
    if (repeatable(p.request) && options_.after) p.first = std::make_unique<HttpRequest>(p.request);
    p.check = std::move(check);
    p.done = std::move(done);
    if (auto sent = start_attempt(id, p); !sent) end_later(id, std::move(sent.error()));
    return id;
  }

  void cancel(uint64_t id) override {
    auto node = pending_.extract(id);
    if (node.empty()) return;
    if (node.mapped().not_yet) node.mapped().not_yet();
    if (handle_ != nullptr) table_->cancel(handle_, id);
  }

  Result<std::string> to_ascii(const std::string& host) override {
    if (auto ready = start(); !ready) return tl::unexpected(ready.error());
    char ascii[256];
    bool v6 = false;
    if (table_->host_to_ascii(host.c_str(), ascii, sizeof ascii) == 0) {
      auto normal = normal_host(ascii, v6);
      if (normal && std::all_of(normal->begin(), normal->end(), [](char c) { return (c & 0x80) == 0; }))
        return normal;
    }
    return refuse("http.url", "the host name '" + host + "' has no ASCII form here",
                  "write it in its ASCII form, which begins with xn--");
  }

 private:
  Result<void> start() {
    if (handle_ != nullptr) return {};
    if (table_ == nullptr) {
      auto table = load(options_.module);
      if (!table) return tl::unexpected(table.error());
      table_ = *table;
    }
    char message[256] = {};
    handle_ = table_->create(&Client::on_done, this, message, sizeof message);
    if (handle_ == nullptr)
      return fail("http.module", std::string("the HTTP module does not start: ") + message);
    return {};
  }

  Result<void> start_attempt(uint64_t id, Pending& p) {
    p.hop = 0;
    p.deadline = steady_clock::now() + p.request.timeout;
    return send(id, p);
  }

  // Sends the next hop.
  Result<void> send(uint64_t id, Pending& p) {
    HttpRequest& r = p.request;
    if (r.url.international()) {
      auto ascii = to_ascii(r.url.host);
      if (!ascii) return tl::unexpected(ascii.error());
      r.url.host = std::move(*ascii);
    }
    auto access = p.check(r.url, p.hop);
    if (!access) return tl::unexpected(access.error());
    if (auto ready = start(); !ready) return ready;
    const auto left = std::chrono::duration_cast<Milliseconds>(p.deadline - steady_clock::now());
    if (r.timeout.count() > 0 && left.count() <= 0) {
      return fail("http.timeout", r.method + " " + r.url.text() + ": no time is left after redirects",
                  "give a longer `timeout` (seconds), or try again later");
    }
    if (!r.url.user.empty()) {
      if (find_header(r.headers, "authorization") == nullptr) {
        r.headers.emplace_back("Authorization", "Basic " + base64_encode(r.url.user));
      }
      r.url.user.clear();
    }
    std::vector<const char*> headers;
    for (const auto& [name, value] : r.headers) {
      headers.push_back(name.c_str());
      headers.push_back(value.c_str());
    }
    const std::string url = r.url.text();
    const std::string agent = std::string("pangeo-forge/") + kVersion;
    pf_net_request out{};
    out.id = id;
    out.method = r.method.c_str();
    out.url = url.c_str();
    out.headers = headers.data();
    out.header_count = r.headers.size();
    out.has_body = r.body.has_value() || r.source ? 1 : 0;
    out.body = r.body ? r.body->data() : nullptr;
    out.body_size = r.body ? r.body->size() : r.source ? r.source->size() : 0;
    const int64_t most = r.timeout.count() > 0 ? std::min<int64_t>(left.count(), INT32_MAX) : INT32_MAX;
    out.timeout_ms = r.timeout.count() > 0 ? static_cast<uint32_t>(most) : 0;
    out.connect_timeout_ms = static_cast<uint32_t>(std::clamp<int64_t>(r.connect_timeout.count(), 1, most));
    out.stall_ms = static_cast<uint32_t>(std::clamp<int64_t>(r.stall.count(), 0, INT32_MAX));
    out.max_body = r.max_body;
    out.max_kept = r.max_kept;
    out.cut_kept = r.cut_kept ? 1 : 0;
    out.max_headers = kMaxHttpHeaders;
    out.raw = r.raw ? 1 : 0;
    out.bulk = r.bulk ? 1 : 0;
    out.allow_private = access->private_addresses ? 1 : 0;
    out.user_agent = agent.c_str();
    out.ca_file = options_.ca_file.empty() ? nullptr : options_.ca_file.c_str();
    std::string proxy, proxy_user;
    if (r.proxy) {
      proxy = "http://" + (r.proxy->v6 ? "[" + r.proxy->host + "]" : r.proxy->host) + ":" +
              std::to_string(r.proxy->port);
      proxy_user = r.proxy->user;
      out.proxy = proxy.c_str();
      out.proxy_user = proxy_user.empty() ? nullptr : proxy_user.c_str();
    }
    pf_net_stream stream{};
    if (r.source || r.sink) {
      if (r.source && !r.source->rewind()) return tl::unexpected(r.source->failure());
      if (r.source) {
        stream.read = stream_read;
        stream.rewind = stream_rewind;
      }
      if (r.sink) {
        stream.begin = stream_begin;
        stream.write = stream_write;
      }
      stream.release = stream_release;
      out.stream = &stream;
      out.stream_context = new Stream{r.source, r.sink, r.usage};
    }
    if (table_->submit(handle_, &out) != 0) {
      return fail("http.internal", r.method + " " + url + ": the HTTP module takes no request",
                  "check this machine's free memory and limit of threads");
    }
    if (r.usage && r.body) r.usage->write(r.body->size());
    return {};
  }

  // On a thread of the module, which is joined before this object goes.
  static void on_done(void* context, const pf_net_response* response) {
    auto* self = static_cast<Client*>(context);
    auto raw = std::make_unique<Raw>();
    raw->id = response->id;
    raw->outcome = response->outcome;
    raw->status = response->status;
    auto* stream = static_cast<Stream*>(response->stream_context);
    if (response->outcome == PF_NET_OK) {
      // Trailers come after the beginning.
      if (stream != nullptr && stream->headers_size == response->headers_size)
        raw->headers = std::move(stream->headers);
      else
        raw->headers = parse_headers({response->headers, response->headers_size});
      raw->body.assign(response->body, response->body_size);
      if (stream != nullptr && stream->taken && !stream->sink->end()) raw->outcome = PF_NET_STOPPED;
    } else {
      raw->message = response->message;
      raw->by_source = stream != nullptr && stream->source_failed;
    }
    // Of those that come in a row, one call of the owner's thread takes all.
    {
      std::lock_guard lock(self->answers_mutex_);
      self->answers_.push_back(std::move(raw));
      if (response->more != 0 || self->answers_posted_) return;
      self->answers_posted_ = true;
    }
    self->post_([alive = self->alive_] {
      if (*alive != nullptr) (*alive)->take_answers(alive);
    });
  }

  // The owner may destroy this object in the midst of it.
  void take_answers(const std::shared_ptr<Client*>& alive) {
    std::vector<std::unique_ptr<Raw>> all;
    {
      std::lock_guard lock(answers_mutex_);
      all.swap(answers_);
      answers_posted_ = false;
    }
    for (const auto& raw : all) {
      if (*alive == nullptr) return;
      answered(*raw);
    }
  }

  void answered(Raw& raw) {
    auto found = pending_.find(raw.id);
    if (found == pending_.end()) return;  // cancelled meanwhile
    Pending& p = found->second;
    if (p.request.usage) p.request.usage->read(raw.body.size());
    if (raw.outcome != PF_NET_OK) {
      if (broken(raw.outcome) && again(raw.id, p, nullptr)) return;
      return end(raw.id, tl::unexpected(error_of(raw, p)));
    }
    HttpResponse response;
    response.status = raw.status;
    response.headers = std::move(raw.headers);
    const bool redirect =
        raw.status == 301 || raw.status == 302 || raw.status == 303 || raw.status == 307 || raw.status == 308;
    const std::string* location = redirect ? find_header(response.headers, "location") : nullptr;
    if (location != nullptr && p.request.follow) {
      if (auto sent = follow(raw.id, p, raw.status, *location); !sent)
        end(raw.id, tl::unexpected(sent.error()));
      return;
    }
    if (retryable_status(raw.status) && again(raw.id, p, find_header(response.headers, "retry-after")))
      return;
    response.body = std::move(raw.body);
    response.url = p.request.url;
    response.attempts = p.attempt;
    end(raw.id, std::move(response));
  }

  // Whether the request is made once more, after a while.
  bool again(uint64_t id, Pending& p, const std::string* retry_after) {
    if (!p.first || p.attempt >= p.first->retry.attempts) return false;
    const HttpRetry& retry = p.first->retry;
    Milliseconds wait = backoff(retry.delay, retry.max_delay, p.attempt + 1);
    if (retry_after != nullptr) {
      const auto now =
          std::chrono::duration_cast<std::chrono::seconds>(Clock::system().wall().time_since_epoch());
      const auto asked = parse_retry_after(*retry_after, now.count());
      if (asked && *asked > retry.max_delay) return false;
      if (asked) wait = std::max(wait, *asked);
    }
    ++p.attempt;
    p.not_yet = options_.after(wait, [this, alive = alive_, id] {
      if (*alive == nullptr) return;
      auto found = pending_.find(id);
      if (found == pending_.end()) return;
      found->second.not_yet = nullptr;
      found->second.request = *found->second.first;
      if (auto sent = start_attempt(id, found->second); !sent) end(id, tl::unexpected(sent.error()));
    });
    return true;
  }

  Result<void> follow(uint64_t id, Pending& p, int status, const std::string& location) {
    HttpRequest& r = p.request;
    if (++p.hop > r.max_redirects) {
      return refuse(
          "http.redirects",
          r.method + " " + r.url.text() + ": more than " + std::to_string(r.max_redirects) + " redirects",
          "ask for the address that the server redirects to, if it is not a circle");
    }
    auto next = resolve(r.url, location);
    if (!next) return tl::unexpected(next.error());
    if (!same_place(r.url, *next)) drop_headers(r.headers, {"authorization", "cookie"});
    const bool to_get =
        (status == 303 && r.method != "HEAD") || ((status == 301 || status == 302) && r.method == "POST");
    if (to_get) {  // RFC 9110, section 15.4
      r.method = "GET";
      r.body.reset();
      r.source.reset();
      drop_headers(r.headers, {"content-type", "content-encoding", "content-language", "content-location"});
    }
    r.url = std::move(*next);
    return send(id, p);
  }

  void end(uint64_t id, Result<HttpResponse> result) {
    auto node = pending_.extract(id);
    if (!node.empty()) node.mapped().done(std::move(result));
  }

  void end_later(uint64_t id, Error error) {
    post_([alive = alive_, id, error = std::move(error)] {
      if (*alive != nullptr) (*alive)->end(id, tl::unexpected(error));
    });
  }

  Post post_;
  Options options_;
  const pf_net_table* table_ = nullptr;
  void* handle_ = nullptr;
  uint64_t next_ = 1;
  std::map<uint64_t, Pending> pending_;
  std::shared_ptr<Client*> alive_ = std::make_shared<Client*>(this);
  std::mutex answers_mutex_;  // guards the next two
  std::vector<std::unique_ptr<Raw>> answers_;
  bool answers_posted_ = false;
};

}  // namespace

std::unique_ptr<Http> Http::make(Post post, Options options) {
  return std::make_unique<Client>(std::move(post), std::move(options));
}

bool valid_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

bool valid_value(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte == '\t' || (byte >= 0x20 && byte != 0x7f);
  });
}

}  // namespace pf::services
