#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "worker/sandbox.h"

namespace pf::worker {
namespace {

Json full() {
  return Json::parse(
      R"({"seccomp":true,"no_new_privs":true,"capabilities_dropped":true,"bounding_set_empty":true,
    "landlock_abi":7,"landlock":{"files":true,"refer":true,"truncate":true,"tcp":true,"device_ioctl":true,
    "abstract_sockets":true,"signals":true},"rlimits":{}})");
}

TEST(SandboxReport, OfAFullKernelHasNoGaps) {
  EXPECT_TRUE(landlock_in_force(full()));
  EXPECT_TRUE(sandbox_gaps(full()).empty());
}

TEST(SandboxReport, NamesWhatAnOlderLandlockLacks) {
  Json sandbox = full();
  sandbox["landlock"]["signals"] = sandbox["landlock"]["abstract_sockets"] = false;
  EXPECT_TRUE(landlock_in_force(sandbox));
  EXPECT_THAT(sandbox_gaps(sandbox),
              testing::ElementsAre(
                  "Landlock: abstract Unix sockets are only stopped by seccomp (needs Linux 6.12)",
                  "Landlock: signals to other processes are only stopped by seccomp (needs Linux 6.12)"));
}

TEST(SandboxReport, SaysOnceThatThereIsNoLandlock) {
  Json sandbox = full();
  sandbox["landlock_abi"] = 0;
  for (auto& feature : sandbox["landlock"]) feature = false;
  EXPECT_FALSE(landlock_in_force(sandbox));
  EXPECT_THAT(sandbox_gaps(sandbox),
              testing::ElementsAre(testing::HasSubstr("this kernel offers no Landlock")));
  sandbox["landlock_problem"] = "landlock_restrict_self: Argument list too long";
  EXPECT_THAT(
      sandbox_gaps(sandbox),
      testing::ElementsAre("Landlock is not in force: landlock_restrict_self: Argument list too long"));
}

}  // namespace
}  // namespace pf::worker
