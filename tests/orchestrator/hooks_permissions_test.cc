// What hooks may touch, and what they get to see.
#include "hooks_fixture.h"

namespace pf::orchestrator {
namespace {

// ---- permissions, secrets, files

TEST_F(HooksTest, NothingIsGrantedUnlessThePipelineFileGrantsIt) {
  add(HookStage::on_error, "hooks/a.lua",
      "local forge = require 'forge'\nreturn function() forge.http.get('https://hooks.example.org/x') end");
  const Decision decision = run(HookStage::on_error, 1);
  EXPECT_EQ(words(decision),
            "failed [permission.http]: hook:on_error:example.second (hooks/a.lua) tried "
            "forge.http.get: "
            "https://hooks.example.org/x, which no entry of `http` covers");
  EXPECT_EQ(decision.error.hint,
            "write at " + pipeline_->file.string() +
                ":7:3, in `hooks:` under on_error:\n  script: hooks/a.lua\n  permissions:\n    http: "
                "[hooks.example.org]");
  EXPECT_FALSE(decision.error.retryable);
  EXPECT_THAT(told_.refusals, ElementsAre("1 http.get permission.http"));
  hooks_.reset();
  door_.reset();
  EXPECT_THAT(folder_.read("audit.jsonl"), HasSubstr("\"instance\":\"hook:on_error:example.second\""));
}

TEST_F(HooksTest, EachKindOfPermissionIsAsked) {
  const std::vector<std::pair<std::string, std::string>> calls = {
      {"forge.fs.read('/etc/hostname')", "permission.read"},
      {"forge.fs.write('/tmp/x', 'x')", "permission.write"},
      {"forge.env.get('HOME')", "permission.env"},
      {"forge.secret.get('TOKEN')", "permission.secrets"},
      {"forge.process.run({'true'})", "permission.programs"}};
  for (const auto& [call, code] : calls) {
    EXPECT_THAT(
        said("local forge = require 'forge'\nreturn function() " + call + " end", HookStage::after_pipeline),
        HasSubstr("failed [" + code + "]"))
        << call;
  }
}

TEST_F(HooksTest, GrantsStartAtTheProject) {
  folder_.write("notes/a.txt", "from the project");
  add(HookStage::before_pipeline, "hooks/a.lua",
      "local forge = require 'forge'\nreturn function(e) error(forge.fs.read(e.project .. '/notes/a.txt'), "
      "0) end",
      {.permissions = R"({"read": ["notes"]})"});
  EXPECT_EQ(decided(HookStage::before_pipeline), "veto [hook.veto]: from the project");
}

TEST_F(HooksTest, TwoHooksOfOneScriptHaveTheirOwnGrants) {
  ::setenv("PF_HOOKS_TEST", "seen", 1);
  const std::string lua =
      "local forge = require 'forge'\nreturn function() forge.log.info(forge.env.get('PF_HOOKS_TEST')) end";
  add(HookStage::on_retry, "hooks/a.lua", lua, {.permissions = R"({"env": ["PF_HOOKS_TEST"]})"});
  add(HookStage::on_error, "hooks/a.lua", "");
  EXPECT_EQ(decided(HookStage::on_retry, 0), "none");
  EXPECT_THAT(decided(HookStage::on_error, 0), HasSubstr("failed [permission.env]"));
  EXPECT_THAT(told_.logs, ElementsAre("0 1 seen"));
  ::unsetenv("PF_HOOKS_TEST");
}

TEST_F(HooksTest, AWorkFolderLastsFromCallToCall) {
  const std::string lua =
      "local forge = require 'forge'\nreturn function() local n = forge.fs.exists('n') and "
      "forge.fs.read('n') or '' "
      "forge.fs.write('n', n .. 'x') forge.log.info(n) end";
  add(HookStage::on_retry, "hooks/a.lua", lua);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(decided(HookStage::on_retry, 0), "none");
  EXPECT_EQ(decided(HookStage::on_retry, 1), "none");
  EXPECT_THAT(told_.logs, ElementsAre("0 1 ", "0 1 x", "1 1 "));
  EXPECT_EQ(folder_.read("state/hooks/hooks%2Fa.lua/example.first/n"), "xx");
}

TEST_F(HooksTest, RunsPrograms) {
  add(HookStage::after_pipeline, "hooks/a.lua",
      "local forge = require 'forge'\nreturn function() forge.log.info(forge.process.run({'echo', "
      "'told'}).stdout) end",
      {.permissions = R"({"programs": ["echo"]})"});
  EXPECT_EQ(decided(HookStage::after_pipeline), "none");
  EXPECT_THAT(told_.logs, ElementsAre("pipeline 1 told\n"));
}

TEST_F(HooksTest, SecretsInTheEventAreMasked) {
  ASSERT_TRUE(secrets_.mark("s3cr3t-value"));
  EXPECT_EQ(
      said("return function(e) return { skip = e.outputs.url .. ' ' .. e.error.message } end",
           HookStage::before_instance,
           R"({"outputs": {"url": "https://s3cr3t-value@host"}, "error": {"message": "s3cr3t-value?"}})"),
      "skip: https://[secret]@host [secret]?");
}

TEST_F(HooksTest, ASecretThatIsGrantedIsHadAndMasked) {
  ::setenv("PANGEO_FORGE_SECRET_HOOK_TOKEN", "t0ken-of-the-hook", 1);
  add(HookStage::before_instance, "hooks/a.lua",
      "local forge = require 'forge'\nreturn function() return { config = { token = "
      "forge.secret.get('HOOK_TOKEN') } } "
      "end",
      {.permissions = R"({"secrets": ["HOOK_TOKEN"]})"});
  add(HookStage::before_instance, "hooks/b.lua", "return function(e) error(e.config.token, 0) end",
      {.instance = 1});
  const Decision decision = run(HookStage::before_instance, 0);
  EXPECT_EQ(words(decision), "config: token: (not set) -> \"[secret]\"");
  EXPECT_EQ(*decision.config, parse(R"({"token": "t0ken-of-the-hook"})"));
  EXPECT_EQ(decided(HookStage::before_instance, 1), "veto [hook.veto]: [secret]");
  ::unsetenv("PANGEO_FORGE_SECRET_HOOK_TOKEN");
}

TEST_F(HooksTest, WhatIsMaskedIsNeverPatchedIn) {
  ASSERT_TRUE(secrets_.mark("s3cr3t-value"));
  const std::string event = R"({"config": {"password": "s3cr3t-value", "n": 1}})";
  EXPECT_EQ(said("return function(e) e.config.n = 2 return { config = e.config } end",
                 HookStage::before_instance, event),
            "config: n: 1 -> 2");
  EXPECT_EQ(said("return function(e) return { config = { other = e.config.password } } end",
                 HookStage::before_instance, event),
            "failed [hook.result]: the hook hooks/one.lua of before_instance: config.other holds [secret], "
            "which stands in "
            "an event for what the hook may not see");
}

}  // namespace
}  // namespace pf::orchestrator
