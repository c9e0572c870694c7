// Secret outputs: masked at every sink, and shown by `outputs --show-secrets` alone, to who has the
// passphrase.
#include <gmock/gmock.h>

#include "support/pipelines.h"

namespace pf::test {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr const char* kValue = "tiger-7/+lily";
using Environment = std::map<std::string, std::string>;
const Environment kKey = {{"PANGEO_FORGE_PASSPHRASE", "correct horse"}};

struct SecretsShown : testing::Test {
  Project project;
  // Two runs, the second of which has an instance more, so that they differ.
  void run_twice(const std::string& core, Environment environment) const {
    environment["PANGEO_FORGE_SECRET_TOKEN"] = kValue;
    project.extension(
        "t", execute("outputs.url = 'https://u:' .. forge.secret.get('TOKEN') .. '@x/' outputs.n = 1"),
        "permissions: {secrets: [TOKEN]}\n");
    for (const char* names : {"[{name: a}]", "[{name: a}, {name: b}]"}) {
      project.write("p.yaml", "p:\n" + core + "  t: " + names + "\n");
      const auto ran = project.forge({"run", "p.yaml", "-v", "--report", "run.html", "--metrics", "run.prom"},
                                     environment);
      EXPECT_EQ(ran.code, 0) << ran.out << ran.err;
      EXPECT_THAT(ran.out + ran.err, Not(HasSubstr(kValue)));
    }
  }
  std::string said(std::vector<std::string> words, const Environment& environment) const {
    const auto output = project.forge(std::move(words), environment);
    EXPECT_EQ(output.code, 0) << output.out << output.err;
    return output.out + output.err;
  }
};

TEST_F(SecretsShown, AreMaskedAtEverySinkWithoutTheOption) {
  run_twice("", kKey);
  std::vector<std::string> runs;
  const auto list = parse_json(said({"runs", "list", "p.yaml", "--format", "json"}, kKey));
  ASSERT_TRUE(list);
  for (const auto& run : (*list)["runs"]) runs.push_back(run["run"].get<std::string>());
  ASSERT_EQ(runs.size(), 2U);
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"outputs", "p.yaml"},
                                             {"outputs", "p.yaml", "t.a", "-v"},
                                             {"outputs", "p.yaml", "--format", "json"},
                                             {"runs", "show", "p.yaml"},
                                             {"runs", "show", "p.yaml", "--format", "json"},
                                             {"runs", "diff", "p.yaml", runs[1], runs[0]},
                                             {"runs", "diff", "p.yaml", runs[1], runs[0], "--format", "json"},
                                             {"runs", "export", "p.yaml"},
                                             {"status", "p.yaml", "-v"},
                                             {"status", "p.yaml", "--format", "json"},
                                             {"logs", "p.yaml"},
                                             {"logs", "p.yaml", "--audit"},
                                             {"logs", "p.yaml", "--reads"},
                                             {"preview", "p.yaml"},
                                             {"config", "p.yaml"},
                                             {"graph", "p.yaml", "--results", "--format", "json"}}) {
    EXPECT_THAT(said(words, kKey), Not(HasSubstr(kValue))) << words[0] << " " << words.back();
  }
  // They are named where outputs are, so that it is seen that there is one.
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
           {"outputs", "p.yaml"}, {"outputs", "p.yaml", "--format", "json"}, {"runs", "export", "p.yaml"}}) {
    EXPECT_THAT(said(words, kKey), HasSubstr("https://u:[secret]@x/")) << words[0];
  }
  const std::string report = project.read("run.html");
  EXPECT_THAT(report, HasSubstr("https://u:[secret]@x/"));
  EXPECT_THAT(report, Not(HasSubstr(kValue)));
  EXPECT_THAT(project.read("run.prom"), Not(HasSubstr(kValue)));
}

TEST_F(SecretsShown, ByOutputsAloneAndOnlyWithThePassphrase) {
  run_twice("", kKey);
  EXPECT_THAT(said({"outputs", "p.yaml", "--show-secrets", "-v"}, kKey),
              HasSubstr("https://u:tiger-7/+lily@x/"));
  const auto json = parse_json(said({"outputs", "p.yaml", "--show-secrets", "--format", "json"}, kKey));
  ASSERT_TRUE(json);
  EXPECT_EQ((*json)["t"]["a"], Json({{"n", 1}, {"url", "https://u:tiger-7/+lily@x/"}}));
  for (const Environment& wrong : {Environment{}, Environment{{"PANGEO_FORGE_PASSPHRASE", "wrong horse"}}}) {
    const auto refused = project.forge({"outputs", "p.yaml", "--show-secrets"}, wrong);
    EXPECT_NE(refused.code, 0);
    EXPECT_THAT(refused.err, HasSubstr("[state.passphrase]"));
    EXPECT_THAT(refused.out + refused.err, Not(HasSubstr(kValue)));
  }
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"run", "p.yaml"},
                                             {"runs", "show", "p.yaml"},
                                             {"runs", "export", "p.yaml"},
                                             {"status", "p.yaml"},
                                             {"logs", "p.yaml"},
                                             {"config", "p.yaml"},
                                             {"preview", "p.yaml"}}) {
    std::vector<std::string> with = words;
    with.emplace_back("--show-secrets");
    const auto refused = project.forge(with, kKey);
    EXPECT_EQ(refused.code, 3) << words[0];
    EXPECT_THAT(refused.err, HasSubstr("--show-secrets")) << words[0];
  }
}

TEST_F(SecretsShown, WithThePassphraseThatThePipelineFileNames) {
  project.write("key", "correct horse\n");
  run_twice("  core: {secrets: {passphrase: {file: key}}}\n", {});
  EXPECT_THAT(said({"outputs", "p.yaml", "--show-secrets", "-v"}, {}),
              HasSubstr("https://u:tiger-7/+lily@x/"));
  project.write("key", "wrong horse\n");
  EXPECT_THAT(project.forge({"outputs", "p.yaml", "--show-secrets"}, kKey).err,
              HasSubstr("[state.passphrase]"));
}

}  // namespace
}  // namespace pf::test
