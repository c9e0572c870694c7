#include "iac/snapshot.h"

#include <gmock/gmock.h>

#include "iac/helpers.h"
#include "iac/passphrase.h"

namespace pf::iac {
namespace {

using testing::HasSubstr;

// A stack as the CLI (v3.259.0) wrote it, passphrase `demo`.
constexpr char kHead[] =
    R"({"version":3,"checkpoint":{"stack":"organization/demo/dev","latest":{"manifest":{"time":"2026-01-02T03:04:05.6Z","magic":"ab35920a3077459b09dd1a3f7ddc28df4e3efc81b3240013bb6906688abc684d","version":"v3.259.0"},"secrets_providers":{"type":"passphrase","state":{"salt":"v1:R4to+mhzBeU=:v1:ad7vGbkA93iBje+S:Z1dQafDRllUdrVt4JzPL0V9dCGyBJw=="}},"resources":[)";
constexpr char kStack[] =
    R"({"urn":"urn:pulumi:dev::demo::pulumi:pulumi:Stack::demo-dev","custom":false,"type":"pulumi:pulumi:Stack","outputs":{"count":1},"created":"2026-01-02T03:04:05.6Z","modified":"2026-01-02T03:04:05.6Z"})";
constexpr char kProvider[] =
    R"({"urn":"urn:pulumi:dev::demo::pulumi:providers:pulumi::default","custom":true,"id":"0c9d1a52-6f0e-4b7b-9d11-3a5f2f6f1c01","type":"pulumi:providers:pulumi","created":"2026-01-02T03:04:05.6Z","modified":"2026-01-02T03:04:05.6Z"})";
constexpr char kStash[] =
    R"({"urn":"urn:pulumi:dev::demo::pulumi:index:Stash::s0","custom":true,"id":"7b1f6a90-2c44-4d0e-8a63-5e9d0c7b2f02","type":"pulumi:index:Stash","inputs":{"input":"v0"},"outputs":{"input":"v0","output":"v0"},"parent":"urn:pulumi:dev::demo::pulumi:pulumi:Stack::demo-dev","provider":"urn:pulumi:dev::demo::pulumi:providers:pulumi::default::0c9d1a52-6f0e-4b7b-9d11-3a5f2f6f1c01","propertyDependencies":{"input":[]},"created":"2026-01-02T03:04:05.6Z","modified":"2026-01-02T03:04:05.6Z"})";
constexpr char kTail[] = R"(],"metadata":{}}}})";
constexpr char kFile[] = "/state/demo/dev.json";
const StackId kId{"demo", "dev"};

std::string file_of(std::initializer_list<std::string> resources) {
  std::string out = kHead;
  bool first = true;
  for (const std::string& resource : resources) out += (std::exchange(first, false) ? "" : ",") + resource;
  return out + kTail;
}

std::string changed(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

WallTime at(int64_t ms) { return WallTime(std::chrono::milliseconds(ms)); }

TEST(Snapshot, IsPrintedAsTheCliWroteIt) {
  const std::string text = file_of({kStack, kProvider, kStash});
  const auto snapshot = parse_snapshot(text, kFile);
  ASSERT_TRUE(snapshot) << snapshot.error().text();
  EXPECT_TRUE(check_integrity(*snapshot, kFile));
  EXPECT_EQ(print_snapshot(*snapshot, kId, at(1767323045600)), text);
}

TEST(Snapshot, KeepsEveryKeyThatItKnows) {
  const std::string all =
      R"({"urn":"urn:pulumi:dev::demo::a:b:C$x:y:Z::n::m","custom":true,"delete":true,"id":"i","type":"x:y:Z","inputs":{"b":1,"a":[true,null,{}]},"outputs":{"x":1e+21},"parent":"urn:pulumi:dev::demo::a:b:C::p","protect":true,"external":true,"dependencies":["urn:1"],"initErrors":["half"],"provider":"p::i","propertyDependencies":{"a":["urn:1","urn:2"],"b":[]},"pendingReplacement":true,"additionalSecretOutputs":["x"],"aliases":["urn:old"],"customTimeouts":{"create":300},"importID":"ii","retainOnDelete":true,"deletedWith":"urn:3","created":"2026-01-02T03:04:05Z","modified":"2026-01-02T03:04:05Z","sourcePosition":"project:///i.js#1,2","stackTrace":[{"sourcePosition":"project:///i.js#1,2"},{}],"ignoreChanges":["a"],"hideDiff":[["a",0]],"replaceOnChanges":["b"],"replacementTrigger":{"t":7}})";
  Json value = *parse_state_json(all);
  const auto resource = parse_resource(value, "r", kFile);
  ASSERT_TRUE(resource) << resource.error().text();
  std::string again;
  append_resource(again, *resource);
  EXPECT_EQ(again, changed(all, R"({"b":1,"a":[true,null,{}]})", R"({"a":[true,null,{}],"b":1})"));
}

TEST(Snapshot, PendingOperationsAreKept) {
  const std::string text = changed(
      file_of({kStack}), R"(],"metadata")",
      std::string(R"(],"pending_operations":[{"resource":)") +
          R"({"urn":"urn:pulumi:dev::demo::a:b:C::n","custom":true,"type":"a:b:C"},"type":"creating"}],"metadata")");
  const auto snapshot = parse_snapshot(text, kFile);
  ASSERT_TRUE(snapshot) << snapshot.error().text();
  ASSERT_EQ(snapshot->pending.size(), 1U);
  EXPECT_EQ(snapshot->pending[0].type, PendingOperation::Type::creating);
  EXPECT_EQ(print_snapshot(*snapshot, kId, at(1767323045600)), text);
}

TEST(Snapshot, OfAStackThatWasNeverUpdatedIsEmpty) {
  for (const char* text :
       {"{}", R"({"version":3,"checkpoint":{}})", R"({"version":0,"checkpoint":{"stack":"s"}})",
        R"({"version":3,"checkpoint":{"stack":"s","latest":null}})"}) {
    const auto snapshot = parse_snapshot(text, kFile);
    ASSERT_TRUE(snapshot) << text << snapshot.error().text();
    EXPECT_TRUE(snapshot->resources.empty());
  }
}

TEST(Snapshot, WhatItDoesNotKnowIsRefusedByItsKey) {
  const std::string text = file_of({kStack, kProvider, kStash});
  const std::pair<std::string, std::string> cases[] = {
      {changed(text, R"("parent")", R"("taint":true,"parent")"),
       "resources[2].taint: this engine does not know the key"},
      {changed(text, R"("parent")", R"("viewOf":"u","parent")"), "resources[2].viewOf: this engine"},
      {changed(text, R"("version":3)", R"("version":4)"), "version: it is 4, this engine knows version 3"},
      {changed(text, R"("metadata":{})", R"("metadata":{"integrity_error":{}})"),
       "metadata.integrity_error: this"},
      {changed(text, R"("metadata":{})", R"("snippets":[],"metadata":{})"), "latest.snippets: this engine"},
      {changed(text, R"("version":3)", R"("version":3,"features":[])"),
       "features: this engine does not know"},
      {"\x1f\x8b", "the file is compressed"}};
  for (const auto& [bad, words] : cases) {
    const auto snapshot = parse_snapshot(bad, kFile);
    ASSERT_FALSE(snapshot) << words;
    EXPECT_EQ(snapshot.error().code, "stack.unsupported") << words;
    EXPECT_THAT(snapshot.error().message, HasSubstr(words));
  }
}

TEST(Snapshot, WhatNoProgramWouldWriteIsDamaged) {
  const std::string text = file_of({kStack, kProvider, kStash});
  const std::pair<std::string, std::string> cases[] = {
      {"", "it is no JSON"},
      {text.substr(0, text.size() - 9), "it is no JSON"},
      {"[]", "it is no object"},
      {R"({"version":3})", "checkpoint: it is missing"},
      {changed(text, "ab35920a", "00000000"), "manifest.magic: it is not the SHA-256"},
      {changed(text, R"("custom":true)", R"("custom":"yes")"),
       "resources[1].custom: it is neither true nor false"},
      {changed(text, R"("urn":"urn:pulumi:dev::demo::pulumi:index:Stash::s0",)", ""),
       "resources[2].urn: it is missing"},
      {changed(text, "urn:pulumi:dev::demo::pulumi:index:Stash::s0", "notaurn"), "is no URN"},
      {changed(text, R"("type":"pulumi:index:Stash")", R"("type":"a:b:C")"), "its URN says"},
      {changed(text, R"("custom":false)", R"("custom":false,"id":"x")"),
       "resources[0].id: a component has none"},
      {changed(text, R"({"input":"v0"})", R"("v0")"), "resources[2].inputs: it is no object"},
      {changed(text, R"({"input":[]})", R"({"input":[1]})"),
       "propertyDependencies.input: it is no list of texts"},
      {changed(text, R"({"input":"v0"})", R"({"input":{"4dabf18193072939515e22adb298388d":"zz"}})"),
       "inputs.input: it is a special value"},
      {changed(text, R"({"input":"v0"})",
               R"({"input":{"4dabf18193072939515e22adb298388d":"1b47061264138c4ac30d75fd1eb44270"}})"),
       "neither `ciphertext` nor `plaintext`"}};
  for (const auto& [bad, words] : cases) {
    const auto snapshot = parse_snapshot(bad, kFile);
    ASSERT_FALSE(snapshot) << words;
    EXPECT_EQ(snapshot.error().code, "stack.damaged") << words;
    EXPECT_THAT(snapshot.error().message, HasSubstr(words));
  }
}

TEST(Integrity, DemandsWhatTheCliDemands) {
  const std::string dependency =
      R"("parent":"urn:pulumi:dev::demo::pulumi:pulumi:Stack::demo-dev","dependencies":["URN"])";
  const std::string parent = R"("parent":"urn:pulumi:dev::demo::pulumi:pulumi:Stack::demo-dev")";
  const auto depends = [&](const std::string& urn) {
    return changed(kStash, parent, changed(dependency, "URN", urn));
  };
  const std::pair<std::string, std::string> cases[] = {
      {file_of({kStack, kStash, kProvider}),
       "provider urn:pulumi:dev::demo::pulumi:providers:pulumi::default::0c9d1a52"},
      {file_of({kStack, kStash}), "is missing, or comes after it"},
      {file_of({kProvider, kStash}),
       "its parent urn:pulumi:dev::demo::pulumi:pulumi:Stack::demo-dev is missing"},
      {file_of({kProvider, kStash, kStack}),
       "its parent urn:pulumi:dev::demo::pulumi:pulumi:Stack::demo-dev comes after it"},
      {file_of({kStack, kProvider, depends("urn:pulumi:dev::demo::a:b:C::x")}),
       "its dependency urn:pulumi:dev::demo::a:b:C::x is missing"},
      {file_of({kStack, kProvider, depends("urn:pulumi:dev::demo::pulumi:index:Stash::s0")}),
       "Stash::s0 comes after it"},
      {file_of({kStack, kProvider, changed(kStash, R"({"input":[]})", R"({"input":["urn:x"]})")}),
       "the dependency of its input input urn:x is missing"},
      {file_of({kStack, kProvider, changed(kStash, R"("created")", R"("deletedWith":"urn:x","created")")}),
       "what it is deleted with, urn:x is missing"},
      {file_of({kStack, kProvider, kStash, kStash}), "it is there twice"},
      {file_of({kStack, kProvider, changed(kStash, R"("id":"7b1f6a90-2c44-4d0e-8a63-5e9d0c7b2f02",)", "")}),
       "it has no id"}};
  for (const auto& [bad, words] : cases) {
    const auto snapshot = parse_snapshot(bad, kFile);
    ASSERT_TRUE(snapshot) << words << snapshot.error().text();
    const auto fine = check_integrity(*snapshot, kFile);
    ASSERT_FALSE(fine) << words;
    EXPECT_EQ(fine.error().code, "stack.damaged");
    EXPECT_THAT(fine.error().message, HasSubstr(words));
  }
  // A replaced one that is still to be deleted has the same URN.
  const auto replaced =
      parse_snapshot(file_of({kStack, kProvider, kStash,
                              changed(kStash, R"("custom":true)", R"("custom":true,"delete":true)")}),
                     kFile);
  ASSERT_TRUE(replaced) << replaced.error().text();
  EXPECT_TRUE(check_integrity(*replaced, kFile));
}

TEST(UrnText, HasTheTypesOfParents) {
  EXPECT_EQ(make_urn(kId, "", "a:b:C", "n"), "urn:pulumi:dev::demo::a:b:C::n");
  EXPECT_EQ(make_urn(kId, "urn:pulumi:dev::demo::pulumi:pulumi:Stack::demo-dev", "a:b:C", "n"),
            "urn:pulumi:dev::demo::a:b:C::n");
  EXPECT_EQ(make_urn(kId, "urn:pulumi:dev::demo::a:b:C::n", "x:y:Z", "m::k"),
            "urn:pulumi:dev::demo::a:b:C$x:y:Z::m::k");
  EXPECT_EQ(urn_name("urn:pulumi:dev::demo::a:b:C$x:y:Z::m::k"), "m::k");
  EXPECT_EQ(urn_qualified_type("urn:pulumi:dev::demo::a:b:C$x:y:Z::m::k"), "a:b:C$x:y:Z");
  EXPECT_EQ(urn_name("urn:pulumi:dev::demo"), "");
}

TEST(Secrets, AreOpenedAndSealedWithTheirOldTexts) {
  const auto key = PassphraseKey::make("p");
  ASSERT_TRUE(key);
  Json value = {{"plain", 1}, {"list", {make_secret("a"), make_secret({{"b", 2}})}}};
  ASSERT_TRUE(holds_secret(value));
  const Json opened = value;
  ASSERT_TRUE(seal_secrets(value, key->get(), {}));
  const Json sealed = value;
  EXPECT_FALSE(sealed["list"][0].contains("plaintext"));
  std::map<std::string, std::string> ciphertexts;
  ASSERT_TRUE(open_secrets(value, key->get(), ciphertexts));
  EXPECT_EQ(value, opened);
  EXPECT_EQ(value["list"][1]["plaintext"], R"({"b":2})");
  ASSERT_TRUE(seal_secrets(value, nullptr, ciphertexts));
  EXPECT_EQ(value, sealed);
  EXPECT_EQ(open_secrets(value, nullptr, ciphertexts).error().code, "stack.passphrase");
  const auto other = PassphraseKey::make("p");
  EXPECT_EQ(open_secrets(value, other->get(), ciphertexts).error().code, "stack.cipher");
}

}  // namespace
}  // namespace pf::iac
