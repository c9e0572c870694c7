// kill -9 of the core, the guardian and workers at random moments: nothing of the run stays, no lock, and
// what follows ends as if nothing had happened and repeats nothing that was known to have succeeded.
#include <gmock/gmock.h>

#include <poll.h>

#include <csignal>
#include <fstream>
#include <map>
#include <random>
#include <set>

#include "support/leftovers.h"
#include "support/processes.h"
#include "support/steps.h"

namespace pf::test {
namespace {

using Clock = std::chrono::steady_clock;
using testing::IsEmpty;

constexpr int kLayers = 6;
constexpr int kWidth = 5;

/// A layered pipeline whose instances mark each of their executions in a folder that no run touches else.
class Layers : public Project {
 public:
  Layers() {
    write("marks/.keep", "");
    const std::string marks = (path() / "marks").string();
    extension("t", execute("forge.fs.write('" + marks + "/' .. self.name .. '/' .. forge.uuid(), '')\n" + R"(
      local sum = 1
      for _, n in ipairs(config.needs) do sum = sum + n end
      forge.fs.write('sum', tostring(sum))
      outputs.sum = tonumber(forge.fs.read('sum')))"),
              "permissions: {write: ['" + marks + "']}\n",
              "local s = require 'schema' return {Config = s.object {needs = s.list(s.integer {}, {default = "
              "{}})}}");
    std::string yaml = "p:\n  t:\n";
    for (int layer = 0; layer < kLayers; ++layer) {
      for (int i = 0; i < kWidth; ++i) {
        write("marks/" + name(layer, i) + "/.keep", "");
        yaml += "    - {name: " + name(layer, i);
        if (layer > 0) {
          yaml += ", needs: ['${t." + name(layer - 1, i) + ".outputs.sum}', '${t." +
                  name(layer - 1, (i + 1) % kWidth) + ".outputs.sum}']";
        }
        yaml += "}\n";
      }
    }
    write("p.yaml", yaml);
  }
  /// An instance of layer n sums up to 2^(n+1) - 1.
  static void expect_all(const RunResult& run) {
    ASSERT_TRUE(run.finished.is_object()) << run.output.out << run.output.err;
    EXPECT_EQ(run.output.code, 0) << run.output.out;
    for (int layer = 0; layer < kLayers; ++layer) {
      for (int i = 0; i < kWidth; ++i) {
        EXPECT_EQ(run.outputs("t." + name(layer, i)), Json({{"sum", (2 << layer) - 1}})) << name(layer, i);
      }
    }
  }
  std::map<std::string, size_t> executions() const {
    std::map<std::string, size_t> out;
    for (int layer = 0; layer < kLayers; ++layer) {
      for (int i = 0; i < kWidth; ++i) {
        auto& count = out["t." + name(layer, i)];
        for (const auto& mark : std::filesystem::directory_iterator(path() / "marks" / name(layer, i)))
          count += mark.path().filename() == ".keep" ? 0 : 1;
      }
    }
    return out;
  }

 private:
  static std::string name(int layer, int i) { return "n" + std::to_string(layer) + "-" + std::to_string(i); }
};

enum class Victim { core, guardian, worker };

// Nobody: there is none now.
pid_t find(Victim victim, pid_t core, std::mt19937& random) {
  if (victim == Victim::core) return core;
  // Those that have the core's name are about to become another program, or help a sanitizer to stop the
  // core, which waits for them for ever.
  const auto all = processes_by_parent("pangeo-forge");
  std::vector<pid_t> found;
  const auto [first, last] = all.equal_range(core);
  for (auto guardian = first; guardian != last; ++guardian) {
    if (victim == Victim::guardian) found.push_back(guardian->second);
    const auto [begin, end] = all.equal_range(guardian->second);
    for (auto worker = begin; victim == Victim::worker && worker != end; ++worker)
      found.push_back(worker->second);
  }
  return found.empty() ? 0 : found[random() % found.size()];
}

// Who is told to have succeeded.
void take_succeeded(const RunResult& run, std::set<std::string>& succeeded) {
  for (const Json& event : run.all) {
    if (event["event"] == "instance_finished" && event["result"] == "succeeded")
      succeeded.insert(event["instance"].get<std::string>());
  }
}

// Runs, kills and goes on until so many kills have met somebody.
void kill_many(Victim victim, int kills, uint32_t seed) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  auto project = std::make_unique<Layers>();
  const auto before = Clock::now();
  Layers::expect_all(run_pipeline(*project, project->read("p.yaml")));
  const auto usual = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - before).count();
  project = std::make_unique<Layers>();
  std::set<std::string> succeeded;
  std::map<std::string, size_t> executed;
  int disturbed = 0;  // this project's runs
  for (int killed = 0, tries = 0; killed < kills; ++tries) {
    ASSERT_LT(tries, kills * 20) << "too few of them were met";
    Leftovers leftovers;
    auto options = project->command({"run", "p.yaml", "--format", "json", "--resume"});
    Process core(std::move(options));
    const auto moment = Clock::now() + std::chrono::milliseconds(random() % (usual + 1));
    core.wait_for([&](const std::string&) { return Clock::now() >= moment; });
    const pid_t pid = find(victim, core.pid(), random);
    if (pid > 0 && kill(pid, SIGKILL) == 0) {
      ++killed;
      ++disturbed;
    }
    const auto run = told(core.finish());
    ASSERT_THAT(leftovers.wait(), IsEmpty());
    ASSERT_FALSE(run.output.timed_out) << run.output.out << run.output.err;
    // What was told to have succeeded earlier was not executed again.
    const auto now = project->executions();
    for (const std::string& instance : succeeded) {
      EXPECT_EQ(now.at(instance), executed.at(instance)) << instance << "\n" << run.output.out;
    }
    executed = now;
    take_succeeded(run, succeeded);
    if (testing::Test::HasFailure()) return;
    if (run.output.code != 0 && killed < kills) continue;
    // Undisturbed, it ends as it would have at once.
    const auto end = run_pipeline(*project, project->read("p.yaml"), {"--resume"});
    EXPECT_THAT(end.left, IsEmpty());
    Layers::expect_all(end);
    for (const auto& [instance, count] : project->executions()) {
      EXPECT_GE(count, 1U) << instance;
      EXPECT_LE(count, 1U + static_cast<size_t>(disturbed)) << instance;
      if (succeeded.contains(instance)) {
        EXPECT_EQ(count, executed[instance]) << instance;
      }
    }
    if (testing::Test::HasFailure()) return;
    project = std::make_unique<Layers>();
    succeeded.clear();
    disturbed = 0;
  }
}

class Kill : public testing::TestWithParam<uint32_t> {};

TEST_P(Kill, OfTheCore) { kill_many(Victim::core, 20, GetParam()); }
TEST_P(Kill, OfTheGuardian) { kill_many(Victim::guardian, 8, GetParam()); }
TEST_P(Kill, OfAWorker) { kill_many(Victim::worker, 12, GetParam()); }

INSTANTIATE_TEST_SUITE_P(Seeds, Kill, testing::Values(1U, 2U, 3U, 4U, 5U));

}  // namespace
}  // namespace pf::test
