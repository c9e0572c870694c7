// What a worker under an attacker's control may send at the wrong time; tests/worker/hostile_test.cc has what
// is wrong at any time. The test is the worker: it writes to the other end of its socket.
#include <gmock/gmock.h>

#include "worker/scripted.h"

namespace pf::worker {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class WorkerFrames : public Scripted {
 protected:
  /// Worker 1 runs job 1, worker 2, which must not notice anything, job 2.
  void SetUp() override {
    offer(1, true);
    say(1, ready_frame());
    offer(2, true);
    say(2, ready_frame());
    client.take();
  }
  void TearDown() override {
    EXPECT_THAT(launcher->killed, ElementsAre(1U));
    say(2, done_frame(1));
    EXPECT_THAT(client.take(), ElementsAre("done 2 succeeded"));
    EXPECT_TRUE(offer(3, true));
    EXPECT_THAT(client.take(), ElementsAre("started 3"));
  }
};

TEST_F(WorkerFrames, ACallAfterItsInstanceHasEnded) {
  say(1, done_frame(1));
  say(1, call_frame(1, 1, 5));
  EXPECT_THAT(client.take(), ElementsAre("done 1 succeeded"));
  EXPECT_THAT(client.calls, IsEmpty());
}

TEST_F(WorkerFrames, ACallInTheSamePieceAsTheEnd) {
  write_raw(1, framed(done_frame(1)) + framed(call_frame(1, 1, 5)));
  settle();
  EXPECT_THAT(client.take(), ElementsAre("done 1 succeeded"));
  EXPECT_THAT(client.calls, IsEmpty());
}

TEST_F(WorkerFrames, ACancelAfterItsInstanceHasEnded) {
  say(1, call_frame(1, 1, 5));
  say(1, done_frame(1));
  say(1, std::string("\x83\x15\x01\x01"));  // epoch 1, request 1
  EXPECT_THAT(client.take(), ElementsAre("done 1 succeeded"));
}

TEST_F(WorkerFrames, TwoEnds) {
  write_raw(1, framed(done_frame(1)) + framed(done_frame(1)));
  settle();
  EXPECT_THAT(client.take(), ElementsAre("done 1 succeeded"));
}

TEST_F(WorkerFrames, AnEndThatNobodyAskedFor) {
  write_raw(1, framed(done_frame(1)) + framed(done_frame(2)));
  settle();
  EXPECT_THAT(client.take(), ElementsAre("done 1 succeeded"));
}

TEST_F(WorkerFrames, AnAnswerOfTheCoreSentBack) {
  say(1, call_frame(1, 7, 5));
  ASSERT_EQ(client.calls.size(), 1U);
  say(1, std::string("\x85\x03\x01\x07\xf5\xf6"));  // reply: epoch 1, request 7
  EXPECT_THAT(client.take(), ElementsAre("done 1 crashed worker.protocol"));
  EXPECT_THAT(client.done[1].error.message, HasSubstr("sent a frame of kind 3"));
}

TEST_F(WorkerFrames, AFrameThatBreaksOff) {
  write_raw(1, std::string("\x64\x00\x00\x00\x85\x11", 6));  // a hundred bytes, of which two come
  settle();
  EXPECT_THAT(client.take(), IsEmpty());
  ASSERT_EQ(shutdown(launcher->sockets.at(1).get(), SHUT_RDWR), 0);
  settle();
  EXPECT_THAT(client.take(), ElementsAre("done 1 crashed worker.crashed"));
  EXPECT_THAT(client.calls, IsEmpty());
}

TEST_F(WorkerFrames, AFrameOfOneByteTooMuch) {
  write_raw(1, std::string("\x01\x00\x00\x01", 4));
  settle();
  EXPECT_THAT(client.take(), ElementsAre("done 1 crashed worker.protocol"));
  EXPECT_THAT(client.done[1].error.message, HasSubstr("a frame of 16777217 bytes (at most 16777216)"));
}

TEST_F(WorkerFrames, NestingOfOneLevelTooMuch) {
  std::string deep = call_frame(1, 1, 5);
  deep.pop_back();  // its empty list of arguments
  say(1, deep + std::string(64, '\x81') + "\x01");
  EXPECT_THAT(client.take(), ElementsAre("done 1 crashed worker.protocol"));
  EXPECT_THAT(client.done[1].error.message, HasSubstr("CBOR nested deeper than 64 levels"));
  EXPECT_THAT(client.calls, IsEmpty());
}

TEST_F(WorkerFrames, AnEndWhileCallsAreUnderWayDropsTheirAnswers) {
  say(1, call_frame(1, 1, 5));
  say(1, done_frame(1));
  EXPECT_THAT(client.take(), ElementsAre("done 1 succeeded"));
  sent_to(1);
  pool->reply(1, 1, std::string("\xf6"));
  settle();
  EXPECT_THAT(sent_to(1), IsEmpty());
  say(1, ready_frame());  // and what is wrong is wrong still
}

}  // namespace
}  // namespace pf::worker
