// stdlib/schema.lua and the checker together: models.lua texts are run in a LuaJIT state with base functions,
// string, table and math alone, turned into JSON, and given to Schema::from_json.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <lua.hpp>

#include <cmath>
#include <memory>

#include "base/file.h"
#include "base/json.h"
#include "pipeline/reader.h"
#include "pipeline/schema.h"

namespace pf::extension {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// An empty table becomes an empty list: what an encoder that does not know better may do. The format must not
// care.
Json value_of(lua_State* lua, int index, bool empty_is_list) {
  switch (lua_type(lua, index)) {
    case LUA_TNIL: return nullptr;
    case LUA_TBOOLEAN: return lua_toboolean(lua, index) != 0;
    case LUA_TSTRING: return std::string(lua_tostring(lua, index), lua_objlen(lua, index));
    case LUA_TNUMBER: {
      const double number = lua_tonumber(lua, index);
      if (number == std::trunc(number)) return static_cast<int64_t>(number);
      return number;
    }
    case LUA_TTABLE: break;
    default: ADD_FAILURE() << "a model holds a " << luaL_typename(lua, index); return nullptr;
  }
  const bool is_list = lua_objlen(lua, index) > 0;
  Json list = Json::array(), map = Json::object();
  const int table = index < 0 ? lua_gettop(lua) + index + 1 : index;
  for (size_t i = 1; is_list && i <= lua_objlen(lua, table); ++i) {
    lua_rawgeti(lua, table, static_cast<int>(i));
    list.push_back(value_of(lua, -1, empty_is_list));
    lua_pop(lua, 1);
  }
  if (is_list) return list;
  lua_pushnil(lua);
  while (lua_next(lua, table) != 0) {
    EXPECT_EQ(lua_type(lua, -2), LUA_TSTRING) << "a table mixes a list with a map";
    map[lua_tostring(lua, -2)] = value_of(lua, -1, empty_is_list);
    lua_pop(lua, 1);
  }
  return map.empty() && empty_is_list ? list : map;
}

/// Runs `chunk` as models.lua, `s` being the schema module; the JSON of what it returns, or the error's text.
struct Ran {
  Json value;
  std::string error;
};
Ran run(const std::string& chunk, bool empty_is_list = true) {
  const std::unique_ptr<lua_State, void (*)(lua_State*)> owner(luaL_newstate(), lua_close);
  lua_State* lua = owner.get();
  const lua_CFunction libraries[] = {luaopen_base, luaopen_string, luaopen_table, luaopen_math};
  for (lua_CFunction library : libraries) {
    lua_pushcfunction(lua, library);
    lua_call(lua, 0, 0);
  }
  for (const char* name :
       {"load", "loadstring", "loadfile", "dofile", "setfenv", "getfenv", "newproxy", "collectgarbage"}) {
    lua_pushnil(lua);
    lua_setglobal(lua, name);
  }
  const auto source = read_file(PF_SOURCE_DIR "/stdlib/schema.lua");
  EXPECT_TRUE(source);
  Ran out;
  if (luaL_loadbuffer(lua, source->data(), source->size(), "=schema.lua") != 0 ||
      lua_pcall(lua, 0, 1, 0) != 0) {
    out.error = lua_tostring(lua, -1);
    return out;
  }
  lua_setglobal(lua, "s");
  if (luaL_loadbuffer(lua, chunk.data(), chunk.size(), "=models.lua") != 0 || lua_pcall(lua, 0, 1, 0) != 0) {
    out.error = lua_tostring(lua, -1);
    return out;
  }
  out.value = value_of(lua, -1, empty_is_list);
  return out;
}

std::unique_ptr<pipeline::Schema> schema(const std::string& chunk, bool empty_is_list = true) {
  const Ran ran = run(chunk, empty_is_list);
  EXPECT_EQ(ran.error, "");
  EXPECT_TRUE(ran.value.contains("Config"));
  auto built = pipeline::Schema::from_json(ran.value["Config"]);
  EXPECT_TRUE(built) << built.error().text();
  return built ? std::move(*built) : pipeline::Schema::empty();
}

struct Checked {
  std::vector<std::string> findings;
  Json config;
};
Checked check(const pipeline::Schema& schema, std::string_view text) {
  auto document = pipeline::read_yaml(text, "p.yaml", "/nowhere");
  EXPECT_TRUE(document) << document.error().text();
  Checked out;
  Errors errors;
  schema.check(**document, (*document)->root(), "t.i", false, errors);
  for (const auto& error : errors) out.findings.push_back(error.text());
  if (!errors.empty()) return out;
  std::string cbor;
  schema.encode(**document, (*document)->root(), cbor);
  auto config = from_cbor(cbor);
  EXPECT_TRUE(config);
  out.config = *config;
  return out;
}

std::string error_of(const std::string& expression) {
  return run("\nlocal x = " + expression + "\nreturn {}").error;
}

TEST(SchemaLua, EveryTypeReachesTheChecker) {
  const auto all = schema(R"(return { Config = s.object {
    text    = s.string { min = 1, max = 5, pattern = "^[a-z]*$" },
    count   = s.integer { default = 3, min = 0 },
    ratio   = s.optional(s.number { max = 1.5 }),
    flag    = s.boolean { default = false },
    what    = s.any { required = false },
    mode    = s.enum { "fast", "exact", 3, true, default = "fast" },
    keys    = s.list { s.string {}, default = {}, max = 2 },
    sizes   = s.map(s.integer {}, { keys = s.string { pattern = "^k" }, default = {} }),
    nested  = s.object({ deep = s.integer { default = 1 }, list = s.list { default = {} } }, { default = {} }),
    source  = s.union { s.string {}, s.object { ref = s.string { default = "main" } }, default = { ref = "x" } },
    out     = s.path { kind = "folder", input = false, default = "out" },
  } })");
  const Checked good = check(*all, "text: ab");
  EXPECT_THAT(good.findings, IsEmpty());
  EXPECT_EQ(good.config,
            Json::parse(R"({"text": "ab", "count": 3, "flag": false, "mode": "fast", "keys": [], "sizes": {},
    "nested": {"deep": 1, "list": []}, "source": {"ref": "x"}, "out": "/nowhere/out"})"));
  const Checked more = check(*all,
                             "{text: ab, ratio: 0.5, what: [1, {}], mode: 3, keys: [a], sizes: {k: 1}, "
                             "nested: {deep: 2}, source: {}, out: /x/../y, flag: true, count: 0}");
  EXPECT_THAT(more.findings, IsEmpty());
  EXPECT_EQ(more.config,
            Json::parse(R"({"text": "ab", "ratio": 0.5, "what": [1, {}], "mode": 3, "keys": ["a"],
    "sizes": {"k": 1}, "nested": {"deep": 2, "list": []}, "source": {"ref": "main"}, "out": "/y", "flag": true, "count": 0})"));
  EXPECT_THAT(
      check(*all, "{text: abcdef, ratio: 2, keys: [1, 2, 3]}").findings,
      ElementsAre(
          "p.yaml:1:8: t.i.text: expected text of 1 to 5 characters that matches ^[a-z]*$, found text "
          "'abcdef' [config.range]",
          "p.yaml:1:23: t.i.ratio: expected a number of at most 1.5, found integer 2 [config.range]",
          "p.yaml:1:32: t.i.keys: expected a list of at most 2 items, found a list of 3 items [config.range]",
          "p.yaml:1:33: t.i.keys[0]: expected text, found integer 1 [config.type]\n  hint: put the value in "
          "quotes to make it text",
          "p.yaml:1:36: t.i.keys[1]: expected text, found integer 2 [config.type]\n  hint: put the value in "
          "quotes to make it text",
          "p.yaml:1:39: t.i.keys[2]: expected text, found integer 3 [config.type]\n  hint: put the value in "
          "quotes to make it text"));
}

TEST(SchemaLua, EmptyTablesMeanTheSameAsListOrAsMap) {
  const char* models = R"(return { Config = s.object {
    list = s.list { default = {} }, map = s.map { default = {} }, object = s.object({}, { default = {} }),
    deep = s.list { s.map { s.list {} }, default = { {}, { a = {} } } },
    either = s.union { s.list {}, s.string {}, default = {} },
  } })";
  const Json expected =
      Json::parse(R"({"list": [], "map": {}, "object": {}, "deep": [{}, {"a": []}], "either": []})");
  for (const bool empty_is_list : {true, false}) {
    EXPECT_EQ(check(*schema(models, empty_is_list), "{}").config, expected) << empty_is_list;
  }
}

TEST(SchemaLua, AnObjectWithoutFields) {
  const auto none = schema("return { Config = s.object {} }");
  EXPECT_THAT(check(*none, "{}").findings, IsEmpty());
  EXPECT_THAT(
      check(*none, "a: 1").findings,
      ElementsAre("p.yaml:1:1: t.i.a: unknown key [config.unknown_key]\n  hint: no keys are allowed here"));
}

TEST(SchemaLua, OneModelMayStandInSeveralPlaces) {
  const auto twice = schema(
      "local port = s.integer { min = 1 }\nreturn { Config = s.object { a = port, b = s.optional(port) } }");
  EXPECT_THAT(check(*twice, "a: 1").findings, IsEmpty());
  EXPECT_THAT(check(*twice, "b: 1").findings,
              ElementsAre("p.yaml:1:1: t.i.a: missing, expected an integer of at least 1 [config.missing]\n  "
                          "hint: add `a:`"));
}

TEST(SchemaLua, DescriptionsAndExamplesReachTheHints) {
  const auto hinted = schema(R"(return { Config = s.object {
    url = s.string { description = "where the data is", examples = { "https://example.org" } } } })");
  EXPECT_THAT(check(*hinted, "{}").findings,
              ElementsAre("p.yaml:1:1: t.i.url: missing, expected text [config.missing]\n"
                          "  hint: add `url:`: where the data is; for example \"https://example.org\""));
}

TEST(SchemaLua, MistakesRaiseAtTheAuthorsLine) {
  const std::pair<const char*, const char*> cases[] = {
      {"s.integer { mni = 1 }",
       "s.integer has no option 'mni'; its options are default, description, examples, max, min, required, "
       "secret"},
      {"s.integer { 3 }",
       "s.integer takes no value without a name, found 3; its options are default, description, examples, "
       "max, min, required, secret"},
      {"s.integer { min = 'a' }", "s.integer: option 'min' takes an integer, found 'a'"},
      {"s.integer { min = 1.5 }", "s.integer: option 'min' takes an integer, found 1.5"},
      {"s.integer { min = 3, max = 2 }", "s.integer: min 3 is above max 2"},
      {"s.integer { default = 'x' }",
       "s.integer: the default does not fit: default: expected an integer, found 'x'"},
      {"s.integer { default = -1, min = 0 }",
       "s.integer: the default does not fit: default: expected an integer of at least 0, found -1"},
      {"s.integer { default = 2^54 }",
       "s.integer: the default does not fit: default: expected an integer, found 1.8014398509482e+16"},
      {"s.integer { default = 1, required = true }", "s.integer: a model with a default cannot be required"},
      {"s.integer { default = 1, required = false }",
       "s.integer: a model with a default is optional already"},
      {"s.number { default = 0/0 }",
       "s.number: the default does not fit: default: expected a number, found nan"},
      {"s.number { max = 1/0 }", "s.number: option 'max' takes a number, found inf"},
      {"s.string { min = -1 }", "s.string: option 'min' takes an integer of at least 0, found -1"},
      {"s.string { pattern = 3 }", "s.string: option 'pattern' takes text, found 3"},
      {"s.string 'x'", "s.string takes a table of options, found 'x'"},
      {"s.string { default = 'abc', max = 2 }",
       "s.string: the default does not fit: default: expected text of at most 2 characters, found 'abc'"},
      {"s.string { secret = 'yes' }", "s.string: option 'secret' takes true or false, found 'yes'"},
      {"s.string { examples = {} }", "s.string: option 'examples' takes a list of at least one value"},
      {"s.string { examples = { 3 } }",
       "s.string: an example does not fit: examples[1]: expected text, found 3"},
      {"s.boolean { min = 1 }",
       "s.boolean has no option 'min'; its options are default, description, examples, required, secret"},
      {"s.any { default = {} }",
       "s.any: the default does not fit: default is an empty table, which may be a list or a map: use s.list "
       "or s.map instead of s.any"},
      {"s.any { default = print }",
       "s.any: the default does not fit: default is a function, which YAML cannot say"},
      {"s.enum {}", "s.enum: name at least one value, as in s.enum { \"a\", \"b\" }"},
      {"s.enum { 'a', 'a' }", "s.enum: 'a' is named twice"},
      {"s.enum { {} }", "s.enum: values are texts, numbers and booleans, found a table"},
      {"s.enum { 'a', default = 'b' }",
       "s.enum: the default does not fit: default: expected one of 'a', found 'b'"},
      {"s.list { s.any {}, s.any {} }",
       "s.list takes one model for its items, found 2; s.union holds several"},
      {"s.list { s.string { default = 'a' } }",
       "s.list: its items cannot be optional or have a default; only a field of s.object can"},
      {"s.list { s.string }",
       "s.list: its items must be a model, found a function; call it, as in s.string {}"},
      {"s.list { s.integer {}, default = { 1, 'b' } }",
       "s.list: the default does not fit: default[2]: expected an integer, found 'b'"},
      {"s.list(s.integer {}, 3)", "s.list takes a table of options, found 3"},
      {"s.list({ s.integer {} }, {})",
       "s.list takes one table that holds everything, or a model and a table of options"},
      {"s.map { keys = s.integer {} }", "s.map: option 'keys' takes an s.string"},
      {"s.map { s.integer {}, default = { a = 'b' } }",
       "s.map: the default does not fit: default.a: expected an integer, found 'b'"},
      {"s.object()",
       "s.object takes a table of fields, as in s.object { name = s.string {} }, found nothing"},
      {"s.object { s.string {} }", "s.object: the name of a field is text, found 1"},
      {"s.object { a = s.string }",
       "s.object: field 'a' must be a model, found a function; call it, as in s.string {}"},
      {"s.object { a = { b = s.string {} } }",
       "s.object: field 'a' must be a model, found a table; a group of fields is s.object { … }"},
      {"s.object({ a = s.any {} }, { default = {} })",
       "s.object: the default does not fit: default.a is missing"},
      {"s.object({}, { default = { a = 1 } })",
       "s.object: the default does not fit: default.a is no field of the object"},
      {"s.union { s.string {} }",
       "s.union: name at least two models, as in s.union { s.string {}, s.integer {} }"},
      {"s.union { s.string {}, s.integer {}, default = true }",
       "s.union: the default does not fit: default: true fits none of the union's models"},
      {"s.path { kind = 'dir' }", "s.path: option 'kind' takes \"file\", \"folder\" or \"any\", found 'dir'"},
      {"s.path { input = 1 }", "s.path: option 'input' takes true or false, found 1"},
      {"s.optional {}",
       "s.optional: its argument must be a model, found a table; a group of fields is s.object { … }"},
      {"s.optional(s.integer { default = 1 })",
       "s.optional: the model has a default and is optional already"},
      {"s.optional(s.integer {}, {})", "s.optional takes a model only; give the options to the model itself"},
      {"s.strng {}",
       "schema has no 's.strng'; it has any, boolean, enum, integer, list, map, number, object, optional, "
       "path, string, union"},
  };
  for (const auto& [expression, message] : cases) {
    EXPECT_EQ(error_of(expression), std::string("models.lua:2: ") + message) << expression;
  }
}

TEST(SchemaLua, WhatLuaCannotJudgeTheCoreDoes) {
  const Ran ran = run("return { Config = s.object { v = s.string { pattern = '^a', default = 'b' } } }");
  ASSERT_EQ(ran.error, "");
  const auto built = pipeline::Schema::from_json(ran.value["Config"]);
  ASSERT_FALSE(built);
  EXPECT_EQ(
      built.error().message,
      "Config.v: the default does not fit: Config.v.default: expected text that matches ^a, found text 'b'");
}

TEST(SchemaLua, AModelThatWasChangedByHandIsRefused) {
  const Ran ran = run("local v = s.string {}\nv.lenght = 3\nreturn { Config = s.object { v = v } }");
  ASSERT_EQ(ran.error, "");
  const auto built = pipeline::Schema::from_json(ran.value["Config"]);
  ASSERT_FALSE(built);
  EXPECT_EQ(built.error().message, "Config.v: a model of type string has no 'lenght'");
}

TEST(SchemaLua, TheBundledModelsAreGood) {
  for (const char* name : {"example", "feedstock"}) {
    const auto source = read_file(std::string(PF_SOURCE_DIR "/extensions/") + name + "/models.lua");
    ASSERT_TRUE(source) << name;
    const Ran ran = run("local function require() return s end\n" + *source);
    ASSERT_EQ(ran.error, "") << name;
    EXPECT_TRUE(pipeline::Schema::from_json(ran.value["Config"])) << name;
  }
}

}  // namespace
}  // namespace pf::extension
