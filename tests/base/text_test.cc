#include "base/text.h"

#include <gtest/gtest.h>

#include "base/digest.h"
#include "base/error.h"

namespace pf {
namespace {

TEST(Text, NamesTheNearestCandidate) {
  EXPECT_EQ(did_you_mean("retires", {"retries", "file"}), "did you mean 'retries'?");
  EXPECT_EQ(did_you_mean("xyz", {"retries", "file"}), "");
}

TEST(Text, ReadsDurations) {
  EXPECT_EQ(parse_duration("100ms"), Milliseconds(100));
  EXPECT_EQ(parse_duration("1h30m"), Milliseconds(5400000));
  EXPECT_EQ(parse_duration("1.5s"), Milliseconds(1500));
  EXPECT_EQ(parse_duration("5"), std::nullopt);
  EXPECT_EQ(parse_duration("1m1h"), std::nullopt);
  EXPECT_EQ(parse_duration("-1s"), std::nullopt);
  EXPECT_EQ(parse_duration(""), std::nullopt);
}

TEST(Text, WritesDurations) {
  EXPECT_EQ(format_duration(Milliseconds(850)), "850ms");
  EXPECT_EQ(format_duration(Milliseconds(1449)), "1.4s");
  EXPECT_EQ(format_duration(Milliseconds(125000)), "2m05s");
  EXPECT_EQ(format_duration(Milliseconds(5400000)), "1h30m");
}

TEST(Text, ReadsAndWritesBytes) {
  EXPECT_EQ(parse_bytes("256MiB"), 256U << 20);
  EXPECT_EQ(parse_bytes("10 GB"), 10000000000U);
  EXPECT_EQ(parse_bytes("512"), 512U);
  EXPECT_EQ(parse_bytes("a lot"), std::nullopt);
  EXPECT_EQ(format_bytes(1536), "1.5 KiB");
}

TEST(Text, MatchesGlobs) {
  EXPECT_TRUE(glob_match("terraform.*", "terraform.net"));
  EXPECT_TRUE(glob_match("*a*b*c", "xxaxxbxxc"));
  EXPECT_FALSE(glob_match("*a*b*c", "xxaxxbxx"));
  EXPECT_TRUE(glob_match("[abc]?", "bz"));
  EXPECT_FALSE(glob_match("[abc]?", "z"));
  EXPECT_FALSE(glob_match(std::string(200, '*') + "b", std::string(20000, 'a')));
}

TEST(Text, ShortensByCodePoints) {
  EXPECT_EQ(shorten("héllo wörld", 6), "héllo…");
  EXPECT_EQ(shorten("short", 6), "short");
  EXPECT_EQ(shorten("exact!", 6), "exact!");
  EXPECT_EQ(shorten("a\nb", 6), "a b");
}

TEST(Base64, RoundTripsAndRefuses) {
  for (std::string_view text : {"", "f", "fo", "foo", "foob", "fooba", "foobar"}) {
    auto back = base64_decode(base64_encode(text));
    ASSERT_TRUE(back);
    EXPECT_EQ(*back, text);
  }
  EXPECT_EQ(base64_encode("foob"), "Zm9vYg==");
  EXPECT_EQ(base64_decode("Zm9vYg").value(), "foob");
  EXPECT_EQ(base64_decode("Zm9v*g==").error().message, "not base64 at byte 4");
  EXPECT_FALSE(base64_decode("Z"));
  EXPECT_FALSE(base64_decode("Zg="));
}

TEST(Digest, KnowsFips180Vectors) {
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Error, SaysWhereWhatAndHint) {
  Error error;
  error.code = "config.type";
  error.message = "expected an integer, found text";
  error.hint = "remove the quotes";
  error.where = {"a.yaml", 3, 7, "example.first.retries"};
  EXPECT_EQ(error.text(),
            "a.yaml:3:7: expected an integer, found text [config.type]\n  hint: remove the quotes");
}

}  // namespace
}  // namespace pf
