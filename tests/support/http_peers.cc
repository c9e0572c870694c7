#include "support/http_peers.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <stdexcept>

namespace pf::test {

int listen_on_loopback(uint16_t& port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (fd < 0 || ::bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(fd, 128) != 0 ||
      ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    throw std::runtime_error(std::string("listen: ") + std::strerror(errno));
  }
  port = ntohs(address.sin_port);
  return fd;
}

namespace {

std::string find_program(const std::string& name) {
  for (const char* folder : {"/usr/sbin/", "/usr/bin/", "/usr/local/sbin/", "/usr/local/bin/"}) {
    if (::access((folder + name).c_str(), X_OK) == 0) return folder + name;
  }
  return {};
}

}  // namespace

std::unique_ptr<Nginx> Nginx::start(const Options& options, std::string& why) {
  const std::string nginx = find_program("nginx");
  if (nginx.empty()) {
    why = "nginx is not installed (package nginx-light)";
    return nullptr;
  }
  std::unique_ptr<Nginx> out(new Nginx);
  const std::string home = out->folder_.path();
  out->folder_.write("root/hello.txt", "hello\n");
  if (options.tls) {
    const std::string openssl = find_program("openssl");
    if (openssl.empty()) {
      why = "openssl is not installed";
      return nullptr;
    }
    const Output made =
        run({{openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
              "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout",
              home + "/key.pem", "-out", home + "/cert.pem"},
             ".",
             {},
             0});
    if (made.code != 0) {
      why = "openssl makes no certificate: " + made.err;
      return nullptr;
    }
  }
  // nginx gets sockets that listen already, the way a new nginx gets them from an old one: no port is
  // guessed, and whoever connects early only waits. (Without its master process nginx 1.22 dies of inherited
  // sockets.)
  int fds[2] = {listen_on_loopback(out->port_), options.tls ? listen_on_loopback(out->tls_port_) : -1};
  std::string listen = "listen 127.0.0.1:" + std::to_string(out->port_) + ";\n";
  std::string inherited = "NGINX=" + std::to_string(fds[0]) + ";";
  if (options.tls) {
    listen += "listen 127.0.0.1:" + std::to_string(out->tls_port_) + (options.http2 ? " ssl http2" : " ssl") +
              ";\nssl_certificate " + home + "/cert.pem;\nssl_certificate_key " + home + "/key.pem;\n";
    inherited += std::to_string(fds[1]) + ";";
  }
  const std::string log = home + "/error.log";
  std::string temporary;
  for (const char* name : {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"}) {
    temporary += std::string(name) + "_temp_path " + home + "/" + name + ";\n";
  }
  out->folder_.write("nginx.conf", "daemon off;\nworker_processes 1;\n" +
                                       std::string(::getuid() == 0 ? "user root;\n" : "") + "pid " + home +
                                       "/nginx.pid;\nerror_log " + log +
                                       " warn;\nevents {}\nhttp {\naccess_log off;\n" + temporary +
                                       "default_type text/plain;\nserver {\n" + listen + "root " + home +
                                       "/root;\n" + options.server + "\n}\n}\n");
  const std::string config = home + "/nginx.conf";
  std::vector<char*> argv;
  for (const char* arg : {nginx.c_str(), "-p", home.c_str(), "-e", log.c_str(), "-c", config.c_str()}) {
    argv.push_back(const_cast<char*>(arg));
  }
  argv.push_back(nullptr);
  char* environment[] = {inherited.data(), nullptr};
  for (int fd : fds) {
    if (fd >= 0) ::fcntl(fd, F_SETFD, 0);
  }
  const pid_t parent = ::getpid();
  out->pid_ = ::fork();
  if (out->pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);  // at which the master ends its worker
    if (::getppid() != parent) ::_exit(127);
    ::execve(nginx.c_str(), argv.data(), environment);
    ::_exit(127);
  }
  for (int fd : fds) {
    if (fd >= 0) ::close(fd);
  }
  if (out->pid_ < 0) {
    why = "nginx cannot be started";
    return nullptr;
  }
  return out;
}

Nginx::~Nginx() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGTERM);
  ::waitpid(pid_, nullptr, 0);
}

std::unique_ptr<Tinyproxy> Tinyproxy::start(std::string& why) {
  const std::string program = find_program("tinyproxy");
  if (program.empty()) {
    why = "tinyproxy is not installed (package tinyproxy-bin)";
    return nullptr;
  }
  std::unique_ptr<Tinyproxy> out(new Tinyproxy);
  const std::string config = out->folder_.path() / "tinyproxy.conf";
  const std::string log = out->folder_.path() / "log";
  // It takes no socket that listens already: a port that was free a moment ago may be gone, and then it says
  // so.
  for (int tries = 0; tries < 5; ++tries) {
    ::close(listen_on_loopback(out->port_));
    std::ofstream(config) << "Port " << out->port_
                          << "\nListen 127.0.0.1\nAllow 127.0.0.1\nTimeout 60\nLogFile \"" << log
                          << "\"\nLogLevel Error\nMaxClients 50\n";
    const pid_t parent = ::getpid();
    out->pid_ = ::fork();
    if (out->pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGTERM);
      const int null = ::open("/dev/null", O_RDWR);
      ::dup2(null, 1);
      ::dup2(null, 2);
      if (::getppid() != parent) ::_exit(127);
      ::execl(program.c_str(), program.c_str(), "-d", "-c", config.c_str(), nullptr);
      ::_exit(127);
    }
    // It is there when it answers, and was too late for the port when it has ended.
    while (out->pid_ > 0 && ::waitpid(out->pid_, nullptr, WNOHANG) == 0) {
      const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      sockaddr_in address{};
      address.sin_family = AF_INET;
      address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      address.sin_port = htons(out->port_);
      const bool there = ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
      ::close(fd);
      if (there) return out;
      ::sched_yield();
    }
    out->pid_ = -1;
  }
  why = "tinyproxy does not start";
  return nullptr;
}

Tinyproxy::~Tinyproxy() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGTERM);
  ::waitpid(pid_, nullptr, 0);
}

RawServer::RawServer(Script script) : script_(std::move(script)) {
  listener_ = listen_on_loopback(port_);
  acceptor_ = std::thread([this] { accept_all(); });
}

RawServer::~RawServer() {
  ::shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  ::close(listener_);
  std::vector<std::thread> threads;
  {
    std::lock_guard lock(mutex_);
    for (int fd : open_) ::shutdown(fd, SHUT_RDWR);
    threads.swap(threads_);
  }
  for (std::thread& thread : threads) thread.join();
  for (int fd : open_) ::close(fd);
}

std::vector<std::string> RawServer::requests() const {
  std::lock_guard lock(mutex_);
  return requests_;
}

size_t RawServer::connections() const {
  std::lock_guard lock(mutex_);
  return open_.size();
}

void RawServer::accept_all() {
  while (true) {
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return;
    std::lock_guard lock(mutex_);
    open_.push_back(fd);
    threads_.emplace_back([this, fd] { serve(fd); });
  }
}

void RawServer::serve(int fd) {
  std::string buffer;
  char chunk[65536];
  const auto more = [&] {
    const ssize_t n = ::recv(fd, chunk, sizeof chunk, 0);
    if (n > 0) buffer.append(chunk, static_cast<size_t>(n));
    return n > 0;
  };
  const auto say = [&](const std::string& text) {
    size_t sent = 0;
    while (sent < text.size()) {
      const ssize_t n = ::send(fd, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
      if (n <= 0) return false;
      sent += static_cast<size_t>(n);
    }
    return true;
  };
  while (true) {
    size_t head = 0;
    while ((head = buffer.find("\r\n\r\n")) == std::string::npos) {
      if (!more()) return;
    }
    size_t size = head + 4;
    std::string lower = buffer.substr(0, head);
    for (char& c : lower) c = static_cast<char>(::tolower(c));
    if (const size_t at = lower.find("\r\ncontent-length:"); at != std::string::npos) {
      size += std::strtoul(lower.c_str() + at + 17, nullptr, 10);
    }
    while (buffer.size() < size) {
      if (!more()) return;
    }
    const std::string request = buffer.substr(0, size);
    buffer.erase(0, size);
    {
      std::lock_guard lock(mutex_);
      requests_.push_back(request);
    }
    const Reply reply = script_(request);
    bool good = say(reply.data);
    while (good && reply.then == Reply::Then::repeat) good = say(reply.again);
    if (reply.then == Reply::Then::hang) {
      while (more()) buffer.clear();
    }
    if (!good || reply.then != Reply::Then::keep) {
      ::shutdown(fd, SHUT_RDWR);
      return;
    }
  }
}

}  // namespace pf::test
