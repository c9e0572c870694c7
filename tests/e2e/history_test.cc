// What earlier runs left, and a run that goes on, looked at by the real program.
#include <gtest/gtest.h>
#include <signal.h>

#include "support/pipelines.h"

namespace pf::test {
namespace {

using std::string;

bool has(const string& text, const string& part) { return text.find(part) != string::npos; }

// The id of the run that events tell of.
string run_of(const std::vector<Json>& all) { return last(all, "run_finished").value("run", string()); }

// A pipeline that waits until the file `go` is in its instance's work folder.
constexpr char kWaiting[] = R"(
forge.log.info("it begins")
forge.fs.write("begun", "1")
while not forge.fs.exists("go") do forge.time.sleep(0.02) end
forge.log.info("it ends")
)";

string work_folder(const Project& project, const string& name) {
  return (project.path() / ".pangeo-forge/work/t" / name).string();
}

bool wait_until(const std::function<bool()>& done) {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!done()) {
    if (std::chrono::steady_clock::now() > limit) return false;
    ::usleep(10'000);
  }
  return true;
}

void let_go(const Project& project, const string& name) {
  project.write(".pangeo-forge/work/t/" + name + "/go", "1");
}

TEST(History, ListsRunsNewestFirst) {
  Project project;
  project.extension("t", execute("outputs.x = 1"));
  EXPECT_NE(project.forge({"runs", "list", "p.yaml"}).code, 0);  // no such file
  project.write("p.yaml", "p:\n  t: [{name: a}]\n");
  EXPECT_TRUE(has(project.forge({"runs", "list", "p.yaml"}).out, "p was not run yet"));
  EXPECT_FALSE(std::filesystem::exists(project.path() / ".pangeo-forge"));
  const auto one = run_of(run_pipeline(project, "p:\n  t: [{name: a}]\n").all);
  const auto two = run_of(run_pipeline(project, "p:\n  t: [{name: a}]\n").all);
  const auto list = project.forge({"runs", "list", "p.yaml"});
  EXPECT_EQ(list.code, 0) << list.err;
  EXPECT_LT(list.out.find(two), list.out.find(one));
  EXPECT_TRUE(has(list.out, "  1 instance in ")) << list.out;
  const auto json =
      parse_json(project.forge({"runs", "list", "p.yaml", "--format", "json", "--limit", "1"}).out);
  ASSERT_TRUE(json);
  ASSERT_EQ((*json)["runs"].size(), 1U);
  EXPECT_EQ((*json)["runs"][0]["run"], two);
  EXPECT_EQ((*json)["runs"][0]["result"], "succeeded");
  EXPECT_EQ((*json)["runs"][0]["kind"], "run");
}

TEST(History, ShowsOneRun) {
  Project project;
  project.extension(
      "t", execute("if config.bad then error('no luck') end outputs.x = 1"), "",
      "local s = require 'schema'\nreturn { Config = s.object { bad = s.boolean { default = false } } }\n");
  const auto id =
      run_of(run_pipeline(project, "p:\n  t: [{name: a}, {name: b, bad: true, max_attempts: 2}]\n").all);
  const auto shown = project.forge({"runs", "show", "p.yaml"});
  EXPECT_EQ(shown.code, 0) << shown.err;
  EXPECT_TRUE(has(shown.out, "p: failed on ")) << shown.out;
  EXPECT_TRUE(has(shown.out, "succeeded   t.a")) << shown.out;
  EXPECT_TRUE(has(shown.out, "no luck")) << shown.out;
  EXPECT_EQ(project.forge({"runs", "show", "p.yaml", id}).out, shown.out);
  const auto json = parse_json(project.forge({"runs", "show", "p.yaml", id, "--format", "json"}).out);
  ASSERT_TRUE(json);
  EXPECT_EQ((*json)["instances"]["t.b"]["result"], "failed");
  EXPECT_EQ((*json)["done"], 2);
  const auto unknown = project.forge({"runs", "show", "p.yaml", id.substr(0, id.size() - 1) + "x"});
  EXPECT_EQ(unknown.code, 3);
  EXPECT_TRUE(has(unknown.err, "[runs.unknown]")) << unknown.err;
}

TEST(History, SaysWhatDiffers) {
  Project project;
  project.extension(
      "t", execute("if config.bad then error('no luck') end outputs.x = config.n"), "",
      "local s = require 'schema'\nreturn { Config = s.object { bad = s.boolean { default = false }, "
      "n = s.integer { default = 1 } } }\n");
  const auto one = run_of(run_pipeline(project, "p:\n  t: [{name: a}, {name: b}]\n").all);
  const auto two =
      run_of(run_pipeline(project, "p:\n  t: [{name: a, n: 2}, {name: b, bad: true}, {name: c}]\n").all);
  const auto diff = project.forge({"runs", "diff", "p.yaml", one, two});
  EXPECT_EQ(diff.code, 0) << diff.err;
  EXPECT_TRUE(has(diff.out, "  outputs.x: 1 -> 2\n")) << diff.out;
  EXPECT_TRUE(has(diff.out, "t.b\n  result: \"succeeded\" -> \"failed\"\n")) << diff.out;
  EXPECT_TRUE(has(diff.out, "t.c\n  result: (none) -> \"succeeded\"\n")) << diff.out;
  const auto same = project.forge({"runs", "diff", "p.yaml", one, one});
  EXPECT_EQ(same.out, "nothing differs between " + one + " and " + one + "\n");
  const auto json = parse_json(project.forge({"runs", "diff", "p.yaml", one, two, "--format", "json"}).out);
  ASSERT_TRUE(json);
  EXPECT_EQ((*json)["instances"]["t.c"][0]["to"], "succeeded");
  EXPECT_EQ(project.forge({"runs", "diff", "p.yaml", one}).code, 3);
}

TEST(History, ExportsARunAsOneDocument) {
  Project project;
  project.extension("t", execute("outputs.x = {1, 'two'}"));
  const auto id = run_of(run_pipeline(project, "p:\n  t: [{name: a}]\n").all);
  const auto output = project.forge({"runs", "export", "p.yaml"});
  EXPECT_EQ(output.code, 0) << output.err;
  const auto json = parse_json(output.out);
  ASSERT_TRUE(json) << output.out;
  EXPECT_EQ((*json)["schema"], 1);
  EXPECT_EQ((*json)["run"], id);
  EXPECT_EQ((*json)["result"], "succeeded");
  ASSERT_EQ((*json)["instances"].size(), 1U);
  EXPECT_EQ((*json)["instances"][0]["outputs"], Json({{"x", {1, "two"}}}));
  EXPECT_EQ((*json)["attempts"][0]["result"], "succeeded");
  EXPECT_TRUE((*json)["hooks"].is_array());
}

TEST(History, PrunesOnlyWhatNobodyNeeds) {
  Project project;
  project.extension("t", execute("outputs.x = 1"));
  std::vector<string> ids;
  for (int i = 0; i < 3; ++i) {
    ids.push_back(run_of(run_pipeline(project, "p:\n  t: [{name: a}]\n").all));
  }
  EXPECT_EQ(project.forge({"runs", "prune", "p.yaml"}).code, 3);
  const auto unconfirmed = project.forge({"runs", "prune", "p.yaml", "--keep", "1"});
  EXPECT_EQ(unconfirmed.code, 3);
  EXPECT_TRUE(has(unconfirmed.err, "[runs.unconfirmed]")) << unconfirmed.err;
  EXPECT_TRUE(std::filesystem::exists(project.path() / ".pangeo-forge/runs" / ids[0]));
  const auto before = project.forge({"outputs", "p.yaml", "--format", "json"}).out;
  const auto pruned = project.forge({"runs", "prune", "p.yaml", "--keep", "1", "--yes"});
  EXPECT_EQ(pruned.code, 0) << pruned.err;
  EXPECT_TRUE(has(pruned.out, "removed 2 runs, ")) << pruned.out;
  EXPECT_FALSE(std::filesystem::exists(project.path() / ".pangeo-forge/runs" / ids[0]));
  EXPECT_TRUE(std::filesystem::exists(project.path() / ".pangeo-forge/runs" / ids[2]));
  EXPECT_EQ(project.forge({"outputs", "p.yaml", "--format", "json"}).out, before);
  EXPECT_EQ(project.forge({"runs", "prune", "p.yaml", "--keep", "1"}).out, "no run may go\n");
  EXPECT_EQ(project.forge({"runs", "prune", "p.yaml", "--older-than", "1d", "--yes"}).out, "no run may go\n");
}

TEST(History, IsFollowedFromAnotherTerminalWhileItGoesOn) {
  Project project;
  project.extension("t", execute(kWaiting));
  project.write("p.yaml", "p:\n  t: [{name: a}, {name: b, depends_on: [t.a]}]\n");
  Process run(project.command({"run", "p.yaml"}));
  ASSERT_TRUE(wait_until([&] { return std::filesystem::exists(work_folder(project, "a") + "/begun"); }));
  Process logs(project.command({"logs", "p.yaml", "-f"}));
  ASSERT_TRUE(logs.wait_for([](const string& out) { return has(out, "t.a  it begins"); }));

  const auto status = project.forge({"status", "p.yaml"});
  EXPECT_TRUE(has(status.out, "p: running since ")) << status.out;
  EXPECT_TRUE(has(status.out, ", 0 of 2 done")) << status.out;
  EXPECT_TRUE(has(status.out, "\nRunning\n  t.a  for ")) << status.out;
  const auto list = project.forge({"runs", "list", "p.yaml"});
  EXPECT_TRUE(has(list.out, "  running  ")) << list.out;
  const auto unlock = project.forge({"unlock", "p.yaml"});
  EXPECT_EQ(unlock.code, 4);
  EXPECT_TRUE(has(unlock.err, "pid " + std::to_string(run.pid()))) << unlock.err;
  EXPECT_EQ(project.forge({"runs", "prune", "p.yaml", "--keep", "0", "--yes"}).out, "no run may go\n");

  let_go(project, "a");
  ASSERT_TRUE(logs.wait_for([](const string& out) { return has(out, "t.b  it begins"); }));
  let_go(project, "b");
  EXPECT_EQ(run.finish().code, 0);
  const auto followed = logs.finish();
  EXPECT_EQ(followed.code, 0) << followed.err;
  EXPECT_FALSE(followed.timed_out);
  EXPECT_TRUE(has(followed.out, "t.b  it ends")) << followed.out;
  EXPECT_EQ(followed.out, project.forge({"logs", "p.yaml"}).out);
  EXPECT_EQ(project.forge({"logs", "p.yaml", "-f"}).out, followed.out);
  EXPECT_EQ(project.forge({"unlock", "p.yaml"}).code, 0);
}

TEST(History, OfAKilledRunIsThereAfterwards) {
  Project project;
  project.extension("t", execute(kWaiting));
  project.write("p.yaml", "p:\n  t: [{name: a}]\n");
  Process run(project.command({"run", "p.yaml"}));
  ASSERT_TRUE(wait_until([&] { return std::filesystem::exists(work_folder(project, "a") + "/begun"); }));
  Process logs(project.command({"logs", "p.yaml", "-f"}));
  ASSERT_TRUE(logs.wait_for([](const string& out) { return has(out, "it begins"); }));
  run.send(SIGKILL);
  run.finish();
  EXPECT_EQ(logs.finish().code, 0);
  EXPECT_EQ(project.forge({"unlock", "p.yaml"}).code, 0);
  const auto status = project.forge({"status", "p.yaml"});
  EXPECT_TRUE(has(status.out, "p: broken off")) << status.out;
  const auto list = project.forge({"runs", "list", "p.yaml"});
  EXPECT_TRUE(has(list.out, "broken off  1 instance\n")) << list.out;
  const auto json = parse_json(project.forge({"runs", "export", "p.yaml"}).out);
  ASSERT_TRUE(json);
  EXPECT_TRUE((*json)["result"].is_null());
  EXPECT_EQ((*json)["attempts"][0]["result"], "none");
  EXPECT_EQ((*json)["attempts"][0]["instance"], "t.a");
}

TEST(History, ShowsTheLinesOfOneAttempt) {
  Project project;
  project.extension("t", execute(R"(
    local n = forge.fs.exists("n") and tonumber(forge.fs.read("n")) + 1 or 1
    forge.fs.write("n", tostring(n))
    forge.log.info("try " .. n)
    if n < 3 then error("not yet") end
  )"));
  run_pipeline(project, "p:\n  t: [{name: a, max_attempts: 3, retry: {delay: 20ms, jitter: none}}]\n");
  const auto two = project.forge({"logs", "p.yaml", "t.a", "--attempt", "2"});
  EXPECT_EQ(two.code, 0) << two.err;
  EXPECT_TRUE(has(two.out, "try 2")) << two.out;
  EXPECT_FALSE(has(two.out, "try 1")) << two.out;
  EXPECT_FALSE(has(two.out, "try 3")) << two.out;
  EXPECT_EQ(project.forge({"logs", "p.yaml", "--attempt", "0"}).code, 3);
  EXPECT_EQ(project.forge({"logs", "p.yaml", "-f", "--reads"}).code, 3);
}

TEST(History, EveryCommandHasHelpWithAnExample) {
  Project project;
  for (const char* command : {"list", "show", "diff", "prune", "export"}) {
    const auto output = project.forge({"runs", command, "--help"});
    EXPECT_EQ(output.code, 0) << command;
    EXPECT_TRUE(has(output.out, string("pangeo-forge runs ") + command + " prod.yaml")) << output.out;
  }
  EXPECT_TRUE(has(project.forge({"unlock", "--help"}).out, "pangeo-forge unlock prod.yaml"));
}

}  // namespace
}  // namespace pf::test
