// Programs that leave the process group, the session and their parent behind.
#include <gtest/gtest.h>

#include "support/attack.h"

namespace pf::test {
namespace {

// Two forks with a session of its own in between, all descriptors closed, nothing in its environment; its
// heart beats in a file.
constexpr const char* kDaemon = R"(
import os, signal, sys, time
if os.fork() == 0:
  os.setsid()
  if os.fork() == 0:
    for number in range(1, 65): signal.signal(number, signal.SIG_IGN) if number not in (9, 19, 32, 33) else None
    os.chdir('/')
    os.closerange(0, 1024)
    os.execve('/bin/sh', ['kworker', '-c',
      'i=0; while :; do i=$((i+1)); echo $i > ' + sys.argv[1] + '/beat; done'], {})
  os._exit(0)
while not os.path.exists('beat'): time.sleep(0.01)
print('left')
)";
constexpr const char* kManifest = "permissions: {programs: [python3]}\n";

TEST(Daemon, EndsWithTheProgramThatMadeIt) {
  Project project(unprivileged_user());
  const std::string work = (project.path() / ".pangeo-forge/work/attack/bad").string();
  const auto run = run_attack(project,
                              "outputs.out = " + python(kDaemon, "{}", "'" + work + "'") +
                                  ".stdout\n"
                                  "local beat = forge.fs.read('beat')\nforge.time.sleep(0.5)\n"
                                  "outputs.dead = forge.fs.read('beat') == beat",
                              kManifest);
  EXPECT_EQ(run.outputs("attack.bad"), Json({{"out", "left\n"}, {"dead", true}})) << run.output.out;
}

TEST(Daemon, EndsWithItsAttempt) {
  Project project(unprivileged_user());
  const std::string work = (project.path() / ".pangeo-forge/work/attack/bad").string();
  const auto run = run_attack(project,
                              "forge.process.start({'python3', '-c', [==[" + std::string(kDaemon) +
                                  "\ntime.sleep(1000)]==], '" + work +
                                  "'})\nwhile not forge.fs.exists('beat') do forge.time.sleep(0.02) end\n"
                                  "error('and away')",
                              kManifest);
  EXPECT_EQ(run.result("attack.bad"), "failed");
}

}  // namespace
}  // namespace pf::test
