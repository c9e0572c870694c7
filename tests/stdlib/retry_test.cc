// stdlib/retry: when it tries again, how long it waits, and what it raises in the end.
#include "stdlib/support.h"

namespace pf::vm::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<double> waits(const FakeHost& host) {
  std::vector<double> out;
  for (const auto& call : host.calls) {
    if (call.name == "time.sleep") out.push_back(call.arguments[0]);
  }
  return out;
}

TEST(Retry, ReturnsWhatTheFunctionReturnsInTheEnd) {
  FakeHost host;
  EXPECT_EQ(with("retry", R"(
    local a, b, c = retry.call(function(attempt)
      if attempt < 3 then error("not yet", 0) end
      return attempt, nil, "end"
    end, { delay = 2, jitter = false })
    return { a = a, b = b == nil, c = c })",
                 host),
            parse(R"({"a": 3, "b": true, "c": "end"})"));
  EXPECT_THAT(waits(host), ElementsAre(2, 4));
  EXPECT_THAT(host.logged(),
              ElementsAre("debug: attempt 1 of 3 failed, the next one follows in 2.0 s: not yet",
                          "debug: attempt 2 of 3 failed, the next one follows in 4.0 s: not yet"));
}

TEST(Retry, RaisesTheLastErrorAsItIs) {
  FakeHost host;
  EXPECT_EQ(with("retry", R"(
    local attempts = 0
    local _, e = forge.try(retry.call, function(attempt)
      attempts = attempt
      forge.fail { code = "a.b", message = "number " .. attempt, hint = "h" }
    end, { attempts = 2, delay = 0 })
    return { attempts = attempts, code = e.code, message = e.message, hint = e.hint })",
                 host),
            parse(R"({"attempts": 2, "code": "a.b", "message": "number 2", "hint": "h"})"));
  EXPECT_TRUE(waits(host).empty());
}

TEST(Retry, NeverRepeatsWhatIsNotRetryable) {
  FakeHost host;
  EXPECT_EQ(with("retry", R"(
    local attempts = 0
    local _, e = forge.try(retry.call, function(attempt)
      attempts = attempt
      forge.fail { code = "a.b", message = "for good", retryable = false }
    end, { on = { "a.b" } })
    return { attempts = attempts, message = e.message })",
                 host),
            parse(R"({"attempts": 1, "message": "for good"})"));
}

TEST(Retry, OnChooses) {
  FakeHost host;
  EXPECT_EQ(with("retry", R"(
    local function count(on, code)
      local attempts = 0
      forge.try(retry.call, function(attempt)
        attempts = attempt
        forge.fail { code = code, message = "m" }
      end, { on = on, delay = 0 })
      return attempts
    end
    return { listed = count({ "x.y", "a.b" }, "a.b"), other = count({ "x.y" }, "a.b"),
      chosen = count(function(e, attempt) return e.code == "a.b" and attempt < 2 end, "a.b") })",
                 host),
            parse(R"({"listed": 3, "other": 1, "chosen": 2})"));
}

TEST(Retry, WaitsGrowToTheLongest) {
  FakeHost host;
  with("retry",
       "forge.try(retry.call, error, { attempts = 6, delay = 1, factor = 3, max_delay = 5, jitter = false })",
       host);
  EXPECT_THAT(waits(host), ElementsAre(1, 3, 5, 5, 5));
}

TEST(Retry, JitterStaysBelow) {
  FakeHost host;
  with("retry", "math.randomseed(5) forge.try(retry.call, error, { attempts = 40, delay = 2, factor = 1 })",
       host);
  const auto list = waits(host);
  ASSERT_EQ(list.size(), 39U);
  double least = 2;
  double most = 0;
  for (const double wait : list) {
    least = std::min(least, wait);
    most = std::max(most, wait);
  }
  EXPECT_GT(least, 0);
  EXPECT_LT(least, 0.5);
  EXPECT_GT(most, 1.5);
  EXPECT_LE(most, 2);
}

TEST(Retry, InTasks) {
  FakeHost host;
  host.answer = [](const std::string& name, const Json&) -> Result<Json> {
    return name == "time.sleep" ? Result<Json>(Json(nullptr)) : fail("file.busy", "busy");
  };
  EXPECT_EQ(with("retry", R"(
    local codes = forge.async.map({ "a", "b" }, function(name)
      return select(2, forge.try(retry.call, function() forge.fs.read(name) end, { delay = 1 })).code
    end)
    local task = forge.async.spawn(retry.call, function() forge.fs.read("c") end, { delay = 1 })
    forge.async.cancel(task)
    codes[3] = select(2, forge.try(forge.async.await, task)).code
    return codes)",
                 host),
            parse(R"(["file.busy", "file.busy", "async.cancelled"])"));
}

TEST(Retry, Arguments) {
  const auto failure = [](const std::string& arguments) {
    const Outcome out = execute("local retry = require 'retry'\nretry.call(" + arguments + ")");
    return out.error.code == "call.argument" ? out.error.message : out.error.code;
  };
  const std::string at = "extension.lua:3: retry.call: ";
  EXPECT_EQ(failure("5"), at + "argument 1 (f) must be a function, found number");
  EXPECT_EQ(failure("print, 5"), at + "argument 2 (options) must be a table, found number");
  EXPECT_EQ(failure("print, { tries = 5 }"),
            at + "there is no option `tries`; there are attempts, delay, factor, jitter, max_delay, on");
  EXPECT_EQ(failure("print, { attempts = 0 }"), at + "attempts must be a number from 1 to 86400, found 0");
  EXPECT_EQ(failure("print, { attempts = 1.5 }"), at + "attempts must be a whole number, found 1.5");
  EXPECT_EQ(failure("print, { delay = -1 }"), at + "delay must be a number from 0 to 86400, found -1");
  EXPECT_EQ(failure("print, { factor = 'x' }"), at + "factor must be a number from 1 to 86400, found x");
  EXPECT_EQ(failure("print, { max_delay = 0/0 }"),
            at + "max_delay must be a number from 0 to 86400, found nan");
  EXPECT_EQ(failure("print, { jitter = 'full' }"), at + "jitter must be a boolean, found string");
  EXPECT_EQ(failure("print, { on = 5 }"), at + "on must be a list of codes or a function, found number");
  EXPECT_EQ(failure("print, { on = {} }"), at + "on must be a list of at least one code");
  EXPECT_EQ(failure("print, { on = { 5 } }"), at + "on must be a list of codes, found a number in it");
}

}  // namespace
}  // namespace pf::vm::testing
