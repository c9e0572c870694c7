// stdlib/tables.
#include "stdlib/support.h"

namespace pf::vm::testing {
namespace {

std::string failure(const std::string& body) {
  const Outcome out = execute("local tables = require 'tables'\n" + body);
  return out.error.code == "call.argument" ? out.error.message : "no call.argument: " + out.error.message;
}

TEST(Tables, DeepCopy) {
  EXPECT_EQ(with("tables", R"(
    local inner = { 1 }
    local original = { a = inner, b = inner, empty = forge.list(), map = forge.map() }
    original.self = original
    local copy = tables.deep_copy(original)
    copy.a[1] = 2
    return { original = inner[1], shared = copy.a == copy.b, cycle = copy.self == copy, other = copy ~= original,
      empty = copy.empty, map = copy.map, text = tables.deep_copy("x") })"),
            parse(R"({"original": 1, "shared": true, "cycle": true, "other": true, "empty": [], "map": {},
                      "text": "x"})"));
}

TEST(Tables, Merge) {
  EXPECT_EQ(with("tables", R"(
    local base = { a = 1, deep = { x = 1, y = { 1, 2 } }, list = { 1, 2, 3 }, gone = { 1 } }
    local merged = tables.merge(base, { deep = { y = { 3 }, z = true }, list = { 9 } }, { a = 2, gone = forge.null })
    merged.deep.x = 5
    return { merged = merged, base = base, lists = tables.merge({ 1, 2 }, { 3 }), same = tables.merge({ b = 1 }) })"),
            parse(R"({"merged": {"a": 2, "deep": {"x": 5, "y": [3], "z": true}, "list": [9], "gone": null},
                      "base": {"a": 1, "deep": {"x": 1, "y": [1, 2]}, "list": [1, 2, 3], "gone": [1]},
                      "lists": [3], "same": {"b": 1}})"));
  EXPECT_EQ(failure("tables.merge(5)"),
            "extension.lua:3: tables.merge: argument 1 (base) must be a table, found number");
  EXPECT_EQ(failure("tables.merge({}, {}, 5)"),
            "extension.lua:3: tables.merge: argument 3 (over) must be a table, found number");
}

TEST(Tables, DeepEqual) {
  EXPECT_EQ(with("tables", R"(
    local e = tables.deep_equal
    local a, b = { 1 }, { 1 }
    a[2], b[2] = a, b
    return { e(1, 1), e({ a = { 1, 2 } }, { a = { 1, 2 } }), e(a, b), e({}, {}),
      e(1, "1"), e({ 1 }, { 1, 2 }), e({ 1, 2 }, { 1 }), e({ a = 1 }, { b = 1 }), e({}, 1), e({ { a = false } }, { {} }) })"),
            parse("[true, true, true, true, false, false, false, false, false, false]"));
}

TEST(Tables, Keys) {
  EXPECT_EQ(with("tables", "return tables.keys { b = 1, a = 1, [10] = 1, [9] = 1, [true] = 1, [false] = 1 }"),
            parse(R"([false, true, 9, 10, "a", "b"])"));
  EXPECT_EQ(with("tables", "return tables.keys {}"), parse("[]"));
  EXPECT_EQ(failure("tables.keys { [print] = 1 }"),
            "extension.lua:3: tables.keys: a function as a key cannot be sorted");
  EXPECT_EQ(failure("tables.keys()"),
            "extension.lua:3: tables.keys: argument 1 (t) must be a table, found nil");
}

TEST(Tables, MapAndFilter) {
  EXPECT_EQ(with("tables", R"(
    return { tables.map({ "a", "b", "c" }, function(v, i) return i ~= 2 and v .. i or nil end),
      tables.filter({ 1, 2, 3, 4 }, function(v, i) return v % 2 == 0 and i > 2 end),
      tables.map({}, print), tables.filter({ 1 }, function() return false end) })"),
            parse(R"([["a1", "c3"], [4], [], []])"));
  EXPECT_EQ(failure("tables.map({}, 5)"),
            "extension.lua:3: tables.map: argument 2 (f) must be a function, found number");
  EXPECT_EQ(failure("tables.map(5, print)"),
            "extension.lua:3: tables.map: argument 1 (list) must be a table, found number");
  EXPECT_EQ(failure("tables.filter({})"),
            "extension.lua:3: tables.filter: argument 2 (f) must be a function, found nil");
  EXPECT_EQ(failure("tables.filter()"),
            "extension.lua:3: tables.filter: argument 1 (list) must be a table, found nil");
}

TEST(Tables, GroupBy) {
  EXPECT_EQ(
      with("tables", R"(
    local list = { { kind = "a", n = 1 }, { kind = "b", n = 2 }, { kind = "a", n = 3 } }
    return { by_name = tables.group_by(list, "kind"),
      by_function = tables.group_by({ 1, 2, 3 }, function(v) return v % 2 == 0 and "even" or "odd" end),
      none = tables.group_by({}, "x") })"),
      parse(
          R"({"by_name": {"a": [{"kind": "a", "n": 1}, {"kind": "a", "n": 3}], "b": [{"kind": "b", "n": 2}]},
                      "by_function": {"even": [2], "odd": [1, 3]}, "none": {}})"));
  EXPECT_EQ(failure("tables.group_by({ {} }, 'kind')"),
            "extension.lua:3: tables.group_by: item 1 has no key");
  EXPECT_EQ(failure("tables.group_by({ 1 }, 'kind')"), "extension.lua:3: tables.group_by: item 1 has no key");
  EXPECT_EQ(failure("tables.group_by({}, 5)"),
            "extension.lua:3: tables.group_by: argument 2 (by) must be a function or the name of a field, "
            "found number");
}

TEST(Tables, Get) {
  EXPECT_EQ(with("tables", R"(
    local t = { a = { b = { { c = "deep" }, { 1, 2 } }, ["x.y"] = 3, n = forge.null, f = false } }
    local get = tables.get
    return { get(t, "a.b[1].c"), get(t, "a.b[2][1]"), get(t, { "a", "x.y" }), get(t, "a.q.r", "none"),
      get(t, "a.n", "null"), get(t, "a.f", "no"), get(t, "a.b[9]", "far"), get(5, "a", "number"), get({ 7 }, "[1]"),
      get(t, "") == t, get(t, "a.gone") == nil })"),
            parse(R"(["deep", 1, 3, "none", "null", false, "far", "number", 7, true, true])"));
  for (const char* path : {".", "a.", "a..b", "a[x]", "a[1]b", "a.[1]", "[", "a]", ".a"}) {
    EXPECT_EQ(failure(std::string("tables.get({}, '") + path + "')"),
              std::string("extension.lua:3: tables.get: `") + path +
                  "` is no path; write as a.b[1].c, or as a list of keys");
  }
  EXPECT_EQ(failure("tables.get({}, 5)"),
            "extension.lua:3: tables.get: argument 2 (path) must be a string or a list, found number");
}

}  // namespace
}  // namespace pf::vm::testing
