// stdlib/semver: SemVer 2.0.0, and ranges as npm reads them.
#include "stdlib/support.h"

namespace pf::vm::testing {
namespace {

std::string failure(const std::string& body) {
  const Outcome out = execute("local semver = require 'semver'\n" + body);
  return out.ok ? "no error" : out.error.code + ": " + out.error.message;
}

TEST(Semver, Parse) {
  EXPECT_EQ(with("semver", R"(
    local v = semver.parse("1.20.3-rc.1.x-y+build.007")
    return { major = v.major, minor = v.minor, patch = v.patch, pre = v.prerelease, build = v.build,
      text = tostring(v), same = semver.parse(v) == v, plain = tostring(semver.parse("0.0.0")),
      meta = tostring(semver.parse("1.0.0+001")) })"),
            parse(R"({"major": 1, "minor": 20, "patch": 3, "pre": ["rc", 1, "x-y"], "build": "build.007",
                      "text": "1.20.3-rc.1.x-y+build.007", "same": true, "plain": "0.0.0", "meta": "1.0.0+001"})"));
  const auto invalid = [](const std::string& text) { return failure("semver.parse('" + text + "')"); };
  const std::string at = "semver.invalid: extension.lua:3: `";
  EXPECT_EQ(invalid("1.2"), at + "1.2` is no version: it has not three numbers");
  EXPECT_EQ(invalid("v1.2.3"), at + "v1.2.3` is no version: it begins with `v`");
  EXPECT_EQ(invalid("01.2.3"), at + "01.2.3` is no version: the number 01 begins with 0");
  EXPECT_EQ(invalid("1.2.3-01"), at + "1.2.3-01` is no version: the number 01 begins with 0");
  EXPECT_EQ(invalid("1.2.3-"), at + "1.2.3-` is no version: a part between dots is empty");
  EXPECT_EQ(invalid("1.2.3-a..b"), at + "1.2.3-a..b` is no version: a part between dots is empty");
  EXPECT_EQ(invalid("1.2.3+"), at + "1.2.3+` is no version: a part between dots is empty");
  EXPECT_EQ(invalid("1.2.3-a_b"),
            at + "1.2.3-a_b` is no version: `a_b` has other characters than letters, digits and `-`");
  EXPECT_EQ(invalid("1.2.3.4"), at + "1.2.3.4` is no version: `.4` behind the third number");
  EXPECT_EQ(invalid("1.2.99999999999999999999"),
            at + "1.2.99999999999999999999` is no version: the number 99999999999999999999 is too large");
  EXPECT_EQ(failure("semver.parse(5)"),
            "call.argument: extension.lua:3: semver.parse: argument 1 (text) must be a string, found number");
  EXPECT_EQ(with("semver", "return { semver.valid('1.2.3'), semver.valid('1.2'), semver.valid(5) }"),
            parse("[true, false, false]"));
}

TEST(Semver, Order) {
  // The order that semver.org gives, section 11.
  EXPECT_EQ(with("semver", R"(
    local list = { "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11",
      "1.0.0-rc.1", "1.0.0", "1.0.1", "1.2.0", "1.10.0", "2.0.0" }
    local wrong = forge.list()
    for i = 1, #list do
      for j = 1, #list do
        local expected = i < j and -1 or i > j and 1 or 0
        if semver.compare(list[i], list[j]) ~= expected then wrong[#wrong + 1] = list[i] .. " " .. list[j] end
      end
    end
    local a, b = semver.parse("1.2.3"), semver.parse("1.10.0")
    return { wrong = wrong, build = semver.compare("1.0.0+a", "1.0.0+b"), less = a < b, equal = a == b,
      at_least = b >= a, sorted = semver.sort { "2.0.0", "1.0.0", "1.0.0-rc.1" } })"),
            parse(R"({"wrong": [], "build": 0, "less": true, "equal": false, "at_least": true,
                      "sorted": ["1.0.0-rc.1", "1.0.0", "2.0.0"]})"));
  EXPECT_EQ(failure("semver.compare('1.0.0', 'x')"),
            "semver.invalid: extension.lua:3: `x` is no version: it has not three numbers");
  EXPECT_EQ(
      failure("semver.sort('x')"),
      "call.argument: extension.lua:3: semver.sort: argument 1 (versions) must be a list, found string");
}

TEST(Semver, Ranges) {
  struct Row {
    const char* range;
    std::vector<const char*> in;
    std::vector<const char*> out;
  };
  const Row rows[] = {
      {"1.2.3", {"1.2.3", "1.2.3+b"}, {"1.2.4", "1.2.3-rc.1"}},
      {"=1.2.3", {"1.2.3"}, {"1.2.2"}},
      {"", {"0.0.0", "9.9.9"}, {"1.0.0-rc.1"}},
      {"*", {"0.0.0", "9.9.9"}, {"1.0.0-rc.1"}},
      {"1", {"1.0.0", "1.9.9"}, {"0.9.9", "2.0.0", "2.0.0-rc.1"}},
      {"1.x", {"1.0.0", "1.9.9"}, {"2.0.0"}},
      {"1.2.*", {"1.2.0", "1.2.9"}, {"1.3.0"}},
      {"1.2", {"1.2.0", "1.2.9"}, {"1.3.0", "1.1.9"}},
      {">1.2.3", {"1.2.4", "2.0.0"}, {"1.2.3"}},
      {">=1.2.3 <2", {"1.2.3", "1.99.0"}, {"1.2.2", "2.0.0", "2.0.0-rc.1"}},
      {">= 1.2.3  < 2.0.0", {"1.2.3"}, {"2.0.0"}},
      {">1", {"2.0.0"}, {"1.9.9", "1.0.0"}},
      {">1.2", {"1.3.0"}, {"1.2.9"}},
      {">=1.2", {"1.2.0"}, {"1.1.9"}},
      {"<1.2", {"1.1.9"}, {"1.2.0", "1.2.0-rc.1"}},
      {"<=1.2", {"1.2.9"}, {"1.3.0"}},
      {"<=1", {"1.9.9"}, {"2.0.0"}},
      {">*", {}, {"0.0.0", "1.0.0"}},
      {"<*", {}, {"0.0.0", "1.0.0"}},
      {"^1.2.3", {"1.2.3", "1.9.0"}, {"2.0.0", "1.2.2", "2.0.0-rc.1"}},
      {"^0.2.3", {"0.2.3", "0.2.9"}, {"0.3.0", "0.2.2"}},
      {"^0.0.3", {"0.0.3"}, {"0.0.4", "0.0.2"}},
      {"^0.0", {"0.0.0", "0.0.9"}, {"0.1.0"}},
      {"^0", {"0.0.0", "0.9.0"}, {"1.0.0"}},
      {"^1.2", {"1.2.0", "1.9.0"}, {"2.0.0", "1.1.0"}},
      {"^*", {"1.0.0"}, {}},
      {"~1.2.3", {"1.2.3", "1.2.9"}, {"1.3.0", "1.2.2"}},
      {"~1.2", {"1.2.0", "1.2.9"}, {"1.3.0"}},
      {"~1", {"1.0.0", "1.9.9"}, {"2.0.0"}},
      {"1.2.3 - 2.3.4", {"1.2.3", "2.3.4"}, {"2.3.5", "1.2.2"}},
      {"1.2 - 2.3", {"1.2.0", "2.3.9"}, {"2.4.0"}},
      {"1.2.3 || 2.x || ~3.1", {"1.2.3", "2.5.0", "3.1.4"}, {"1.2.4", "3.2.0"}},
      {"^1.2.3-rc.1", {"1.2.3-rc.1", "1.2.3-rc.2", "1.2.3", "1.3.0"}, {"1.2.3-beta", "1.3.0-rc.1"}},
      {">=1.0.0-0", {"1.0.0-alpha", "1.0.0"}, {"1.0.1-alpha"}},
      {">=1.0.0-rc.1 <2.0.0-rc.1", {"1.0.0-rc.1", "2.0.0-beta"}, {"1.5.0-beta", "2.0.0-rc.1"}},
  };
  for (const Row& row : rows) {
    Case c;
    c.config["range"] = row.range;
    for (const char* version : row.in) {
      c.config["version"] = version;
      EXPECT_EQ(with("semver", "return semver.satisfies(self.config.version, self.config.range)", c), true)
          << version << " in " << row.range;
    }
    for (const char* version : row.out) {
      c.config["version"] = version;
      EXPECT_EQ(with("semver", "return semver.satisfies(self.config.version, self.config.range)", c), false)
          << version << " in " << row.range;
    }
  }
}

TEST(Semver, PrereleasesOnRequest) {
  EXPECT_EQ(with("semver", R"(
    local versions = { "1.0.0", "1.5.0-rc.1", "1.4.0", "2.0.0-rc.1" }
    return { plain = semver.highest(versions, "^1"), pre = semver.highest(versions, "^1", { prereleases = true }),
      none = semver.highest(versions, "^3") == nil })"),
            parse(R"({"plain": "1.4.0", "pre": "1.5.0-rc.1", "none": true})"));
}

TEST(Semver, WrongRanges) {
  const auto bad = [](const std::string& range) {
    return failure("semver.satisfies('1.0.0', '" + range + "')");
  };
  const std::string at = "semver.range: extension.lua:3: `";
  EXPECT_EQ(bad("abc"), at + "abc` is no range of versions: `abc` is no version");
  EXPECT_EQ(bad(">="), at + ">=` is no range of versions: `>=` without a version");
  EXPECT_EQ(bad("=>1"), at + "=>1` is no range of versions: there is no `=>`");
  EXPECT_EQ(bad("1.2.3.4"), at + "1.2.3.4` is no range of versions: `1.2.3.4` has more than three numbers");
  EXPECT_EQ(bad("1.x.3"), at + "1.x.3` is no range of versions: a number behind `x` in `1.x.3`");
  EXPECT_EQ(bad("1.2-rc"),
            at + "1.2-rc` is no range of versions: `1.2-rc` has a prerelease, but not three numbers");
  EXPECT_EQ(
      failure("semver.satisfies('1.0.0', 5)"),
      "call.argument: extension.lua:3: semver.satisfies: argument 2 (range) must be a string, found number");
  EXPECT_EQ(failure("semver.satisfies('x', '*')"),
            "semver.invalid: extension.lua:3: `x` is no version: it has not three numbers");
  EXPECT_EQ(
      failure("semver.satisfies('1.0.0', '*', { pre = true })"),
      "call.argument: extension.lua:3: semver.satisfies: there is no option `pre`; there is prereleases");
  EXPECT_EQ(failure("semver.satisfies('1.0.0', '*', { prereleases = 1 })"),
            "call.argument: extension.lua:3: semver.satisfies: prereleases must be a boolean, found number");
  EXPECT_EQ(failure("semver.satisfies('1.0.0', '*', 1)"),
            "call.argument: extension.lua:3: semver.satisfies: the options must be a table");
  EXPECT_EQ(
      failure("semver.highest(5, '*')"),
      "call.argument: extension.lua:3: semver.highest: argument 1 (versions) must be a list, found number");
}

}  // namespace
}  // namespace pf::vm::testing
