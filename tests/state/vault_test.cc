#include "state/vault.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include "base/digest.h"
#include "state/helpers.h"

namespace pf::state {
namespace {

using testing::HasSubstr;

constexpr Vault::Cost kCheap{16, 1, 1};

// Made by another implementation (Python's hashlib.scrypt and the `cryptography` package's AESGCM).
constexpr char kVaultFile[] =
    R"({"version": 1, "kdf": "scrypt", "n": 1024, "r": 8, "p": 1, "salt": "AAECAwQFBgcICQoLDA0ODw==",)"
    R"( "check": "AWRlZmdoaWprbG1ub9uJKYP4Hmcmad/m/ALOVosdZFPW4VVsB+fyc7Xflg5Xa4Q="})";
constexpr char kSealed[] = "ATIzNDU2Nzg5Ojs8PRWXasN0be11uLPGgE/ZPUmGM9rN";

TEST(Vault, OpensWhatAnotherImplementationSealed) {
  TempFolder temp;
  put(temp / "vault.json", kVaultFile);
  auto vault = Vault::open(temp.path(), "correct horse");
  ASSERT_TRUE(vault) << vault.error().text();
  auto plain = vault->unseal("terraform.network", *base64_decode(kSealed));
  ASSERT_TRUE(plain) << plain.error().text();
  EXPECT_EQ(*plain, "\xa1\x61x\x01");
}

TEST(Vault, SealsForOneAddressAndNeverTheSame) {
  TempFolder temp;
  auto vault = Vault::open(temp.path(), "p", kCheap);
  ASSERT_TRUE(vault) << vault.error().text();
  for (const std::string& plain : {std::string(), std::string("x"), std::string(100'000, '\0')}) {
    const auto one = vault->seal("w.a", plain);
    const auto two = vault->seal("w.a", plain);
    ASSERT_TRUE(one && two);
    EXPECT_EQ(one->size(), plain.size() + 29);
    EXPECT_NE(*one, *two);
    EXPECT_EQ(*vault->unseal("w.a", *one), plain);
    const auto foreign = vault->unseal("w.b", *one);
    ASSERT_FALSE(foreign);
    EXPECT_EQ(foreign.error().code, "state.vault");
    EXPECT_THAT(foreign.error().message, HasSubstr("w.b"));
  }
  EXPECT_EQ(vault->seal("w.a", "some secret")->find("secret"), std::string::npos);
}

TEST(Vault, RefusesWhateverWasChanged) {
  TempFolder temp;
  auto vault = Vault::open(temp.path(), "p", kCheap);
  ASSERT_TRUE(vault);
  const std::string sealed = *vault->seal("w.a", "twelve bytes");
  for (size_t i = 0; i < sealed.size(); ++i) {
    for (const char flip : {'\x01', '\x80'}) {
      std::string changed = sealed;
      changed[i] = static_cast<char>(changed[i] ^ flip);
      EXPECT_FALSE(vault->unseal("w.a", changed)) << i;
    }
    EXPECT_FALSE(vault->unseal("w.a", sealed.substr(0, i))) << i;
  }
  EXPECT_FALSE(vault->unseal("w.a", sealed + "x"));
  EXPECT_FALSE(vault->unseal("", sealed));
  EXPECT_EQ(*vault->unseal("w.a", sealed), "twelve bytes");
}

TEST(Vault, IsOpenedBySamePassphraseOnly) {
  TempFolder temp;
  std::string sealed;
  {
    auto vault = Vault::open(temp.path(), "right", kCheap);
    ASSERT_TRUE(vault);
    sealed = *vault->seal("w.a", "x");
  }
  struct stat info {};
  ASSERT_EQ(::stat((temp / "vault.json").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  EXPECT_EQ(content_of(temp / "vault.json").find("right"), std::string::npos);
  EXPECT_EQ(snapshot(temp.path()).size(), 1U);
  const auto before = content_of(temp / "vault.json");
  for (const std::string passphrase : {"wrong", "", "right ", "Right"}) {
    auto vault = Vault::open(temp.path(), passphrase, kCheap);
    ASSERT_FALSE(vault) << passphrase;
    EXPECT_EQ(vault.error().code, "state.passphrase");
    EXPECT_THAT(vault.error().hint, HasSubstr("PANGEO_FORGE_PASSPHRASE"));
    EXPECT_EQ(vault.error().message.find("wrong"), std::string::npos);
  }
  EXPECT_EQ(content_of(temp / "vault.json"), before);
  auto again = Vault::open_existing(temp.path(), "right");
  ASSERT_TRUE(again) << again.error().text();
  EXPECT_EQ(*again->unseal("w.a", sealed), "x");
}

TEST(Vault, OfAnotherFolderOpensNothing) {
  TempFolder one, two;
  auto a = Vault::open(one.path(), "p", kCheap);
  auto b = Vault::open(two.path(), "p", kCheap);
  ASSERT_TRUE(a && b);
  EXPECT_FALSE(b->unseal("w.a", *a->seal("w.a", "x")));
  Vault moved = std::move(*a);
  EXPECT_TRUE(moved.seal("w.a", "x"));
}

TEST(Vault, MakesNothingWhereItShouldOnlyLook) {
  TempFolder temp;
  auto vault = Vault::open_existing(temp.path(), "p");
  ASSERT_FALSE(vault);
  EXPECT_EQ(vault.error().code, "state.vault");
  EXPECT_TRUE(snapshot(temp.path()).empty());
}

TEST(Vault, RefusesAFileThatItDidNotWrite) {
  const std::string good = kVaultFile;
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string out = good;
    out.replace(out.find(from), from.size(), to);
    return out;
  };
  const std::pair<std::string, const char*> bad[] = {
      {"", "state.vault"},
      {"[]", "state.vault"},
      {good.substr(0, 60), "state.vault"},
      {with("\"version\": 1", "\"version\": 0"), "state.vault"},
      {with("\"version\": 1", "\"version\": 2"), "state.newer"},
      {with("scrypt", "none"), "state.vault"},
      {with("1024", "1000"), "state.vault"},
      {with("1024", "1"), "state.vault"},
      {with("1024", "4611686018427387904"), "state.vault"},
      {with("\"r\": 8", "\"r\": 1000000"), "state.vault"},
      {with("\"p\": 1", "\"p\": 100000"), "state.vault"},
      {with("\"p\": 1", "\"p\": -1"), "state.vault"},
      {with("AAECAwQFBgcICQoLDA0ODw==", "AAEC"), "state.vault"},
      {with("AAECAwQFBgcICQoLDA0ODw==", "*"), "state.vault"},
      {with("1024", "512"), "state.passphrase"},
      {with("AWRl", "AWRm"), "state.passphrase"},
  };
  for (const auto& [content, code] : bad) {
    TempFolder temp;
    put(temp / "vault.json", content);
    auto vault = Vault::open(temp.path(), "correct horse");
    ASSERT_FALSE(vault) << content;
    EXPECT_EQ(vault.error().code, code) << content;
    EXPECT_EQ(content_of(temp / "vault.json"), content);
  }
}

TEST(Vault, SaysWhereItCannotBeWritten) {
  TempFolder temp;
  ::chmod(temp.path().c_str(), 0755);
  EXPECT_EQ(in_child(true,
                     [&] {
                       auto vault = Vault::open(temp.path(), "p", kCheap);
                       if (vault) return 1;
                       return vault.error().code == "state.read_only" ? 0 : 2;
                     }),
            0);
}

TEST(Passphrase, ComesFromTheEnvironmentInThisOrder) {
  TempFolder temp;
  put(temp / "file", "from a file\n");
  EXPECT_EQ(in_child(false,
                     [&] {
                       ::unsetenv("PANGEO_FORGE_PASSPHRASE");
                       ::unsetenv("PULUMI_CONFIG_PASSPHRASE");
                       ::unsetenv("PULUMI_CONFIG_PASSPHRASE_FILE");
                       if (*passphrase_of_environment() != "") return 1;
                       ::setenv("PULUMI_CONFIG_PASSPHRASE_FILE", (temp / "file").c_str(), 1);
                       if (*passphrase_of_environment() != "from a file") return 2;
                       ::setenv("PULUMI_CONFIG_PASSPHRASE", "pulumi", 1);
                       if (*passphrase_of_environment() != "pulumi") return 3;
                       ::setenv("PANGEO_FORGE_PASSPHRASE", "ours", 1);
                       if (*passphrase_of_environment() != "ours") return 4;
                       ::setenv("PANGEO_FORGE_PASSPHRASE", "", 1);
                       ::setenv("PULUMI_CONFIG_PASSPHRASE", "", 1);
                       ::setenv("PULUMI_CONFIG_PASSPHRASE_FILE", (temp / "none").c_str(), 1);
                       return passphrase_of_environment() ? 5 : 0;
                     }),
            0);
}

}  // namespace
}  // namespace pf::state
