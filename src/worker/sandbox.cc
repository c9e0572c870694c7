#include "worker/sandbox.h"

#include "base/json.h"

namespace pf::worker {
namespace {

struct Feature {
  const char* name;
  const char* without;
};

constexpr Feature kFeatures[] = {
    {"refer", "moving files between folders is only stopped by seccomp (needs Linux 5.19)"},
    {"truncate", "truncating files is only stopped by seccomp (needs Linux 6.2)"},
    {"tcp", "TCP is only stopped by seccomp (needs Linux 6.7)"},
    {"device_ioctl", "ioctl on devices is only stopped by seccomp (needs Linux 6.10)"},
    {"abstract_sockets", "abstract Unix sockets are only stopped by seccomp (needs Linux 6.12)"},
    {"signals", "signals to other processes are only stopped by seccomp (needs Linux 6.12)"},
};

bool flag(const Json& object, const char* name) { return object.is_object() && object.value(name, false); }

}  // namespace

bool landlock_in_force(const Json& sandbox) {
  return sandbox.is_object() && sandbox.contains("landlock") && flag(sandbox["landlock"], "files");
}

std::vector<std::string> sandbox_gaps(const Json& sandbox) {
  std::vector<std::string> out;
  if (!flag(sandbox, "seccomp")) out.emplace_back("seccomp is not in force: extensions do not run");
  if (!flag(sandbox, "capabilities_dropped")) out.emplace_back("workers keep capabilities");
  if (!landlock_in_force(sandbox)) {
    const std::string problem =
        sandbox.is_object() ? sandbox.value("landlock_problem", std::string()) : std::string();
    out.push_back(problem.empty()
                      ? "this kernel offers no Landlock (needs Linux 5.13 with `landlock` in its lsm= list): "
                        "files are only stopped by seccomp"
                      : "Landlock is not in force: " + problem);
    return out;
  }
  for (const auto& feature : kFeatures) {
    if (!flag(sandbox["landlock"], feature.name)) out.push_back(std::string("Landlock: ") + feature.without);
  }
  return out;
}

}  // namespace pf::worker
