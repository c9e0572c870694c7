// Programs that open sockets without `network: true`, and such as have it and want more.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <string_view>

#include "support/attack.h"

namespace pf::test {
namespace {

constexpr const char* kScript = R"(
import ctypes, os, socket
libc = ctypes.CDLL(None, use_errno=True)
def attempt(f, *a):
  try:
    f(*a)
    return 'made'
  except OSError as e: return e.strerror
def call(*a):
  return os.strerror(ctypes.get_errno()) if libc.syscall(*a) < 0 else 'made'
def abstract():
  s = socket.socket(socket.AF_UNIX)
  s.connect('\0pangeo-forge-attack')
for name, a in [('tcp', (socket.AF_INET, socket.SOCK_STREAM)), ('udp6', (socket.AF_INET6, socket.SOCK_DGRAM)),
                ('unix', (socket.AF_UNIX, socket.SOCK_STREAM)), ('netlink', (socket.AF_NETLINK, socket.SOCK_RAW)),
                ('packet', (socket.AF_PACKET, socket.SOCK_RAW)), ('vsock', (40, socket.SOCK_STREAM)),
                ('alg', (38, socket.SOCK_SEQPACKET)), ('bluetooth', (31, socket.SOCK_RAW))]:
  print(name, attempt(socket.socket, *a))
print('pair', attempt(socket.socketpair, socket.AF_UNIX, socket.SOCK_DGRAM))
print('abstract', attempt(abstract))
print('ring', call(425, 8, 0))
print('low', call(41, 2 | (1 << 32), 1, 0))  # the kernel looks at the low half of an argument only
)";

/// A listener on an abstract name of this test program.
class Abstract {
 public:
  Abstract() {
    fd_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    constexpr std::string_view kName{"\0pangeo-forge-attack", 20};
    kName.copy(address.sun_path, kName.size());
    bound_ = bind(fd_, reinterpret_cast<sockaddr*>(&address),
                  static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + kName.size())) == 0 &&
             listen(fd_, 4) == 0;
  }
  ~Abstract() { close(fd_); }
  Abstract(const Abstract&) = delete;
  Abstract& operator=(const Abstract&) = delete;
  bool bound() const { return bound_; }

 private:
  int fd_ = -1;
  bool bound_ = false;
};

TEST(Sockets, AreNoneWithoutTheNetwork) {
  Project project(unprivileged_user());
  const auto run = run_attack(project, "outputs.out = " + python(kScript) + ".stdout",
                              "permissions: {programs: [python3]}\n");
  const std::string no = " Permission denied\n";
  EXPECT_EQ(run.outputs("attack.bad").value("out", ""), "tcp" + no + "udp6" + no + "unix" + no + "netlink" +
                                                            no + "packet" + no + "vsock" + no + "alg" + no +
                                                            "bluetooth" + no + "pair" + no + "abstract" + no +
                                                            "ring Function not implemented\nlow" + no)
      << run.output.out;
}

TEST(Sockets, OfTheNetworkAreTheOrdinaryOnes) {
  const Abstract listener;
  ASSERT_TRUE(listener.bound());
  Project project(unprivileged_user());
  const auto run = run_attack(project, "outputs.out = " + python(kScript) + ".stdout",
                              "permissions: {programs: [{name: python3, network: true}]}\n");
  const std::string no = " Permission denied\n";
  EXPECT_EQ(run.outputs("attack.bad").value("out", ""),
            "tcp made\nudp6 made\nunix made\nnetlink made\npacket" + no + "vsock" + no + "alg" + no +
                "bluetooth" + no +
                "pair made\nabstract Operation not permitted\nring Function not implemented\nlow made\n")
      << run.output.out;
}

}  // namespace
}  // namespace pf::test
