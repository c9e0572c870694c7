#include "extension/grants.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"

namespace pf::extension {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> texts(const std::vector<api::Grants::Entry>& entries) {
  std::vector<std::string> out;
  for (const auto& entry : entries) out.push_back((entry.literal ? "" : "~") + entry.value);
  return out;
}

Surroundings around(const std::vector<std::string>& from_outputs) {
  Surroundings out{"/project", "/project/state", {}};
  for (const auto& path : from_outputs) out.from_outputs.push_back({path, {"/project/state/work/up/one"}});
  return out;
}

std::vector<std::string> read_grants(const std::vector<std::string>& entries, const Json& config,
                                     const std::vector<std::string>& from_outputs = {}) {
  Permissions permissions;
  permissions.read = entries;
  return texts(make_grants(permissions, config, around(from_outputs)).read);
}

std::vector<std::string> http_grants(const std::vector<std::string>& entries, const Json& config,
                                     const std::vector<std::string>& from_outputs = {}) {
  Permissions permissions;
  permissions.http = entries;
  return texts(make_grants(permissions, config, around(from_outputs)).http);
}

TEST(Grants, PathsStartAtTheProject) {
  EXPECT_THAT(read_grants({"data", "./a/../b/", "/etc/x", "."}, Json::object()),
              ElementsAre("/project/data", "/project/b", "/etc/x", "/project"));
}

TEST(Grants, ReadWriteAndHttpAreKeptApart) {
  Permissions permissions;
  permissions.read = {"r"};
  permissions.write = {"${config.out}"};
  permissions.http = {"example.org"};
  const auto grants = make_grants(permissions, {{"out", "/o"}}, {"/p", "/p/state", {}});
  EXPECT_THAT(texts(grants.read), ElementsAre("/p/r"));
  EXPECT_THAT(texts(grants.write), ElementsAre("/o"));
  EXPECT_THAT(texts(grants.http), ElementsAre("example.org"));
}

TEST(Grants, ConfigValuesAreReplaced) {
  const Json config = {{"file", "/data/a.txt"},
                       {"x", {{"y", "sub"}}},
                       {"list", {{{"p", "/l0"}}, {{"p", "/l1"}}}},
                       {"a b", "/ab"}};
  EXPECT_THAT(read_grants({"${config.file}"}, config), ElementsAre("/data/a.txt"));
  EXPECT_THAT(read_grants({"${config.x.y}/deep"}, config), ElementsAre("/project/sub/deep"));
  EXPECT_THAT(read_grants({"${config.list[1].p}"}, config), ElementsAre("/l1"));
  EXPECT_THAT(read_grants({"${config[\"a b\"]}"}, config), ElementsAre("/ab"));
}

TEST(Grants, NamesMayComeFromTheConfiguration) {
  Permissions permissions;
  permissions.programs = {{"${config.binary}", true}, {"sh", false}};
  permissions.env = {"${config.variables}", "HOME"};
  permissions.secrets = {"${config.prefix}_TOKEN"};
  const Json config = {{"binary", "tofu"}, {"variables", {"A", "B"}}, {"prefix", "PROD"}};
  const auto grants = make_grants(permissions, config, around({}));
  ASSERT_EQ(grants.programs.size(), 2U);
  EXPECT_EQ(grants.programs[0].name, "tofu");
  EXPECT_TRUE(grants.programs[0].network);
  EXPECT_EQ(grants.programs[1].name, "sh");
  EXPECT_THAT(grants.env, ElementsAre("A", "B", "HOME"));
  EXPECT_THAT(grants.secrets, ElementsAre("PROD_TOKEN"));
  // Nothing where it is not set, or came from another instance.
  const auto unset = make_grants(permissions, Json::object(), around({}));
  EXPECT_EQ(unset.programs.size(), 1U);
  EXPECT_THAT(unset.env, ElementsAre("HOME"));
  EXPECT_THAT(unset.secrets, IsEmpty());
  const auto foreign = make_grants(permissions, config, around({"binary", "variables", "prefix"}));
  EXPECT_EQ(foreign.programs.size(), 1U);
  EXPECT_THAT(foreign.env, ElementsAre("HOME"));
  EXPECT_THAT(foreign.secrets, IsEmpty());
}

TEST(Grants, AListGrantsEachTextInIt) {
  const Json config = {{"hosts", {"a.org", "b.org:8443", 3, nullptr, {{"x", "c.org"}}, {"d.org"}}}};
  EXPECT_THAT(http_grants({"${config.hosts}"}, config), ElementsAre("a.org", "b.org:8443"));
  EXPECT_THAT(http_grants({"https://${config.hosts}/"}, {{"hosts", {"a.org", "b.org"}}}),
              ElementsAre("https://a.org/", "https://b.org/"));
}

TEST(Grants, WhatIsNoPlainTextGrantsNothing) {
  const Json config = {{"none", nullptr},
                       {"empty", ""},
                       {"number", 3},
                       {"flag", true},
                       {"map", {{"a", "b"}}},
                       {"line", "a\nb"},
                       {"nul", std::string("a\0b", 3)}};
  for (const char* field :
       {"unset", "none", "empty", "number", "flag", "map", "line", "nul", "map.a.b", "line[0]"}) {
    EXPECT_THAT(read_grants({std::string("${config.") + field + "}"}, config), IsEmpty()) << field;
  }
  // An empty value must not turn a folder below it into one at the root.
  EXPECT_THAT(read_grants({"${config.empty}/data"}, config), IsEmpty());
  EXPECT_THAT(read_grants({"${config.unset}/data"}, config), IsEmpty());
}

TEST(Grants, ANumberMayStandWithinText) {
  EXPECT_THAT(http_grants({"${config.host}:${config.port}"}, {{"host", "a.org"}, {"port", 8443}}),
              ElementsAre("a.org:8443"));
}

TEST(Grants, ValuesAreNotExpandedAgain) {
  EXPECT_THAT(http_grants({"${config.a}"}, {{"a", "${config.b}"}, {"b", "evil.org"}}),
              ElementsAre("${config.b}"));
}

TEST(Grants, WhatCameFromOtherInstancesGrantsNothing) {
  const Json config = {
      {"file", "/etc/shadow"}, {"x", {{"y", "/etc"}}}, {"files", {"/a", "/b"}}, {"filet", "/t"}};
  EXPECT_THAT(read_grants({"${config.file}", "${config.filet}"}, config, {"file"}), ElementsAre("/t"));
  EXPECT_THAT(read_grants({"${config.x.y}"}, config, {"x"}), IsEmpty());
  EXPECT_THAT(read_grants({"${config.x.y}"}, config, {"x.y"}), IsEmpty());
  EXPECT_THAT(read_grants({"${config.files}"}, config, {"files[1]"}), ElementsAre("/a"));
  EXPECT_THAT(read_grants({"${config.files}"}, config, {"files"}), IsEmpty());
  EXPECT_THAT(read_grants({"${config.x.y}/sub"}, config, {"x"}), IsEmpty());
  EXPECT_THAT(http_grants({"${config.file}"}, config, {"file"}), IsEmpty());
  EXPECT_THAT(read_grants({"${config.filet}"}, config, {""}), IsEmpty());
}

TEST(Grants, WhatCameFromOtherInstancesGrantsTheProjectAndTheirWorkFolder) {
  const auto grant = [](const std::string& path) {
    return read_grants({"${config.x}"}, {{"x", path}}, {"x"});
  };
  EXPECT_THAT(grant("/project/data/a"), ElementsAre("~/project/data/a"));
  EXPECT_THAT(grant("data/a"), ElementsAre("~/project/data/a"));
  EXPECT_THAT(grant("/project/state/work/up/one/out.txt"),
              ElementsAre("~/project/state/work/up/one/out.txt"));
  EXPECT_THAT(grant("/project/state/work/up/one"), ElementsAre("~/project/state/work/up/one"));
  for (const char* path :
       {"/project/state", "/project/state/work/up/two/x", "/project/state/work/up/one2",
        "/project/../etc/passwd", "../x", "/projects", "/", "/project/data/../state/lock"}) {
    EXPECT_THAT(grant(path), IsEmpty()) << path;
  }
  // Part of a text is enough to make it the instance's.
  EXPECT_THAT(read_grants({"${config.a}/${config.x}"}, {{"a", "/etc"}, {"x", "passwd"}}, {"x"}), IsEmpty());
  EXPECT_THAT(read_grants({"data/${config.x}"}, {{"x", "f"}}, {"x"}), ElementsAre("~/project/data/f"));
}

TEST(Grants, KeysWithDotsHideNoOutputs) {
  // pipeline::evaluate writes the key `a.b` of `m` as `m.a.b`, the same as the key `b` of `a`.
  const Json config = {{"m", {{"a.b", "/etc"}, {"a", {{"b", "/safe"}}}, {"c[0]", "/c"}, {"d", "/d"}}}};
  EXPECT_THAT(read_grants({"${config.m[\"a.b\"]}", "${config.m.a.b}", "${config.m.d}"}, config, {"m.a.b"}),
              ElementsAre("/d"));
  EXPECT_THAT(read_grants({"${config.m[\"c[0]\"]}", "${config.m.d}"}, config, {"m.c[0]"}), ElementsAre("/d"));
}

TEST(Grants, ExpressionsOfAnotherKindAreRefused) {
  for (const char* entry : {"${env.HOME}", "${config}", "${config.}", "${config.a", "${config.a.}",
                            "${config.a[x]}", "${configs.a}", "${config.a ?? 'b'}", "$${config.a}", "${}",
                            "a${", "${config.a[]}", "${config[\"\"]}"}) {
    auto parts = parse_entry(entry);
    ASSERT_FALSE(parts) << entry;
    EXPECT_EQ(parts.error().code, "manifest.permission");
    EXPECT_THAT(read_grants({entry}, {{"a", "/a"}}), IsEmpty()) << entry;
  }
  EXPECT_EQ(parse_entry("x/${env.HOME}").error().text(),
            "expected plain text or ${config.FIELD}, found '${env.HOME}' [manifest.permission]\n"
            "  hint: write ${config.FIELD}, the only expression that a permission may hold");
}

TEST(Grants, ManyCombinationsAreBounded) {
  Json many = Json::array();
  for (int i = 0; i < 200; ++i) many.push_back("a" + std::to_string(i));
  EXPECT_EQ(read_grants({"${config.l}"}, {{"l", many}}).size(), 200U);
  EXPECT_THAT(read_grants({"${config.l}/${config.l}/${config.l}"}, {{"l", many}}), IsEmpty());
}

TEST(Grants, PlainWords) {
  Permissions p;
  p.http = {"${config.url}", "*.example.org:8443",    "example.org",        "https://api.example.org/v1?x",
            "[::1]:80",      "http://127.0.0.1:9000", "${config.host}:8443"};
  p.read = {"${config.file}", "data", "${config.folder}/raw"};
  p.write = {"${config.x.out}"};
  p.programs = {{"tofu", true}, {"git", false}};
  p.env = {"AWS_REGION"};
  p.git = {"github.com"};
  p.secrets = {"TOKEN"};
  Limits limits;
  limits.cpu = Milliseconds(90000);
  limits.deadline = Milliseconds(3600000);
  limits.calls = 8;
  EXPECT_THAT(
      plain_words(p, limits),
      ElementsAre(
          "talks to the host in its config field 'url'", "talks to any host below example.org on port 8443",
          "talks to the host example.org", "talks to the host api.example.org over https",
          "talks to the host [::1] on port 80", "talks to the host 127.0.0.1 on port 9000",
          "talks to the host ${config.host}:8443, with its config field 'host'",
          "reads the file or folder in its config field 'file'", "reads the file or folder data",
          "reads the file or folder ${config.folder}/raw, with its config field 'folder'",
          "writes the file or folder in its config field 'x.out'", "runs the program tofu, with the network",
          "runs the program git, without the network", "reads the environment variable AWS_REGION",
          "uses git at the host github.com", "uses the secret TOKEN",
          "takes at most 256 MiB of memory and gives at most 1.0 MiB of outputs",
          "computes for at most 1m30s in an attempt, and takes at most 1h00m over all attempts",
          "has at most 8 host calls under way at once, and logs at most 16.0 MiB in an attempt"));
  EXPECT_THAT(
      plain_words({}, {}),
      ElementsAre("touches nothing but its own work folder",
                  "takes at most 256 MiB of memory and gives at most 1.0 MiB of outputs",
                  "computes for at most 1m00s in an attempt",
                  "has at most 64 host calls under way at once, and logs at most 16.0 MiB in an attempt"));
}

}  // namespace
}  // namespace pf::extension
