// Loaded before the C library into a program under test: a name server that changes its mind. Names that end
// in
// `.rebind.test` get the addresses of PF_REBIND, one group for each look (`A;B+C`: first A, then B and C,
// which it stays with); each look adds a line to the file PF_REBIND_LOG. Connections to 93.184.216.34, which
// stands for a public server, come to 127.0.0.1; those to 93.184.216.35 are refused.
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

template <class Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

std::string part(const std::string& text, char separator, size_t number, bool stay) {
  size_t begin = 0;
  for (; number > 0; --number) {
    const size_t end = text.find(separator, begin);
    if (end == std::string::npos) return stay ? text.substr(begin) : std::string();
    begin = end + 1;
  }
  return text.substr(begin, text.find(separator, begin) - begin);
}

std::atomic<size_t> looks{0};

}  // namespace

extern "C" int getaddrinfo(const char* node, const char* service, const addrinfo* hints, addrinfo** out) {
  static const auto real = next<decltype(&getaddrinfo)>("getaddrinfo");
  const std::string name = node == nullptr ? "" : node;
  constexpr const char* kEnd = ".rebind.test";
  if (name.size() < std::strlen(kEnd) ||
      name.compare(name.size() - std::strlen(kEnd), std::string::npos, kEnd) != 0)
    return real(node, service, hints, out);
  const char* answers = std::getenv("PF_REBIND");
  const std::string group = part(answers == nullptr ? "" : answers, ';', looks++, true);
  if (const char* log = std::getenv("PF_REBIND_LOG"); log != nullptr) {
    const int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    const std::string line = name + " " + group + "\n";
    if (fd < 0 || write(fd, line.data(), line.size()) < 0) return EAI_SYSTEM;
    close(fd);
  }
  addrinfo** end = out;
  *out = nullptr;
  for (size_t i = 0;; ++i) {
    const std::string address = part(group, '+', i, false);
    if (address.empty()) return *out == nullptr ? EAI_NONAME : 0;
    addrinfo any = hints == nullptr ? addrinfo{} : *hints;
    any.ai_family = AF_UNSPEC;
    if (const int rc = real(address.c_str(), service, &any, end); rc != 0) return rc;
    while (*end != nullptr) end = &(*end)->ai_next;
  }
}

extern "C" int connect(int fd, const sockaddr* address, socklen_t size) {
  static const auto real = next<decltype(&connect)>("connect");
  if (address->sa_family != AF_INET || size < sizeof(sockaddr_in)) return real(fd, address, size);
  sockaddr_in to;
  std::memcpy(&to, address, sizeof to);
  if (to.sin_addr.s_addr == inet_addr("93.184.216.35")) {
    errno = ECONNREFUSED;
    return -1;
  }
  if (to.sin_addr.s_addr != inet_addr("93.184.216.34")) return real(fd, address, size);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return real(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to);
}
