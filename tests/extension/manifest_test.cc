#include "extension/manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "base/file.h"

namespace pf::extension {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class ManifestFile : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/pf-manifest-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    folder = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder); }

  tl::expected<Manifest, Errors> read(std::string_view text) {
    EXPECT_TRUE(write_file(folder / "extension.yaml", text));
    return read_manifest(folder / "extension.yaml");
  }
  // Findings without the folder's name.
  std::vector<std::string> errors(std::string_view text) {
    std::vector<std::string> out;
    auto manifest = read(text);
    if (manifest) return out;
    for (const auto& error : manifest.error()) {
      std::string line = error.text();
      EXPECT_TRUE(line.starts_with(folder.string() + "/")) << line;
      out.push_back(line.substr(folder.string().size() + 1));
    }
    return out;
  }
  // One finding in a manifest that is good otherwise, the keys being on line 3 and after it.
  std::string error(const std::string& text) {
    const auto found = errors("name: x\nversion: 1.0.0\n" + text);
    EXPECT_EQ(found.size(), 1U) << text;
    return found.empty() ? "" : found[0].substr(0, found[0].find('\n'));
  }
  std::filesystem::path folder;
};

TEST_F(ManifestFile, TheWholeListing) {
  auto manifest = read(R"(
name: example
version: 1.0.0
summary: Counts the words of a file
license: Apache-2.0
requires: {core: ">=0.1 <2"}
tools: {}
permissions:
  http: ["${config.url}", "*.example.org:8443", "https://api.example.org/v1", "[::1]:80"]
  programs: [{name: tofu, network: true}, git, {name: make, confined: true}]
  env: [AWS_REGION]
  read: ["${config.file}", data, /opt/x]
  write: []
  git: [github.com]
  secrets: [TOKEN]
limits: {memory: 512MiB, cpu: 60s, deadline: 1h, output: 65536, calls: 8, log: 1KiB}
cache: auto
inputs: []
commands: []
bakery: null
)");
  ASSERT_TRUE(manifest) << manifest.error().front().text();
  EXPECT_EQ(manifest->name, "example");
  EXPECT_EQ(manifest->version, "1.0.0");
  EXPECT_EQ(manifest->summary, "Counts the words of a file");
  EXPECT_EQ(manifest->license, "Apache-2.0");
  EXPECT_EQ(manifest->requires_core, ">=0.1 <2");
  EXPECT_EQ(manifest->file, folder / "extension.yaml");
  const Permissions& p = manifest->permissions;
  EXPECT_THAT(p.http,
              ElementsAre("${config.url}", "*.example.org:8443", "https://api.example.org/v1", "[::1]:80"));
  ASSERT_EQ(p.programs.size(), 3U);
  EXPECT_TRUE(p.programs[0].name == "tofu" && p.programs[0].network);
  EXPECT_TRUE(p.programs[1].name == "git" && !p.programs[1].network);
  EXPECT_THAT(p.env, ElementsAre("AWS_REGION"));
  EXPECT_THAT(p.read, ElementsAre("${config.file}", "data", "/opt/x"));
  EXPECT_THAT(p.write, IsEmpty());
  EXPECT_THAT(p.git, ElementsAre("github.com"));
  EXPECT_THAT(p.secrets, ElementsAre("TOKEN"));
  EXPECT_EQ(manifest->limits.memory, 512ULL << 20);
  EXPECT_EQ(manifest->limits.cpu, Milliseconds(60000));
  EXPECT_EQ(manifest->limits.output, 65536U);
  EXPECT_EQ(manifest->limits.deadline, Milliseconds(3600000));
  EXPECT_EQ(manifest->limits.calls, 8U);
  EXPECT_EQ(manifest->limits.log, 1024U);
}

TEST_F(ManifestFile, TheLeastThatIsNeeded) {
  auto manifest = read("name: a-b_9\nversion: 0.1.0-rc.1\nsummary:\npermissions:\n");
  ASSERT_TRUE(manifest) << manifest.error().front().text();
  EXPECT_EQ(manifest->name, "a-b_9");
  EXPECT_EQ(manifest->requires_core, "");
  EXPECT_EQ(manifest->limits.memory, 256ULL << 20);
  EXPECT_EQ(manifest->limits.output, 1ULL << 20);
  EXPECT_EQ(manifest->limits.cpu, Milliseconds(60000));
  EXPECT_EQ(manifest->limits.deadline, Milliseconds(0));
  EXPECT_EQ(manifest->limits.calls, 64U);
  EXPECT_EQ(manifest->limits.log, 16ULL << 20);
}

TEST_F(ManifestFile, AllFindingsAtOnce) {
  EXPECT_THAT(
      errors("nmae: x\npermissions:\n  htpp: []\nversion: 1.0\n"),
      ElementsAre(
          "extension.yaml:1:1: nmae: unknown key [manifest.unknown_key]\n  hint: did you mean 'name'? known: "
          "name, "
          "version, summary, license, requires, tools, permissions, limits, cache, inputs, commands, bakery",
          "extension.yaml:3:3: permissions.htpp: unknown key [manifest.unknown_key]\n  hint: did you mean "
          "'http'? "
          "known: http, programs, env, read, write, git, secrets",
          "extension.yaml:4:10: version: expected a version such as 1.2.3, found a number 1.0 "
          "[manifest.version]\n"
          "  hint: versions are three numbers, with -rc.1 or the like after them: semver.org",
          "extension.yaml:1:1: name: the key is missing [manifest.missing]\n  hint: add `name: "
          "my-extension`"));
}

TEST_F(ManifestFile, NoMapping) {
  EXPECT_THAT(errors("- name"),
              ElementsAre("extension.yaml:1:1: expected a mapping with name and version, found a list "
                          "[manifest.type]\n  hint: begin with `name: …`"));
  EXPECT_EQ(errors("").size(), 1U);
  EXPECT_EQ(errors("a: b: c").size(), 1U);
  EXPECT_EQ(read_manifest(folder / "none.yaml").error().front().code, "yaml.missing_file");
  EXPECT_EQ(errors("name: x # " + std::string(2 << 20, 'x')).size(), 1U);
}

TEST_F(ManifestFile, Names) {
  const auto name = [&](const std::string& text) {
    const auto found = errors("name: " + text + "\nversion: 1.0.0");
    return found.empty() ? "" : found[0].substr(0, found[0].find('\n'));
  };
  for (const char* bad : {"Example", "1a", "-a", "a.b", "a b", "\"\"", "ä"}) {
    EXPECT_TRUE(name(bad).starts_with("extension.yaml:1:7: name: expected an extension's name, found '"))
        << bad;
  }
  EXPECT_EQ(name("core"), "extension.yaml:1:7: name: 'core' is a word of pipeline files [manifest.name]");
  EXPECT_EQ(name("var"), "extension.yaml:1:7: name: 'var' is a word of pipeline files [manifest.name]");
  EXPECT_EQ(name("3"), "extension.yaml:1:7: name: expected a name, found an integer 3 [manifest.type]");
  EXPECT_EQ(name(std::string(64, 'a')), "");
  EXPECT_NE(name(std::string(65, 'a')), "");
}

TEST_F(ManifestFile, Permissions) {
  const auto refused = [&](const std::string& list, const std::string& entry) {
    const std::string text = error("permissions:\n  " + list + ": [" + entry + "]\n");
    EXPECT_TRUE(text.starts_with("extension.yaml:4:")) << text;
    return text.substr(text.find(": permissions") + 2);
  };
  EXPECT_EQ(
      refused("http", "\"*\""),
      "permissions.http[0]: expected host, host:port, *.host or a URL, found '*' [manifest.permission]");
  for (const char* bad :
       {"\"\"", "a b.org", "a.org:0", "a.org:70000", "a.org:http", "\"*.*.org\"", "ftp://a.org", "https://",
        "\"[::1\"", "a..org", "https://user@a.org/", "\"a\\nb\""}) {
    EXPECT_TRUE(refused("http", bad).ends_with("[manifest.permission]")) << bad;
  }
  EXPECT_EQ(refused("http", "\"${env.HOST}\""),
            "permissions.http[0]: expected plain text or ${config.FIELD}, found '${env.HOST}' "
            "[manifest.permission]");
  EXPECT_EQ(
      refused("http", "3"),
      "permissions.http[0]: expected host, host:port, *.host or a URL, found an integer 3 [manifest.type]");
  for (const char* bad : {"~/x", "\"data/*.txt\"", "\"\""}) {
    EXPECT_TRUE(refused("read", bad).ends_with("[manifest.permission]")) << bad;
  }
  EXPECT_EQ(refused("read", "shm"),
            "permissions.read[0]: 'shm' is a word of `write`, for programs [manifest.permission]");
  EXPECT_THAT(errors("name: x\nversion: 1.0.0\npermissions: {write: [shm, pty]}\n"), IsEmpty());
  for (const char* bad : {"/usr/bin/git", "-x", "\"a b\"", "../git"}) {
    EXPECT_TRUE(refused("programs", bad).ends_with("[manifest.permission]")) << bad;
  }
  EXPECT_EQ(refused("programs", "{name: git, confined: false}"),
            "permissions.programs[0].confined: a manifest cannot ask for an unconfined program "
            "[manifest.permission]");
  EXPECT_EQ(refused("programs", "{network: true}"),
            "permissions.programs[0].name: the key is missing [manifest.missing]");
  EXPECT_EQ(refused("programs", "{name: git, netwrk: true}"),
            "permissions.programs[0].netwrk: unknown key [manifest.unknown_key]");
  EXPECT_EQ(refused("programs", "{name: git, network: 1}"),
            "permissions.programs[0].network: expected true or false, found an integer 1 [manifest.type]");
  for (const char* bad : {"9A", "A-B", "\"A B\""})
    EXPECT_TRUE(refused("env", bad).ends_with("[manifest.permission]")) << bad;
  EXPECT_TRUE(refused("git", "https://github.com").ends_with("[manifest.permission]"));
  EXPECT_TRUE(refused("secrets", "a.b").ends_with("[manifest.permission]"));
  EXPECT_EQ(error("permissions: [http]"),
            "extension.yaml:3:14: permissions: expected a mapping, found a list [manifest.type]");
  EXPECT_EQ(error("permissions: {http: example.org}"),
            "extension.yaml:3:21: permissions.http: expected a list, found 'example.org' [manifest.type]");
}

TEST_F(ManifestFile, Limits) {
  EXPECT_EQ(error("limits: {memory: lots}"),
            "extension.yaml:3:18: limits.memory: expected a size from 1.0 MiB to 64.0 GiB, found 'lots' "
            "[manifest.limit]");
  EXPECT_TRUE(error("limits: {memory: 1KiB}").ends_with("found '1KiB' [manifest.limit]"));
  EXPECT_TRUE(error("limits: {memory: -5}").ends_with("found an integer -5 [manifest.limit]"));
  EXPECT_TRUE(error("limits: {output: 1GiB}")
                  .ends_with("expected a size from 1.0 KiB to 8.0 MiB, found '1GiB' [manifest.limit]"));
  EXPECT_EQ(error("limits: {cpu: 60}"),
            "extension.yaml:3:15: limits.cpu: expected a duration above zero such as 60s, found an integer "
            "60 [manifest.limit]");
  EXPECT_TRUE(error("limits: {cpu: 0s}").ends_with("[manifest.limit]"));
  EXPECT_EQ(error("limits: {disk: 1GiB}"),
            "extension.yaml:3:10: limits.disk: unknown key [manifest.unknown_key]");
}

TEST_F(ManifestFile, WhatThisVersionDoesNotDoIsRefused) {
  EXPECT_TRUE(error("commands: [{name: x}]").ends_with("[manifest.not_supported]"));
  EXPECT_TRUE(error("bakery: {driver: x}")
                  .ends_with("takes only null here, found a mapping [manifest.not_supported]"));
}

TEST_F(ManifestFile, WhatCountsAsUnchanged) {
  using Kind = pipeline::CachePolicy::Kind;
  const std::string head = "name: t\nversion: 1.0.0\n";
  EXPECT_EQ(read(head)->cache.kind, Kind::automatic);
  EXPECT_EQ(read(head + "cache: auto\n")->cache.kind, Kind::automatic);
  EXPECT_EQ(read(head + "cache: never\n")->cache.kind, Kind::never);
  const auto aged = read(head + "cache: {max_age: 24h}\ninputs: ['${config.source}/**/*.tf', data]\n");
  EXPECT_EQ(aged->cache.kind, Kind::max_age);
  EXPECT_EQ(aged->cache.max_age, Milliseconds(86'400'000));
  EXPECT_EQ(aged->inputs, (std::vector<std::string>{"${config.source}/**/*.tf", "data"}));
  EXPECT_EQ(error("cache: sometimes"),
            "extension.yaml:3:8: cache: expected auto, never or {max_age: DURATION}, found 'sometimes' "
            "[manifest.type]");
  EXPECT_TRUE(error("cache: {max_age: 0s}").ends_with("[manifest.limit]"));
  EXPECT_TRUE(error("inputs: data").ends_with("[manifest.type]"));
}

TEST_F(ManifestFile, ToolsAreKeptWithTheirPlaces) {
  const auto manifest = read(
      "name: t\nversion: 1.0.0\npermissions: {programs: [tofu, aws]}\n"
      "tools:\n  tofu: {version: '>=1.6', probe: [tofu, version, -json]}\n  aws:\n");
  ASSERT_TRUE(manifest) << manifest.error().front().text();
  ASSERT_EQ(manifest->tools.size(), 2U);
  EXPECT_EQ(manifest->tools[0].name, "tofu");
  EXPECT_EQ(manifest->tools[0].range, ">=1.6");
  EXPECT_THAT(manifest->tools[0].probe, ElementsAre("tofu", "version", "-json"));
  EXPECT_EQ(manifest->tools[0].where.line, 5U);
  EXPECT_EQ(manifest->tools[1].range, "");
  EXPECT_THAT(manifest->tools[1].probe, ElementsAre("aws", "--version"));
}

TEST_F(ManifestFile, CoreRange) {
  EXPECT_EQ(error("requires: {core: new}"),
            "extension.yaml:3:18: requires.core: expected a version range such as '>=0.1 <2', found "
            "'new' [manifest.range]");
  EXPECT_EQ(error("requires: {core: 1}"),
            "extension.yaml:3:18: requires.core: expected a version range such as '>=0.1 <2', found an "
            "integer 1 [manifest.type]");
  EXPECT_EQ(error("requires: {lua: 5}"),
            "extension.yaml:3:12: requires.lua: unknown key [manifest.unknown_key]");
}

TEST_F(ManifestFile, LinesOfText) {
  EXPECT_EQ(error("summary: |\n  a\n  b\n"),
            "extension.yaml:3:10: summary: expected a line of text, found line breaks or control characters "
            "[manifest.type]");
  EXPECT_EQ(error("license: [MIT]"),
            "extension.yaml:3:10: license: expected a line of text, found a list [manifest.type]");
}

}  // namespace
}  // namespace pf::extension
