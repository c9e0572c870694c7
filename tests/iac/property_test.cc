#include "iac/property.h"

#include <gtest/gtest.h>

#include <bit>
#include <random>

#include "base/json.h"

namespace pf::iac {
namespace {

std::string go(const Json& value) {
  std::string out;
  append_go_json(out, value);
  return out;
}

std::string back(const std::string& text) {
  auto value = parse_state_json(text);
  return value ? go(*value) : value.error().code;
}

TEST(GoJson, WritesNumbersAsGo) {
  EXPECT_EQ(go(7.0), "7");
  EXPECT_EQ(go(1.5), "1.5");
  EXPECT_EQ(go(-0.0), "-0");
  EXPECT_EQ(go(0.0), "0");
  EXPECT_EQ(go(1e20), "100000000000000000000");
  EXPECT_EQ(go(1e21), "1e+21");
  EXPECT_EQ(go(-1.25e21), "-1.25e+21");
  EXPECT_EQ(go(0.000001), "0.000001");
  EXPECT_EQ(go(1e-7), "1e-7");
  EXPECT_EQ(go(1.5e-10), "1.5e-10");
  EXPECT_EQ(go(123456789012345680.0), "123456789012345680");
  EXPECT_EQ(go(1152921504606846976.0), "1152921504606847000");
  EXPECT_EQ(go(5e-324), "5e-324");
  EXPECT_EQ(go(1.7976931348623157e308), "1.7976931348623157e+308");
  EXPECT_EQ(go(0.1), "0.1");
  EXPECT_EQ(go(12345.678), "12345.678");
  EXPECT_EQ(go(-42), "-42");
}

TEST(GoJson, WritesTextAsGo) {
  EXPECT_EQ(go("<>&/é\x7f"), "\"<>&/é\x7f\"");
  EXPECT_EQ(go("\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa"), "\"\\u2028\\u2029\xe2\x80\xaa\"");
  EXPECT_EQ(go("\"\\\b\f\n\r\t\x01\x1f"), R"("\"\\\b\f\n\r\t\u0001\u001f")");
  EXPECT_EQ(go(std::string("\0", 1)), R"("\u0000")");
}

TEST(GoJson, ReadsWhatItWrites) {
  for (const char* text : {"-0", "[-0,{\"a\":-0}]", "0", "-0.5", "\"-0\"", "[\"\\\"-0,\",-0]",
                           "9007199254740993", "-9007199254740992", "1e+21", "[[],{}]"}) {
    const std::string expected = std::string(text) == "9007199254740993" ? "9007199254740992" : text;
    EXPECT_EQ(back(text), expected);
  }
  EXPECT_EQ(back("-00"), "json.syntax");
  EXPECT_EQ(back("1 2"), "json.syntax");
  EXPECT_EQ(back("1e999"), "json.syntax");
  EXPECT_EQ(back(std::string(73, '[')), "json.depth");
}

TEST(GoJson, ReadsEveryDoubleBackExactly) {
  std::mt19937_64 random(20261121);
  for (int i = 0; i < 20000; ++i) {
    const double value = std::bit_cast<double>(random());
    if (!std::isfinite(value)) continue;
    auto parsed = parse_state_json(go(value));
    ASSERT_TRUE(parsed) << go(value);
    ASSERT_EQ(std::bit_cast<uint64_t>(parsed->get<double>()), std::bit_cast<uint64_t>(value)) << go(value);
  }
}

TEST(GoTime, CutsTrailingZeros) {
  const WallTime second{std::chrono::seconds(1767323045)};
  EXPECT_EQ(go_time(second), "2026-01-02T03:04:05Z");
  EXPECT_EQ(go_time(second + std::chrono::milliseconds(600)), "2026-01-02T03:04:05.6Z");
  EXPECT_EQ(go_time(second + std::chrono::nanoseconds(123456789)), "2026-01-02T03:04:05.123456789Z");
}

}  // namespace
}  // namespace pf::iac
