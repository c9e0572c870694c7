// forge.http: each outcome of each verb.
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "calls/http_scene.h"

namespace pf::calls {
namespace {

using test::Nginx;

class HttpScene : public Served {
 protected:
  Result<Json> ask_url(const std::string& url, Json options = Json::object()) {
    if (name != "http.request") return ask({url, std::move(options)});
    options["url"] = url;
    return ask(Json::array({std::move(options)}));
  }
};
using Scene = HttpScene;

// A HEAD request has no body, and its answer none.
#define WITH_BODY "http.request", "http.get", "http.post", "http.put", "http.patch", "http.delete"
#define ALL_HTTP WITH_BODY, "http.head"

CALLS(kSuccess, ALL_HTTP) {
  const auto answer = ask_url(server_.url("/"));
  ASSERT_TRUE(answer) << why_;
  EXPECT_EQ((*answer)["status"], 200);
  std::string method = name == "http.request" ? "GET" : name.substr(5);
  for (char& c : method) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  EXPECT_TRUE(server_.requests().at(0).starts_with(method + " / "));
}

CALLS("permission.http", ALL_HTTP) {
  allow({"example.org"});
  ask_url(server_.url("/"));
  EXPECT_EQ(server_.connections(), 0U);
}
CALLS("permission.read", ALL_HTTP) { ask_url(server_.url("/"), {{"body_file", "/etc/hostname"}}); }
CALLS("permission.write", WITH_BODY) { ask_url(server_.url("/"), {{"to_file", "/etc/hostname"}}); }

CALLS("http.url", ALL_HTTP) { ask_url("nonsense"); }
CALLS("http.timeout", ALL_HTTP) { ask_url(server_.url("/hang"), {{"timeout", 0.1}}); }
CALLS("http.resolve", ALL_HTTP) { ask_url("http://no-such-host.invalid/"); }
CALLS("http.connect", ALL_HTTP) { ask_url("http://127.0.0.1:1/"); }
CALLS("http.redirects", ALL_HTTP) { ask_url(server_.url("/loop")); }
CALLS("http.status", ALL_HTTP) { ask_url(server_.url("/none"), {{"raise", true}}); }
CALLS("http.protocol", ALL_HTTP) { ask_url(server_.url("/noise")); }
CALLS("http.too_big", WITH_BODY) { ask_url(server_.url("/"), {{"max_size", 2}}); }
CALLS("http.too_big", "http.head") { ask_url(server_.url("/headers")); }
CALLS("http.tls", ALL_HTTP) {
  PF_START_NGINX(nginx, {"", true});
  const std::string place = "localhost:" + std::to_string(nginx->tls_port());
  allow({place});
  ask_url("https://" + place + "/hello.txt");
}
CALLS("http.proxy", ALL_HTTP) {
  PF_START_TINYPROXY(proxy);
  const std::string through = "127.0.0.1:" + std::to_string(proxy->port());
  uint16_t nobody = 0;
  ::close(test::listen_on_loopback(nobody));
  const std::string nowhere = "localhost:" + std::to_string(nobody);
  allow({through, nowhere});
  ask_url("https://" + nowhere + "/", {{"proxy", "http://" + through}});
}
CALLS("http.module", ALL_HTTP) {
  without_module([this] { ask_url(server_.url("/")); });
}
// No further thread can be started: as at the limit of processes.
CALLS("http.internal", ALL_HTTP) {
  test::without_system_calls({SYS_clone, SYS_clone3}, EAGAIN, [this] { ask_url(server_.url("/")); });
}

CALLS("http.body_changed", WITH_BODY) {
  put("data", "");
  std::filesystem::resize_file(work() / "data", 64U << 20);  // more than sockets hold
  uint16_t port = 0;
  const int listener = test::listen_on_loopback(port);
  std::thread server([&] {
    const int fd = ::accept(listener, nullptr, nullptr);
    char buffer[65536];
    bool cut = false;
    while (::read(fd, buffer, sizeof buffer) > 0) {
      if (!cut) std::filesystem::resize_file(work() / "data", 1);
      cut = true;
    }
    ::close(fd);
  });
  allow({"127.0.0.1:" + std::to_string(port)});
  ask_url("http://127.0.0.1:" + std::to_string(port) + "/", {{"body_file", "data"}});
  // Its connection is closed by now: the server's last read has returned.
  ::shutdown(listener, SHUT_RDWR);
  server.join();
  ::close(listener);
}

CALLS("file.path", WITH_BODY) { ask_url(server_.url("/"), {{"to_file", "."}}); }
CALLS("file.not_regular", WITH_BODY) {
  put("folder/f", "");
  ask_url(server_.url("/"), {{"body_file", "folder"}});
}
CALLS("file.unsupported", WITH_BODY) {
  put("f", "text");
  test::without_system_calls({SYS_openat2}, ENOSYS, [this] {
    ask_url(server_.url("/"), {{"body_file", "f"}});
  });
}
CALLS("os.*", WITH_BODY) { ask_url(server_.url("/"), {{"body_file", "none"}}); }

}  // namespace
}  // namespace pf::calls
