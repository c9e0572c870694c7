// Workers in which an attacker has won: the real program with another VM, which sends what it likes.
#include <gmock/gmock.h>

#include "support/leftovers.h"
#include "support/pipelines.h"

namespace pf::test {
namespace {

/// A build of the program whose workers are out of control.
class Tree : public Folder {
 public:
  Tree() {
    namespace fs = std::filesystem;
    const fs::path real = fs::path(program()).parent_path();
    fs::create_directories(path() / "bin");
    for (const char* name : {"pangeo-forge", "pangeo-forge-io"})
      fs::copy_file(real / name, path() / "bin" / name);
    fs::copy_file(PF_OUT_OF_CONTROL, path() / "bin/pangeo-forge-worker");
    fs::create_directory_symlink(real.parent_path() / "lib", path() / "lib");
  }
};

TEST(WorkerOutOfControl, FailsItsInstanceAndNothingElse) {
  const Tree tree;
  const std::map<std::string, std::string> said = {{"garbage", "malformed CBOR"},
                                                   {"length", "a frame of 4294967295 bytes"},
                                                   {"deep", "nested deeper than 64 levels"},
                                                   {"kind", "sent a frame of kind 4"},
                                                   {"ready", "sent a frame of kind 16"},
                                                   {"past", "the end of epoch 0 while"},
                                                   {"future", "a host call of epoch 99999 while"},
                                                   {"unknown", "host call"},
                                                   {"inside", "host call"},
                                                   {"returned", "back"},
                                                   {"twice", ""},
                                                   {"flood", ""}};
  Project project;
  project.extension("attack", "");
  project.extension("quiet", "");
  std::string yaml = "p:\n  core: {execution_defaults: {max_parallel: 64}}\n  attack:\n";
  for (const auto& [name, words] : said) yaml += "    - {name: " + name + "}\n";
  yaml += "    - {name: cut}\n    - {name: forbidden}\n    - {name: silent, timeout: 3s}\n";
  yaml += "  quiet: [{name: a}, {name: b}, {name: c}]\n";
  project.write("p.yaml", yaml);
  auto options = project.command({"run", "p.yaml", "--format", "json"});
  options.argv[0] = tree.path() / "bin/pangeo-forge";
  Leftovers leftovers;
  RunResult run;
  run.output = pf::test::run(std::move(options));
  EXPECT_THAT(leftovers.wait(), testing::IsEmpty());
  run.all = events(run.output.out);
  run.finished = last(run.all, "run_finished");
  for (const auto& [name, words] : said) {
    EXPECT_EQ(run.result("attack." + name), "crashed") << name;
    EXPECT_EQ(run.error_code("attack." + name), "worker.protocol") << name;
    EXPECT_THAT(run.error_message("attack." + name), testing::HasSubstr(words)) << name;
  }
  EXPECT_EQ(run.error_code("attack.cut"), "worker.crashed") << run.output.out;
  EXPECT_EQ(run.error_code("attack.forbidden"), "permission.read") << run.output.out;
  EXPECT_EQ(run.result("attack.silent"), "timed_out") << run.output.out;
  EXPECT_EQ(run.error_code("attack.silent"), "deadline.hard") << run.output.out;
  for (const char* sibling : {"quiet.a", "quiet.b", "quiet.c"}) EXPECT_EQ(run.result(sibling), "succeeded");
}

TEST(WorkerOutOfControl, ASecondEndEndsTheWorkerAndNotTheRun) {
  // An instance of the same extension that waits in the same worker may fall with it; one that is ready only
  // after something else ran has another one.
  const Tree tree;
  Project project;
  project.extension("attack", "");
  project.extension("quiet", "");
  project.write("p.yaml",
                "p:\n  attack: [{name: twofold}, {name: next}, {name: last, depends_on: [quiet.b]}]\n"
                "  quiet: [{name: a, depends_on: [attack.twofold]}, {name: b, depends_on: [quiet.a]}]\n");
  auto options = project.command({"run", "p.yaml", "--format", "json"});
  options.argv[0] = tree.path() / "bin/pangeo-forge";
  Leftovers leftovers;
  RunResult run;
  run.output = pf::test::run(std::move(options));
  EXPECT_THAT(leftovers.wait(), testing::IsEmpty());
  run.finished = last(events(run.output.out), "run_finished");
  EXPECT_EQ(run.result("attack.twofold"), "succeeded") << run.output.out;
  EXPECT_THAT(run.result("attack.next"), testing::AnyOf("succeeded", "crashed")) << run.output.out;
  for (const char* sibling : {"attack.last", "quiet.a", "quiet.b"}) {
    EXPECT_EQ(run.result(sibling), "succeeded") << sibling << run.output.out;
  }
}

}  // namespace
}  // namespace pf::test
