// Pipes of a program that stay open after its end.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <thread>

#include "support/attack.h"

namespace pf::test {
namespace {

TEST(HeldPipe, ByADescendantEndsWithIt) {
  Project project(unprivileged_user());
  const auto run = run_attack(project,
                              "local begin = forge.time.now()\n"
                              "local r = forge.process.run({'sh', '-c', 'setsid sleep 1000 & echo gone'})\n"
                              "outputs.out, outputs.soon = r.stdout, forge.time.now() - begin < 60",
                              "permissions: {programs: [sh]}\n", ", timeout: 100s");
  EXPECT_EQ(run.outputs("attack.bad"), Json({{"out", "gone\n"}, {"soon", true}})) << run.output.out;
}

/// Takes descriptors over a Unix socket, and keeps them until the end.
class Keeper {
 public:
  explicit Keeper(const std::filesystem::path& path) {
    listener_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    if (bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
        listen(listener_, 1) != 0)
      throw std::runtime_error("cannot listen");
    std::filesystem::permissions(path, std::filesystem::perms::all);
    thread_ = std::thread([this] {
      connection_ = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      char byte = 0;
      iovec data{&byte, 1};
      alignas(cmsghdr) char control[256] = {};
      msghdr message{};
      message.msg_iov = &data;
      message.msg_iovlen = 1;
      message.msg_control = control;
      message.msg_controllen = sizeof control;
      if (connection_ < 0 || recvmsg(connection_, &message, MSG_CMSG_CLOEXEC) != 1) return;
      const cmsghdr* header = CMSG_FIRSTHDR(&message);
      int fd = -1;
      if (header != nullptr) std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
      held_ = fd;
    });
  }
  ~Keeper() {
    shutdown(listener_, SHUT_RDWR);
    thread_.join();
    for (int fd : {listener_, connection_, held_.load()}) {
      if (fd >= 0) close(fd);
    }
  }
  Keeper(const Keeper&) = delete;
  Keeper& operator=(const Keeper&) = delete;
  bool held() const { return held_ >= 0; }

 private:
  int listener_ = -1;
  int connection_ = -1;
  std::atomic<int> held_{-1};
  std::thread thread_;
};

TEST(HeldPipe, BySomebodyElseIsNotWaitedFor) {
  // Only a program with the network can hand it on.
  Project project(unprivileged_user());
  const std::string path = (project.path() / "keeper").string();
  const Keeper keeper(path);
  const std::string script = "import array, os, socket\ns = socket.socket(socket.AF_UNIX)\ns.connect('" +
                             path +
                             "')\ns.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', "
                             "[1]))])\nprint('handed on')\n";
  const auto run =
      run_attack(project, "outputs.out = " + python(script) + ".stdout",
                 "permissions: {programs: [{name: python3, network: true}]}\n", ", timeout: 100s");
  EXPECT_EQ(run.outputs("attack.bad"), Json({{"out", "handed on\n"}})) << run.output.out;
  EXPECT_TRUE(keeper.held());
}

}  // namespace
}  // namespace pf::test
