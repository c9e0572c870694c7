// HTTP servers for tests, on loopback: a real nginx with a configuration made by the test, and a small one
// that says whatever a test wants, also what no real server would.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "support/program.h"

namespace pf::test {

/// A real nginx; ends with this object, and with the test program.
class Nginx {
 public:
  struct Options {
    std::string server;  // directives within `server {}`; the root is `root/` of the folder
    bool tls = false;    // also on tls_port, with a certificate for localhost that only `cert.pem` of the
                         // folder trusts
    bool http2 = false;  // spoken there, where the client asks for it
  };
  /// Null, with the reason, where nginx (or openssl, for TLS) is not installed or does not start.
  static std::unique_ptr<Nginx> start(const Options& options, std::string& why);
  ~Nginx();
  Nginx(const Nginx&) = delete;
  Nginx& operator=(const Nginx&) = delete;

  uint16_t port() const { return port_; }
  uint16_t tls_port() const { return tls_port_; }
  const Folder& folder() const { return folder_; }
  std::string url(const std::string& path) const {
    return "http://127.0.0.1:" + std::to_string(port_) + path;
  }

 private:
  Nginx() = default;
  Folder folder_;
  uint16_t port_ = 0;
  uint16_t tls_port_ = 0;
  pid_t pid_ = -1;
};

/// A real tinyproxy that lets loopback through; ends with this object, and with the test program.
class Tinyproxy {
 public:
  /// Null, with the reason, where it is not installed or does not start.
  static std::unique_ptr<Tinyproxy> start(std::string& why);
  ~Tinyproxy();
  Tinyproxy(const Tinyproxy&) = delete;
  Tinyproxy& operator=(const Tinyproxy&) = delete;
  uint16_t port() const { return port_; }

 private:
  Tinyproxy() = default;
  Folder folder_;
  uint16_t port_ = 0;
  pid_t pid_ = -1;
};

/// A skipped test fails where the environment says that the real programs must be there.
#define PF_START_NGINX(name, ...)                                                  \
  std::string name##_why;                                                          \
  auto name = ::pf::test::Nginx::start(__VA_ARGS__, name##_why);                   \
  if (!name) {                                                                     \
    const char* required = std::getenv("FORGE_REQUIRE_REAL");                      \
    if (required != nullptr && std::string(required) == "1") FAIL() << name##_why; \
    GTEST_SKIP() << name##_why;                                                    \
  }

#define PF_START_TINYPROXY(name)                                                   \
  std::string name##_why;                                                          \
  auto name = ::pf::test::Tinyproxy::start(name##_why);                            \
  if (!name) {                                                                     \
    const char* required = std::getenv("FORGE_REQUIRE_REAL");                      \
    if (required != nullptr && std::string(required) == "1") FAIL() << name##_why; \
    GTEST_SKIP() << name##_why;                                                    \
  }

/// Answers each request with what a function says.
class RawServer {
 public:
  struct Reply {
    std::string data;                                                  // sent as it is
    enum class Then { keep, close, hang, repeat } then = Then::close;  // repeat: `again` for ever
    std::string again = {};
  };
  /// Gets head and body of a request; called on the connection's thread.
  using Script = std::function<Reply(const std::string& request)>;
  explicit RawServer(Script script);
  ~RawServer();
  RawServer(const RawServer&) = delete;
  RawServer& operator=(const RawServer&) = delete;

  uint16_t port() const { return port_; }
  std::string url(const std::string& path) const {
    return "http://127.0.0.1:" + std::to_string(port_) + path;
  }
  std::vector<std::string> requests() const;
  /// Connections that were made, with or without a request.
  size_t connections() const;

 private:
  void accept_all();
  void serve(int fd);

  Script script_;
  uint16_t port_ = 0;
  int listener_ = -1;
  mutable std::mutex mutex_;  // guards the next three
  std::vector<int> open_;
  std::vector<std::thread> threads_;
  std::vector<std::string> requests_;
  std::thread acceptor_;
};

/// A listening socket on 127.0.0.1 with a port that the system chose.
int listen_on_loopback(uint16_t& port);

}  // namespace pf::test
