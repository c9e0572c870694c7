// Git servers for tests, on loopback: nginx with fcgiwrap and git-http-backend, and a real sshd; and what
// makes repositories for them.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "support/http_peers.h"
#include "support/program.h"

namespace pf::test {

/// Runs git in a folder, with nothing of the user's configuration; its stdout without the last newline. A
/// failure is the test's.
std::string git(const std::filesystem::path& folder, std::vector<std::string> words);
/// A repository with `hello.txt` (two commits), `sub/run.sh` (executable), a link, a branch `side`, a tag
/// `v1` on the first commit. Its default branch is `main`.
void make_repository(const std::filesystem::path& folder);

/// nginx that serves the folder's repositories: /git/ for all, /private/ for user `me` with password
/// `secret`, /away/ as redirects to `elsewhere`, /here/ as redirects to /git/.
class GitHttp {
 public:
  static std::unique_ptr<GitHttp> start(const std::filesystem::path& repositories,
                                        const std::string& elsewhere, std::string& why, bool tls = false);
  ~GitHttp();
  GitHttp(const GitHttp&) = delete;
  GitHttp& operator=(const GitHttp&) = delete;
  std::string url(const std::string& path) const { return nginx_->url(path); }
  std::string place() const { return "127.0.0.1:" + std::to_string(nginx_->port()); }
  const Nginx& nginx() const { return *nginx_; }

 private:
  GitHttp() = default;
  Folder folder_;
  pid_t fcgiwrap_ = -1;
  std::unique_ptr<Nginx> nginx_;
};

/// An sshd for whoever runs the test, with a key that it made.
class Sshd {
 public:
  static std::unique_ptr<Sshd> start(std::string& why);
  ~Sshd();
  Sshd(const Sshd&) = delete;
  Sshd& operator=(const Sshd&) = delete;

  uint16_t port() const { return port_; }
  std::string place() const { return "127.0.0.1:" + std::to_string(port_); }
  std::string url(const std::string& path) const { return "ssh://" + user_ + "@" + place() + path; }
  std::string key(const std::string& name = "user") const { return folder_.read(name); }
  /// A line of known_hosts.
  std::string known_hosts() const;
  /// The same with another key.
  std::string other_known_hosts() const;

 private:
  Sshd() = default;
  void accept_all();
  Folder folder_;
  std::string user_;
  uint16_t port_ = 0;
  int listener_ = -1;
  std::thread acceptor_;
  std::vector<pid_t> children_;
};

#define PF_START(name, ...)                                                        \
  std::string name##_why;                                                          \
  auto name = __VA_ARGS__;                                                         \
  if (!name) {                                                                     \
    const char* required = std::getenv("FORGE_REQUIRE_REAL");                      \
    if (required != nullptr && std::string(required) == "1") FAIL() << name##_why; \
    GTEST_SKIP() << name##_why;                                                    \
  }

}  // namespace pf::test
