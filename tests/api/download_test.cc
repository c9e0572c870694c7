#include "fixture.h"
#include "gmock/gmock.h"
#include "support/http_peers.h"

namespace pf::api {
namespace {

using test::Nginx;
using test::RawServer;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using Then = RawServer::Reply::Then;

constexpr char kHello[] = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";

RawServer::Reply reply(const std::string& body, const std::string& headers = "",
                       const std::string& status = "200 OK") {
  return {"HTTP/1.1 " + status + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + headers +
              "\r\n" + body,
          Then::keep,
          {}};
}

class DownloadApi : public DoorTest {
 protected:
  DownloadApi() { allow({{place_, true}}); }
  void allow(std::vector<Grants::Entry> http, std::vector<Grants::Entry> read = {},
             std::vector<Grants::Entry> write = {}) {
    open({std::move(read), std::move(write), std::move(http)});
  }
  std::filesystem::path work() const { return folder_.path() / "state/work/example/first"; }
  std::string content(const std::string& name) const {
    return folder_.read("state/work/example/first/" + name);
  }
  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const auto& entry : std::filesystem::directory_iterator(work()))
      out.push_back(entry.path().filename());
    std::sort(out.begin(), out.end());
    return out;
  }

  RawServer server_{[](const std::string& request) {
    return request.starts_with("GET /none") ? reply("", "", "404 Not Found") : reply("hello\n");
  }};
  std::string place_ = "127.0.0.1:" + std::to_string(server_.port());
  std::string url_ = server_.url("/data");
};

TEST_F(DownloadApi, AFileIntoTheWorkFolder) {
  auto answer = call("download.file", {url_ + "?token=t", "data.txt"});
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ(*answer, (Json{{"path", "data.txt"},
                           {"size", 6},
                           {"sha256", kHello},
                           {"from_cache", false},
                           {"url", url_ + "?token=t"}}));
  EXPECT_EQ(content("data.txt"), "hello\n");
  EXPECT_THAT(names(), ElementsAre("data.txt", "tmp"));
  EXPECT_EQ(audit().at(0), (Json{{"instance", "example.first"},
                                 {"call", "download.file"},
                                 {"target", url_},
                                 {"to", work() / "data.txt"},
                                 {"allowed", true},
                                 {"code", nullptr}}));
}

TEST_F(DownloadApi, DigestsAreCompared) {
  std::string upper = kHello;
  for (char& c : upper) c = static_cast<char>(::toupper(c));
  const Json good = {{"sha256", upper}, {"md5", "b1946ac92492d2347c6235b4d2611184"}};
  auto answer = call("download.file", {url_, "a", good});
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ((*answer)["md5"], "b1946ac92492d2347c6235b4d2611184");
  const Error e = error("download.file", {url_, "b", {{"sha256", std::string(64, '0')}}});
  EXPECT_EQ(e.code, "download.digest");
  EXPECT_THAT(e.message, HasSubstr(kHello));
  EXPECT_FALSE(std::filesystem::exists(work() / "b"));
}

TEST_F(DownloadApi, NeedsThePermissionsOfHostAndPath) {
  const Error path = error("download.file", {url_, folder_.path() / "elsewhere"});
  EXPECT_EQ(path.code, "permission.write");
  EXPECT_THAT(path.hint, HasSubstr("write: [" + (folder_.path() / "elsewhere").string() + "]"));
  EXPECT_EQ(error("download.file", {url_, "../up"}).code, "permission.write");
  allow({{"example.org", true}});
  const Error host = error("download.file", {url_, "f"});
  EXPECT_EQ(host.code, "permission.http");
  EXPECT_THAT(host.hint, HasSubstr("http: [\"" + place_ + "\"]"));
  EXPECT_EQ(error("download.file",
                  {"http://example.org/", "f", {{"mirrors", Json::array({url_})}, {"timeout", 0.001}}})
                .code,
            "http.timeout");
  allow({{"localhost:" + std::to_string(server_.port()), false}});
  const Error inside =
      error("download.file", {"http://localhost:" + std::to_string(server_.port()) + "/", "f"});
  EXPECT_EQ(inside.code, "permission.http");
  EXPECT_TRUE(inside.hint.starts_with("private and loopback addresses")) << inside.hint;
  EXPECT_EQ(server_.connections(), 0U);
  std::filesystem::create_directories(work());
  std::filesystem::create_symlink(folder_.path(), work() / "out");
  allow({{place_, true}});
  EXPECT_EQ(error("download.file", {url_, "out/f"}).code, "permission.write");
  EXPECT_FALSE(std::filesystem::exists(folder_.path() / "f"));
  EXPECT_EQ(server_.connections(), 0U);
}

TEST_F(DownloadApi, AMirrorWithoutPermissionIsRefused) {
  RawServer broken([](const std::string&) { return reply("", "", "404 None"); });
  const std::string broken_place = "127.0.0.1:" + std::to_string(broken.port());
  allow({{broken_place, true}});
  const Json mirrors = {{"mirrors", {url_}}};
  EXPECT_EQ(error("download.file", {broken.url("/"), "f", mirrors}).code, "permission.http");
  EXPECT_EQ(server_.connections(), 0U);
  allow({{broken_place, true}, {place_, true}});
  auto answer = call("download.file", {broken.url("/"), "f", mirrors});
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ((*answer)["url"], url_);
}

TEST_F(DownloadApi, ARedirectToAnUndeclaredHostIsRefused) {
  RawServer first([&](const std::string&) { return reply("", "Location: " + url_ + "\r\n", "302 F"); });
  allow({{"127.0.0.1:" + std::to_string(first.port()), true}});
  const Error e = error("download.file", {first.url("/"), "f"});
  EXPECT_EQ(e.code, "permission.http");
  EXPECT_THAT(e.message, HasSubstr("a redirect led to " + url_));
  EXPECT_EQ(server_.connections(), 0U);
  EXPECT_THAT(names(), ElementsAre("tmp"));
}

TEST_F(DownloadApi, FileAddressesNeedRead) {
  folder_.write("data/a b", "local");
  const std::string url = "file://" + (folder_.path() / "data/a%20b").string();
  EXPECT_EQ(error("download.file", {url, "f"}).code, "permission.read");
  EXPECT_EQ(error("download.file", {"file:///proc/self/environ", "f"}).code, "permission.read");
  allow({}, {{folder_.path() / "data", true}});
  auto answer = call("download.file", {url, "f"});
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ(content("f"), "local");
  EXPECT_EQ((*answer)["url"], url);
  std::filesystem::create_symlink("/etc/passwd", folder_.path() / "data/link");
  EXPECT_EQ(error("download.file", {"file://" + (folder_.path() / "data/link").string(), "f"}).code,
            "permission.read");
  EXPECT_EQ(error("download.file", {"file://" + (folder_.path() / "data/none").string(), "f"}).code,
            "os.enoent");
  EXPECT_EQ(error("download.file", {"file://host/x", "f"}).code, "http.url");
  EXPECT_EQ(error("download.file", {"file:///x?y", "f"}).code, "http.url");
  EXPECT_EQ(content("f"), "local");
}

TEST_F(DownloadApi, WhatCannotBeKeptSafeIsRefused) {
  for (const char* url : {"ftp://example.org/f", "sftp://example.org/f"}) {
    const Error e = error("download.file", {url, "f"});
    EXPECT_EQ(e.code, "download.scheme") << url;
    EXPECT_FALSE(e.retryable);
  }
  EXPECT_EQ(error("download.file", {"gopher://x/", "f"}).code, "http.url");
}

TEST_F(DownloadApi, Mistakes) {
  const auto bad = [&](const Json& options) {
    return error("download.file", {url_, "f", options}).message.substr(21);
  };
  EXPECT_EQ(bad({{"sha265", "x"}}), "there is no option 'sha265'");
  EXPECT_EQ(bad({{"sha256", "abc"}}), "`sha256` must be 64 hexadecimal digits");
  EXPECT_EQ(bad({{"md5", std::string(32, 'g')}}), "`md5` must be 32 hexadecimal digits");
  EXPECT_EQ(bad({{"mirrors", {1}}}), "`mirrors` must be a list of URLs");
  EXPECT_EQ(bad({{"headers", {{"Range", "bytes=0-"}}}}), "the header Range is set by the program");
  EXPECT_EQ(bad({{"max_size", 0}}), "`max_size` must be a whole number from 1 to 9007199254740992");
  EXPECT_EQ(bad({{"timeout", 0}}), "`timeout` must be a number of seconds, from 0.001 to 604800");
  EXPECT_EQ(bad({{"cache", true}}), "`cache = true` needs `sha256`");
  EXPECT_EQ(bad({{"token", "a"}, {"user", "b"}}), "credentials are given in more than one way");
  EXPECT_EQ(error("download.file", {url_, "."}).code, "file.path");
  EXPECT_EQ(error("download.file", {url_, "none/f"}).hint, "make the folder first, with forge.fs.mkdir");
  EXPECT_EQ(error("download.file", {"http://", "f"}).code, "http.url");
  EXPECT_EQ(error("download.file", {url_}).message,
            "forge.download.file: `path` is missing: it must be a string");
  const auto all = [&](const Json& files) { return error("download.all", Json::array({files})).message; };
  EXPECT_EQ(all({1}), "forge.download.all: files[1]: it must be a table such as {url = …, path = …}");
  EXPECT_EQ(all({{{"url", url_}}}), "forge.download.all: files[1]: `path` is missing");
  EXPECT_EQ(all({{{"url", url_}, {"path", "a"}, {"sha", 1}}}),
            "forge.download.all: files[1]: there is no option 'sha'");
  EXPECT_EQ(all({{{"url", url_}, {"path", "a"}}, {{"url", url_}, {"path", "./a"}}}),
            "forge.download.all: files[2]: it has the path of files[1], ./a");
  EXPECT_EQ(error("download.all", {Json::array(), {{"parallel", 65}}}).message,
            "forge.download.all: `parallel` must be a whole number from 1 to 64");
  EXPECT_EQ(server_.connections(), 0U);
}

TEST_F(DownloadApi, CredentialsAndTheirCaching) {
  door_->set_download_cache(folder_.path() / "cache");
  const auto get = [&](const Json& more) {
    Json options = {{"sha256", kHello}};
    options.update(more);
    auto answer = call("download.file", {url_, "f", options});
    EXPECT_TRUE(answer) << answer.error().text();
    return answer && (*answer)["from_cache"].get<bool>();
  };
  EXPECT_FALSE(get({{"token", "t0k"}}));
  EXPECT_THAT(server_.requests().at(0), HasSubstr("Authorization: Bearer t0k\r\n"));
  EXPECT_FALSE(get(Json::object())) << "what credentials opened was cached";
  EXPECT_TRUE(get(Json::object()));
  EXPECT_FALSE(get({{"cache", false}}));
  EXPECT_FALSE(get({{"user", "me"}, {"password", "pw"}}));
  EXPECT_TRUE(get({{"token", "t"}, {"cache", true}}));
  EXPECT_EQ(server_.requests().size(), 4U);
  // Also what lies in the cache needs the permission for its address.
  allow({});
  EXPECT_EQ(error("download.file", {url_, "f", {{"sha256", kHello}}}).code, "permission.http");
}

TEST_F(DownloadApi, ManyAtOnceAndWhatFailed) {
  Json files = Json::array();
  for (int i = 0; i < 20; ++i) files.push_back({{"url", url_}, {"path", "f" + std::to_string(i)}});
  auto answer = call("download.all", {files, {{"parallel", 4}}});
  ASSERT_TRUE(answer) << answer.error().text();
  ASSERT_EQ(answer->size(), 20U);
  EXPECT_EQ((*answer)[7]["path"], "f7");
  EXPECT_EQ((*answer)[7]["sha256"], kHello);
  EXPECT_LE(server_.connections(), 4U);
  files = Json::array({{{"url", url_}, {"path", "good"}},
                       {{"url", server_.url("/none")}, {"path", "bad"}},
                       {{"url", server_.url("/none")}, {"path", "worse"}}});
  const Error e = error("download.all", Json::array({files}));
  EXPECT_EQ(e.code, "download.status");
  EXPECT_EQ(e.message, "files[2], bad: " + server_.url("/none") +
                           " was answered with status 404 (1 other file of 3 failed too)");
  EXPECT_EQ(content("good"), "hello\n");
  EXPECT_FALSE(std::filesystem::exists(work() / "bad"));
  EXPECT_EQ(value("download.all", Json::array({Json::array()})), "[]");
}

TEST_F(DownloadApi, ErrorsKeepTheirCodes) {
  RawServer server([](const std::string& request) {
    if (request.starts_with("GET /hang")) return RawServer::Reply{"", Then::hang, {}};
    if (request.starts_with("GET /loop")) return reply("", "Location: /loop\r\n", "302 F");
    return RawServer::Reply{"HTTP/1.1 200 OK\r\n\r\n", Then::repeat, std::string(65536, 'x')};
  });
  allow({{"127.0.0.1:" + std::to_string(server.port()), true}, {"nobody.invalid", true}});
  EXPECT_EQ(value("download.file", {server.url("/hang"), "f", {{"timeout", 0.1}}}), "http.timeout");
  EXPECT_EQ(value("download.file", {server.url("/loop"), "f"}), "http.redirects");
  EXPECT_EQ(value("download.file", {server.url("/big"), "f", {{"max_size", 100000}}}), "download.too_big");
  EXPECT_THAT(names(), ElementsAre("tmp"));
}

TEST_F(DownloadApi, ProgressAndTheEndOfASession) {
  RawServer server([](const std::string&) {
    return RawServer::Reply{"HTTP/1.1 200 OK\r\nContent-Length: 8000000000\r\n\r\n", Then::repeat,
                            std::string(65536, 'x')};
  });
  allow({{"127.0.0.1:" + std::to_string(server.port()), true}});
  session_->call(registry::find("download.file"), to_cbor(Json{server.url("/"), "tmp/big"}),
                 [](Result<std::string>) { FAIL(); });
  loop_.restart();
  while (sink_.progresses.empty()) ASSERT_EQ(loop_.run_one_for(std::chrono::seconds(60)), 1U);
  EXPECT_TRUE(sink_.progresses[0].starts_with("7 ")) << sink_.progresses[0];
  EXPECT_TRUE(sink_.progresses[0].ends_with("/8000000000.0 big")) << sink_.progresses[0];
  session_.reset();
  loop_.restart();
  loop_.run();  // ends: nothing holds it any longer
  door_.reset();
  EXPECT_THAT(std::filesystem::is_empty(work() / "tmp"), true) << "a part without use stays";
}

}  // namespace
}  // namespace pf::api
