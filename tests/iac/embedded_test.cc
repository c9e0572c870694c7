// The embedded engine's files, byte for byte, and what it refuses to touch.
#include "iac/embedded.h"

#include <gmock/gmock.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/digest.h"
#include "iac/helpers.h"

namespace pf::iac {
namespace {

using testing::HasSubstr;

const StackId kId{"demo", "dev"};

constexpr char kHead[] =
    R"({"version":3,"checkpoint":{"stack":"organization/demo/dev","latest":{"manifest":{"time":"2026-01-02T03:04:05.6Z",)"
    R"("magic":"ab35920a3077459b09dd1a3f7ddc28df4e3efc81b3240013bb6906688abc684d","version":"v3.259.0"},)";
constexpr char kStack[] =
    R"({"urn":"urn:pulumi:dev::demo::pulumi:pulumi:Stack::demo-dev","custom":false,"type":"pulumi:pulumi:Stack",)"
    R"("outputs":{"count":1},"created":"2026-01-02T03:04:05.6Z","modified":"2026-01-02T03:04:05.6Z"})";
constexpr char kProvider[] =
    R"({"urn":"urn:pulumi:dev::demo::pulumi:providers:pulumi::default","custom":true,"id":"id-1",)"
    R"("type":"pulumi:providers:pulumi","created":"2026-01-02T03:04:05.6Z","modified":"2026-01-02T03:04:05.6Z"})";
constexpr char kStash[] =
    R"({"urn":"urn:pulumi:dev::demo::pulumi:index:Stash::state","custom":true,"id":"id-2","type":"pulumi:index:Stash",)"
    R"("inputs":{"input":{"words":3}},"outputs":{"input":{"words":3},"output":{"words":3}},)"
    R"("parent":"urn:pulumi:dev::demo::pulumi:pulumi:Stack::demo-dev",)"
    R"("provider":"urn:pulumi:dev::demo::pulumi:providers:pulumi::default::id-1","propertyDependencies":{"input":[]},)"
    R"("created":"2026-01-02T03:04:05.6Z","modified":"2026-01-02T03:04:05.6Z"})";
constexpr char kTail[] = R"(,"metadata":{}}}})";

std::string whole(const std::string& resources) {
  return std::string(kHead) + "\"resources\":[" + resources + "]" + kTail;
}
std::string ours() { return whole(std::string(kStack) + "," + kProvider + "," + kStash); }

class EmbeddedTest : public testing::Test {
 protected:
  std::filesystem::path file() const { return temp_.path() / ".pulumi/stacks/demo/dev.json"; }

  std::unique_ptr<Engine> engine() {
    EmbeddedOptions options;
    options.clock = &clock_;
    options.new_id = [this] { return "id-" + std::to_string(++ids_); };
    return make_embedded_engine(temp_.path(), std::move(options));
  }
  Result<void> keep(const std::string& state, const std::string& outputs) {
    return engine()->export_content(kId,
                                    {state.empty() ? "" : cbor(state), outputs.empty() ? "" : cbor(outputs)});
  }
  // Both ways fail with this code and text, and nothing changes.
  void expect_refused(const std::string& content, const std::string& code, const std::string& text) {
    SCOPED_TRACE(content.substr(0, 2000));
    put(file(), content);
    const auto before = snapshot(temp_.path());
    auto read = engine()->read(kId);
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().code, code);
    EXPECT_THAT(read.error().message, HasSubstr(file().string()));
    EXPECT_THAT(read.error().message, HasSubstr(text));
    EXPECT_FALSE(read.error().hint.empty());
    auto done = keep(R"({"new":1})", "");
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, code);
    EXPECT_EQ(snapshot(temp_.path()), before);
  }
  void expect_accepted(const std::string& content, const std::string& state, const std::string& outputs) {
    SCOPED_TRACE(content.substr(0, 2000));
    put(file(), content);
    auto read = engine()->read(kId);
    ASSERT_TRUE(read) << read.error().text();
    ASSERT_TRUE(*read);
    EXPECT_EQ(json((*read)->state), state);
    EXPECT_EQ(json((*read)->outputs), outputs);
  }
  static std::string replaced(std::string text, const std::string& what, const std::string& by) {
    const auto at = text.find(what);
    EXPECT_NE(at, std::string::npos) << what;
    return at == std::string::npos ? text : text.replace(at, what.size(), by);
  }

  TempFolder temp_;
  StandingClock clock_;
  int ids_ = 0;
};

TEST_F(EmbeddedTest, WritesWhatTheCliWrites) {
  ASSERT_TRUE(keep(R"({"words":3})", R"({"count":1})"));
  const auto files = snapshot(temp_.path());
  EXPECT_EQ(files.size(), 2U);
  EXPECT_EQ(files.at(".pulumi/meta.yaml"), "version: 1\n");
  EXPECT_EQ(files.at(".pulumi/stacks/demo/dev.json"), ours());
}

TEST_F(EmbeddedTest, WritesTheStackResourceAloneWithoutState) {
  ASSERT_TRUE(keep("", R"({"count":1})"));
  EXPECT_EQ(content_of(file()), whole(kStack));
  std::filesystem::remove(file());
  ASSERT_TRUE(keep("", ""));
  EXPECT_EQ(content_of(file()), whole(replaced(kStack, R"("outputs":{"count":1},)", "")));
}

TEST_F(EmbeddedTest, ChangesOnlyWhatChanged) {
  ASSERT_TRUE(keep(R"({"words":3})", R"({"count":1})"));
  clock_.now += std::chrono::seconds(1);
  ASSERT_TRUE(keep(R"({"words":4})", R"({"count":2})"));
  std::string expected = replaced(ours(), "05.6Z", "06.6Z");  // manifest.time
  expected = replaced(expected, R"({"count":1})", R"({"count":2})");
  for (int i = 0; i < 2; ++i) expected = replaced(expected, R"({"words":3})", R"({"words":4})");
  const auto last = expected.rfind("05.6Z");
  expected.replace(last, 5, "06.6Z");  // modified, of the Stash
  EXPECT_EQ(content_of(file()), expected);
  EXPECT_EQ(content_of(file().string() + ".bak"), ours());
}

TEST_F(EmbeddedTest, RemovesTheStashWithItsProvider) {
  ASSERT_TRUE(keep(R"({"words":3})", R"({"count":1})"));
  ASSERT_TRUE(keep("", R"({"count":1})"));
  EXPECT_EQ(content_of(file()), whole(kStack));
  ASSERT_TRUE(keep(R"({"words":3})", R"({"count":1})"));
  EXPECT_THAT(content_of(file()), HasSubstr(R"("id":"id-4")"));
}

TEST_F(EmbeddedTest, DoesNotRewriteWhatIsTheSame) {
  ASSERT_TRUE(keep(R"({"b":1.5,"a":[1,-0]})", R"({"count":1})"));
  struct stat before {
  }, after{};
  ASSERT_EQ(::stat(file().c_str(), &before), 0);
  clock_.now += std::chrono::seconds(1);
  ASSERT_TRUE(keep(R"({"a":[1,-0.0],"b":1.5})", R"({"count":1})"));
  ASSERT_EQ(::stat(file().c_str(), &after), 0);
  EXPECT_EQ(before.st_ino, after.st_ino);
  EXPECT_EQ(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
  EXPECT_FALSE(std::filesystem::exists(file().string() + ".bak"));
}

TEST_F(EmbeddedTest, KeepsFilesForTheOwnerOnly) {
  ASSERT_TRUE(keep(R"({"words":3})", ""));
  ASSERT_TRUE(keep(R"({"words":4})", ""));
  for (const auto& entry : std::filesystem::recursive_directory_iterator(temp_.path())) {
    struct stat info {};
    ASSERT_EQ(::stat(entry.path().c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, entry.is_directory() ? 0700U : 0600U) << entry.path();
  }
}

TEST_F(EmbeddedTest, MakesRandomUuids) {
  ASSERT_TRUE(make_embedded_engine(temp_.path())->export_content(kId, {cbor(R"({"a":1})"), ""}));
  auto value = parse_json(content_of(file()));
  ASSERT_TRUE(value);
  const auto& resources = (*value)["checkpoint"]["latest"]["resources"];
  const std::string provider = resources[1]["id"], stash = resources[2]["id"];
  EXPECT_THAT(provider,
              testing::MatchesRegex("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"));
  EXPECT_NE(provider, stash);
}

TEST_F(EmbeddedTest, ReadsOneThatIsNeverWritten) {
  EXPECT_EQ(*engine()->read(kId), std::nullopt);
  EXPECT_TRUE(snapshot(temp_.path()).empty());
}

TEST_F(EmbeddedTest, ReadsTheLeastThatTheCliAccepts) {
  expect_accepted("{}", "none", "none");
  expect_accepted(R"({"version":3,"checkpoint":{}})", "none", "none");
  expect_accepted(R"({"version":3,"checkpoint":{"latest":{"resources":[]}}})", "none", "none");
  expect_accepted(
      R"({"version":3,"checkpoint":{"latest":{"manifest":{"time":"0001-01-01T00:00:00Z","magic":"","version":""}}}})",
      "none", "none");
  expect_accepted(
      whole(
          replaced(kStack, R"(,"created":"2026-01-02T03:04:05.6Z","modified":"2026-01-02T03:04:05.6Z")", "")),
      "none", R"({"count":1})");
  // Pretty, in another legal order, of another release, after a rename.
  std::string other = "{ \"checkpoint\" : {\"latest\":{\"resources\":[\n" + std::string(kProvider) + ",\n" +
                      kStack + ",\n" + kStash + "]},\"stack\":\"organization/demo/old\"}, \"version\":3 }\n";
  expect_accepted(other, R"({"words":3})", R"({"count":1})");
}

TEST_F(EmbeddedTest, ReadsTheStateFromTheInput) {
  std::string text = replaced(ours(), R"("output":{"words":3})", R"("output":{"words":9})");
  text = replaced(text, R"("outputs":{"input":{"words":3})", R"("outputs":{"input":{"words":8})");
  expect_accepted(text, R"({"words":3})", R"({"count":1})");
}

TEST_F(EmbeddedTest, KeepsTheSecretsProviderThatTheCliMade) {
  const std::string secrets =
      R"("secrets_providers":{"type":"passphrase","state":{"salt":"v1:R4to+mhzBeU=:v1:ad7vGbkA93iBje+S:Z1dQ"}},)";
  const std::string text = replaced(ours(), R"("resources")", secrets + R"("resources")");
  expect_accepted(text, R"({"words":3})", R"({"count":1})");
  ASSERT_TRUE(keep(R"({"words":4})", R"({"count":1})"));
  EXPECT_THAT(content_of(file()), HasSubstr("\"version\":\"v3.259.0\"}," + secrets + "\"resources\""));
}

TEST_F(EmbeddedTest, KeepsWhatTheCliSaidOfAResource) {
  const std::string text = replaced(ours(), R"(,"provider")", R"(,"protect":true,"provider")");
  expect_accepted(text, R"({"words":3})", R"({"count":1})");
  ASSERT_TRUE(keep(R"({"words":3})", R"({"count":2})"));
  EXPECT_EQ(content_of(file()), replaced(text, R"({"count":1})", R"({"count":2})"));
}

TEST_F(EmbeddedTest, RefusesWhatItDoesNotKnow) {
  expect_refused(replaced(ours(), R"("version":3)", R"("version":4)"), "stack.unsupported",
                 "version: it is 4");
  expect_refused(replaced(ours(), R"("version":3)", R"("version":0)"), "stack.unsupported",
                 "version: it is 0");
  expect_refused(replaced(ours(), R"("version":3,)", ""), "stack.unsupported", "version: it is missing");
  expect_refused(replaced(ours(), R"({"version":3)", R"({"features":["taint"],"version":3)"),
                 "stack.unsupported", "features: this engine does not know the key");
  expect_refused(replaced(ours(), R"("id":"id-2")", R"("id":"id-2","taint":true)"), "stack.unsupported",
                 "checkpoint.latest.resources[2].taint: this engine does not know the key");
  expect_refused(replaced(ours(), R"("metadata":{})", R"("metadata":{"integrity_error":{}})"),
                 "stack.unsupported", "checkpoint.latest.metadata.integrity_error");
  expect_refused(replaced(ours(), R"("metadata":{})",
                          R"("pending_operations":[{"resource":)" + std::string(kStack) +
                              R"(,"type":"updating"}],"metadata":{})"),
                 "stack.unsupported", "checkpoint.latest.pending_operations: an operation");
  expect_refused(replaced(ours(), "pulumi:index:Stash::state", "pulumi:index:Stash::s0"), "stack.unsupported",
                 "resources[2].urn: the resource \"urn:pulumi:dev::demo::pulumi:index:Stash::s0\"");
  expect_refused(whole(std::string(kStack) + "," + kProvider), "stack.unsupported", "without the Stash");
  expect_refused(replaced(ours(), "urn:pulumi:dev::demo::pulumi:pulumi:Stack",
                          "urn:pulumi:prod::demo::pulumi:pulumi:Stack"),
                 "stack.damaged", "resources[2]: its parent");
  expect_refused(replaced(ours(), R"("inputs":{"input":{"words":3}})", R"("inputs":{"input":"text"})"),
                 "stack.unsupported", "inputs.input: the state is no map");
  expect_refused(replaced(ours(), R"("propertyDependencies":{"input":[]})",
                          R"("propertyDependencies":{"input":["urn"]})"),
                 "stack.damaged", "resources[2]: the dependency of its input input urn is missing");
  const std::string secret =
      R"({"4dabf18193072939515e22adb298388d":"1b47061264138c4ac30d75fd1eb44270","ciphertext":"v1:x:y"})";
  expect_refused(replaced(ours(), R"({"count":1})", R"({"count":)" + secret + "}"), "stack.unsupported",
                 "resources[0].outputs.count: it is a secret");
  expect_refused(
      replaced(ours(), R"("inputs":{"input":{"words":3}})", R"("inputs":{"input":{"w":[)" + secret + "]}}"),
      "stack.unsupported", "resources[2].inputs.input.w[0]: it is a secret");
  expect_refused("\x1f\x8b\x08 gzip", "stack.unsupported", "compressed");
}

TEST_F(EmbeddedTest, RefusesWhatNoProgramWouldWrite) {
  expect_refused("", "stack.damaged", "it is no JSON");
  expect_refused(ours().substr(0, 500), "stack.damaged", "it is no JSON");
  expect_refused("\xef\xbb\xbf" + std::string("[1]"), "stack.damaged", "");
  expect_refused(std::string(100000, '['), "stack.damaged", "nested deeper");
  expect_refused("[]", "stack.damaged", "it is no object");
  expect_refused(R"({"version":3})", "stack.damaged", "checkpoint: it is missing");
  expect_refused(replaced(ours(), "ab35920a", "ab35920b"), "stack.damaged",
                 "manifest.magic: it is not the SHA-256");
  expect_refused(replaced(ours(), R"("custom":false)", R"("custom":true)"), "stack.damaged",
                 "resources[0]: it has no id");
  expect_refused(replaced(ours(), R"("id":"id-1",)", ""), "stack.damaged", "resources[1]: it has no id");
  expect_refused(replaced(ours(), R"("type":"pulumi:index:Stash")", R"("type":"x")"), "stack.damaged",
                 "resources[2].type");
  expect_refused(replaced(ours(), R"(::default::id-1)", R"(::default::id-9)"), "stack.damaged",
                 "resources[2]: its provider");
  expect_refused(whole(std::string(kStash) + "," + kStack + "," + kProvider), "stack.damaged",
                 "resources[0]: its parent");
  expect_refused(whole(std::string(kStack) + "," + kStash + "," + kProvider), "stack.damaged",
                 "resources[1]: its provider");
  expect_refused(whole(std::string(kStack) + "," + kStack), "stack.damaged", "twice");
  expect_refused(whole("7"), "stack.damaged", "resources[0]: it is no object");
  expect_refused(whole("{}"), "stack.damaged", "resources[0].urn: it is missing");
}

TEST_F(EmbeddedTest, RefusesOtherLayouts) {
  put(file(), ours());
  put(temp_ / ".pulumi/meta.yaml", "version: 2\n");
  auto read = engine()->read(kId);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, "stack.unsupported");
  EXPECT_THAT(read.error().message,
              HasSubstr("meta.yaml: this engine knows the layout `version: 1`, not \"version: 2\""));
  EXPECT_FALSE(keep(R"({"a":1})", ""));
  EXPECT_EQ(content_of(file()), ours());

  std::filesystem::remove_all(temp_ / ".pulumi");
  put(temp_ / ".pulumi/stacks/old.json", "{}");
  auto done = keep(R"({"a":1})", "");
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, "stack.unsupported");
  EXPECT_THAT(done.error().message, HasSubstr("old.json"));

  std::filesystem::remove_all(temp_ / ".pulumi");
  put(file().string() + ".gz", "x");
  read = engine()->read(kId);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, "stack.unsupported");
  EXPECT_THAT(read.error().message, HasSubstr("dev.json.gz"));
}

TEST_F(EmbeddedTest, RespectsTheLocksOfOthers) {
  ASSERT_TRUE(keep(R"({"words":3})", R"({"count":1})"));
  const auto locks = temp_ / ".pulumi/locks/organization/demo/dev";
  put(locks / "a.json.attrs", "{}");
  put(locks / "a.json.0123456789abcdef.tmp", "{}");
  std::filesystem::create_directory(locks / "folder");
  ASSERT_TRUE(keep(R"({"words":4})", R"({"count":1})"));
  put(locks / "b.json",
      R"({"pid":4242,"username":"alice","hostname":"farhost","timestamp":"2026-11-21T08:00:00Z"})");
  const auto before = snapshot(temp_.path());
  auto done = keep(R"({"words":5})", R"({"count":1})");
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, "stack.locked");
  EXPECT_EQ(done.error().message,
            "the stack demo/dev is locked by alice@farhost (pid 4242) since 2026-11-21T08:00:00Z: " +
                (locks / "b.json").string());
  EXPECT_EQ(snapshot(temp_.path()), before);
  EXPECT_TRUE(engine()->read(kId));
  put(locks / "b.json", "garbage");
  done = keep(R"({"words":5})", R"({"count":1})");
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().message, HasSubstr("is locked by another process: "));
  EXPECT_TRUE(engine()->export_content({"demo", "other"}, {cbor(R"({"a":1})"), ""}));
}

TEST_F(EmbeddedTest, LeavesTheStackAsItWasWhenItCannotWrite) {
  ASSERT_TRUE(keep(R"({"words":3})", R"({"count":1})"));
  std::filesystem::permissions(temp_.path(), std::filesystem::perms(0755));
  for (const auto& entry : std::filesystem::recursive_directory_iterator(temp_.path())) {
    std::filesystem::permissions(entry.path(), std::filesystem::perms(entry.is_directory() ? 0555 : 0444));
  }
  const auto before = snapshot(temp_.path());
  EXPECT_EQ(in_unprivileged_child([&] {
              if (!engine()->read(kId)) return 1;
              auto done = keep(R"({"words":4})", "");
              return done || done.error().code != "state.read_only" ||
                             done.error().message.find((temp_ / ".pulumi").string()) == std::string::npos
                         ? 2
                         : 0;
            }),
            0);
  EXPECT_EQ(snapshot(temp_.path()), before);
}

TEST_F(EmbeddedTest, LeavesTheStackAsItWasWhenTheDiskIsFull) {
  if (::mount("none", temp_.path().c_str(), "tmpfs", 0, "size=256k") != 0) {
    GTEST_SKIP() << "mounting a small tmpfs needs root: " << strerror(errno);
  }
  struct Unmount {
    const std::filesystem::path& path;
    ~Unmount() { ::umount2(path.c_str(), MNT_DETACH); }
  } unmount{temp_.path()};
  ASSERT_TRUE(keep(R"({"words":3})", R"({"count":1})"));
  auto done = keep(R"({"words":")" + std::string(300000, 'x') + "\"}", "");
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, "state.full");
  EXPECT_EQ(content_of(file()), ours());
  for (const auto& [name, content] : snapshot(temp_.path()))
    EXPECT_THAT(name, testing::Not(HasSubstr(".tmp")));
  EXPECT_TRUE(keep(R"({"words":4})", ""));
}

}  // namespace
}  // namespace pf::iac
