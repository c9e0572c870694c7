#include "base/cbor.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/json.h"

namespace pf {
namespace {

TEST(Cbor, KeepsEveryKindOfValue) {
  const Json value = Json::parse(R"({"a":[1,-1,1.5,true,null,"é",[],{}],"b":{"c":9007199254740992}})");
  auto back = from_cbor(to_cbor(value));
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, value);
}

TEST(Cbor, WritesIntegersAsRfc8949AppendixA) {
  auto bytes = [](int64_t n) {
    std::string out;
    cbor::Writer(out).integer(n);
    return out;
  };
  EXPECT_EQ(bytes(0), std::string("\x00", 1));
  EXPECT_EQ(bytes(23), "\x17");
  EXPECT_EQ(bytes(24), "\x18\x18");
  EXPECT_EQ(bytes(1000), "\x19\x03\xe8");
  EXPECT_EQ(bytes(1000000), std::string("\x1a\x00\x0f\x42\x40", 5));
  EXPECT_EQ(bytes(-1), "\x20");
  EXPECT_EQ(bytes(-1000), "\x39\x03\xe7");
}

TEST(Cbor, WritesIntegralDoublesAsIntegersAndKeepsMinusZero) {
  std::string out;
  cbor::Writer w(out);
  w.number(3.0);
  EXPECT_EQ(out, "\x03");
  out.clear();
  w.number(-0.0);
  cbor::Reader in(out);
  cbor::Item item = in.next();
  EXPECT_EQ(item.type, cbor::Type::number);
  EXPECT_TRUE(std::signbit(item.real));
}

TEST(Cbor, RefusesAHundredKilobytesOfNestedArrays) {
  auto result = cbor::scan(std::string(100000, '\x81'));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, "cbor.depth");
}

TEST(Cbor, AcceptsSixtyFourLevelsAndRefusesOneMore) {
  EXPECT_TRUE(cbor::scan(std::string(64, '\x81') + "\x01"));
  EXPECT_FALSE(cbor::scan(std::string(65, '\x81') + "\x01"));
}

TEST(Cbor, RefusesWhatIsTruncatedReservedOrFollowedBySomething) {
  for (std::string_view bytes :
       {std::string_view(""), std::string_view("\x61"), std::string_view("\x82\x01"),
        std::string_view("\x1c"), std::string_view("\x9f\xff"), std::string_view("\xc0\x01"),
        std::string_view("\x01\x01"), std::string_view("\x9b\xff\xff\xff\xff\xff\xff\xff\xff")}) {
    auto result = cbor::scan(bytes);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, "cbor.malformed");
  }
}

TEST(Cbor, ReadsOneRawItemAtATime) {
  std::string out;
  cbor::Writer w(out);
  w.array(2);
  w.text("x");
  w.null();
  w.integer(7);
  cbor::Reader in(out);
  EXPECT_EQ(in.next_raw(), std::string_view(out).substr(0, 4));
  EXPECT_EQ(in.integer(), 7);
  EXPECT_TRUE(in.at_end());
}

TEST(Cbor, KnowsUtf8) {
  EXPECT_TRUE(cbor::is_utf8("plain ascii, long enough for words"));
  EXPECT_TRUE(cbor::is_utf8("é€😀"));
  EXPECT_FALSE(cbor::is_utf8("\xc0\x80"));
  EXPECT_FALSE(cbor::is_utf8("\xed\xa0\x80"));
  EXPECT_FALSE(cbor::is_utf8("\xf4\x90\x80\x80"));
  EXPECT_FALSE(cbor::is_utf8("\xe2\x82"));
}

TEST(Json, RefusesDeepTextBeforeParsing) {
  auto result = parse_json(std::string(1000, '['));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, "json.depth");
}

TEST(Json, SyntaxErrorsSayWhere) {
  auto result = parse_json("{\n  \"a\": ,\n}");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, "json.syntax");
  EXPECT_EQ(result.error().where.line, 2U);
  EXPECT_EQ(result.error().where.column, 8U);
}

TEST(Json, PrintsBytesAsBase64) {
  Json value = {{"b", Json::binary({0xff, 0x00})}};
  EXPECT_EQ(to_json_text(value), R"({"b":"/wA="})");
}

}  // namespace
}  // namespace pf
