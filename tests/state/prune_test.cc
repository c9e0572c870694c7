#include "state/prune.h"

#include <gmock/gmock.h>

#include "state/helpers.h"
#include "state/layout.h"
#include "state/old_schemas.h"

namespace pf::state {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> ids(const std::filesystem::path& folder) {
  std::vector<std::string> out;
  const auto runs = reader(folder)->runs("p", 99);
  for (const auto& run : *runs) out.push_back(run.id);
  return out;
}

std::vector<std::string> latest(const std::filesystem::path& folder) {
  std::vector<std::string> out;
  auto records = reader(folder)->latest("p");
  EXPECT_TRUE(records) << records.error().text();
  if (records) {
    for (const auto& record : *records) {
      out.push_back(record.address + " " + record.outputs + " of " + record.run);
    }
  }
  return out;
}

InstanceRecord with_context(uint32_t instance, const std::string& address, const std::string& outputs) {
  InstanceRecord record = finished(instance, address, InstanceResult::succeeded, outputs);
  record.context = "context of " + outputs;
  record.reads = "[]";
  record.sealed = "sealed";
  return record;
}

PruneOptions keep(size_t count) {
  PruneOptions options;
  options.pipeline = "p";
  options.keep = count;
  return options;
}

TEST(Prune, KeepsWhatALaterRunMayNeed) {
  TempFolder temp;
  const auto folder = temp / "s";
  write_run(folder, "r1", {with_context(0, "w.a", "a1"), with_context(1, "w.b", "b1")});
  write_run(folder, "r2", {with_context(0, "w.a", "a2"), finished(1, "w.b", InstanceResult::failed)});
  Loop loop;
  auto out = writer(folder, loop);
  out->begin_run(run_of("r3"), {});
  out->reuse_instance(0, 3, "w.a", {});
  out->finish_run("r3", RunResult::succeeded, at(9), "", {});
  ASSERT_TRUE(out->drain());
  out.reset();
  const Layout layout(folder);
  for (const char* id : {"r1", "r2", "r3"}) {
    std::filesystem::create_directories(layout.run(id));
    put(layout.log(id), std::string(50'000, 'x'));
  }
  EXPECT_THAT(*prunable(folder, keep(3)), IsEmpty());
  EXPECT_THAT(*prunable(folder, keep(2)), ElementsAre("r1"));
  const auto chosen = prunable(folder, keep(0));
  ASSERT_THAT(*chosen, ElementsAre("r2", "r1"));
  const auto pruned = prune(folder, *chosen);
  ASSERT_TRUE(pruned) << pruned.error().text();
  EXPECT_THAT(pruned->runs, ElementsAre("r2", "r1"));
  EXPECT_GE(pruned->bytes, 100'000U);
  EXPECT_THAT(ids(folder), ElementsAre("r3"));
  EXPECT_THAT(latest(folder), ElementsAre("w.a a2 of r2", "w.b b1 of r1"));
  EXPECT_EQ(reader(folder)->instances("r3")->front().outputs, "a2");
  EXPECT_FALSE(std::filesystem::exists(layout.run("r1")));
  EXPECT_TRUE(std::filesystem::exists(layout.log("r3")));
  EXPECT_EQ(number_of(folder, "SELECT count(*) FROM instances"), 2);
  EXPECT_EQ(number_of(folder, "SELECT count(*) FROM contexts"), 2);
  EXPECT_EQ(number_of(folder, "SELECT count(*) FROM reads"), 2);
  EXPECT_EQ(number_of(folder, "SELECT count(*) FROM sealed"), 2);
  EXPECT_EQ(number_of(folder, "SELECT count(*) FROM runs"), 3);
  // Once something newer takes their place, the next pruning removes what was left of them.
  write_run(folder, "r4", {with_context(0, "w.a", "a4"), with_context(1, "w.b", "b4")});
  ASSERT_TRUE(prune(folder, {"r3"}));
  EXPECT_THAT(ids(folder), ElementsAre("r4"));
  EXPECT_THAT(latest(folder), ElementsAre("w.b b4 of r4", "w.a a4 of r4"));
  EXPECT_EQ(number_of(folder, "SELECT count(*) FROM runs"), 1);
  EXPECT_EQ(number_of(folder, "SELECT count(*) FROM reused"), 0);
}

TEST(Prune, NeverTakesAnUnfinishedRunOrTheLast) {
  TempFolder temp;
  const auto folder = temp / "s";
  Loop loop;
  auto out = writer(folder, loop);
  out->begin_run(run_of("died"), {});
  out->finish_instance(finished(0, "w.a"), {});
  out->begin_run(run_of("other", "q"), {});
  out->finish_run("other", RunResult::succeeded, at(9), "", {});
  out->begin_run(run_of("last"), {});
  out->finish_run("last", RunResult::failed, at(9), "", {});
  ASSERT_TRUE(out->drain());
  out.reset();
  EXPECT_THAT(*prunable(folder, keep(0)), IsEmpty());
  EXPECT_TRUE(prune(folder, {})->runs.empty());
}

TEST(Prune, GoesByAge) {
  TempFolder temp;
  const auto folder = temp / "s";
  Loop loop;
  auto out = writer(folder, loop);
  for (int i = 1; i <= 4; ++i) {
    RunRecord run = run_of("r" + std::to_string(i));
    run.started = at(i * 1000);
    out->begin_run(run, {});
    out->finish_run(run.id, RunResult::succeeded, at(i * 1000 + 1), "", {});
  }
  ASSERT_TRUE(out->drain());
  out.reset();
  PruneOptions options;
  options.pipeline = "p";
  options.begun_before = at(3000);
  EXPECT_THAT(*prunable(folder, options), ElementsAre("r2", "r1"));
  options.keep = 3;
  EXPECT_THAT(*prunable(folder, options), ElementsAre("r1"));
}

// Rows are numbered upwards from the last that is there: one that was removed gives its number to the next.
TEST(Prune, DoesNotHideWhatRunsAfterIt) {
  TempFolder temp;
  const auto folder = temp / "s";
  write_run(folder, "r1", {finished(0, "w.a", InstanceResult::succeeded, "a1")});
  write_run(folder, "r2",
            {finished(0, "w.a", InstanceResult::failed), finished(1, "w.b", InstanceResult::failed)});
  write_run(folder, "r3", {});
  ASSERT_TRUE(prune(folder, {"r2", "r1"}));
  write_run(folder, "r4", {finished(0, "w.a", InstanceResult::succeeded, "a4")});
  write_run(folder, "r5", {finished(0, "w.b", InstanceResult::succeeded, "b5")});
  EXPECT_THAT(latest(folder), ElementsAre("w.b b5 of r5", "w.a a4 of r4"));
}

TEST(Prune, KeepsWhatWasDestroyedForgotten) {
  TempFolder temp;
  const auto folder = temp / "s";
  write_run(folder, "r1", {finished(0, "w.a")});
  Loop loop;
  auto out = writer(folder, loop);
  RunRecord destroyed = run_of("d1");
  destroyed.kind = RunKind::destroy;
  out->begin_run(destroyed, {});
  out->finish_instance(finished(0, "w.a"), {});
  out->finish_run("d1", RunResult::succeeded, at(9), "", {});
  ASSERT_TRUE(out->drain());
  out.reset();
  write_run(folder, "r2", {});
  ASSERT_TRUE(prune(folder, {"d1"}));
  EXPECT_THAT(latest(folder), IsEmpty());
  EXPECT_THAT(ids(folder), ElementsAre("r2", "r1"));
}

TEST(Prune, BringsAnOlderSchemaUpToDateFirst) {
  TempFolder temp;
  ASSERT_TRUE(make_old(temp / "s", 1));
  ASSERT_TRUE(prune(temp / "s", {"old-1"}));
  EXPECT_THAT(ids(temp / "s"), ElementsAre("old-2"));
  EXPECT_EQ(latest(temp / "s").size(), 2U);
}

}  // namespace
}  // namespace pf::state
