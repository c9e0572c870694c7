#include "iac/passphrase.h"

#include <gtest/gtest.h>

namespace pf::iac {
namespace {

// What the CLI (v3.259.0) wrote for the passphrase `demo`.
constexpr char kSalt[] = "v1:R4to+mhzBeU=:v1:ad7vGbkA93iBje+S:Z1dQafDRllUdrVt4JzPL0V9dCGyBJw==";

TEST(PassphraseKey, OpensASaltOfTheCli) {
  const auto key = PassphraseKey::open("demo", kSalt);
  ASSERT_TRUE(key) << key.error().text();
  EXPECT_EQ((*key)->salt(), kSalt);
  const auto text = (*key)->encrypt("\"a\"");
  ASSERT_TRUE(text);
  EXPECT_NE(*text, *(*key)->encrypt("\"a\""));
  EXPECT_EQ(*(*key)->decrypt(*text), "\"a\"");
}

TEST(PassphraseKey, AnotherPassphraseIsRefused) {
  const auto key = PassphraseKey::open("Demo", kSalt);
  ASSERT_FALSE(key);
  EXPECT_EQ(key.error().code, "stack.passphrase");
}

TEST(PassphraseKey, MakesASaltThatOpensAgain) {
  const auto made = PassphraseKey::make("");
  ASSERT_TRUE(made) << made.error().text();
  const auto again = PassphraseKey::open("", (*made)->salt());
  ASSERT_TRUE(again) << again.error().text();
  EXPECT_EQ(*(*again)->decrypt(*(*made)->encrypt("pass on")), "pass on");
}

TEST(PassphraseKey, TextsThatAreNoneAreNamed) {
  for (const char* salt :
       {"", "v1:", "v2:AAAA:v1:AAAA:AAAA", "v1:?:v1:ad7vGbkA93iBje+S:Z1dQ", "v1::v1:a:b"}) {
    const auto key = PassphraseKey::open("demo", salt);
    ASSERT_FALSE(key) << salt;
    EXPECT_EQ(key.error().code, "stack.salt") << salt;
  }
  const auto key = PassphraseKey::open("demo", kSalt);
  ASSERT_TRUE(key);
  for (const char* text : {"", "v1:", "v1:AAAA:AAAA", "v0:ad7vGbkA93iBje+S:Z1dQ", "v1:ad7vGbkA93iBje+S:!",
                           "v1:ad7vGbkA93iBje+S:Z1dQafDRllUdrVt4JzPL0V9dCGyBJg=="}) {
    const auto plain = (*key)->decrypt(text);
    ASSERT_FALSE(plain) << text;
    EXPECT_EQ(plain.error().code, "stack.cipher") << text;
  }
}

}  // namespace
}  // namespace pf::iac
