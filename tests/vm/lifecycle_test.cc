// What becomes of a job: the life of an instance, errors, bootstrap, models, modules.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness.h"

namespace pf::vm::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(Lifecycle, TheExampleOfTheDesign) {
  FakeHost host;
  host.answer = [](const std::string&, const Json&) { return Json("one two  three\n"); };
  Case c;
  c.config = {{"file", "words.txt"}};
  c.state = {{"words", 2}};
  c.modules["models"] = "local s = require 'schema' return { Config = s.object { file = s.path {} } }";
  c.modules["extension"] = R"(
local forge  = require "forge"
local models = require "models"

local Example = forge.extension { config = models.Config }

function Example:execute()
  local text = forge.fs.read(self.config.file)
  local _, words = text:gsub("%S+", "")
  self.outputs.words = words
  self.outputs.grew = words > (self.state.words or 0)
  self.state.words = words
end

return Example
)";
  const Outcome out = run(c, host);
  EXPECT_EQ(outputs(out), parse(R"({"words": 3, "grew": true})"));
  EXPECT_EQ(from_cbor(out.state).value(), parse(R"({"words": 3})"));
  ASSERT_EQ(host.calls.size(), 1U);
  EXPECT_EQ(host.calls[0].name, "fs.read");
  EXPECT_EQ(host.calls[0].arguments, parse(R"(["words.txt"])"));
  EXPECT_GT(out.peak_bytes, 10000U);
}

TEST(Lifecycle, ObjectHasWhatItIsGiven) {
  Case c;
  c.config = {{"depth", 3}};
  c.runtime = {{"venv", "/x"}};
  c.attempt = 2;
  EXPECT_EQ(outputs(execute(R"(
    self.outputs = { name = self.name, depth = self.config.depth, stack = self.stack.name, venv = self.runtime.venv,
      attempt = self.attempt, state = next(self.state) == nil })",
                            c)),
            parse(R"({"name": "first", "depth": 3, "stack": "prod-first", "venv": "/x", "attempt": 2,
                      "state": true})"));
}

TEST(Lifecycle, StepsInOrderAndStateHandedOverAfterCleanup) {
  Case c;
  c.modules["extension"] = R"(
local forge = require "forge"
local E = forge.extension {}
function E:initialize() print("initialize", self.state.n) end
function E:execute() print("execute"); self.state.n = self.state.n + 1 end
function E:get_output_data() print("get_output_data"); return { n = self.state.n } end
function E:cleanup() print("cleanup"); self.state.cleaned = true end
return E
)";
  c.state = {{"n", 1}};
  FakeHost host;
  const Outcome out = run(c, host);
  EXPECT_EQ(outputs(out), parse(R"({"n": 2})"));
  EXPECT_EQ(from_cbor(out.state).value(), parse(R"({"n": 2, "cleaned": true})"));
  EXPECT_THAT(host.logged(),
              ElementsAre("info: initialize\t1", "info: execute", "info: get_output_data", "info: cleanup"));
  EXPECT_EQ(host.waits, 0) << "logging waits for nothing";
}

TEST(Lifecycle, EmptyStateIsNone) {
  EXPECT_EQ(execute("").state, "");
  EXPECT_EQ(execute("self.state = nil").state, "");
  EXPECT_EQ(outputs(execute("")), parse("{}"));
}

TEST(Lifecycle, StateMustBeAMap) {
  const Outcome out = execute("self.state = 5");
  EXPECT_EQ(out.error.code, "extension.state");
  EXPECT_EQ(out.error.message, "state: must be a table with text keys, found number");
  EXPECT_EQ(execute("self.state = {1, 2}").error.message,
            "state: must be a table with text keys, found a list");
  EXPECT_EQ(execute("self.state = {a = {print}}").error.message,
            "state.a[1]: a function cannot be converted to JSON");
}

TEST(Lifecycle, AnErrorKeepsItsTextAndPlace) {
  const Outcome out = execute("local function inner() error('boom') end\ninner()");
  EXPECT_FALSE(out.ok);
  EXPECT_EQ(out.error.code, "extension.error");
  EXPECT_EQ(out.error.message, "extension.lua:2: boom");
  EXPECT_TRUE(out.error.retryable);
  EXPECT_EQ(out.error.traceback, "  extension.lua:2: in inner\n  extension.lua:3: in the function of line 1");
  EXPECT_EQ(out.state, "");
}

TEST(Lifecycle, RaisedValuesOfEveryKind) {
  EXPECT_EQ(execute("error('as it is', 0)").error.message, "as it is");
  EXPECT_EQ(execute("error(nil)").error.message, "nil was raised");
  EXPECT_EQ(execute("error()").error.message, "nil was raised");
  EXPECT_EQ(execute("error(false)").error.message, "false was raised");
  EXPECT_EQ(execute("error(42)").error.message, "extension.lua:2: 42");
  EXPECT_EQ(execute("error(print)").error.message, "a function was raised");
  EXPECT_EQ(execute("error({})").error.message, "a table without a message was raised");
  EXPECT_EQ(execute("error(setmetatable({}, {__tostring = function() return 'shown' end}))").error.message,
            "shown");
  EXPECT_EQ(execute("error(setmetatable({}, {__tostring = function() error('no') end}))").error.code,
            "extension.error");
  EXPECT_EQ(execute("error(setmetatable({}, {__index = function() error('never') end}))").error.message,
            "a table without a message was raised");
  const Outcome table =
      execute("error({code = 'my.code', message = 'mine', hint = 'do it', retryable = false})");
  EXPECT_EQ(table.error.code, "my.code");
  EXPECT_EQ(table.error.message, "mine");
  EXPECT_EQ(table.error.hint, "do it");
  EXPECT_FALSE(table.error.retryable);
}

TEST(Lifecycle, ALongErrorTextIsCut) {
  const Outcome out = execute("error(('x'):rep(2000000), 0)");
  EXPECT_EQ(out.error.message.size(), (1U << 20) + std::string("… (951424 more bytes)").size());
}

TEST(Lifecycle, Fail) {
  const Outcome out = execute(
      "forge.fail { code = 'tofu.plan', message = 'no plan', hint = 'write one', retryable = false }");
  EXPECT_EQ(out.error.code, "tofu.plan");
  EXPECT_EQ(out.error.message, "no plan");
  EXPECT_EQ(out.error.hint, "write one");
  EXPECT_FALSE(out.error.retryable);
  EXPECT_THAT(out.error.traceback, HasSubstr("extension.lua:2"));
  EXPECT_EQ(execute("forge.fail { message = 'x' }").error.code, "extension.error");
  EXPECT_TRUE(execute("forge.fail { message = 'x' }").error.retryable);
  EXPECT_EQ(execute("forge.fail { mesage = 'x' }").error.message,
            "extension.lua:2: forge.fail: there is no field `mesage`; the fields are code, message, hint, "
            "retryable");
  EXPECT_EQ(execute("forge.fail 'x'").error.message,
            "extension.lua:2: forge.fail: argument 1 must be a table {code, message, hint, retryable}, found "
            "string");
  EXPECT_EQ(execute("forge.fail { code = 'No Code', message = 'x' }").error.code, "call.argument");
}

TEST(Lifecycle, CleanupFollowsAFailureAndDoesNotReplaceIt) {
  Case c;
  c.modules["extension"] = R"(
local forge = require "forge"
local E = forge.extension {}
function E:execute() self.state.x = 1; error("first") end
function E:cleanup() print("cleaning"); error("second") end
return E
)";
  FakeHost host;
  const Outcome out = run(c, host);
  EXPECT_EQ(out.error.message, "extension.lua:4: first");
  EXPECT_EQ(out.error.traceback, "  extension.lua:4: in the function of line 4");
  EXPECT_EQ(out.state, "");
  EXPECT_THAT(host.logged(), ElementsAre("info: cleaning",
                                         "warn: cleanup after the failure failed too: "
                                         "extension.lua:5: second"));
}

TEST(Lifecycle, AnErrorInCleanupFailsTheInstance) {
  Case c;
  c.modules["extension"] = extension("end\nfunction E:cleanup() error('dirty')");
  const Outcome out = [&] {
    FakeHost host;
    return run(c, host);
  }();
  EXPECT_EQ(out.error.message, "extension.lua:3: dirty");
}

TEST(Lifecycle, OutputsThatAreNotDataNameTheirPath) {
  const Outcome out = execute("self.outputs = { a = { 1, 2, { b = print } } }");
  EXPECT_EQ(out.error.code, "extension.outputs");
  EXPECT_EQ(out.error.message, "outputs.a[3].b: a function cannot be converted to JSON");
  EXPECT_EQ(execute("self.outputs = 5").error.message,
            "outputs: must be a table with text keys, found number");
  EXPECT_EQ(execute("self.outputs = nil").error.message,
            "outputs: must be a table with text keys, found nil");
  EXPECT_EQ(execute("self.outputs = { 1 }").error.message,
            "outputs: must be a table with text keys, found a list");
}

TEST(Lifecycle, OutputsAreThoseOfBeforeCleanup) {
  Case c;
  c.modules["extension"] = extension("self.outputs.n = 1 end function E:cleanup() self.outputs.n = 2");
  FakeHost host;
  EXPECT_EQ(outputs(run(c, host)), parse(R"({"n": 1})"));
}

TEST(Lifecycle, OutputLimit) {
  Case c;
  c.output_limit = 1000;
  EXPECT_TRUE(execute("self.outputs.text = ('x'):rep(900)", c).ok);
  const Outcome out = execute("self.outputs.text = ('x'):rep(1001)", c);
  EXPECT_EQ(out.error.code, "limit.output");
  EXPECT_THAT(out.error.message, HasSubstr("outputs take more than 1000"));
  EXPECT_EQ(execute("local l = {} for i = 1, 100000 do l[i] = 1 end self.outputs.l = l", c).error.code,
            "limit.output");
}

TEST(Lifecycle, ClassMistakes) {
  const auto code = [](const std::string& text) {
    Case c;
    c.modules["extension"] = text;
    FakeHost host;
    const Outcome out = run(c, host);
    return out.error.code + ": " + out.error.message;
  };
  EXPECT_EQ(code("return {}"),
            "extension.class: extension.lua must return what forge.extension{…} made, found table");
  EXPECT_EQ(code("local x"),
            "extension.class: extension.lua must return what forge.extension{…} made, found boolean");
  EXPECT_EQ(code("return require('forge').extension {}"), "extension.class: the extension has no `execute`");
  EXPECT_EQ(code("local E = require('forge').extension {} E.execute = 5 return E"),
            "extension.class: the extension's `execute` must be a function, found number");
  EXPECT_EQ(code("local E = require('forge').extension { confg = {} }"),
            "call.argument: extension.lua:1: forge.extension: there is no option `confg`; there is config");
  EXPECT_EQ(
      code("local E = require('forge').extension()"),
      "call.argument: extension.lua:1: forge.extension: argument 1 must be a table {config = …}, found nil");
  EXPECT_EQ(
      code("local E = require('forge').extension { config = 1 }"),
      "call.argument: extension.lua:1: forge.extension: config must be a model of models.lua, found number");
}

TEST(Lifecycle, InitIsTheEntryWhereThereIsOne) {
  Case c;
  c.modules["init"] = "return require 'other'";
  c.modules["other"] = extension("self.outputs.from = 'other'");
  FakeHost host;
  EXPECT_EQ(outputs(run(c, host)), parse(R"({"from": "other"})"));
}

TEST(Lifecycle, Bootstrap) {
  Case c;
  c.kind = frames::JobKind::bootstrap;
  c.modules["bootstrap"] =
      "local forge = require 'forge' return function() return { venv = forge.fs.read('x') } end";
  FakeHost host;
  host.answer = [](const std::string&, const Json&) { return Json("there"); };
  EXPECT_EQ(outputs(run(c, host)), parse(R"({"venv": "there"})"));
  c.modules["bootstrap"] = "return function() end";
  EXPECT_EQ(outputs(run(c, host)), Json());
  c.modules["bootstrap"] = "return { }";
  EXPECT_EQ(run(c, host).error.message, "bootstrap.lua must return a function, found table");
  c.modules["bootstrap"] = "return function() return { f = print } end";
  EXPECT_EQ(run(c, host).error.code, "extension.outputs");
  EXPECT_EQ(run(c, host).error.message, "runtime.f: a function cannot be converted to JSON");
  c.modules["bootstrap"] = "return function() error('no venv', 0) end";
  EXPECT_EQ(run(c, host).error.message, "no venv");
}

TEST(Lifecycle, Models) {
  Case c;
  c.kind = frames::JobKind::models;
  c.modules["models"] = R"(local s = require "schema"
return { Config = s.object { retries = s.integer { default = 3, min = 0 } } })";
  FakeHost host;
  EXPECT_EQ(outputs(run(c, host)), parse(R"({"Config": {"type": "object", "fields": [
                       {"name": "retries", "model": {"type": "integer", "default": 3, "min": 0}}]}})"));
  c.modules["models"] = "return { Config = 5 }";
  EXPECT_EQ(run(c, host).error.message, "models.lua: `Config` must be a model, found number");
  c.modules["models"] = "return 5";
  EXPECT_EQ(run(c, host).error.code, "extension.models");
  c.modules["models"] = "local s = require 'schema' return { Config = s.object { x = s.intger {} } }";
  EXPECT_THAT(run(c, host).error.message, HasSubstr("models.lua:1: schema has no 's.intger'"));
}

TEST(Modules, RequireTakesThePackagesOwnAndStandardOnes) {
  Case c;
  c.modules["lib.words"] = "count = (count or 0) + 1 return { name = ..., count = count }";
  EXPECT_EQ(
      outputs(execute(R"(
    local a, b = require "lib.words", require "lib.words"
    self.outputs = { same = a == b, name = a.name, count = a.count, schema = type(require "schema".object),
      bit = require "bit".band(6, 3), forge = require "forge" == forge })",
                      c)),
      parse(
          R"({"same": true, "name": "lib.words", "count": 1, "schema": "function", "bit": 2, "forge": true})"));
}

TEST(Modules, WhatRequireRefuses) {
  const auto message = [](const std::string& name) {
    const Outcome out = execute("require(" + name + ")");
    return out.error.code + ": " + out.error.message;
  };
  EXPECT_EQ(message("'..secret'"), "module.name: extension.lua:2: require: `..secret` is no module's name");
  EXPECT_EQ(message("'a/b'"), "module.name: extension.lua:2: require: `a/b` is no module's name");
  EXPECT_EQ(message("'/etc/passwd'"),
            "module.name: extension.lua:2: require: `/etc/passwd` is no module's name");
  EXPECT_EQ(message("'a..b'"), "module.name: extension.lua:2: require: `a..b` is no module's name");
  EXPECT_EQ(message("'a.'"), "module.name: extension.lua:2: require: `a.` is no module's name");
  EXPECT_EQ(message("''"), "module.name: extension.lua:2: require: `` is no module's name");
  EXPECT_EQ(message("5"),
            "module.name: extension.lua:2: require: the module's name must be a string, found number");
  EXPECT_THAT(message("'socket'"),
              HasSubstr("module.missing: extension.lua:2: require: there is no module `socket`; "
                        "the package has `extension`; standard modules are"));
  EXPECT_THAT(message("'ffi'"),
              HasSubstr("lua.absent: extension.lua:2: `ffi` is not available in extensions"));
}

TEST(Modules, ACircleIsNamed) {
  Case c;
  c.modules["a"] = "local b = require 'b' return b";
  c.modules["b"] = "local a = require 'a' return a";
  const Outcome out = execute("require 'a'", c);
  EXPECT_EQ(out.error.code, "module.circular");
  EXPECT_EQ(out.error.message, "b.lua:1: require: modules that need each other: a -> b -> a");
}

TEST(Modules, AnErrorWhileLoadingNamesTheModulesLineAndLeavesNothing) {
  Case c;
  c.modules["lib.bad"] = "\nerror('half')";
  const Outcome out = execute("print(pcall(require, 'lib.bad'))\nrequire 'lib.bad'", c);
  EXPECT_EQ(out.error.message, "lib/bad.lua:2: half");
  EXPECT_THAT(out.error.traceback, HasSubstr("lib/bad.lua:2: at the top of the file"));
}

TEST(Modules, SyntaxErrorsAreFoundAtLoad) {
  Case c;
  c.modules["extension"] = extension("");
  c.modules["lib.bad"] = "local x =\nlocal y";
  FakeHost host;
  const Outcome out = run(c, host);
  EXPECT_EQ(out.error.code, "lua.syntax");
  EXPECT_EQ(out.error.message, "lib/bad.lua:2: unexpected symbol near 'local'");
  EXPECT_FALSE(out.error.retryable);
}

TEST(Modules, BytecodeIsRefused) {
  Case c;
  c.modules["extension"] = std::string("\x1bLJ\x02\x02\x00", 6);
  FakeHost host;
  const Outcome out = run(c, host);
  EXPECT_EQ(out.error.code, "lua.syntax");
  EXPECT_EQ(out.error.message, "extension.lua: is compiled Lua; expected Lua source");
  c.modules["extension"] = std::string("\xef\xbb\xbf\x1bLJ\x02\x02\x00", 9);
  EXPECT_EQ(run(c, host).error.code, "lua.syntax");
}

TEST(Traceback, ShowsTheAuthorsFilesOnly) {
  Case c;
  c.modules["lib.deep"] = "return function(f)\n  return (f()) end";
  const Outcome out = execute(R"(local deep = require "lib.deep"
  local list = { 2, 1 }
  table.sort(list, function(a, b) deep(function() forge.fs.read(5) end) return a < b end))",
                              c);
  EXPECT_EQ(out.error.code, "call.argument");
  EXPECT_EQ(out.error.message,
            "extension.lua:4: forge.fs.read: argument 1 (path) must be a string, found number");
  EXPECT_THAT(out.error.traceback, HasSubstr("lib/deep.lua:2: in deep"));
  EXPECT_THAT(out.error.traceback, Not(HasSubstr("prelude")));
  EXPECT_THAT(out.error.traceback, Not(HasSubstr("?")));
}

}  // namespace
}  // namespace pf::vm::testing
