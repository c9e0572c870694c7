// Profiles and `config` by the real program.
#include <gtest/gtest.h>

#include "support/pipelines.h"

namespace pf::test {
namespace {

const char* const kPipeline = R"(p:
  core:
    variables: {region: eu, sizes: [1, 2]}
    profiles:
      prod: {core: {variables: {region: us, sizes: !append [3]}}, t: [{name: a, extra: "a: b"}]}
  t:
    - {name: a, region: "${var.region}", sizes: "${var.sizes}", token: "${secret.TOKEN}"}
)";

TEST(Config, ShowsWhereEachValueCameFrom) {
  Project project;
  project.write("p.yaml", kPipeline);
  project.write("p.prod.yaml",
                "p:\n  u:\n    - {name: 'yes', deep: [[1, {k: []}], 1.5, null, \"l1\\nl2\"]}\n");
  const auto plain = project.forge({"config", "p.yaml"});
  EXPECT_EQ(plain.code, 0) << plain.err;
  EXPECT_EQ(plain.out,
            "p:\n"
            "  core:\n"
            "    variables:\n"
            "      region: eu                # p.yaml:3:25\n"
            "      sizes:\n"
            "        - 1                     # p.yaml:3:37\n"
            "        - 2                     # p.yaml:3:40\n"
            "  t:\n"
            "    - name: a                   # p.yaml:7:14\n"
            "      region: \"${var.region}\"   # p.yaml:7:25\n"
            "      sizes: \"${var.sizes}\"     # p.yaml:7:49\n"
            "      token: \"${secret.TOKEN}\"  # p.yaml:7:72\n");
  const auto prod = project.forge({"config", "p.yaml", "--profile", "prod", "--var", "region={x: 1}"});
  EXPECT_EQ(prod.code, 0) << prod.err;
  EXPECT_EQ(prod.out,
            "p:\n"
            "  core:\n"
            "    variables:\n"
            "      region:\n"
            "        x: 1                    # --var region:1:5\n"
            "      sizes:\n"
            "        - 1                     # p.yaml:3:37\n"
            "        - 2                     # p.yaml:3:40\n"
            "        - 3                     # p.yaml:5:61\n"
            "  t:\n"
            "    - name: a                   # p.yaml:5:78\n"
            "      region: \"${var.region}\"   # p.yaml:7:25\n"
            "      sizes: \"${var.sizes}\"     # p.yaml:7:49\n"
            "      token: \"${secret.TOKEN}\"  # p.yaml:7:72\n"
            "      extra: \"a: b\"             # p.yaml:5:88\n"
            "  u:\n"
            "    - name: \"yes\"               # p.prod.yaml:3:14\n"
            "      deep:\n"
            "        - - 1                   # p.prod.yaml:3:29\n"
            "          - k: []               # p.prod.yaml:3:36\n"
            "        - 1.5                   # p.prod.yaml:3:42\n"
            "        - null                  # p.prod.yaml:3:47\n"
            "        - \"l1\\nl2\"              # p.prod.yaml:3:53\n");
  // What it prints is a pipeline file, and says the same.
  project.write("again.yaml", prod.out);
  const auto first =
      parse_json(project
                     .forge({"config", "p.yaml", "--format", "json"},
                            {{"PANGEO_FORGE_PROFILE", "prod"}, {"PANGEO_FORGE_VAR", "region={x: 1}"}})
                     .out);
  const auto again = parse_json(project.forge({"config", "again.yaml", "--format", "json"}).out);
  ASSERT_TRUE(first && again);
  EXPECT_EQ((*first)["value"], (*again)["value"]);
  EXPECT_EQ((*first)["pipeline"], "p");
  EXPECT_EQ((*first)["profile"], "prod");
  EXPECT_EQ((*again)["profile"], nullptr);
  EXPECT_EQ((*first)["places"]["u[0].deep[0][1].k"].dump(), R"({"column":36,"file":"p.prod.yaml","line":3})");
  EXPECT_EQ((*first)["places"]["core.variables.sizes[2]"]["line"], 5);
  EXPECT_FALSE(std::filesystem::exists(project.path() / ".pangeo-forge"));
}

TEST(Config, RefusesWhatCannotBeMerged) {
  Project project;
  project.write("p.yaml", kPipeline);
  const auto unknown = project.forge({"config", "p.yaml", "--profile", "prd"});
  EXPECT_EQ(unknown.code, 3);
  EXPECT_EQ(unknown.out, "");
  EXPECT_NE(unknown.err.find("p.yaml:5:7: the pipeline has no profile 'prd' [pipeline.unknown_profile]\n"
                             "  hint: did you mean 'prod'?\n"),
            std::string::npos)
      << unknown.err;
  EXPECT_EQ(project.forge({"config", "p.yaml", "--var", "1=2"}).code, 3);
  EXPECT_EQ(project.forge({"config", "none.yaml"}).code, 3);
}

TEST(Profiles, AreTakenByEveryCommand) {
  Project project;
  project.extension("t", execute("outputs.size = config.size outputs.stack = self.stack and 1"), "",
                    "local s = require 'schema'; return {Config = s.object { size = s.integer {} }}");
  project.write("p.yaml",
                "include: [common.yaml]\np:\n  core: {profiles: {big: {t: [{name: a, size: 9}]}}}\n  t: "
                "[{name: a, size: 1}]\n");
  project.write("common.yaml", "p:\n  t: [{name: b, size: 5}]\n");
  const auto plain = project.forge({"run", "p.yaml"});
  EXPECT_EQ(plain.code, 0) << plain.out << plain.err;
  auto outputs = parse_json(project.forge({"outputs", "p.yaml", "--format", "json"}).out);
  ASSERT_TRUE(outputs);
  EXPECT_EQ((*outputs)["t"]["a"]["size"], 1);
  EXPECT_EQ((*outputs)["t"]["b"]["size"], 5);
  const auto big = project.forge({"run", "p.yaml"}, {{"PANGEO_FORGE_PROFILE", "big"}});
  EXPECT_EQ(big.code, 0) << big.out << big.err;
  outputs = parse_json(project.forge({"outputs", "p.yaml", "--format", "json", "--profile", "big"}).out);
  ASSERT_TRUE(outputs);
  EXPECT_EQ((*outputs)["t"]["a"]["size"], 9);
  for (const char* command : {"run", "validate", "graph", "doctor"}) {
    const auto refused = project.forge({command, "p.yaml", "--profile", "bg"});
    EXPECT_NE(refused.code, 0) << command;
    EXPECT_NE((refused.out + refused.err).find("pipeline.unknown_profile"), std::string::npos)
        << command << refused.out << refused.err;
  }
}

}  // namespace
}  // namespace pf::test
