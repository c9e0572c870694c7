#include "services/http.h"

#include <dlfcn.h>

#include <algorithm>
#include <map>

#include "base/digest.h"
#include "base/places.h"
#include "base/version.h"
#include "services/net_module.h"

namespace pf::services {
namespace {

using std::chrono::steady_clock;

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

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
  std::string message, headers, body;
};

Headers parse_headers(std::string_view block) {
  Headers out;
  while (!block.empty()) {
    size_t end = block.find('\n');
    std::string_view line = block.substr(0, end);
    block.remove_prefix(end == std::string_view::npos ? block.size() : end + 1);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    const auto trim = [](std::string_view text) {
      while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
      while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
      return text;
    };
    if (line.empty()) continue;
    if (line[0] == ' ' || line[0] == '\t') {  // a folded line goes on with the last value
      if (!out.empty()) out.back().second += " " + std::string(trim(line));
      continue;
    }
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    out.emplace_back(lower(trim(line.substr(0, colon))), trim(line.substr(colon + 1)));
  }
  Headers joined;
  std::map<std::string, size_t> at;
  for (auto& [name, value] : out) {
    if (auto [found, fresh] = at.try_emplace(name, joined.size()); fresh)
      joined.emplace_back(name, value);
    else
      joined[found->second].second += ", " + value;
  }
  return joined;
}

const std::string* find(const Headers& headers, std::string_view name) {
  for (const auto& [key, value] : headers) {
    if (lower(key) == name) return &value;
  }
  return nullptr;
}

void drop(Headers& headers, std::initializer_list<std::string_view> names) {
  std::erase_if(headers, [&](const auto& header) {
    return std::find(names.begin(), names.end(), lower(header.first)) != names.end();
  });
}

// Credentials stay with the host that they were meant for. From http to https of the same host is no change.
bool same_place(const Url& a, const Url& b) {
  if (a.host != b.host || a.v6 != b.v6) return false;
  if (a.scheme == b.scheme && a.port == b.port) return true;
  return a.scheme == "http" && a.port == 80 && b.scheme == "https" && b.port == 443;
}

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
  Http::Check check;
  Http::Done done;
  int hop = 0;
  steady_clock::time_point deadline;
};

Error error_of(const Raw& raw, const Pending& p) {
  const std::string what = p.request.method + " " + p.request.url.text();
  switch (raw.outcome) {
    case PF_NET_TIMEOUT:
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
    case PF_NET_PROTOCOL:
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
    if (handle_ != nullptr) table_->destroy(handle_);
  }

  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  uint64_t submit(HttpRequest request, Check check, Done done) override {
    const uint64_t id = next_++;
    Pending& p = pending_[id];
    p.request = std::move(request);
    p.check = std::move(check);
    p.done = std::move(done);
    p.deadline = steady_clock::now() + p.request.timeout;
    if (auto sent = send(id, p); !sent) end_later(id, std::move(sent.error()));
    return id;
  }

  void cancel(uint64_t id) override {
    if (pending_.erase(id) != 0 && handle_ != nullptr) table_->cancel(handle_, id);
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
    if (left.count() <= 0) {
      return fail("http.timeout", r.method + " " + r.url.text() + ": no time is left after redirects",
                  "give a longer `timeout` (seconds), or try again later");
    }
    if (!r.url.user.empty()) {
      if (find(r.headers, "authorization") == nullptr) {
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
    out.has_body = r.body.has_value() ? 1 : 0;
    out.body = r.body ? r.body->data() : nullptr;
    out.body_size = r.body ? r.body->size() : 0;
    out.timeout_ms = static_cast<uint32_t>(std::min<int64_t>(left.count(), INT32_MAX));
    out.connect_timeout_ms =
        static_cast<uint32_t>(std::clamp<int64_t>(r.connect_timeout.count(), 1, out.timeout_ms));
    out.max_body = r.max_body;
    out.max_headers = kMaxHttpHeaders;
    out.allow_private = access->private_addresses ? 1 : 0;
    out.user_agent = agent.c_str();
    out.ca_file = options_.ca_file.empty() ? nullptr : options_.ca_file.c_str();
    if (table_->submit(handle_, &out) != 0) {
      return fail("http.internal", r.method + " " + url + ": the HTTP module takes no request",
                  "check this machine's free memory and limit of threads");
    }
    return {};
  }

  // On a thread of the module, which is joined before this object goes.
  static void on_done(void* context, const pf_net_response* response) {
    auto* self = static_cast<Client*>(context);
    auto raw = std::make_shared<Raw>();
    raw->id = response->id;
    raw->outcome = response->outcome;
    raw->status = response->status;
    if (response->outcome == PF_NET_OK) {
      raw->headers.assign(response->headers, response->headers_size);
      raw->body.assign(response->body, response->body_size);
    } else {
      raw->message = response->message;
    }
    self->post_([alive = self->alive_, raw] {
      if (*alive != nullptr) (*alive)->answered(*raw);
    });
  }

  void answered(Raw& raw) {
    auto found = pending_.find(raw.id);
    if (found == pending_.end()) return;  // cancelled meanwhile
    Pending& p = found->second;
    if (raw.outcome != PF_NET_OK) return end(raw.id, tl::unexpected(error_of(raw, p)));
    HttpResponse response;
    response.status = raw.status;
    response.headers = parse_headers(raw.headers);
    const bool redirect =
        raw.status == 301 || raw.status == 302 || raw.status == 303 || raw.status == 307 || raw.status == 308;
    const std::string* location = redirect ? find(response.headers, "location") : nullptr;
    if (location != nullptr) {
      if (auto sent = follow(raw.id, p, raw.status, *location); !sent)
        end(raw.id, tl::unexpected(sent.error()));
      return;
    }
    response.body = std::move(raw.body);
    response.url = p.request.url;
    end(raw.id, std::move(response));
  }

  Result<void> follow(uint64_t id, Pending& p, int status, const std::string& location) {
    HttpRequest& r = p.request;
    if (++p.hop > kMaxRedirects) {
      return refuse(
          "http.redirects",
          r.method + " " + r.url.text() + ": more than " + std::to_string(kMaxRedirects) + " redirects",
          "ask for the address that the server redirects to, if it is not a circle");
    }
    auto next = resolve(r.url, location);
    if (!next) return tl::unexpected(next.error());
    if (!same_place(r.url, *next)) drop(r.headers, {"authorization", "cookie"});
    const bool to_get =
        (status == 303 && r.method != "HEAD") || ((status == 301 || status == 302) && r.method == "POST");
    if (to_get) {  // RFC 9110, section 15.4
      r.method = "GET";
      r.body.reset();
      drop(r.headers, {"content-type", "content-encoding", "content-language", "content-location"});
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
