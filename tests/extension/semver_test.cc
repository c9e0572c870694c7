#include "extension/semver.h"

#include <gtest/gtest.h>

#include "extension/manifest.h"

namespace pf::extension {
namespace {

bool matches(std::string_view version, std::string_view range) {
  auto result = version_matches(version, range);
  EXPECT_TRUE(result) << version << " in " << range << ": " << result.error().text();
  return result && *result;
}

TEST(SemVer, Precedence) {
  // The example of semver.org, section 11.4, and its surroundings.
  const char* order[] = {"0.9.9",
                         "1.0.0-0",
                         "1.0.0-9",
                         "1.0.0-10",
                         "1.0.0-alpha",
                         "1.0.0-alpha.1",
                         "1.0.0-alpha.beta",
                         "1.0.0-beta",
                         "1.0.0-beta.2",
                         "1.0.0-beta.11",
                         "1.0.0-rc.1",
                         "1.0.0",
                         "1.0.1",
                         "1.1.0",
                         "1.10.0",
                         "2.0.0",
                         "18446744073709551614.0.0"};
  for (size_t i = 0; i < std::size(order); ++i) {
    for (size_t j = 0; j < std::size(order); ++j) {
      const auto a = SemVer::parse(order[i]), b = SemVer::parse(order[j]);
      ASSERT_TRUE(a && b) << order[i] << ' ' << order[j];
      EXPECT_EQ(*a < *b, i < j) << order[i] << ' ' << order[j];
      EXPECT_EQ(*a == *b, i == j) << order[i] << ' ' << order[j];
    }
  }
  EXPECT_EQ(*SemVer::parse("1.0.0+a.1"), *SemVer::parse("1.0.0+b"));
}

TEST(SemVer, WhatIsNone) {
  for (const char* text :
       {"", "1", "1.2", "1.2.3.4", "v1.2.3", "01.2.3", "1.2.3-", "1.2.3-01", "1.2.3-a..b", "1.2.3+", "1.2.x",
        "a.b.c", "1.2.3 ", "-1.2.3", "1.2.3-ä", "99999999999999999999.0.0", "18446744073709551615.0.0"}) {
    EXPECT_FALSE(SemVer::parse(text)) << text;
  }
  EXPECT_FALSE(SemVer::parse(std::string(300, '1') + ".0.0"));
}

TEST(SemVer, Ranges) {
  struct Case {
    const char* range;
    std::vector<const char*> inside, outside;
  };
  const Case cases[] = {
      {">=0.1 <2", {"0.1.0", "1.99.0", "0.1.1-rc.1"}, {"0.0.9", "2.0.0", "2.0.0-rc.1", "0.1.0-rc.1"}},
      {">=0.1,<2", {"1.0.0"}, {"2.0.0"}},
      {">= 0.1   < 2", {"1.0.0"}, {"2.0.0"}},
      {"1.2.3", {"1.2.3", "1.2.3+b"}, {"1.2.4", "1.2.3-rc"}},
      {"=1.2", {"1.2.0", "1.2.9"}, {"1.3.0", "1.3.0-rc", "1.1.9"}},
      {"1.x", {"1.0.0", "1.9.9"}, {"2.0.0", "0.9.0"}},
      {"1.2.*", {"1.2.7"}, {"1.3.0"}},
      {"^1.2", {"1.2.0", "1.9.0"}, {"1.1.0", "2.0.0", "2.0.0-alpha"}},
      {"^1.2.3", {"1.2.3", "1.9.0"}, {"1.2.2", "2.0.0"}},
      {"^0.2.3", {"0.2.3", "0.2.9"}, {"0.3.0", "0.2.2"}},
      {"^0.0.3", {"0.0.3"}, {"0.0.4"}},
      {"^0.0", {"0.0.9"}, {"0.1.0"}},
      {"^0", {"0.9.0"}, {"1.0.0"}},
      {"~1.2.3", {"1.2.3", "1.2.9"}, {"1.3.0", "1.2.2"}},
      {"~1", {"1.0.0", "1.9.0"}, {"2.0.0"}},
      {"*", {"0.0.1", "9.9.9", "1.0.0-rc"}, {}},
      {">*", {}, {"0.0.0", "9.9.9"}},
      {">1", {"2.0.0"}, {"1.9.9", "1.0.0", "2.0.0-rc"}},
      {">1.2.3", {"1.2.4"}, {"1.2.3"}},
      {"<=1.2", {"1.2.9"}, {"1.3.0"}},
      {"<=1.2.3", {"1.2.3"}, {"1.2.4"}},
      {"<2.0.0", {"2.0.0-rc.1"}, {"2.0.0"}},
      {">=1.0.0-rc.2", {"1.0.0-rc.2", "1.0.0-rc.10", "1.0.0"}, {"1.0.0-rc.1", "1.0.0-beta"}},
      {"<1 || >=3 <4 || 5.0.0", {"0.5.0", "3.1.0", "5.0.0"}, {"1.0.0", "4.0.0", "5.0.1"}},
  };
  for (const auto& c : cases) {
    for (const char* version : c.inside)
      EXPECT_TRUE(matches(version, c.range)) << version << " in " << c.range;
    for (const char* version : c.outside)
      EXPECT_FALSE(matches(version, c.range)) << version << " in " << c.range;
  }
}

TEST(SemVer, RangesThatAreNone) {
  for (const char* range : {"", " ", "||", "1 ||", "|| 1", ">", ">=", "=>1", "><1", "1.2.3.4", "x.1", "1.x.2",
                            "1,", ",1", "latest", "1.2-rc", "^", "1 | 2", "1.2.3-"}) {
    auto result = version_matches("1.0.0", range);
    ASSERT_FALSE(result) << range;
    EXPECT_EQ(result.error().code, "manifest.range") << range;
  }
  EXPECT_EQ(version_matches("1.0.0", "new").error().text(),
            "expected a version range such as '>=0.1 <2', found 'new' [manifest.range]\n"
            "  hint: comparators are =, <, <=, >, >=, ^ and ~ before a version, '*' for any, '||' between "
            "alternatives");
  EXPECT_EQ(version_matches("1.0", "*").error().code, "manifest.version");
}

}  // namespace
}  // namespace pf::extension
