// The `forge` calls: bindings, checks of arguments, and those that run in the worker.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness.h"

namespace pf::vm::testing {
namespace {

using ::testing::HasSubstr;

std::string failure(const std::string& body) {
  const Outcome out = execute(body);
  return out.ok ? "no error" : out.error.code + ": " + out.error.message;
}

TEST(Calls, EveryCallOfTheRegistryIsThere) {
  std::string body = "local function need(f) if type(f) ~= 'function' then error('missing') end end\n";
  for (const registry::Call& call : registry::calls()) body += "need(forge." + std::string(call.name) + ")\n";
  EXPECT_TRUE(execute(body).ok);
}

TEST(Calls, NothingIsThereThatIsNotInTheRegistry) {
  const Outcome out = execute(
      "local names = {}\n"
      "for name, value in pairs(forge) do\n"
      "  if type(value) == 'function' then names[#names + 1] = name end\n"
      "  if type(value) == 'table' and name ~= 'api' then\n"
      "    for inner in pairs(value) do names[#names + 1] = name .. '.' .. inner end\n"
      "  end\n"
      "end\n"
      "self.outputs.names = names");
  ASSERT_TRUE(out.ok) << out.error.message;
  const auto outputs = from_cbor(out.value);
  ASSERT_TRUE(outputs);
  size_t found = 0;
  for (const auto& name : (*outputs)["names"]) {
    EXPECT_GE(registry::find(name.get<std::string>()), 0) << name;
    ++found;
  }
  EXPECT_EQ(found, registry::calls().size());
}

TEST(Calls, ArgumentsAreChecked) {
  const std::string at = "call.argument: extension.lua:2: ";
  EXPECT_EQ(failure("forge.fs.read()"), at + "forge.fs.read: argument 1 (path) must be a string, found nil");
  EXPECT_EQ(failure("forge.fs.read({})"),
            at + "forge.fs.read: argument 1 (path) must be a string, found table");
  EXPECT_EQ(failure("forge.fs.read(forge.null)"),
            at + "forge.fs.read: argument 1 (path) must be a string, found forge.null");
  EXPECT_EQ(failure("forge.fs.write('x', 5)"),
            at + "forge.fs.write: argument 2 (text) must be a string, found number");
  EXPECT_EQ(failure("forge.fs.read('x', 'y')"), at + "forge.fs.read: takes 1 argument, found 2");
  EXPECT_EQ(failure("forge.log.info('x', 'y')"),
            at + "forge.log.info: argument 2 (fields) must be a table, found string");
  EXPECT_EQ(failure("forge.log.info('x', { f = print })"),
            at + "forge.log.info: fields.f: a function cannot be converted to JSON");
  EXPECT_EQ(failure("forge.json.decode()"),
            at + "forge.json.decode: argument 1 (text) must be a string, found nil");
  EXPECT_EQ(failure("forge.json.encode()"),
            at + "forge.json.encode: argument 1 (value) must be any value, found nil");
  EXPECT_FALSE(execute("forge.fs.read()").error.retryable);
}

TEST(Calls, NamesThatDoNotExist) {
  EXPECT_EQ(failure("forge.fs.raed('x')"),
            "call.unknown: extension.lua:2: forge.fs.raed does not exist; did you mean forge.fs.read?");
  EXPECT_EQ(failure("forge.jsn.decode('x')"),
            "call.unknown: extension.lua:2: forge.jsn does not exist; did you mean forge.json?");
  EXPECT_EQ(failure("forge.qqqqqqqq()"), "call.unknown: extension.lua:2: forge.qqqqqqqq does not exist");
}

TEST(Calls, CoreCallsSendTheirArgumentsAndReturnTheReply) {
  FakeHost host;
  host.answer = [](const std::string& name, const Json&) -> Result<Json> {
    if (name == "fs.list") return parse(R"(["a", "b"])");
    if (name == "fs.exists") return Json(false);
    return Json(nullptr);
  };
  EXPECT_EQ(outputs(execute(R"(
    self.outputs = { list = forge.fs.list("."), exists = forge.fs.exists("x"),
      nothing = forge.fs.write("f", "\0\255") == nil }
    forge.progress(1, nil, "half")
    forge.log.warn("careful", nil))",
                            host)),
            parse(R"({"list": ["a", "b"], "exists": false, "nothing": true})"));
  ASSERT_EQ(host.calls.size(), 5U);
  EXPECT_EQ(host.calls[0].arguments, parse(R"(["."])"));
  EXPECT_TRUE(host.calls[2].arguments[1].is_binary());
  EXPECT_EQ(host.calls[3].arguments, parse(R"([1, null, "half"])"));
  EXPECT_EQ(host.calls[4].arguments, parse(R"(["careful"])"));
  EXPECT_EQ(host.waits, 3);
}

TEST(Calls, ErrorsOfTheCoreAreRaisedAsTheyAre) {
  FakeHost host;
  host.answer = [](const std::string&, const Json&) -> Result<Json> {
    return refuse("permission.read", "reading /etc/passwd is not granted", "add `read: [/etc/passwd]`");
  };
  const Outcome out = execute("forge.fs.read('/etc/passwd')", host);
  EXPECT_EQ(out.error.code, "permission.read");
  EXPECT_EQ(out.error.message, "reading /etc/passwd is not granted");
  EXPECT_EQ(out.error.hint, "add `read: [/etc/passwd]`");
  EXPECT_FALSE(out.error.retryable);
  EXPECT_EQ(out.error.traceback, "  extension.lua:2: in the function of line 1");
  EXPECT_EQ(outputs(execute(R"(
    local ok, e = pcall(forge.fs.read, "x")
    self.outputs = { ok = ok, text = tostring(e), joined = "failed: " .. e, code = e.code, kind = type(e) })",
                            host)),
            parse(R"({"ok": false, "text": "reading /etc/passwd is not granted", "kind": "table",
                      "joined": "failed: reading /etc/passwd is not granted", "code": "permission.read"})"));
}

TEST(Calls, Try) {
  EXPECT_EQ(outputs(execute(R"(
    local a, b = forge.try(function(x, y) return x + y, "more" end, 1, 2)
    local none, e = forge.try(error, "text", 0)
    local _, t = forge.try(error, { code = "c.d", message = "m", hint = "h", retryable = false })
    local _, n = forge.try(error, nil)
    local _, j = forge.try(forge.json.decode, "[1,\n 2,,]")
    self.outputs = { a = a, b = b, none = none == nil, code = e.code, message = e.message, retryable = e.retryable,
      t = t.code .. t.message .. t.hint .. tostring(t.retryable), n = n.message, line = j.line, column = j.column,
      json = j.code })")),
            parse(R"({"a": 3, "b": "more", "none": true, "code": "extension.error", "message": "text",
                      "retryable": true, "t": "c.dmhfalse", "n": "nil was raised", "line": 2, "column": 4,
                      "json": "json.syntax"})"));
  EXPECT_EQ(failure("forge.try(5)"),
            "call.argument: extension.lua:2: forge.try: argument 1 must be a function, found number");
}

TEST(Calls, HttpResultsHaveJson) {
  FakeHost host;
  host.answer = [](const std::string&, const Json&) {
    return parse(
        R"({"status": 200, "headers": {"content-type": "application/json"}, "body": "{\"n\": [1, 2]}"})");
  };
  EXPECT_EQ(outputs(execute(R"(
    local r = forge.http.get("http://127.0.0.1/")
    local all = forge.http.request { method = "POST", url = "http://127.0.0.1/" }
    self.outputs = { status = r.status, n = r:json().n[2], r = r, all = all:json() })",
                            host)),
            parse(R"({"status": 200, "n": 2, "all": {"n": [1, 2]},
                      "r": {"status": 200, "headers": {"content-type": "application/json"}, "body": "{\"n\": [1, 2]}"}})"));
}

TEST(Calls, AReplyThatIsMalformedOrMissing) {
  class Bad final : public Host {
   public:
    void call(uint32_t request, int, std::string_view) override { request_ = request; }
    Reply wait() override { return {request_, std::string(100'000, '\x81')}; }
    uint32_t request_ = 0;
  } bad;
  on_big_stack([&] {
    Case c;
    c.modules["extension"] = extension("forge.fs.read('x')");
    auto vm = Vm::load(make_load(c));
    ASSERT_TRUE(vm.has_value());
    EXPECT_EQ(run_job(**vm, bad, c).error.code, "frame.malformed");
    class Throwing final : public Host {
     public:
      void call(uint32_t, int, std::string_view) override {}
      Reply wait() override { throw std::runtime_error("gone"); }
    } throwing;
    const Outcome out = run_job(**vm, throwing, c);
    EXPECT_EQ(out.error.code, "vm.internal");
    EXPECT_THAT(out.error.message, HasSubstr("gone"));
  });
}

TEST(Calls, ArgumentsThatAreTooLargeForAFrame) {
  Case c;
  c.memory = 256U << 20;
  const Outcome out = execute("forge.fs.write('x', ('x'):rep(17 * 2^20))", c);
  EXPECT_EQ(out.error.code, "limit.frame");
  EXPECT_THAT(out.error.message, HasSubstr("forge.fs.write: the arguments take more than"));
}

TEST(Calls, JsonEncode) {
  EXPECT_EQ(
      outputs(execute(R"(
    local e = forge.json.encode
    self.outputs = { a = e({ b = 1, a = { 1.5, -2, forge.null, true } }), b = e("\"\\\n\t\1é"), c = e(nil), d = e({}),
      e = e(forge.list()), f = e(1e21), g = e(2^53), h = e(0.1) })")),
      parse(R"({"a": "{\"a\":[1.5,-2,null,true],\"b\":1}", "b": "\"\\\"\\\\\\n\\t\\u0001é\"", "c": "null",
                      "d": "{}", "e": "[]", "f": "1e+21", "g": "9007199254740992", "h": "0.1"})"));
  EXPECT_EQ(failure("forge.json.encode({ a = '\\255' })"),
            "call.argument: forge.json.encode: value.a: text that is not UTF-8 cannot be written; use "
            "forge.base64.encode");
  EXPECT_EQ(failure("forge.json.encode({ a = { 0/0 } })"),
            "call.argument: forge.json.encode: value.a[1]: NaN cannot be converted to JSON");
}

TEST(Calls, JsonDecode) {
  EXPECT_EQ(
      outputs(execute(R"(
    local d = forge.json.decode
    self.outputs = { a = d(' {"x": [1, -2.5e3, true, false, null, {}, []]} '), b = d('"\\u00e9\\ud834\\udd1e\\/\\n"'),
      c = d("null") == forge.null, d = d('{"a":1,"a":2}'), e = d("0"), f = d('"' .. ("x"):rep(5000) .. '"') == ("x"):rep(5000) })")),
      parse(R"({"a": {"x": [1, -2500, true, false, null, {}, []]}, "b": "é𝄞/\n", "c": true, "d": {"a": 2},
                      "e": 0, "f": true})"));
}

TEST(Calls, JsonDecodeRefuses) {
  const auto error = [](const std::string& json) {
    Case c;
    c.config["json"] = json;
    const Outcome out = execute("forge.json.decode(self.config.json)", c);
    return out.ok ? "accepted" : out.error.code + ": " + out.error.message;
  };
  const std::string at = "json.syntax: not JSON at line 1, column ";
  EXPECT_EQ(error(""), at + "1: expected a value, found the end");
  EXPECT_EQ(error("{a: 1}"), at + "2: expected a key in double quotes, found `a`");
  EXPECT_EQ(error("[1,]"), at + "4: expected a value, found `]`");
  EXPECT_EQ(error("{\"a\" 1}"), at + "6: expected ':', found `1`");
  EXPECT_EQ(error("[1 2]"), at + "4: expected ',' or ']', found `2`");
  EXPECT_EQ(error("01"), at + "2: expected the end of the text, found `1`");
  EXPECT_EQ(error("1."), at + "3: expected a digit, found the end");
  EXPECT_EQ(error("-"), at + "2: expected a digit, found the end");
  EXPECT_EQ(error("+1"), at + "1: expected a value, found `+`");
  EXPECT_EQ(error("nul"), at + "1: expected a value, found `n`");
  EXPECT_EQ(error("\"abc"), at + "5: expected the end of the text in quotes, found the end");
  EXPECT_EQ(error("\"a\nb\""),
            at + "3: expected no control character inside of a text, found control character 10");
  EXPECT_EQ(error("\"\\x\""), at + "3: expected one of \" \\ / b f n r t u after a backslash, found `x`");
  EXPECT_EQ(error("\"\\ud834\""), at + "8: expected a surrogate pair, found `\"`");
  EXPECT_EQ(error("\"\\u12g4\""), at + "6: expected four hexadecimal digits, found `g`");
  EXPECT_EQ(error("1e999"), at + "1: expected a number that fits a double, found `1`");
  EXPECT_EQ(error("é"), at + "1: expected a value, found `é`");
  EXPECT_EQ(error("[1,\n  ä]"), "json.syntax: not JSON at line 2, column 3: expected a value, found `ä`");
  EXPECT_EQ(error(std::string(64, '[') + std::string(64, ']')), "accepted");
  EXPECT_EQ(error(std::string(65, '[') + std::string(65, ']')),
            "json.depth: JSON is nested deeper than 64 levels");
  EXPECT_EQ(error(std::string(1'000'000, '[')), "json.depth: JSON is nested deeper than 64 levels");
  EXPECT_EQ(failure("forge.json.decode('\"\\255\"')"), "json.not_utf8: not JSON: the text is not UTF-8");
}

TEST(Calls, YamlEncode) {
  EXPECT_EQ(outputs(execute(R"(
    self.outputs.y = forge.yaml.encode({ name = "a b", n = 1, list = { 1, { a = 1, b = { 2, 3 } }, { { 4 } } },
      quoted = { "yes", "1", "", "a: b", "- x", "null", "two\nlines", "http://x/y" }, empty = { forge.list(), {} },
      ["odd key:"] = forge.null }))")),
            Json({{"y", R"(empty:
  - []
  - {}
list:
  - 1
  - a: 1
    b:
      - 2
      - 3
  - - - 4
"n": 1
name: a b
"odd key:": null
quoted:
  - "yes"
  - "1"
  - ""
  - "a: b"
  - "- x"
  - "null"
  - "two\nlines"
  - http://x/y
)"}}));
}

TEST(Calls, YamlDecodeWithPositions) {
  EXPECT_EQ(outputs(execute(R"(
    local text = "title: x\nrecipes:\n  - id: a\n    object: \"m:r\"\n  - id: b\n"
    local value, at = forge.yaml.decode(text, { positions = true })
    self.outputs = { value = value, id = at["recipes[2].id"], object = at["recipes[1].object"], root = at[""],
      item = at["recipes[2]"], one = select("#", forge.yaml.decode(text)) })")),
            parse(R"({"value": {"title": "x", "recipes": [{"id": "a", "object": "m:r"}, {"id": "b"}]},
                      "id": {"line": 5, "column": 5}, "object": {"line": 4, "column": 5},
                      "root": {"line": 1, "column": 1}, "item": {"line": 5, "column": 5}, "one": 1})"));
}

TEST(Calls, YamlErrorsHaveTheirPlace) {
  EXPECT_EQ(outputs(execute(R"(
    local _, e = forge.try(forge.yaml.decode, "a: 1\nb: [1, 2\n")
    local _, d = forge.try(forge.yaml.decode, "a: 1\na: 2\n")
    local _, o = forge.try(forge.yaml.decode, "a: 1", { postions = true })
    self.outputs = { code = e.code, line = type(e.line), duplicate = d.code, dline = d.line, dcolumn = d.column, option = o.code })")),
            parse(R"({"code": "yaml.syntax", "line": "number", "duplicate": "yaml.duplicate_key", "dline": 2,
                      "dcolumn": 1, "option": "call.argument"})"));
}

TEST(Calls, DigestAndBase64) {
  EXPECT_EQ(outputs(execute(R"(
    self.outputs = { digest = forge.digest.sha256("abc"), encoded = forge.base64.encode("\0\255a"),
      decoded = forge.base64.decode("AP9h") == "\0\255a", bad = select(2, forge.try(forge.base64.decode, "!")).code })")),
            parse(R"({"digest": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
                      "encoded": "AP9h", "decoded": true, "bad": "base64.invalid"})"));
}

}  // namespace
}  // namespace pf::vm::testing
