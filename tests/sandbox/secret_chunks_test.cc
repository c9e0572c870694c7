// Secrets in pieces and in other writings, at every place where people or files get to see something.
#include <gmock/gmock.h>

#include <fstream>

#include "base/digest.h"
#include "support/attack.h"

namespace pf::test {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr const char* kValue = "tiger-7/+\"lily\" \xc3\xa9";

class SecretChunks : public testing::Test {
 protected:
  RunResult run_with(const std::string& body) {
    Attack attack;
    attack.manifest = "permissions: {secrets: [TOKEN], programs: [python3, sh]}\n";
    attack.environment = {{"PANGEO_FORGE_SECRET_TOKEN", kValue}};
    attack.bodies["bad"] = "local t = forge.secret.get('TOKEN')\n" + body;
    return run_attack(project, attack);
  }
  /// All that was printed, by JSON lines and in words, and all files that the run left, with their names.
  std::string everything(const RunResult& run) const {
    std::string out = run.output.out + run.output.err;
    for (const auto& args : std::vector<std::vector<std::string>>{{"logs", "p.yaml"},
                                                                  {"logs", "p.yaml", "--audit"},
                                                                  {"outputs", "p.yaml"},
                                                                  {"status", "p.yaml"}}) {
      const auto shown = project.forge(args);
      out += shown.out + shown.err;
    }
    const auto state = project.path() / ".pangeo-forge";
    for (const auto& entry : std::filesystem::recursive_directory_iterator(state)) {
      // What an extension writes into its own folder is its own.
      if (entry.path().string().find("/work/") != std::string::npos) continue;
      out += entry.path().string() + "\n";
      std::ifstream file(entry.path(), std::ios::binary);
      if (entry.is_regular_file()) out += std::string(std::istreambuf_iterator<char>(file), {}) + "\n";
    }
    return out;
  }
  static void expect_hidden(const std::string& text) {
    const std::string value = kValue;
    EXPECT_THAT(text, Not(HasSubstr("tiger")));
    EXPECT_THAT(text, Not(HasSubstr("lily")));
    for (const char* before : {"", "a", "ab"}) {
      EXPECT_THAT(text, Not(HasSubstr(base64_encode(before + value).substr(4, 12)))) << before;
    }
    EXPECT_THAT(text, Not(HasSubstr("74696765722d372f2b")));  // hexadecimal
    EXPECT_THAT(text, Not(HasSubstr("74696765722D372F2B")));
  }
  Project project;
};

TEST_F(SecretChunks, PrintedByteByByteAreWholeInWhatIsTold) {
  const auto run = run_with(R"(
    local slow = 'import os, sys, time\nfor c in sys.argv[1].encode():\n  os.write(int(sys.argv[2]), bytes([c]))\n'
      .. '  time.sleep(0.002)\nos.write(int(sys.argv[2]), b"\\n")\nsys.exit(1)'
    for stream = 1, 2 do
      local lines = {}
      local r = forge.process.run({'python3', '-c', slow, t, stream}, {on_line = function(line)
        lines[#lines + 1] = line
        forge.log.info(line)
        forge.progress(1, 2, line)
      end})
      forge.log.warn(r.stdout .. r.stderr)
      local _, e = forge.try(forge.process.run, {'python3', '-c', slow, t, stream}, {check = true})
      forge.log.error(e.message)
      outputs['lines' .. stream] = #lines
    end
    outputs.fine = true)");
  EXPECT_EQ(run.outputs("attack.bad"), Json({{"lines1", 1}, {"lines2", 1}, {"fine", true}}))
      << run.output.out;
  expect_hidden(everything(run));
}

TEST_F(SecretChunks, InFieldsNamesAndKeys) {
  const auto run = run_with(R"(
    forge.log.info('x', {token = t, list = {t, {deep = t}}, [t] = 1, joined = 'a' .. t .. 'b'})
    forge.log.info(('x'):rep(100) .. t .. t .. t)
    forge.try(forge.fs.read, '/nowhere/' .. t .. '/' .. t)
    forge.try(forge.fs.read, 'work-' .. t)
    forge.try(forge.fs.write, 'f-' .. t, 'x')
    forge.try(forge.http.get, 'https://example.org/' .. t)
    forge.try(forge.http.get, 'https://u:' .. t .. '@example.org/')
    forge.try(forge.env.get, t)
    forge.try(forge.git.clone, 'https://u:' .. t .. '@example.org/r', 'r')
    forge.try(forge.process.run, {t})
    outputs[t] = t
    outputs.list = {t, 'x' .. t}
    forge.fail {code = 'mine.failed', message = 'with ' .. t, hint = 'try ' .. t})");
  EXPECT_EQ(run.error_code("attack.bad"), "mine.failed") << run.output.out;
  EXPECT_EQ(run.error_message("attack.bad").substr(run.error_message("attack.bad").size() - 13),
            "with [secret]");
  expect_hidden(everything(run));
}

TEST_F(SecretChunks, InEveryWriting) {
  const auto run = run_with(R"(
    local function url(text) return (text:gsub('[^%w]', function(c) return ('%%%02X'):format(c:byte()) end)) end
    local function lower(text) return (text:gsub('[^%w]', function(c) return ('%%%02x'):format(c:byte()) end)) end
    local forms = {url(t), lower(t), forge.hex.encode(t), forge.hex.encode(t):upper(), forge.json.encode(t),
      forge.json.encode({t}), forge.base64.encode(t)}
    for _, before in ipairs {'a', 'ab', 'abc', 'user:'} do
      for _, after in ipairs {'', 'z', 'yz', '@host'} do forms[#forms + 1] = forge.base64.encode(before .. t .. after) end
    end
    for i, form in ipairs(forms) do
      forge.log.info(form)
      outputs['k' .. i] = form
    end
    error(table.concat(forms, ' ')))");
  EXPECT_EQ(run.result("attack.bad"), "failed") << run.output.out;
  expect_hidden(everything(run));
}

TEST_F(SecretChunks, AnOutputThatHoldsOneIsKeptMasked) {
  const auto run = run_with("outputs.url = 'https://u:' .. t .. '@x/'");
  EXPECT_EQ(run.outputs("attack.bad"), Json({{"url", "https://u:[secret]@x/"}})) << run.output.out;
  expect_hidden(everything(run));
}

}  // namespace
}  // namespace pf::test
