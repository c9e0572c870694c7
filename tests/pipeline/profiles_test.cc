// Profiles and includes: what is merged, where values then come from, and what is refused.
#include <gtest/gtest.h>

#include "loading.h"

namespace pf::pipeline {
namespace {

/// The merged pipeline as JSON, or the errors.
std::string merged(Loading& loading) {
  auto result = merge(loading.options);
  if (result) return to_json(result->body).dump();
  std::string out;
  for (const Error& error : result.error()) out += error.text() + "\n";
  const std::string prefix = loading.folder.string() + "/";
  for (size_t at; (at = out.find(prefix)) != std::string::npos;) out.erase(at, prefix.size());
  return out;
}

std::string merged(const std::string& text, const std::string& profile, const std::string& file = "") {
  Loading loading(text);
  loading.options.profile = profile;
  if (!file.empty()) std::ofstream(loading.folder / ("p." + profile + ".yaml")) << file;
  return merged(loading);
}

const std::string kBase = R"(p:
  core:
    variables: {region: eu, size: 1}
    extension_defaults: {t: {list: [a, b], map: {x: 1, y: 2}}}
    profiles:
      prod:
        core:
          variables: {size: 3}
          extension_defaults: {t: {list: !append [c], map: !replace {z: 3}}}
        t:
          - {name: second, v: new, more: true}
          - {name: third}
        u: [{name: extra}]
      empty:
  t:
    - {name: first, v: "${var.size}"}
    - {name: second, v: old, keep: [1, 2]}
)";

TEST(Profiles, AreMergedOverThePipeline) {
  EXPECT_EQ(merged(kBase, ""),
            R"({"core":{"extension_defaults":{"t":{"list":["a","b"],"map":{"x":1,"y":2}}},)"
            R"("variables":{"region":"eu","size":1}},)"
            R"("t":[{"name":"first","v":"${var.size}"},{"keep":[1,2],"name":"second","v":"old"}]})");
  EXPECT_EQ(merged(kBase, "empty"), merged(kBase, ""));
  EXPECT_EQ(merged(kBase, "prod"),
            R"({"core":{"extension_defaults":{"t":{"list":["a","b","c"],"map":{"z":3}}},)"
            R"("variables":{"region":"eu","size":3}},)"
            R"("t":[{"name":"first","v":"${var.size}"},{"keep":[1,2],"more":true,"name":"second","v":"new"},)"
            R"({"name":"third"}],"u":[{"name":"extra"}]})");
  EXPECT_EQ(merged(kBase, "prod",
                   "p:\n  core: {variables: {size: 4}}\n  t: !replace [{name: only}]\n  u: !append [{name: "
                   "extra}]\n"),
            R"({"core":{"extension_defaults":{"t":{"list":["a","b","c"],"map":{"z":3}}},)"
            R"("variables":{"region":"eu","size":4}},)"
            R"("t":[{"name":"only"}],"u":[{"name":"extra"},{"name":"extra"}]})");
  EXPECT_EQ(merged("p:\n  t: [{name: a}]\n", "fast", "p:\n  t: [{name: a, x: 1}]\n"),
            R"({"t":[{"name":"a","x":1}]})");
}

TEST(Profiles, NameTheStackAndKeepPositions) {
  Loading loading(kBase);
  loading.options.profile = "prod";
  std::ofstream(loading.folder / "p.prod.yaml") << "p:\n  t:\n    - name: first\n      timeout: soon\n";
  EXPECT_FALSE(loading.load());
  EXPECT_EQ(loading.errors,
            "p.prod.yaml:4:16: t.first.timeout is the text 'soon', expected a duration [pipeline.type]\n"
            "  hint: write it with a unit, such as 500ms, 30s, 5m or 1h30m\n");
  std::ofstream(loading.folder / "p.prod.yaml") << "p:\n  t:\n    - name: first\n      timeout: 5s\n";
  auto pipeline = loading.load();
  ASSERT_TRUE(pipeline) << loading.errors;
  EXPECT_EQ(pipeline->profile, "prod");
  EXPECT_EQ(pipeline->stack, "prod");
  EXPECT_EQ(pipeline->name, "p");
  EXPECT_EQ(pipeline->instances[0].stack, "prod-first");
  EXPECT_EQ(pipeline->document->where(*pipeline->instances[1].config.find("v")).text(),
            (loading.folder / "p.yaml").string() + ":11:31");
  EXPECT_EQ(pipeline->document->where(*pipeline->instances[1].config.find("keep")).text(),
            (loading.folder / "p.yaml").string() + ":17:36");
  loading.options.profile = "";
  pipeline = loading.load();
  ASSERT_TRUE(pipeline) << loading.errors;
  EXPECT_EQ(pipeline->stack, "p");
  EXPECT_EQ(pipeline->profile, "");
}

TEST(Profiles, AWrittenStackStays) {
  Loading loading("p:\n  core: {stack: s, profiles: {prod: {}}}\n  t: [{name: a}]\n");
  loading.options.profile = "prod";
  auto pipeline = loading.load();
  ASSERT_TRUE(pipeline) << loading.errors;
  EXPECT_EQ(pipeline->stack, "s");
}

TEST(Profiles, AreRefusedWhereTheyAreUnknown) {
  EXPECT_EQ(merged(kBase, "prd"),
            "p.yaml:6:7: the pipeline has no profile 'prd' [pipeline.unknown_profile]\n"
            "  hint: did you mean 'prod'?\n");
  EXPECT_EQ(merged(kBase, "zebra"),
            "p.yaml:6:7: the pipeline has no profile 'zebra' [pipeline.unknown_profile]\n"
            "  hint: the profiles are: empty, prod\n");
  EXPECT_EQ(merged("p:\n  t: [{name: a}]\n", "../p"),
            "p.yaml:2:3: the pipeline has no profile '../p' [pipeline.unknown_profile]\n"
            "  hint: add it to core.profiles, or as a file p.NAME.yaml\n");
  Loading loading("p:\n  t: [{name: a}]\n");
  std::ofstream(loading.folder / "p.test.yaml") << "p: {}\n";
  loading.options.profile = "tset";
  EXPECT_EQ(merged(loading),
            "p.yaml:2:3: the pipeline has no profile 'tset' [pipeline.unknown_profile]\n"
            "  hint: did you mean 'test'?\n");
}

TEST(Profiles, AreRefusedWhereTheyAreWrong) {
  EXPECT_EQ(merged("p:\n  core: {profiles: [a]}\n  t: [{name: a}]\n", ""),
            "p.yaml:2:20: core.profiles is a list, expected a mapping of profiles by name [pipeline.type]\n");
  EXPECT_EQ(
      merged("p:\n  core: {profiles: {a: 1}}\n  t: [{name: a}]\n", ""),
      "p.yaml:2:24: core.profiles.a is 1, expected a mapping with core and sections, as the pipeline is "
      "[pipeline.type]\n");
  EXPECT_EQ(merged("p:\n  core: {profiles: {'a/b': {}}}\n  t: [{name: a}]\n", ""),
            "p.yaml:2:21: 'a/b' is no name of a profile, expected letters, digits, '_' and '-', beginning "
            "with a letter [pipeline.name]\n  hint: rename the profile\n");
  EXPECT_EQ(merged("p:\n  core: {profiles: {a: {core: {profiles: {}}}}}\n  t: [{name: a}]\n", "a"),
            "p.yaml:2:32: a profile holds no profiles of its own [pipeline.misplaced_key]\n"
            "  hint: move them to core.profiles of the pipeline\n");
  EXPECT_EQ(merged(kBase, "prod", "q: {}\n"),
            "p.prod.yaml:1:1: there is no pipeline 'q' that this profile can be of [pipeline.unknown]\n"
            "  hint: did you mean 'p'?\n");
  EXPECT_EQ(merged(kBase, "prod", "- a\n"),
            "p.prod.yaml:1:1: p.prod.yaml is a list, expected a mapping of pipelines [pipeline.type]\n"
            "  hint: begin it as the pipeline's own file, with the name of the pipeline\n");
  EXPECT_EQ(merged(kBase, "prod", "p: [a]\n"),
            "p.prod.yaml:1:4: p is a list, expected a mapping with core and sections [pipeline.type]\n");
  EXPECT_EQ(merged(kBase, "prod", "p: [\n").substr(0, 15), "p.prod.yaml:2:1");
  EXPECT_EQ(merged(kBase, "prod", "p:\n  core: {variables: !append [x]}\n"),
            "p.prod.yaml:2:21: found !append, but what it is appended to is a mapping, at p.yaml:3:16 "
            "[pipeline.append]\n  hint: remove the tag\n");
}

TEST(Profiles, TagsStandWhereTheyMeanSomething) {
  EXPECT_EQ(merged("p:\n  t: !append [{name: a}]\n", ""),
            "p.yaml:2:6: found the tag '!append', but nothing lies below this file [yaml.tag]\n"
            "  hint: remove it: it says something in profiles, and in a file that includes others\n");
  EXPECT_EQ(merged("p:\n  t: [{name: a, m: !replace {a: 1}}]\n", ""),
            "p.yaml:2:20: found the tag '!replace', but nothing lies below this file [yaml.tag]\n"
            "  hint: remove it: it says something in profiles, and in a file that includes others\n");
  EXPECT_EQ(merged("p:\n  core: {profiles: {a: {core: {variables: !append {a: 1}}}}}\n  t: []\n", ""),
            "p.yaml:2:43: found the tag '!append' before a mapping, expected it before a list [yaml.tag]\n"
            "  hint: remove it: mappings are merged key by key\n");
  EXPECT_EQ(merged("p:\n  core: {profiles: {a: {core: {stack: !replace b}}}}\n  t: []\n", ""),
            "p.yaml:2:39: found the tag '!replace', expected none [yaml.tag]\n"
            "  hint: remove it; only !!str, !!int, !!float, !!bool, !!null, !!map and !!seq are known\n");
}

TEST(Include, PutsFilesBelow) {
  Loading loading("include: [common/a.yaml, b.yaml]\np:\n  t: [{name: a, v: own, h: !append [3]}]\n");
  std::filesystem::create_directory(loading.folder / "common");
  std::ofstream(loading.folder / "common/a.yaml")
      << "include: base.yaml\np:\n  t: [{name: a, v: 1, w: 1, x: 1}]\n";
  std::ofstream(loading.folder / "common/base.yaml") << "p:\n  t: [{name: a, h: [1], y: 0}, {name: z}]\n";
  std::ofstream(loading.folder / "b.yaml") << "p:\n  t: [{name: a, w: 2}]\nq:\n  t: [{name: b}]\n";
  loading.options.pipeline = "p";
  EXPECT_EQ(merged(loading), R"({"t":[{"h":[1,3],"name":"a","v":"own","w":2,"x":1,"y":0},{"name":"z"}]})");
  auto pipeline = loading.load();
  ASSERT_TRUE(pipeline) << loading.errors;
  const Node& config = pipeline->instances[0].config;
  EXPECT_EQ(pipeline->document->where(*config.find("y")).text(),
            (loading.folder / "common/base.yaml").string() + ":2:28");
  EXPECT_EQ(pipeline->document->folder(config.find("y")->file), loading.folder / "common");
  EXPECT_EQ(pipeline->document->where(*config.find("v")).line, 3U);
  loading.options.pipeline = "q";
  EXPECT_EQ(merged(loading), R"({"t":[{"name":"b"}]})");
}

TEST(Include, MergesProfiles) {
  Loading loading(
      "include: base.yaml\np:\n  core: {profiles: {x: {t: [{name: a, l: !append [3], m: {b: 2}}]}}}\n");
  std::ofstream(loading.folder / "base.yaml")
      << "p:\n  core: {profiles: {x: {t: [{name: a, l: !append [2], m: !replace {a: 1}}]}}}\n"
         "  t: [{name: a, l: [1], m: {z: 0}}]\n";
  loading.options.profile = "x";
  EXPECT_EQ(merged(loading), R"({"core":{},"t":[{"l":[1,2,3],"m":{"a":1,"b":2},"name":"a"}]})");
}

TEST(Include, IsRefusedWhereItIsWrong) {
  EXPECT_EQ(merged("include: [no.yaml]\np: {t: [{name: a}]}\n", ""),
            "p.yaml:1:11: there is no file 'no.yaml' to include [pipeline.include]\n"
            "  hint: the path is relative to the file that it stands in\n");
  EXPECT_EQ(merged("include: [p.yaml]\np: {t: [{name: a}]}\n", ""),
            "p.yaml:1:11: files include each other: p.yaml -> p.yaml [pipeline.include]\n"
            "  hint: remove one of these includes\n");
  EXPECT_EQ(merged("include: [5]\np: {t: [{name: a}]}\n", ""),
            "p.yaml:1:11: include names an integer, expected paths of files [pipeline.type]\n"
            "  hint: write include: [common.yaml]\n");
  EXPECT_EQ(merged("include: '${env.X}'\np: {t: [{name: a}]}\n", ""),
            "p.yaml:1:10: include names text with an expression, expected paths of files [pipeline.type]\n"
            "  hint: write include: [common.yaml]\n");
  EXPECT_EQ(errors_of("p:\n  core: {include: [a]}\n  t: [{name: a}]\n"),
            "p.yaml:2:10: 'include' is a key of the file, not of a pipeline in it [pipeline.misplaced_key]\n"
            "  hint: move it to the top of the file, beside the pipelines' names\n");
  Loading loading("include: [a.yaml]\np: {t: [{name: a}]}\n");
  std::ofstream(loading.folder / "a.yaml") << "include: [./p.yaml]\n";
  EXPECT_EQ(merged(loading),
            "a.yaml:1:11: files include each other: p.yaml -> a.yaml -> p.yaml [pipeline.include]\n"
            "  hint: remove one of these includes\n");
  std::ofstream(loading.folder / "a.yaml") << "p: {t: !append []}\n";
  EXPECT_EQ(merged(loading),
            "a.yaml:1:8: found the tag '!append', but nothing lies below this file [yaml.tag]\n"
            "  hint: remove it: it says something in profiles, and in a file that includes others\n");
  std::ofstream(loading.folder / "a.yaml") << "- x\n";
  EXPECT_EQ(merged(loading),
            "a.yaml:1:1: a.yaml is a list, expected a mapping of pipelines [pipeline.type]\n"
            "  hint: a file begins with the name of a pipeline, then its sections\n");
  std::string list;
  for (int i = 0; i < 101; ++i) list += "b.yaml, ";
  Loading many("include: [" + list + "]\np: {t: [{name: a}]}\n");
  std::ofstream(many.folder / "b.yaml") << "p: {}\n";
  EXPECT_EQ(merged(many),
            "p.yaml:1:811: more than 100 files are included [pipeline.include]\n  hint: put some of them "
            "together\n");
}

}  // namespace
}  // namespace pf::pipeline
