// forge.http.*: the request is built here from the extension's table, each hop's host is checked against the
// `http` permission, and the net module does the rest. A private address is reached only where the entry that
// allows the host was written by a person and names that very host.
#include <algorithm>
#include <asio/executor_work_guard.hpp>
#include <cmath>

#include "api/attempt.h"
#include "base/json.h"
#include "base/text.h"

namespace pf::api {
namespace {

using registry::Permission;
using services::HttpRequest;
using services::HttpResponse;
using services::Url;

constexpr double kLongestTimeout = 86400;  // seconds
constexpr size_t kErrorExcerpt = 200;      // characters of an error's body that its message shows

/// What the table asked for.
struct Asked {
  HttpRequest request;
  bool raise = false;
};

std::optional<std::string> text_of(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_binary()) return std::string(value.get_binary().begin(), value.get_binary().end());
  return std::nullopt;
}

// Text, number or boolean, as it stands in a query, form or header.
std::optional<std::string> scalar_of(const Json& value) {
  if (auto text = text_of(value)) return text;
  if (value.is_boolean()) return value.get<bool>() ? "true" : "false";
  if (value.is_number_float() && !std::isfinite(value.get<double>())) return std::nullopt;
  if (value.is_number()) return value.dump();
  return std::nullopt;
}

// A map of scalars or lists of scalars, as pairs. An empty Lua table may come as a list.
std::optional<services::Headers> pairs_of(const Json& table) {
  services::Headers out;
  if (table.is_array() && table.empty()) return out;
  if (!table.is_object()) return std::nullopt;
  for (const auto& [name, value] : table.items()) {
    if (value.is_array()) {
      for (const Json& item : value) {
        auto text = scalar_of(item);
        if (!text) return std::nullopt;
        out.emplace_back(name, std::move(*text));
      }
      continue;
    }
    auto text = scalar_of(value);
    if (!text) return std::nullopt;
    out.emplace_back(name, std::move(*text));
  }
  return out;
}

std::string form_text(const services::Headers& pairs) {
  std::string out;
  for (const auto& [name, value] : pairs) {
    if (!out.empty()) out += '&';
    out += services::percent_encode(name) + "=" + services::percent_encode(value);
  }
  return out;
}

// What JSON text cannot hold.
bool is_json(const Json& value) {
  if (value.is_binary()) return false;
  if (value.is_number_float()) return std::isfinite(value.get<double>());
  if (value.is_structured()) return std::all_of(value.begin(), value.end(), is_json);
  return true;
}

bool has_header(const services::Headers& headers, std::string_view name) {
  return std::any_of(headers.begin(), headers.end(), [&](const auto& header) {
    return std::equal(header.first.begin(), header.first.end(), name.begin(), name.end(),
                      [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a - 'A' + 'a' : a) == b; });
  });
}

/// Builds an HttpRequest from the tables of one call; the first mistake ends it.
class Builder {
 public:
  Builder(const registry::Call& call, const Arguments& arguments) : call_(call), in_(arguments) {}

  Result<Asked> build() {
    const bool whole = call_.name == "http.request";
    const size_t place = whole ? 0 : 1;
    Json options = Json::object();
    if (in_.has(place)) {
      auto decoded = from_cbor(in_.raw(place));
      if (!decoded) return bad("the table cannot be read: " + decoded.error().message);
      options = std::move(*decoded);
    }
    if (options.is_array() && options.empty()) options = Json::object();
    std::string url;
    if (whole) {
      auto text = options.contains("url") ? text_of(options["url"]) : std::nullopt;
      if (!text) return bad("`url` must be a string");
      url = std::move(*text);
    } else {
      url = in_.text(0);
      std::string method(call_.name.substr(call_.name.find('.') + 1));
      for (char& c : method) c = static_cast<char>(c - 'a' + 'A');
      out_.request.method = method;
    }
    auto parsed = services::parse_url(url);
    if (!parsed) return tl::unexpected(parsed.error());
    out_.request.url = std::move(*parsed);
    for (auto step : {&Builder::method, &Builder::headers, &Builder::query, &Builder::body, &Builder::rest}) {
      if (auto ok = (this->*step)(options); !ok) return tl::unexpected(ok.error());
    }
    return std::move(out_);
  }

 private:
  tl::unexpected<Error> bad(std::string_view message, std::string hint = {}) const {
    return bad_argument(call_, message, std::move(hint));
  }

  // Null is as good as left out, but for `json`.
  static const Json* given(const Json& options, const char* name) {
    const auto found = options.find(name);
    return found == options.end() || found->is_null() ? nullptr : &*found;
  }

  Result<void> method(const Json& options) {
    const Json* value = given(options, "method");
    if (value == nullptr) return {};
    auto text = text_of(*value);
    if (!text || !services::valid_token(*text) || text->size() > 32)
      return bad("`method` must be a word such as GET");
    for (char& c : *text) {
      if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    }
    if (*text == "CONNECT")
      return bad("the method CONNECT opens tunnels, not requests", "use another method");
    out_.request.method = std::move(*text);
    return {};
  }

  Result<void> headers(const Json& options) {
    const Json* value = given(options, "headers");
    if (value == nullptr) return {};
    auto pairs = pairs_of(*value);
    if (!pairs) return bad("`headers` must be a table of names and texts, or lists of texts");
    for (const auto& [name, text] : *pairs) {
      if (!services::valid_token(name)) return bad("'" + shorten(name, 60) + "' is no header name");
      if (!services::valid_value(text)) return bad("the header " + name + " holds control characters");
      // They say where the request goes and where it ends: the door has checked another place than they would
      // name.
      for (std::string_view own : {"host", "content-length", "transfer-encoding", "connection", "keep-alive",
                                   "upgrade", "te", "trailer", "expect", "http2-settings"}) {
        if (has_header({{name, ""}}, own)) {
          return bad("the header " + name + " is set by the program", "leave it out");
        }
      }
      if (name.size() > 6 && has_header({{name.substr(0, 6), ""}}, "proxy-")) {
        return bad("the header " + name + " is for proxies", "leave it out");
      }
    }
    out_.request.headers = std::move(*pairs);
    return {};
  }

  Result<void> query(const Json& options) {
    const Json* value = given(options, "query");
    if (value == nullptr) return {};
    auto pairs = pairs_of(*value);
    if (!pairs)
      return bad("`query` must be a table of names and texts, numbers or booleans, or lists of these");
    if (pairs->empty()) return {};
    std::string& target = out_.request.url.target;
    const size_t mark = target.find('?');
    if (mark == std::string::npos)
      target += '?';
    else if (mark + 1 < target.size() && target.back() != '&')
      target += '&';
    target += form_text(*pairs);
    return {};
  }

  Result<void> body(const Json& options) {
    const bool json = options.contains("json");
    const Json* form = given(options, "form");
    const Json* raw = given(options, "body");
    if (json + (form != nullptr) + (raw != nullptr) > 1)
      return bad("`json`, `form` and `body` exclude each other");
    HttpRequest& r = out_.request;
    std::string type;
    if (json) {
      if (!is_json(options["json"]))
        return bad("`json` holds what JSON cannot: bytes that are no UTF-8, NaN or infinity");
      r.body = to_json_text(options["json"]);
      type = "application/json";
    } else if (form != nullptr) {
      auto pairs = pairs_of(*form);
      if (!pairs)
        return bad("`form` must be a table of names and texts, numbers or booleans, or lists of these");
      r.body = form_text(*pairs);
      type = "application/x-www-form-urlencoded";
    } else if (raw != nullptr) {
      auto text = text_of(*raw);
      if (!text) return bad("`body` must be a string", "for a table use `json` or `form`");
      r.body = std::move(*text);
    }
    if (!r.body) return {};
    if (r.method == "HEAD" || r.method == "TRACE") return bad("a " + r.method + " request has no body");
    if (!type.empty() && !has_header(r.headers, "content-type")) r.headers.emplace_back("Content-Type", type);
    return {};
  }

  Result<void> rest(const Json& options) {
    for (auto [name, field] : {std::pair{"timeout", &HttpRequest::timeout},
                               std::pair{"connect_timeout", &HttpRequest::connect_timeout}}) {
      const Json* value = given(options, name);
      if (value == nullptr) continue;
      const double seconds = value->is_number() ? value->get<double>() : 0;
      if (!(seconds >= 0.001) || seconds > kLongestTimeout) {
        return bad("`" + std::string(name) + "` must be a number of seconds, from 0.001 to 86400");
      }
      out_.request.*field = Milliseconds(static_cast<int64_t>(seconds * 1000));
    }
    const Json* raise = given(options, "raise");
    if (raise == nullptr) return {};
    if (!raise->is_boolean()) return bad("`raise` must be true or false");
    out_.raise = raise->get<bool>();
    return {};
  }

  const registry::Call& call_;
  const Arguments& in_;
  Asked out_;
};

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

// What is written into the audit record: no user information, query or fragment, which may hold secrets.
std::string audited(const Url& url) {
  Url bare = url;
  bare.target.resize(std::min(bare.target.size(), bare.target.find('?')));
  return bare.text();
}

/// The permission check of one request, hop by hop.
class HopCheck {
 public:
  HopCheck(std::shared_ptr<Attempt> attempt, const registry::Call& call)
      : attempt_(std::move(attempt)), call_(call) {}

  Result<services::HttpAccess> operator()(const Url& url, int hop) {
    last_ = url;
    hop_ = hop;
    services::HttpAccess access;
    bool granted = false;
    for (const HostGrant& grant : hosts(*attempt_)) {
      if (!services::matches(grant.pattern, url)) continue;
      granted = true;
      if (grant.literal && !grant.pattern.wildcard) access.private_addresses = true;
    }
    if (!granted) {
      const std::string way = hop == 0 ? "" : "a redirect led to ";
      return tl::unexpected(attempt_->refuse(call_, Permission::http,
                                             way + audited(url) + ", which no entry of `http` covers",
                                             audited(url), url.place(), hop));
    }
    attempt_->allow(call_, audited(url), {}, hop);
    return access;
  }

  // The host is granted, but lies on this machine or in its network.
  Error private_address(const Error& error) {
    Error refused =
        attempt_->refuse(call_, Permission::http, error.message, audited(last_), last_.place(), hop_);
    refused.hint =
        "private and loopback addresses need an entry that names this host itself, written in the manifest "
        "or by the operator; " +
        refused.hint;
    return refused;
  }

 private:
  std::shared_ptr<Attempt> attempt_;
  const registry::Call& call_;
  Url last_;
  int hop_ = 0;
};

std::string encode(const HttpResponse& response) {
  std::string out;
  out.reserve(response.body.size() + 1024);
  cbor::Writer writer(out);
  writer.map(4);
  writer.text("status");
  writer.integer(response.status);
  writer.text("headers");
  writer.map(response.headers.size());
  for (const auto& [name, value] : response.headers) {
    writer.text_or_bytes(name);
    writer.text_or_bytes(value);
  }
  writer.text("body");
  writer.text_or_bytes(response.body);
  writer.text("url");
  writer.text_or_bytes(response.url.text());
  return out;
}

Error status_error(const std::string& method, const HttpResponse& response) {
  Error error;
  error.code = "http.status";
  error.message =
      method + " " + response.url.text() + " was answered with status " + std::to_string(response.status);
  if (!response.body.empty() && cbor::is_utf8(response.body)) {
    error.message +=
        ": " + shorten(std::string_view(response.body).substr(0, 4 * kErrorExcerpt), kErrorExcerpt);
  }
  error.hint = "leave out `raise` to get the answer whatever its status";
  const int s = response.status;
  error.retryable = s >= 500 || s == 408 || s == 425 || s == 429;
  return error;
}

void request(Request call) {
  auto asked = Builder(call.call, call.arguments).build();
  if (!asked) {
    call.answer(tl::unexpected(std::move(asked.error())));
    return;
  }
  Attempt& attempt = *call.attempt;
  services::Http& http = attempt.hall.http();
  auto check = std::make_shared<HopCheck>(call.attempt, call.call);
  auto cancel_id = std::make_shared<uint64_t>(0);
  std::string method = asked->request.method;
  const uint64_t id = http.submit(
      std::move(asked->request), [check](const Url& url, int hop) { return (*check)(url, hop); },
      [attempt_held = call.attempt, check, cancel_id, raise = asked->raise, method = std::move(method),
       answer = std::move(call.answer),
       guard = std::make_shared<asio::executor_work_guard<asio::io_context::executor_type>>(
           attempt.hall.loop.get_executor())](Result<HttpResponse> response) {
        attempt_held->forget(*cancel_id);
        if (!response && response.error().code == "http.address") {
          answer(tl::unexpected(check->private_address(response.error())));
        } else if (!response) {
          answer(tl::unexpected(std::move(response.error())));
        } else if (raise && response->status >= 400) {
          answer(tl::unexpected(status_error(method, *response)));
        } else {
          answer(encode(*response));
        }
      });
  *cancel_id = attempt.on_close([&http, id] { http.cancel(id); });
}

constexpr Handled kCalls[] = {
    {"http.request", request}, {"http.get", request},   {"http.head", request},   {"http.post", request},
    {"http.put", request},     {"http.patch", request}, {"http.delete", request},
};

}  // namespace

std::span<const Handled> http_calls() { return kCalls; }

}  // namespace pf::api
