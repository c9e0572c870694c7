#include "worker/landlock.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/file.h"
#include "worker/landlock_abi.h"

namespace pf::worker {
namespace {
using namespace landlock_abi_detail;
}  // namespace

int landlock_abi() {
  const long abi = syscall(kSysCreateRuleset, nullptr, 0, kCreateRulesetVersion);
  return abi < 0 ? 0 : static_cast<int>(abi);
}

Landlock landlock_restrict_all() {
  Landlock out;
  out.abi = landlock_abi();
  if (out.abi == 0) return out;
  RulesetAttributes attributes{};
  attributes.handled_access_fs = kFilesAbi1;
  if (out.abi >= 2) attributes.handled_access_fs |= kRefer;
  if (out.abi >= 3) attributes.handled_access_fs |= kTruncate;
  if (out.abi >= 4) attributes.handled_access_net = kBindTcp | kConnectTcp;
  if (out.abi >= 5) attributes.handled_access_fs |= kIoctlDev;
  if (out.abi >= 6) attributes.scoped = kScopeAbstractUnix | kScopeSignal;
  // An older kernel takes the larger struct as long as what it does not know is zero.
  UniqueFd ruleset(static_cast<int>(syscall(kSysCreateRuleset, &attributes, sizeof attributes, 0)));
  if (!ruleset) {
    out.problem = std::string("landlock_create_ruleset: ") + strerror(errno);
    return out;
  }
  if (syscall(kSysRestrictSelf, ruleset.get(), 0) != 0) {
    out.problem = std::string("landlock_restrict_self: ") + strerror(errno);
    return out;
  }
  // Believed only when seen: opening the root folder must be refused now.
  UniqueFd root(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (root || errno != EACCES) {
    out.problem = "landlock_restrict_self succeeded, but a folder can still be opened";
    return out;
  }
  out.files = true;
  out.refer = out.abi >= 2;
  out.truncate = out.abi >= 3;
  out.tcp = out.abi >= 4;
  out.device_ioctl = out.abi >= 5;
  out.abstract_sockets = out.signals = out.abi >= 6;
  return out;
}

}  // namespace pf::worker
