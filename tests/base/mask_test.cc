#include "base/mask.h"

#include <gtest/gtest.h>

#include "base/digest.h"
#include "base/json.h"

namespace pf {
namespace {

Mask with(std::string_view value) {
  Mask mask;
  EXPECT_TRUE(mask.add(value));
  return mask;
}

TEST(Mask, ReplacesAValue) {
  const Mask mask = with("hunter2!");
  EXPECT_EQ(mask.apply("the password is hunter2!, really"), "the password is [secret], really");
  EXPECT_EQ(mask.apply("hunter2!hunter2!"), "[secret][secret]");
  EXPECT_EQ(mask.apply("hunter2"), "hunter2");
  EXPECT_EQ(mask.apply(""), "");
  EXPECT_TRUE(mask.finds("xhunter2!"));
  EXPECT_FALSE(mask.finds("x"));
}

TEST(Mask, KnowsNothingShort) {
  Mask mask;
  EXPECT_FALSE(mask.add("12345"));
  EXPECT_TRUE(mask.empty());
  EXPECT_EQ(mask.apply("12345"), "12345");
}

TEST(Mask, FindsItInBase64AtEveryAlignment) {
  const std::string value = "s3cret/value+x?";
  const Mask mask = with(value);
  for (const char* before : {"", "a", "ab", "abc", "user:", "x="}) {
    for (const char* after : {"", "z", "zz", "zzz"}) {
      const std::string all = base64_encode(before + value + after);
      const std::string masked = mask.apply(all);
      EXPECT_NE(masked.find("[secret]"), std::string::npos) << before << after;
      // What is left is of the neighbours: at most four characters on each side, and theirs.
      EXPECT_LE(masked.size(), 8 + 4 + 8 + std::string(before).size() * 2 + std::string(after).size() * 2)
          << masked;
    }
  }
  std::string safe = base64_encode("a" + value);
  for (char& c : safe) c = c == '+' ? '-' : c == '/' ? '_' : c;
  EXPECT_TRUE(mask.finds(safe));
}

TEST(Mask, FindsItEncoded) {
  const Mask mask = with("p@ss w/rd\"x");
  EXPECT_EQ(mask.apply("u=p%40ss%20w%2Frd%22x&b"), "u=[secret]&b");
  EXPECT_EQ(mask.apply("u=p%40ss+w%2frd%22x&b"), "u=[secret]&b");
  // Whatever is encoded of it.
  EXPECT_EQ(mask.apply("u=p%40ss%20w/rd%22x&b"), "u=[secret]&b");
  EXPECT_EQ(mask.apply("u=%70@ss%20w/rd\"%78&b%"), "u=[secret]&b%");
  EXPECT_EQ(mask.apply("100% p@ss w/rd\"x %zz%4"), "100% [secret] %zz%4");
  EXPECT_EQ(mask.apply("%25p%40ss%20w%2Frd%22x%25"), "%25[secret]%25");
  EXPECT_TRUE(mask.finds("p%40ss+w%2Frd%22x"));
  EXPECT_FALSE(mask.finds("p%40ss+w%2Frd%22"));
  EXPECT_EQ(with("a+b=c/d?").apply("x=a+b%3Dc%2fd%3F"), "x=[secret]");
  EXPECT_EQ(with("a+b=c/d?").apply("x=a%2bb%3Dc%2fd%3F+y"), "x=[secret]+y");
  EXPECT_EQ(mask.apply(R"({"a":"p@ss w/rd\"x"})"), R"({"a":"[secret]"})");
  EXPECT_EQ(mask.apply("7040737320772f72642278"), "[secret]");
  EXPECT_EQ(with("gr\xc3\xbc\xc3\x9f"
                 "e!")
                .apply(R"("gr\u00fc\u00dfe!")"),
            R"("[secret]")");
}

TEST(Mask, OverlapsAreOneSecret) {
  Mask mask = with("abcdefgh");
  mask.add("efghijkl");
  EXPECT_EQ(mask.apply("xabcdefghijkly"), "x[secret]y");
  EXPECT_EQ(with("aaaaaa").apply("baaaaaaaab"), "b[secret]b");
}

TEST(Mask, LongLinesOfALongValue) {
  const Mask mask = with("-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG\nshort\n-----END KEY-----\n");
  EXPECT_EQ(mask.apply("line: MIIEvQIBADANBgkqhkiG"), "line: [secret]");
  EXPECT_EQ(mask.apply("short"), "short");
}

TEST(Mask, GoesThroughJsonAndErrors) {
  const Mask mask = with("hunter2!");
  Json value = {{"a", {"x", "a hunter2!"}},
                {"hunter2!", 1},
                {"b", Json::binary({'h', 'u', 'n', 't', 'e', 'r', '2', '!'})}};
  mask.apply(value);
  EXPECT_EQ(to_json_text(value), R"({"[secret]":1,"a":["x","a [secret]"],"b":"[secret]"})");
  Error error{"x.y", "found hunter2!", "not hunter2!", {"hunter2!.yaml", 1, 1, "a.hunter2!"},
              true,  "at hunter2!"};
  mask.apply(error);
  EXPECT_EQ(error.text(), "[secret].yaml:1:1: found [secret] [x.y]\n  hint: not [secret]");
  EXPECT_EQ(error.traceback, "at [secret]");
  EXPECT_EQ(error.where.path, "a.[secret]");
}

}  // namespace
}  // namespace pf
