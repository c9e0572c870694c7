#include "services/http_text.h"

#include <gtest/gtest.h>

namespace pf::services {
namespace {

TEST(ParseHeaders, NamesAreLowerAndRepeatedOnesJoined) {
  const Headers expected = {
      {"etag", "\"x\""}, {"vary", "accept, cookie, origin"}, {"empty", ""}, {"set-cookie", "a=1"}};
  EXPECT_EQ(
      parse_headers("ETag: \"x\"\r\nVary: accept\r\nEmpty:\r\nno colon\r\nVARY:  cookie \r\n origin\r\n"
                    "Set-Cookie: a=1\n"),
      (Headers{{"etag", "\"x\""}, {"vary", "accept, cookie origin"}, {"empty", ""}, {"set-cookie", "a=1"}}));
  EXPECT_EQ(parse_headers(
                "ETag: \"x\"\r\nvary: accept\r\nvary: cookie\r\nempty:\r\nvary: origin\r\nset-cookie: a=1"),
            expected);
  EXPECT_EQ(parse_headers(" folded before any\r\n\r\n"), Headers{});
}

// From 64 names on a table finds them.
TEST(ParseHeaders, Many) {
  std::string block;
  Headers expected;
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 200; ++i) {
      const std::string name = "x-" + std::to_string(i);
      block += "X-" + std::to_string(i) + ": " + std::to_string(round) + "\r\n";
      if (round == 0) expected.emplace_back(name, "0, 1");
    }
  }
  EXPECT_EQ(parse_headers(block), expected);
}

TEST(FindHeader, InAnyCase) {
  const Headers headers = {{"Content-Type", "a"}, {"content-length", "3"}};
  ASSERT_NE(find_header(headers, "content-type"), nullptr);
  EXPECT_EQ(*find_header(headers, "content-type"), "a");
  EXPECT_EQ(*find_header(headers, "content-length"), "3");
  EXPECT_EQ(find_header(headers, "content"), nullptr);
}

}  // namespace
}  // namespace pf::services
