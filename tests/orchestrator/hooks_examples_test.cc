// The scripts of examples/hooks, which stand in docs/pipelines.md as well (tests/e2e/pages_test.cc).
#include "hooks_fixture.h"
#include "support/http_peers.h"

namespace pf::orchestrator {
namespace {

class ExampleHooks : public HooksTest {
 protected:
  void example(HookStage stage, const std::string& name, const More& more = {}) {
    fs::create_directories(folder_.path() / "hooks");
    fs::copy_file(fs::path(PF_SOURCE_DIR) / "examples/hooks/hooks" / name, folder_.path() / "hooks" / name);
    add(stage, "hooks/" + name, "", more);
  }
};

TEST_F(ExampleHooks, Announce) {
  example(HookStage::after_instance, "announce.lua");
  EXPECT_EQ(decided(HookStage::after_instance, 0, R"({"result": "succeeded"})"), "none");
  EXPECT_THAT(told_.logs, ElementsAre("0 1 after_instance: example.first"));
}

TEST_F(ExampleHooks, Freeze) {
  example(HookStage::before_pipeline, "freeze.lua", {.permissions = R"({"read": ["FREEZE"]})"});
  EXPECT_EQ(decided(HookStage::before_pipeline), "none");
  folder_.write("FREEZE", "the auditors are here");
  EXPECT_EQ(decided(HookStage::before_pipeline), "veto [hook.veto]: frozen: the auditors are here");
}

TEST_F(ExampleHooks, Region) {
  example(HookStage::before_instance, "region.lua");
  EXPECT_EQ(decided(HookStage::before_instance, 0, R"({"config": {"labels": {"a": 1}}})"),
            "config: labels.owner: (not set) -> \"platform\", region: (not set) -> \"eu-west-1\"");
  EXPECT_EQ(decided(HookStage::before_instance, 0,
                    R"({"config": {"region": "us", "labels": {"owner": "platform"}}})"),
            "none");
}

TEST_F(ExampleHooks, OnceMore) {
  example(HookStage::on_error, "once_more.lua");
  EXPECT_EQ(decided(HookStage::on_error, 0, R"({"attempt": 1, "error": {"message": "over quota"}})"),
            "retry");
  EXPECT_EQ(decided(HookStage::on_error, 0, R"({"attempt": 1, "error": {"message": "other"}})"), "none");
}

TEST_F(ExampleHooks, OfficeHours) {
  example(HookStage::before_instance, "office_hours.lua");
  const std::string said = decided(HookStage::before_instance, 0);
  EXPECT_TRUE(said == "none" || said.starts_with("skip: it is ")) << said;
}

TEST_F(ExampleHooks, NotifyPostsToTheSecretAddress) {
  test::RawServer server([](const std::string&) {
    return test::RawServer::Reply{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"};
  });
  ::setenv("PANGEO_FORGE_SECRET_SLACK_URL", server.url("/services/T0/B0/long-secret").c_str(), 1);
  example(HookStage::on_error, "notify.lua",
          {.permissions = "{\"http\": [\"127.0.0.1:" + std::to_string(server.port()) +
                          "\"], \"secrets\": [\"SLACK_URL\"]}"});
  EXPECT_EQ(decided(HookStage::on_error, 0, R"({"result": "failed"})"), "none");
  ASSERT_EQ(server.requests().size(), 1U);
  const std::string request = server.requests()[0];
  EXPECT_THAT(request, HasSubstr("POST /services/T0/B0/long-secret HTTP/1.1"));
  EXPECT_EQ(parse(request.substr(request.find("\r\n\r\n") + 4)),
            parse(R"({"text": ":construction: *climate* example.first failed"})"));
  hooks_.reset();
  door_.reset();
  EXPECT_THAT(folder_.read("audit.jsonl"), Not(HasSubstr("long-secret")));
  ::unsetenv("PANGEO_FORGE_SECRET_SLACK_URL");
}

TEST_F(ExampleHooks, NotifySaysNothingOfOtherStages) {
  example(HookStage::after_instance, "notify.lua");
  EXPECT_EQ(decided(HookStage::after_instance, 0), "none");
  EXPECT_TRUE(told_.refusals.empty());
}

}  // namespace
}  // namespace pf::orchestrator
