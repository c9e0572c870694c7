// What a worker under an attacker's control may send. Each ends that worker and nothing else.
#include <gmock/gmock.h>

#include "scripted.h"

namespace pf::worker {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class Hostile : public Scripted {
 protected:
  void SetUp() override {
    // A second worker of the pool, which must not notice anything.
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
  }
  std::string fate() {
    settle();
    EXPECT_THAT(client.take(), ElementsAre("done 1 crashed worker.protocol"));
    return client.done[1].error.message;
  }
};

TEST_F(Hostile, ALengthOfFourGigabytes) {
  write_raw(1, "\xff\xff\xff\xff");
  EXPECT_THAT(fate(), HasSubstr("sent a frame of 4294967295 bytes (at most 16777216)"));
}

TEST_F(Hostile, AHundredKilobytesOfNesting) {
  say(1, std::string(100000, '\x81'));
  EXPECT_THAT(fate(),
              HasSubstr("sent a frame of 100000 bytes that is none: CBOR nested deeper than 64 levels"));
}

TEST_F(Hostile, Garbage) {
  say(1, "\xde\xad\xbe\xef");
  EXPECT_THAT(fate(), HasSubstr("sent a frame of 4 bytes that is none: malformed CBOR"));
}

TEST_F(Hostile, AnEmptyFrame) {
  say(1, "");
  EXPECT_THAT(fate(), HasSubstr("a frame of 0 bytes"));
}

TEST_F(Hostile, BytesBehindTheItem) {
  say(1, done_frame(1) + "\x01");
  EXPECT_THAT(fate(), HasSubstr("bytes after the CBOR item"));
}

TEST_F(Hostile, NoArray) {
  say(1, "\x12");
  EXPECT_THAT(fate(), HasSubstr("a frame that does not begin with its kind"));
}

TEST_F(Hostile, AKindOfTheCore) {
  say(1, std::string("\x82\x04\x01"));
  EXPECT_THAT(fate(), HasSubstr("sent a frame of kind 4"));
}

TEST_F(Hostile, AnUnknownKind) {
  say(1, std::string("\x82\x19\x01\x12\x01"));  // 274 = 256 + done
  EXPECT_THAT(fate(), HasSubstr("sent a frame of kind 274"));
}

TEST_F(Hostile, ReadyTwice) {
  say(1, ready_frame());
  EXPECT_THAT(fate(), HasSubstr("sent a frame of kind 16"));
}

TEST_F(Hostile, APastEpochInDone) {
  say(1, done_frame(0));
  EXPECT_THAT(fate(), HasSubstr("the end of epoch 0 while 1 runs"));
}

TEST_F(Hostile, AFutureEpochInACall) {
  say(1, call_frame(2, 1, 5));
  EXPECT_THAT(fate(), HasSubstr("a host call of epoch 2 while 1 runs"));
}

TEST_F(Hostile, ACallOfNoNumber) {
  say(1, call_frame(1, 1, 100000));
  EXPECT_THAT(fate(), HasSubstr("host call number 100000"));
}

TEST_F(Hostile, ANegativeCall) {
  say(1, call_frame(1, 1, -1));
  EXPECT_THAT(fate(), HasSubstr("a host call of another shape"));
}

TEST_F(Hostile, ACallThatRunsInTheWorker) {
  const int call = registry::find("json.encode");
  say(1, call_frame(1, 1, call));
  EXPECT_THAT(fate(), HasSubstr("host call number " + std::to_string(call)));
}

TEST_F(Hostile, ACallWithoutArguments) {
  say(1, std::string("\x85\x11\x01\x01\x05\x05"));
  EXPECT_THAT(fate(), HasSubstr("a host call of another shape"));
}

TEST_F(Hostile, ARequestTwice) {
  say(1, call_frame(1, 3, 5));
  say(1, call_frame(1, 3, 5));
  EXPECT_THAT(fate(), HasSubstr("request 3 twice"));
}

TEST_F(Hostile, ARequestBeyond32Bits) {
  say(1, call_frame(1, 1ULL << 32, 5));
  EXPECT_THAT(fate(), HasSubstr("a host call of another shape"));
}

TEST_F(Hostile, AFloodOfRequests) {
  for (uint64_t request = 1; request <= 64; ++request) say(1, call_frame(1, request, 5));
  EXPECT_TRUE(launcher->killed.empty());
  say(1, call_frame(1, 65, 5));
  EXPECT_EQ(client.calls.size(), 64U);
  EXPECT_THAT(fate(), HasSubstr("more than 64 requests"));
}

TEST_F(Hostile, ACancelOfAnotherEpoch) {
  say(1, std::string("\x83\x15\x07\x01"));
  EXPECT_THAT(fate(), HasSubstr("a cancel of epoch 7 while 1 runs"));
}

TEST_F(Hostile, ACancelOfTheWrongShape) {
  say(1, std::string("\x83\x15\x01\x61\x78"));
  EXPECT_THAT(fate(), HasSubstr("a cancel frame of another shape"));
}

TEST_F(Hostile, AJobBackThatWasNotAskedBack) {
  say(1, returned_frame(1));
  EXPECT_THAT(fate(), HasSubstr("epoch 1 back, which was not asked back"));
}

TEST_F(Hostile, DoneOfTheWrongShape) {
  say(1, std::string("\x86\x12\x01\xf5\xa0\xf6\x01"));
  EXPECT_THAT(fate(), HasSubstr("a done frame of another shape"));
}

TEST_F(Hostile, DoneWithABrokenError) {
  say(1, std::string("\x86\x12\x01\xf4\x80\x01\x01"));
  EXPECT_THAT(fate(), HasSubstr("a done frame of another shape"));
}

TEST_F(Hostile, WhatComesAfterTheFirstOffenceIsNotHeard) {
  write_raw(1, framed("\x12") + framed(call_frame(1, 1, 5)) + framed(done_frame(1)));
  EXPECT_THAT(fate(), HasSubstr("does not begin with its kind"));
  EXPECT_TRUE(client.calls.empty());
}

class HostileAtOtherTimes : public Scripted {};

TEST_F(HostileAtOtherTimes, AJobsEndBeforeReady) {
  offer(1, true);
  say(1, done_frame(1));
  EXPECT_THAT(client.take(), ElementsAre("done 1 crashed worker.protocol"));
  EXPECT_THAT(client.done[1].error.message, HasSubstr("a frame of kind 18 before it was loaded"));
}

TEST_F(HostileAtOtherTimes, AReadyThatIsNoMap) {
  offer(1, true);
  say(1, std::string("\x82\x10\x80"));
  EXPECT_THAT(client.take(), ElementsAre("done 1 crashed worker.protocol"));
}

TEST_F(HostileAtOtherTimes, AnIdleWorkerThatSpeaks) {
  offer(1, true);
  say(1, ready_frame());
  say(1, done_frame(1));
  say(1, done_frame(1));
  EXPECT_THAT(launcher->killed, ElementsAre(1U));
  EXPECT_THAT(client.take(), ElementsAre("started 1", "done 1 succeeded"));
  EXPECT_TRUE(offer(2, true));
  EXPECT_THAT(sent_to(2), ElementsAre("load", "run 1"));
}

// The reply may have crossed it, so that it is no offence; nothing is told of it.
TEST_F(HostileAtOtherTimes, ACancelOfACallThatIsNotOpenIsPassedOver) {
  offer(1, true);
  say(1, ready_frame());
  say(1, std::string("\x83\x15\x01\x05"));
  settle();
  EXPECT_THAT(client.take(), ElementsAre("started 1"));
  say(1, done_frame(1));
  EXPECT_THAT(client.take(), ElementsAre("done 1 succeeded"));
}

TEST_F(HostileAtOtherTimes, AReturnedJobOfWhichACallWasSeen) {
  learn_that_jobs_are_short();
  for (uint64_t id = 1; id <= 2; ++id) ASSERT_TRUE(offer(id, true));
  tick(Milliseconds(10));
  say(1, done_frame(17));
  say(1, call_frame(18, 1, 5));
  client.take();
  say(1, returned_frame(18));
  EXPECT_THAT(client.take(), ElementsAre("done 2 crashed worker.protocol"));
}

TEST_F(HostileAtOtherTimes, ASocketClosedByAProcessThatLivesOn) {
  offer(1, true);
  say(1, ready_frame());
  client.take();
  ASSERT_EQ(shutdown(launcher->sockets.at(1).get(), SHUT_RDWR), 0);
  settle();
  EXPECT_THAT(launcher->killed, ElementsAre(1U));
  EXPECT_THAT(client.take(), ElementsAre("done 1 crashed worker.crashed"));
}

}  // namespace
}  // namespace pf::worker
