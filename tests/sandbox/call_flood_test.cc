// More host calls than anybody needs: the core's memory stays bounded, and others go on meanwhile.
#include <gmock/gmock.h>

#include "support/attack.h"

namespace pf::test {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kMemoryIsOurs = false;
#else
constexpr bool kMemoryIsOurs = true;
#endif

/// The place of an instance's end among the events.
size_t end_of(const RunResult& run, const std::string& instance) {
  for (size_t i = 0; i < run.all.size(); ++i) {
    if (run.all[i].value("event", "") == "instance_finished" && run.all[i].value("instance", "") == instance)
      return i;
  }
  return SIZE_MAX;
}

TEST(CallFlood, OneAfterTheOther) {
  Project project;
  const auto run = run_attack(project,
                              "for i = 1, 20000 do forge.time.sleep(0) end\nfor i = 1, 5000 do "
                              "forge.fs.exists('x') end\noutputs.done = true",
                              "", ", timeout: 250s");
  EXPECT_EQ(run.outputs("attack.bad"), Json({{"done", true}})) << run.output.out;
  if (kMemoryIsOurs) {
    EXPECT_LT(run.output.max_rss, 150ULL << 20);
  }
  for (const char* sibling : {"quiet.a", "quiet.b", "quiet.c"}) {
    EXPECT_LT(end_of(run, sibling), end_of(run, "attack.bad")) << sibling;
  }
}

TEST(CallFlood, ManyAtOnce) {
  Project project;
  Attack attack;
  attack.keys = ", timeout: 250s";
  attack.bodies = {{"tasks",
                    "local tasks = {}\nfor i = 1, 10000 do\n"
                    "  tasks[i] = forge.async.spawn(function() return forge.fs.exists('x') end)\nend\n"
                    "outputs.count = #forge.async.all(tasks)"},
                   {"limited",
                    "local list = {}\nfor i = 1, 10000 do list[i] = i end\n"
                    "outputs.count = #forge.async.map(list, function(i) return forge.fs.exists('x' .. i) "
                    "end, {limit = 50})"}};
  const auto run = run_attack(project, attack);
  EXPECT_THAT(run.result("attack.tasks"), testing::AnyOf("succeeded", "failed")) << run.output.out;
  EXPECT_EQ(run.outputs("attack.limited"), Json({{"count", 10000}})) << run.output.out;
  if (kMemoryIsOurs) {
    EXPECT_LT(run.output.max_rss, 150ULL << 20);
  }
}

// Who asks for much and takes it has not the memory; who does not take it is ended before the core has to
// keep it.
TEST(CallFlood, OfLargeAnswersAtOnce) {
  for (const char* end : {"forge.async.all(tasks)", "while true do end"}) {
    Project project;
    const auto run =
        run_attack(project,
                   "forge.fs.write('big', ('x'):rep(14e6))\nlocal tasks = {}\n"
                   "for i = 1, 60 do tasks[i] = forge.async.spawn(function() return #forge.fs.read('big') "
                   "end) end\n" +
                       std::string(end),
                   "limits: {memory: 64MiB}\n", ", timeout: 250s");
    EXPECT_EQ(run.result("attack.bad"), "failed") << run.output.out;
    EXPECT_EQ(run.error_code("attack.bad"), "limit.memory") << end;
    if (kMemoryIsOurs) {
      EXPECT_LT(run.output.max_rss, 400ULL << 20) << end;
    }
  }
}

TEST(CallFlood, OfCallsThatAreRefused) {
  Project project;
  const auto run =
      run_attack(project,
                 "local n = 0\nfor i = 1, 2000 do if not pcall(forge.fs.read, '/etc/x' .. i) then n = n + "
                 "1 end end\noutputs.refused = n",
                 "", ", timeout: 250s");
  EXPECT_EQ(run.outputs("attack.bad"), Json({{"refused", 2000}})) << run.output.out.substr(0, 2000);
}

}  // namespace
}  // namespace pf::test
