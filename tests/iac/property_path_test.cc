#include "iac/property_path.h"

#include <gtest/gtest.h>

#include "iac/helpers.h"

namespace pf::iac {
namespace {

std::string restored(const std::string& path, const std::string& before, const std::string& now) {
  Json value = *parse_json(now);
  const auto done = restore(path, *parse_json(before), value);
  return done ? value.dump() : done.error().code;
}

TEST(PropertyPath, Restore) {
  EXPECT_EQ(restored("a", R"({"a":1})", R"({"a":2,"b":3})"), R"({"a":1,"b":3})");
  EXPECT_EQ(restored("a", R"({})", R"({"a":2,"b":3})"), R"({"b":3})");
  EXPECT_EQ(restored("a", R"({"a":1})", R"({"b":3})"), R"({"a":1,"b":3})");
  EXPECT_EQ(restored("a.b[1].c", R"({"a":{"b":[0,{"c":1}]}})", R"({"a":{"b":[5,{"c":2,"d":3}]}})"),
            R"({"a":{"b":[5,{"c":1,"d":3}]}})");
  EXPECT_EQ(restored("a.b[7].c", R"({"a":{"b":[0,{"c":1}]}})", R"({"a":{"b":[5]}})"), R"({"a":{"b":[5]}})");
  EXPECT_EQ(restored(R"(tags["x.y"])", R"({"tags":{"x.y":1}})", R"({"tags":{"x.y":2,"z":3}})"),
            R"({"tags":{"x.y":1,"z":3}})");
  EXPECT_EQ(restored("a[*].c", R"({"a":[{"c":1},{"c":2}]})", R"({"a":[{"c":7},{"c":8},{"c":9}]})"),
            R"({"a":[{"c":1},{"c":2},{}]})");
  EXPECT_EQ(restored("tags.*", R"({"tags":{"a":1}})", R"({"tags":{"b":2}})"), R"({"tags":{"a":1}})");
  EXPECT_EQ(restored("a.b", R"({"a":{"b":1}})", R"({"a":"text"})"), R"({"a":"text"})");
}

TEST(PropertyPath, WhatIsNone) {
  for (const char* path : {"", ".", "a.", "a..b", "a[", "a[x]", "a[\"b]", "[1", "a[-1]"})
    EXPECT_EQ(restored(path, "{}", "{}"), "resource.path") << path;
}

}  // namespace
}  // namespace pf::iac
