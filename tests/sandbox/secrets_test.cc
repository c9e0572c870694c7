// What becomes of secrets: the extension has them, nobody else gets to see them.
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "base/digest.h"
#include "support/pipelines.h"

namespace pf::test {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr const char* kValue = "tiger-7/+lily";

/// Every file below a folder, one after the other, with its name.
std::string everything(const std::filesystem::path& folder) {
  std::string out;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    out += entry.path().string() + "\n";
    std::ifstream file(entry.path(), std::ios::binary);
    if (entry.is_regular_file()) out += std::string(std::istreambuf_iterator<char>(file), {}) + "\n";
  }
  return out;
}

struct Ran {
  RunResult run;
  std::string text;   // the same in words
  std::string files;  // all that was left in the state folder
};

Ran run_with_secret(const std::string& body, const std::string& config = "",
                    const std::string& manifest = "permissions: {secrets: [TOKEN], programs: [sh]}\n") {
  Project project;
  project.extension("tool", execute(body), manifest,
                    "local s = require 'schema'\nreturn {Config = s.object {token = s.optional(s.any {})}}");
  project.extension("reader", execute("outputs.length = #config.value"), "",
                    "local s = require 'schema'\nreturn {Config = s.object {value = s.string {}}}");
  project.write("p.yaml", "p:\n  tool: [{name: a" + config + "}]\n");
  const std::map<std::string, std::string> environment = {{"PANGEO_FORGE_SECRET_TOKEN", kValue}};
  Ran out;
  auto text = project.forge({"run", "p.yaml", "-v"}, environment);
  out.text = text.out + text.err;
  out.run = run_pipeline(project, project.read("p.yaml"), {"-v", "--force"}, environment);
  out.text += out.run.output.out + out.run.output.err;
  auto outputs = project.forge({"outputs", "p.yaml"});
  out.text += outputs.out + outputs.err;
  out.files = everything(project.path() / ".pangeo-forge");
  return out;
}

/// In none of its forms.
void expect_nowhere(const Ran& ran) {
  const std::string value = kValue;
  for (const auto& [name, where] :
       {std::pair("the terminal", &ran.text), std::pair("the state folder", &ran.files)}) {
    EXPECT_THAT(*where, Not(HasSubstr(value))) << name;
    EXPECT_THAT(*where, Not(HasSubstr("tiger-7%2F%2Blily"))) << name;
    for (const char* before : {"", "a", "ab"}) {
      EXPECT_THAT(*where, Not(HasSubstr(base64_encode(before + value).substr(4, 10)))) << name;
    }
  }
}

TEST(Secrets, AreMaskedInLogsErrorsProgressAndAudit) {
  const auto ran = run_with_secret(
      "local t = forge.secret.get('TOKEN')\n"
      "forge.log.info('the token is ' .. t, {token = t, [t] = {t}})\n"
      "forge.log.warn(forge.base64.encode('a' .. t) .. ' ' .. forge.base64.encode('ab' .. t))\n"
      "forge.progress(1, 2, 'with ' .. t)\n"
      "forge.process.run({'sh', '-c', 'true ' .. t})\n"
      "forge.try(forge.fs.read, '/etc/' .. t)\n"
      "error('failed with ' .. t)");
  EXPECT_EQ(ran.run.result("tool.a"), "failed");
  EXPECT_EQ(ran.run.error_message("tool.a"), "extension.lua:11: failed with [secret]");
  EXPECT_THAT(ran.text, HasSubstr("the token is [secret]"));
  EXPECT_THAT(ran.files, HasSubstr("sh -c true [secret]"));
  expect_nowhere(ran);
}

TEST(Secrets, AreMaskedOverTheBordersOfWhatIsCut) {
  // Every place at which a long line or a program's last words could be cut through the secret.
  const auto ran = run_with_secret(
      "local t = forge.secret.get('TOKEN')\n"
      "for i = 65500, 65540, 3 do forge.log.info(('x'):rep(i) .. t) end\n"
      "for i = 580, 602, 2 do\n"
      "  forge.try(forge.process.run, {'sh', '-c', 'echo ' .. t .. ('y'):rep(i) .. '; exit 1'}, {check = "
      "true})\n"
      "  local _, e = forge.try(forge.process.run, {'sh', '-c', 'exit 1', t:rep(3)}, {check = true})\n"
      "  forge.log.info(e.message)\n"
      "end");
  EXPECT_EQ(ran.run.result("tool.a"), "succeeded") << ran.run.output.out;
  expect_nowhere(ran);
  EXPECT_THAT(ran.text, Not(HasSubstr("tiger")));
  EXPECT_THAT(ran.text, Not(HasSubstr("+lily")));
}

TEST(Secrets, OutputsThatHoldThemAreKeptMaskedAndReachOthersPlain) {
  Project project;
  project.extension("tool", execute("outputs.url = 'https://u:' .. forge.secret.get('TOKEN') .. '@x/'"),
                    "permissions: {secrets: [TOKEN]}\n");
  project.extension("reader", execute("outputs.length = #config.value"), "",
                    "local s = require 'schema'\nreturn {Config = s.object {value = s.string {}}}");
  const auto run = run_pipeline(project, R"(p:
  tool: [{name: a}]
  reader: [{name: b, value: "${tool.a.outputs.url}"}]
)",
                                {}, {{"PANGEO_FORGE_SECRET_TOKEN", kValue}});
  EXPECT_EQ(run.outputs("tool.a"), Json({{"url", "https://u:[secret]@x/"}})) << run.output.out;
  EXPECT_EQ(run.outputs("reader.b"), Json({{"length", 26}}));
  EXPECT_THAT(run.output.out, Not(HasSubstr(kValue)));
  EXPECT_THAT(everything(project.path() / ".pangeo-forge"), Not(HasSubstr(kValue)));
}

TEST(Secrets, OfThePipelineFileReachTheExtension) {
  const auto ran = run_with_secret("outputs.length = #config.token forge.log.info(config.token)",
                                   ", token: \"${secret.TOKEN}\"", "");
  EXPECT_EQ(ran.run.outputs("tool.a"), Json({{"length", 13}})) << ran.run.output.out;
  expect_nowhere(ran);
}

TEST(Secrets, AreMaskedInWhatTheCheckerSays) {
  Project project;
  project.extension("tool", execute(""), "",
                    "local s = require 'schema'\nreturn {Config = s.object {token = s.integer {}}}");
  const auto run = run_pipeline(project, "p:\n  tool: [{name: a, token: \"${secret.TOKEN}\"}]\n", {},
                                {{"PANGEO_FORGE_SECRET_TOKEN", kValue}});
  EXPECT_EQ(run.error_code("tool.a"), "config.type") << run.output.out;
  EXPECT_THAT(run.output.out, Not(HasSubstr(kValue)));
  EXPECT_THAT(everything(project.path() / ".pangeo-forge"), Not(HasSubstr(kValue)));
}

TEST(Secrets, AreNotKeptInStateWithoutAKey) {
  const auto ran = run_with_secret("self.state.token = forge.secret.get('TOKEN')");
  EXPECT_EQ(ran.run.error_code("tool.a"), "secret.state") << ran.run.output.out;
  expect_nowhere(ran);
}

TEST(Secrets, AValueCanBeMarked) {
  const auto ran = run_with_secret(
      "local made = 'tiger' .. '-7/+lily'\nforge.secret.mark(made)\nforge.log.info(made)\noutputs.made = "
      "made");
  EXPECT_EQ(ran.run.outputs("tool.a"), Json({{"made", "[secret]"}})) << ran.run.output.out;
}

TEST(Secrets, RefusalsHaveTheirCodes) {
  Project project;
  for (const auto& [name, code] : {std::pair("SHORT", "secret.short"), std::pair("MISSING", "secret.missing"),
                                   std::pair("OTHER", "permission.secrets")}) {
    project.extension(
        "tool",
        execute("outputs.code = select(2, forge.try(forge.secret.get, '" + std::string(name) + "')).code"),
        "permissions: {secrets: [SHORT, MISSING]}\n");
    const auto one =
        run_pipeline(project, "p:\n  tool: [{name: a}]\n", {}, {{"PANGEO_FORGE_SECRET_SHORT", "12345"}});
    EXPECT_EQ(one.outputs("tool.a"), Json({{"code", code}})) << one.output.out;
  }
}

TEST(Secrets, StandInTheConfigurationOnly) {
  Project project;
  project.extension("tool", execute(""));
  for (const char* yaml : {"p:\n  core: {variables: {v: '${secret.TOKEN}'}}\n  tool: [{name: a}]\n",
                           "p:\n  tool: [{name: 'x${secret.TOKEN}'}]\n",
                           "p:\n  tool: [{name: a, stack: 'x${secret.TOKEN}'}]\n"}) {
    const auto run = run_pipeline(project, yaml, {}, {{"PANGEO_FORGE_SECRET_TOKEN", kValue}});
    EXPECT_EQ(run.output.code, 3) << yaml;
    EXPECT_THAT(run.output.out, HasSubstr("expression.secret")) << yaml;
    EXPECT_THAT(run.output.out, Not(HasSubstr(kValue))) << yaml;
  }
  const auto env =
      run_pipeline(project, "p:\n  tool: [{name: a, stack: '${env.PANGEO_FORGE_SECRET_TOKEN}'}]\n", {},
                   {{"PANGEO_FORGE_SECRET_TOKEN", kValue}});
  EXPECT_EQ(env.output.code, 3);
  EXPECT_THAT(env.output.out, HasSubstr("write secret.TOKEN"));
}

}  // namespace
}  // namespace pf::test
