// forge.http with bodies in files, credentials, repetitions, proxies and limits.
#include <sys/stat.h>

#include "fixture.h"
#include "gmock/gmock.h"
#include "support/http_peers.h"

namespace pf::api {
namespace {

using test::Nginx;
using test::RawServer;
using testing::HasSubstr;
using testing::Not;
using Then = RawServer::Reply::Then;

RawServer::Reply reply(const std::string& body, const std::string& headers = "",
                       const std::string& status = "200 OK") {
  return {"HTTP/1.1 " + status + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + headers +
              "\r\n" + body,
          Then::keep,
          {}};
}

/// A server that keeps what it was sent and says `answer_`.
class HttpBodies : public DoorTest {
 protected:
  HttpBodies() { allow(place_); }
  void allow(const std::string& place, std::vector<Grants::Entry> read = {},
             std::vector<Grants::Entry> write = {}) {
    open({std::move(read), std::move(write), {{place, true}}});
  }
  std::string sent(const std::string& name, const Json& arguments) {
    auto answer = call(name, arguments);
    EXPECT_TRUE(answer) << answer.error().text();
    return server_.requests().empty() ? "" : server_.requests().back();
  }
  std::filesystem::path work() const { return folder_.path() / "state/work/example/first"; }
  std::string in_work(const std::string& name) const {
    return folder_.read("state/work/example/first/" + name);
  }

  RawServer::Reply answer_ = reply("ok");
  RawServer server_{[this](const std::string&) { return answer_; }};
  std::string place_ = "127.0.0.1:" + std::to_string(server_.port());
  std::string url_ = "http://" + place_ + "/";
};

TEST_F(HttpBodies, ABodyFromAFileIsSentAsItIs) {
  std::string large(3 << 20, '\0');
  for (size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>(i * 7);
  folder_.write("state/work/example/first/data.bin", large);
  const std::string got = sent("http.put", {url_, {{"body_file", "data.bin"}}});
  EXPECT_TRUE(got.starts_with("PUT / HTTP/1.1\r\n"));
  EXPECT_THAT(got.substr(0, 500), HasSubstr("Content-Length: 3145728\r\n"));
  EXPECT_TRUE(got.ends_with("\r\n\r\n" + large));
  EXPECT_TRUE(sent("http.request", {{{"url", url_}, {"body_file", "data.bin"}}}).starts_with("POST / "));
}

TEST_F(HttpBodies, FilesNeedTheirPermissions) {
  folder_.write("outside/secret", "s");
  const std::string path = folder_.path() / "outside/secret";
  const Error read = error("http.post", {url_, {{"body_file", path}}});
  EXPECT_EQ(read.code, "permission.read");
  EXPECT_EQ(error("http.post", {url_, {{"multipart", {{"f", {{"file", path}}}}}}}).code, "permission.read");
  EXPECT_EQ(error("http.get", {url_, {{"to_file", path}}}).code, "permission.write");
  EXPECT_EQ(error("http.get", {url_, {{"to_file", "../up"}}}).code, "permission.write");
  std::filesystem::create_directories(work());
  std::filesystem::create_symlink(path, work() / "link");
  EXPECT_EQ(error("http.post", {url_, {{"body_file", "link"}}}).code, "permission.read");
  EXPECT_EQ(server_.requests().size(), 0U) << "sent before it was checked";
  allow(place_, {{folder_.path() / "outside", true}});
  EXPECT_TRUE(sent("http.post", {url_, {{"body_file", path}}}).ends_with("\r\n\r\ns"));
  const auto lines = audit();
  EXPECT_EQ(lines[lines.size() - 2]["target"], path);
  EXPECT_EQ(lines[lines.size() - 2]["allowed"], true);
}

TEST_F(HttpBodies, MissingFilesAreSaidBeforeAnythingIsSent) {
  EXPECT_EQ(value("http.post", {url_, {{"body_file", "none"}}}), "os.enoent");
  EXPECT_EQ(value("http.get", {url_, {{"to_file", "none/f"}}}), "os.enoent");
  EXPECT_EQ(value("http.post", {url_, {{"body_file", "."}}}), "file.not_regular");
  EXPECT_EQ(server_.connections(), 0U);
}

TEST_F(HttpBodies, Multipart) {
  folder_.write("state/work/example/first/a \"b\".csv", "1,2\n");
  const Json parts = {
      {"count", 3},
      {"file", {{"file", "a \"b\".csv"}, {"type", "text/csv"}}},
      {"note", {"x", {{"text", "{}"}, {"filename", "n.json"}, {"type", "application/json"}}}}};
  const std::string got = sent("http.post", {url_, {{"multipart", parts}}});
  const size_t at = got.find("Content-Type: multipart/form-data; boundary=");
  ASSERT_NE(at, std::string::npos) << got;
  const std::string boundary = got.substr(at + 44, got.find("\r\n", at) - at - 44);
  EXPECT_EQ(got.substr(got.find("\r\n\r\n") + 4),
            "--" + boundary +
                "\r\nContent-Disposition: form-data; name=\"count\"\r\n\r\n3\r\n"
                "--" +
                boundary +
                "\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a %22b%22.csv\"\r\n"
                "Content-Type: text/csv\r\n\r\n1,2\n\r\n"
                "--" +
                boundary +
                "\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nx\r\n"
                "--" +
                boundary +
                "\r\nContent-Disposition: form-data; name=\"note\"; filename=\"n.json\"\r\n"
                "Content-Type: application/json\r\n\r\n{}\r\n"
                "--" +
                boundary + "--\r\n");
  EXPECT_THAT(got, HasSubstr("Content-Length: " + std::to_string(got.size() - got.find("\r\n\r\n") - 4)));
}

TEST_F(HttpBodies, AnAnswerIntoAFile) {
  PF_START_NGINX(nginx, {"", false});
  const std::string large(20 << 20, 'L');  // more than fits into an answer in memory
  nginx->folder().write("root/large", large);
  allow("127.0.0.1:" + std::to_string(nginx->port()));
  auto answer = call("http.get", {nginx->url("/large"), {{"to_file", "large"}}});
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ((*answer)["status"], 200);
  EXPECT_EQ((*answer)["path"], "large");
  EXPECT_EQ((*answer)["size"], 20 << 20);
  EXPECT_FALSE(answer->contains("body"));
  EXPECT_TRUE(in_work("large") == large);
  EXPECT_EQ(value("http.get", {nginx->url("/large")}), "http.too_big");
  answer = call("http.get", {nginx->url("/none"), {{"to_file", "none"}}});
  ASSERT_TRUE(answer);
  EXPECT_EQ((*answer)["status"], 404);
  EXPECT_THAT((*answer)["body"].get<std::string>(), HasSubstr("404 Not Found"));
  EXPECT_FALSE(std::filesystem::exists(work() / "none"));
  EXPECT_EQ(value("http.get", {nginx->url("/large"), {{"to_file", "large"}, {"max_size", 1000}}}),
            "http.too_big");
  EXPECT_TRUE(in_work("large") == large) << "a failure took what was there";
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(work()), {}), 2) << "a draft is left over";
}

TEST_F(HttpBodies, ACutOffAnswerDoesNotAppear) {
  answer_ = {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", Then::close, {}};
  EXPECT_EQ(value("http.get", {url_, {{"to_file", "f"}}}), "http.protocol");
  EXPECT_FALSE(std::filesystem::exists(work() / "f"));
}

TEST_F(HttpBodies, ABodyFromAFileFollowsRedirectsAndRepetitions) {
  std::atomic<int> requests = 0;
  RawServer server([&](const std::string& request) {
    if (request.starts_with("PUT /old")) return reply("", "Location: /new\r\n", "307 T");
    if (++requests == 1) return reply("", "", "503 Busy");
    return reply("done");
  });
  allow("127.0.0.1:" + std::to_string(server.port()));
  folder_.write("state/work/example/first/f", "content");
  const Json retry = {{"attempts", 2}, {"delay", 0.001}};
  auto answer = call("http.put", {server.url("/old"), {{"body_file", "f"}, {"retry", retry}}});
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ((*answer)["body"], "done");
  const auto got = server.requests();
  ASSERT_EQ(got.size(), 4U);
  for (const std::string& request : got) EXPECT_TRUE(request.ends_with("\r\n\r\ncontent")) << request;
}

TEST_F(HttpBodies, Credentials) {
  EXPECT_THAT(sent("http.get", {url_, {{"token", "t0k"}}}), HasSubstr("Authorization: Bearer t0k\r\n"));
  EXPECT_THAT(sent("http.get", {url_, {{"user", "me"}, {"password", "p@ss"}}}),
              HasSubstr("Authorization: Basic bWU6cEBzcw==\r\n"));
  EXPECT_THAT(sent("http.get", {url_, {{"user", "me"}}}), HasSubstr("Authorization: Basic bWU6\r\n"));
  const auto bad = [&](const Json& options) { return error("http.get", {url_, options}).message; };
  EXPECT_EQ(bad({{"password", "x"}}), "forge.http.get: `password` needs `user`");
  EXPECT_EQ(bad({{"token", "a"}, {"user", "b"}}),
            "forge.http.get: credentials are given in more than one way");
  EXPECT_EQ(bad({{"token", "a"}, {"headers", {{"authorization", "b"}}}}),
            "forge.http.get: credentials are given in more than one way");
  EXPECT_EQ(bad({{"token", "a\r\nX: y"}}), "forge.http.get: `token` is empty or holds control characters");
  EXPECT_EQ(bad({{"user", "a:b"}}), "forge.http.get: `user` must not hold a colon");
  EXPECT_EQ(error("http.get", {"http://me:pw@" + place_ + "/", {{"token", "a"}}}).message,
            "forge.http.get: credentials are given in more than one way");
}

TEST_F(HttpBodies, CredentialsAreDroppedOnAnotherPort) {
  RawServer first([&](const std::string&) { return reply("", "Location: " + url_ + "\r\n", "307 T"); });
  open({{}, {}, {{place_, true}, {"127.0.0.1:" + std::to_string(first.port()), true}}});
  ASSERT_TRUE(call("http.post",
                   {first.url("/"), {{"token", "t0k"}, {"headers", {{"Cookie", "c=1"}}}, {"body", "b"}}}));
  EXPECT_THAT(first.requests().at(0), HasSubstr("Bearer t0k"));
  EXPECT_THAT(server_.requests().at(0), Not(HasSubstr("t0k")));
  EXPECT_THAT(server_.requests().at(0), Not(HasSubstr("c=1")));
  EXPECT_TRUE(server_.requests().at(0).ends_with("\r\n\r\nb"));
}

TEST_F(HttpBodies, RedirectsThatAreNotFollowed) {
  answer_ = reply("moved", "Location: /there\r\n", "302 Found");
  auto answer = call("http.get", {url_, {{"follow", false}}});
  ASSERT_TRUE(answer);
  EXPECT_EQ((*answer)["status"], 302);
  EXPECT_EQ((*answer)["body"], "moved");
  EXPECT_EQ((*answer)["headers"]["location"], "/there");
  EXPECT_EQ(value("http.get", {url_, {{"max_redirects", 2}}}), "http.redirects");
  EXPECT_EQ(server_.requests().size(), 4U);
  EXPECT_EQ(value("http.get", {url_, {{"max_redirects", 0}}}), "http.redirects");
}

TEST_F(HttpBodies, RepeatsWhatMayBeRepeated) {
  std::atomic<int> requests = 0;
  // Connections are not kept: libcurl itself repeats what a kept one broke under.
  const auto once = [](const std::string& body, const std::string& headers, const std::string& status) {
    RawServer::Reply out = reply(body, headers + "Connection: close\r\n", status);
    out.then = Then::close;
    return out;
  };
  RawServer server([&](const std::string& request) {
    ++requests;
    if (request.find("/always") != std::string::npos) return once("no", "", "503 Busy");
    if (request.find("/404") != std::string::npos) return once("no", "", "404 None");
    if (request.find("/long") != std::string::npos) return once("no", "Retry-After: 3600\r\n", "429 Slow");
    if (requests < 3) {
      return request.find("/breaks") != std::string::npos ? RawServer::Reply{"", Then::close, {}}
                                                          : once("", "Retry-After: 0\r\n", "503 Busy");
    }
    return once("at last", "", "200 OK");
  });
  allow("127.0.0.1:" + std::to_string(server.port()));
  const auto tries = [&](const char* name, const char* path, const Json& more) {
    requests = 0;
    Json options = {{"retry", {{"attempts", 3}, {"delay", 0.001}}}};
    options["retry"].update(more);
    auto answer = call(name, {server.url(path), options});
    return std::to_string(requests) + " " +
           (answer ? to_json_text((*answer)["status"]) : answer.error().code);
  };
  EXPECT_EQ(tries("http.get", "/busy", Json::object()), "3 200");
  EXPECT_EQ(tries("http.get", "/breaks", Json::object()), "3 200");
  EXPECT_EQ(tries("http.put", "/busy", Json::object()), "3 200");
  EXPECT_EQ(tries("http.get", "/always", Json::object()), "3 503");
  EXPECT_EQ(tries("http.get", "/404", Json::object()), "1 404");
  EXPECT_EQ(tries("http.get", "/long", Json::object()), "1 429") << "an hour is longer than max_delay";
  EXPECT_EQ(tries("http.post", "/busy", Json::object()), "1 503");
  EXPECT_EQ(tries("http.post", "/breaks", Json::object()), "1 http.connect");
  EXPECT_EQ(tries("http.post", "/busy", {{"any_method", true}}), "3 200");
  EXPECT_EQ(tries("http.get", "/busy", {{"attempts", 2}}), "2 503");
  requests = 0;
  EXPECT_EQ(to_json_text((*call("http.get", {server.url("/always")}))["status"]), "503");
  EXPECT_EQ(requests, 1);
}

TEST_F(HttpBodies, MistakesInTheNewOptions) {
  const auto bad = [&](const Json& options) {
    Json whole = options;
    whole["url"] = url_;
    return error("http.request", Json::array({whole})).message.substr(20);
  };
  EXPECT_EQ(bad({{"retry", 0}}), "`retry` must be a whole number from 1 to 20");
  EXPECT_EQ(bad({{"retry", "x"}}),
            "`retry` must be a number of attempts, or a table such as {attempts = 3, delay = 0.5}");
  EXPECT_EQ(bad({{"retry", {{"delay", 1}}}}),
            "retry: `attempts` is missing: it must be a number from 1 to 20");
  EXPECT_EQ(bad({{"retry", {{"attempts", 2}, {"dealy", 1}}}}), "retry: there is no option 'dealy'");
  EXPECT_EQ(bad({{"retry", {{"attempts", 2}, {"max_delay", -1}}}}),
            "retry: `max_delay` must be a number of seconds, from 0.0 to 86400");
  EXPECT_EQ(bad({{"max_size", (15 << 20) + 1}}), "`max_size` must be a whole number from 1 to 15728640");
  EXPECT_EQ(bad({{"max_redirects", 51}}), "`max_redirects` must be a whole number from 0 to 50");
  EXPECT_EQ(bad({{"follow", false}, {"max_redirects", 3}}),
            "`max_redirects` has no effect with `follow = false`");
  EXPECT_EQ(bad({{"multipart", Json::array({"a"})}}),
            "`multipart` must be a table of names and texts, or tables such as {file = path}");
  EXPECT_EQ(bad({{"multipart", {{"a", {{"fiel", "x"}}}}}}), "multipart.a: there is no option 'fiel'");
  EXPECT_EQ(bad({{"multipart", {{"a", {{"type", "x"}}}}}}),
            "multipart.a: a part has either `file` or `text`");
  EXPECT_EQ(bad({{"multipart", {{"a", "b"}}}, {"headers", {{"Content-Type", "x"}}}}),
            "the header Content-Type of a `multipart` body is set by the program");
  EXPECT_EQ(bad({{"multipart", {{"a", "b"}}}, {"body_file", "f"}}),
            "`json`, `form`, `body`, `body_file` and `multipart` exclude each other");
  EXPECT_EQ(bad({{"method", "HEAD"}, {"to_file", "f"}}),
            "the answer of a HEAD request has no body for `to_file`");
  EXPECT_EQ(bad({{"proxy", "socks5://x:1"}}), "`proxy` must be written http://host:port");
  EXPECT_EQ(server_.connections(), 0U);
}

TEST_F(HttpBodies, ThroughAProxy) {
  PF_START_TINYPROXY(proxy);
  const std::string through = "http://127.0.0.1:" + std::to_string(proxy->port());
  // The proxy itself needs a literal entry.
  EXPECT_EQ(error("http.get", {url_, {{"proxy", through}}}).code, "permission.http");
  EXPECT_EQ(server_.connections(), 0U);
  const std::string proxy_place = "127.0.0.1:" + std::to_string(proxy->port());
  open({{}, {}, {{place_, true}, {proxy_place, false}}});
  EXPECT_EQ(error("http.get", {url_, {{"proxy", through}}}).code, "permission.http");
  open({{}, {}, {{place_, true}, {proxy_place, true}}});
  auto answer = call("http.get", {url_, {{"proxy", through}}});
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ((*answer)["body"], "ok");
  EXPECT_THAT(server_.requests().at(0), HasSubstr("Via: 1.1 "));
  // What the proxy looks up cannot be judged here: a wildcard, or what came from another instance, is not
  // enough.
  for (const Grants::Entry& entry :
       {Grants::Entry{"*.localhost:" + std::to_string(server_.port()), true},
        Grants::Entry{"in.localhost:" + std::to_string(server_.port()), false}}) {
    open({{}, {}, {entry, {proxy_place, true}}});
    const Error refused = error(
        "http.get", {"http://in.localhost:" + std::to_string(server_.port()) + "/", {{"proxy", through}}});
    EXPECT_EQ(refused.code, "permission.http");
    EXPECT_TRUE(refused.hint.starts_with("a proxy looks names up itself")) << refused.hint;
  }
  EXPECT_EQ(server_.requests().size(), 1U);
}

TEST_F(HttpBodies, TlsThroughAProxyAndAProxyThatRefuses) {
  PF_START_TINYPROXY(proxy);
  PF_START_NGINX(nginx, {"", true});
  const std::string through = "http://127.0.0.1:" + std::to_string(proxy->port());
  const std::string place = "localhost:" + std::to_string(nginx->tls_port());
  session_.reset();
  door_.reset();
  ASSERT_EQ(::setenv("SSL_CERT_FILE", (nginx->folder().path() / "cert.pem").c_str(), 1), 0);
  door_ = Door::make(loop_, sink_, {}, secrets_);
  uint16_t nobody = 0;
  ::close(test::listen_on_loopback(nobody));
  const std::string nowhere = "localhost:" + std::to_string(nobody);
  open({{}, {}, {{place, true}, {nowhere, true}, {"127.0.0.1:" + std::to_string(proxy->port()), true}}});
  auto answer = call("http.get", {"https://" + place + "/hello.txt", {{"proxy", through}}});
  const Error refused = error("http.get", {"https://" + nowhere + "/", {{"proxy", through}}});
  ::unsetenv("SSL_CERT_FILE");
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ((*answer)["body"], "hello\n");
  EXPECT_FALSE((*answer)["headers"].contains("proxy-agent")) << "the proxy's headers are not the server's";
  EXPECT_EQ(refused.code, "http.proxy") << refused.text();
}

TEST_F(HttpBodies, AProxyGetsItsCredentials) {
  RawServer proxy([](const std::string& request) {
    return request.find("Proxy-Authorization: Basic bWU6cHc=\r\n") != std::string::npos
               ? reply("in")
               : reply("", "", "407 Who");
  });
  const std::string place = "127.0.0.1:" + std::to_string(proxy.port());
  open({{}, {}, {{"example.invalid", true}, {place, true}}});
  auto answer = call("http.get", {"http://example.invalid/x", {{"proxy", "http://me:pw@" + place}}});
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ((*answer)["body"], "in");
  EXPECT_TRUE(proxy.requests().at(0).starts_with("GET http://example.invalid/x HTTP/1.1\r\n"));
}

TEST_F(HttpBodies, Http2WhereTlsAgrees) {
  PF_START_NGINX(nginx, {"location /p { return 200 $server_protocol; }", true, true});
  const std::string place = "localhost:" + std::to_string(nginx->tls_port());
  session_.reset();
  door_.reset();
  ASSERT_EQ(::setenv("SSL_CERT_FILE", (nginx->folder().path() / "cert.pem").c_str(), 1), 0);
  door_ = Door::make(loop_, sink_, {}, secrets_);
  allow(place);
  auto answer = call("http.get", {"https://" + place + "/p"});
  ::unsetenv("SSL_CERT_FILE");
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ((*answer)["body"], "HTTP/2.0");
}

}  // namespace
}  // namespace pf::api
