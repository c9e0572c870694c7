// `pangeo-forge run` as a user sees it: results, outputs, order, retries, state, events.
#include <gtest/gtest.h>

#include <algorithm>

#include "support/pipelines.h"

namespace pf::test {
namespace {

constexpr char kWordsModels[] = R"(local s = require 'schema'
return {Config = s.object {file = s.path {kind = 'file', input = true}, note = s.string {default = 'none'}}}
)";
constexpr char kWords[] = R"(
  local text = forge.fs.read(config.file)
  local _, words = text:gsub('%S+', '')
  outputs.words = words
  outputs.note = config.note
)";

TEST(Run, GivesOutputsToThoseThatReferToThem) {
  Project project;
  project.write("a.txt", "one two three\n");
  project.extension("words", execute(kWords), "permissions: {read: ['${config.file}']}\n", kWordsModels);
  project.extension("sum", execute("outputs.double = config.n * 2 outputs.kind = type(config.n)"), "",
                    "local s = require 'schema' return {Config = s.object {n = s.integer {}}}");
  const auto run = run_pipeline(project, R"(p:
  sum: [{name: twice, n: "${words.a.outputs.words}"}]
  words: [{name: a, file: a.txt}]
)");
  EXPECT_EQ(run.output.code, 0) << run.output.out << run.output.err;
  EXPECT_EQ(run.outputs("words.a"), Json({{"words", 3}, {"note", "none"}}));
  EXPECT_EQ(run.outputs("sum.twice"), Json({{"double", 6}, {"kind", "number"}}));
  const auto outputs = project.forge({"outputs", "p.yaml", "--format", "json"});
  EXPECT_EQ(outputs.code, 0);
  EXPECT_EQ(parse_json(outputs.out).value(),
            Json::parse(
                R"({"sum":{"twice":{"double":6,"kind":"number"}},"words":{"a":{"words":3,"note":"none"}}})"));
}

TEST(Run, EventsComeAsTheInterfaceSays) {
  Project project;
  project.extension("t",
                    execute("forge.log.info('hello', {n = 1}) forge.progress(1, 2, 'half') outputs.x = 1"));
  const auto run = run_pipeline(project, "p:\n  t: [{name: a}]\n");
  std::vector<std::string> names;
  for (const auto& event : run.all) {
    names.push_back(event.at("event"));
    EXPECT_TRUE(event.at("time").is_string());
    EXPECT_EQ(event.at("run"), run.all.front().at("run"));
  }
  EXPECT_EQ(names, (std::vector<std::string>{"run_started", "instance_started", "log", "progress",
                                             "instance_finished", "run_finished"}));
  EXPECT_EQ(run.all[0]["schema"], 1);
  EXPECT_EQ(run.all[0]["pipeline"], "p");
  EXPECT_EQ(run.all[0]["instances"], 1);
  EXPECT_TRUE(run.all[0]["sandbox"].is_object());
  EXPECT_EQ(run.all[1]["instance"], "t.a");
  EXPECT_EQ(run.all[1]["attempt"], 1);
  EXPECT_EQ(run.all[2]["message"], "hello");
  EXPECT_EQ(run.all[2]["fields"], Json({{"n", 1}}));
  EXPECT_EQ(run.all[3]["done"], 1);
  EXPECT_EQ(run.all[3]["total"], 2);
  EXPECT_EQ(run.all[4]["result"], "succeeded");
  EXPECT_EQ(run.finished["result"], "succeeded");
}

TEST(Run, RetriesAndSaysSo) {
  Project project;
  project.extension("flaky", execute(R"(
    local n = 0
    if forge.fs.exists('count') then n = tonumber(forge.fs.read('count')) end
    forge.fs.write('count', tostring(n + 1))
    if n < 2 then error('try again') end
    outputs.attempts = n + 1
  )"));
  const auto run =
      run_pipeline(project, "p:\n  core: {execution_defaults: {max_attempts: 3}}\n  flaky: [{name: a}]\n");
  EXPECT_EQ(run.output.code, 0) << run.output.out;
  EXPECT_EQ(run.outputs("flaky.a"), Json({{"attempts", 3}}));
  const auto failures = std::count_if(run.all.begin(), run.all.end(),
                                      [](const Json& e) { return e["event"] == "attempt_failed"; });
  EXPECT_EQ(failures, 2);
}

TEST(Run, AFailureBlocksDependentsAndExitsOne) {
  Project project;
  project.extension("t", execute("if self.name == 'bad' then error('no luck') end outputs.ok = true"));
  const auto run = run_pipeline(project, R"(p:
  t:
    - {name: bad}
    - {name: after, depends_on: [t.bad]}
    - {name: later, depends_on: [t.after]}
    - {name: apart}
)");
  EXPECT_EQ(run.output.code, 1);
  EXPECT_EQ(run.result("t.bad"), "failed");
  EXPECT_EQ(run.result("t.after"), "blocked");
  EXPECT_EQ(run.result("t.later"), "blocked");
  EXPECT_EQ(run.result("t.apart"), "succeeded");
  EXPECT_NE(run.error_message("t.bad").find("no luck"), std::string::npos);
  const auto text = project.forge({"run", "p.yaml"});
  EXPECT_EQ(text.code, 1);
  EXPECT_NE(text.out.find("no luck"), std::string::npos) << text.out;
  EXPECT_NE(text.out.find("t.bad"), std::string::npos);
}

TEST(Run, StateIsReadAtInitializeAndKeptFromRunToRun) {
  Project project;
  project.extension(
      "t", execute("outputs.seen = self.state.count or 0 self.state.count = (self.state.count or 0) + 1"));
  const std::string yaml = "p:\n  t: [{name: a, cache: never}]\n";
  EXPECT_EQ(run_pipeline(project, yaml).outputs("t.a"), Json({{"seen", 0}}));
  EXPECT_EQ(run_pipeline(project, yaml).outputs("t.a"), Json({{"seen", 1}}));
  EXPECT_EQ(run_pipeline(project, yaml).outputs("t.a"), Json({{"seen", 2}}));
}

TEST(Run, AFailedAttemptDoesNotChangeTheState) {
  Project project;
  project.extension("t", execute("self.state.count = 7 forge.fs.write('here', '')"));
  const std::string yaml = "p:\n  t: [{name: a}]\n";
  EXPECT_EQ(run_pipeline(project, yaml).output.code, 0);
  project.write(".pangeo-forge/work/t/a/fail", "");
  project.extension("t", execute("outputs.seen = self.state.count self.state.count = 8 if "
                                 "forge.fs.exists('fail') then error('x') end"));
  EXPECT_EQ(run_pipeline(project, yaml).output.code, 1);
  project.extension("t", execute("outputs.seen = self.state.count"));
  EXPECT_EQ(run_pipeline(project, yaml).outputs("t.a"), Json({{"seen", 7}}));
}

TEST(Run, BootstrapRunsOnceAndGivesRuntime) {
  Project project;
  project.extension("t", execute("outputs.token = self.runtime.token"));
  project.write("extensions/t/bootstrap.lua",
                "local forge = require 'forge'\nreturn function() forge.log.info('bootstrapping') return "
                "{token = 'abc'} end\n");
  const auto run = run_pipeline(project, "p:\n  t: [{name: a}, {name: b}, {name: c}]\n");
  EXPECT_EQ(run.output.code, 0) << run.output.out;
  for (const char* name : {"t.a", "t.b", "t.c"}) EXPECT_EQ(run.outputs(name), Json({{"token", "abc"}}));
  const auto logs =
      std::count_if(run.all.begin(), run.all.end(), [](const Json& e) { return e["event"] == "log"; });
  EXPECT_EQ(logs, 1);
}

TEST(Run, WhatABootstrapMakesIsThereForAllInstancesToRead) {
  Project project;
  project.extension("t",
                    execute("local made = self.runtime\n"
                            "outputs.text = forge.fs.read(made .. '/shared.txt')\n"
                            "outputs.ran = forge.process.run({made .. '/tool', 'x'}, {check = true}).stdout\n"
                            "local _, problem = forge.try(forge.fs.write, made .. '/shared.txt', 'mine')\n"
                            "outputs.write = problem.code\n"
                            "outputs.sh = forge.process.run({'sh', '-c', 'echo mine > ' .. made .. "
                            "'/shared.txt'}).code ~= 0"),
                    "permissions: {programs: [tool, sh, pwd, chmod]}\n");
  project.write("extensions/t/bootstrap.lua",
                "local forge = require 'forge'\nreturn function()\n"
                "  forge.fs.write('shared.txt', 'made once')\n"
                "  forge.fs.write('tool', '#!/bin/sh\\necho ran $1\\n')\n"
                "  forge.process.run({'chmod', '755', 'tool'}, {check = true})\n"
                "  return (forge.process.run({'pwd'}).stdout:gsub('%s+$', ''))\nend\n");
  const auto run =
      run_pipeline(project, "p:\n  t: [{name: a}, {name: b}]\n", {}, {{"PATH", "/usr/bin:/bin"}});
  EXPECT_EQ(run.output.code, 0) << run.output.out;
  const Json expected = {
      {"text", "made once"}, {"ran", "ran x\n"}, {"write", "permission.write"}, {"sh", true}};
  EXPECT_EQ(run.outputs("t.a"), expected);
  EXPECT_EQ(run.outputs("t.b"), expected);
  EXPECT_EQ(project.read(".pangeo-forge/bootstrap/t/shared.txt"), "made once");
  // What it made is explained by what it read: the instances have no inputs of their own.
  const auto reads = project.forge({"logs", "p.yaml", "t.a", "--reads"});
  EXPECT_EQ(reads.out.find("shared.txt"), std::string::npos) << reads.out;
  EXPECT_EQ(reads.out.find("reach"), std::string::npos) << reads.out;
}

TEST(Run, ABootstrapThatFailsFailsItsInstancesOnly) {
  Project project;
  project.extension("t", execute(""));
  project.write("extensions/t/bootstrap.lua", "return function() error('no venv') end\n");
  project.extension("u", execute(""));
  const auto run = run_pipeline(project, "p:\n  t: [{name: a}, {name: b}]\n  u: [{name: c}]\n");
  EXPECT_EQ(run.result("t.a"), "failed");
  EXPECT_EQ(run.result("t.b"), "failed");
  EXPECT_EQ(run.result("u.c"), "succeeded");
  EXPECT_NE(run.error_message("t.a").find("no venv"), std::string::npos);
}

// A secret that lies where a long error text is cut is not left there in half.
TEST(Run, ALongErrorIsCutAfterItsSecretsAreMasked) {
  Project project;
  project.extension("t",
                    execute("local token = forge.secret.get('TOKEN')\n"
                            "error(('x'):rep(65530) .. token .. ('y'):rep(1000), 0)"),
                    "permissions: {secrets: [TOKEN]}\n");
  const auto run = run_pipeline(project, "p:\n  t: [{name: a}]\n", {},
                                {{"PANGEO_FORGE_SECRET_TOKEN", "tiger-lily-and-rose"}});
  EXPECT_EQ(run.error_message("t.a"), std::string(65530, 'x') + "[secre… (1002 more bytes)");
  EXPECT_EQ(run.output.out.find("tiger"), std::string::npos);
}

TEST(Run, LifecycleCallsComeInOrder) {
  Project project;
  project.extension("t", R"(
local forge = require 'forge'
local E = forge.extension {}
function E:initialize() self.outputs.order = 'initialize' end
function E:execute() self.outputs.order = self.outputs.order .. ' execute' end
function E:get_output_data() return {order = self.outputs.order .. ' get_output_data'} end
function E:cleanup() forge.log.info('cleanup') end
return E
)");
  const auto run = run_pipeline(project, "p:\n  t: [{name: a}]\n");
  EXPECT_EQ(run.outputs("t.a"), Json({{"order", "initialize execute get_output_data"}}));
  EXPECT_EQ(last(run.all, "log")["message"], "cleanup");
}

TEST(Run, AnErrorInCleanupFailsTheInstance) {
  Project project;
  project.extension("t", execute("outputs.x = 1") + "");
  project.extension("t",
                    "local forge = require 'forge'\nlocal E = forge.extension {}\nfunction E:execute() end\n"
                    "function E:cleanup() error('could not tidy up') end\nreturn E\n");
  const auto run = run_pipeline(project, "p:\n  t: [{name: a}]\n");
  EXPECT_EQ(run.result("t.a"), "failed");
  EXPECT_NE(run.error_message("t.a").find("could not tidy up"), std::string::npos);
}

TEST(Run, ForEachOverListMappingAndFolders) {
  Project project;
  project.write("data/one/x", "");
  project.write("data/two/x", "");
  project.extension("t", execute("outputs.v = config.v"), "",
                    "local s = require 'schema' return {Config = s.object {v = s.any {}}}");
  const auto run = run_pipeline(project, R"(p:
  t:
    - {name: list, for_each: [a, b], v: "${each.value}"}
    - {name: "m-${each.key}", for_each: {x: 1, y: 2}, v: "${each.value}"}
    - {name: dirs, for_each: {folders: "data/*"}, v: "${each.key}"}
    - {name: all, v: "${t.list[*].outputs.v}"}
    - {name: one, v: "${t.list[\"b\"].outputs.v}"}
)");
  EXPECT_EQ(run.output.code, 0) << run.output.out << run.output.err;
  EXPECT_EQ(run.outputs("t.list[\"a\"]"), Json({{"v", "a"}}));
  EXPECT_EQ(run.outputs("t.m-y"), Json({{"v", 2}}));
  EXPECT_EQ(run.outputs("t.dirs[\"two\"]"), Json({{"v", "two"}}));
  EXPECT_EQ(run.outputs("t.all"), Json({{"v", {"a", "b"}}}));
  EXPECT_EQ(run.outputs("t.one"), Json({{"v", "b"}}));
}

TEST(Run, WhenSkipsAndItsDependentsWithIt) {
  Project project;
  project.extension("t", execute("outputs.x = 1"));
  const auto run = run_pipeline(project, R"(p:
  core: {variables: {region: eu}}
  t:
    - {name: a, when: "${var.region == 'us'}"}
    - {name: b, depends_on: [t.a]}
    - {name: c, when: "${var.region == 'eu'}"}
)");
  EXPECT_EQ(run.output.code, 0);
  EXPECT_EQ(run.result("t.a"), "skipped");
  EXPECT_EQ(run.result("t.b"), "skipped");
  EXPECT_EQ(run.result("t.c"), "succeeded");
  const auto us = run_pipeline(project, project.read("p.yaml"), {"--var", "region=us"});
  EXPECT_EQ(us.result("t.a"), "succeeded");
  EXPECT_EQ(us.result("t.c"), "skipped");
}

TEST(Run, AValueFromAnotherInstanceIsCheckedBeforeDispatch) {
  Project project;
  project.extension("t", execute("outputs.text = 'words'"));
  project.extension("n", execute(""), "",
                    "local s = require 'schema' return {Config = s.object {n = s.integer {}}}");
  const auto run =
      run_pipeline(project, "p:\n  t: [{name: a}]\n  n: [{name: b, n: \"${t.a.outputs.text}\"}]\n");
  EXPECT_EQ(run.output.code, 1);
  EXPECT_EQ(run.result("n.b"), "failed");
  EXPECT_EQ(run.error_code("n.b"), "config.type");
}

TEST(Run, APathThatCameFromAnotherInstanceGrantsNothing) {
  Project project;
  project.extension("liar", execute("outputs.file = '/etc/hostname'"));
  project.extension("words", execute(kWords), "permissions: {read: ['${config.file}']}\n", kWordsModels);
  const auto run = run_pipeline(
      project, "p:\n  liar: [{name: a}]\n  words: [{name: b, file: \"${liar.a.outputs.file}\"}]\n");
  EXPECT_EQ(run.result("words.b"), "failed");
  EXPECT_EQ(run.error_code("words.b"), "permission.read");
}

TEST(Run, AsyncTasksRunSideBySide) {
  Project project;
  project.extension("t", execute(R"(
    for i = 1, 5 do forge.fs.write('f' .. i, ('x'):rep(i)) end
    local texts = forge.async.map({1, 2, 3, 4, 5}, function(i) return forge.fs.read('f' .. i) end, {limit = 2})
    local task = forge.async.spawn(function() return #forge.fs.read('f5') end)
    outputs.lengths = {}
    for i, text in ipairs(texts) do outputs.lengths[i] = #text end
    outputs.spawned = forge.async.await(task)
  )"));
  const auto run = run_pipeline(project, "p:\n  t: [{name: a}]\n");
  EXPECT_EQ(run.outputs("t.a"), Json::parse(R"({"lengths":[1,2,3,4,5],"spawned":5})")) << run.output.out;
}

TEST(Run, ValuesCrossExactly) {
  Project project;
  project.extension("t", execute(R"(
    outputs.empty_list = forge.json.decode('[]')
    outputs.empty_map = forge.json.decode('{}')
    outputs.null = forge.null
    outputs.big = 9007199254740992
    outputs.real = 0.1
    outputs.text = 'é'
    outputs.nested = {a = {1, 2, {b = true}}}
  )"));
  const auto run = run_pipeline(project, "p:\n  t: [{name: a}]\n");
  EXPECT_EQ(run.outputs("t.a"),
            Json::parse(R"({"empty_list":[],"empty_map":{},"null":null,"big":9007199254740992,
    "real":0.1,"text":"é","nested":{"a":[1,2,{"b":true}]}})"))
      << run.output.out;
}

TEST(Run, TextOutputTellsWhatHappenedAndWhatToDoNext) {
  Project project;
  project.extension(
      "t", execute("if self.name == 'bad' then error('the disk is on fire') end outputs.words = 42"));
  project.write("p.yaml", "p:\n  t: [{name: good}, {name: bad}]\n");
  const auto output = project.forge({"run", "p.yaml"});
  EXPECT_EQ(output.code, 1);
  for (const char* text : {"t.good", "succeeded", "words", "42", "t.bad", "failed", "the disk is on fire",
                           "log.jsonl", "pangeo-forge"}) {
    EXPECT_NE(output.out.find(text), std::string::npos) << "no '" << text << "' in\n" << output.out;
  }
}

TEST(Run, AnInstanceThatRegistersNothingCostsNoFile) {
  Project project;
  project.extension("t", execute(""));
  EXPECT_EQ(run_pipeline(project, "p:\n  t: [{name: a}]\n").output.code, 0);
  EXPECT_FALSE(std::filesystem::exists(project.path() / ".pangeo-forge/pulumi"));
  EXPECT_FALSE(std::filesystem::exists(project.path() / ".pangeo-forge/work"));
}

TEST(Run, LogLinesAreKept) {
  Project project;
  project.extension("t", execute("forge.log.info('to be kept')"));
  const auto run = run_pipeline(project, "p:\n  t: [{name: a}]\n");
  const std::string id = run.finished["run"];
  EXPECT_NE(project.read(".pangeo-forge/runs/" + id + "/log.jsonl").find("to be kept"), std::string::npos);
}

TEST(Run, EveryPermissionedCallStandsInTheAudit) {
  Project project;
  project.write("a.txt", "x");
  project.extension("words", execute(kWords), "permissions: {read: ['${config.file}']}\n", kWordsModels);
  const auto run = run_pipeline(project, "p:\n  words: [{name: a, file: a.txt}]\n");
  const std::string id = run.finished["run"];
  const auto audit = events(project.read(".pangeo-forge/runs/" + id + "/audit.jsonl"));
  ASSERT_EQ(audit.size(), 1U);
  EXPECT_EQ(audit[0]["call"], "fs.read");
  EXPECT_EQ(audit[0]["allowed"], true);
}

TEST(Run, NothingIsPrintedButJsonWithFormatJson) {
  Project project;
  project.extension("t", execute("print('hello')"));
  const auto run = run_pipeline(project, "p:\n  t: [{name: a}]\n");
  EXPECT_EQ(run.output.err, "");
  EXPECT_EQ(last(run.all, "log")["message"], "hello");
}

}  // namespace
}  // namespace pf::test
