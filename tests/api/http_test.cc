#include <cstdlib>

#include "fixture.h"
#include "support/http_peers.h"

namespace pf::api {
namespace {

using test::Nginx;
using test::RawServer;
using Then = RawServer::Reply::Then;

RawServer::Reply reply(const std::string& body, const std::string& headers = "",
                       const std::string& status = "200 OK") {
  return {"HTTP/1.1 " + status + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + headers +
              "\r\n" + body,
          Then::keep,
          {}};
}

/// A server that says back what it was sent; `place_` is its permission entry.
class HttpApi : public DoorTest {
 protected:
  HttpApi() { allow({{place_, true}}); }
  void allow(std::vector<Grants::Entry> http) { open({{}, {}, std::move(http)}); }
  std::string sent(const std::string& name, const Json& arguments) {
    auto answer = call(name, arguments);
    EXPECT_TRUE(answer) << answer.error().text();
    return server_.requests().empty() ? "" : server_.requests().back();
  }
  std::string bad(const Json& options) { return error("http.request", Json::array({options})).message; }

  RawServer server_{[](const std::string& request) {
    return reply(request, "X-Method: " + request.substr(0, request.find(' ')) + "\r\n");
  }};
  std::string place_ = "127.0.0.1:" + std::to_string(server_.port());
  std::string url_ = "http://" + place_ + "/";
};

TEST_F(HttpApi, GetFromNginx) {
  PF_START_NGINX(nginx, {"location /bin { return 200 \"\\xff\"; }", false});
  const std::string place = "127.0.0.1:" + std::to_string(nginx->port());
  allow({{place, true}});
  auto answer = call("http.get", {nginx->url("/hello.txt")});
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ((*answer)["status"], 200);
  EXPECT_EQ((*answer)["body"], "hello\n");
  EXPECT_EQ((*answer)["headers"]["content-type"], "text/plain");
  EXPECT_EQ((*answer)["url"], nginx->url("/hello.txt"));
  nginx->folder().write("root/raw", std::string("\xff\0", 2));
  EXPECT_EQ((*call("http.get", {nginx->url("/raw")}))["body"], Json::binary({0xff, 0}));
  EXPECT_EQ((*call("http.get", {nginx->url("/none")}))["status"], 404);
  EXPECT_EQ(audit()[0], (Json{{"instance", "example.first"},
                              {"call", "http.get"},
                              {"target", nginx->url("/hello.txt")},
                              {"allowed", true},
                              {"code", nullptr}}));
}

TEST_F(HttpApi, EveryVerb) {
  for (const auto& [name, method] : std::map<std::string, std::string>{{"http.get", "GET"},
                                                                       {"http.post", "POST"},
                                                                       {"http.put", "PUT"},
                                                                       {"http.patch", "PATCH"},
                                                                       {"http.delete", "DELETE"}}) {
    EXPECT_TRUE(sent(name, {url_}).starts_with(method + " / HTTP/1.1\r\n")) << name;
  }
  EXPECT_TRUE(sent("http.request", {{{"url", url_}, {"method", "options"}}}).starts_with("OPTIONS / "));
  EXPECT_TRUE(sent("http.request", {{{"url", url_}}}).starts_with("GET / "));
}

TEST_F(HttpApi, Head) {
  RawServer server([](const std::string&) {
    return RawServer::Reply{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Then::keep, {}};
  });
  allow({{"127.0.0.1:" + std::to_string(server.port()), true}});
  auto answer = call("http.head", {server.url("/")});
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ((*answer)["body"], "");
  EXPECT_EQ((*answer)["headers"]["content-length"], "5");
}

TEST_F(HttpApi, HeadersQueryAndBodies) {
  const Json headers = {{"X-One", "1"}, {"X-Two", {"a", 2, true}}};
  std::string got =
      sent("http.get", {url_ + "p?x=1", {{"headers", headers}, {"query", {{"q", "a b&"}, {"n", {1, 2.5}}}}}});
  EXPECT_TRUE(got.starts_with("GET /p?x=1&n=1&n=2.5&q=a%20b%26 HTTP/1.1\r\n")) << got;
  EXPECT_NE(got.find("X-One: 1\r\nX-Two: a\r\nX-Two: 2\r\nX-Two: true\r\n"), std::string::npos);
  got = sent("http.post", {url_, {{"json", {{"b", {1, nullptr}}, {"a", "ä"}}}}});
  EXPECT_NE(got.find("Content-Type: application/json\r\n"), std::string::npos);
  EXPECT_TRUE(got.ends_with("\r\n\r\n{\"a\":\"ä\",\"b\":[1,null]}")) << got;
  EXPECT_TRUE(sent("http.post", {url_, {{"json", nullptr}}}).ends_with("\r\n\r\nnull"));
  got = sent("http.put", {url_, {{"form", {{"a", "x y"}, {"b", {1, 2}}}}}});
  EXPECT_NE(got.find("Content-Type: application/x-www-form-urlencoded\r\n"), std::string::npos);
  EXPECT_TRUE(got.ends_with("\r\n\r\na=x%20y&b=1&b=2"));
  got = sent("http.post", {url_, {{"json", 1}, {"headers", {{"content-type", "application/x+json"}}}}});
  EXPECT_NE(got.find("content-type: application/x+json\r\n"), std::string::npos);
  EXPECT_EQ(got.find("Content-Type: application/json"), std::string::npos);
  got = sent("http.post", {url_, {{"body", Json::binary({0, 255})}}});
  EXPECT_TRUE(got.ends_with(std::string("\r\n\r\n\0\xff", 6)));
  EXPECT_TRUE(sent("http.get", {url_, Json::array()}).starts_with("GET / "))
      << "an empty table may come as a list";
}

TEST_F(HttpApi, RaiseMakesStatusAnError) {
  RawServer server([](const std::string& request) {
    const std::string status = request.substr(request.find('/') + 1, 3);
    return reply("no such thing", "", status + " X");
  });
  allow({{"127.0.0.1:" + std::to_string(server.port()), true}});
  const Error e = error("http.get", {server.url("/404"), {{"raise", true}}});
  EXPECT_EQ(e.code, "http.status");
  EXPECT_EQ(e.message, "GET " + server.url("/404") + " was answered with status 404: no such thing");
  EXPECT_FALSE(e.retryable);
  for (const char* status : {"408", "429", "500", "503"}) {
    EXPECT_TRUE(error("http.get", {server.url("/" + std::string(status)), {{"raise", true}}}).retryable)
        << status;
  }
  EXPECT_TRUE(call("http.get", {server.url("/200"), {{"raise", true}}}));
  EXPECT_TRUE(call("http.get", {server.url("/404"), {{"raise", false}}}));
}

TEST_F(HttpApi, WithoutPermissionNothingIsSent) {
  for (std::vector<Grants::Entry> grants : {std::vector<Grants::Entry>{},
                                            {{"127.0.0.1", true}},
                                            {{"127.0.0.1:1", true}},
                                            {{"example.org", true}},
                                            {{"nonsense:x", true}}}) {
    allow(std::move(grants));
    for (const char* name : {"http.get", "http.head", "http.post", "http.put", "http.patch", "http.delete"}) {
      EXPECT_EQ(error(name, {url_}).code, "permission.http") << name;
    }
    EXPECT_EQ(error("http.request", {{{"url", url_}}}).code, "permission.http");
  }
  EXPECT_EQ(server_.connections(), 0U);
  EXPECT_EQ(door_->refused(), 35U);
  const Error e = error("http.get", {"https://me:pw@API.example.org./v1?token=t"});
  EXPECT_FALSE(e.retryable);
  EXPECT_EQ(e.message,
            "example.first (extension example) tried forge.http.get: https://api.example.org/v1, which no "
            "entry of `http` covers");
  EXPECT_EQ(e.hint, "add to /x/extension.yaml:\n  permissions:\n    http: [api.example.org]");
  EXPECT_TRUE(error("http.get", {"http://[::1]:8080/"}).hint.ends_with("http: [\"[::1]:8080\"]"));
  EXPECT_TRUE(error("http.get", {"http://a.org:8080/"}).hint.ends_with("http: [a.org:8080]"));
  const auto lines = audit();
  EXPECT_EQ(lines.size(), 38U);
  EXPECT_EQ(lines[35], (Json{{"instance", "example.first"},
                             {"call", "http.get"},
                             {"target", "https://api.example.org/v1"},
                             {"allowed", false},
                             {"code", "permission.http"}}));
}

TEST_F(HttpApi, PrivateAddressesNeedALiteralEntry) {
  const std::string port = std::to_string(server_.port());
  allow({{place_, false}, {"localhost:" + port, false}, {"*.localhost:" + port, true}});
  const Error e = error("http.get", {url_});
  EXPECT_EQ(e.code, "permission.http");
  EXPECT_FALSE(e.retryable);
  EXPECT_NE(e.message.find("127.0.0.1 resolves to the private address 127.0.0.1"), std::string::npos)
      << e.message;
  EXPECT_TRUE(e.hint.starts_with("private and loopback addresses need an entry that names this host itself"))
      << e.hint;
  EXPECT_EQ(error("http.get", {"http://localhost:" + port + "/"}).code, "permission.http");
  EXPECT_EQ(sink_.refusals,
            (std::vector<std::string>{"7 http.get permission.http", "7 http.get permission.http"}));
  EXPECT_EQ(server_.connections(), 0U);
  allow({{"*.localhost:" + port, true}, {"localhost:" + port, true}});
  EXPECT_TRUE(call("http.get", {"http://LOCALHOST.:" + port + "/"}));
  allow({{"http://127.0.0.1:" + port + "/only/host/and/port/count", true}});
  EXPECT_TRUE(call("http.get", {url_}));
}

TEST_F(HttpApi, ARedirectNeedsItsOwnPermission) {
  RawServer server(
      [&](const std::string&) { return reply("", "Location: " + url_ + "in?token=t\r\n", "302 Found"); });
  const std::string first = "127.0.0.1:" + std::to_string(server.port());
  allow({{first, true}});
  const Error e = error("http.get", {server.url("/")});
  EXPECT_EQ(e.code, "permission.http");
  EXPECT_EQ(e.message, "example.first (extension example) tried forge.http.get: a redirect led to " + url_ +
                           "in, which no entry of `http` covers");
  EXPECT_EQ(server_.connections(), 0U);
  allow({{first, true}, {place_, true}});
  auto answer = call("http.get", {server.url("/")});
  ASSERT_TRUE(answer);
  EXPECT_EQ((*answer)["url"], url_ + "in?token=t");
  const auto lines = audit();
  ASSERT_EQ(lines.size(), 4U);
  EXPECT_EQ(lines[1]["allowed"], false);
  EXPECT_EQ(lines[1]["hop"], 1);
  EXPECT_EQ(lines[3]["target"], url_ + "in");
}

TEST_F(HttpApi, MistakesInTheTable) {
  const auto with = [&](const char* name, const Json& value) { return bad({{"url", url_}, {name, value}}); };
  EXPECT_EQ(bad({{"method", "GET"}}), "forge.http.request: `url` is missing: it must be a string");
  EXPECT_EQ(bad({1, 2}), "forge.http.request: `request` must have names, as {url = …}, is a list");
  EXPECT_EQ(with("timeuot", 1), "forge.http.request: there is no option 'timeuot'");
  EXPECT_EQ(error("http.request", {{{"url", url_}, {"timeuot", 1}}}).hint, "did you mean 'timeout'?");
  EXPECT_EQ(error("http.get", {url_, {{"method", "POST"}}}).message,
            "forge.http.get: there is no option 'method'");
  EXPECT_EQ(with("method", "GE T"), "forge.http.request: `method` must be a word such as GET");
  EXPECT_EQ(with("method", "connect"), "forge.http.request: the method CONNECT opens tunnels, not requests");
  EXPECT_EQ(with("headers", "x"), "forge.http.request: `headers` must be a table, is a string");
  EXPECT_EQ(with("headers", {{"a b", "x"}}), "forge.http.request: 'a b' is no header name");
  EXPECT_EQ(with("headers", {{"a", "x\r\nY: z"}}),
            "forge.http.request: the header a holds control characters");
  EXPECT_EQ(with("headers", {{"a", std::string("x\0y", 3)}}),
            "forge.http.request: the header a holds control characters");
  EXPECT_EQ(with("headers", {{"HOST", "evil"}}), "forge.http.request: the header HOST is set by the program");
  EXPECT_EQ(with("headers", {{"Transfer-Encoding", "chunked"}}),
            "forge.http.request: the header Transfer-Encoding is set by the program");
  EXPECT_EQ(with("headers", {{"Proxy-Authorization", "x"}}),
            "forge.http.request: the header Proxy-Authorization is for proxies");
  EXPECT_EQ(with("query", {{"a", {{"b", 1}}}}),
            "forge.http.request: `query` must be a table of names and texts, numbers or booleans, or lists "
            "of these");
  EXPECT_EQ(with("form", 1), "forge.http.request: `form` must be a table, is a number");
  EXPECT_EQ(with("body", {{"a", 1}}), "forge.http.request: `body` must be a string, is a table");
  EXPECT_EQ(with("json", Json::binary({255})),
            "forge.http.request: `json` holds what JSON cannot: bytes that are no UTF-8, NaN or infinity");
  EXPECT_EQ(bad({{"url", url_}, {"json", 1}, {"body", "x"}}),
            "forge.http.request: `json`, `form`, `body`, `body_file` and `multipart` exclude each other");
  EXPECT_EQ(bad({{"url", url_}, {"method", "HEAD"}, {"body", "x"}}),
            "forge.http.request: a HEAD request has no body");
  EXPECT_EQ(with("timeout", "5"), "forge.http.request: `timeout` must be a number, is a string");
  EXPECT_EQ(with("timeout", std::numeric_limits<double>::quiet_NaN()),
            "forge.http.request: `timeout` must be a number, is one that is not finite");
  EXPECT_EQ(error("http.request", {{{"url", url_}, {"timeout", "5"}}}).hint,
            "timeout: seconds of each attempt, over all redirects; default 60");
  for (const Json& seconds : {Json(0), Json(-1), Json(86401)}) {
    EXPECT_EQ(with("timeout", seconds),
              "forge.http.request: `timeout` must be a number of seconds, from 0.001 to 86400");
    EXPECT_EQ(with("connect_timeout", seconds),
              "forge.http.request: `connect_timeout` must be a number of seconds, from 0.001 to 86400");
  }
  EXPECT_EQ(with("raise", 1), "forge.http.request: `raise` must be a boolean, is a number");
  EXPECT_EQ(error("http.get", {"ftp://example.org/"}).code, "http.url");
  EXPECT_EQ(server_.connections(), 0U);
}

TEST_F(HttpApi, ErrorsOfTheNetworkKeepTheirCodes) {
  RawServer server([](const std::string& request) {
    if (request.starts_with("GET /hang")) return RawServer::Reply{"", Then::hang, {}};
    if (request.starts_with("GET /big"))
      return RawServer::Reply{"HTTP/1.1 200 OK\r\n\r\n", Then::repeat, std::string(65536, 'x')};
    if (request.starts_with("GET /loop")) return reply("", "Location: /loop\r\n", "302 F");
    return RawServer::Reply{"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", Then::close, {}};
  });
  allow({{"127.0.0.1:" + std::to_string(server.port()), true}, {"nobody.invalid", true}});
  EXPECT_EQ(value("http.get", {server.url("/hang"), {{"timeout", 0.1}}}), "http.timeout");
  EXPECT_EQ(value("http.get", {server.url("/big")}), "http.too_big");
  EXPECT_EQ(value("http.get", {server.url("/loop")}), "http.redirects");
  EXPECT_EQ(value("http.get", {server.url("/cut")}), "http.protocol");
  EXPECT_EQ(value("http.get", {"http://nobody.invalid/"}), "http.resolve");
  EXPECT_EQ(door_->refused(), 0U);
}

TEST_F(HttpApi, TlsIsVerifiedAgainstTheOperatorsFile) {
  PF_START_NGINX(nginx, {"", true});
  const std::string place = "localhost:" + std::to_string(nginx->tls_port());
  allow({{place, true}});
  EXPECT_EQ(value("http.get", {"https://" + place + "/hello.txt"}), "http.tls");
  session_.reset();
  door_.reset();
  ASSERT_EQ(::setenv("SSL_CERT_FILE", (nginx->folder().path() / "cert.pem").c_str(), 1), 0);
  door_ = Door::make(loop_, sink_, {}, secrets_);
  allow({{place, true}});
  auto answer = call("http.get", {"https://" + place + "/hello.txt"});
  ::unsetenv("SSL_CERT_FILE");
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ((*answer)["body"], "hello\n");
}

TEST_F(HttpApi, InternationalEntriesMatch) {
  allow({{"*.bücher.invalid", true}});
  const std::string code = value("http.get", {"http://WWW.Bücher.invalid/"});
  if (code == "http.url") GTEST_SKIP() << "this libcurl gives out no punycode";
  EXPECT_EQ(code, "http.resolve");
  EXPECT_EQ(value("http.get", {"http://xn--bcher-kva.invalid/"}), "permission.http");
}

TEST_F(HttpApi, TheLoopWaitsForAnAnswerAndASessionsEndCancels) {
  RawServer server([](const std::string&) { return RawServer::Reply{"", Then::hang, {}}; });
  allow({{"127.0.0.1:" + std::to_string(server.port()), true}});
  bool answered = false;
  session_->call(registry::find("http.get"), to_cbor(Json{server.url("/")}),
                 [&](Result<std::string>) { answered = true; });
  asio::steady_timer timer(loop_, std::chrono::milliseconds(1));
  timer.async_wait([&](std::error_code) { session_.reset(); });
  loop_.restart();
  loop_.run();  // ends: the cancelled request holds it no longer
  EXPECT_FALSE(answered);
}

TEST_F(HttpApi, TheDoorMayGoWhileARequestIsUnderWay) {
  RawServer server([](const std::string&) { return RawServer::Reply{"", Then::hang, {}}; });
  allow({{"127.0.0.1:" + std::to_string(server.port()), true}});
  session_->call(registry::find("http.get"), to_cbor(Json{server.url("/")}),
                 [](Result<std::string>) { FAIL(); });
  session_.reset();
  door_.reset();
  loop_.restart();
  loop_.run();
}

TEST_F(HttpApi, SessionsShareTheModuleAndNothingElse) {
  auto other = door_->open(caller({}));
  bool refused = false;
  EXPECT_TRUE(call("http.get", {url_}));
  other->call(registry::find("http.get"), to_cbor(Json{url_}), [&](Result<std::string> result) {
    refused = !result && result.error().code == "permission.http";
  });
  loop_.restart();
  loop_.run();
  EXPECT_TRUE(refused);
  EXPECT_EQ(server_.requests().size(), 1U);
}

}  // namespace
}  // namespace pf::api
