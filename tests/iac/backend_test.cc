#include "iac/backend.h"

#include <gmock/gmock.h>

#include "iac/helpers.h"

namespace pf::iac {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::MatchesRegex;

const StackId kId{"demo", "dev"};

class BackendTest : public testing::Test {
 protected:
  std::vector<std::string> names(const std::string& folder) const {
    std::vector<std::string> out;
    for (const auto& entry : std::filesystem::directory_iterator(temp_ / folder))
      out.push_back(entry.path().filename());
    std::sort(out.begin(), out.end());
    return out;
  }
  std::string host() const {
    const auto lock = backend_.lock(kId);
    return (*parse_json(content_of(lock->file())))["hostname"];
  }

  TempFolder temp_;
  StandingClock clock_;
  Backend backend_{temp_.path(), clock_};
};

TEST_F(BackendTest, LocksAsTheCliDoesAndGivesBack) {
  {
    const auto lock = backend_.lock(kId);
    ASSERT_TRUE(lock) << lock.error().text();
    EXPECT_THAT(names(".pulumi/locks/organization/demo/dev"),
                ElementsAre(MatchesRegex("[0-9a-f-]{36}[.]json")));
    const auto content = parse_json(content_of(lock->file()));
    ASSERT_TRUE(content);
    EXPECT_EQ((*content)["pid"], ::getpid());
    EXPECT_EQ((*content)["timestamp"], "2026-01-02T03:04:05.6Z");
    EXPECT_TRUE((*content)["username"].is_string());
    const auto second = backend_.lock(kId);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, "stack.locked");
    EXPECT_THAT(second.error().message,
                HasSubstr("(pid " + std::to_string(::getpid()) + ") since 2026-01-02"));
    EXPECT_TRUE(backend_.lock({"demo", "prod"}));
  }
  EXPECT_THAT(names(".pulumi/locks/organization/demo/dev"), ElementsAre());
  EXPECT_TRUE(backend_.lock(kId));
}

TEST_F(BackendTest, RemovesLocksThatDeadProcessesOfThisProgramLeftAndNoOther) {
  const std::string folder = ".pulumi/locks/organization/demo/dev/";
  const auto lock_of = [&](const std::string& name, const std::string& more) {
    return R"({"pid":)" + std::to_string(::getpid()) + R"(,"username":"me","hostname":")" + name +
           R"(","timestamp":"2026-01-01T00:00:00Z")" + more + "}";
  };
  const std::string here = host();
  put(temp_ / (folder + "a.json"), lock_of(here, R"(,"pangeo_forge":true)"));
  EXPECT_TRUE(backend_.lock(kId));
  EXPECT_THAT(names(folder), ElementsAre());
  // The CLI's, and one of another host.
  for (const std::string& foreign : {lock_of(here, ""), lock_of("elsewhere", R"(,"pangeo_forge":true)")}) {
    put(temp_ / (folder + "a.json"), foreign);
    const auto lock = backend_.lock(kId);
    ASSERT_FALSE(lock);
    EXPECT_EQ(lock.error().code, "stack.locked");
    EXPECT_THAT(names(folder), ElementsAre("a.json"));
  }
}

TEST_F(BackendTest, ListsTheStacksOfAProject) {
  EXPECT_TRUE(backend_.list("demo")->empty());
  for (const char* stack : {"b", "a"}) ASSERT_TRUE(backend_.write({"demo", stack}, nullptr, "{}"));
  ASSERT_TRUE(backend_.write({"demo", "a"}, nullptr, "{}"));
  ASSERT_TRUE(backend_.write({"other", "c"}, nullptr, "{}"));
  std::vector<std::string> found;
  const auto stacks = backend_.list("demo");
  ASSERT_TRUE(stacks);
  for (const StackId& id : *stacks) found.push_back(id.stack);
  EXPECT_THAT(found, ElementsAre("a", "b"));
  EXPECT_EQ(backend_.list("../demo").error().code, "stack.name");
}

TEST_F(BackendTest, RecordsWhatTookPlaceAsTheCliDoes) {
  UpdateInfo update;
  update.kind = "update";
  update.message = "run <1>";
  update.started = update.ended = clock_.now;
  update.config = {{"demo:size", {{"value", "7"}, {"secure", false}}}};
  update.succeeded = true;
  update.changes = {{"same", 2}, {"create", 1}};
  ASSERT_TRUE(backend_.record(kId, update, "{}"));
  clock_.now += std::chrono::seconds(1);
  update.succeeded = false;
  update.changes.clear();
  ASSERT_TRUE(backend_.record(kId, update, "{\"version\":3}"));
  EXPECT_THAT(names(".pulumi/history/demo/dev"),
              ElementsAre("dev-1767323045600000000.checkpoint.json", "dev-1767323045600000000.history.json",
                          "dev-1767323046600000000.checkpoint.json", "dev-1767323046600000000.history.json"));
  EXPECT_THAT(names(".pulumi/backups/demo/dev"),
              ElementsAre("dev.1767323045600000000.json", "dev.1767323046600000000.json"));
  EXPECT_EQ(content_of(temp_ / ".pulumi/history/demo/dev/dev-1767323045600000000.history.json"),
            R"({"kind":"update","startTime":1767323045,"message":"run <1>","environment":{},)"
            R"("config":{"demo:size":{"secure":false,"value":"7"}},"version":0,"result":"succeeded",)"
            R"("endTime":1767323045,"resourceChanges":{"create":1,"same":2}})");
  const auto history = backend_.history(kId);
  ASSERT_TRUE(history) << history.error().text();
  ASSERT_EQ(history->size(), 2U);
  EXPECT_FALSE((*history)[0].succeeded);
  EXPECT_EQ((*history)[1].changes, (std::map<std::string, uint32_t>{{"create", 1}, {"same", 2}}));
  put(temp_ / ".pulumi/history/demo/dev/dev-1767323047600000000.history.json", "{");
  EXPECT_EQ(backend_.history(kId).error().code, "stack.damaged");
}

TEST_F(BackendTest, RemovesAStackAsTheCliDoes) {
  ASSERT_TRUE(backend_.write(kId, nullptr, "{}"));
  ASSERT_TRUE(backend_.record(kId, {}, "{}"));
  ASSERT_TRUE(backend_.remove(kId));
  EXPECT_THAT(names(".pulumi/stacks/demo"), ElementsAre("dev.json.bak"));
  EXPECT_FALSE(std::filesystem::exists(temp_ / ".pulumi/history/demo/dev"));
  EXPECT_EQ(names(".pulumi/backups/demo/dev").size(), 1U);
  EXPECT_FALSE(backend_.read(kId)->has_value());
}

}  // namespace
}  // namespace pf::iac
