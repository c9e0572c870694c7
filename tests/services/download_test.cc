#include "services/download.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <atomic>

#include "base/digest.h"
#include "base/file.h"
#include "services/download_cache.h"
#include "services/download_file.h"
#include "support/http_peers.h"
#include "support/owner.h"

namespace pf::services {
namespace {

using test::Nginx;
using test::Owner;
using test::RawServer;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using Then = RawServer::Reply::Then;

std::string reply(const std::string& body, const std::string& headers = "",
                  const std::string& status = "200 OK") {
  return "HTTP/1.1 " + status + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + headers +
         "\r\n" + body;
}

// Bytes without a period that a piece could hide in.
std::string bytes(size_t size) {
  std::string out(size, '\0');
  uint32_t x = 12345;
  for (char& c : out) {
    x = x * 1664525 + 1013904223;
    c = static_cast<char>(x >> 24);
  }
  return out;
}

size_t range_of(const std::string& request) {
  const size_t at = request.find("Range: bytes=");
  return at == std::string::npos ? 0 : std::stoul(request.substr(at + 13));
}

class DownloadTest : public testing::Test {
 protected:
  DownloadTest() { std::filesystem::create_directory(out()); }
  std::filesystem::path out() const { return folder_.path() / "out"; }
  std::filesystem::path cache() const { return folder_.path() / "cache"; }
  void use_cache() { downloads_ = Downloads::make(*http_, owner_.post(), owner_.after(), cache()); }

  DownloadRequest request(const std::vector<std::string>& urls, const std::string& name = "f") {
    DownloadRequest out_request;
    for (const std::string& url : urls) out_request.sources.push_back({url, *parse_url(url), {}});
    out_request.target = [folder = out(), name]() -> Result<FileTarget> {
      auto opened = Folder::open(folder);
      if (!opened) return tl::unexpected(opened.error());
      return opened->target(name);
    };
    out_request.check = [this](const Url& url, int hop) -> Result<HttpAccess> {
      checked_.push_back(std::to_string(hop) + " " + url.text());
      return HttpAccess{true};
    };
    return out_request;
  }
  Result<DownloadResult> fetch(DownloadRequest wanted) {
    bool done = false;
    Result<DownloadResult> out_result;
    downloads_->submit(std::move(wanted), [&](Result<DownloadResult> result) {
      out_result = std::move(result);
      done = true;
    });
    EXPECT_FALSE(done) << "Done came from inside submit()";
    owner_.run_until(done);
    return out_result;
  }
  Error error(DownloadRequest wanted) {
    auto result = fetch(std::move(wanted));
    EXPECT_FALSE(result);
    return result ? Error{} : result.error();
  }
  std::string content(const std::string& name = "f") const { return folder_.read("out/" + name); }
  std::vector<std::string> names() const {
    auto folder = Folder::open(out());
    return *folder->list(".");
  }

  test::Folder folder_;
  Owner owner_;
  std::unique_ptr<Http> http_ = Http::make(owner_.post(), {});
  std::unique_ptr<Downloads> downloads_ = Downloads::make(*http_, owner_.post(), owner_.after(), {});
  std::vector<std::string> checked_;
};

TEST_F(DownloadTest, FetchesAndHashes) {
  PF_START_NGINX(nginx, {"", false});
  auto result = fetch(request({nginx->url("/hello.txt")}));
  ASSERT_TRUE(result) << result.error().text();
  EXPECT_EQ(content(), "hello\n");
  EXPECT_EQ(result->size, 6U);
  EXPECT_EQ(result->sha256, "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03");
  EXPECT_EQ(result->md5, "");
  EXPECT_FALSE(result->from_cache);
  EXPECT_EQ(result->url, nginx->url("/hello.txt"));
  EXPECT_THAT(names(), ElementsAre("f"));
  EXPECT_THAT(checked_, ElementsAre("0 " + nginx->url("/hello.txt")));
}

TEST_F(DownloadTest, AnEmptyFile) {
  RawServer server([](const std::string&) { return RawServer::Reply{reply(""), Then::keep, {}}; });
  auto result = fetch(request({server.url("/")}));
  ASSERT_TRUE(result) << result.error().text();
  EXPECT_EQ(result->sha256, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(content(), "");
}

TEST_F(DownloadTest, ALargeFileIsHashedWhileItComes) {
  PF_START_NGINX(nginx, {"", false});
  const std::string large = bytes(9'000'001);
  nginx->folder().write("root/large", large);
  DownloadRequest wanted = request({nginx->url("/large")});
  wanted.sha256 = sha256_hex(large);
  Md5 md5;
  md5.update(large);
  wanted.md5 = md5.finish();
  auto result = fetch(std::move(wanted));
  ASSERT_TRUE(result) << result.error().text();
  EXPECT_EQ(result->sha256, sha256_hex(large));
  EXPECT_EQ(result->md5.size(), 32U);
  EXPECT_TRUE(content() == large);
  EXPECT_THAT(names(), ElementsAre("f"));
}

TEST_F(DownloadTest, AWrongDigestNamesTheOneFoundAndLeavesNothing) {
  RawServer server([](const std::string&) { return RawServer::Reply{reply("hello\n"), Then::keep, {}}; });
  folder_.write("out/f", "old");
  DownloadRequest wanted = request({server.url("/x")});
  wanted.sha256 = std::string(64, '0');
  Error e = error(std::move(wanted));
  EXPECT_EQ(e.code, "download.digest");
  EXPECT_FALSE(e.retryable);
  EXPECT_EQ(e.message,
            "f: the SHA-256 is 5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03, expected " +
                std::string(64, '0') + ", from " + server.url("/x"));
  EXPECT_EQ(content(), "old");
  EXPECT_THAT(names(), ElementsAre("f"));
  wanted = request({server.url("/x")});
  wanted.md5 = std::string(32, '0');
  e = error(std::move(wanted));
  EXPECT_THAT(e.message, HasSubstr("the MD5 is b1946ac92492d2347c6235b4d2611184, expected 0000"));
  EXPECT_EQ(content(), "old");
  EXPECT_EQ(server.requests().size(), 2U) << "what is wrong is not asked for again";
}

TEST_F(DownloadTest, ReplacesTheFileAndKeepsItsMode) {
  RawServer server([](const std::string&) { return RawServer::Reply{reply("new"), Then::keep, {}}; });
  folder_.write("out/f", "old");
  ASSERT_EQ(::chmod((out() / "f").c_str(), 0640), 0);
  ASSERT_TRUE(fetch(request({server.url("/")})));
  EXPECT_EQ(content(), "new");
  struct stat info {};
  ASSERT_EQ(::stat((out() / "f").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0640U);
}

TEST_F(DownloadTest, ALinkInPlaceOfTheFileIsReplacedNotFollowed) {
  RawServer server([](const std::string&) { return RawServer::Reply{reply("new"), Then::keep, {}}; });
  folder_.write("secret", "kept");
  std::filesystem::create_symlink(folder_.path() / "secret", out() / "f");
  std::filesystem::create_symlink(folder_.path() / "secret", out() / ".f.part");
  ASSERT_TRUE(fetch(request({server.url("/")})));
  EXPECT_EQ(content(), "new");
  EXPECT_EQ(folder_.read("secret"), "kept");
  EXPECT_FALSE(std::filesystem::is_symlink(out() / "f"));
}

TEST_F(DownloadTest, APartWithASecondNameIsNotTouched) {
  RawServer server([](const std::string&) { return RawServer::Reply{reply("new"), Then::keep, {}}; });
  folder_.write("other", "somebody's");
  std::filesystem::create_hard_link(folder_.path() / "other", out() / ".f.part");
  ASSERT_TRUE(fetch(request({server.url("/")})));
  EXPECT_EQ(content(), "new");
  EXPECT_EQ(folder_.read("other"), "somebody's");
}

TEST_F(DownloadTest, AFolderInPlaceOfTheFile) {
  RawServer server([](const std::string&) { return RawServer::Reply{reply("new"), Then::keep, {}}; });
  std::filesystem::create_directory(out() / "f");
  EXPECT_EQ(error(request({server.url("/")})).code, "os.eisdir");
  EXPECT_THAT(names(), ElementsAre("f"));
}

TEST_F(DownloadTest, AMissingFolderIsAnErrorBeforeAnythingIsSent) {
  RawServer server([](const std::string&) { return RawServer::Reply{reply("new"), Then::keep, {}}; });
  EXPECT_EQ(error(request({server.url("/")}, "none/f")).code, "os.enoent");
  EXPECT_EQ(server.connections(), 0U);
}

// The connection breaks twice; each time what is missing is asked for, and only if the file is still the
// same.
TEST_F(DownloadTest, GoesOnAfterABreakWithinOneCall) {
  const std::string whole = bytes(300'000);
  RawServer server([&](const std::string& request) {
    const size_t from = range_of(request);
    if (from == 0) {
      return RawServer::Reply{reply(whole, "ETag: \"v1\"\r\n").substr(0, 100'000), Then::close, {}};
    }
    const std::string rest = whole.substr(from);
    std::string text =
        reply(rest, "ETag: \"v1\"\r\nContent-Range: bytes " + std::to_string(from) + "-299999/300000\r\n",
              "206 Partial Content");
    if (from < 150'000) text.resize(text.size() - 100'000);
    return RawServer::Reply{text, Then::close, {}};
  });
  auto result = fetch(request({server.url("/data")}));
  ASSERT_TRUE(result) << result.error().text();
  EXPECT_TRUE(content() == whole);
  EXPECT_EQ(result->sha256, sha256_hex(whole));
  const auto requests = server.requests();
  ASSERT_EQ(requests.size(), 3U);
  EXPECT_THAT(requests[0], Not(HasSubstr("Range")));
  EXPECT_THAT(requests[1], HasSubstr("If-Range: \"v1\"\r\n"));
  EXPECT_THAT(requests[1], HasSubstr("Range: bytes=99"));
  EXPECT_THAT(requests[2], HasSubstr("Range: bytes=200000-\r\n"));
  ASSERT_EQ(owner_.waits.size(), 2U);
  EXPECT_GE(owner_.waits[0], Milliseconds(100));
  EXPECT_LE(owner_.waits[0], Milliseconds(200));
  EXPECT_GE(owner_.waits[1], Milliseconds(200));
  EXPECT_LE(owner_.waits[1], Milliseconds(400));
}

TEST_F(DownloadTest, AFileThatChangedMeanwhileIsFetchedAsAWhole) {
  const std::string first = bytes(200'000);
  const std::string second(1000, 's');
  std::atomic<int> requests = 0;
  RawServer server([&](const std::string&) {
    if (++requests == 1)
      return RawServer::Reply{reply(first, "ETag: \"v1\"\r\n").substr(0, 90'000), Then::close, {}};
    return RawServer::Reply{reply(second, "ETag: \"v2\"\r\n"), Then::keep, {}};  // the If-Range did not hold
  });
  auto result = fetch(request({server.url("/data")}));
  ASSERT_TRUE(result) << result.error().text();
  EXPECT_EQ(content(), second);
  EXPECT_EQ(result->sha256, sha256_hex(second));
  EXPECT_THAT(server.requests().at(1), HasSubstr("If-Range: \"v1\"\r\n"));
}

TEST_F(DownloadTest, AnotherCallGoesOnWhereOneBroke) {
  const std::string whole = bytes(3'000'000);
  std::atomic<bool> broken = true;
  RawServer server([&](const std::string& request) {
    const size_t from = range_of(request);
    if (broken && from == 0)
      return RawServer::Reply{reply(whole, "ETag: \"v1\"\r\n").substr(0, 2'000'000), Then::close, {}};
    if (broken) return RawServer::Reply{"", Then::close, {}};
    return RawServer::Reply{
        reply(whole.substr(from),
              "ETag: \"v1\"\r\nContent-Range: bytes " + std::to_string(from) + "-2999999/3000000\r\n",
              "206 Partial Content"),
        Then::keep,
        {}};
  });
  EXPECT_EQ(error(request({server.url("/data")})).code, "http.connect");
  EXPECT_THAT(names(), ElementsAre(".f.part"));
  const auto part = static_cast<size_t>(std::filesystem::file_size(out() / ".f.part"));
  EXPECT_GT(part, 1'900'000U);
  broken = false;
  auto result = fetch(request({server.url("/data")}));
  ASSERT_TRUE(result) << result.error().text();
  EXPECT_TRUE(content() == whole);
  EXPECT_EQ(result->sha256, sha256_hex(whole));
  EXPECT_THAT(server.requests().back(), HasSubstr("Range: bytes=" + std::to_string(part) + "-\r\n"));
  EXPECT_THAT(names(), ElementsAre("f"));
  char value[8];
  EXPECT_EQ(::getxattr((out() / "f").c_str(), "user.pangeo-forge.download", value, sizeof value), -1)
      << "the file still says that it is a part";
}

TEST_F(DownloadTest, NginxGoesOnWithAPart) {
  PF_START_NGINX(nginx, {"limit_rate_after 1m; limit_rate 1;", false});
  const std::string whole = bytes(1'500'000);
  nginx->folder().write("root/data", whole);
  DownloadRequest wanted = request({nginx->url("/data")});
  wanted.timeout = Milliseconds(500);
  EXPECT_EQ(error(std::move(wanted)).code, "http.timeout");
  const auto part = std::filesystem::file_size(out() / ".f.part");
  EXPECT_GE(part, 1'000'000U);
  ASSERT_LT(part, whole.size());
  auto result = fetch(request({nginx->url("/data")}));
  ASSERT_TRUE(result) << result.error().text();
  EXPECT_TRUE(content() == whole);
}

TEST_F(DownloadTest, APartWithoutAWordOfItsOriginIsNotUsed) {
  RawServer server([](const std::string&) { return RawServer::Reply{reply("whole"), Then::keep, {}}; });
  folder_.write("out/.f.part", "something");
  ASSERT_TRUE(fetch(request({server.url("/")})));
  EXPECT_EQ(content(), "whole");
  EXPECT_THAT(server.requests().at(0), Not(HasSubstr("Range")));
}

TEST_F(DownloadTest, WithoutValidatorAndDigestABreakBeginsAnew) {
  std::atomic<int> requests = 0;
  const std::string whole = bytes(50'000);
  RawServer server([&](const std::string&) {
    std::string text = reply(whole, "ETag: W/\"weak\"\r\n");
    if (++requests == 1) text.resize(20'000);
    return RawServer::Reply{text, Then::close, {}};
  });
  auto result = fetch(request({server.url("/")}));
  ASSERT_TRUE(result) << result.error().text();
  EXPECT_THAT(server.requests().at(1), Not(HasSubstr("Range")));
  EXPECT_TRUE(content() == whole);
}

TEST_F(DownloadTest, ServersThatDoNotKeepToTheRange) {
  const std::string whole = bytes(50'000);
  std::atomic<int> requests = 0;
  RawServer server([&](const std::string& request) {
    const size_t from = range_of(request);
    if (++requests == 1)
      return RawServer::Reply{reply(whole, "ETag: \"a\"\r\n").substr(0, 20'000), Then::close, {}};
    if (from == 0) return RawServer::Reply{reply(whole, "ETag: \"a\"\r\n"), Then::close, {}};
    if (request.find("/lies") != std::string::npos) {
      return RawServer::Reply{
          reply("x", "ETag: \"a\"\r\nContent-Range: bytes 7-7/50000\r\n", "206 P"), Then::close, {}};
    }
    return RawServer::Reply{reply("", "Content-Range: bytes */10\r\n", "416 R"), Then::close, {}};
  });
  for (const char* path : {"/lies", "/416"}) {
    requests = 0;
    auto result = fetch(request({server.url(path)}));
    ASSERT_TRUE(result) << result.error().text();
    EXPECT_TRUE(content() == whole) << path;
    EXPECT_EQ(requests, 3) << path;
  }
}

TEST_F(DownloadTest, MirrorsAreTriedInTurn) {
  uint16_t nobody = 0;
  ::close(test::listen_on_loopback(nobody));
  RawServer missing([](const std::string&) {
    return RawServer::Reply{reply("not here", "", "404 Not Found"), Then::keep, {}};
  });
  RawServer wrong([](const std::string&) { return RawServer::Reply{reply("wrong"), Then::keep, {}}; });
  RawServer right([](const std::string&) { return RawServer::Reply{reply("hello\n"), Then::keep, {}}; });
  DownloadRequest wanted = request({"http://127.0.0.1:" + std::to_string(nobody) + "/a", missing.url("/b"),
                                    wrong.url("/c"), right.url("/d")});
  wanted.sha256 = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
  wanted.headers = {{"Authorization", "Bearer t"}, {"X-Kept", "k"}};
  auto result = fetch(std::move(wanted));
  ASSERT_TRUE(result) << result.error().text();
  EXPECT_EQ(result->url, right.url("/d"));
  EXPECT_EQ(content(), "hello\n");
  EXPECT_EQ(missing.requests().size(), 1U);
  EXPECT_EQ(wrong.requests().size(), 1U);
  EXPECT_THAT(right.requests().at(0), Not(HasSubstr("Bearer")));
  EXPECT_THAT(right.requests().at(0), HasSubstr("X-Kept: k\r\n"));
  EXPECT_EQ(owner_.waits.size(), 1U) << "one repetition while there is another source";
}

TEST_F(DownloadTest, AMirrorGoesOnWithAPartWhereADigestTells) {
  const std::string whole = bytes(400'000);
  RawServer first([&](const std::string& request) {
    if (range_of(request) != 0) return RawServer::Reply{"", Then::close, {}};
    return RawServer::Reply{reply(whole).substr(0, 250'000), Then::close, {}};
  });
  RawServer second([&](const std::string& request) {
    const size_t from = range_of(request);
    return RawServer::Reply{
        reply(whole.substr(from), "Content-Range: bytes " + std::to_string(from) + "-399999/400000\r\n",
              "206 P"),
        Then::keep,
        {}};
  });
  DownloadRequest wanted = request({first.url("/"), second.url("/")});
  wanted.sha256 = sha256_hex(whole);
  auto result = fetch(std::move(wanted));
  ASSERT_TRUE(result) << result.error().text();
  EXPECT_TRUE(content() == whole);
  EXPECT_GT(range_of(second.requests().at(0)), 200'000U);
  EXPECT_THAT(second.requests().at(0), Not(HasSubstr("If-Range")));
}

TEST_F(DownloadTest, PartsThatDoNotFitTogetherAreFetchedAnew) {
  const std::string whole = bytes(100'000);
  std::atomic<int> requests = 0;
  RawServer server([&](const std::string& request) {
    const size_t from = range_of(request);
    if (++requests == 1)
      return RawServer::Reply{reply(std::string(100'000, 'x')).substr(0, 60'000), Then::close, {}};
    if (from == 0) return RawServer::Reply{reply(whole), Then::close, {}};
    return RawServer::Reply{
        reply(whole.substr(from), "Content-Range: bytes " + std::to_string(from) + "-99999/100000\r\n",
              "206 P"),
        Then::close,
        {}};
  });
  DownloadRequest wanted = request({server.url("/")});
  wanted.sha256 = sha256_hex(whole);
  auto result = fetch(std::move(wanted));
  ASSERT_TRUE(result) << result.error().text();
  EXPECT_TRUE(content() == whole);
  EXPECT_EQ(requests, 3);
}

TEST_F(DownloadTest, StatusesEndItOrAreTriedAgain) {
  std::atomic<int> requests = 0;
  RawServer server([&](const std::string& request) {
    ++requests;
    if (request.starts_with("GET /busy") && requests < 3)
      return RawServer::Reply{reply("", "Retry-After: 7\r\n", "503 Busy"), Then::keep, {}};
    if (request.starts_with("GET /long"))
      return RawServer::Reply{reply("", "Retry-After: 3600\r\n", "429 Slow"), Then::keep, {}};
    if (request.starts_with("GET /busy")) return RawServer::Reply{reply("at last"), Then::keep, {}};
    if (request.starts_with("GET /login")) return RawServer::Reply{reply("", "", "401 Who"), Then::keep, {}};
    return RawServer::Reply{reply("No such\nthing", "", "404 Not Found"), Then::keep, {}};
  });
  const Error missing = error(request({server.url("/none")}));
  EXPECT_EQ(missing.code, "download.status");
  EXPECT_EQ(missing.message, server.url("/none") + " was answered with status 404: No such thing");
  EXPECT_FALSE(missing.retryable);
  EXPECT_THAT(names(), ElementsAre());
  EXPECT_EQ(error(request({server.url("/login")})).hint,
            "give credentials: `token`, or `user` and `password`");
  EXPECT_TRUE(error(request({server.url("/long")})).retryable);
  EXPECT_THAT(owner_.waits, ElementsAre());
  requests = 0;
  ASSERT_TRUE(fetch(request({server.url("/busy")})));
  EXPECT_EQ(content(), "at last");
  EXPECT_THAT(owner_.waits, ElementsAre(Milliseconds(7000), Milliseconds(7000)));
}

TEST_F(DownloadTest, ALargeErrorPageIsCutOff) {
  RawServer server([](const std::string&) {
    return RawServer::Reply{reply(std::string(1 << 20, 'e'), "", "403 No"), Then::close, {}};
  });
  const Error e = error(request({server.url("/")}));
  EXPECT_EQ(e.code, "download.status");
  EXPECT_LT(e.message.size(), 400U);
}

TEST_F(DownloadTest, MaxSize) {
  RawServer server([](const std::string& request) {
    if (request.starts_with("GET /endless"))
      return RawServer::Reply{"HTTP/1.1 200 OK\r\n\r\n", Then::repeat, std::string(65536, 'x')};
    return RawServer::Reply{reply("12345678901"), Then::keep, {}};
  });
  for (const char* path : {"/", "/endless"}) {
    DownloadRequest wanted = request({server.url(path)});
    wanted.max_size = 10;
    const Error e = error(std::move(wanted));
    EXPECT_EQ(e.code, "download.too_big") << e.text();
    EXPECT_FALSE(e.retryable);
    EXPECT_THAT(names(), ElementsAre());
  }
  DownloadRequest wanted = request({server.url("/")});
  wanted.max_size = 11;
  EXPECT_TRUE(fetch(std::move(wanted)));
}

TEST_F(DownloadTest, RedirectsAreCheckedAndCredentialsDropped) {
  RawServer other([](const std::string&) { return RawServer::Reply{reply("there"), Then::keep, {}}; });
  RawServer server([&](const std::string&) {
    return RawServer::Reply{
        reply("go", "Location: " + other.url("/x") + "\r\n", "302 Found"), Then::keep, {}};
  });
  DownloadRequest wanted = request({server.url("/")});
  wanted.headers = {{"Authorization", "Bearer t"}};
  ASSERT_TRUE(fetch(std::move(wanted)));
  EXPECT_EQ(content(), "there");
  EXPECT_THAT(server.requests().at(0), HasSubstr("Bearer t"));
  EXPECT_THAT(other.requests().at(0), Not(HasSubstr("Bearer")));
  EXPECT_THAT(checked_, ElementsAre("0 " + server.url("/"), "1 " + other.url("/x")));
  wanted = request({server.url("/"), other.url("/mirror")});
  wanted.check = [](const Url&, int hop) -> Result<HttpAccess> {
    if (hop == 1) return refuse("permission.http", "no");
    return HttpAccess{true};
  };
  EXPECT_EQ(error(std::move(wanted)).code, "permission.http");
  EXPECT_EQ(other.requests().size(), 1U) << "a refusal is not worked around by a mirror";
}

TEST_F(DownloadTest, PrivateAddressesNeedTheChecksWord) {
  RawServer server([](const std::string&) { return RawServer::Reply{reply("in"), Then::keep, {}}; });
  DownloadRequest wanted = request({server.url("/")});
  wanted.check = [](const Url&, int) { return HttpAccess{false}; };
  EXPECT_EQ(error(std::move(wanted)).code, "http.address");
  EXPECT_EQ(server.connections(), 0U);
}

TEST_F(DownloadTest, ACachedFileNeedsNoConnection) {
  use_cache();
  const std::string whole = bytes(700'000);
  RawServer server([&](const std::string&) { return RawServer::Reply{reply(whole), Then::keep, {}}; });
  const auto wanted = [&](const std::string& name) {
    DownloadRequest r = request({server.url("/")}, name);
    r.sha256 = sha256_hex(whole);
    r.cache = true;
    return r;
  };
  auto first = fetch(wanted("a"));
  ASSERT_TRUE(first) << first.error().text();
  EXPECT_FALSE(first->from_cache);
  EXPECT_EQ(checked_.size(), 1U) << "asked twice";
  auto second = fetch(wanted("b"));
  ASSERT_TRUE(second) << second.error().text();
  EXPECT_TRUE(second->from_cache);
  EXPECT_EQ(second->size, 700'000U);
  EXPECT_EQ(second->sha256, sha256_hex(whole));
  EXPECT_TRUE(content("b") == whole);
  EXPECT_EQ(server.requests().size(), 1U);
  // What one got may be changed by him; the next one gets what was cached.
  folder_.write("out/a", "changed");
  std::filesystem::resize_file(out() / "b", 3);
  ASSERT_TRUE(fetch(wanted("c")));
  EXPECT_TRUE(content("c") == whole);
  EXPECT_EQ(server.requests().size(), 1U);
  DownloadRequest refused = wanted("d");
  refused.check = [](const Url&, int) -> Result<HttpAccess> { return refuse("permission.http", "no"); };
  EXPECT_EQ(error(std::move(refused)).code, "permission.http") << "also a cached file needs the permission";
  DownloadRequest small = wanted("d");
  small.max_size = 10;
  EXPECT_EQ(error(std::move(small)).code, "download.too_big");
}

TEST_F(DownloadTest, ADamagedCacheIsNotBelieved) {
  use_cache();
  RawServer server([](const std::string&) { return RawServer::Reply{reply("hello\n"), Then::keep, {}}; });
  const std::string digest = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
  const auto file = cache() / "sha256" / digest;
  const auto get = [&] {
    DownloadRequest r = request({server.url("/")});
    r.sha256 = digest;
    r.cache = true;
    auto result = fetch(std::move(r));
    EXPECT_TRUE(result) << result.error().text();
    EXPECT_EQ(content(), "hello\n");
    return result && result->from_cache;
  };
  EXPECT_FALSE(get());
  EXPECT_TRUE(get());
  folder_.write("cache/sha256/" + digest, "hellO\n");  // written to: another modification time
  EXPECT_FALSE(get());
  EXPECT_TRUE(get());
  struct stat info {};
  ASSERT_EQ(::stat(file.c_str(), &info), 0);
  std::filesystem::resize_file(file, 3);  // as after a power cut: shorter, with the old time
  const timespec times[2] = {info.st_atim, info.st_mtim};
  ASSERT_EQ(::utimensat(AT_FDCWD, file.c_str(), times, 0), 0);
  EXPECT_FALSE(get());
  folder_.write("cache/sha256/" + digest, "hello\n");  // good, but nobody knows: hashed, then used
  EXPECT_TRUE(get());
  ASSERT_EQ(::stat(file.c_str(), &info), 0);
  EXPECT_EQ(info.st_mtim.tv_nsec, 0) << "not marked as verified";
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(cache() / "sha256"), {}), 1)
      << "something is left over";
}

TEST_F(DownloadTest, WhatIsWrongIsNotCached) {
  use_cache();
  RawServer server([](const std::string&) { return RawServer::Reply{reply("other"), Then::keep, {}}; });
  DownloadRequest wanted = request({server.url("/")});
  wanted.sha256 = std::string(64, 'a');
  wanted.cache = true;
  EXPECT_EQ(error(std::move(wanted)).code, "download.digest");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(cache() / "sha256"), {}), 0);
}

TEST_F(DownloadTest, AThousandSmallFiles) {
  PF_START_NGINX(nginx, {"", false});
  std::vector<DownloadRequest> all;
  for (int i = 0; i < 1000; ++i) {
    const std::string name = "n" + std::to_string(i);
    nginx->folder().write("root/" + name, name);
    all.push_back(request({nginx->url("/" + name)}, name));
  }
  all[500].sources[0] = {"x", *parse_url(nginx->url("/none")), {}};
  bool done = false;
  downloads_->submit_all(std::move(all), 16, [&](std::vector<Result<DownloadResult>> results) {
    ASSERT_EQ(results.size(), 1000U);
    for (size_t i = 0; i < 1000; ++i) {
      if (i == 500) {
        EXPECT_FALSE(results[i]);
        continue;
      }
      ASSERT_TRUE(results[i]) << results[i].error().text();
      EXPECT_EQ(results[i]->sha256, sha256_hex("n" + std::to_string(i)));
    }
    done = true;
  });
  owner_.run_until(done);
  EXPECT_EQ(names().size(), 999U);
  EXPECT_EQ(content("n999"), "n999");
  bool none = false;
  downloads_->submit_all({}, 16,
                         [&](std::vector<Result<DownloadResult>> results) { none = results.empty(); });
  owner_.run_until(none);
}

TEST_F(DownloadTest, OneBoundForAll) {
  std::mutex mutex;
  int now = 0, most = 0;
  std::condition_variable changed;
  RawServer server([&](const std::string&) {
    std::unique_lock lock(mutex);
    most = std::max(most, ++now);
    changed.notify_all();
    // Nobody is answered before the bound is reached: one after the other would never end.
    changed.wait_for(lock, std::chrono::seconds(20), [&] { return most == 3; });
    --now;
    return RawServer::Reply{reply("x"), Then::close, {}};
  });
  std::vector<DownloadRequest> all;
  for (int i = 0; i < 12; ++i) all.push_back(request({server.url("/")}, std::to_string(i)));
  bool done = false;
  downloads_->submit_all(std::move(all), 3, [&](std::vector<Result<DownloadResult>>) { done = true; });
  owner_.run_until(done);
  EXPECT_EQ(most, 3);
  EXPECT_EQ(names().size(), 12U);
}

TEST_F(DownloadTest, LocalFiles) {
  const std::string whole = bytes(2'000'000);
  folder_.write("source", whole);
  DownloadRequest wanted = request({});
  wanted.sources.push_back({"file:///source", {}, [path = folder_.path() / "source"]() -> Result<UniqueFd> {
                              return UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
                            }});
  wanted.sha256 = sha256_hex(whole);
  auto result = fetch(wanted);
  ASSERT_TRUE(result) << result.error().text();
  EXPECT_TRUE(content() == whole);
  EXPECT_EQ(result->url, "file:///source");
  wanted.sha256 = std::string(64, 'b');
  EXPECT_EQ(error(wanted).code, "download.digest");
  wanted.sources[0].open = []() -> Result<UniqueFd> { return refuse("os.enoent", "not there"); };
  EXPECT_EQ(error(wanted).code, "os.enoent");
  EXPECT_THAT(names(), ElementsAre("f"));
}

TEST_F(DownloadTest, ProgressAndTimeouts) {
  RawServer server([](const std::string&) {
    return RawServer::Reply{"HTTP/1.1 200 OK\r\nETag: \"a\"\r\nContent-Length: 4000000000\r\n\r\n",
                            Then::repeat, std::string(65536, 'x')};
  });
  DownloadRequest wanted = request({server.url("/")});
  std::vector<uint64_t> told;
  bool seen = false;
  wanted.progress = [&](uint64_t so_far, std::optional<uint64_t> total) {
    EXPECT_EQ(total, 4000000000U);
    told.push_back(so_far);
    seen = told.size() == 2;
  };
  wanted.max_size = 4000000000U;
  const uint64_t id = downloads_->submit(std::move(wanted), [](Result<DownloadResult>) { FAIL(); });
  owner_.run_until(seen);
  EXPECT_LT(told.at(0), told.at(1));
  downloads_->cancel(id);
  RawServer hangs([](const std::string&) { return RawServer::Reply{"", Then::hang, {}}; });
  wanted = request({hangs.url("/")}, "g");
  wanted.timeout = Milliseconds(100);
  EXPECT_EQ(error(std::move(wanted)).code, "http.timeout");
}

TEST_F(DownloadTest, CancelledDownloadsSayNothing) {
  RawServer server([](const std::string& request) {
    return request.starts_with("GET /hang")
               ? RawServer::Reply{"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", Then::hang, {}}
               : RawServer::Reply{reply("x"), Then::keep, {}};
  });
  const uint64_t one =
      downloads_->submit(request({server.url("/hang")}), [](Result<DownloadResult>) { FAIL(); });
  downloads_->cancel(one);
  const uint64_t two = downloads_->submit_all({}, 1, [](std::vector<Result<DownloadResult>>) { FAIL(); });
  downloads_->cancel(two);
  EXPECT_TRUE(fetch(request({server.url("/")}, "g")));
  std::vector<DownloadRequest> many;
  for (int i = 0; i < 5; ++i) many.push_back(request({server.url("/hang")}, "h" + std::to_string(i)));
  downloads_->submit_all(std::move(many), 2, [](std::vector<Result<DownloadResult>>) { FAIL(); });
  EXPECT_TRUE(fetch(request({server.url("/")}, "i")));
  downloads_.reset();
  http_.reset();
  EXPECT_THAT(names(), ElementsAre("g", "i")) << "parts without use stay";
}

// Two at once for the same file: each has a name of its own, and the last one to end is what is there.
TEST_F(DownloadTest, TwoForTheSameFile) {
  std::mutex mutex;
  std::condition_variable changed;
  int waiting = 0;
  RawServer server([&](const std::string&) {
    std::unique_lock lock(mutex);
    ++waiting;
    changed.notify_all();
    changed.wait_for(lock, std::chrono::seconds(20), [&] { return waiting >= 2; });
    return RawServer::Reply{reply("same"), Then::keep, {}};
  });
  int left = 2;
  bool done = false;
  for (int i = 0; i < 2; ++i) {
    downloads_->submit(request({server.url("/")}), [&](Result<DownloadResult> result) {
      EXPECT_TRUE(result) << result.error().text();
      done = --left == 0;
    });
  }
  owner_.run_until(done);
  EXPECT_EQ(content(), "same");
  EXPECT_THAT(names(), ElementsAre("f"));
}

TEST_F(DownloadTest, ManyOverOneHttp2Connection) {
  PF_START_NGINX(nginx, {"location /c { return 200 \"$server_protocol $connection\"; }", true, true});
  http_ = Http::make(owner_.post(), {{}, nginx->folder().path() / "cert.pem", {}});
  downloads_ = Downloads::make(*http_, owner_.post(), owner_.after(), {});
  const std::string url = "https://localhost:" + std::to_string(nginx->tls_port()) + "/c";
  std::vector<DownloadRequest> all;
  for (int i = 0; i < 20; ++i) all.push_back(request({url}, std::to_string(i)));
  bool done = false;
  downloads_->submit_all(std::move(all), 16, [&](std::vector<Result<DownloadResult>> results) {
    for (auto& result : results) ASSERT_TRUE(result) << result.error().text();
    done = true;
  });
  owner_.run_until(done);
  EXPECT_THAT(content("0"), testing::StartsWith("HTTP/2.0 "));
  for (int i = 1; i < 20; ++i) EXPECT_EQ(content(std::to_string(i)), content("0"));
}

}  // namespace
}  // namespace pf::services
