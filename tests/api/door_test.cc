#include "api/door.h"

#include "base/cbor.h"
#include "fixture.h"

namespace pf::api {
namespace {

TEST_F(DoorTest, EveryCallOfTheCoreHasAHandler) {
  const auto calls = registry::calls();
  for (size_t i = 0; i < calls.size(); ++i) {
    if (!calls[i].replies) continue;
    auto answer = call_raw(static_cast<int>(i), "garbage\xff");
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code,
              calls[i].place == registry::Place::core ? "call.malformed" : "call.unknown")
        << calls[i].name;
    EXPECT_FALSE(answer.error().retryable);
  }
  for (int number : {-1, 10000, INT32_MIN}) EXPECT_EQ(call_raw(number, "\x80").error().code, "call.unknown");
}

TEST_F(DoorTest, HostileArgumentsAreRefused) {
  const int read = registry::find("fs.read");
  const std::string deep(100000, '\x81');
  for (const std::string& bytes :
       {std::string(), std::string("\x81"), std::string("\xa0"), std::string("\x80\x80"),
        std::string("\x81\x61"), std::string("\x9b\xff\xff\xff\xff\xff\xff\xff\xff"),
        std::string("\x81\x7b\xff\xff\xff\xff\xff\xff\xff\xff"), std::string("\xc1\x80"), deep}) {
    EXPECT_EQ(call_raw(read, bytes).error().code, "call.malformed") << bytes.substr(0, 9);
  }
  EXPECT_EQ(error("fs.read", Json::array()).message, "forge.fs.read: `path` is missing: it must be a string");
  EXPECT_EQ(error("fs.read", {nullptr}).code, "call.argument");
  EXPECT_EQ(error("fs.read", {42}).message, "forge.fs.read: `path` must be a string, is a number");
  EXPECT_EQ(error("fs.read", {{{"a", 1}}}).message, "forge.fs.read: `path` must be a string, is a table");
  EXPECT_EQ(error("fs.write", {"a", true}).hint, "write forge.fs.write(path, text)");
  EXPECT_EQ(error("fs.read", {"a", "b"}).message, "forge.fs.read: it takes at most 1 arguments");
  EXPECT_EQ(error("http.get", {"http://a/", 1}).hint, "write forge.http.get(url, [options])");
  EXPECT_EQ(value("fs.exists", {"a", nullptr, nullptr}), "false");
}

TEST_F(DoorTest, LogLinesAndProgress) {
  tell("log.debug", {"d"});
  tell("log.info", {"i", nullptr});
  tell("log.warn", {"w", {{"a", 1}, {"b", {true, nullptr}}}});
  tell("log.error", {"e", Json::array()});
  EXPECT_EQ(sink_.logs,
            (std::vector<std::string>{"7 0 d", "7 1 i", "7 2 w {\"a\":1,\"b\":[true,null]}", "7 3 e []"}));
  tell("progress", {3});
  tell("progress", {0.5, 1, "half"});
  EXPECT_EQ(sink_.progresses, (std::vector<std::string>{"7 3.0/0.0 ", "7 0.5/1.0 half"}));
}

TEST_F(DoorTest, LogLinesAreBounded) {
  tell("log.info", {std::string(65536, 'a')});
  EXPECT_EQ(sink_.logs.back(), "7 1 " + std::string(65536, 'a'));
  tell("log.info", {std::string(65535, 'a') + "ä"});
  EXPECT_EQ(sink_.logs.back(), "7 1 " + std::string(65535, 'a') + "… (2 more bytes)");
  tell("log.info", {"x", {{"big", std::string(65536, 'a')}}});
  EXPECT_EQ(sink_.logs.back(), "7 1 x {\"note\":\"fields of 65546 bytes were left out\"}");
  Json deep = 1;
  for (int i = 0; i < 70; ++i) deep = Json::array({deep});
  tell("log.info", {"x", deep});
  EXPECT_EQ(sink_.logs.back(),
            "7 1 x {\"note\":\"fields were left out: CBOR nested deeper than 64 levels\"}");
}

TEST_F(DoorTest, AMistakeInALogCallIsLogged) {
  tell("log.info", {42});
  EXPECT_EQ(sink_.logs, std::vector<std::string>{"7 2 forge.log.info: `text` must be a string, is a number"});
}

TEST_F(DoorTest, Time) {
  auto now = call("time.now", Json::array());
  ASSERT_TRUE(now);
  EXPECT_GT(now->get<double>(), 1.7e9);
  EXPECT_EQ(value("time.sleep", {0}), "null");
  EXPECT_EQ(value("time.sleep", {0.001}), "null");
  EXPECT_EQ(error("time.sleep", {-1}).code, "call.argument");
  EXPECT_EQ(error("time.sleep", {86401}).code, "call.argument");
  EXPECT_EQ(error("time.sleep", {std::numeric_limits<double>::infinity()}).code, "call.argument");
}

TEST_F(DoorTest, NoAnswerComesAfterTheSession) {
  const auto forbidden = [](Result<std::string>) { FAIL() << "answered after the session ended"; };
  for (int i = 0; i < 50; ++i) {
    session_->call(registry::find("fs.write"), to_cbor(Json{"f" + std::to_string(i), "x"}), forbidden);
  }
  session_->call(registry::find("time.sleep"), to_cbor(Json{3600}), forbidden);
  session_.reset();
  loop_.restart();
  loop_.run();  // ends: nothing is left to wait for
}

TEST_F(DoorTest, AnAnswerMayEndItsSession) {
  bool done = false;
  session_->call(registry::find("nothing"), "", [&](Result<std::string> result) {
    EXPECT_EQ(result.error().code, "call.unknown");
    session_.reset();
    done = true;
  });
  EXPECT_TRUE(done);
  open({});
  session_->call(registry::find("fs.exists"), to_cbor(Json{"x"}),
                 [&](Result<std::string>) { session_.reset(); });
  loop_.restart();
  loop_.run();
  EXPECT_EQ(session_, nullptr);
}

TEST_F(DoorTest, TheDoorMayGoWhileFilesAreWritten) {
  for (int i = 0; i < 50; ++i) {
    session_->call(registry::find("fs.write"), to_cbor(Json{"f" + std::to_string(i), "x"}),
                   [](Result<std::string>) { FAIL(); });
  }
  session_.reset();
  door_.reset();
  loop_.restart();
  loop_.run();
}

TEST_F(DoorTest, TheLoopWaitsForFileWork) {
  bool done = false;
  session_->call(registry::find("fs.write"), to_cbor(Json{"f", "x"}), [&](Result<std::string> result) {
    EXPECT_TRUE(result);
    done = true;
  });
  EXPECT_FALSE(done);
  loop_.restart();
  loop_.run();
  EXPECT_TRUE(done);
}

TEST_F(DoorTest, AnAuditThatCannotBeWrittenStopsNothing) {
  folder_.write("file", "");
  door_ = nullptr;
  session_ = nullptr;
  door_ = Door::make(loop_, sink_, folder_.path() / "file/audit.jsonl", secrets_);
  open({});
  EXPECT_EQ(error("fs.read", {"/etc/passwd"}).code, "permission.read");
  EXPECT_EQ(door_->refused(), 1U);
}

}  // namespace
}  // namespace pf::api
