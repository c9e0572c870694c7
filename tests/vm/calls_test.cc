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
    void cancel(uint32_t) override {}
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
      void cancel(uint32_t) override {}
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

TEST(Calls, JsonEncodePretty) {
  EXPECT_EQ(outputs(execute(R"(
    self.outputs.text = forge.json.encode({ b = { 1, {}, forge.list() }, a = { x = "y" }, c = forge.null },
      { pretty = true }))")),
            Json({{"text", R"({
  "a": {
    "x": "y"
  },
  "b": [
    1,
    {},
    []
  ],
  "c": null
})"}}));
  EXPECT_EQ(outputs(execute("self.outputs.text = forge.json.encode({ a = { 1 } }, { pretty = false })")),
            parse(R"({"text": "{\"a\":[1]}"})"));
}

TEST(Calls, ValuesThatAreTooLargeToBeWritten) {
  Case c;
  c.memory = 256U << 20;
  for (const char* name : {"json", "yaml"}) {
    const Outcome out = execute("forge." + std::string(name) + ".encode(('x'):rep(65 * 2^20))", c);
    EXPECT_EQ(out.error.code, "limit.frame");
    EXPECT_EQ(out.error.message,
              "forge." + std::string(name) + ".encode: the value takes more than 64.0 MiB");
    EXPECT_FALSE(out.error.retryable);
  }
}

TEST(Calls, JsonDecodeWithPositions) {
  EXPECT_EQ(outputs(execute(R"(
    local text = '\n{"title": "é", "x": {"é": 1, "a b": [true,\n  {"id": 5}]},\n "title": 2}'
    local value, at = forge.json.decode(text, { positions = true })
    local count = 0
    for _ in pairs(at) do count = count + 1 end
    self.outputs = { value = value, root = at[""], title = at.title, x = at.x, key = at['x["é"]'],
      list = at['x["a b"]'], first = at['x["a b"][1]'], item = at['x["a b"][2]'], id = at['x["a b"][2].id'],
      count = count, one = select("#", forge.json.decode(text)),
      off = select("#", forge.json.decode(text, { positions = false })) })")),
            parse(R"({"value": {"title": 2, "x": {"é": 1, "a b": [true, {"id": 5}]}},
                      "root": {"line": 2, "column": 1}, "title": {"line": 4, "column": 2},
                      "x": {"line": 2, "column": 16}, "key": {"line": 2, "column": 22},
                      "list": {"line": 2, "column": 30}, "first": {"line": 2, "column": 38},
                      "item": {"line": 3, "column": 3}, "id": {"line": 3, "column": 4}, "count": 8, "one": 1,
                      "off": 1})"));
}

TEST(Calls, OptionsOfPureCallsAreChecked) {
  const std::string at = "call.argument: extension.lua:2: forge.json.decode: ";
  EXPECT_EQ(failure("forge.json.decode('1', { postions = true })"), at + "there is no option 'postions'");
  EXPECT_EQ(failure("forge.json.decode('1', { positions = 1 })"),
            at + "`positions` must be a boolean, found number");
  EXPECT_EQ(failure("forge.json.decode('1', { true })"),
            at + "`options` must have names, as {positions = …}");
  EXPECT_EQ(failure("forge.json.decode('1', 5)"), at + "argument 2 (options) must be a table, found number");
  EXPECT_EQ(execute("forge.json.decode('1', { postions = true })").error.hint, "did you mean 'positions'?");
  EXPECT_EQ(execute("forge.json.decode('1', { q = true })").error.hint, "options are positions");
  EXPECT_EQ(execute("forge.json.decode('1', { positions = 1 })").error.hint,
            "positions: also return a table from path (`recipes[1].id`) to {line, column}; default false");
  EXPECT_EQ(failure("forge.json.encode(1, { sort = true })"),
            "call.argument: extension.lua:2: forge.json.encode: there is no option 'sort'");
}

TEST(Calls, FailChecksItsFields) {
  const Outcome out = execute("forge.fail { code = 'a.b', message = 'm', hint = 'h', retryable = false }");
  EXPECT_EQ(out.error.code, "a.b");
  EXPECT_EQ(out.error.message, "m");
  EXPECT_EQ(out.error.hint, "h");
  EXPECT_FALSE(out.error.retryable);
  EXPECT_TRUE(execute("forge.fail { message = 'm' }").error.retryable);
  EXPECT_EQ(execute("forge.fail { message = 'm' }").error.code, "extension.error");
  const std::string at = "call.argument: extension.lua:2: forge.fail: ";
  EXPECT_EQ(failure("forge.fail()"),
            at + "argument 1 must be a table {code, message, hint, retryable}, found nil");
  EXPECT_EQ(failure("forge.fail { code = 'a' }"), at + "message is missing");
  EXPECT_EQ(failure("forge.fail { message = 5 }"), at + "message must be a string, found number");
  EXPECT_EQ(failure("forge.fail { mesage = 'm' }"),
            at + "there is no field `mesage`; the fields are code, message, hint, retryable");
  EXPECT_EQ(failure("forge.fail { message = 'm', code = 'A b' }"),
            at + "code must be lower-case words joined by dots, found `A b`");
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

TEST(Calls, Digests) {
  EXPECT_EQ(outputs(execute(R"(
    local d = forge.digest
    self.outputs = { md5 = d.md5("abc"), none = d.md5(""), sha1 = d.sha1("abc"), sha256 = d.sha256("abc"),
      sha512 = d.sha512("abc"), long = d.sha512(("a"):rep(1000000)),
      hmac = d.hmac_sha256("Jefe", "what do ya want for nothing?"), key = d.hmac_sha256(("\170"):rep(131),
        "Test Using Larger Than Block-Size Key - Hash Key First") })")),
            // RFC 1321, FIPS 180-4 with its examples, RFC 4231 (cases 2 and 6)
            parse(R"({"md5": "900150983cd24fb0d6963f7d28e17f72", "none": "d41d8cd98f00b204e9800998ecf8427e",
                      "sha1": "a9993e364706816aba3e25717850c26c9cd0d89d",
                      "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
                      "sha512": "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
                      "long": "e718483d0ce769644e2e42c7bc15b4638e1f98b13b2044285632a803afa973ebde0ff244877ea60a4cb0432ce577c31beb009c5c2c49aa2e4eadb217ad8cc09b",
                      "hmac": "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
                      "key": "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"})"));
  for (const char* name : {"md5", "sha1", "sha256", "sha512"}) {
    EXPECT_EQ(failure(std::string("forge.digest.") + name + "(5)"),
              std::string("call.argument: extension.lua:2: forge.digest.") + name +
                  ": argument 1 (text) must be a string, found number");
  }
  EXPECT_EQ(failure("forge.digest.hmac_sha256('k')"),
            "call.argument: extension.lua:2: forge.digest.hmac_sha256: argument 2 (text) must be a string, "
            "found nil");
}

TEST(Calls, Hex) {
  EXPECT_EQ(outputs(execute(R"(
    local bytes = {}
    for i = 0, 255 do bytes[i + 1] = string.char(i) end
    local all = table.concat(bytes)
    self.outputs = { encoded = forge.hex.encode("\0\255az"), decoded = forge.hex.decode("00fF617a") == "\0\255az",
      back = forge.hex.decode(forge.hex.encode(all)) == all, none = forge.hex.decode("") })")),
            parse(R"({"encoded": "00ff617a", "decoded": true, "back": true, "none": ""})"));
  EXPECT_EQ(failure("forge.hex.decode('0g')"), "hex.invalid: not hexadecimal at byte 1");
  EXPECT_EQ(failure("forge.hex.decode('012')"), "hex.invalid: not hexadecimal: 3 digits");
  EXPECT_EQ(
      failure("forge.hex.encode()"),
      "call.argument: extension.lua:2: forge.hex.encode: argument 1 (text) must be a string, found nil");
  EXPECT_EQ(
      failure("forge.hex.decode({})"),
      "call.argument: extension.lua:2: forge.hex.decode: argument 1 (text) must be a string, found table");
}

TEST(Calls, Base64) {
  EXPECT_EQ(outputs(execute(R"(
    local e, d = forge.base64.encode, forge.base64.decode
    self.outputs = { encoded = e("\0\255a"), decoded = d("AP9h") == "\0\255a", padded = e("\255\239"),
      url = e("\255\239\190", { url = true }), unpadded = e("\255\239", { url = true }),
      back = d("_-8", { url = true }) == "\255\239" and d("_-8=", { url = true }) == "\255\239",
      standard = e("\255\239\190", { url = false }) })")),
            parse(R"({"encoded": "AP9h", "decoded": true, "padded": "/+8=", "url": "_---", "unpadded": "_-8",
                      "back": true, "standard": "/+++"})"));
  EXPECT_EQ(failure("forge.base64.decode('!')"), "base64.invalid: not base64 at byte 1");
  EXPECT_EQ(failure("forge.base64.decode('ab/d', { url = true })"), "base64.invalid: not base64 at byte 2");
  EXPECT_EQ(failure("forge.base64.decode('ab-d')"), "base64.invalid: not base64 at byte 2");
  EXPECT_EQ(failure("forge.base64.encode('x', { padding = true })"),
            "call.argument: extension.lua:2: forge.base64.encode: there is no option 'padding'");
}

TEST(Calls, Uuid) {
  EXPECT_EQ(outputs(execute(R"(
    local seen, count, shape = {}, 0, true
    for _ = 1, 1000 do
      local id = forge.uuid()
      if not id:find("^%x%x%x%x%x%x%x%x%-%x%x%x%x%-4%x%x%x%-[89ab]%x%x%x%-%x%x%x%x%x%x%x%x%x%x%x%x$") or id ~= id:lower()
      then shape = id end
      if not seen[id] then count = count + 1 end
      seen[id] = true
    end
    self.outputs = { shape = shape, count = count })")),
            parse(R"({"shape": true, "count": 1000})"));
  EXPECT_EQ(failure("forge.uuid(1)"),
            "call.argument: extension.lua:2: forge.uuid: takes no arguments, found 1");
}

TEST(Calls, TimeFormat) {
  EXPECT_EQ(outputs(execute(R"(
    local f = forge.time.format
    self.outputs = { zero = f(0), whole = f(1795255925), milli = f(1795255925.123), micro = f(0.000001),
      before = f(-0.5), first = f(-62167219200), last = f(253402300799), leap = f(951782400, "%F %j"),
      all = f(1795255925.25, "%Y %m %d %e %j|%H %I %M %S %p %f|%a %A %u %b %B|%F %T|%s %z %Z 100%%"),
      morning = f(86400 * 4 + 300, "%e %I:%M %p %u"), plain = f(0, "no directive") })")),
            parse(R"({"zero": "1970-01-01T00:00:00Z", "whole": "2026-11-21T10:12:05Z",
                      "milli": "2026-11-21T10:12:05.123Z", "micro": "1970-01-01T00:00:00.000001Z",
                      "before": "1969-12-31T23:59:59.500Z", "first": "0000-01-01T00:00:00Z",
                      "last": "9999-12-31T23:59:59Z", "leap": "2000-02-29 060",
                      "all": "2026 11 21 21 325|10 10 12 05 AM 250000|Sat Saturday 6 Nov November|2026-11-21 10:12:05|1795255925 +0000 UTC 100%",
                      "morning": " 5 12:05 AM 1", "plain": "no directive"})"));
  EXPECT_EQ(failure("forge.time.format(1e15)"),
            "time.range: no time of the years 0 to 9999: 1000000000000000.000000 seconds since 1970");
  EXPECT_EQ(execute("forge.time.format(0/0)").error.code, "time.range");
  EXPECT_EQ(failure("forge.time.format(0, '%F %Q')"), "time.directive: no directive: `%Q` at byte 3");
  EXPECT_EQ(failure("forge.time.format(0, '%')"), "time.directive: no directive: `%` at byte 0");
  EXPECT_EQ(failure("forge.time.format('now')"),
            "call.argument: extension.lua:2: forge.time.format: argument 1 (seconds) must be a number, found "
            "string");
}

TEST(Calls, TimeParse) {
  EXPECT_EQ(outputs(execute(R"(
    local p = forge.time.parse
    self.outputs = { utc = p("2026-11-21T09:32:05Z"), zone = p("2026-11-21T10:32:05.25+01:00"),
      west = p("2026-11-21t05:02:05-0430"), space = p("2026-11-21 09:32z"), day = p("2026-11-21"),
      http = p("Sat, 21 Nov 2026 09:32:05 GMT"), leap_day = p("2000-02-29"), leap_second = p("2016-12-31T23:59:60Z"),
      zoned_leap = p("2017-01-01T00:59:60+01:00"), old = p("0000-01-01"), back = p(forge.time.format(12345.678)) })")),
            parse(R"({"utc": 1795253525, "zone": 1795253525.25, "west": 1795253525, "space": 1795253520,
                      "day": 1795219200, "http": 1795253525, "leap_day": 951782400, "leap_second": 1483228800,
                      "zoned_leap": 1483228800, "old": -62167219200, "back": 12345.678})"));
  const auto error = [](const std::string& text) { return failure("forge.time.parse('" + text + "')"); };
  EXPECT_EQ(error(""), "time.syntax: not a time: '' at byte 0: expected a digit");
  EXPECT_EQ(error("2026-11-21T09:32:05"),
            "time.syntax: not a time: '2026-11-21T09:32:05' at byte 19: expected one of `Zz+-`");
  EXPECT_EQ(error("2026-1-21"), "time.syntax: not a time: '2026-1-21' at byte 6: expected a digit");
  EXPECT_EQ(error("2026-11-21T09:32:05Z "),
            "time.syntax: not a time: '2026-11-21T09:32:05Z ' at byte 20: expected the end");
  EXPECT_EQ(error("Sat, 21 Nov 2026 09:32:05 CET"),
            "time.syntax: not a time: 'Sat, 21 Nov 2026 09:32:05 CET' at byte 25: expected ` GMT`");
  EXPECT_EQ(error("yesterday"),
            "time.syntax: not a time: 'yesterday' at byte 0: expected a digit, or the name of a day");
  EXPECT_EQ(error("2026-02-29"), "time.range: not a time: '2026-02-29': there is no such day");
  EXPECT_EQ(error("2026-13-01"), "time.range: not a time: '2026-13-01': there is no such day");
  EXPECT_EQ(error("2026-11-21T24:00:00Z"),
            "time.range: not a time: '2026-11-21T24:00:00Z': there is no such time of day");
  EXPECT_EQ(error("2026-11-21T10:00:60Z"),
            "time.range: not a time: '2026-11-21T10:00:60Z': there is no such time of day");
  EXPECT_EQ(error("2026-11-21T10:00:00+25:00"),
            "time.range: not a time: '2026-11-21T10:00:00+25:00': there is no such zone");
  EXPECT_EQ(
      failure("forge.time.parse(5)"),
      "call.argument: extension.lua:2: forge.time.parse: argument 1 (text) must be a string, found number");
}

}  // namespace
}  // namespace pf::vm::testing
