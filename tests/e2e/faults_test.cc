// What may happen to a run from outside: kill -9, Ctrl-C, a second run, a damaged or unwritable state.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <set>

#include "support/pipelines.h"
#include "support/processes.h"

namespace pf::test {
namespace {

constexpr char kYaml[] = R"(p:
  quick: [{name: a}, {name: b}]
  slow: [{name: c}, {name: d}]
)";

void write_extensions(const Project& project) {
  project.extension("quick", execute("outputs.x = 1"));
  project.extension("slow", execute("forge.log.info('spinning') while true do end"));
  project.write("p.yaml", kYaml);
}

bool both_spin(const std::string& out) {
  const auto first = out.find("spinning");
  return first != std::string::npos && out.find("spinning", first + 1) != std::string::npos;
}

bool quick_are_done(const std::string& out) {
  size_t done = 0;
  for (size_t at = 0; (at = out.find("\"instance_finished\"", at)) != std::string::npos; ++at) ++done;
  return done >= 2 && both_spin(out);
}

TEST(Fault, KillMinusNineOfTheCoreLeavesNothingRunningAndAReadableState) {
  Project project;
  write_extensions(project);
  Process core(project.command({"run", "p.yaml", "--format", "json"}));
  ASSERT_TRUE(core.wait_for(quick_are_done));
  const auto below = descendants(core.pid());
  EXPECT_GE(below.size(), 3U) << "a guardian and two workers at least";
  core.send(SIGKILL);
  core.finish();
  EXPECT_TRUE(all_end(below));
  const auto status = project.forge({"status", "p.yaml", "--format", "json"});
  EXPECT_EQ(status.code, 0) << status.err;
  const auto outputs = project.forge({"outputs", "p.yaml", "--format", "json"});
  EXPECT_EQ(parse_json(outputs.out).value(), Json::parse(R"({"quick":{"a":{"x":1},"b":{"x":1}}})"));
  project.extension("slow", execute("outputs.y = 2"));
  const auto run = run_pipeline(project, kYaml);
  EXPECT_EQ(run.output.code, 0) << run.output.out;
  EXPECT_EQ(run.outputs("slow.d"), Json({{"y", 2}}));
}

TEST(Fault, KillMinusNineOfAWorkerFailsItsInstanceOnly) {
  Project project;
  project.extension("quick", execute("outputs.x = 1"));
  project.extension("slow", execute("forge.log.info('spinning') while true do end"));
  project.write(
      "p.yaml",
      "p:\n  slow: [{name: c}]\n  quick: [{name: a}, {name: b, depends_on: [{name: slow.c, when: done}]}]\n");
  Process core(project.command({"run", "p.yaml", "--format", "json"}));
  ASSERT_TRUE(
      core.wait_for([](const std::string& out) { return out.find("spinning") != std::string::npos; }));
  // The worker that burns: the one with the most CPU time below the core that is not the guardian.
  const auto children = descendants(core.pid());
  pid_t busiest = -1;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (busiest < 0 && std::chrono::steady_clock::now() < end) {
    for (pid_t pid : children) {
      std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
      std::string text;
      std::getline(stat, text);
      std::istringstream fields(text.substr(text.rfind(')') + 2));
      std::string field;
      for (int i = 0; i < 12 && fields >> field; ++i) {
      }
      if (std::atoi(field.c_str()) > 10) busiest = pid;  // utime, in ticks
    }
    usleep(2000);
  }
  ASSERT_GT(busiest, 0);
  kill(busiest, SIGKILL);
  const auto output = core.finish();
  EXPECT_EQ(output.code, 1);
  RunResult run;
  run.finished = last(events(output.out), "run_finished");
  EXPECT_EQ(run.result("slow.c"), "crashed");
  EXPECT_EQ(run.error_code("slow.c"), "worker.crashed");
  EXPECT_EQ(run.result("quick.a"), "succeeded");
  EXPECT_EQ(run.result("quick.b"), "succeeded");
}

TEST(Fault, SigintStopsCleanlyWith130) {
  Project project;
  write_extensions(project);
  Process core(project.command({"run", "p.yaml", "--format", "json"}));
  ASSERT_TRUE(core.wait_for(quick_are_done));
  const auto below = descendants(core.pid());
  core.send(SIGINT);
  const auto output = core.finish();
  EXPECT_EQ(output.code, 130);
  EXPECT_TRUE(all_end(below));
  RunResult run;
  run.finished = last(events(output.out), "run_finished");
  ASSERT_TRUE(run.finished.is_object());
  EXPECT_EQ(run.finished["result"], "cancelled");
  EXPECT_EQ(run.result("slow.c"), "cancelled");
  EXPECT_EQ(run.result("quick.a"), "succeeded");
  const auto status = project.forge({"status", "p.yaml", "--format", "json"});
  EXPECT_NE(status.out.find("cancelled"), std::string::npos);
}

TEST(Fault, SigtermExitsWith143) {
  Project project;
  write_extensions(project);
  Process core(project.command({"run", "p.yaml", "--format", "json"}));
  ASSERT_TRUE(core.wait_for(both_spin));
  core.send(SIGTERM);
  EXPECT_EQ(core.finish().code, 143);
}

TEST(Fault, ASecondRunOnTheSameStateIsRefusedWithExitFour) {
  Project project;
  write_extensions(project);
  Process core(project.command({"run", "p.yaml", "--format", "json"}));
  ASSERT_TRUE(core.wait_for(both_spin));
  const auto second = project.forge({"run", "p.yaml"});
  EXPECT_EQ(second.code, 4);
  EXPECT_NE(second.err.find("state.locked"), std::string::npos) << second.err;
  EXPECT_NE(second.err.find(std::to_string(core.pid())), std::string::npos) << second.err;
  // Looking is allowed meanwhile.
  EXPECT_EQ(project.forge({"status", "p.yaml"}).code, 0);
  EXPECT_EQ(project.forge({"outputs", "p.yaml"}).code, 0);
  core.send(SIGKILL);
  core.finish();
}

TEST(Fault, ADamagedStateIsSaidAndNotOverwritten) {
  Project project;
  project.extension("quick", execute("outputs.x = 1"));
  project.write(".pangeo-forge/state.db", "this is no database, but somebody may want it back");
  const auto run = run_pipeline(project, "p:\n  quick: [{name: a}]\n");
  EXPECT_EQ(run.output.code, 1);
  EXPECT_EQ(last(run.all, "error")["code"], "state.damaged");
  EXPECT_EQ(project.read(".pangeo-forge/state.db"), "this is no database, but somebody may want it back");
  EXPECT_NE(project.forge({"outputs", "p.yaml"}).code, 0);
}

TEST(Fault, AReadOnlyFolderIsSaidBeforeAnythingRuns) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root, to drop to a user who may not write";
  Project project;
  project.extension("quick", execute("outputs.x = 1"));
  project.write("p.yaml", "p:\n  quick: [{name: a}]\n");
  chmod(project.path().c_str(), 0755);
  auto options = project.command({"run", "p.yaml"});
  options.uid = 65534;
  const auto output = run(options);
  EXPECT_EQ(output.code, 1) << output.err;
  EXPECT_NE(output.err.find(".pangeo-forge"), std::string::npos) << output.err;
  EXPECT_FALSE(std::filesystem::exists(project.path() / ".pangeo-forge"));
}

TEST(Fault, AFullDiskIsSaidAndWhatWasDurableStays) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root, to mount a small tmpfs";
  Project project;
  project.write("state/.keep", "");
  const std::string mount =
      "mount -t tmpfs -o size=1m tmpfs '" + (project.path() / "state").string() + "' 2>/dev/null";
  if (std::system(mount.c_str()) != 0) GTEST_SKIP() << "mounting is not possible here";
  project.extension("big", execute("outputs.x = ('x'):rep(200000)"), "limits: {output: 1MiB}\n");
  std::string yaml = "p:\n  big:\n";
  for (int i = 0; i < 20; ++i) yaml += "    - {name: n" + std::to_string(i) + "}\n";
  const auto run = run_pipeline(project, yaml, {"--state-dir", "state"});
  EXPECT_EQ(run.output.code, 1);
  const auto outputs = project.forge({"outputs", "p.yaml", "--format", "json", "--state-dir", "state"});
  EXPECT_EQ(std::system(("umount '" + (project.path() / "state").string() + "'").c_str()), 0);
  // The store's own error, or that of an instance whose stack could not be written: whoever came first.
  EXPECT_NE(run.output.out.find("state.full"), std::string::npos) << run.output.out.substr(0, 2000);
  EXPECT_EQ(outputs.code, 0) << outputs.err;
}

TEST(Fault, AnOrdinaryUserRunsAllOfIt) {
  if (geteuid() != 0) GTEST_SKIP() << "is one already";
  Project project;
  project.extension("quick", execute("forge.fs.write('a', 'b') outputs.x = forge.fs.read('a')"));
  project.write("p.yaml", "p:\n  quick: [{name: a}]\n");
  ASSERT_EQ(chown(project.path().c_str(), 65534, 65534), 0);
  auto options = project.command({"run", "p.yaml"});
  options.uid = 65534;
  const auto output = run(options);
  EXPECT_EQ(output.code, 0) << output.out << output.err;
}

}  // namespace
}  // namespace pf::test
