#include "services/http.h"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include "base/places.h"
#include "services/net_module.h"
#include "support/http_peers.h"
#include "support/owner.h"

namespace pf::services {
namespace {

using test::Nginx;
using test::Owner;
using test::RawServer;
using Then = RawServer::Reply::Then;

class HttpTest : public testing::Test {
 protected:
  Result<HttpResponse> send(HttpRequest request) {
    bool done = false;
    Result<HttpResponse> out;
    http_->submit(std::move(request), check_, [&](Result<HttpResponse> result) {
      out = std::move(result);
      done = true;
    });
    EXPECT_FALSE(done) << "Done came from inside submit()";
    owner_.run_until(done);
    return out;
  }
  static HttpRequest get(const std::string& url) {
    HttpRequest request;
    request.url = *parse_url(url);
    return request;
  }
  Error error(HttpRequest request) {
    auto result = send(std::move(request));
    EXPECT_FALSE(result);
    return result ? Error{} : result.error();
  }
  void make(Http::Options options = {}) { http_ = Http::make(owner_.post(), std::move(options)); }

  Owner owner_;
  std::unique_ptr<Http> http_ = Http::make(owner_.post(), {});
  std::vector<std::string> checked_;
  Http::Check check_ = [this](const Url& url, int hop) -> Result<HttpAccess> {
    checked_.push_back(std::to_string(hop) + " " + url.place());
    return HttpAccess{true};
  };
};

std::string header(const HttpResponse& response, const std::string& name) {
  for (const auto& [key, value] : response.headers) {
    if (key == name) return value;
  }
  return "(none)";
}

RawServer::Reply answer(const std::string& body, const std::string& headers = "",
                        const std::string& status = "200 OK") {
  return {"HTTP/1.1 " + status + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + headers +
              "\r\n" + body,
          Then::keep,
          {}};
}

TEST_F(HttpTest, GetsAFileFromNginx) {
  PF_START_NGINX(nginx, {"add_header X-Two one; add_header X-Two two;", false});
  auto response = send(get(nginx->url("/hello.txt?x=1")));
  ASSERT_TRUE(response) << response.error().text();
  EXPECT_EQ(response->status, 200);
  EXPECT_EQ(response->body, "hello\n");
  EXPECT_EQ(header(*response, "content-type"), "text/plain");
  EXPECT_EQ(header(*response, "x-two"), "one, two");
  EXPECT_EQ(response->url.text(), nginx->url("/hello.txt?x=1"));
  EXPECT_EQ(send(get(nginx->url("/none")))->status, 404);
}

TEST_F(HttpTest, DecompressesAndBoundsWhatItDecompressed) {
  PF_START_NGINX(nginx, {"gzip on; gzip_min_length 1; gzip_types text/plain; gzip_http_version 1.0;", false});
  nginx->folder().write("root/zeros", std::string(1 << 20, '0'));
  auto response = send(get(nginx->url("/zeros")));
  ASSERT_TRUE(response) << response.error().text();
  EXPECT_EQ(header(*response, "content-encoding"), "gzip");
  EXPECT_EQ(response->body, std::string(1 << 20, '0'));
  HttpRequest small = get(nginx->url("/zeros"));
  small.max_body = (1 << 20) - 1;
  EXPECT_EQ(error(std::move(small)).code, "http.too_big");
}

TEST_F(HttpTest, TlsIsVerified) {
  PF_START_NGINX(nginx, {"", true});
  const std::string port = std::to_string(nginx->tls_port());
  const Error untrusted = error(get("https://localhost:" + port + "/hello.txt"));
  EXPECT_EQ(untrusted.code, "http.tls");
  EXPECT_FALSE(untrusted.retryable);
  make({{}, nginx->folder().path() / "cert.pem"});
  auto response = send(get("https://localhost:" + port + "/hello.txt"));
  ASSERT_TRUE(response) << response.error().text();
  EXPECT_EQ(response->body, "hello\n");
  // The certificate is of localhost, not of the address.
  EXPECT_EQ(error(get("https://127.0.0.1:" + port + "/hello.txt")).code, "http.tls");
  const Error plain = error(get("https://127.0.0.1:" + std::to_string(nginx->port()) + "/"));
  EXPECT_EQ(plain.code, "http.tls");
  EXPECT_TRUE(plain.retryable);
}

TEST_F(HttpTest, SendsMethodHeadersAndBody) {
  RawServer server([](const std::string&) { return answer("ok"); });
  HttpRequest request = get(server.url("/p?q"));
  request.method = "PATCH";
  request.headers = {{"X-A", "1"}, {"X-A", "2"}, {"X-Empty", ""}};
  request.body = std::string("a\0b", 3);
  ASSERT_TRUE(send(std::move(request)));
  const std::string sent = server.requests().at(0);
  const std::string host = "127.0.0.1:" + std::to_string(server.port());
  EXPECT_EQ(
      sent,
      "PATCH /p?q HTTP/1.1\r\nHost: " + host + "\r\nUser-Agent: pangeo-forge/" + PF_VERSION +
          "\r\nAccept: */*\r\nAccept-Encoding: deflate, gzip, br, zstd\r\nX-A: 1\r\nX-A: 2\r\nX-Empty:\r\n"
          "Content-Length: 3\r\n\r\n" +
          std::string("a\0b", 3));
}

TEST_F(HttpTest, BodiesByMethod) {
  RawServer server([](const std::string& request) {
    RawServer::Reply reply = answer("0123456789");
    if (request.starts_with("HEAD")) reply.data.resize(reply.data.size() - 10);
    return reply;
  });
  for (const char* method : {"POST", "DELETE", "HEAD", "OPTIONS", "PUT"}) {
    HttpRequest request = get(server.url("/"));
    request.method = method;
    auto response = send(std::move(request));
    ASSERT_TRUE(response) << response.error().text();
    EXPECT_EQ(response->body, std::string(method) == "HEAD" ? "" : "0123456789");
    EXPECT_EQ(header(*response, "content-length"), "10");
  }
  const auto sent = server.requests();
  EXPECT_NE(sent.at(0).find("POST / HTTP/1.1\r\n"), std::string::npos);
  EXPECT_NE(sent.at(0).find("Content-Length: 0\r\n"), std::string::npos);
  EXPECT_EQ(sent.at(0).find("Content-Type"), std::string::npos);
  EXPECT_EQ(sent.at(1).find("Content-Length"), std::string::npos);
  EXPECT_TRUE(sent.at(1).starts_with("DELETE / "));
  EXPECT_TRUE(sent.at(2).starts_with("HEAD / "));
  EXPECT_TRUE(sent.at(3).starts_with("OPTIONS / "));
  EXPECT_NE(sent.at(4).find("Content-Length: 0\r\n"), std::string::npos);
  EXPECT_EQ(server.connections(), 1U) << "the connection was not kept";
}

TEST_F(HttpTest, UserInformationBecomesBasicCredentials) {
  RawServer server([](const std::string&) { return answer(""); });
  ASSERT_TRUE(send(get("http://me:p%40ss@127.0.0.1:" + std::to_string(server.port()) + "/")));
  EXPECT_NE(server.requests().at(0).find("Authorization: Basic bWU6cEBzcw==\r\n"), std::string::npos);
}

TEST_F(HttpTest, RedirectsAreCheckedHopByHop) {
  RawServer server([](const std::string& request) {
    if (request.starts_with("GET /a ")) return answer("", "Location: b?x\r\n", "302 Found");
    if (request.starts_with("GET /b?x ")) return answer("", "Location: /c\r\n", "301 Moved");
    return answer("end");
  });
  auto response = send(get(server.url("/a")));
  ASSERT_TRUE(response) << response.error().text();
  EXPECT_EQ(response->body, "end");
  EXPECT_EQ(response->url.text(), server.url("/c"));
  const std::string place = "127.0.0.1:" + std::to_string(server.port());
  EXPECT_EQ(checked_, (std::vector<std::string>{"0 " + place, "1 " + place, "2 " + place}));
  check_ = [](const Url&, int hop) -> Result<HttpAccess> {
    if (hop == 1) return refuse("test.refused", "no");
    return HttpAccess{true};
  };
  EXPECT_EQ(error(get(server.url("/a"))).code, "test.refused");
  EXPECT_EQ(server.requests().size(), 4U) << "the refused hop was sent";
}

TEST_F(HttpTest, CredentialsStayWithTheirHost) {
  RawServer other([](const std::string&) { return answer("other"); });
  RawServer server([&](const std::string& request) {
    if (request.starts_with("GET /here")) return answer("", "Location: /there\r\n", "307 T");
    if (request.starts_with("GET /there")) return answer("", "Location: " + other.url("/") + "\r\n", "307 T");
    return answer("");
  });
  HttpRequest request = get(server.url("/here"));
  request.headers = {{"AUTHORIZATION", "Bearer t"}, {"Cookie", "c=1"}, {"X-Kept", "k"}};
  EXPECT_EQ(send(std::move(request))->body, "other");
  EXPECT_NE(server.requests().at(1).find("AUTHORIZATION: Bearer t"), std::string::npos);
  EXPECT_NE(server.requests().at(1).find("Cookie: c=1"), std::string::npos);
  EXPECT_EQ(other.requests().at(0).find("Bearer"), std::string::npos);
  EXPECT_EQ(other.requests().at(0).find("c=1"), std::string::npos);
  EXPECT_NE(other.requests().at(0).find("X-Kept: k"), std::string::npos);
}

TEST_F(HttpTest, MethodsAfterRedirects) {
  RawServer server([](const std::string& request) {
    if (request.find("/end") != std::string::npos) return answer("");
    const std::string status = request.substr(request.find('/') + 1, 3);
    return answer("", "Location: /end\r\n", status + " R");
  });
  for (const char* status : {"301", "302", "303", "307", "308"}) {
    HttpRequest request = get(server.url("/" + std::string(status)));
    request.method = "POST";
    request.body = "body";
    request.headers = {{"Content-Type", "text/x"}};
    ASSERT_TRUE(send(std::move(request)));
    const std::string sent = server.requests().back();
    const bool kept = std::string(status) >= "307";
    EXPECT_EQ(sent.substr(0, sent.find(' ')), kept ? "POST" : "GET") << status;
    EXPECT_EQ(sent.ends_with("\r\n\r\nbody"), kept) << status;
    EXPECT_EQ(sent.find("text/x") != std::string::npos, kept) << status;
  }
  HttpRequest put = get(server.url("/302"));
  put.method = "PUT";
  put.body = "body";
  ASSERT_TRUE(send(std::move(put)));
  EXPECT_TRUE(server.requests().back().starts_with("PUT /end"));
}

TEST_F(HttpTest, EndlessRedirectsEnd) {
  RawServer server([](const std::string&) { return answer("", "Location: /again\r\n", "302 Found"); });
  const Error e = error(get(server.url("/")));
  EXPECT_EQ(e.code, "http.redirects");
  EXPECT_FALSE(e.retryable);
  EXPECT_EQ(server.requests().size(), 11U);
}

TEST_F(HttpTest, ARedirectToAnotherProtocolIsNotFollowed) {
  RawServer server([](const std::string& request) {
    return answer("", request.starts_with("GET /f") ? "Location: file:///etc/passwd\r\n" : "", "302 Found");
  });
  EXPECT_EQ(error(get(server.url("/file"))).code, "http.url");
  EXPECT_EQ(send(get(server.url("/none")))->status, 302) << "without Location it is an answer";
}

TEST_F(HttpTest, PrivateAddressesAreRefusedWhereConnected) {
  RawServer server([](const std::string&) { return answer(""); });
  check_ = [](const Url&, int) { return HttpAccess{false}; };
  const std::string port = std::to_string(server.port());
  for (const std::string host : {"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0"}) {
    const Error e = error(get("http://" + host + ":" + port + "/"));
    EXPECT_EQ(e.code, "http.address") << host << " " << e.text();
    EXPECT_FALSE(e.retryable);
  }
  EXPECT_EQ(server.connections(), 0U);
}

// A connection that one request was allowed to make must not carry a request that was not.
TEST_F(HttpTest, AnAllowedConnectionIsNotLentToOthers) {
  RawServer server([](const std::string&) { return answer(""); });
  ASSERT_TRUE(send(get(server.url("/"))));
  check_ = [](const Url&, int) { return HttpAccess{false}; };
  EXPECT_EQ(error(get(server.url("/"))).code, "http.address");
  EXPECT_EQ(server.requests().size(), 1U);
}

TEST_F(HttpTest, ProxiesOfTheEnvironmentAreNotUsed) {
  RawServer proxy([](const std::string&) { return answer("proxy"); });
  RawServer server([](const std::string&) { return answer("server"); });
  ASSERT_EQ(::setenv("http_proxy", proxy.url("").c_str(), 1), 0);
  auto response = send(get(server.url("/")));
  ::unsetenv("http_proxy");
  ASSERT_TRUE(response);
  EXPECT_EQ(response->body, "server");
}

TEST_F(HttpTest, TimeoutsOfAServerThatHangs) {
  RawServer server([](const std::string& request) {
    if (request.starts_with("GET /half"))
      return RawServer::Reply{"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", Then::hang, {}};
    return RawServer::Reply{"", Then::hang, {}};
  });
  for (const char* path : {"/", "/half"}) {
    HttpRequest request = get(server.url(path));
    request.timeout = Milliseconds(100);
    const Error e = error(std::move(request));
    EXPECT_EQ(e.code, "http.timeout") << e.text();
    EXPECT_TRUE(e.retryable);
  }
}

TEST_F(HttpTest, AnEndlessBodyIsTooBig) {
  RawServer server([](const std::string& request) {
    if (request.starts_with("GET /headers"))
      return RawServer::Reply{"HTTP/1.1 200 OK\r\n", Then::repeat, "X-A: " + std::string(1000, 'a') + "\r\n"};
    return RawServer::Reply{"HTTP/1.1 200 OK\r\n\r\n", Then::repeat, std::string(65536, 'x')};
  });
  for (const char* path : {"/body", "/headers"}) {
    const Error e = error(get(server.url(path)));
    EXPECT_EQ(e.code, "http.too_big") << e.text();
    EXPECT_FALSE(e.retryable);
  }
}

TEST_F(HttpTest, BrokenAnswers) {
  RawServer server([](const std::string& request) {
    if (request.starts_with("GET /cut"))
      return RawServer::Reply{"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", Then::close, {}};
    if (request.starts_with("GET /nothing")) return RawServer::Reply{"", Then::close, {}};
    if (request.starts_with("GET /gzip")) return answer("no gzip", "Content-Encoding: gzip\r\n");
    return RawServer::Reply{"SSH-2.0-OpenSSH\r\n", Then::close, {}};
  });
  EXPECT_EQ(error(get(server.url("/cut"))).code, "http.protocol");
  EXPECT_EQ(error(get(server.url("/nothing"))).code, "http.connect");
  EXPECT_EQ(error(get(server.url("/gzip"))).code, "http.protocol");
  const Error ssh = error(get(server.url("/ssh")));
  EXPECT_EQ(ssh.code, "http.protocol") << ssh.text();
  EXPECT_TRUE(ssh.retryable);
}

TEST_F(HttpTest, InterimAnswersDoNotCount) {
  RawServer server([](const std::string&) {
    RawServer::Reply reply = answer("ok", "X-Last: 1\r\n");
    reply.data = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nLocation: /no\r\n\r\n" + reply.data;
    return reply;
  });
  auto response = send(get(server.url("/")));
  ASSERT_TRUE(response) << response.error().text();
  EXPECT_EQ(response->status, 200);
  EXPECT_EQ(header(*response, "link"), "(none)");
  EXPECT_EQ(header(*response, "x-last"), "1");
}

TEST_F(HttpTest, NobodyThere) {
  uint16_t port = 0;
  ::close(test::listen_on_loopback(port));
  const Error refused = error(get("http://127.0.0.1:" + std::to_string(port) + "/"));
  EXPECT_EQ(refused.code, "http.connect");
  EXPECT_TRUE(refused.retryable);
  const Error unknown = error(get("http://nobody.invalid/"));
  EXPECT_EQ(unknown.code, "http.resolve") << unknown.text();
}

TEST_F(HttpTest, ManyAtOnce) {
  RawServer server(
      [](const std::string& request) { return answer(request.substr(5, request.find(' ', 5) - 5)); });
  int left = 200;
  bool done = false;
  for (int i = 0; i < 200; ++i) {
    http_->submit(get(server.url("/" + std::to_string(i))), check_, [&, i](Result<HttpResponse> response) {
      ASSERT_TRUE(response) << response.error().text();
      EXPECT_EQ(response->body, std::to_string(i));
      done = --left == 0;
    });
  }
  owner_.run_until(done);
}

TEST_F(HttpTest, CancelledRequestsSayNothing) {
  RawServer server([](const std::string& request) {
    return request.starts_with("GET /hang") ? RawServer::Reply{"", Then::hang, {}} : answer("");
  });
  const uint64_t id = http_->submit(get(server.url("/hang")), check_, [](Result<HttpResponse>) { FAIL(); });
  http_->cancel(id);
  http_->cancel(id);
  EXPECT_EQ(send(get(server.url("/")))->status, 200);
  const uint64_t second = http_->submit(get(server.url("/")), check_, [](Result<HttpResponse>) { FAIL(); });
  EXPECT_NE(id, second);
  http_->cancel(second);
  EXPECT_EQ(send(get(server.url("/")))->status, 200);
  http_->submit(get(server.url("/hang")), check_, [](Result<HttpResponse>) { FAIL(); });
  http_.reset();
}

TEST_F(HttpTest, InternationalNames) {
  std::string seen;
  check_ = [&](const Url& url, int) -> Result<HttpAccess> {
    seen = url.host;
    return refuse("test.refused", "no");
  };
  auto ascii = http_->to_ascii("Bücher.Example");
  if (!ascii) GTEST_SKIP() << "this libcurl gives out no punycode: " << ascii.error().text();
  EXPECT_EQ(*ascii, "xn--bcher-kva.example");
  EXPECT_EQ(error(get("http://BÜCHER.example/")).code, "test.refused");
  EXPECT_EQ(seen, "xn--bcher-kva.example");
  // Full-width digits are digits, once they are ASCII: an address then, and judged as one.
  error(get("http://１２７.0.0.1/"));
  EXPECT_EQ(seen, "127.0.0.1");
}

TEST_F(HttpTest, WithoutTheModule) {
  make({"/nonexistent/pangeo-forge-net.so", {}});
  const Error e = error(get("http://example.org/"));
  EXPECT_EQ(e.code, "http.module");
  EXPECT_FALSE(e.retryable);
  make({"/proc/self/exe", {}});
  EXPECT_EQ(error(get("http://example.org/")).code, "http.module");
}

TEST(NetModule, ExportsItsTableOnly) {
  void* module = ::dlopen(places::module("net").c_str(), RTLD_NOW | RTLD_LOCAL);
  ASSERT_NE(module, nullptr) << ::dlerror();
  auto function = reinterpret_cast<decltype(&pf_net_module)>(::dlsym(module, "pf_net_module"));
  ASSERT_NE(function, nullptr);
  EXPECT_EQ(function()->version, uint32_t{PF_NET_VERSION});
  // The program itself does not know libcurl.
  EXPECT_EQ(::dlsym(RTLD_DEFAULT, "curl_easy_init"), nullptr);
}

TEST(Tokens, MethodsAndValues) {
  EXPECT_TRUE(valid_token("X-Api-Key"));
  for (const char* text : {"", "a b", "a:b", "a\r\n", "ä"}) EXPECT_FALSE(valid_token(text)) << text;
  EXPECT_TRUE(valid_value("a b\tc ä"));
  EXPECT_TRUE(valid_value(""));
  for (const char* text : {"a\r\nX: y", "a\n", "a\x7f"}) EXPECT_FALSE(valid_value(text)) << text;
  EXPECT_FALSE(valid_value(std::string_view("a\0b", 3)));
}

}  // namespace
}  // namespace pf::services
