// Values between Lua and CBOR, JSON and YAML.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "base/cbor.h"
#include "harness.h"

namespace pf::vm::testing {
namespace {

using ::testing::HasSubstr;

/// What `self.config` becomes when it is given back as outputs.
Json round_trip(const Json& value) {
  Case c;
  c.config = value;
  return outputs(execute("self.outputs = self.config", c));
}

std::string refused(const std::string& expression) {
  const Outcome out = execute("self.outputs = " + expression);
  return out.ok ? "accepted" : out.error.message;
}

TEST(Convert, KindsOfValues) {
  const Json value =
      parse(R"({"null": null, "true": true, "false": false, "int": -7, "real": 0.1, "text": "ä€𝄞",
    "list": [1, [], {}, null], "map": {"list": [], "map": {}, "a b": {"": 1}}, "empty": ""})");
  EXPECT_EQ(round_trip(value), value);
}

TEST(Convert, NumbersCrossExactly) {
  for (const double number : {0.0, 1.0, -1.0, 9007199254740992.0, -9007199254740992.0, 4503599627370497.5,
                              1e300, 5e-324, 0.1, 1.0 / 3, 18014398509481984.0}) {
    Case c;
    c.config["n"] = number;
    const Outcome out = execute("self.outputs.n = self.config.n", c);
    EXPECT_EQ(from_cbor(out.value).value()["n"].get<double>(), number);
  }
  Case c;
  c.config["n"] = int64_t{9007199254740992};
  EXPECT_EQ(outputs(execute("self.outputs.n = self.config.n - 1", c)), parse(R"({"n": 9007199254740991})"));
  const Outcome minus_zero = execute("self.outputs.n = -0.0 * 1");
  EXPECT_TRUE(std::signbit(from_cbor(execute("self.outputs.n = 0 / -1").value).value()["n"].get<double>()));
  EXPECT_TRUE(minus_zero.ok);
}

TEST(Convert, NullIsForgeNull) {
  Case c;
  c.config = parse(R"({"a": null, "b": [null]})");
  EXPECT_EQ(outputs(execute(R"(
    self.outputs = { same = self.config.a == forge.null, item = self.config.b[1] == forge.null,
      absent = self.config.x == nil, made = forge.null })",
                            c)),
            parse(R"({"same": true, "item": true, "absent": true, "made": null})"));
}

TEST(Convert, EmptyTablesKeepTheirKind) {
  Case c;
  c.config = parse(R"({"list": [], "map": {}, "full": [1]})");
  EXPECT_EQ(
      outputs(execute(R"(
    local c = self.config
    table.remove(c.full)
    self.outputs = { list = c.list, map = c.map, emptied = c.full, plain = {}, made = forge.list(), map_made = forge.map {},
      back = forge.map(forge.list()), grown = c.map }
    c.map.x = 1)",
                      c)),
      parse(
          R"({"list": [], "map": {"x": 1}, "emptied": [], "plain": {}, "made": [], "map_made": {}, "back": {},
                      "grown": {"x": 1}})"));
  EXPECT_EQ(execute("forge.list(5)").error.message,
            "extension.lua:2: forge.list: argument 1 must be a table, found number");
  EXPECT_EQ(execute("forge.map(setmetatable({}, {}))").error.message,
            "extension.lua:2: forge.map: the table has a metatable of its own");
}

TEST(Convert, BytesCross) {
  const Outcome out = execute("self.outputs.b = '\\255\\0x' self.outputs.t = 'ok\\0'");
  cbor::Reader in(out.value);
  EXPECT_EQ(in.map(), 2U);
  EXPECT_EQ(in.text(), "b");
  cbor::Item item = in.next();
  EXPECT_EQ(item.type, cbor::Type::bytes);
  EXPECT_EQ(item.text, std::string_view("\xff\0x", 3));
  EXPECT_EQ(in.text(), "t");
  item = in.next();
  EXPECT_EQ(item.type, cbor::Type::text);
  EXPECT_EQ(item.text, std::string_view("ok\0", 3));
  Case c;
  c.config["b"] = Json::binary({0xff, 0, 'x'});
  EXPECT_EQ(outputs(execute("self.outputs.same = self.config.b == '\\255\\0x'", c)),
            parse(R"({"same": true})"));
}

TEST(Convert, KeysAreSorted) {
  const Outcome out = execute(
      "for _, k in ipairs { 'b', 'a', 'aa', 'B', 'c' } do self.outputs[k] = { z = 1, y = { 2 } } end");
  std::string expected;
  cbor::Writer w(expected);
  w.map(5);
  for (const char* key : {"B", "a", "aa", "b", "c"}) {
    w.text(key);
    w.map(2);
    w.text("y");
    w.array(1);
    w.integer(2);
    w.text("z");
    w.integer(1);
  }
  EXPECT_EQ(out.value, expected);
}

TEST(Convert, WhatIsRefused) {
  EXPECT_EQ(refused("{ a = { 1, 2, { b = print } } }"),
            "outputs.a[3].b: a function cannot be converted to JSON");
  EXPECT_EQ(refused("{ a = coroutine.create(print) }"), "outputs.a: a coroutine cannot be converted to JSON");
  EXPECT_EQ(refused("{ a = 0 / 0 }"), "outputs.a: NaN cannot be converted to JSON");
  EXPECT_EQ(refused("{ a = { 1 / 0 } }"), "outputs.a[1]: an infinite number cannot be converted to JSON");
  EXPECT_EQ(refused("{ a = { 1, 2, x = 3 } }"),
            "outputs.a: a table with both text keys and numbered items cannot be converted to JSON");
  EXPECT_EQ(refused("{ a = { [1] = 1, [3] = 3 } }"),
            "outputs.a: a list with gaps cannot be converted to JSON; use forge.null for what is missing");
  EXPECT_EQ(refused("{ a = { [0] = 1 } }"),
            "outputs.a: the key of a list must be a whole number from 1; use tostring for the key of a map");
  EXPECT_EQ(refused("{ a = { [1.5] = 1 } }"),
            "outputs.a: the key of a list must be a whole number from 1; use tostring for the key of a map");
  EXPECT_EQ(refused("{ a = { [true] = 1 } }"),
            "outputs.a: the key of a table must be text or a number, found boolean");
  EXPECT_EQ(refused("{ ['a b'] = { ['\"'] = print } }"),
            "outputs[\"a b\"][\"\\\"\"]: a function cannot be converted to JSON");
  EXPECT_EQ(execute("local t = { x = {} } t.x.y = { t } self.outputs = t").error.message,
            "outputs.x.y[1]: a table that contains itself cannot be converted to JSON");
  EXPECT_TRUE(execute("local shared = { 1 } self.outputs = { a = shared, b = { shared, shared } }").ok);
}

TEST(Convert, DepthAndSizeAreBounded) {
  const auto nested = [](int depth) {
    return "local t = {} local at = t for i = 2, " + std::to_string(depth) +
           " do at.x = {} at = at.x end self.outputs = t";
  };
  EXPECT_TRUE(execute(nested(64)).ok);
  EXPECT_THAT(execute(nested(65)).error.message,
              HasSubstr("tables nested deeper than 64 levels cannot be converted"));
  EXPECT_THAT(execute(nested(100'000)).error.message, HasSubstr("nested deeper than 64 levels"));
  // A few tables that would be 2^60 items written out.
  EXPECT_EQ(execute("local t = { 1 } for i = 1, 60 do t = { t, t } end self.outputs.t = t").error.code,
            "limit.output");
}

/// Any JSON value, of bounded size.
Json any_value(std::mt19937& random, int depth) {
  const auto text = [&] {
    static const std::vector<std::string> kPieces = {"a", "b", " ", "\n", "\"", "\\",   "é",
                                                     "𝄞", "0", ":", "#",  "- ", "\x01", "~"};
    std::string out;
    for (auto n = random() % 6; n > 0; --n) out += kPieces[random() % kPieces.size()];
    return out;
  };
  switch (random() % (depth < 5 ? 9 : 6)) {
    case 0: return nullptr;
    case 1: return random() % 2 == 0;
    case 2: return static_cast<int64_t>(random()) - 2'000'000'000;
    case 3: return std::ldexp(static_cast<double>(random()) + 0.5, static_cast<int>(random() % 200) - 100);
    case 4:
    case 5: return text();
    case 6:
    case 7: {
      Json out = Json::array();
      for (auto n = random() % 4; n > 0; --n) out.push_back(any_value(random, depth + 1));
      return out;
    }
    default: {
      Json out = Json::object();
      for (auto n = random() % 4; n > 0; --n) out[text()] = any_value(random, depth + 1);
      return out;
    }
  }
}

TEST(Convert, RandomValuesSurviveEveryWay) {
  on_big_stack([] {
    Case c;
    c.modules["extension"] = extension(R"(
      local v = self.config
      self.outputs = { plain = v, json = forge.json.decode(forge.json.encode(v)),
        yaml = forge.yaml.decode(forge.yaml.encode(v)), text = forge.json.encode(v) })");
    auto vm = Vm::load(make_load(c));
    ASSERT_TRUE(vm.has_value());
    std::mt19937 random(20240601);
    FakeHost host;
    for (int i = 0; i < 1500; ++i) {
      c.config = {{"v", any_value(random, 0)}};
      const Json out = outputs(run_job(**vm, host, c));
      ASSERT_TRUE(out.is_object()) << out.dump() << " for " << c.config.dump();
      ASSERT_EQ(out["plain"], c.config) << i;
      ASSERT_EQ(out["json"], c.config) << i;
      ASSERT_EQ(out["yaml"], c.config) << i;
      ASSERT_EQ(parse(out["text"].get<std::string>()), c.config) << i;
    }
  });
}

TEST(Convert, MalformedJobDataIsAnError) {
  on_big_stack([] {
    Case c;
    c.modules["extension"] = extension("");
    auto vm = Vm::load(make_load(c));
    ASSERT_TRUE(vm.has_value());
    FakeHost host;
    for (const std::string& bytes :
         {std::string("\xa1"), std::string("\xa1\x01\x02"), std::string("\xff"), std::string(100'000, '\x81'),
          std::string("\x01\x01"), std::string("\xc0\x01")}) {
      Job job;
      job.config = bytes;
      EXPECT_EQ((*vm)->run(job, host).error.code, "frame.malformed");
    }
  });
}

}  // namespace
}  // namespace pf::vm::testing
