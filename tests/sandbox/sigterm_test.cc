// Programs that do not hear SIGTERM.
#include <gmock/gmock.h>

#include "support/attack.h"

namespace pf::test {
namespace {

constexpr const char* kDeaf = R"(
import os, signal, sys, time
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE): signal.signal(number, signal.SIG_IGN)
sys.stdout.write('deaf\n')
sys.stdout.flush()
os.fork()
while True: time.sleep(1000)
)";
constexpr const char* kManifest = "permissions: {programs: [python3]}\n";

TEST(Sigterm, WhoIgnoresItIsKilledAtTheTimeout) {
  Project project(unprivileged_user());
  const auto run = run_attack(project, python(kDeaf, "{timeout = 2}"), kManifest);
  EXPECT_EQ(run.error_code("attack.bad"), "process.timeout");
  EXPECT_THAT(run.error_message("attack.bad"), testing::HasSubstr("was ended after 2.0s: deaf"));
}

TEST(Sigterm, WhoIgnoresItIsKilledAtTheDeadlineOfTheAttempt) {
  Project project(unprivileged_user());
  const auto run = run_attack(project, python(kDeaf), kManifest, ", timeout: 3s");
  EXPECT_EQ(run.result("attack.bad"), "timed_out");
}

}  // namespace
}  // namespace pf::test
