// Programs that print without end: bounded in the core's memory, told as truncated, and ended.
#include <gmock/gmock.h>

#include "support/attack.h"

namespace pf::test {
namespace {

constexpr const char* kManifest = "permissions: {programs: [python3, head]}\n";
constexpr uint64_t kMost = 200ULL << 20;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kMemoryIsOurs = false;  // a sanitizer's quarantine and shadow count, too
#else
constexpr bool kMemoryIsOurs = true;
#endif

TEST(OutputFlood, IsTruncated) {
  Project project(unprivileged_user());
  const auto run =
      run_attack(project,
                 "local r = forge.process.run({'head', '-c', '200000000', '/dev/zero'})\n"
                 "outputs.code, outputs.truncated, outputs.kept = r.code, r.truncated, #r.stdout <= "
                 "1048576 + 100",
                 kManifest);
  EXPECT_EQ(run.outputs("attack.bad"), Json({{"code", 0}, {"truncated", true}, {"kept", true}}))
      << run.output.out;
  if (kMemoryIsOurs) {
    EXPECT_LT(run.output.max_rss, kMost);
  }
}

TEST(OutputFlood, WithoutEndIsEndedAtTheTimeout) {
  Project project(unprivileged_user());
  const auto run = run_attack(project,
                              python("import os\nblock = b'x' * 65536\nwhile True:\n  os.write(1, block)\n"
                                     "  os.write(2, block)\n",
                                     "{timeout = 3}"),
                              kManifest);
  EXPECT_EQ(run.error_code("attack.bad"), "process.timeout");
  if (kMemoryIsOurs) {
    EXPECT_LT(run.output.max_rss, kMost);
  }
}

TEST(OutputFlood, OfLinesThatNobodyReadsMakesTheProgramWait) {
  Project project(unprivileged_user());
  const auto run = run_attack(
      project,
      "local p = forge.process.start({'python3', '-c', [==[\nimport os\nwhile True: os.write(1, b'line\\n' * "
      "1000)\n"
      "]==]})\nforge.time.sleep(2)\nlocal got = forge.process.read(p)\noutputs.lines = #got.lines\n"
      "forge.process.kill(p)\n"
      "local _, e = forge.try(function() while not forge.process.read(p).result do end end)",
      kManifest);
  EXPECT_EQ(run.outputs("attack.bad"), Json({{"lines", 1000}})) << run.output.out;
  if (kMemoryIsOurs) {
    EXPECT_LT(run.output.max_rss, kMost);
  }
}

TEST(OutputFlood, OneLineWithoutEndComesInParts) {
  Project project(unprivileged_user());
  const auto run =
      run_attack(project,
                 "local most, count = 0, 0\n"
                 "forge.process.run({'head', '-c', '20000000', '/dev/zero'}, {on_line = function(line)\n"
                 "  most, count = math.max(most, #line), count + 1 end})\n"
                 "outputs.most, outputs.many = most, count > 100",
                 kManifest);
  EXPECT_EQ(run.outputs("attack.bad"), Json({{"most", 65536}, {"many", true}})) << run.output.out;
}

}  // namespace
}  // namespace pf::test
