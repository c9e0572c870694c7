#include "support/git_peers.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

namespace pf::test {

namespace fs = std::filesystem;

std::string git(const fs::path& folder, std::vector<std::string> words) {
  words.insert(words.begin(), "git");
  Output output = run({words,
                       folder,
                       {{"GIT_CONFIG_GLOBAL", "/dev/null"},
                        {"GIT_CONFIG_SYSTEM", "/dev/null"},
                        {"GIT_AUTHOR_NAME", "A U Thor"},
                        {"GIT_AUTHOR_EMAIL", "author@example.org"},
                        {"GIT_COMMITTER_NAME", "A U Thor"},
                        {"GIT_COMMITTER_EMAIL", "author@example.org"},
                        {"GIT_AUTHOR_DATE", "1700000000 +0000"},
                        {"GIT_COMMITTER_DATE", "1700000000 +0000"},
                        {"GIT_TERMINAL_PROMPT", "0"}},
                       0});
  EXPECT_EQ(output.code, 0) << words[1] << " " << (words.size() > 2 ? words[2] : "") << ": " << output.err;
  if (!output.out.empty() && output.out.back() == '\n') output.out.pop_back();
  return output.out;
}

void make_repository(const fs::path& folder) {
  fs::create_directories(folder / "sub");
  const auto put = [&](const std::string& name, const std::string& text) {
    const int fd = ::open((folder / name).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    EXPECT_EQ(::write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
    ::close(fd);
  };
  git(folder, {"init", "-q", "-b", "main"});
  git(folder, {"config", "http.receivepack", "true"});
  git(folder, {"config", "receive.denyCurrentBranch", "ignore"});
  put("hello.txt", "hello\n");
  put("sub/run.sh", "#!/bin/sh\n");
  fs::permissions(folder / "sub/run.sh", fs::perms(0755));
  fs::create_symlink("../hello.txt", folder / "sub/link");
  git(folder, {"add", "."});
  git(folder, {"commit", "-q", "-m", "first"});
  git(folder, {"tag", "-a", "-m", "one", "v1"});
  git(folder, {"branch", "side"});
  put("hello.txt", "hello again\n");
  git(folder, {"commit", "-q", "-a", "-m", "second"});
}

namespace {

// fcgiwrap closes every descriptor that there could be before each program that it runs: seconds where a
// million may be open.
void few_files() {
  const rlimit limit{256, 256};
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

std::unique_ptr<GitHttp> GitHttp::start(const fs::path& repositories, const std::string& elsewhere,
                                        std::string& why, bool tls) {
  const char* wrap = "/usr/sbin/fcgiwrap";
  const char* backend = "/usr/lib/git-core/git-http-backend";
  if (::access(wrap, X_OK) != 0 || ::access(backend, X_OK) != 0) {
    why = "fcgiwrap or git-http-backend is not installed (packages fcgiwrap, git)";
    return nullptr;
  }
  std::unique_ptr<GitHttp> out(new GitHttp);
  // It gets a socket that listens already: whoever connects early only waits.
  const std::string path = out->folder_.path() / "fcgi.sock";
  const int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  if (::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listener, 64) != 0) {
    why = std::string("fcgiwrap's socket: ") + std::strerror(errno);
    return nullptr;
  }
  out->fcgiwrap_ = ::fork();
  if (out->fcgiwrap_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::dup2(listener, 0);
    ::setenv("GIT_CONFIG_GLOBAL", "/dev/null", 1);
    few_files();
    ::execl(wrap, wrap, nullptr);
    ::_exit(127);
  }
  ::close(listener);
  out->folder_.write("users", "me:{PLAIN}secret\n");
  const auto location = [&](const std::string& name, const std::string& more) {
    return "location ~ ^/" + name + "(/.*)$ {\n" + more + "fastcgi_param SCRIPT_FILENAME " + backend +
           ";\nfastcgi_param GIT_HTTP_EXPORT_ALL 1;\n"
           "fastcgi_param GIT_PROJECT_ROOT " +
           repositories.native() +
           ";\nfastcgi_param PATH_INFO $1;\n"
           "fastcgi_param QUERY_STRING $query_string;\nfastcgi_param REQUEST_METHOD $request_method;\n"
           "fastcgi_param CONTENT_TYPE $content_type;\nfastcgi_param CONTENT_LENGTH $content_length;\n"
           "fastcgi_param HTTP_CONTENT_ENCODING $http_content_encoding;\n"
           "fastcgi_param GIT_PROTOCOL $http_git_protocol;\n"
           "fastcgi_pass unix:" +
           path + ";\nfastcgi_read_timeout 300;\n}\n";
  };
  out->nginx_ =
      Nginx::start({"client_max_body_size 0;\nfastcgi_buffering off;\n" + location("git", "") +
                        location("private", "auth_basic x;\nauth_basic_user_file " +
                                                (out->folder_.path() / "users").native() + ";\n") +
                        "location ~ ^/away(/.*)$ { return 302 " + elsewhere +
                        "$1$is_args$args; }\n"
                        "location ~ ^/here(/.*)$ { return 302 http://$http_host/git$1$is_args$args; }\n",
                    tls},
                   why);
  if (!out->nginx_) return nullptr;
  return out;
}

GitHttp::~GitHttp() {
  if (fcgiwrap_ > 0) {
    ::kill(fcgiwrap_, SIGKILL);
    ::waitpid(fcgiwrap_, nullptr, 0);
  }
}

std::unique_ptr<Sshd> Sshd::start(std::string& why) {
  if (::access("/usr/sbin/sshd", X_OK) != 0) {
    why = "sshd is not installed (package openssh-server)";
    return nullptr;
  }
  std::unique_ptr<Sshd> out(new Sshd);
  const std::string home = out->folder_.path();
  const passwd* who = ::getpwuid(::getuid());
  if (who == nullptr) {
    why = "this user has no name";
    return nullptr;
  }
  out->user_ = who->pw_name;
  if (::getuid() == 0) ::mkdir("/run/sshd", 0755);  // sshd insists
  for (const auto& [name, phrase] : std::vector<std::pair<std::string, std::string>>{
           {"host", ""}, {"other", ""}, {"user", ""}, {"locked", "open sesame"}, {"stranger", ""}}) {
    const Output made =
        run({{"ssh-keygen", "-q", "-t", "ed25519", "-N", phrase, "-f", home + "/" + name}, ".", {}, 0});
    if (made.code != 0) {
      why = "ssh-keygen: " + made.err;
      return nullptr;
    }
  }
  out->folder_.write("authorized", out->folder_.read("user.pub") + out->folder_.read("locked.pub"));
  out->folder_.write("config", "HostKey " + home + "/host\nAuthorizedKeysFile " + home +
                                   "/authorized\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n"
                                   "PermitRootLogin yes\nPidFile none\nLogLevel QUIET\n");
  out->listener_ = listen_on_loopback(out->port_);
  out->acceptor_ = std::thread([sshd = out.get()] { sshd->accept_all(); });
  return out;
}

void Sshd::accept_all() {
  const std::string config = folder_.path() / "config";
  while (true) {
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return;
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::dup2(fd, 0);
      ::dup2(fd, 1);
      few_files();
      ::execl("/usr/sbin/sshd", "/usr/sbin/sshd", "-i", "-f", config.c_str(), nullptr);
      ::_exit(127);
    }
    ::close(fd);
    children_.push_back(pid);
  }
}

Sshd::~Sshd() {
  ::shutdown(listener_, SHUT_RDWR);
  if (acceptor_.joinable()) acceptor_.join();
  ::close(listener_);
  for (pid_t pid : children_) {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }
}

std::string Sshd::known_hosts() const {
  return "[127.0.0.1]:" + std::to_string(port_) + " " + folder_.read("host.pub");
}
std::string Sshd::other_known_hosts() const {
  return "[127.0.0.1]:" + std::to_string(port_) + " " + folder_.read("other.pub");
}

}  // namespace pf::test
