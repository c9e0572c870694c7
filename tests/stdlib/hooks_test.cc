// stdlib/hooks: what hooks.webhook sends and when, and which times hooks.time_window takes for inside.
#include "stdlib/support.h"

namespace pf::vm::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

// What `body` returns with webhook, time_window and the time of a text at hand; a failure as `CODE: MESSAGE`.
Json run_body(const std::string& body, FakeHost& host) {
  const Outcome out = execute(
      "local webhook, time_window = require 'hooks.webhook', require 'hooks.time_window' local at = "
      "forge.time.parse\n"
      "self.outputs.value = (function()\n" +
          body + "\nend)()",
      host);
  if (!out.ok) return out.error.code + ": " + out.error.message;
  return outputs(out).value("value", Json());
}
Json run_body(const std::string& body) {
  FakeHost host;
  return run_body(body, host);
}

Json http(const FakeHost& host, size_t n) {
  size_t seen = 0;
  for (const auto& call : host.calls) {
    if (call.name == "http.request" && seen++ == n) return call.arguments[0];
  }
  return nullptr;
}

constexpr const char* kEvent =
    R"({ stage = "on_error", pipeline = "climate", instance = "example.first", attempt = 2,
  result = "failed", duration_ms = 2540, error = { code = "a.b", message = "no <answer> & more" },
  outputs = { n = 1 }, config = { password = "x" }, project = "/p" })";

// ---- webhook

TEST(Webhook, SendsTheEventAsJson) {
  FakeHost host;
  EXPECT_EQ(
      run_body("webhook.hook { url = 'https://x.org/h', headers = { a = 'b' } }(" + std::string(kEvent) + ")",
               host),
      nullptr);
  EXPECT_EQ(http(host, 0),
            parse(R"({"method": "POST", "url": "https://x.org/h", "headers": {"a": "b"}, "timeout": 10,
    "raise": true, "json": {"stage": "on_error", "pipeline": "climate", "instance": "example.first", "attempt": 2,
      "result": "failed", "duration_ms": 2540, "error": {"code": "a.b", "message": "no <answer> & more"},
      "text": "climate: example.first failed in attempt 2 after 2.5 s: no <answer> & more"}})"));
}

TEST(Webhook, SlackGetsTextWithItsEntities) {
  FakeHost host;
  run_body("webhook.hook { url = 'https://x.org/h', format = 'slack' }(" + std::string(kEvent) + ")", host);
  EXPECT_EQ(
      http(host, 0)["json"],
      parse(
          R"({"text": "climate: example.first failed in attempt 2 after 2.5 s: no &lt;answer&gt; &amp; more"})"));
}

TEST(Webhook, ATemplateMakesTheText) {
  FakeHost host;
  run_body(
      "webhook.hook { url = 'https://x.org/h', format = 'slack', text = '<https://x.org|{{ instance }}>: "
      "{{ error.message }}{{ plan | default(\"\") }}' }(" +
          std::string(kEvent) + ")",
      host);
  EXPECT_EQ(http(host, 0)["json"]["text"], "<https://x.org|example.first>: no &lt;answer&gt; &amp; more");
}

TEST(Webhook, SaysEachStageInWords) {
  const auto text = [](const std::string& event) {
    return run_body("return webhook.text { pipeline = 'p', " + event + " }");
  };
  EXPECT_EQ(text("stage = 'before_pipeline'"), "p: the pipeline is about to run");
  EXPECT_EQ(text("stage = 'after_plan'"), "p: the pipeline is planned");
  EXPECT_EQ(text("stage = 'before_instance', instance = 'e.a', attempt = 1"), "p: e.a is about to run");
  EXPECT_EQ(text("stage = 'on_retry', instance = 'e.a', attempt = 3"), "p: e.a is tried again in attempt 3");
  EXPECT_EQ(text("stage = 'after_instance', instance = 'e.a', result = 'succeeded', duration_ms = 90500"),
            "p: e.a succeeded after 1 min 30 s");
  EXPECT_EQ(text("stage = 'on_error', instance = 'e.a', error = { message = 'm' }"), "p: e.a failed: m");
  EXPECT_EQ(text("stage = 'after_pipeline', result = 'cancelled'"), "p: the pipeline cancelled");
}

TEST(Webhook, OnlyTellsOfItsStages) {
  FakeHost host;
  run_body(R"(
    local f = webhook.hook { url = "https://x.org/h", stages = { "after_pipeline" } }
    f { stage = "on_error", pipeline = "p" }
    f { stage = "after_pipeline", pipeline = "p" }
    webhook.send({ stage = "on_error", pipeline = "p" }, { url = "https://x.org/h", stages = { "after_pipeline" } }))",
           host);
  EXPECT_THAT(host.calls, SizeIs(1));
  EXPECT_EQ(http(host, 0)["json"]["stage"], "after_pipeline");
}

TEST(Webhook, TheAddressMayBeASecret) {
  FakeHost host;
  host.answer = [](const std::string& name, const Json&) -> Result<Json> {
    return name == "secret.get" ? Result<Json>("https://x.org/secret") : Result<Json>(nullptr);
  };
  run_body("webhook.send({ stage = 'on_error', pipeline = 'p' }, { secret = 'URL' })", host);
  ASSERT_THAT(host.calls, SizeIs(2));
  EXPECT_EQ(host.calls[0].arguments, parse(R"(["URL"])"));
  EXPECT_EQ(http(host, 0)["url"], "https://x.org/secret");
}

TEST(Webhook, TriesAgainAsRetryDoes) {
  FakeHost host;
  int failures = 2;
  host.answer = [&](const std::string& name, const Json&) -> Result<Json> {
    if (name == "http.request" && failures-- > 0) return fail("http.status", "503");
    return Json(nullptr);
  };
  EXPECT_EQ(
      run_body("webhook.send({ stage = 'on_error', pipeline = 'p' }, { url = 'http://x.org' }) return 'sent'",
               host),
      "sent");
  std::vector<std::string> names;
  for (const auto& call : host.calls) {
    if (!call.name.starts_with("log.")) names.push_back(call.name);
  }
  EXPECT_THAT(names, ElementsAre("http.request", "time.sleep", "http.request", "time.sleep", "http.request"));

  FakeHost refusing;
  refusing.answer = [](const std::string&, const Json&) -> Result<Json> {
    return refuse("http.status", "404");
  };
  EXPECT_EQ(
      run_body("webhook.send({ stage = 'on_error', pipeline = 'p' }, { url = 'http://x.org' })", refusing),
      "http.status: 404");
  EXPECT_THAT(refusing.calls, SizeIs(1));
}

TEST(Webhook, Options) {
  const auto refused = [](const std::string& options) { return run_body("webhook.hook(" + options + ")"); };
  const std::string at = "call.argument: extension.lua:4: webhook: ";
  EXPECT_EQ(refused("5"), at + "the options must be a table, found number");
  EXPECT_EQ(refused("{}"), at + "give either url or secret, the name of one");
  EXPECT_EQ(refused("{ url = 'http://x', secret = 'X' }"), at + "give either url or secret, the name of one");
  EXPECT_EQ(refused("{ url = 'x.org' }"),
            at + "url must begin with http:// or https:// and a host, found `x.org`");
  EXPECT_EQ(refused("{ url = 5 }"), at + "url must be a string, found number");
  EXPECT_EQ(refused("{ url = 'http://x', format = 'xml' }"),
            at + "format must be json or slack, found `xml`");
  EXPECT_EQ(refused("{ url = 'http://x', stages = { 'on_eror' } }"),
            at + "stages: there is no stage `on_eror`; there are before_pipeline, after_plan, "
                 "before_instance, on_retry, "
                 "after_instance, on_error, after_pipeline");
  EXPECT_EQ(refused("{ url = 'http://x', stages = {} }"), at + "stages must be a list of at least one stage");
  EXPECT_EQ(refused("{ url = 'http://x', retries = 5 }"),
            at + "there is no option `retries`; there are attempts, delay, format, headers, secret, stages, "
                 "text, timeout, "
                 "url");
  EXPECT_THAT(refused("{ url = 'http://x', text = '{{ x' }").get<std::string>(),
              HasSubstr("template.syntax: text:1:"));
}

// ---- time_window

// "yes", or why not.
std::string allowed(const std::string& options, const std::string& time) {
  const Json out = run_body("local good, why = time_window.allows(" + options + ", at '" + time +
                            "') return good and 'yes' or why");
  return out.is_string() ? out.get<std::string>() : to_json_text(out);
}

TEST(TimeWindow, DaysAndHours) {
  const std::string office = "{ days = 'mon-fri', from = '08:00', to = '17:30' }";
  EXPECT_EQ(allowed(office, "2026-11-20T08:00:00Z"), "yes");  // a Friday
  EXPECT_EQ(allowed(office, "2026-11-20T17:29:59.9Z"), "yes");
  EXPECT_EQ(allowed(office, "2026-11-20T17:30:00Z"),
            "it is fri 17:30 (UTC), which is outside of mon-fri 08:00 to 17:30");
  EXPECT_EQ(allowed(office, "2026-11-20T07:59:59Z"),
            "it is fri 07:59 (UTC), which is outside of mon-fri 08:00 to 17:30");
  EXPECT_EQ(allowed(office, "2026-11-21T10:00:00Z"),
            "it is sat 10:00 (UTC), which is outside of mon-fri 08:00 to 17:30");
  EXPECT_EQ(allowed(office, "2026-11-22T10:00:00Z"),
            "it is sun 10:00 (UTC), which is outside of mon-fri 08:00 to 17:30");
  EXPECT_EQ(allowed(office, "2026-11-23T10:00:00Z"), "yes");
  EXPECT_EQ(allowed("{ days = { 'tue', 'sat-mon' } }", "2026-11-22T23:59:00Z"), "yes");
  EXPECT_EQ(allowed("{ days = { 'tue', 'sat-mon' } }", "2026-11-20T12:00:00Z"),
            "it is fri 12:00 (UTC), which is outside of tue, sat-mon 00:00 to 24:00");
  EXPECT_EQ(allowed("{}", "1970-01-01T00:00:00Z"), "yes");
  EXPECT_EQ(allowed("{ days = 'thu' }", "1970-01-01T00:00:00Z"), "yes");
  EXPECT_EQ(allowed("{ days = 'wed' }", "1969-12-31T23:59:00Z"), "yes");
}

TEST(TimeWindow, OverMidnightItBelongsToTheDayItBeginsOn) {
  const std::string night = "{ days = 'fri', from = '22:00', to = '06:00' }";
  EXPECT_EQ(allowed(night, "2026-11-20T22:00:00Z"), "yes");
  EXPECT_EQ(allowed(night, "2026-11-21T05:59:00Z"), "yes");  // Saturday
  EXPECT_EQ(allowed(night, "2026-11-21T06:00:00Z"),
            "it is sat 06:00 (UTC), which is outside of fri 22:00 to 06:00");
  EXPECT_EQ(allowed(night, "2026-11-20T05:00:00Z"),
            "it is fri 05:00 (UTC), which is outside of fri 22:00 to 06:00");
  EXPECT_EQ(allowed(night, "2026-11-21T22:00:00Z"),
            "it is sat 22:00 (UTC), which is outside of fri 22:00 to 06:00");
  EXPECT_EQ(allowed("{ days = 'sun', from = '23:00', to = '01:00' }", "2026-11-23T00:30:00Z"),
            "yes");  // Monday
}

TEST(TimeWindow, Zones) {
  const std::string east = "{ days = 'mon', from = '00:00', to = '02:00', utc_offset = '+05:30' }";
  EXPECT_EQ(allowed(east, "2026-11-22T18:30:00Z"), "yes");  // Monday 00:00 there
  EXPECT_EQ(allowed(east, "2026-11-22T18:29:00Z"),
            "it is sun 23:59 (+05:30), which is outside of mon 00:00 to 02:00");
  EXPECT_EQ(allowed("{ days = 'sun', from = '20:00', utc_offset = '-08:00' }", "2026-11-23T04:00:00Z"),
            "yes");
}

TEST(TimeWindow, SeveralWindows) {
  const std::string two =
      "{ windows = { { days = 'mon', from = '08:00', to = '09:00' }, { days = 'sat-sun' } } }";
  EXPECT_EQ(allowed(two, "2026-11-23T08:30:00Z"), "yes");
  EXPECT_EQ(allowed(two, "2026-11-21T20:00:00Z"), "yes");
  EXPECT_EQ(allowed(two, "2026-11-23T09:00:00Z"),
            "it is mon 09:00 (UTC), which is outside of mon 08:00 to 09:00; sat-sun 00:00 to 24:00");
}

TEST(TimeWindow, SkipsOrVetoes) {
  const auto said = [](const std::string& options, const std::string& stage, const std::string& time) {
    return run_body(
        "local ok, e = forge.try(function() return time_window.hook { days = 'mon', now = function() return "
        "at '" +
        time + "' end, " + options + " }({ stage = '" + stage +
        "' }) or 'nothing' end) return ok or { code = e.code, message = e.message, retryable = e.retryable "
        "}");
  };
  const std::string why = "it is sat 10:00 (UTC), which is outside of mon 00:00 to 24:00";
  const std::string saturday = "2026-11-21T10:00:00Z";
  EXPECT_EQ(said("", "before_instance", "2026-11-23T10:00:00Z"), "nothing");
  EXPECT_EQ(said("", "before_instance", saturday), Json({{"skip", why}}));
  EXPECT_EQ(said("otherwise = 'skip'", "before_instance", saturday), Json({{"skip", why}}));
  const Json veto = {{"code", "hook.veto"}, {"message", why}, {"retryable", false}};
  EXPECT_EQ(said("otherwise = 'veto'", "before_instance", saturday), veto);
  EXPECT_EQ(said("", "before_pipeline", saturday), veto);
  EXPECT_EQ(said("", "after_plan", saturday), veto);
  EXPECT_EQ(said("otherwise = 'skip'", "before_pipeline", saturday)["message"],
            "extension.lua:4: time_window: otherwise = \"skip\" is for before_instance; before_pipeline has "
            "only veto");
  EXPECT_EQ(said("", "on_error", saturday)["message"],
            "extension.lua:4: time_window: it can hold back nothing in on_error; use it in before_instance, "
            "before_pipeline or after_plan");
}

TEST(TimeWindow, AsksTheClock) {
  FakeHost host;
  host.answer = [](const std::string&, const Json&) -> Result<Json> { return Json(1795255200); };
  EXPECT_EQ(run_body("return time_window.hook { days = 'mon' }({ stage = 'before_instance' }).skip", host),
            "it is sat 10:00 (UTC), which is outside of mon 00:00 to 24:00");
  ASSERT_THAT(host.calls, SizeIs(1));
  EXPECT_EQ(host.calls[0].name, "time.now");
}

TEST(TimeWindow, Options) {
  const auto refused = [](const std::string& options) {
    return run_body("time_window.hook(" + options + ")");
  };
  const std::string at = "call.argument: extension.lua:4: time_window: ";
  EXPECT_EQ(refused("nil"), at + "the options must be a table, found nil");
  EXPECT_EQ(refused("{ day = 'mon' }"),
            at + "there is no option `day`; there are days, from, now, otherwise, to, utc_offset, windows");
  EXPECT_EQ(refused("{ days = 'monday' }"),
            at + "days: found `monday`; days are mon, tue, wed, thu, fri, sat, sun, ranges are mon-fri");
  EXPECT_EQ(refused("{ days = {} }"),
            at + "days must be `mon-fri` or a list such as { \"mon\", \"sat-sun\" }");
  EXPECT_EQ(refused("{ days = { 5 } }"),
            at + "days: found `5`; days are mon, tue, wed, thu, fri, sat, sun, ranges are mon-fri");
  EXPECT_EQ(refused("{ from = '8:00' }"),
            at + "from must be a time such as 22:00, from 00:00 to 24:00, found 8:00");
  EXPECT_EQ(refused("{ from = '08:60' }"),
            at + "from must be a time such as 22:00, from 00:00 to 24:00, found 08:60");
  EXPECT_EQ(refused("{ to = '24:01' }"),
            at + "to must be a time such as 22:00, from 00:00 to 24:00, found 24:01");
  EXPECT_EQ(refused("{ to = 800 }"), at + "to must be a time such as 22:00, from 00:00 to 24:00, found 800");
  EXPECT_EQ(refused("{ from = '08:00', to = '08:00' }"),
            at + "from and to are the same time, 08:00; leave out both for a whole day");
  EXPECT_EQ(refused("{ from = '24:00', to = '01:00' }"), at + "from must be before 24:00");
  EXPECT_EQ(refused("{ utc_offset = 'Europe/Berlin' }"),
            at + "utc_offset must be UTC or such as +02:00 (zones with summer time cannot be named), found "
                 "Europe/Berlin");
  EXPECT_EQ(
      refused("{ utc_offset = '+15:00' }"),
      at + "utc_offset must be UTC or such as +02:00 (zones with summer time cannot be named), found +15:00");
  EXPECT_EQ(refused("{ otherwise = 'wait' }"), at + "otherwise must be skip or veto, found wait");
  EXPECT_EQ(refused("{ now = 5 }"), at + "now must be a function, found number");
  EXPECT_EQ(refused("{ windows = {} }"), at + "windows must be a list of at least one window");
  EXPECT_EQ(refused("{ windows = { { day = 'mon' } } }"), at + "a window has days, from and to; found `day`");
  EXPECT_EQ(refused("{ windows = { {} }, days = 'mon' }"),
            at + "give windows, or days, from and to, not both");
}

}  // namespace
}  // namespace pf::vm::testing
