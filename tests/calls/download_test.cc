// forge.download: each outcome of both calls.
#include <sys/syscall.h>

#include <cerrno>

#include "calls/http_scene.h"

namespace pf::calls {
namespace {

// Some of these failures are tried again, three times within two seconds, before they are told.
class DownloadScene : public Served {
 protected:
  Result<Json> fetch(const std::string& url, Json options = Json::object(), const std::string& path = "f") {
    if (name == "download.file") return ask({url, path, std::move(options)});
    options["url"] = url;
    options["path"] = path;
    return ask(Json::array({Json::array({std::move(options)})}));
  }
};
using Scene = DownloadScene;

#define BOTH "download.file", "download.all"

CALLS(kSuccess, BOTH) {
  ASSERT_TRUE(fetch(server_.url("/"), Json::object())) << why_;
  EXPECT_EQ(got("f"), "hello\n");
}
CALLS("permission.http", BOTH) {
  allow({"example.org"});
  fetch(server_.url("/"));
  EXPECT_EQ(server_.connections(), 0U);
}
CALLS("permission.read", BOTH) { fetch("file:///etc/hostname"); }
CALLS("permission.write", BOTH) { fetch(server_.url("/"), Json::object(), folder_.path() / "f"); }

CALLS("download.digest", BOTH) {
  fetch(server_.url("/"), {{"sha256", std::string(64, '0')}});
  EXPECT_FALSE(std::filesystem::exists(work() / "f"));
}
// It breaks off, and goes on elsewhere than it was asked to.
CALLS("download.range", BOTH) {
  test::RawServer server([](const std::string& request) {
    if (request.find("\r\nRange: ") == std::string::npos) {
      return test::RawServer::Reply{
          "HTTP/1.1 200 OK\r\nETag: \"1\"\r\nContent-Length: 1000\r\n\r\n" + std::string(500, 'x'),
          Then::close,
          {}};
    }
    return reply(std::string(900, 'x'), "ETag: \"1\"\r\nContent-Range: bytes 100-999/1000\r\n",
                 "206 Partial Content");
  });
  allow({"127.0.0.1:" + std::to_string(server.port())});
  fetch(server.url("/"), Json::object());
}
CALLS("download.scheme", BOTH) { fetch("ftp://example.org/f"); }
CALLS("download.status", BOTH) { fetch(server_.url("/none")); }
CALLS("download.too_big", BOTH) { fetch(server_.url("/"), {{"max_size", 2}}); }

CALLS("http.url", BOTH) { fetch("nonsense"); }
CALLS("http.timeout", BOTH) { fetch(server_.url("/hang"), {{"timeout", 0.1}}); }
CALLS("http.resolve", BOTH) { fetch("http://no-such-host.invalid/"); }
CALLS("http.connect", BOTH) { fetch("http://127.0.0.1:1/"); }
CALLS("http.redirects", BOTH) { fetch(server_.url("/loop"), Json::object()); }
CALLS("http.protocol", BOTH) { fetch(server_.url("/noise")); }
CALLS("http.too_big", BOTH) { fetch(server_.url("/headers"), Json::object()); }
CALLS("http.tls", BOTH) {
  PF_START_NGINX(nginx, {"", true});
  const std::string place = "localhost:" + std::to_string(nginx->tls_port());
  allow({place});
  fetch("https://" + place + "/hello.txt", Json::object());
}
CALLS("http.module", BOTH) {
  without_module([this] { fetch(server_.url("/")); });
}
CALLS("http.internal", BOTH) {
  put("local", "text");
  fetch("file://" + (work() / "local").native(), Json::object());
  ASSERT_EQ(outcome, kSuccess) << why_;
  test::without_system_calls({SYS_clone, SYS_clone3}, EAGAIN, [this] { fetch(server_.url("/")); });
}

CALLS("file.path", BOTH) { fetch(server_.url("/"), Json::object(), "."); }
CALLS("file.not_regular", BOTH) {
  put("folder/f", "");
  fetch("file://" + (work() / "folder").native());
}
CALLS("file.unsupported", BOTH) {
  test::without_system_calls({SYS_openat2}, ENOSYS, [this] { fetch(server_.url("/")); });
}
CALLS("os.*", BOTH) { fetch(server_.url("/"), Json::object(), "none/f"); }

}  // namespace
}  // namespace pf::calls
