// Programs that fork without end.
#include <gtest/gtest.h>

#include "support/attack.h"

namespace pf::test {
namespace {

constexpr const char* kBomb = R"(
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
made = 0
while True:
  try:
    if os.fork() == 0: os.setsid()
  except OSError:
    time.sleep(0.05)
)";

TEST(ForkBomb, EndsWholeAndLeavesRoomForOthers) {
  const uid_t user = unprivileged_user();
  if (user == 0) GTEST_SKIP() << "needs root, to be a user whose processes are counted";
  Project project(user);
  Attack attack;
  attack.processes = 240;
  attack.manifest = "permissions: {programs: [python3, 'true']}\n";
  attack.bodies["bad"] = python(kBomb, "{timeout = 3}");
  // Others start programs while the bomb has all that it can get.
  attack.bodies["other"] =
      "local fine = 0\nfor i = 1, 20 do\n  forge.time.sleep(0.1)\n"
      "  if forge.process.run({'true'}).code == 0 then fine = fine + 1 end\nend\n"
      "outputs.fine = fine";
  const auto run = run_attack(project, attack);
  EXPECT_EQ(run.error_code("attack.bad"), "process.timeout") << run.error_message("attack.bad");
  EXPECT_EQ(run.outputs("attack.other"), Json({{"fine", 20}})) << run.error_message("attack.other");
}

TEST(ForkBomb, EndsWithItsAttempt) {
  const uid_t user = unprivileged_user();
  if (user == 0) GTEST_SKIP() << "needs root, to be a user whose processes are counted";
  Project project(user);
  Attack attack;
  attack.processes = 240;
  attack.manifest = "permissions: {programs: [python3]}\n";
  attack.keys = ", timeout: 4s";
  attack.bodies["bad"] =
      "forge.async.spawn(function() " + python(kBomb) + " end)\nforge.time.sleep(1)\nerror('now')";
  const auto run = run_attack(project, attack);
  EXPECT_EQ(run.result("attack.bad"), "failed");
}

}  // namespace
}  // namespace pf::test
