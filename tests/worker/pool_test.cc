#include <gmock/gmock.h>

#include "scripted.h"

namespace pf::worker {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class Pools : public Scripted {};

TEST_F(Pools, StartWithOneWorkerThatGetsItsLoadAndItsJobAtOnce) {
  EXPECT_TRUE(offer(1, true));
  EXPECT_THAT(sent_to(1), ElementsAre("load", "run 1"));
  EXPECT_EQ(launcher->memories.at(1), 256ULL << 20);
  EXPECT_EQ(pool->running(), 1);
  EXPECT_THAT(client.take(), IsEmpty());  // not started before the worker is ready
  say(1, ready_frame());
  EXPECT_THAT(client.take(), ElementsAre("started 1"));
  say(1, done_frame(1));
  EXPECT_THAT(client.take(), ElementsAre("done 1 succeeded"));
  EXPECT_EQ(client.done[1].value, "\xa0");
  EXPECT_EQ(client.done[1].state, "");
  EXPECT_EQ(client.done[1].cpu_us, 5U);
  EXPECT_EQ(client.done[1].peak_bytes, 6U);
  EXPECT_EQ(pool->running(), 0);
}

TEST_F(Pools, TellNothingFromInsideOffer) {
  offer(1, true);
  say(1, ready_frame());
  say(1, done_frame(1));
  client.take();
  Job job = make_job(2, "noop");
  ASSERT_TRUE(pool->offer(job, true));  // to the idle worker: it starts now
  EXPECT_THAT(client.take(), IsEmpty());
  settle();
  EXPECT_THAT(client.take(), ElementsAre("started 2"));
}

TEST_F(Pools, TakeFramesThatComeByteByByte) {
  offer(1, true);
  for (const char byte : framed(ready_frame()) + framed(done_frame(1))) {
    write_raw(1, std::string_view(&byte, 1));
    settle();
  }
  EXPECT_THAT(client.take(), ElementsAre("started 1", "done 1 succeeded"));
}

TEST_F(Pools, TakeAFrameOfSixteenMebibytesInPieces) {
  offer(1, true);
  say(1, ready_frame());
  client.take();
  std::string payload;
  cbor::Writer w(payload);
  w.array(7);
  w.unsigned_integer(18);
  w.unsigned_integer(1);
  w.boolean(true);
  const std::string text(frames::kMaxFrame - 16, 'x');
  w.text(text);
  w.null();
  w.unsigned_integer(0);
  w.unsigned_integer(0);
  ASSERT_LE(payload.size(), frames::kMaxFrame);
  std::string bytes = framed(payload) + framed(std::string("\x82\x13\x01"));  // and what no worker may say
  for (std::string_view left = bytes; !left.empty();) {
    const ssize_t n =
        send(launcher->sockets.at(1).get(), left.data(), left.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0) left.remove_prefix(static_cast<size_t>(n));
    settle();
    if (launcher->sockets.empty()) break;
  }
  ASSERT_TRUE(client.done.contains(1));
  EXPECT_EQ(client.done[1].value.size(), text.size() + 5);
  EXPECT_THAT(launcher->killed, ElementsAre(1U));
}

TEST_F(Pools, GrowByDoublingWhileJobsAreNotKnownToBeShort) {
  EXPECT_TRUE(offer(1, true));
  EXPECT_FALSE(offer(2, true));  // one is starting
  say(1, ready_frame());
  EXPECT_EQ(client.rooms, 1);
  EXPECT_TRUE(offer(2, true));
  EXPECT_FALSE(offer(3, true));
  say(2, ready_frame());
  EXPECT_TRUE(offer(3, true));
  say(3, ready_frame());
  EXPECT_FALSE(offer(4, true));  // max_workers is 3, and nothing waits behind a job that may be long
  EXPECT_EQ(pool->running(), 3);
  EXPECT_EQ(client.rooms, 2);
  say(2, done_frame(1));
  EXPECT_EQ(client.rooms, 3);
  EXPECT_TRUE(offer(4, true));
  EXPECT_THAT(sent_to(2), ElementsAre("load", "run 1", "run 2"));
}

TEST_F(Pools, DoNotStartAJobWithoutPermission) {
  EXPECT_FALSE(offer(1, false));
  EXPECT_TRUE(launcher->sockets.empty());
  EXPECT_TRUE(offer(2, true));
  say(1, ready_frame());
  say(1, done_frame(1));
  EXPECT_FALSE(offer(3, false));  // the worker is idle: running jobs would grow
}

TEST_F(Pools, QueueShortJobsAheadUpToEight) {
  learn_that_jobs_are_short();
  EXPECT_TRUE(offer(1, true));
  for (uint64_t id = 2; id <= 8; ++id) EXPECT_TRUE(offer(id, id % 2 == 0)) << id;
  EXPECT_FALSE(offer(9, true));
  EXPECT_EQ(pool->running(), 1);
  EXPECT_THAT(sent_to(1),
              ElementsAre("run 17", "run 18", "run 19", "run 20", "run 21", "run 22", "run 23", "run 24"));
  EXPECT_THAT(client.take(), ElementsAre("started 1"));
  client.rooms = 0;
  write_raw(1, framed(done_frame(17)) + framed(done_frame(18)));
  settle();
  EXPECT_THAT(client.take(), ElementsAre("done 1 succeeded", "started 2", "done 2 succeeded", "started 3"));
  EXPECT_EQ(client.rooms, 1);
}

TEST_F(Pools, StopQueueingWhenJobsBecomeLong) {
  learn_that_jobs_are_short();
  ASSERT_TRUE(offer(1, true));
  clock.advance(Milliseconds(20));
  say(1, done_frame(17));  // the average is now over 1 ms
  ASSERT_TRUE(offer(2, true));
  EXPECT_FALSE(offer(3, false));
  EXPECT_TRUE(offer(3, true));  // a second worker
  EXPECT_EQ(launcher->sockets.size(), 2U);
}

TEST_F(Pools, GrowWhenAllHeadsTurnOutLong) {
  learn_that_jobs_are_short();
  for (uint64_t id = 1; id <= 8; ++id) ASSERT_TRUE(offer(id, true));
  EXPECT_FALSE(offer(9, true));
  client.rooms = 0;
  tick(Milliseconds(2));
  EXPECT_EQ(client.rooms, 1);
  EXPECT_TRUE(offer(9, true));
  EXPECT_THAT(sent_to(2), ElementsAre("load", "run 1"));
}

TEST_F(Pools, AskBackWhatWaitsBehindALongJobAndStartItElsewhere) {
  learn_that_jobs_are_short();
  for (uint64_t id = 1; id <= 3; ++id) ASSERT_TRUE(offer(id, true));
  sent_to(1);
  EXPECT_THAT(client.take(), ElementsAre("started 1"));
  client.may = true;
  tick(Milliseconds(10));
  EXPECT_THAT(sent_to(1), ElementsAre("revoke 18", "revoke 19"));
  write_raw(1, framed(returned_frame(18)) + framed(returned_frame(19)));
  settle();
  EXPECT_THAT(sent_to(2), ElementsAre("load", "run 1", "run 2"));
  EXPECT_THAT(client.take(), IsEmpty());
  say(2, ready_frame());
  say(2, done_frame(1));
  say(2, done_frame(2));
  EXPECT_THAT(client.take(), ElementsAre("started 2", "done 2 succeeded", "started 3", "done 3 succeeded"));
  say(1, done_frame(17));
  EXPECT_THAT(client.take(), ElementsAre("done 1 succeeded"));
}

TEST_F(Pools, HoldReturnedJobsUntilAWorkerIsFreeWhenNoMoreMayRun) {
  learn_that_jobs_are_short();
  for (uint64_t id = 1; id <= 3; ++id) ASSERT_TRUE(offer(id, true));
  tick(Milliseconds(10));
  write_raw(1, framed(returned_frame(18)) + framed(returned_frame(19)));
  settle();
  tick(Milliseconds(50));
  EXPECT_EQ(launcher->sockets.size(), 1U);
  EXPECT_EQ(pool->running(), 1);
  EXPECT_FALSE(offer(4, false));  // nor does a new one overtake them
  sent_to(1);
  client.take();
  say(1, done_frame(17));
  EXPECT_THAT(sent_to(1), ElementsAre("run 20"));  // the average is long now: one at a time
  say(1, done_frame(20));
  say(1, done_frame(21));
  EXPECT_THAT(client.take(), ElementsAre("done 1 succeeded", "started 2", "done 2 succeeded", "started 3",
                                         "done 3 succeeded"));
}

TEST_F(Pools, TellAStartOnceWhenARevokeCrossesTheEndOfTheHead) {
  learn_that_jobs_are_short();
  for (uint64_t id = 1; id <= 3; ++id) ASSERT_TRUE(offer(id, true));
  client.take();
  tick(Milliseconds(10));
  say(1, done_frame(17));  // job 2 is next, but may be on its way back
  EXPECT_THAT(client.take(), ElementsAre("done 1 succeeded"));
  say(1, returned_frame(18));
  EXPECT_THAT(client.take(), IsEmpty());
  say(1, done_frame(19));  // job 3 had begun before the revoke came
  EXPECT_THAT(client.take(), ElementsAre("started 3", "done 3 succeeded", "started 2"));
  say(1, done_frame(20));
  EXPECT_THAT(client.take(), ElementsAre("done 2 succeeded"));
}

TEST_F(Pools, TakeASilentRevokedHeadForStartedAfterAWhile) {
  learn_that_jobs_are_short();
  for (uint64_t id = 1; id <= 2; ++id) ASSERT_TRUE(offer(id, true));
  tick(Milliseconds(10));
  say(1, done_frame(17));
  client.take();
  tick(Milliseconds(5));
  EXPECT_THAT(client.take(), ElementsAre("started 2"));
}

TEST_F(Pools, BlameADeathOnTheHeadAndStartTheOthersAnew) {
  learn_that_jobs_are_short();
  for (uint64_t id = 1; id <= 3; ++id) ASSERT_TRUE(offer(id, true));
  client.take();
  // What it said in time counts, read after its death or not.
  write_raw(1, framed(done_frame(17)));
  launcher->exit(1, SIGSEGV);
  settle();
  EXPECT_THAT(client.take(), ElementsAre("done 1 succeeded", "started 2", "done 2 crashed worker.crashed"));
  EXPECT_THAT(client.done[2].error.message, HasSubstr("killed by SIGSEGV: a fault in memory"));
  EXPECT_EQ(client.done[2].cpu_us, 900U - 17 * 5);
  EXPECT_THAT(sent_to(2), ElementsAre("load", "run 1"));
  say(2, ready_frame());
  say(2, done_frame(1));
  EXPECT_THAT(client.take(), ElementsAre("started 3", "done 3 succeeded"));
}

TEST_F(Pools, SayWhatEndedAWorker) {
  const auto message = [&](uint64_t id, int status) {
    offer(id, true);
    const uint32_t worker = launcher->sockets.rbegin()->first;
    say(worker, ready_frame());
    launcher->exit(worker, status);
    settle();
    return client.done[id].error.message;
  };
  EXPECT_EQ(message(1, SIGSYS), "the worker was killed by SIGSYS: it made a forbidden system call");
  EXPECT_EQ(message(2, SIGKILL),
            "the worker was killed by SIGKILL from outside of pangeo-forge, as the kernel does when memory "
            "runs out");
  EXPECT_EQ(message(3, 72 << 8), "the worker ran out of memory");
  EXPECT_EQ(message(4, 9 << 8), "the worker ended with exit status 9 before its job was done");
}

TEST_F(Pools, KillAtTheHardDeadline) {
  offer(1, true, Milliseconds(500));
  tick(Milliseconds(800));  // loading does not count
  say(1, ready_frame());
  tick(Milliseconds(499));
  EXPECT_THAT(launcher->killed, IsEmpty());
  tick(Milliseconds(1));
  EXPECT_THAT(launcher->killed, ElementsAre(1U));
  EXPECT_THAT(client.take(), ElementsAre("started 1", "done 1 timed_out deadline.hard"));
  EXPECT_EQ(client.done[1].error.message,
            "killed after 500ms: it did not stop at its deadline, as Lua code does");
}

TEST_F(Pools, GiveUpALoadThatTakesAMinute) {
  offer(1, true);
  tick(Milliseconds(59999));
  EXPECT_THAT(launcher->killed, IsEmpty());
  tick(Milliseconds(1));
  EXPECT_THAT(client.take(), ElementsAre("done 1 crashed worker.load_timeout"));
}

TEST_F(Pools, FailEveryJobWhenThePackageCannotBeLoaded) {
  offer(1, true);
  std::string payload;
  cbor::Writer w(payload);
  w.array(2);
  w.unsigned_integer(20);
  Error error;
  error.code = "lua.syntax";
  error.message = "extension.lua:1: unexpected symbol";
  frames::write_error(w, error);
  say(1, payload);
  EXPECT_TRUE(offer(2, true));
  EXPECT_TRUE(offer(3, false));
  EXPECT_THAT(client.take(), ElementsAre("done 1 failed lua.syntax", "done 2 failed lua.syntax",
                                         "done 3 failed lua.syntax"));
  EXPECT_EQ(client.done[3].error.message, "extension.lua:1: unexpected symbol");
  EXPECT_TRUE(launcher->sockets.empty());
}

TEST_F(Pools, CancelARunningAQueuedAndAReturnedJob) {
  learn_that_jobs_are_short();
  for (uint64_t id = 1; id <= 4; ++id) ASSERT_TRUE(offer(id, true));
  sent_to(1);
  client.take();
  pool->cancel(2);
  EXPECT_THAT(client.take(), IsEmpty());
  settle();
  EXPECT_THAT(sent_to(1), ElementsAre("revoke 18"));
  say(1, returned_frame(18));
  EXPECT_THAT(client.take(), ElementsAre("done 2 cancelled job.cancelled"));
  tick(Milliseconds(10));
  say(1, returned_frame(19));
  pool->cancel(3);
  EXPECT_THAT(client.take(), IsEmpty());
  settle();
  EXPECT_THAT(client.take(), ElementsAre("done 3 cancelled job.cancelled"));
  pool->cancel(1);
  pool->cancel(77);  // unknown: nothing
  settle();
  EXPECT_THAT(launcher->killed, ElementsAre(1U));
  EXPECT_THAT(client.take(), ElementsAre("done 1 cancelled job.cancelled"));
  say(2, ready_frame());
  say(2, done_frame(1));
  EXPECT_THAT(client.take(), ElementsAre("started 4", "done 4 succeeded"));
}

TEST_F(Pools, PassCallsAndRepliesAndDropLateReplies) {
  offer(1, true);
  say(1, ready_frame());
  sent_to(1);
  const int log = registry::find("log.info");
  const int read = registry::find("fs.read");
  say(1, call_frame(1, 0, log));
  say(1, call_frame(1, 7, read));
  say(1, call_frame(1, 8, read));
  ASSERT_EQ(client.calls.size(), 3U);
  EXPECT_EQ(client.calls[0].request, 0U);
  EXPECT_EQ(client.calls[2].request, 8U);
  EXPECT_EQ(client.calls[2].arguments, "\x80");
  pool->reply(1, 8, std::string("\x01"));
  pool->reply(1, 8, std::string("\x01"));  // answered already
  pool->reply(1, 9, std::string("\x01"));  // never asked
  pool->reply(2, 7, std::string("\x01"));  // no such job
  pool->reply(1, 7, tl::unexpected(Error{"fs.missing", "no", "", {}, false, ""}));
  settle();
  EXPECT_THAT(sent_to(1), ElementsAre("reply 1 8", "reply 1 7 fs.missing"));
  say(1, call_frame(1, 7, read));
  say(1, done_frame(1));
  pool->reply(1, 7, std::string("\x01"));
  settle();
  EXPECT_THAT(sent_to(1), IsEmpty());
}

TEST_F(Pools, ReplaceAnAnswerThatFitsInNoFrame) {
  offer(1, true);
  say(1, ready_frame());
  sent_to(1);
  say(1, call_frame(1, 1, 5));
  pool->reply(1, 1, text_value(std::string(frames::kMaxFrame, 'x')));
  settle();
  EXPECT_THAT(sent_to(1), ElementsAre("reply 1 1 limit.frame"));
}

TEST_F(Pools, RefuseAJobThatFitsInNoFrame) {
  Job job = make_job(1, "noop", Milliseconds(0), text_value(std::string(frames::kMaxFrame, 'x')));
  EXPECT_TRUE(pool->offer(job, true));
  settle();
  EXPECT_THAT(client.take(), ElementsAre("done 1 failed limit.frame"));
  EXPECT_TRUE(launcher->sockets.empty());
}

TEST_F(Pools, ReportAWorkerThatCannotBeStarted) {
  launcher->refuse_next = true;
  EXPECT_TRUE(offer(1, true));
  EXPECT_THAT(client.take(), ElementsAre("done 1 crashed worker.start"));
  launcher->refuse_next = false;
  EXPECT_TRUE(offer(2, true));
  Error error;
  error.code = "worker.start";
  launcher->not_spawned(2, error);
  settle();
  EXPECT_THAT(client.take(), ElementsAre("done 2 crashed worker.start"));
}

TEST_F(Pools, LoseAllHeadsAndNoQueuedJobWithTheGuardian) {
  learn_that_jobs_are_short();
  for (uint64_t id = 1; id <= 3; ++id) ASSERT_TRUE(offer(id, true));
  client.take();
  write_raw(1, framed(done_frame(17)));
  launcher->lose("the guardian process was killed by SIGKILL");
  settle();
  EXPECT_THAT(client.take(), ElementsAre("done 1 succeeded", "started 2", "done 2 crashed worker.guardian"));
  EXPECT_EQ(client.done[2].error.message,
            "the guardian process was killed by SIGKILL, and all workers with it");
  EXPECT_THAT(sent_to(2), ElementsAre("load", "run 1"));  // job 3 anew
}

TEST_F(Pools, EndIdleWorkersButTheFirst) {
  offer(1, true);
  say(1, ready_frame());
  offer(2, true);
  say(2, ready_frame());
  say(1, done_frame(1));
  say(2, done_frame(1));
  tick(Milliseconds(9999));
  EXPECT_THAT(launcher->killed, IsEmpty());
  tick(Milliseconds(1));
  EXPECT_EQ(launcher->killed.size(), 1U);
  tick(Milliseconds(60000));
  EXPECT_EQ(launcher->sockets.size(), 1U);
  client.take();
  EXPECT_TRUE(offer(3, true));
  EXPECT_THAT(client.take(), ElementsAre("started 3"));
}

TEST_F(Pools, EndWithoutAWordWhenTheirOwnerDoes) {
  offer(1, true);
  say(1, ready_frame());
  client.take();
  pool.reset();
  settle();
  EXPECT_THAT(launcher->killed, ElementsAre(1U));
  EXPECT_THAT(client.take(), IsEmpty());
}

TEST_F(Pools, MayOutliveTheSupervisor) {
  offer(1, true);
  say(1, ready_frame());
  client.take();
  supervisor.reset();
  settle();
  Job job = make_job(2, "noop");
  EXPECT_FALSE(pool->offer(job, true));
  pool->cancel(1);
  settle();
  EXPECT_THAT(client.take(), IsEmpty());
}

TEST_F(Pools, TakeNewJobsFromInsideDone) {
  learn_that_jobs_are_short();
  uint64_t next = 2;
  client.on_done = [&](uint64_t) {
    if (next > 20) return;
    Job job = make_job(next, "noop");
    if (pool->offer(job, true)) ++next;
  };
  offer(1, true);
  for (uint64_t epoch = 17; epoch < 37; ++epoch) say(1, done_frame(epoch));
  EXPECT_EQ(client.done.size(), 36U);
  EXPECT_EQ(client.told.back(), "done 20 succeeded");
}

}  // namespace
}  // namespace pf::worker
