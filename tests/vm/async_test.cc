// forge.async: what is suspended, what waits in place, and what becomes of tasks nobody awaits.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness.h"

namespace pf::vm::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// Answers every fs.read with the path in capitals; `bad` fails.
FakeHost reading_host(bool newest_first = false) {
  FakeHost host;
  host.newest_first = newest_first;
  host.answer = [](const std::string&, const Json& arguments) -> Result<Json> {
    std::string path = arguments[0].get<std::string>();
    if (path == "bad") return fail("file.missing", "there is no bad");
    for (char& c : path) c = static_cast<char>(std::toupper(c));
    return Json(path);
  };
  return host;
}

TEST(Async, RequestsAreOutAtOnce) {
  FakeHost host = reading_host();
  host.answer = [&host](const std::string&, const Json& arguments) {
    return Json(arguments[0].get<std::string>() + std::to_string(host.waits));
  };
  // No reply was waited for before the third request was sent.
  EXPECT_EQ(outputs(execute(R"(
    local tasks = {}
    for i, name in ipairs { "a", "b", "c" } do tasks[i] = forge.async.spawn(forge.fs.read, name) end
    self.outputs.all = forge.async.all(tasks))",
                            host)),
            parse(R"({"all": ["a0", "b0", "c0"]})"));
}

TEST(Async, RepliesInAnyOrderFindTheirTasks) {
  for (const bool newest_first : {false, true}) {
    FakeHost host = reading_host(newest_first);
    EXPECT_EQ(outputs(execute(R"(
      local function both(name) return forge.fs.read(name) .. forge.fs.read(name .. "2") end
      local a, b = forge.async.spawn(both, "a"), forge.async.spawn(both, "b")
      self.outputs = { b = forge.async.await(b), a = forge.async.await(a), plain = forge.fs.read("x") })",
                              host)),
              parse(R"({"a": "AA2", "b": "BB2", "plain": "X"})"));
  }
}

TEST(Async, ACallOfTheMainFunctionKeepsTheOthersReplies) {
  FakeHost host = reading_host();
  EXPECT_EQ(outputs(execute(R"(
    local a = forge.async.spawn(forge.fs.read, "a")
    local plain = forge.fs.read("plain")
    self.outputs = { plain = plain, a = forge.async.await(a) })",
                            host)),
            parse(R"({"plain": "PLAIN", "a": "A"})"));
}

TEST(Async, CallsInCallbacksAndCoroutinesWaitInPlace) {
  for (const bool newest_first : {false, true}) {
    FakeHost host = reading_host(newest_first);
    EXPECT_EQ(outputs(execute(R"(
      local function work()
        local text = ("a b"):gsub("%w", forge.fs.read)
        local co = coroutine.wrap(function()
          local first = forge.fs.read("co")
          local got = coroutine.yield(first)
          return forge.fs.read(got)
        end)
        local one = co()
        local sorted = { "y", "x" }
        table.sort(sorted, function(a, b) return forge.fs.read(a) < forge.fs.read(b) end)
        local inside
        for word in ("q"):gmatch("%w") do inside = forge.fs.read(word) end
        return text .. one .. co("next") .. table.concat(sorted) .. inside
      end
      local tasks = { forge.async.spawn(work), forge.async.spawn(work) }
      self.outputs = { main = work(), tasks = forge.async.all(tasks) })",
                              host)),
              parse(R"({"main": "A BCONEXTxyQ", "tasks": ["A BCONEXTxyQ", "A BCONEXTxyQ"]})"));
  }
}

TEST(Async, PcallInsideATaskSuspends) {
  FakeHost host = reading_host();
  EXPECT_EQ(outputs(execute(R"(
    local function safe(name)
      local ok, e = pcall(forge.fs.read, name)
      local value, problem = forge.try(forge.fs.read, name)
      return { ok = ok, text = tostring(e), code = problem and problem.code or forge.null, value = value or forge.null }
    end
    self.outputs.all = forge.async.map({ "a", "bad" }, safe))",
                            host)),
            parse(R"({"all": [{"ok": true, "text": "A", "code": null, "value": "A"},
                              {"ok": false, "text": "there is no bad", "code": "file.missing", "value": null}]})"));
  EXPECT_EQ(host.waits, 4);
}

TEST(Async, ATaskThatFailsRaisesWhereItIsAwaited) {
  FakeHost host = reading_host();
  const Outcome out = execute(R"(local function part()
    forge.fs.read("a")
    forge.fs.read("bad")
  end
  forge.async.await(forge.async.spawn(part)))",
                              host);
  EXPECT_EQ(out.error.code, "file.missing");
  EXPECT_EQ(out.error.message, "there is no bad");
  EXPECT_EQ(out.error.traceback, "  extension.lua:4: in the function of line 2");
  EXPECT_EQ(outputs(execute(R"(
    local task = forge.async.spawn(error, "x", 0)
    self.outputs.ok = pcall(forge.async.await, task))",
                            host)),
            parse(R"({"ok": false})"));
}

TEST(Async, AllRaisesTheFirstFailureAndCancelsTheOthers) {
  FakeHost host = reading_host();
  const Outcome out = execute(R"(
    forge.async.all {
      function() forge.fs.read("a") forge.fs.read("b") print("not reached") end,
      function() forge.fs.read("bad") end,
    })",
                              host);
  EXPECT_EQ(out.error.code, "file.missing");
  EXPECT_TRUE(host.logged().empty());
}

TEST(Async, Race) {
  FakeHost host = reading_host(true);
  EXPECT_EQ(outputs(execute(R"(
    local function slow() forge.fs.read("a") forge.fs.read("b") return "slow" end
    local function fast() return forge.fs.read("c"), "second" end
    local a, b = forge.async.race { slow, fast }
    self.outputs = { a = a, b = b })",
                            host)),
            parse(R"({"a": "C", "b": "second"})"));
  EXPECT_THAT(execute("forge.async.race {}").error.message,
              HasSubstr("a list of at least one task or function"));
}

TEST(Async, MapKeepsOrderAndItsLimit) {
  FakeHost host = reading_host(true);
  int most = 0;
  int open = 0;
  host.answer = [&](const std::string&, const Json& arguments) {
    most = std::max(most, static_cast<int>(host.calls.size()) - host.waits);
    ++open;
    return arguments[0];
  };
  EXPECT_EQ(outputs(execute(R"(
    local names = {}
    for i = 1, 20 do names[i] = "f" .. i end
    local results = forge.async.map(names, function(name, i) return forge.fs.read(name) .. ":" .. i end, { limit = 3 })
    self.outputs = { first = results[1], last = results[20], count = #results, none = #forge.async.map({}, print) })",
                            host)),
            parse(R"({"first": "f1:1", "last": "f20:20", "count": 20, "none": 0})"));
  EXPECT_EQ(open, 20);
  EXPECT_EQ(most, 3);
}

TEST(Async, TasksAwaitEachOther) {
  FakeHost host = reading_host();
  EXPECT_EQ(outputs(execute(R"(
    local a = forge.async.spawn(function() return forge.fs.read("a") end)
    local b = forge.async.spawn(function() return forge.async.await(a) .. "b" end)
    local c = forge.async.spawn(function() return forge.async.await(b) .. forge.async.await(a) end)
    self.outputs.c = forge.async.await(c))",
                            host)),
            parse(R"({"c": "AbA"})"));
}

TEST(Async, YieldInATaskGivesOthersATurn) {
  EXPECT_EQ(outputs(execute(R"(
    local order = {}
    local function turns(name) for i = 1, 3 do order[#order + 1] = name coroutine.yield() end end
    forge.async.all { function() turns("a") end, function() turns("b") end }
    self.outputs.order = table.concat(order))")),
            parse(R"({"order": "ababab"})"));
}

TEST(Async, WaitingForOneselfIsAnError) {
  const Outcome out = execute(R"(
    local task
    task = forge.async.spawn(function() coroutine.yield() forge.async.await(task) end)
    forge.async.await(task))");
  EXPECT_EQ(out.error.code, "async.deadlock");
}

TEST(Async, AFailedTaskThatNobodyAwaitedFailsTheInstance) {
  const Outcome out = execute("forge.async.spawn(function()\nerror('lost') end)\nself.outputs.n = 1");
  EXPECT_EQ(out.error.code, "extension.error");
  EXPECT_EQ(out.error.message,
            "task 1, spawned at extension.lua:2, failed and nobody awaited it: extension.lua:3: lost");
  EXPECT_EQ(out.error.traceback, "  extension.lua:3: in the function of line 2");
}

TEST(Async, AnUnfinishedTaskIsDroppedWithAWarning) {
  FakeHost host = reading_host();
  EXPECT_EQ(outputs(execute("forge.async.spawn(forge.fs.read, 'x')\nself.outputs.n = 1", host)),
            parse(R"({"n": 1})"));
  EXPECT_THAT(
      host.logged(),
      ElementsAre("warn: task 1, spawned at extension.lua:2, was not awaited and is dropped unfinished"));
  EXPECT_EQ(host.waits, 0);
}

TEST(Async, ArgumentsAreChecked) {
  const auto failure = [](const std::string& body) { return execute(body).error.message; };
  const std::string at = "extension.lua:2: forge.async.";
  EXPECT_EQ(failure("forge.async.spawn(5)"), at + "spawn: argument 1 (f) must be a function, found number");
  EXPECT_EQ(failure("forge.async.await({})"),
            at + "await: argument 1 (task) must be a task that forge.async.spawn made, found table");
  EXPECT_EQ(failure("forge.async.all(5)"),
            at + "all: argument 1 (tasks) must be a list of tasks or functions, found number");
  EXPECT_EQ(failure("forge.async.all { 5 }"),
            at + "all: argument 1 (tasks) must be a list of tasks or functions, found number");
  EXPECT_EQ(failure("forge.async.map({}, 5)"), at + "map: argument 2 (f) must be a function, found number");
  EXPECT_EQ(failure("forge.async.map({}, print, { limt = 5 })"),
            at + "map: there is no option `limt`; there is limit");
  EXPECT_EQ(failure("forge.async.map({}, print, { limit = 0 })"),
            at + "map: limit must be a whole number from 1, found 0");
  EXPECT_EQ(execute("forge.async.sleep(1)").error.code, "call.unknown");
}

}  // namespace
}  // namespace pf::vm::testing
