#include "api/paths.h"

#include <gtest/gtest.h>

namespace pf::api {
namespace {

std::string normal(std::string_view path) {
  std::string out;
  return normalise(path, out) ? out : "(out)";
}

TEST(Paths, AreNormalisedOnPaper) {
  EXPECT_EQ(normal("a//./b/"), "a/b");
  EXPECT_EQ(normal("a/../b"), "b");
  EXPECT_EQ(normal("a/.."), ".");
  EXPECT_EQ(normal("."), ".");
  EXPECT_EQ(normal(".."), "(out)");
  EXPECT_EQ(normal("a/../../b"), "(out)");
  EXPECT_EQ(normal("/a/../../b"), "/b");
  EXPECT_EQ(normal("/"), "/");
  EXPECT_EQ(normal("//a"), "/a");
  EXPECT_EQ(normal("..a/b.."), "..a/b..");
}

std::string place(std::string_view path, std::vector<Grants::Entry> granted,
                  std::vector<Grants::Entry> written = {}) {
  auto found = find_place(path, "/w/work", granted, written);
  if (!found) return found.error().code;
  return (found->work ? "work" : found->root) + " " + found->rest + (found->literal ? "" : " foreign") +
         (found->guard.empty() ? "" : " below " + found->guard);
}

TEST(Paths, TheWorkFolderComesFirst) {
  EXPECT_EQ(place("a/b", {}), "work a/b");
  EXPECT_EQ(place("/w/work/a", {{"/w", true}}), "work a");
  EXPECT_EQ(place("/w/work", {}), "work .");
  EXPECT_EQ(place("/w/worker", {}), "permission.path");
  EXPECT_EQ(place("../x", {{"/w", true}}), "permission.path");
}

TEST(Paths, GrantsEndAtFolderBorders) {
  EXPECT_EQ(place("/data/x", {{"/data", true}}), "/data x");
  EXPECT_EQ(place("/data", {{"/data/", true}}), "/data .");
  EXPECT_EQ(place("/data2/x", {{"/data", true}}), "permission.path");
  EXPECT_EQ(place("/dat", {{"/data", true}}), "permission.path");
  EXPECT_EQ(place("/etc/x", {{"/", true}}), "/ etc/x");
  EXPECT_EQ(place("/etc/x", {{"relative", true}, {"", true}, {"../", true}}), "permission.path");
}

TEST(Paths, WhatAPersonWroteComesFirstThenTheWidest) {
  EXPECT_EQ(place("/d/e/f", {{"/d", false}, {"/d/e", true}}), "/d/e f");
  EXPECT_EQ(place("/d/e/f", {{"/d/e", true}, {"/d", true}}), "/d e/f");
  EXPECT_EQ(place("/d/e/f", {{"/d/e", false}}), "/d/e f foreign");
}

TEST(Paths, TheGuardIsTheWidestWritableFolderAbove) {
  EXPECT_EQ(place("/d/e/f/g", {{"/d/e/f", true}}, {{"/d/e", true}, {"/d", true}}), "/d/e/f g below /d");
  EXPECT_EQ(place("/d/e", {{"/d", true}}, {{"/d", true}}), "/d e");
  EXPECT_EQ(place("/d/e", {{"/d", true}}, {{"/d/e", true}}), "/d e");
}

}  // namespace
}  // namespace pf::api
