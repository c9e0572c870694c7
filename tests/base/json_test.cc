#include "base/json.h"

#include <gtest/gtest.h>

namespace pf {
namespace {

using namespace std::string_literals;

/// `LINE:COLUMN CODE MESSAGE` of a text that is refused.
std::string refused(std::string_view text) {
  const auto value = parse_json(text);
  if (value) return "accepted";
  const Error& error = value.error();
  return std::to_string(error.where.line) + ":" + std::to_string(error.where.column) + " " + error.code +
         " " + error.message;
}

TEST(ParseJson, RefusesNumbersThatNoDoubleHolds) {
  EXPECT_EQ(refused("1e999"),
            "1:1 json.syntax not JSON at line 1, column 1: number overflow parsing '1e999'");
  EXPECT_EQ(refused("{\"1e999\": \"\\\"1e999\",\n \"é\": [-1e999]}"),
            "2:8 json.syntax not JSON at line 2, column 8: number overflow parsing '-1e999'");
}

TEST(ParseJson, RefusesWhatFollowsANul) {
  EXPECT_EQ(refused("1\n\0x"s),
            "2:1 json.syntax not JSON at line 2, column 1: expected end of input, found a NUL byte");
  EXPECT_EQ(refused("[1,2]\0"s),
            "1:6 json.syntax not JSON at line 1, column 6: expected end of input, found a NUL byte");
}

TEST(ParseJson, CountsColumnsInCharacters) {
  EXPECT_EQ(refused("[\n\"éé\" x]"), "2:6 json.syntax not JSON at line 2, column 6: expected ']'");
}

TEST(ParseJson, RefusesInWordsThatCanBeShown) {
  EXPECT_EQ(refused("\"\xff\""), "1:2 json.syntax not JSON at line 1, column 2: last read: '\"?'");
}

}  // namespace
}  // namespace pf
