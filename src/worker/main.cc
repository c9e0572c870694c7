// pangeo-forge-worker: the guardian, and by fork from it the workers. Started by pangeo-forge only.
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "base/version.h"
#include "worker/confine.h"
#include "worker/guardian.h"
#include "worker/protocol.h"

int main(int argc, char** argv) {
  using namespace pf::worker;
  int type = 0;
  socklen_t size = sizeof type;
  const bool by_core = argc == 3 && std::strcmp(argv[1], kGuardianWord) == 0 &&
                       getsockopt(kSocketFd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
                       type == SOCK_SEQPACKET;
  if (!by_core || std::strcmp(argv[2], pf::kVersion) != 0) {
    std::fprintf(
        stderr,
        "pangeo-forge-worker %s is a part of pangeo-forge, which starts it itself%s\n"
        "  hint: run `pangeo-forge run FILE`; if that says so, both programs must be of one version\n",
        pf::kVersion, by_core ? " and is of another version" : "");
    return kExitUsage;
  }
  if (!keep_only(kSocketFd)) return kExitSetup;
  return guardian(kSocketFd);
}
