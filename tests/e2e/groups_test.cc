// for_each over the outputs of an upstream: how many instances there are is known only when it has run.
#include <gmock/gmock.h>

#include "support/steps.h"

namespace pf::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// `up` puts out this list; `g` has an instance for each, and `all` and `one` look at them.
std::string yaml_of(const std::string& list, const std::string& group = "", const std::string& all = "") {
  return "p:\n  t:\n    - {name: up, value: " + list +
         "}\n    - {name: g, for_each: '${t.up.outputs.value}', value: '${each.value}'" + group +
         "}\n    - {name: all, value: '${t.g[*].outputs.value}'" + all + "}\n";
}

Json planned(const Steps& project, std::vector<std::string> more = {}) {
  std::vector<std::string> words = {"preview", "p.yaml", "--format", "json"};
  words.insert(words.end(), more.begin(), more.end());
  const auto output = project.forge(words);
  EXPECT_EQ(output.code, 0) << output.out << output.err;
  Json out = Json::object();
  const Json preview = last(events(output.out), "preview");
  for (const auto& [address, instance] : preview["instances"].items()) out[address] = instance["action"];
  return out;
}

TEST(Groups, AnInstanceForEachOfAList) {
  const Steps project;
  const auto run =
      project.run(yaml_of("[x, y]") + "    - {name: one, value: '${t.g[\"y\"].outputs.value}'}\n");
  EXPECT_EQ(run.output.code, 0) << run.output.out;
  // The group itself is none of them.
  EXPECT_THAT(results(run), ElementsAre("t.all succeeded", "t.g[\"x\"] succeeded", "t.g[\"y\"] succeeded",
                                        "t.one succeeded", "t.up succeeded"));
  EXPECT_EQ(run.outputs("t.all")["value"], Json({"x", "y"}));
  EXPECT_EQ(run.outputs("t.one")["value"], "y");
  const Json event = last(run.all, "expanded");
  EXPECT_EQ(event["instance"], "t.g");
  EXPECT_EQ(event["count"], 2);
  EXPECT_EQ(event["instances"], Json({"t.g[\"x\"]", "t.g[\"y\"]"}));
  const auto outputs = project.forge({"outputs", "p.yaml", "--format", "json"});
  EXPECT_EQ(parse_json(outputs.out).value()["t"]["g[\"y\"]"]["value"], "y") << outputs.out;
}

TEST(Groups, AnInstanceForEachOfAMapping) {
  const Steps project;
  const auto run = project.run(yaml_of("{eu: 1, us: 2}"));
  EXPECT_THAT(results(run), ElementsAre("t.all succeeded", "t.g[\"eu\"] succeeded", "t.g[\"us\"] succeeded",
                                        "t.up succeeded"));
  EXPECT_EQ(run.outputs("t.all")["value"], Json({1, 2}));
}

TEST(Groups, OfNothingIsASuccess) {
  const Steps project;
  const auto run = project.run(yaml_of("[]"));
  EXPECT_EQ(run.output.code, 0) << run.output.out;
  EXPECT_THAT(results(run), ElementsAre("t.all succeeded", "t.up succeeded"));
  EXPECT_EQ(run.outputs("t.all")["value"], Json::array());
}

TEST(Groups, AFailingInstanceBlocksThoseWhoNeedTheGroup) {
  const Steps project;
  const auto run = project.run(yaml_of("[0, 9]", ", failures: '${each.value}'"));
  EXPECT_EQ(run.output.code, 1);
  EXPECT_THAT(results(run),
              ElementsAre("t.all blocked", "t.g[\"0\"] succeeded", "t.g[\"9\"] failed", "t.up succeeded"));
  EXPECT_EQ(run.finished["instances"]["t.all"]["blocked_by"], "t.g[\"9\"]");
  EXPECT_EQ(run.finished["first_failed"], "t.g[\"9\"]");
}

TEST(Groups, AnInstanceThatMayFailBlocksNobody) {
  const Steps project;
  const auto run =
      project.run(yaml_of("[0, 9]", ", failures: '${each.value}', allow_failure: true", ", failures: 0") +
                  "    - {name: after, depends_on: [t.g]}\n");
  EXPECT_EQ(run.output.code, 1);  // `all` asks for the outputs of what failed
  EXPECT_EQ(run.result("t.g[\"9\"]"), "failed");
  EXPECT_EQ(run.result("t.after"), "succeeded");
  EXPECT_EQ(run.result("t.all"), "failed");
  EXPECT_EQ(run.finished["first_failed"], "t.all");
}

TEST(Groups, EdgesSeeWhatBecameOfTheGroup) {
  const Steps project;
  const auto run = project.run(yaml_of("[0, 9]", ", failures: '${each.value}'") +
                               "    - {name: mend, depends_on: [{name: t.g, when: failed}]}\n"
                               "    - {name: done, depends_on: [{name: t.g, when: done}]}\n"
                               "    - {name: clean, finally: true, depends_on: [t.g]}\n");
  EXPECT_EQ(run.result("t.mend"), "succeeded");
  EXPECT_EQ(run.result("t.done"), "succeeded");
  EXPECT_EQ(run.result("t.clean"), "succeeded");
}

TEST(Groups, AreSkippedWithTheirWhenAndBlockedWithTheirUpstream) {
  const Steps project;
  const auto skipped = project.run(yaml_of("[1]", ", when: \"${t.up.outputs.ran > 1}\""));
  EXPECT_EQ(skipped.output.code, 0) << skipped.output.out;
  EXPECT_THAT(results(skipped), ElementsAre("t.all skipped", "t.g skipped", "t.up succeeded"));
  const auto blocked = project.run(yaml_of("[1], failures: 9"));
  EXPECT_EQ(blocked.output.code, 1);
  EXPECT_THAT(results(blocked), ElementsAre("t.all blocked", "t.g blocked", "t.up failed"));
}

TEST(Groups, OneInstanceMayBeSkipped) {
  const Steps project;
  const auto run = project.run(yaml_of("[yes, no]", ", when: \"${each.value == 'yes'}\""));
  EXPECT_EQ(run.output.code, 0) << run.output.out;
  EXPECT_THAT(results(run), ElementsAre("t.all skipped", "t.g[\"no\"] skipped", "t.g[\"yes\"] succeeded",
                                        "t.up succeeded"));
}

TEST(Groups, WhatIsNoListFailsTheGroup) {
  const Steps project;
  const auto run = project.run(yaml_of("seven"));
  EXPECT_EQ(run.output.code, 1);
  EXPECT_EQ(run.result("t.g"), "failed");
  EXPECT_THAT(run.error_message("t.g"), HasSubstr("for_each"));
  EXPECT_EQ(run.result("t.all"), "blocked");
}

TEST(Groups, NothingRunsTwiceOfAnUnchangedList) {
  const Steps project;
  project.run(yaml_of("[x, y]"));
  const auto again = project.run(yaml_of("[x, y]"));
  EXPECT_EQ(again.output.code, 0);
  EXPECT_THAT(results(again),
              ElementsAre("t.all cached", "t.g[\"x\"] cached", "t.g[\"y\"] cached", "t.up cached"));
  const auto longer = project.run(yaml_of("[x, y, z]"));
  EXPECT_THAT(results(longer), ElementsAre("t.all succeeded", "t.g[\"x\"] cached", "t.g[\"y\"] cached",
                                           "t.g[\"z\"] succeeded", "t.up succeeded"));
}

TEST(Groups, PreviewShowsTheInstancesOnceTheListIsKnown) {
  const Steps project;
  project.write("p.yaml", yaml_of("[x, y]"));
  EXPECT_EQ(planned(project), Json({{"t.up", "run"}, {"t.g", "run"}, {"t.all", "run"}}));
  project.run(yaml_of("[x, y]"));
  EXPECT_EQ(
      planned(project),
      Json({{"t.up", "cached"}, {"t.g[\"x\"]", "cached"}, {"t.g[\"y\"]", "cached"}, {"t.all", "cached"}}));
  EXPECT_EQ(planned(project, {"--exit-code"})["t.all"], "cached");
  // What becomes of the list is not known before the upstream has run.
  project.write("p.yaml", yaml_of("[x]"));
  EXPECT_EQ(planned(project)["t.g"], "run");
  project.run(yaml_of("[x]"));
  EXPECT_EQ(
      planned(project),
      Json({{"t.up", "cached"}, {"t.g[\"x\"]", "cached"}, {"t.g[\"y\"]", "orphaned"}, {"t.all", "cached"}}));
}

TEST(Groups, HaveTheLimitsOfTheSection) {
  const Steps project;
  const auto run = project.run(
      "p:\n  core: {pools: {db: 2}}\n  t:\n    - {name: up, value: [1, 2, 3, 4, 5, 6]}\n"
      "    - {name: g, for_each: '${t.up.outputs.value}', pool: db}\n");
  EXPECT_EQ(run.output.code, 0);
  EXPECT_LE(most_at_once(run), 2);
  EXPECT_EQ(run.finished["instances"].size(), 7U);
}

}  // namespace
}  // namespace pf::test
