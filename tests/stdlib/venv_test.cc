// stdlib/venv with a file system and a process.run of the test's own: what is run, when, and who waits for
// whom. tests/e2e/utilities_test.cc makes a real environment.
#include <algorithm>
#include <map>

#include "stdlib/support.h"

namespace pf::vm::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// Files in memory, a clock that sleeping moves on, and process.run in Lua over `forge.log.debug`.
class World {
 public:
  World() {
    host.answer = [this](const std::string& name, const Json& arguments) { return answer(name, arguments); };
  }

  /// What `body` returns; `venv` and `forge` are at hand. `run(argv)` of the test decides what programs do.
  /// `uv` is what `uv --version` does; empty where it is not installed.
  Json operator()(const std::string& body, const std::string& uv = "") {
    return with("venv",
                R"(
      forge.process = { run = function(argv, options)
        forge.log.debug(table.concat(argv, " "), options)
        if argv[1] == "uv" and argv[2] == "--version" then )" +
                    (uv.empty() ? "error('uv is not there')" : uv) + R"( end
        if argv[1] == "broken" then return { code = 1, stdout = "", stderr = "one\ntwo\n" } end
        if argv[2] == "-c" and argv[3]:find("sysconfig", 1, true) then
          return { code = 0, stdout = "cpython 3.11.2 linux-x86_64\n/work/" .. argv[4] .. "\n)" +
                    (uv.empty() ? "" : "/usr/bin/uv") + R"(\n", stderr = "" }
        end
        if argv[2] == "-m" and argv[3] == "venv" then forge.fs.mkdir(argv[4]) end
        forge.time.sleep(3)
        return { code = 0, stdout = "", stderr = "" }
      end }
      )" + body,
                host);
  }

  /// The command lines that were run, without those that only look.
  std::vector<std::string> made() const {
    std::vector<std::string> out;
    for (const std::string& line : host.logged()) {
      if (line.find("sysconfig") == std::string::npos && line.find("--version") == std::string::npos)
        out.push_back(line.substr(7));
    }
    return out;
  }

  FakeHost host;
  std::map<std::string, std::string> files;
  double now = 1000;
  std::function<void(World&)> on_sleep;

 private:
  bool there(const std::string& path) const {
    return std::any_of(files.begin(), files.end(), [&](const auto& file) {
      return file.first == path || file.first.starts_with(path + "/");
    });
  }
  Result<Json> answer(const std::string& name, const Json& arguments) {
    if (name == "time.now") return Json(now);
    if (name == "time.sleep") {
      now += arguments[0].get<double>();
      if (on_sleep) on_sleep(*this);
      return Json(nullptr);
    }
    std::string path = arguments.at(0);
    if (path.starts_with("/work/")) path.erase(0, 6);
    if (name == "fs.read") {
      if (files.count(path) == 0) return fail("os.enoent", "there is no " + path);
      return Json(files[path]);
    }
    if (name == "fs.exists") return Json(there(path));
    if (name == "fs.write") files[path] = arguments[1];
    if (name == "fs.mkdir") files[path + "/"] = "";
    if (name == "fs.remove") erase(path);
    if (name == "fs.move") {
      std::string to = arguments[1];
      if (to.starts_with("/work/")) to.erase(0, 6);
      if (there(to))
        return fail("os.enotempty", "cannot move " + path + " to " + to + ": Directory not empty");
      std::map<std::string, std::string> moved;
      for (const auto& [file, text] : files) {
        if (file.starts_with(path + "/")) moved[to + file.substr(path.size())] = text;
      }
      erase(path);
      files.merge(moved);
    }
    return Json(nullptr);
  }
  void erase(const std::string& path) {
    std::erase_if(files,
                  [&](const auto& file) { return file.first == path || file.first.starts_with(path + "/"); });
  }
};

std::string key_of(World& world, const std::string& requirements) {
  return world("return venv.make { requirements = " + requirements + " }.key").get<std::string>();
}

TEST(Venv, MadeOnceByPip) {
  World world;
  const Json made = world(R"(
    local first = venv.make { requirements = { "numpy==1.26.4", "  # a comment", "", "xarray" } }
    local second = venv.make { requirements = { "numpy==1.26.4", "xarray  # the same" } }
    return { first = first.made, second = second.made, same = first.path == second.path, key = first.key,
      path = first.path, python = first.python })");
  ASSERT_TRUE(made.is_object()) << made;
  const std::string path = "/work/venvs/" + made["key"].get<std::string>();
  EXPECT_EQ(made["key"].get<std::string>().size(), 32U);
  EXPECT_EQ(made["first"], true);
  EXPECT_EQ(made["second"], false);
  EXPECT_EQ(made["same"], true);
  EXPECT_EQ(made["path"], path);
  EXPECT_EQ(made["python"], path + "/bin/python");
  EXPECT_THAT(world.made(),
              ElementsAre("python3 -m venv " + path,
                          "python3 -c import os, sys; os.execv(sys.argv[1], sys.argv[1:]) " + path +
                              "/bin/python -m pip install --no-input --disable-pip-version-check -r " + path +
                              "/requirements.txt"));
  const std::string below = path.substr(6);
  EXPECT_EQ(world.files[below + "/requirements.txt"], "numpy==1.26.4\nxarray\n");
  EXPECT_EQ(world.files.count(below + "/complete"), 1U);
  for (const auto& [file, text] : world.files) EXPECT_EQ(file.find(".lock"), std::string::npos) << file;
}

TEST(Venv, MadeByUvWhereItIsThere) {
  World world;
  const Json made = world("return venv.make { requirements = { 'numpy' }, env = { A = 'b' } }.path",
                          "return { code = 0, stdout = 'uv 0.5', stderr = '' }");
  const std::string path = made.get<std::string>();
  EXPECT_THAT(world.made(), ElementsAre("uv venv --python python3 " + path, "uv pip install --python " +
                                                                                path + "/bin/python -r " +
                                                                                path + "/requirements.txt"));
  for (const auto& call : world.host.calls) {
    if (call.name == "log.debug" && call.arguments[0].get<std::string>().starts_with("uv pip")) {
      EXPECT_EQ(call.arguments[1], parse(R"({"env": {"A": "b"}, "timeout": 1800})"));
    }
  }
}

TEST(Venv, WithoutUvPipIsTaken) {
  World refused;
  refused("return venv.make { requirements = {} }.path",
          "forge.fail { code = 'permission.programs', message = 'no uv', retryable = false }");
  ASSERT_EQ(refused.made().size(), 1U);  // nothing to install
  EXPECT_THAT(refused.made()[0], HasSubstr("python3 -m venv /work/venvs/"));
  // Nobody asks for a uv that is not installed: that would be a refusal in the log of every run.
  World missing;
  missing("return venv.make { requirements = {} }.path");
  for (const std::string& line : missing.host.logged())
    EXPECT_EQ(line.find("uv --version"), std::string::npos);
  World chosen;
  chosen("return venv.make { requirements = {}, installer = 'uv' }.path", "error('asked')");
  EXPECT_THAT(chosen.made()[0], HasSubstr("uv venv --python python3 /work/venvs/"));
}

TEST(Venv, TheKeyIsOfAllThatCounts) {
  World world;
  const std::string one = key_of(world, "{ 'a' }");
  EXPECT_EQ(key_of(world, "{ 'a # note' }"), one);
  EXPECT_NE(key_of(world, "{ 'b' }"), one);
  EXPECT_NE(key_of(world, "{ 'a', 'b' }"), key_of(world, "{ 'b', 'a' }"));
}

TEST(Venv, RequirementsFiles) {
  World world;
  world.files["reqs/main.txt"] = "a==1\r\n-r more/extra.txt\n--find-links wheels\nlong \\\n  line\n";
  world.files["reqs/more/extra.txt"] = "b==2 # two\n";
  const std::string key = key_of(world, "'reqs/main.txt'");
  EXPECT_EQ(world.files["venvs/" + key + "/requirements.txt"],
            "a==1\nb==2\n--find-links wheels\nlong   line\n");
  world.files["reqs/more/extra.txt"] = "b==3\n";
  EXPECT_NE(key_of(world, "'reqs/main.txt'"), key);
  const auto failure = [&](const std::string& requirements) {
    return world("local _, e = forge.try(venv.make, { requirements = " + requirements +
                 " }) return e.code .. ': ' .. e.message");
  };
  for (const char* line :
       {"-e .", "--editable=x", "-c limits.txt", "./local", "/abs/x.whl", "x @ file:///tmp/x"}) {
    EXPECT_EQ(failure("{ '" + std::string(line) + "' }"),
              "venv.requirements: extension.lua:16: the requirement `" + std::string(line) +
                  "` names a file, whose content is not seen");
  }
  world.files["loop.txt"] = "-r loop.txt\n";
  EXPECT_EQ(failure("'loop.txt'"),
            "venv.requirements: extension.lua:16: requirements files include each other more "
            "than 8 levels deep");
  EXPECT_EQ(failure("'none.txt'"), "os.enoent: there is no none.txt");
}

TEST(Venv, WhatFailsIsToldAndTriedAgainLater) {
  World world;
  EXPECT_EQ(world("local _, e = forge.try(venv.make, { requirements = {}, python = 'broken' }) "
                  "return { e.code, e.message, e.retryable }"),
            parse(R"(["venv.failed", "broken failed with exit code 1:\none\ntwo", true])"));
  const Json twice = world(R"(
    local run, failing = forge.process.run, true
    forge.process.run = function(argv, options)
      if argv[3] == "venv" and failing then
        forge.fs.write(argv[4] .. "/half", "x")
        return { code = -1, signal = 'SIGKILL', stdout = "", stderr = "killed" }
      end
      return run(argv, options)
    end
    local _, e = forge.try(venv.make, { requirements = {} })
    failing = false
    local second = venv.make { requirements = {} }
    return { message = e.message, made = second.made, half = forge.fs.exists(second.path .. "/half") })");
  EXPECT_EQ(
      twice,
      parse(R"({"message": "python3 -m venv failed with SIGKILL:\nkilled", "made": true, "half": false})"));
}

TEST(Venv, OthersWaitForTheOneThatMakesIt) {
  World world;
  const std::string key = key_of(world, "{}");
  const std::string path = "venvs/" + key;
  world.files.clear();
  world.files[path + ".lock/beat"] = "999";
  world.on_sleep = [&](World& w) {
    if (w.now > 1003) w.files[path + "/complete"] = "now";
  };
  world.host.calls.clear();
  EXPECT_EQ(world("return venv.make { requirements = {} }.made"), false);
  EXPECT_THAT(world.made(), IsEmpty());
}

TEST(Venv, AWaitThatIsTooLongEnds) {
  World world;
  const std::string path = "venvs/" + key_of(world, "{}");
  world.files.clear();
  world.on_sleep = [&](World& w) { w.files[path + ".lock/beat"] = std::to_string(w.now); };
  world.files[path + ".lock/beat"] = "1000";
  EXPECT_EQ(world("local _, e = forge.try(venv.make, { requirements = {}, timeout = 100 }) return e.code"),
            "venv.timeout");
}

TEST(Venv, ALockThatWasLeftBehindIsTakenOver) {
  World world;
  const std::string path = "venvs/" + key_of(world, "{}");
  world.files.clear();
  world.files[path + ".lock/beat"] = "100";
  world.files[path + "/half"] = "left behind";
  world.now = 1000;
  EXPECT_EQ(world("return venv.make { requirements = {} }.made"), true);
  EXPECT_EQ(world.files.count(path + "/half"), 0U);
  EXPECT_EQ(world.files.count(path + ".lock/beat"), 0U);
}

TEST(Venv, Run) {
  World world;
  world(
      "local env = venv.make { requirements = {} } return env:run({ 'python', 'a b.py', '-x' }, { cwd = 'x' "
      "}).code");
  const std::string last = world.made().back();
  EXPECT_THAT(last, HasSubstr("python3 -c import os, sys; os.execv(sys.argv[1], sys.argv[1:]) /work/venvs/"));
  EXPECT_THAT(last, HasSubstr("/bin/python a b.py -x"));
  const std::string at = "extension.lua:16: environment:run: ";
  EXPECT_EQ(
      world("local env = venv.make { requirements = {} } return select(2, forge.try(env.run, env, { "
            "'/bin/sh' })).message"),
      at + "argument 1 (argv) must be a list that begins with the name of a program of the environment");
  EXPECT_EQ(world("local env = venv.make { requirements = {} } return select(2, forge.try(env.run, { 'x' "
                  "})).message"),
            at + "call it with a colon");
}

TEST(Venv, Arguments) {
  World world;
  const auto failure = [&](const std::string& options) {
    return world("return select(2, forge.try(venv.make, " + options + ")).message");
  };
  const std::string at = "extension.lua:16: venv.make: ";
  EXPECT_EQ(failure("5"), at + "argument 1 (options) must be a table, found number");
  EXPECT_EQ(failure("{ requirments = {} }"), at + "there is no option `requirments`; there are env, folder, "
                                                  "installer, python, requirements, timeout");
  EXPECT_EQ(failure("{}"), at + "requirements must be the name of a file or a list of lines, found nil");
  EXPECT_EQ(failure("{ requirements = { 5 } }"), at + "requirements must be texts, found a number");
  EXPECT_EQ(failure("{ requirements = {}, installer = 'conda' }"),
            at + "installer must be uv or pip, found conda");
  EXPECT_EQ(failure("{ requirements = {}, python = '' }"), at + "python must be a text, found an empty one");
  EXPECT_EQ(failure("{ requirements = {}, folder = 5 }"), at + "folder must be a text, found number");
  EXPECT_EQ(failure("{ requirements = {}, env = 5 }"), at + "env must be a table, found number");
  EXPECT_EQ(failure("{ requirements = {}, timeout = 0 }"),
            at + "timeout must be a number of seconds up to 86400, found 0");
}

}  // namespace
}  // namespace pf::vm::testing
