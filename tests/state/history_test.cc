// What version 3 of the schema keeps: what a success was made of, reuse, resume, attempts, hooks, cleanups,
// destroyed and moved addresses.
#include <gmock/gmock.h>

#include <csignal>

#include "state/fault_vfs.h"
#include "state/helpers.h"
#include "state/old_schemas.h"
#include "state/pairs.h"

namespace pf::state {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

std::vector<std::string> lines(const Result<std::vector<InstanceRecord>>& records) {
  std::vector<std::string> out;
  if (!records) return {records.error().text()};
  for (const auto& record : *records) {
    out.push_back(std::to_string(record.instance) + " " + record.address + " " +
                  std::string(to_text(record.result)) + " " + std::to_string(record.attempts) +
                  (record.outputs.empty() ? "" : " " + record.outputs));
  }
  return out;
}

std::vector<std::string> lines(const Result<std::vector<AttemptEnd>>& attempts) {
  std::vector<std::string> out;
  if (!attempts) return {attempts.error().text()};
  for (const auto& one : *attempts) {
    out.push_back(std::to_string(one.instance) + " " + one.address + " #" + std::to_string(one.attempt) +
                  " " + std::string(to_text(one.result)) + " " + std::to_string(one.duration.count()));
  }
  return out;
}

std::vector<std::string> addresses(const Result<std::vector<InstanceRecord>>& records) {
  std::vector<std::string> out;
  if (!records) return {records.error().text()};
  for (const auto& record : *records) out.push_back(record.address + " of " + record.run);
  return out;
}

InstanceRecord made(uint32_t instance, const std::string& address, const std::string& outputs) {
  InstanceRecord record = finished(instance, address, InstanceResult::succeeded, outputs);
  record.config = "config of " + address;
  record.context = R"({"package":"1"})";
  record.reads = R"([{"what":"file"}])";
  record.sealed = "sealed " + outputs;
  return record;
}

AttemptEnd ended(uint32_t instance, uint32_t attempt, const std::string& address,
                 InstanceResult result = InstanceResult::failed) {
  AttemptEnd end;
  end.instance = instance;
  end.attempt = attempt;
  end.address = address;
  end.result = result;
  end.started = at(3000);
  end.duration = Milliseconds(11);
  return end;
}

RunRecord run_for(RunKind kind, const std::string& id) {
  RunRecord run = run_of(id);
  run.kind = kind;
  return run;
}

TEST(History, KeepsWhatASuccessWasMadeOf) {
  TempFolder temp;
  Loop loop;
  auto out = writer(temp / "s", loop);
  RunRecord run = run_of("r1");
  run.profile = "prod";
  run.kind = RunKind::refresh;
  run.cleanups = R"(["w.z"])";
  out->begin_run(run, {});
  out->finish_run("r1", RunResult::succeeded, at(5), "", {});
  out->begin_run(run_of("r2"), {});
  out->finish_instance(made(0, "w.a", "A"), {});
  InstanceRecord other = made(1, "w.b", "B");
  other.context = "other";
  out->finish_instance(other, {});
  out->finish_instance(made(2, "w.c", "C"), {});
  out->finish_instance(finished(3, "w.d"), {});
  ASSERT_TRUE(out->drain());
  auto in = reader(temp / "s");
  EXPECT_EQ((*in->run("r1"))->profile, "prod");
  EXPECT_EQ((*in->run("r1"))->kind, RunKind::refresh);
  EXPECT_EQ((*in->run("r1"))->cleanups, R"(["w.z"])");
  EXPECT_FALSE(*in->run("r9"));
  auto latest = in->latest("p");
  ASSERT_TRUE(latest);
  ASSERT_THAT(addresses(latest), ElementsAre("w.d of r2", "w.c of r2", "w.b of r2", "w.a of r2"));
  const InstanceRecord& last = (*latest)[3];
  EXPECT_EQ(last.config, "config of w.a");
  EXPECT_EQ(last.context, R"({"package":"1"})");
  EXPECT_EQ(last.reads, R"([{"what":"file"}])");
  EXPECT_EQ(last.sealed, "sealed A");
  EXPECT_EQ(last.sealed_as, "");
  EXPECT_EQ(last.outputs, "A");
  EXPECT_EQ(last.row, 1);
  EXPECT_EQ(last.started, at(2000));
  EXPECT_EQ(last.duration, Milliseconds(5));
  EXPECT_EQ((*latest)[2].context, "other");
  EXPECT_EQ((*latest)[0].config, "");
  EXPECT_EQ((*latest)[0].context, "");
  EXPECT_EQ((*latest)[0].sealed, "");
  // One text for both, also in the next process.
  out.reset();
  out = writer(temp / "s", loop);
  out->begin_run(run_of("r3"), {});
  out->finish_instance(made(0, "w.a", "A"), {});
  ASSERT_TRUE(out->drain());
  EXPECT_EQ(number_of(temp / "s", "SELECT count(*) FROM contexts"), 2);
  EXPECT_EQ(in->instances("r3")->front().config, "");
  EXPECT_EQ(in->instances_in_full("r3")->front().config, "config of w.a");
  EXPECT_EQ(in->instances_in_full("r3")->front().context, R"({"package":"1"})");
  EXPECT_EQ(in->instances_in_full("r3")->front().sealed, "sealed A");
}

TEST(History, ReusesASuccessWithoutARowOfItsOwn) {
  TempFolder temp;
  write_run(temp / "s", "r1", {made(0, "w.a", "A"), made(1, "w.b", "B"), made(2, "w.c", "C")});
  Loop loop;
  auto out = writer(temp / "s", loop);
  out->begin_run(run_of("r2"), {});
  out->reuse_instance(2, 3, "w.c", loop.note("c"));
  out->reuse_instance(0, 1, "w.a", loop.note("a"));
  out->finish_instance(finished(1, "w.b", InstanceResult::failed), loop.note("b"));
  ASSERT_TRUE(out->drain());
  loop.run();
  EXPECT_THAT(loop.notes, ElementsAre("c", "a", "b"));
  auto in = reader(temp / "s");
  EXPECT_THAT(lines(in->instances("r2")),
              ElementsAre("0 w.a cached 0 A", "1 w.b failed 1", "2 w.c cached 0 C"));
  const auto records = in->instances("r2");
  EXPECT_EQ(records->front().started, at(2000));
  EXPECT_EQ(records->front().duration, Milliseconds(5));
  EXPECT_EQ(records->front().run, "r1");
  EXPECT_EQ(records->front().row, 1);
  EXPECT_EQ(in->instances_in_full("r2")->front().reads, R"([{"what":"file"}])");
  EXPECT_THAT(addresses(in->latest("p")), ElementsAre("w.c of r1", "w.b of r1", "w.a of r1"));
  EXPECT_EQ(number_of(temp / "s", "SELECT count(*) FROM instances"), 4);
  EXPECT_EQ(number_of(temp / "s", "SELECT count(*) FROM reused"), 1);
}

TEST(History, FindsReusedRowsAlsoFarApart) {
  TempFolder temp;
  std::vector<InstanceRecord> records;
  for (uint32_t i = 0; i < 300; ++i) records.push_back(finished(i, "w." + std::to_string(i)));
  write_run(temp / "s", "r1", records);
  Loop loop;
  auto out = writer(temp / "s", loop);
  out->begin_run(run_of("r2"), {});
  out->reuse_instance(0, 300, "w.299", {});
  out->reuse_instance(1, 1, "w.0", {});
  out->reuse_instance(2, 150, "w.149", {});
  ASSERT_TRUE(out->drain());
  EXPECT_THAT(lines(reader(temp / "s")->instances("r2")),
              ElementsAre("0 w.299 cached 0", "1 w.0 cached 0", "2 w.149 cached 0"));
}

TEST(History, ReportsAReusedRowThatIsMissing) {
  TempFolder temp;
  write_run(temp / "s", "r1", {finished(0, "w.a")});
  Loop loop;
  auto out = writer(temp / "s", loop);
  out->begin_run(run_of("r2"), {});
  out->reuse_instance(0, 77, "w.a", {});
  ASSERT_TRUE(out->drain());
  auto in = reader(temp / "s");
  EXPECT_EQ(in->instances("r2").error().code, "state.damaged");
  ASSERT_EQ(number_of(temp / "s", "UPDATE reused SET pairs = x'ff' RETURNING 1"), 1);
  EXPECT_EQ(in->instances("r2").error().code, "state.damaged");
}

TEST(History, GoesOnWithARunWhileOthersLieInBetween) {
  TempFolder temp;
  Loop loop;
  auto out = writer(temp / "s", loop);
  out->begin_run(run_of("r1", "p", 4), {});
  out->finish_instance(finished(0, "w.a", InstanceResult::succeeded, "A"), {});
  out->finish_instance(finished(1, "w.b", InstanceResult::failed), {});
  out->start_attempt({2, 1, "w.c"}, at(2500));
  ASSERT_TRUE(out->drain());
  out.reset();
  out = writer(temp / "s", loop);
  out->begin_run(run_of("other", "q"), {});
  out->start_attempt({2, 1, "w.other"}, at(2600));
  out->finish_instance(finished(0, "w.other"), {});
  out->finish_run("other", RunResult::succeeded, at(2700), "", {});
  out->resume_run("r1", R"({"again":1})", loop.note("resumed"));
  out->start_attempt({1, 2, "w.b"}, at(2800));
  out->start_attempt({2, 1, "w.c"}, at(2900));
  ASSERT_TRUE(out->drain());
  auto in = reader(temp / "s");
  // What had failed runs again.
  EXPECT_THAT(lines(in->instances("r1")), ElementsAre("0 w.a succeeded 1 A", "1 w.b none 2", "2 w.c none 1"));
  EXPECT_EQ(in->instances("r1")->at(1).started, at(2800));
  EXPECT_EQ((*in->run("r1"))->result, RunResult::none);
  EXPECT_EQ((*in->run("r1"))->details, R"({"again":1})");
  out->finish_instance(finished(1, "w.b", InstanceResult::succeeded, "B"), {});
  out->finish_instance(finished(2, "w.c"), {});
  out->finish_run("r1", RunResult::succeeded, at(3000), "", {});
  ASSERT_TRUE(out->drain());
  loop.run();
  EXPECT_THAT(loop.notes, ElementsAre("resumed"));
  EXPECT_THAT(lines(in->instances("r1")),
              ElementsAre("0 w.a succeeded 1 A", "1 w.b succeeded 1 B", "2 w.c succeeded 1"));
  EXPECT_THAT(lines(in->instances("other")), ElementsAre("0 w.other succeeded 1", "2 w.other none 1"));
  EXPECT_EQ((*in->run("r1"))->finished, at(3000));
  // An ended run may be resumed as well.
  out->resume_run("r1", "", {});
  ASSERT_TRUE(out->drain());
  EXPECT_EQ((*in->run("r1"))->result, RunResult::none);
  EXPECT_EQ((*in->run("r1"))->finished, WallTime{});
  EXPECT_EQ((*in->run("r1"))->details, R"({"again":1})");
}

TEST(History, TakesTheLastOfEndsReusesAndStarts) {
  TempFolder temp;
  write_run(temp / "s", "r0", {finished(0, "w.a", InstanceResult::succeeded, "old")});
  Loop loop;
  auto out = writer(temp / "s", loop);
  out->begin_run(run_of("r1"), {});
  out->start_attempt({0, 1, "w.a"}, at(1));
  out->start_attempt({1, 1, "w.b"}, at(1));
  ASSERT_TRUE(out->drain());
  // Interrupted, then reused; failed, then reused; reused, then it ran; reused, and runs now.
  out->resume_run("r1", "", {});
  out->reuse_instance(0, 1, "w.a", {});
  out->finish_instance(finished(1, "w.b", InstanceResult::failed), {});
  out->reuse_instance(1, 1, "w.a", {});
  out->reuse_instance(2, 1, "w.a", {});
  out->finish_instance(finished(2, "w.c"), {});
  out->reuse_instance(3, 1, "w.a", {});
  ASSERT_TRUE(out->drain());
  out->start_attempt({3, 1, "w.d"}, at(2));
  ASSERT_TRUE(out->drain());
  EXPECT_THAT(lines(reader(temp / "s")->instances("r1")),
              ElementsAre("0 w.a cached 0 old", "1 w.a cached 0 old", "2 w.c succeeded 1", "3 w.d none 1"));
}

TEST(History, RefusesToResumeWhatNeverBegan) {
  TempFolder temp;
  Loop loop;
  auto out = writer(temp / "s", loop);
  out->resume_run("r9", "", loop.note("told"));
  EXPECT_FALSE(out->drain());
  loop.run();
  ASSERT_EQ(loop.errors.size(), 1U);
  EXPECT_EQ(loop.errors[0].code, "state.failed");
  EXPECT_THAT(loop.notes, IsEmpty());
}

TEST(History, KnowsEachAttempt) {
  TempFolder temp;
  Loop loop;
  auto out = writer(temp / "s", loop);
  out->begin_run(run_of("r1"), {});
  ASSERT_TRUE(out->drain());
  // Ended at once; failed, failed and interrupted; failed and succeeded.
  out->finish_instance(finished(0, "w.a"), {});
  out->start_attempt({1, 1, "w.b"}, at(1));
  AttemptEnd full = ended(1, 1, "w.b", InstanceResult::timed_out);
  full.cpu_us = 1;
  full.peak_bytes = 2;
  full.read_bytes = 3;
  full.write_bytes = 4;
  full.error = R"({"code":"x"})";
  out->end_attempt(full, loop.note("b1"));
  out->start_attempt({1, 2, "w.b"}, at(2));
  out->end_attempt(ended(1, 2, "w.b"), {});
  out->start_attempt({1, 3, "w.b"}, at(3));
  out->end_attempt(ended(2, 1, "w.c"), {});
  out->end_attempt(ended(2, 2, "w.c", InstanceResult::succeeded), {});
  InstanceRecord two = finished(2, "w.c");
  two.attempts = 2;
  out->finish_instance(two, {});
  out->start_attempt({3, 1, "w.d"}, at(1900));
  ASSERT_TRUE(out->drain());
  loop.run();
  EXPECT_THAT(loop.notes, ElementsAre("b1"));
  auto in = reader(temp / "s");
  EXPECT_THAT(
      lines(in->attempts("r1")),
      ElementsAre("0 w.a #1 succeeded 5", "1 w.b #1 timed_out 11", "1 w.b #2 failed 11", "1 w.b #3 none 0",
                  "2 w.c #1 failed 11", "2 w.c #2 succeeded 11", "3 w.d #1 none 0"));
  const AttemptEnd back = in->attempts("r1")->at(1);
  EXPECT_EQ(back.started, at(3000));
  EXPECT_EQ(back.cpu_us, 1U);
  EXPECT_EQ(back.peak_bytes, 2U);
  EXPECT_EQ(back.read_bytes, 3U);
  EXPECT_EQ(back.write_bytes, 4U);
  EXPECT_EQ(back.error, R"({"code":"x"})");
  // Repeated under its own number: it runs, then it has ended.
  out->resume_run("r1", "", {});
  out->start_attempt({1, 2, "w.b"}, at(9));
  ASSERT_TRUE(out->drain());
  EXPECT_EQ(lines(in->attempts("r1"))[2], "1 w.b #2 none 0");
  InstanceRecord late = finished(3, "w.d");
  late.duration = Milliseconds(400);
  out->finish_instance(late, {});
  out->end_attempt(ended(1, 2, "w.b", InstanceResult::crashed), {});
  ASSERT_TRUE(out->drain());
  EXPECT_EQ(lines(in->attempts("r1"))[2], "1 w.b #2 crashed 11");
  EXPECT_EQ(lines(in->attempts("r1"))[6], "3 w.d #1 succeeded 400");
  EXPECT_THAT(lines(in->attempts("r9")), IsEmpty());
}

TEST(History, KeepsExpansionsAndHooks) {
  TempFolder temp;
  Loop loop;
  auto out = writer(temp / "s", loop);
  out->begin_run(run_of("r1"), {});
  out->expanded("w.each", R"([["a",1]])", loop.note("expanded"));
  out->expanded("w.each", R"([["b",2]])", {});
  out->expanded("w.other", "[]", {});
  out->hook({"before_instance", "w.a", "/h/a.lua", "skip", "why", Milliseconds(7), at(8)}, loop.note("hook"));
  out->hook({"after_pipeline", "", "/h/b.lua", "none", "", Milliseconds(0), at(9)}, {});
  out->finish_run("r1", RunResult::succeeded, at(9), "", {});
  out->begin_run(run_of("r2"), {});
  ASSERT_TRUE(out->drain());
  loop.run();
  EXPECT_THAT(loop.notes, ElementsAre("expanded", "hook"));
  auto in = reader(temp / "s");
  EXPECT_THAT(*in->expansions("r1"), ElementsAre(Pair("w.each", R"([["b",2]])"), Pair("w.other", "[]")));
  EXPECT_THAT(*in->expansions("r2"), IsEmpty());
  const auto hooks = in->hooks("r1");
  ASSERT_TRUE(hooks);
  ASSERT_EQ(hooks->size(), 2U);
  const HookRecord& hook = hooks->front();
  EXPECT_EQ(hook.stage, "before_instance");
  EXPECT_EQ(hook.address, "w.a");
  EXPECT_EQ(hook.script, "/h/a.lua");
  EXPECT_EQ(hook.decision, "skip");
  EXPECT_EQ(hook.text, "why");
  EXPECT_EQ(hook.duration, Milliseconds(7));
  EXPECT_EQ(hook.at, at(8));
  EXPECT_EQ((*hooks)[1].stage, "after_pipeline");
  EXPECT_THAT(*in->hooks("r2"), IsEmpty());
}

TEST(History, KnowsCleanupsOfARunThatDied) {
  TempFolder temp;
  ASSERT_EQ(in_child(false,
                     [&] {
                       Loop loop;
                       auto out = writer(temp / "s", loop);
                       RunRecord run = run_of("r1");
                       run.cleanups = R"(["w.x","w.y","w.z"])";
                       out->begin_run(run, {});
                       out->finish_instance(finished(0, "w.y"), {});
                       out->start_attempt({1, 1, "w.z"}, at(1));
                       if (!out->drain()) return 2;
                       ::raise(SIGKILL);
                       return 3;
                     }),
            -SIGKILL);
  Loop loop;
  auto out = writer(temp / "s", loop);
  RunRecord whole = run_of("r2");
  whole.cleanups = R"(["w.x"])";
  out->begin_run(whole, {});
  out->finish_run("r2", RunResult::cancelled, at(2), "", {});
  RunRecord destroyed = run_for(RunKind::destroy, "r3");
  destroyed.cleanups = R"(["w.x"])";
  out->begin_run(destroyed, {});
  ASSERT_TRUE(out->drain());
  auto in = reader(temp / "s");
  auto pending = in->pending_cleanups("p");
  ASSERT_TRUE(pending) << pending.error().text();
  ASSERT_EQ(pending->size(), 1U);
  EXPECT_EQ(pending->front().run.id, "r1");
  EXPECT_THAT(pending->front().addresses, ElementsAre("w.x", "w.z"));
  EXPECT_THAT(*in->pending_cleanups("q"), IsEmpty());
  out->cleanups_done("r1", loop.note("done"));
  ASSERT_TRUE(out->drain());
  loop.run();
  EXPECT_THAT(loop.notes, ElementsAre("done"));
  EXPECT_THAT(*in->pending_cleanups("p"), IsEmpty());
  EXPECT_EQ((*in->run("r1"))->cleanups, R"(["w.x","w.y","w.z"])");
}

// A run that went on: what had ended before others began, and what its record says of that.
TEST(History, KnowsCleanupsThatAreDueAgain) {
  TempFolder temp;
  Loop loop;
  auto out = writer(temp / "s", loop);
  RunRecord run = run_for(RunKind::cleanup, "r1");
  run.cleanups = R"(["w.x","w.y","w.z"])";
  out->begin_run(run, {});
  out->finish_instance(finished(0, "w.x"), {});
  out->start_attempt({3, 1, "w.before"}, at(1));
  ASSERT_TRUE(out->drain());
  out->finish_instance(finished(1, "w.y"), {});
  ASSERT_TRUE(out->drain());
  out->start_attempt({4, 1, "w.after"}, at(1));  // a row of its own
  ASSERT_TRUE(out->drain());
  out->start_attempt({2, 1, "w.z"}, at(1));
  out->finish_instance(finished(2, "w.z"), {});
  out->start_attempt({5, 1, "w.quick"}, at(1));  // its end is all that there is of it
  out->finish_instance(finished(5, "w.quick"), {});
  ASSERT_TRUE(out->drain());
  auto pending = reader(temp / "s")->pending_cleanups("p");
  ASSERT_TRUE(pending) << pending.error().text();
  ASSERT_EQ(pending->size(), 1U);
  EXPECT_THAT(pending->front().addresses, IsEmpty());
  std::vector<std::string> overtaken;
  for (const auto& one : pending->front().overtaken) {
    overtaken.push_back(one.address + ":");
    for (const auto& by : one.by) overtaken.back() += " " + by;
  }
  EXPECT_THAT(overtaken,
              ElementsAre("w.x: w.after w.before w.quick", "w.y: w.after w.quick", "w.z: w.quick"));
  // Row 1 is w.x's; w.y has ended once more than its record says.
  out->resume_run("r1", R"({"due_again":{"w.x":1,"w.y":1}})", {});
  ASSERT_TRUE(out->drain());
  pending = reader(temp / "s")->pending_cleanups("p");
  ASSERT_TRUE(pending) << pending.error().text();
  EXPECT_THAT(pending->front().addresses, ElementsAre("w.x"));
}

class Folding : public testing::TestWithParam<int64_t> {
 protected:
  WriterOptions options() const {
    WriterOptions out = patient();
    out.fold_after = GetParam();
    return out;
  }
};

TEST_P(Folding, ForgetsWhatWasDestroyedUntilItRunsAgain) {
  TempFolder temp;
  write_run(temp / "s", "r1", {made(0, "w.a", "A"), made(1, "w.b", "B"), made(2, "w.c", "C")}, options());
  const auto write = [&](RunKind kind, const std::string& id, const std::vector<InstanceRecord>& records) {
    Loop loop;
    auto out = writer(temp / "s", loop, options());
    out->begin_run(run_for(kind, id), {});
    ASSERT_TRUE(out->drain());
    for (const auto& record : records) out->finish_instance(record, {});
    out->finish_run(id, RunResult::succeeded, at(9), "", {});
    ASSERT_TRUE(out->drain());
  };
  write(RunKind::destroy, "d1",
        {finished(0, "w.a"), finished(1, "w.b"), finished(2, "w.c", InstanceResult::failed)});
  auto in = reader(temp / "s");
  EXPECT_THAT(addresses(in->latest("p")), ElementsAre("w.c of r1"));
  write(RunKind::refresh, "f1", {finished(0, "w.a")});
  EXPECT_THAT(addresses(in->latest("p")), ElementsAre("w.c of r1"));
  write(RunKind::run, "r2", {finished(1, "w.b", InstanceResult::failed), finished(0, "w.a")});
  EXPECT_THAT(addresses(in->latest("p")), ElementsAre("w.a of r2", "w.c of r1"));
  write(RunKind::run, "r3", {});
  write(RunKind::run, "r4", {});
  EXPECT_THAT(addresses(in->latest("p")), ElementsAre("w.a of r2", "w.c of r1"));
}

TEST_P(Folding, KnowsWhatMovedUnderItsNewName) {
  TempFolder temp;
  write_run(temp / "s", "r1", {made(0, "w.a", "A"), made(1, "w.b", "B")}, options());
  Loop loop;
  auto out = writer(temp / "s", loop, options());
  out->move("p", "w.a", "w.z", loop.note("moved"));
  out->move("p", "w.a", "w.y", {});
  out->move("p", "w.none", "w.b", {});
  out->move("q", "w.b", "w.x", {});
  ASSERT_TRUE(out->drain());
  loop.run();
  EXPECT_THAT(loop.notes, ElementsAre("moved"));
  auto in = reader(temp / "s");
  auto latest = in->latest("p");
  ASSERT_THAT(addresses(latest), ElementsAre("w.b of r1", "w.z of r1"));
  EXPECT_EQ((*latest)[1].sealed_as, "w.a");
  EXPECT_EQ((*latest)[0].sealed_as, "");
  // A new w.a is another one, and history stays what it was.
  out->begin_run(run_of("r2"), {});
  out->reuse_instance(0, 1, "w.z", {});
  out->reuse_instance(1, 2, "w.b", {});
  out->finish_instance(finished(2, "w.a"), {});
  out->finish_run("r2", RunResult::succeeded, at(9), "", {});
  ASSERT_TRUE(out->drain());
  EXPECT_THAT(addresses(in->latest("p")), ElementsAre("w.a of r2", "w.b of r1", "w.z of r1"));
  EXPECT_THAT(lines(in->instances("r2")),
              ElementsAre("0 w.z cached 0 A", "1 w.b cached 0 B", "2 w.a succeeded 1"));
  EXPECT_EQ(in->instances_in_full("r2")->front().sealed_as, "w.a");
  EXPECT_THAT(lines(in->instances("r1")), ElementsAre("0 w.a succeeded 1 A", "1 w.b succeeded 1 B"));
  // Once more, over one that is there, by another process.
  out.reset();
  out = writer(temp / "s", loop, options());
  out->move("p", "w.z", "w.b", {});
  ASSERT_TRUE(out->drain());
  EXPECT_THAT(addresses(in->latest("p")), ElementsAre("w.a of r2", "w.b of r1"));
  out->begin_run(run_of("r3"), {});
  out->reuse_instance(0, 1, "w.b", {});
  ASSERT_TRUE(out->drain());
  EXPECT_THAT(lines(in->instances("r3")), ElementsAre("0 w.b cached 0 A"));
  EXPECT_THAT(lines(in->instances("r2")),
              ElementsAre("0 w.z cached 0 A", "1 w.b cached 0 B", "2 w.a succeeded 1"));
}

INSTANTIATE_TEST_SUITE_P(All, Folding, testing::Values(int64_t{1} << 40, int64_t{1}, int64_t{3}));

TEST(History, IsThereAfterAKillWithoutAnEnd) {
  TempFolder temp;
  write_run(temp / "s", "r0", {made(0, "w.a", "A")});
  ASSERT_EQ(in_child(false,
                     [&] {
                       Loop loop;
                       auto out = writer(temp / "s", loop);
                       out->begin_run(run_of("r1"), {});
                       out->reuse_instance(0, 1, "w.a", {});
                       out->start_attempt({1, 1, "w.b"}, at(1));
                       out->end_attempt(ended(1, 1, "w.b"), {});
                       out->expanded("w.each", "[]", {});
                       out->hook({"on_retry", "w.b", "/h.lua", "none", "", Milliseconds(0), at(2)}, {});
                       out->finish_instance(made(2, "w.c", "C"), {});
                       out->move("p", "w.c", "w.d", {});
                       if (!out->drain()) return 2;
                       out->finish_instance(finished(3, "w.lost"), {});
                       ::raise(SIGKILL);
                       return 3;
                     }),
            -SIGKILL);
  auto in = reader(temp / "s");
  EXPECT_THAT(lines(in->instances("r1")),
              ElementsAre("0 w.a cached 0 A", "1 w.b none 1", "2 w.c succeeded 1 C"));
  EXPECT_THAT(lines(in->attempts("r1")), ElementsAre("1 w.b #1 failed 11", "2 w.c #1 succeeded 5"));
  EXPECT_EQ(in->expansions("r1")->size(), 1U);
  EXPECT_EQ(in->hooks("r1")->size(), 1U);
  EXPECT_THAT(addresses(in->latest("p")), ElementsAre("w.d of r1", "w.a of r0"));
}

// One write of each kind, after a durable beginning.
struct Kind {
  const char* name;
  void (*write)(Writer&, Writer::Callback);
};

class EachWrite : public testing::TestWithParam<Kind> {};

TEST_P(EachWrite, ThatFailsIsReportedAndChangesNothing) {
  for (const bool unsynced : {false, true}) {
    for (const auto journal : {WriterOptions::Journal::wal, WriterOptions::Journal::rollback}) {
      TempFolder temp;
      FaultVfs faults;
      WriterOptions options = patient();
      options.vfs = FaultVfs::name();
      options.journal = journal;
      Loop loop;
      auto out = writer(temp / "s", loop, options);
      RunRecord run = run_of("r1");
      run.cleanups = R"(["w.z"])";
      out->begin_run(run, {});
      out->finish_instance(made(0, "w.a", "A"), {});
      ASSERT_TRUE(out->drain());
      (unsynced ? faults.sync_code : faults.write_code) = unsynced ? SQLITE_IOERR_FSYNC : SQLITE_FULL;
      GetParam().write(*out, loop.note("told"));
      auto drained = out->drain();
      ASSERT_FALSE(drained);
      EXPECT_EQ(drained.error().code, unsynced ? "os.eio" : "state.full");
      faults.sync_code = faults.write_code = SQLITE_OK;
      out.reset();
      loop.run();
      EXPECT_THAT(loop.notes, IsEmpty());
      EXPECT_EQ(loop.errors.size(), 1U);
      auto in = reader(temp / "s");
      EXPECT_EQ(in->instances("r1")->front().address, "w.a");
      if (unsynced) continue;  // what was written may be there or not
      EXPECT_THAT(lines(in->instances("r1")), ElementsAre("0 w.a succeeded 1 A"));
      EXPECT_THAT(lines(in->attempts("r1")), ElementsAre("0 w.a #1 succeeded 5"));
      EXPECT_THAT(addresses(in->latest("p")), ElementsAre("w.a of r1"));
      EXPECT_THAT(*in->expansions("r1"), IsEmpty());
      EXPECT_THAT(*in->hooks("r1"), IsEmpty());
      EXPECT_EQ(in->pending_cleanups("p")->size(), 1U);
      EXPECT_EQ(in->runs("p", 9)->size(), 1U);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, EachWrite,
    testing::Values(
        Kind{"begin",
             [](Writer& out, Writer::Callback told) { out.begin_run(run_of("r2"), std::move(told)); }},
        Kind{"resume",
             [](Writer& out, Writer::Callback told) { out.resume_run("r1", "{}", std::move(told)); }},
        Kind{"finish",
             [](Writer& out, Writer::Callback told) {
               out.finish_instance(made(1, "w.b", "B"), std::move(told));
             }},
        Kind{"reuse",
             [](Writer& out, Writer::Callback told) { out.reuse_instance(1, 1, "w.a", std::move(told)); }},
        Kind{
            "end_attempt",
            [](Writer& out, Writer::Callback told) { out.end_attempt(ended(1, 1, "w.b"), std::move(told)); }},
        Kind{"expanded",
             [](Writer& out, Writer::Callback told) { out.expanded("w.each", "[]", std::move(told)); }},
        Kind{"hook",
             [](Writer& out, Writer::Callback told) {
               out.hook({"on_error", "w.a", "/h.lua", "none", "", Milliseconds(1), at(1)}, std::move(told));
             }},
        Kind{"move",
             [](Writer& out, Writer::Callback told) { out.move("p", "w.a", "w.z", std::move(told)); }},
        Kind{"cleanups",
             [](Writer& out, Writer::Callback told) { out.cleanups_done("r1", std::move(told)); }}),
    [](const auto& which) { return which.param.name; });

class OldSchema : public testing::TestWithParam<int> {};

TEST_P(OldSchema, IsReadAsItIs) {
  TempFolder temp;
  ASSERT_TRUE(make_old(temp / "s", GetParam()));
  const auto before = snapshot(temp / "s");
  auto in = reader(temp / "s");
  EXPECT_EQ(in->runs("p", 9)->size(), 2U);
  EXPECT_EQ((*in->run("old-1"))->result, RunResult::failed);
  EXPECT_EQ((*in->run("old-1"))->kind, RunKind::run);
  EXPECT_THAT(lines(in->instances("old-1")),
              ElementsAre("0 w.a succeeded 1 \xa1\x61\x78\x01", "1 w.b succeeded 2", "2 w.c failed 1"));
  EXPECT_THAT(lines(in->instances_in_full("old-2")),
              ElementsAre("1 w.b succeeded 1 \xa1\x61\x78\x02", "2 w.c none 1"));
  EXPECT_THAT(lines(in->attempts("old-2")), ElementsAre("1 w.b #1 succeeded 8", "2 w.c #1 none 0"));
  EXPECT_THAT(addresses(in->latest("p")), ElementsAre("w.b of old-2", "w.a of old-1"));
  EXPECT_EQ(in->latest("p")->front().reads, GetParam() < 2 ? "" : R"([{"what":"env"}])");
  EXPECT_EQ(in->reads("old-2")->size(), GetParam() < 2 ? 0U : 1U);
  EXPECT_THAT(*in->expansions("old-1"), IsEmpty());
  EXPECT_THAT(*in->hooks("old-1"), IsEmpty());
  EXPECT_THAT(*in->pending_cleanups("p"), IsEmpty());
  EXPECT_EQ(snapshot(temp / "s"), before);
}

TEST_P(OldSchema, IsBroughtUpToDateByTheNextWriter) {
  TempFolder temp;
  ASSERT_TRUE(make_old(temp / "s", GetParam()));
  Loop loop;
  auto out = writer(temp / "s", loop);
  ASSERT_TRUE(out);
  EXPECT_EQ(number_of(temp / "s", "PRAGMA user_version"), 3);
  out->resume_run("old-2", "", {});
  out->reuse_instance(0, 1, "w.a", {});
  out->finish_instance(made(2, "w.c", "C"), {});
  out->finish_run("old-2", RunResult::succeeded, at(9), "", {});
  ASSERT_TRUE(out->drain());
  auto in = reader(temp / "s");
  EXPECT_THAT(lines(in->instances("old-2")),
              ElementsAre("0 w.a cached 0 \xa1\x61\x78\x01", "1 w.b succeeded 1 \xa1\x61\x78\x02",
                          "2 w.c succeeded 1 C"));
  EXPECT_THAT(addresses(in->latest("p")), ElementsAre("w.c of old-2", "w.b of old-2", "w.a of old-1"));
  EXPECT_EQ(in->latest("p")->front().config, "config of w.c");
  EXPECT_EQ(in->reads("old-2")->size(), GetParam() < 2 ? 1U : 2U);
  // What it makes is what a new file has.
  Loop other;
  auto fresh = writer(temp / "fresh", other);
  fresh.reset();
  out.reset();
  for (const char* table : {"runs", "instances", "attempts", "reused", "attempt_ends", "contexts", "sealed",
                            "expansions", "hooks", "renamed", "reads", "latest", "folded"}) {
    const std::string sql = "SELECT count(*) FROM pragma_table_info('" + std::string(table) + "')";
    EXPECT_EQ(number_of(temp / "s", sql.c_str()), number_of(temp / "fresh", sql.c_str())) << table;
    EXPECT_GT(number_of(temp / "s", sql.c_str()), 0) << table;
  }
}

TEST_P(OldSchema, StaysWhatItWasWhereTheDiskIsFull) {
  TempFolder temp;
  ASSERT_TRUE(make_old(temp / "s", GetParam()));
  FaultVfs faults;
  WriterOptions options = patient();
  options.vfs = FaultVfs::name();
  options.journal = WriterOptions::Journal::rollback;
  // Each write of the migration in turn is the first that fails.
  int failures = 0;
  for (int writes = 0;; ++writes) {
    faults.writes_left = writes;
    Loop loop;
    auto out = open_writer(temp / "s", loop.post(), loop.on_error(), options);
    const bool reached = faults.writes_left < 0;
    faults.writes_left = FaultVfs::kUnlimited;
    if (out) {
      EXPECT_FALSE(reached);
      break;
    }
    ++failures;
    ASSERT_EQ(out.error().code, "state.full");
    ASSERT_EQ(number_of(temp / "s", "PRAGMA user_version"), GetParam());
    ASSERT_EQ(number_of(temp / "s", "SELECT count(*) FROM sqlite_master WHERE name = 'reused'"), 0);
    ASSERT_THAT(lines(reader(temp / "s")->instances("old-2")),
                ElementsAre("1 w.b succeeded 1 \xa1\x61\x78\x02", "2 w.c none 1"));
  }
  EXPECT_GT(failures, 5);
  EXPECT_EQ(number_of(temp / "s", "PRAGMA user_version"), 3);
}

INSTANTIATE_TEST_SUITE_P(All, OldSchema, testing::Values(1, 2));

TEST(Pairs, AreReadAsTheyWereWritten) {
  PairWriter out;
  const std::vector<state::Pair> pairs = {{0, 1, {}},          {1, 2, {}},         {2, 3, "w.moved"},
                                          {9, 1, {}},          {4, 9'000'000, {}}, {UINT32_MAX, 5, {}},
                                          {0, INT64_MAX, "x"}, {1, 1, {}}};
  for (const auto& pair : pairs) out.add(pair);
  PairReader in(out.text());
  for (const auto& expected : pairs) {
    state::Pair pair;
    ASSERT_TRUE(in.next(pair));
    EXPECT_EQ(pair.instance, expected.instance);
    EXPECT_EQ(pair.row, expected.row);
    EXPECT_EQ(pair.address, expected.address);
  }
  state::Pair pair;
  EXPECT_FALSE(in.next(pair));
  EXPECT_FALSE(in.damaged());
}

TEST(Pairs, TakeTwoBytesEachWhereTheyAreInOrder) {
  PairWriter out;
  for (uint32_t i = 0; i < 10000; ++i) out.add({i, i + 1, {}});
  EXPECT_EQ(out.text().size(), 20000U);
}

TEST(Pairs, AreRefusedWhereTheyAreDamaged) {
  for (const std::string_view text : {std::string_view("\xff"), std::string_view("\x04"),
                                      std::string_view("\x02\x02"), std::string_view("\x01\x02\x7f\x61"),
                                      std::string_view("\x01\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
                                      std::string_view("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
                                      std::string_view("\x80\x80\x80\x80\x80\x08\x00", 7)}) {
    PairReader in(text);
    state::Pair pair;
    while (in.next(pair)) {
    }
    EXPECT_TRUE(in.damaged()) << text.size();
  }
}

}  // namespace
}  // namespace pf::state
