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

TEST(Async, WaitingForOneselfIsAnErrorThatNamesTheTask) {
  const Outcome out = execute(R"(
    local task
    task = forge.async.spawn(function() coroutine.yield() forge.async.await(task) end)
    forge.async.await(task))");
  EXPECT_EQ(out.error.code, "async.deadlock");
  EXPECT_EQ(
      out.error.message,
      "extension.lua:4: tasks that wait for each other: task 1 (spawned at extension.lua:4) awaits task 1");
  EXPECT_FALSE(out.error.retryable);
}

TEST(Async, TasksThatWaitForEachOtherAreNamed) {
  const Outcome out = execute(R"(
    local a, b, c
    a = forge.async.spawn(function() coroutine.yield() forge.async.await(b) end)
    b = forge.async.spawn(function() coroutine.yield() forge.async.all { c } end)
    c = forge.async.spawn(function() coroutine.yield() forge.async.await(a) end)
    forge.async.await(a))");
  EXPECT_EQ(out.error.code, "async.deadlock");
  EXPECT_EQ(
      out.error.message,
      "extension.lua:6: tasks that wait for each other: task 1 (spawned at extension.lua:4) awaits task 2; "
      "task 2 (spawned at extension.lua:5) awaits task 3; task 3 (spawned at extension.lua:6) awaits task 1");
}

TEST(Async, WaitingForWhatCanNeverEndNamesTheTasks) {
  // A race is no circle until nothing else is left to happen.
  const Outcome out = execute(R"(
    local a, b
    a = forge.async.spawn(function() coroutine.yield() forge.async.race { b } end)
    b = forge.async.spawn(function() coroutine.yield() forge.async.race { a } end)
    forge.async.await(a))");
  EXPECT_EQ(out.error.code, "async.deadlock");
  EXPECT_EQ(
      out.error.message,
      "extension.lua:6: what is awaited can never end: nothing runs and no reply is outstanding: "
      "task 1 (spawned at extension.lua:4) awaits task 2; task 2 (spawned at extension.lua:5) awaits task 1");
}

TEST(Async, ATaskMayBeAwaitedTwice) {
  EXPECT_EQ(outputs(execute(R"(
    local good = forge.async.spawn(function() return 1, 2 end)
    local bad = forge.async.spawn(function() error("no", 0) end)
    local a, b = forge.async.await(good)
    local c, d = forge.async.await(good)
    local _, e = forge.try(forge.async.await, bad)
    local _, f = forge.try(forge.async.await, bad)
    self.outputs = { a = a, b = b, c = c, d = d, e = e.message, f = f.message })")),
            parse(R"({"a": 1, "b": 2, "c": 1, "d": 2, "e": "no", "f": "no"})"));
}

TEST(Async, CancelDropsWhatTheTaskWaitsForAndRunsItsCleanup) {
  FakeHost host = reading_host();
  EXPECT_EQ(outputs(execute(R"(
    local said = {}
    local task = forge.async.spawn(function()
      forge.finally(function() forge.fs.read("a") said[#said + 1] = "not reached" end,
        function() said[#said + 1] = "cleaned" end)
      said[#said + 1] = "not reached"
    end)
    local ran, again = forge.async.cancel(task), forge.async.cancel(task)
    said[#said + 1] = "after"
    local _, e = forge.try(forge.async.await, task)
    -- The reply to "a" comes first and is nobody's.
    self.outputs = { said = said, ran = ran, again = again, code = e.code, message = e.message,
      retryable = e.retryable, next = forge.fs.read("b") })",
                            host)),
            parse(R"({"said": ["cleaned", "after"], "ran": true, "again": false, "code": "async.cancelled",
                      "message": "task 1 (spawned at extension.lua:4) was cancelled", "retryable": false,
                      "next": "B"})"));
  EXPECT_EQ(host.waits, 2);
  EXPECT_TRUE(host.logged().empty());
}

TEST(Async, ACancelledTaskMayCatchItButNotGoOn) {
  FakeHost host = reading_host();
  EXPECT_EQ(outputs(execute(R"(
    local said = {}
    local task = forge.async.spawn(function()
      for i = 1, 3 do
        local _, e = forge.try(forge.fs.read, "f" .. i)
        said[i] = e.code
      end
      said[4] = select(2, forge.try(forge.async.spawn, print)).code
      return "stubborn"
    end)
    forge.async.cancel(task)
    self.outputs = { said = said, value = forge.async.await(task) })",
                            host)),
            parse(R"({"said": ["async.cancelled", "async.cancelled", "async.cancelled", "async.cancelled"],
                      "value": "stubborn"})"));
  // Only the first call was made.
  EXPECT_EQ(host.calls.size(), 1U);
}

TEST(Async, CleanupsMayCall) {
  FakeHost host = reading_host();
  EXPECT_EQ(outputs(execute(R"(
    local said = {}
    local function work(name)
      return forge.finally(function() return forge.fs.read(name) .. forge.fs.read(name .. "2") end,
        function() said[#said + 1] = forge.fs.read("clean-" .. name) end)
    end
    local ok, e = pcall(forge.async.all, { function() work("a") end, function() forge.fs.read("bad") end })
    self.outputs = { said = said, code = e.code })",
                            host)),
            parse(R"({"said": ["CLEAN-A"], "code": "file.missing"})"));
}

TEST(Async, FinallyOutsideOfTasks) {
  FakeHost host = reading_host();
  EXPECT_EQ(outputs(execute(R"(
    local said = {}
    local a, b = forge.finally(function() return 1, 2 end, function() said[#said + 1] = "one" end)
    local _, e = forge.try(forge.finally, function() forge.fs.read("bad") end, function() said[#said + 1] = "two" end)
    local _, both = forge.try(forge.finally, function() error("first", 0) end, function() error("second", 0) end)
    local _, cleanup = forge.try(forge.finally, print, function() error("cleanup", 0) end)
    self.outputs = { a = a, b = b, said = said, code = e.code, both = both.message, cleanup = cleanup.message })",
                            host)),
            parse(R"({"a": 1, "b": 2, "said": ["one", "two"], "code": "file.missing", "both": "first",
                      "cleanup": "cleanup"})"));
}

TEST(Async, CancellingOneselfEndsTheTask) {
  EXPECT_EQ(outputs(execute(R"(
    local task, said
    task = forge.async.spawn(function()
      coroutine.yield()
      forge.async.cancel(task)
      said = "not reached"
    end)
    local _, e = forge.try(forge.async.await, task)
    self.outputs = { code = e.code, said = said == nil })")),
            parse(R"({"code": "async.cancelled", "said": true})"));
}

TEST(Async, CancellingATaskThatOnlyYields) {
  EXPECT_EQ(outputs(execute(R"(
    local turns = 0
    local task = forge.async.spawn(function() while true do turns = turns + 1 coroutine.yield() end end)
    forge.async.cancel(task)
    self.outputs = { turns = turns, code = select(2, forge.try(forge.async.await, task)).code })")),
            parse(R"({"turns": 1, "code": "async.cancelled"})"));
}

TEST(Async, ATaskThatWaitsForCancelledOnesIsTold) {
  FakeHost host = reading_host();
  EXPECT_EQ(outputs(execute(R"(
    local inner = forge.async.spawn(forge.fs.read, "a")
    local outer = forge.async.spawn(function() return select(2, forge.try(forge.async.await, inner)).code end)
    local group = forge.async.spawn(function() forge.async.all { function() forge.fs.read("b") end } end)
    forge.async.cancel(inner)
    forge.async.cancel(group)
    self.outputs = { outer = forge.async.await(outer), group = select(2, forge.try(forge.async.await, group)).code,
      next = forge.fs.read("c") })",
                            host)),
            parse(R"({"outer": "async.cancelled", "group": "async.cancelled", "next": "C"})"));
  EXPECT_TRUE(host.logged().empty());
}

TEST(Async, ATaskThatWaitsInPlaceIsCancelledWhenItsWaitEnds) {
  FakeHost host = reading_host();
  EXPECT_EQ(outputs(execute(R"(
    local said, task = {}
    task = forge.async.spawn(function()
      coroutine.yield()
      coroutine.wrap(function()
        local other = forge.async.spawn(function() forge.fs.read("a") said[#said + 1] = forge.async.cancel(task) end)
        local _, e = forge.try(forge.async.await, other)
        said[#said + 1] = e.code
      end)()
      said[#said + 1] = select(2, forge.try(forge.fs.read, "b")).code
    end)
    forge.async.await(task)
    self.outputs.said = said)",
                            host)),
            parse(R"({"said": [true, "async.cancelled", "async.cancelled"]})"));
}

TEST(Async, TheLosersOfARaceAreCleanedUpBeforeItEnds) {
  FakeHost host = reading_host();
  EXPECT_EQ(outputs(execute(R"(
    local said = {}
    local value = forge.async.race {
      function() return forge.fs.read("a") end,
      function() forge.finally(function() forge.fs.read("b") forge.fs.read("c") end,
        function() forge.fs.read("d") said[#said + 1] = "cleaned" end) end,
    }
    self.outputs = { value = value, said = said })",
                            host)),
            parse(R"({"value": "A", "said": ["cleaned"]})"));
}

TEST(Async, ACleanupThatFailsIsLogged) {
  FakeHost host = reading_host();
  EXPECT_EQ(outputs(execute(R"(
    forge.async.race { function() return 1 end,
      function() forge.finally(function() forge.fs.read("a") end, function() error("stuck", 0) end) end,
      function() local ok = pcall(forge.fs.read, "b") error("gave up", 0) end }
    self.outputs.n = 1)",
                            host)),
            parse(R"({"n": 1})"));
  EXPECT_THAT(host.logged(),
              ElementsAre("warn: task 3, spawned at extension.lua:3, failed after it was cancelled: "
                          "gave up"));
}

TEST(Async, ArgumentsAreCheckedBeforeAnythingIsStarted) {
  FakeHost host = reading_host();
  EXPECT_EQ(execute("forge.async.all { function() forge.fs.read('a') end, 5 }", host).error.code,
            "call.argument");
  EXPECT_TRUE(host.calls.empty());
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

TEST(Async, ACancelledCallIsToldToTheCore) {
  FakeHost host;
  const auto out = execute(R"(
    local quick = forge.async.spawn(function() return forge.fs.exists("quick") end)
    local slow = forge.async.spawn(function() return forge.fs.exists("slow") end)
    forge.async.cancel(slow)
    self.outputs.quick = forge.async.await(quick) == nil)",
                           host);
  EXPECT_EQ(outputs(out), parse(R"({"quick": true})"));
  EXPECT_THAT(host.cancelled, testing::ElementsAre(2U));
}

TEST(Async, MoreCallsThanTheLimitFindAnErrorAndTheOthersEnd) {
  Case c;
  c.calls = 2;
  const auto out = execute(R"(
    local tasks, codes = {}, {}
    for i = 1, 3 do
      tasks[i] = forge.async.spawn(function() return forge.fs.exists("x") end)
    end
    for i = 1, 3 do
      local _, problem = forge.try(forge.async.await, tasks[i])
      codes[i] = problem and problem.code or "fine"
    end
    codes[4] = forge.fs.exists("again") == nil and "fine" or "?"
    self.outputs.codes = codes)",
                           c);
  EXPECT_EQ(outputs(out), parse(R"({"codes": ["fine", "fine", "limit.calls", "fine"]})"));
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
  EXPECT_EQ(failure("forge.async.map({}, print, 5)"),
            at + "map: argument 3 (options) must be a table {limit}, found number");
  EXPECT_EQ(failure("forge.async.cancel(5)"),
            at + "cancel: argument 1 (task) must be a task that forge.async.spawn made, found number");
  EXPECT_EQ(failure("forge.finally(5)"),
            "extension.lua:2: forge.finally: argument 1 (f) must be a function, found number");
  EXPECT_EQ(failure("forge.finally(print)"),
            "extension.lua:2: forge.finally: argument 2 (cleanup) must be a function, found nil");
  EXPECT_EQ(execute("forge.async.sleep(1)").error.code, "call.unknown");
}

}  // namespace
}  // namespace pf::vm::testing
