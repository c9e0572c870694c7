#include "api/http_options.h"

#include <algorithm>
#include <cmath>

#include "base/digest.h"
#include "base/text.h"
#include "services/http_bodies.h"

namespace pf::api {
namespace {

using registry::Permission;
using services::HttpRequest;

constexpr double kLongestTimeout = 86400;  // seconds

bool same_name(std::string_view a, std::string_view lower) {
  return std::equal(a.begin(), a.end(), lower.begin(), lower.end(),
                    [](char x, char y) { return (x >= 'A' && x <= 'Z' ? x - 'A' + 'a' : x) == y; });
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

// A name within quotes, as browsers write it (the WHATWG's "multipart/form-data encoding algorithm").
std::string quoted_name(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"')
      out += "%22";
    else if (c == '\r')
      out += "%0D";
    else if (c == '\n')
      out += "%0A";
    else
      out += c;
  }
  return out + "\"";
}

std::string base_name(std::string_view path) {
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  return std::string(path.substr(path.rfind('/') + 1));
}

/// Builds an Asked from the tables of one call; the first mistake ends it.
class Builder {
 public:
  Builder(const std::shared_ptr<Attempt>& attempt, const registry::Call& call, const Arguments& arguments)
      : attempt_(*attempt), call_(call), in_(arguments) {}

  Result<Asked> build() {
    const bool whole = call_.name == "http.request";
    const size_t place = whole ? 0 : 1;
    Json options = Json::object();
    if (in_.has(place)) {
      auto decoded = from_cbor(in_.raw(place));
      if (!decoded) return bad_argument(call_, "the table cannot be read: " + decoded.error().message);
      options = std::move(*decoded);
    }
    const OptionReader read(call_, options);
    std::string url;
    if (whole) {
      auto text = options.contains("url") ? text_of(options["url"]) : std::nullopt;
      if (!text) return read.bad("`url` must be a string");
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
    for (auto step :
         {&Builder::method, &Builder::headers, &Builder::query, &Builder::body, &Builder::multipart,
          &Builder::checked_body, &Builder::limits, &Builder::retry, &Builder::proxy, &Builder::to_file}) {
      if (auto ok = (this->*step)(read); !ok) return tl::unexpected(ok.error());
    }
    return std::move(out_);
  }

 private:
  Result<void> method(const OptionReader& read) {
    static constexpr const char* kBodies[] = {"json", "form", "body", "body_file", "multipart"};
    for (const char* name : kBodies) {
      if (read.given(name) != nullptr && call_.name == "http.request") out_.request.method = "POST";
    }
    const Json* value = read.given("method");
    if (value == nullptr) return {};
    auto text = text_of(*value);
    if (!text || !services::valid_token(*text) || text->size() > 32)
      return read.bad("`method` must be a word such as GET");
    for (char& c : *text) {
      if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    }
    if (*text == "CONNECT")
      return read.bad("the method CONNECT opens tunnels, not requests", "use another method");
    out_.request.method = std::move(*text);
    return {};
  }

  Result<void> headers(const OptionReader& read) {
    auto headers = read.headers();
    if (!headers) return tl::unexpected(headers.error());
    out_.request.headers = std::move(*headers);
    return read.credentials(out_.request.url, out_.request.headers);
  }

  Result<void> query(const OptionReader& read) {
    const Json* value = read.given("query");
    if (value == nullptr) return {};
    auto pairs = pairs_of(*value);
    if (!pairs)
      return read.bad("`query` must be a table of names and texts, numbers or booleans, or lists of these");
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

  Result<void> body(const OptionReader& read) {
    const Json* json = read.json();
    const Json* form = read.given("form");
    const Json* raw = read.given("body");
    const Json* file = read.given("body_file");
    const Json* parts = read.given("multipart");
    if ((json != nullptr) + (form != nullptr) + (raw != nullptr) + (file != nullptr) + (parts != nullptr) > 1)
      return read.bad("`json`, `form`, `body`, `body_file` and `multipart` exclude each other");
    HttpRequest& r = out_.request;
    if (json != nullptr) {
      if (!is_json(*json))
        return read.bad("`json` holds what JSON cannot: bytes that are no UTF-8, NaN or infinity");
      r.body = to_json_text(*json);
      type_ = "application/json";
    } else if (form != nullptr) {
      auto pairs = pairs_of(*form);
      if (!pairs)
        return read.bad("`form` must be a table of names and texts, numbers or booleans, or lists of these");
      r.body = form_text(*pairs);
      type_ = "application/x-www-form-urlencoded";
    } else if (raw != nullptr) {
      auto text = text_of(*raw);
      if (!text) return read.bad("`body` must be a string", "for a table use `json` or `form`");
      r.body = std::move(*text);
    } else if (file != nullptr) {
      auto path = text_of(*file);
      if (!path) return read.bad("`body_file` must be a path");
      return add_file(*path);
    }
    return {};
  }

  Result<void> add_file(const std::string& path) {
    auto granted = check_path(attempt_, call_, path, Permission::read);
    if (!granted) return tl::unexpected(granted.error());
    out_.pieces.emplace_back(out_.files.size());
    out_.files.push_back(std::move(*granted));
    return {};
  }

  void add_text(std::string text) {
    if (!out_.pieces.empty()) {
      if (auto* last = std::get_if<std::string>(&out_.pieces.back())) {
        *last += text;
        return;
      }
    }
    out_.pieces.emplace_back(std::move(text));
  }

  // RFC 7578. Names in order, those of a list one after the other.
  Result<void> multipart(const OptionReader& read) {
    const Json* value = read.given("multipart");
    if (value == nullptr) return {};
    if (!value->is_object())
      return read.bad("`multipart` must be a table of names and texts, or tables such as {file = path}");
    const std::string boundary = services::make_boundary();
    for (const auto& [name, content] : value->items()) {
      if (!content.is_array()) {
        if (auto ok = part(read, boundary, name, content); !ok) return ok;
        continue;
      }
      for (const Json& item : content) {
        if (auto ok = part(read, boundary, name, item); !ok) return ok;
      }
    }
    add_text("--" + boundary + "--\r\n");
    type_ = "multipart/form-data; boundary=" + boundary;
    return {};
  }

  Result<void> part(const OptionReader& read, const std::string& boundary, const std::string& name,
                    const Json& content) {
    const std::string where = "multipart." + shorten(name, 60) + ": ";
    std::string head = "--" + boundary + "\r\nContent-Disposition: form-data; name=" + quoted_name(name);
    if (auto text = scalar_of(content)) {
      add_text(head + "\r\n\r\n" + *text + "\r\n");
      return {};
    }
    if (!content.is_object())
      return read.bad(where + "a part is a text, or a table such as {file = path, filename = …, type = …}");
    static const std::vector<std::string> kNames = {"file", "text", "filename", "type"};
    for (const auto& [key, value] : content.items()) {
      if (std::find(kNames.begin(), kNames.end(), key) != kNames.end()) continue;
      const std::string guess = did_you_mean(key, kNames);
      return read.bad(where + "there is no option '" + shorten(key, 60) + "'",
                      guess.empty() ? "options are " + join(kNames, ", ") : guess);
    }
    const OptionReader own(call_, content, where);
    auto file = own.text("file");
    auto text = own.text("text");
    auto filename = own.text("filename");
    auto type = own.text("type");
    for (const auto* option : {&file, &text, &filename, &type}) {
      if (!*option) return tl::unexpected(option->error());
    }
    if (file->has_value() == text->has_value()) return own.bad("a part has either `file` or `text`");
    if (*type && !services::valid_value(**type)) return own.bad("`type` holds control characters");
    if (*file && !*filename) *filename = base_name(**file);
    if (*filename) head += "; filename=" + quoted_name(**filename);
    if (*type || *file) head += "\r\nContent-Type: " + type->value_or("application/octet-stream");
    add_text(head + "\r\n\r\n");
    if (*file) {
      if (auto ok = add_file(**file); !ok) return ok;
    } else {
      add_text(**text);
    }
    add_text("\r\n");
    return {};
  }

  Result<void> checked_body(const OptionReader& read) {
    HttpRequest& r = out_.request;
    if (!r.body && out_.pieces.empty()) return {};
    if (r.method == "HEAD" || r.method == "TRACE") return read.bad("a " + r.method + " request has no body");
    if (type_.empty() || has_header(r.headers, "content-type")) {
      if (read.given("multipart") != nullptr)
        return read.bad("the header Content-Type of a `multipart` body is set by the program",
                        "leave it out");
      return {};
    }
    r.headers.emplace_back("Content-Type", type_);
    return {};
  }

  Result<void> limits(const OptionReader& read) {
    HttpRequest& r = out_.request;
    for (auto [name, field] : {std::pair{"timeout", &HttpRequest::timeout},
                               std::pair{"connect_timeout", &HttpRequest::connect_timeout}}) {
      auto time = read.seconds(name, 0.001, kLongestTimeout);
      if (!time) return tl::unexpected(time.error());
      if (*time) r.*field = **time;
    }
    const bool to_file = read.given("to_file") != nullptr;
    auto most = read.whole("max_size", 1, to_file ? 1ULL << 53 : services::kMaxHttpBody);
    if (!most) {
      Error error = most.error();
      if (!to_file)
        error.hint = "an answer that is kept in memory has at most 15 MiB; use `to_file` for larger ones";
      return tl::unexpected(std::move(error));
    }
    r.max_body = *most ? **most : to_file ? UINT64_MAX : services::kMaxHttpBody;
    auto hops = read.whole("max_redirects", 0, 50);
    if (!hops) return tl::unexpected(hops.error());
    if (*hops) r.max_redirects = static_cast<int>(**hops);
    auto follow = read.flag("follow");
    if (!follow) return tl::unexpected(follow.error());
    r.follow = follow->value_or(true);
    if (!r.follow && *hops)
      return read.bad("`max_redirects` has no effect with `follow = false`", "leave one out");
    auto raise = read.flag("raise");
    if (!raise) return tl::unexpected(raise.error());
    out_.raise = raise->value_or(false);
    return {};
  }

  Result<void> retry(const OptionReader& read) {
    const Json* value = read.given("retry");
    if (value == nullptr) return {};
    services::HttpRetry& retry = out_.request.retry;
    if (value->is_number()) {
      auto attempts = read.whole("retry", 1, 20);
      if (!attempts) return tl::unexpected(attempts.error());
      retry.attempts = static_cast<int>(**attempts);
      return {};
    }
    if (!value->is_object())
      return read.bad("`retry` must be a number of attempts, or a table such as {attempts = 3, delay = 0.5}");
    static const std::vector<std::string> kNames = {"attempts", "delay", "max_delay", "any_method"};
    for (const auto& [key, item] : value->items()) {
      if (std::find(kNames.begin(), kNames.end(), key) != kNames.end()) continue;
      const std::string guess = did_you_mean(key, kNames);
      return read.bad("retry: there is no option '" + shorten(key, 60) + "'",
                      guess.empty() ? "options are " + join(kNames, ", ") : guess);
    }
    const OptionReader own(call_, *value, "retry: ");
    auto attempts = own.whole("attempts", 1, 20);
    if (!attempts) return tl::unexpected(attempts.error());
    if (!*attempts) return own.bad("`attempts` is missing: it must be a number from 1 to 20");
    retry.attempts = static_cast<int>(**attempts);
    auto delay = own.seconds("delay", 0, 3600);
    if (!delay) return tl::unexpected(delay.error());
    if (*delay) retry.delay = **delay;
    auto most = own.seconds("max_delay", 0, kLongestTimeout);
    if (!most) return tl::unexpected(most.error());
    retry.max_delay = most->value_or(std::max(retry.max_delay, retry.delay));
    auto any = own.flag("any_method");
    if (!any) return tl::unexpected(any.error());
    retry.any_method = any->value_or(false);
    return {};
  }

  Result<void> proxy(const OptionReader& read) {
    auto text = read.text("proxy");
    if (!text) return tl::unexpected(text.error());
    if (!*text) return {};
    auto url = services::parse_url(**text);
    if (!url || url->scheme != "http" || url->target != "/")
      return read.bad("`proxy` must be written http://host:port", "only HTTP proxies are spoken to");
    if (auto ok = check_proxy(attempt_, call_, *url); !ok) return ok;
    out_.request.proxy = std::move(*url);
    return {};
  }

  Result<void> to_file(const OptionReader& read) {
    auto path = read.text("to_file");
    if (!path) return tl::unexpected(path.error());
    if (!*path) return {};
    if (out_.request.method == "HEAD")
      return read.bad("the answer of a HEAD request has no body for `to_file`");
    auto granted = check_path(attempt_, call_, **path, Permission::write);
    if (!granted) return tl::unexpected(granted.error());
    out_.to_file = std::move(*granted);
    out_.to_path = std::move(**path);
    return {};
  }

  Attempt& attempt_;
  const registry::Call& call_;
  const Arguments& in_;
  Asked out_;
  std::string type_;  // of the body
};

}  // namespace

std::optional<std::string> text_of(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_binary()) return std::string(value.get_binary().begin(), value.get_binary().end());
  return std::nullopt;
}

bool has_header(const services::Headers& headers, std::string_view name) {
  return std::any_of(headers.begin(), headers.end(),
                     [&](const auto& header) { return same_name(header.first, name); });
}

const Json* OptionReader::given(const char* name) const {
  const auto found = options_.find(name);
  return found == options_.end() || found->is_null() ? nullptr : &*found;
}

const Json* OptionReader::json() const {
  const auto found = options_.find("json");
  return found == options_.end() ? nullptr : &*found;
}

Result<std::optional<std::string>> OptionReader::text(const char* name) const {
  const Json* value = given(name);
  if (value == nullptr) return std::optional<std::string>();
  auto text = text_of(*value);
  if (!text) return bad("`" + std::string(name) + "` must be a string");
  return text;
}

Result<std::optional<bool>> OptionReader::flag(const char* name) const {
  const Json* value = given(name);
  if (value == nullptr) return std::optional<bool>();
  if (!value->is_boolean()) return bad("`" + std::string(name) + "` must be true or false");
  return std::optional<bool>(value->get<bool>());
}

Result<std::optional<uint64_t>> OptionReader::whole(const char* name, uint64_t least, uint64_t most) const {
  const Json* value = given(name);
  if (value == nullptr) return std::optional<uint64_t>();
  const double number = value->is_number() ? value->get<double>() : -1;
  if (!(number >= static_cast<double>(least)) || number > static_cast<double>(most) ||
      number != std::trunc(number)) {
    return bad("`" + std::string(name) + "` must be a whole number from " + std::to_string(least) + " to " +
               std::to_string(most));
  }
  return std::optional<uint64_t>(static_cast<uint64_t>(number));
}

Result<std::optional<Milliseconds>> OptionReader::seconds(const char* name, double least, double most) const {
  const Json* value = given(name);
  if (value == nullptr) return std::optional<Milliseconds>();
  const double number = value->is_number() ? value->get<double>() : -1;
  if (!(number >= least) || number > most) {
    return bad("`" + std::string(name) + "` must be a number of seconds, from " + Json(least).dump() +
               " to " + std::to_string(static_cast<int64_t>(most)));
  }
  return std::optional<Milliseconds>(static_cast<int64_t>(number * 1000));
}

Result<services::Headers> OptionReader::headers() const {
  const Json* value = given("headers");
  if (value == nullptr) return services::Headers();
  auto pairs = pairs_of(*value);
  if (!pairs) return bad("`headers` must be a table of names and texts, or lists of texts");
  for (const auto& [name, text] : *pairs) {
    if (!services::valid_token(name)) return bad("'" + shorten(name, 60) + "' is no header name");
    if (!services::valid_value(text)) return bad("the header " + name + " holds control characters");
    // They say where the request goes and where it ends: the door has checked another place than they would
    // name.
    for (std::string_view own : {"host", "content-length", "transfer-encoding", "connection", "keep-alive",
                                 "upgrade", "te", "trailer", "expect", "http2-settings"}) {
      if (same_name(name, own)) return bad("the header " + name + " is set by the program", "leave it out");
    }
    if (name.size() > 6 && same_name(name.substr(0, 6), "proxy-")) {
      return bad("the header " + name + " is for proxies", "give user and password in `proxy`");
    }
  }
  return std::move(*pairs);
}

Result<void> OptionReader::credentials(const services::Url& url, services::Headers& headers) const {
  auto token = text("token");
  auto user = text("user");
  auto password = text("password");
  for (const auto* option : {&token, &user, &password}) {
    if (!*option) return tl::unexpected(option->error());
  }
  if (*password && !*user) return bad("`password` needs `user`");
  const int ways =
      token->has_value() + user->has_value() + has_header(headers, "authorization") + !url.user.empty();
  if (ways > 1) {
    return bad("credentials are given in more than one way",
               "give one of `token`, `user` and `password`, the header Authorization, and those in the URL");
  }
  if (*token) {
    if (!services::valid_value(**token) || (*token)->empty())
      return bad("`token` is empty or holds control characters");
    headers.emplace_back("Authorization", "Bearer " + **token);
  }
  if (*user) {
    if ((*user)->find(':') != std::string::npos) return bad("`user` must not hold a colon");
    headers.emplace_back("Authorization", "Basic " + base64_encode(**user + ":" + password->value_or("")));
  }
  return {};
}

Result<Asked> read_http(const std::shared_ptr<Attempt>& attempt, const registry::Call& call,
                        const Arguments& arguments) {
  return Builder(attempt, call, arguments).build();
}

}  // namespace pf::api
