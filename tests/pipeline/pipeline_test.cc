#include "pipeline/pipeline.h"

#include <gtest/gtest.h>

#include "loading.h"

namespace pf::pipeline {
namespace {

TEST(Load, ReadsTheDesignsExample) {
  Loading loading(R"(climate-prod:
  core:
    stack: prod
    engine: embedded
    order: parallel
    sandbox: degraded
    execution_defaults: {max_attempts: 3, timeout: 30m, max_parallel: 8, retry: {delay: 2s, factor: 1.5, jitter: none, never_on: [permission]}}
    extension_defaults: {terraform: {binary: tofu, variables: {region: us-east-1, size: 3}}}
    variables: {region: eu-west-1}
  terraform:
    - name: network
      source: modules/network
      variables: {region: "${var.region}"}
  kubectl:
    - name: app
      timeout: 90s
      max_attempts: 1
      retry: {max_delay: 1m, retry_on: ["rate limit", http.503]}
      allow_failure: true
      tags: [web, "${var.region}"]
      when: "${terraform.network.outputs.ready ?? true}"
      manifest: app.yaml
      values: {vpc: "${terraform.network.outputs.vpc_id}"}
)");
  auto pipeline = loading.load();
  ASSERT_TRUE(pipeline) << loading.errors;
  EXPECT_EQ(pipeline->name, "climate-prod");
  EXPECT_EQ(pipeline->stack, "prod");
  EXPECT_EQ(pipeline->folder, loading.folder);
  EXPECT_EQ(pipeline->max_parallel, 8U);
  EXPECT_TRUE(pipeline->degraded_sandbox);
  ASSERT_EQ(pipeline->sections.size(), 2U);
  EXPECT_EQ(pipeline->sections[1].type, "kubectl");
  EXPECT_EQ(pipeline->sections[1].at.line, 14U);
  ASSERT_EQ(pipeline->instances.size(), 2U);

  const Instance& network = pipeline->instances[0];
  EXPECT_EQ(network.stack, "prod-network");
  EXPECT_EQ(pipeline->address(0), "terraform.network");
  EXPECT_EQ(network.at.line, 11U);
  EXPECT_EQ(network.at.column, 7U);
  EXPECT_EQ(network.settings, 0U);
  const Settings& defaults = pipeline->settings[0];
  EXPECT_EQ(defaults.max_attempts, 3U);
  EXPECT_EQ(defaults.timeout, Milliseconds(1'800'000));
  ASSERT_TRUE(defaults.retry);
  EXPECT_EQ(defaults.retry->delay, Milliseconds(2000));
  EXPECT_EQ(defaults.retry->max_delay, Milliseconds(30'000));
  EXPECT_EQ(defaults.retry->factor, 1.5);
  EXPECT_FALSE(defaults.retry->full_jitter);
  EXPECT_FALSE(defaults.allow_failure);
  Document scratch;
  Errors errors;
  EXPECT_EQ(to_json(evaluate_static(*pipeline, 0, scratch, errors)).dump(),
            R"({"binary":"tofu","source":"modules/network","variables":{"region":"eu-west-1","size":3}})");

  const Settings& app = pipeline->settings[pipeline->instances[1].settings];
  EXPECT_EQ(app.max_attempts, 1U);
  EXPECT_EQ(app.timeout, Milliseconds(90'000));
  EXPECT_TRUE(app.allow_failure);
  EXPECT_EQ(join(app.tags, " "), "web eu-west-1");
  ASSERT_TRUE(app.retry);
  EXPECT_EQ(app.retry->delay, Milliseconds(2000));
  EXPECT_EQ(app.retry->max_delay, Milliseconds(60'000));
  EXPECT_EQ(join(app.retry->retry_on, "|"), "rate limit|http.503");
  EXPECT_EQ(to_json(pipeline->instances[1].config).dump(),
            R"({"manifest":"app.yaml","values":{"vpc":"${terraform.network.outputs.vpc_id}"}})");
  EXPECT_EQ(graph_of(*pipeline), "terraform.network <-\nkubectl.app <- terraform.network(succeeded)\n");
  EXPECT_EQ(pipeline->downstream(0).size(), 1U);
  EXPECT_EQ(pipeline->downstream(0)[0], 1U);
  EXPECT_EQ(pipeline->find("kubectl.app"), 1);
  EXPECT_EQ(pipeline->find("kubectl.network"), -1);
  EXPECT_EQ(pipeline->find("kubectl"), -1);

  FixedOutputs ready(*pipeline, {{"terraform.network", R"({"ready": false})"}});
  EXPECT_EQ(evaluate_when(*pipeline, 1, ready).value(), false);
  FixedOutputs empty(*pipeline, {{"terraform.network", "{}"}});
  EXPECT_EQ(evaluate_when(*pipeline, 1, empty).value(), true);
  EXPECT_EQ(evaluate_when(*pipeline, 0, empty).value(), true);
  FixedOutputs wrong(*pipeline, {{"terraform.network", R"({"ready": "yes"})"}});
  auto refused = evaluate_when(*pipeline, 1, wrong);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "kubectl.app.when is text, expected a boolean");
  EXPECT_EQ(refused.error().where.line, 21U);
}

TEST(Load, HasDefaults) {
  Loading loading("first:\n  example:\n    - name: a\n");
  auto pipeline = loading.load();
  ASSERT_TRUE(pipeline) << loading.errors;
  EXPECT_EQ(pipeline->stack, "first");
  EXPECT_EQ(pipeline->max_parallel, 16U);
  EXPECT_FALSE(pipeline->degraded_sandbox);
  EXPECT_EQ(pipeline->settings.size(), 1U);
  EXPECT_EQ(pipeline->settings[0].max_attempts, 1U);
  EXPECT_EQ(pipeline->settings[0].timeout, Milliseconds(0));
  EXPECT_FALSE(pipeline->settings[0].retry);
  EXPECT_EQ(pipeline->instances[0].config.kind, Kind::map);
  EXPECT_EQ(pipeline->instances[0].config.size, 0U);
}

TEST(Load, PicksOnePipelineOfSeveral) {
  Loading loading(
      "one:\n  core: &core {extension_defaults: {u: {k: 1}}}\n  t: [{name: a}]\ntwo:\n  core: *core\n  u: "
      "[{name: b}]\n");
  EXPECT_FALSE(loading.load());
  EXPECT_EQ(loading.errors,
            "p.yaml:4:1: the file holds 2 pipelines: one, two [pipeline.choose]\n  hint: pick one with "
            "--pipeline one\n");
  loading.options.pipeline = "two";
  auto pipeline = loading.load();
  ASSERT_TRUE(pipeline) << loading.errors;
  EXPECT_EQ(pipeline->address(0), "u.b");
  EXPECT_EQ(to_json(pipeline->instances[0].config).dump(), R"({"k":1})");
  loading.options.pipeline = "one";
  EXPECT_TRUE(loading.load()) << loading.errors;
  loading.options.pipeline = "tow";
  EXPECT_FALSE(loading.load());
  EXPECT_EQ(loading.errors,
            "p.yaml:1:1: the file holds no pipeline 'tow' [pipeline.unknown]\n  hint: did you mean 'two'?\n");
}

TEST(Load, RefusesWhatIsNoPipeline) {
  static const std::string kHint =
      "  hint: a file begins with the name of a pipeline, then its sections:\n    my-pipeline:\n      "
      "example:\n        - name: first\n";
  EXPECT_EQ(errors_of(""), "p.yaml:1:1: the file is empty, expected a pipeline [pipeline.empty]\n" + kHint);
  EXPECT_EQ(
      errors_of("hello there\n"),
      "p.yaml:1:1: the file is the text 'hello there', expected a mapping of pipelines [pipeline.type]\n" +
          kHint);
  EXPECT_EQ(errors_of("- name: a\n"),
            "p.yaml:1:1: the file is a list, expected a mapping of pipelines [pipeline.type]\n" + kHint);
  EXPECT_EQ(errors_of("{}"),
            "p.yaml:1:1: the file is a mapping, expected a mapping of pipelines [pipeline.type]\n" + kHint);
  EXPECT_EQ(errors_of("p: 5\n"),
            "p.yaml:1:4: p is 5, expected a mapping with core and a section for each type of extension "
            "[pipeline.type]\n"
            "  hint: indent the sections beneath the name\n");
  EXPECT_EQ(errors_of("p:\n"),
            "p.yaml:1:1: p is nothing, expected a mapping with core and a section for each type of extension "
            "[pipeline.type]\n"
            "  hint: indent the sections beneath the name\n");
  EXPECT_EQ(
      errors_of("p:\n  core: {}\n"),
      "p.yaml:2:3: the pipeline has no section, expected one for each type of extension [pipeline.empty]\n"
      "  hint: add a section such as\n    example:\n      - name: first\n");
  EXPECT_EQ(errors_of("my pipeline:\n  t: []\n"),
            "p.yaml:1:1: the name of the pipeline, 'my pipeline', holds ' ', expected letters, digits, '_', "
            "'-' and '.' "
            "[pipeline.name]\n  hint: rename the pipeline\n");
}

TEST(Load, PassesOnTheReadersErrors) {
  Loading loading("");
  loading.options.file = loading.folder / "none.yaml";
  EXPECT_FALSE(loading.load());
  EXPECT_EQ(loading.errors,
            "none.yaml:1:1: there is no such file [yaml.missing_file]\n"
            "  hint: check the path: it is relative to the current folder\n");
  std::filesystem::resize_file(loading.folder / "p.yaml", 50U << 20);
  loading.options.file = loading.folder / "p.yaml";
  EXPECT_FALSE(loading.load());
  EXPECT_EQ(loading.errors,
            "p.yaml:1:1: the file has more than 16777216 bytes [yaml.too_big]\n"
            "  hint: split it, or keep data in files of their own\n");
  EXPECT_EQ(errors_of("p:\n\tt: []\n"),
            "p.yaml:2:1: found a tab as indentation, expected spaces [yaml.tab]\n"
            "  hint: indent with spaces: YAML allows no tabs there\n");
  EXPECT_EQ(errors_of("p:\n  t: []\n  t: []\n"),
            "p.yaml:3:3: found the key 't' again; it stands in line 2 already [yaml.duplicate_key]\n"
            "  hint: remove or rename one of the two\n");
  EXPECT_EQ(
      errors_of("p:\n  t:\n    - name: a\n      x: " + std::string(1000, '[') + std::string(1000, ']') +
                "\n"),
      "p.yaml:4:70: the nesting here is deeper than 64 levels [yaml.depth]\n  hint: flatten the structure\n");
}

std::string core_errors(const std::string& core) {
  return errors_of("p:\n  core:\n    " + core + "\n  t: [{name: a}]\n");
}

TEST(Core, RefusesUnknownKeys) {
  EXPECT_EQ(core_errors("stak: x"),
            "p.yaml:3:5: 'stak' is no key of core [pipeline.unknown_key]\n  hint: did you mean 'stack'?\n");
  EXPECT_EQ(core_errors("zebra: x"),
            "p.yaml:3:5: 'zebra' is no key of core [pipeline.unknown_key]\n"
            "  hint: known keys are: stack, engine, order, execution_defaults, extension_defaults, "
            "variables, sandbox, pools, deadline, hooks, moved, secrets, profiles\n");
  EXPECT_EQ(core_errors("execution_defaults: {max_atempts: 3}"),
            "p.yaml:3:26: 'max_atempts' is no key of core.execution_defaults [pipeline.unknown_key]\n"
            "  hint: did you mean 'max_attempts'?\n");
  EXPECT_EQ(core_errors("execution_defaults: {retry: {delays: 3}}"),
            "p.yaml:3:34: 'delays' is no key of core.execution_defaults.retry [pipeline.unknown_key]\n"
            "  hint: did you mean 'delay'?\n");
  EXPECT_EQ(core_errors("extension_defaults: {tt: {a: 1}}"),
            "p.yaml:3:26: the pipeline has no section 'tt' [pipeline.unknown_section]\n  hint: did you mean "
            "'t'?\n");
  EXPECT_EQ(core_errors("extension_defaults: {t: {timeout: 1s}}"),
            "p.yaml:3:30: 'timeout' is a key of an instance, not of its extension's configuration "
            "[pipeline.misplaced_key]\n"
            "  hint: set it in the instances, or, where it exists there, in core.execution_defaults\n");
  EXPECT_EQ(core_errors("order: {terraform: sequential}"),
            "p.yaml:3:13: the pipeline has no section 'terraform' [pipeline.unknown_section]\n  hint: its "
            "sections are: t\n");
}

TEST(Core, RefusesWhatIsNotSupportedYet) {
  for (const char* key : {"permissions", "bakeries", "limits"}) {
    EXPECT_EQ(core_errors(std::string(key) + ": {}"),
              "p.yaml:3:5: '" + std::string(key) +
                  "' is not supported by this version [pipeline.not_supported]\n"
                  "  hint: remove the key\n");
  }
  EXPECT_EQ(core_errors("engine: pulumi"),
            "p.yaml:3:13: the engine 'pulumi' is not supported by this version [pipeline.not_supported]\n"
            "  hint: use embedded, or remove the key\n");
}

TEST(Core, RefusesWrongTypes) {
  const auto type = [](const std::string& place, const std::string& message, const std::string& hint = "") {
    return "p.yaml:" + place + ": " + message + " [pipeline.type]\n" +
           (hint.empty() ? "" : "  hint: " + hint + "\n");
  };
  EXPECT_EQ(errors_of("p:\n  core: [1]\n  t: []\n"), type("2:9", "core is a list, expected a mapping"));
  EXPECT_EQ(core_errors("stack: [a]"), type("3:12", "core.stack is a list, expected text"));
  EXPECT_EQ(core_errors("stack: 5"), type("3:12", "core.stack is 5, expected text"));
  EXPECT_EQ(core_errors("engine: terraform"),
            type("3:13", "core.engine is the text 'terraform', expected embedded"));
  EXPECT_EQ(core_errors("sandbox: off"),
            type("3:14", "core.sandbox is the text 'off', expected strict or degraded"));
  EXPECT_EQ(
      core_errors("order: [a]"),
      type("3:12", "core.order is a list, expected parallel, sequential, or a mapping of sections to these"));
  EXPECT_EQ(core_errors("order: {t: backwards}"),
            type("3:16", "core.order.t is the text 'backwards', expected parallel or sequential"));
  EXPECT_EQ(core_errors("execution_defaults: 3"),
            type("3:25", "core.execution_defaults is 3, expected a mapping"));
  EXPECT_EQ(
      core_errors("execution_defaults: {max_attempts: three}"),
      type(
          "3:40",
          "core.execution_defaults.max_attempts is the text 'three', expected an integer from 1 to 1000000"));
  EXPECT_EQ(core_errors("execution_defaults: {max_parallel: 0}"),
            "p.yaml:3:40: core.execution_defaults.max_parallel is 0, expected an integer from 1 to 10000 "
            "[pipeline.value]\n");
  EXPECT_EQ(core_errors("execution_defaults: {timeout: 30}"),
            type("3:35", "core.execution_defaults.timeout is 30, expected a duration",
                 "write it with a unit, such as 500ms, 30s, 5m or 1h30m"));
  EXPECT_EQ(core_errors("execution_defaults: {retry: 3}"),
            type("3:33", "core.execution_defaults.retry is 3, expected a mapping",
                 "write, for example, retry: {delay: 1s, max_delay: 30s}"));
  EXPECT_EQ(core_errors("execution_defaults: {retry: {factor: 0.5}}"),
            type("3:42", "core.execution_defaults.retry.factor is 0.5, expected a number from 1 to 1000"));
  EXPECT_EQ(core_errors("execution_defaults: {retry: {jitter: some}}"),
            type("3:42", "core.execution_defaults.retry.jitter is the text 'some', expected full or none"));
  EXPECT_EQ(
      core_errors("execution_defaults: {retry: {retry_on: timeout}}"),
      type("3:44", "core.execution_defaults.retry.retry_on is the text 'timeout', expected a list of texts",
           "write it as [a, b]"));
  EXPECT_EQ(
      core_errors("extension_defaults: [t]"),
      type("3:25",
           "core.extension_defaults is a list, expected a mapping of extension types to configuration"));
  EXPECT_EQ(core_errors("extension_defaults: {t: 1}"),
            type("3:29", "core.extension_defaults.t is 1, expected a mapping"));
  EXPECT_EQ(core_errors("variables: [a]"),
            type("3:16", "core.variables is a list, expected a mapping of names to values"));
}

TEST(Core, TakesExpressions) {
  Loading loading(
      "p:\n  core:\n    stack: ${var.env}-x\n    execution_defaults: {max_parallel: '${var.n}', timeout: "
      "'${var.n}s'}\n    variables: {env: '${env.STAGE}', n: 3}\n  t: [{name: a, max_attempts: "
      "'${var.n}'}]\n");
  loading.environment = {{"STAGE", "dev"}};
  auto pipeline = loading.load();
  ASSERT_TRUE(pipeline) << loading.errors;
  EXPECT_EQ(pipeline->stack, "dev-x");
  EXPECT_EQ(pipeline->max_parallel, 3U);
  EXPECT_EQ(pipeline->settings[0].timeout, Milliseconds(3000));
  EXPECT_EQ(pipeline->settings[pipeline->instances[0].settings].max_attempts, 3U);
  EXPECT_EQ(core_errors("stack: a b"),
            "p.yaml:3:12: core.stack is 'a b', which holds ' ', expected letters, digits, '_', '-' and '.' "
            "[pipeline.stack_name]\n"
            "  hint: choose another name\n");
}

std::string section_errors(const std::string& section) { return errors_of("p:\n  t:" + section); }

TEST(Instances, RefuseWrongShapes) {
  EXPECT_EQ(section_errors("\n"),
            "p.yaml:2:3: t is nothing, expected a list of instances [pipeline.type]\n  hint: begin each "
            "instance with '- name: '\n");
  EXPECT_EQ(section_errors(" {name: a}\n"),
            "p.yaml:2:6: t is a mapping, expected a list of instances [pipeline.type]\n  hint: begin each "
            "instance with '- name: '\n");
  EXPECT_EQ(section_errors(" [a]\n"),
            "p.yaml:2:7: t[0] is the text 'a', expected an instance, which is a mapping [pipeline.type]\n  "
            "hint: write - name: first\n");
  EXPECT_EQ(section_errors("\n    - source: x\n"),
            "p.yaml:3:7: t[0] has no name, expected one [pipeline.missing_name]\n  hint: add name: to the "
            "instance\n");
  EXPECT_EQ(section_errors("\n    - name: 12\n"),
            "p.yaml:3:13: t.?.name is 12, expected text [pipeline.type]\n  hint: put it in quotes\n");
  EXPECT_EQ(section_errors("\n    - name:\n"),
            "p.yaml:3:7: t.?.name is nothing, expected text [pipeline.type]\n  hint: put it in quotes\n");
  EXPECT_EQ(section_errors("\n    - {name: a, when: 'var.x'}\n"),
            "p.yaml:3:23: t.a.when is the text 'var.x', expected a boolean or an expression [pipeline.type]\n"
            "  hint: write it as when: \"${var.region == 'us'}\"\n");
  EXPECT_EQ(
      section_errors("\n    - {name: a, when: '${1 == 1} '}\n"),
      "p.yaml:3:23: t.a.when is a text with expressions in it, expected one expression [pipeline.type]\n"
      "  hint: write it as when: \"${var.region == 'us'}\"\n");
  EXPECT_EQ(section_errors("\n    - {name: a, when: '${1}'}\n"),
            "p.yaml:3:23: t.a.when is 1, expected a boolean [pipeline.type]\n  hint: compare the value, for "
            "example with == 'text'\n");
  EXPECT_EQ(section_errors("\n    - {name: a, allow_failure: 1}\n"),
            "p.yaml:3:32: t.a.allow_failure is 1, expected a boolean [pipeline.type]\n");
  EXPECT_EQ(section_errors("\n    - {name: a, tags: x}\n"),
            "p.yaml:3:23: t.a.tags is the text 'x', expected a list of texts [pipeline.type]\n  hint: write "
            "it as [a, b]\n");
  EXPECT_EQ(errors_of("p:\n  var: []\n"),
            "p.yaml:2:3: 'var' cannot name a section, expected a type of extension: letters, digits, '_' and "
            "'-', beginning "
            "with a letter [pipeline.section]\n  hint: var, env, each and secret are words of expressions\n");
}

TEST(Instances, RefuseWhatIsNotSupportedYet) {
  for (const char* key : {"bakery", "use"}) {
    EXPECT_EQ(section_errors("\n    - {name: a, " + std::string(key) + ": 1}\n"),
              "p.yaml:3:17: '" + std::string(key) +
                  "' is not supported by this version [pipeline.not_supported]\n  hint: remove the key\n");
  }
}

TEST(Instances, RefuseIllegalNames) {
  EXPECT_EQ(section_errors("\n    - name: a/b\n"),
            "p.yaml:3:13: the name 'a/b' holds '/', expected letters, digits, '_', '-' and '.' "
            "[pipeline.name]\n  hint: rename the instance\n");
  EXPECT_EQ(section_errors("\n    - name: caf\xC3\xA9\n"),
            "p.yaml:3:13: the name 'caf\xC3\xA9' holds '\xC3\xA9', expected letters, digits, '_', '-' and "
            "'.' [pipeline.name]\n"
            "  hint: rename the instance\n");
  EXPECT_EQ(section_errors("\n    - name: ''\n"),
            "p.yaml:3:13: the name has 0 characters, expected 1 to 100 [pipeline.name]\n  hint: rename the "
            "instance\n");
  EXPECT_EQ(section_errors("\n    - name: " + std::string(101, 'a') + "\n"),
            "p.yaml:3:13: the name has 101 characters, expected 1 to 100 [pipeline.name]\n  hint: rename the "
            "instance\n");
  EXPECT_EQ(section_errors("\n    - name: " + std::string(99, 'a') + "\n"),
            "p.yaml:3:13: the stack 'p-" + std::string(99, 'a') +
                "' would have 101 characters, expected at most 100 [pipeline.stack_name]\n"
                "  hint: give it a shorter name with stack:\n");
  EXPECT_EQ(section_errors("\n    - {name: a, stack: 'b c'}\n"),
            "p.yaml:3:24: t.a.stack is 'b c', which holds ' ', expected letters, digits, '_', '-' and '.' "
            "[pipeline.stack_name]\n"
            "  hint: choose another name\n");
}

TEST(Instances, RefuseDuplicates) {
  EXPECT_EQ(section_errors("\n    - name: a\n    - name: b\n    - name: a\n"),
            "p.yaml:5:13: the name 'a' stands in t already, at p.yaml:3:7 [pipeline.duplicate_name]\n  hint: "
            "rename one of the two\n");
  EXPECT_EQ(section_errors("\n    - name: a\n    - {name: a, for_each: [x]}\n"),
            "p.yaml:4:14: the name 'a' stands in t already, at p.yaml:3:7 [pipeline.duplicate_name]\n  hint: "
            "rename one of the two\n");
  EXPECT_EQ(section_errors("\n    - {name: a, for_each: []}\n    - name: a\n"),
            "p.yaml:4:13: the name 'a' stands in t already, at p.yaml:3:7 [pipeline.duplicate_name]\n  hint: "
            "rename one of the two\n");
  EXPECT_EQ(errors_of("p:\n  terraform: [{name: app}]\n  helm:\n    - name: app\n"),
            "p.yaml:4:7: helm.app would have the stack 'p-app', as terraform.app at p.yaml:2:15 "
            "[pipeline.stack_conflict]\n"
            "  hint: give one of them another stack with stack:\n");
  Loading loading("p:\n  terraform: [{name: app}]\n  helm: [{name: app, stack: other}]\n");
  auto pipeline = loading.load();
  ASSERT_TRUE(pipeline) << loading.errors;
  EXPECT_EQ(pipeline->instances[1].stack, "other");
}

TEST(Instances, ReportEverythingAtOnce) {
  EXPECT_EQ(errors_of("p:\n  core: {stak: 1}\n  t:\n    - {name: a b}\n    - {name: c, x: "
                      "'${t.a.outputs.y}', timeout: 5}\n    - {name: d, x: '${u.e.outputs.y}'}\n"),
            "p.yaml:2:10: 'stak' is no key of core [pipeline.unknown_key]\n  hint: did you mean 'stack'?\n"
            "p.yaml:4:14: the name 'a b' holds ' ', expected letters, digits, '_', '-' and '.' "
            "[pipeline.name]\n  hint: rename the instance\n"
            "p.yaml:5:49: t.c.timeout is 5, expected a duration [pipeline.type]\n  hint: write it with a "
            "unit, such as 500ms, 30s, 5m or 1h30m\n"
            "p.yaml:6:23: there is no section 'u' [graph.unknown_instance]\n  hint: did you mean 't'?\n");
}

/// `address stack each.key each.value`, a line for each instance of a for_each.
std::string expansion_of(const std::string& item) {
  Loading loading("p:\n  core: {variables: {list: [x, y]}}\n  t:\n    - " + item + "\n");
  for (const char* name : {"r/b/feedstock", "r/a", "r/.hidden", "r/c d", "other"})
    std::filesystem::create_directories(loading.folder / name);
  std::ofstream(loading.folder / "r" / "file") << "no folder";
  auto pipeline = loading.load();
  if (!pipeline) return loading.errors;
  std::string out;
  for (uint32_t i = 0; i < pipeline->instances.size(); ++i) {
    const Instance& instance = pipeline->instances[i];
    const Each& each = pipeline->each[instance.each];
    Document scratch;
    Errors errors;
    out += pipeline->address(i) + " " + instance.stack + " " + each.key + " " + to_json(each.value).dump() +
           " " + to_json(evaluate_static(*pipeline, i, scratch, errors)).dump() + "\n";
  }
  return out;
}

TEST(ForEach, ExpandsLists) {
  EXPECT_EQ(
      expansion_of("{name: w, for_each: [a, 'b c', 3, 1.0, true], v: '${each.value}', k: 'is ${each.key}'}"),
      "t.w[\"a\"] p-w--a-- a \"a\" {\"k\":\"is a\",\"v\":\"a\"}\n"
      "t.w[\"b c\"] p-w--b-c-- b c \"b c\" {\"k\":\"is b c\",\"v\":\"b c\"}\n"
      "t.w[\"3\"] p-w--3-- 3 3 {\"k\":\"is 3\",\"v\":3}\n"
      "t.w[\"1.0\"] p-w--1.0-- 1.0 1.0 {\"k\":\"is 1.0\",\"v\":1.0}\n"
      "t.w[\"true\"] p-w--true-- true true {\"k\":\"is true\",\"v\":true}\n");
  EXPECT_EQ(expansion_of("{name: w, for_each: [{a: 1}, {a: [2]}], v: '${each.value.a}'}"),
            "t.w[\"0\"] p-w--0-- 0 {\"a\":1} {\"v\":1}\n"
            "t.w[\"1\"] p-w--1-- 1 {\"a\":[2]} {\"v\":[2]}\n");
  EXPECT_EQ(expansion_of("{name: w, for_each: '${var.list}'}"),
            "t.w[\"x\"] p-w--x-- x \"x\" {}\nt.w[\"y\"] p-w--y-- y \"y\" {}\n");
  EXPECT_EQ(expansion_of("{name: w, for_each: []}"), "");
  EXPECT_EQ(expansion_of("{name: w, for_each: ['q\"\\']}"),
            "t.w[\"q\\\"\\\\\"] p-w--q------ q\"\\ \"q\\\"\\\\\" {}\n");
}

TEST(ForEach, ExpandsMappingsAndPlainNames) {
  EXPECT_EQ(expansion_of("{name: 'w-${each.key}', for_each: {a: 1, b: {c: 2}}, stack: 's.${each.key}', "
                         "timeout: '${each.value.t ?? 1}s', v: '${each.value}'}"),
            "t.w-a s.a a 1 {\"v\":1}\nt.w-b s.b b {\"c\":2} {\"v\":{\"c\":2}}\n");
  EXPECT_EQ(expansion_of("{name: '${each.value.n}', for_each: [{n: a}, {n: a}]}"),
            "p.yaml:4:14: the name 'a' stands in t already, at p.yaml:4:7 [pipeline.duplicate_name]\n"
            "  hint: names made from each must differ\n");
  EXPECT_EQ(expansion_of("{name: '${each.key}', for_each: [a b]}"),
            "p.yaml:4:14: the name 'a b' holds ' ', expected letters, digits, '_', '-' and '.' "
            "[pipeline.name]\n  hint: rename the instance\n");
}

TEST(ForEach, ExpandsFolders) {
  EXPECT_EQ(expansion_of("{name: f, for_each: {folders: 'r/*'}, v: '${each.value}'}"),
            "t.f[\"a\"] p-f--a-- a \"r/a\" {\"v\":\"r/a\"}\n"
            "t.f[\"b\"] p-f--b-- b \"r/b\" {\"v\":\"r/b\"}\n"
            "t.f[\"c d\"] p-f--c-d-- c d \"r/c d\" {\"v\":\"r/c d\"}\n");
  EXPECT_EQ(expansion_of("{name: f, for_each: {folders: './r/?/feedstock/'}}"),
            "t.f[\"b/feedstock\"] p-f--b-feedstock-- b/feedstock \"./r/b/feedstock\" {}\n");
  EXPECT_EQ(expansion_of("{name: f, for_each: {folders: '**/feedstock'}}"),
            "t.f[\"r/b/feedstock\"] p-f--r-b-feedstock-- r/b/feedstock \"r/b/feedstock\" {}\n");
  EXPECT_EQ(expansion_of("{name: f, for_each: {folders: other}}"),
            "t.f[\"other\"] p-f--other-- other \"other\" {}\n");
  EXPECT_EQ(expansion_of("{name: f, for_each: {folders: 'r/z*'}}"), "");
  EXPECT_EQ(expansion_of("{name: f, for_each: {folders: 'rr/*'}}"),
            "p.yaml:4:37: there is no folder 'rr' [pipeline.folders]\n  hint: patterns are relative to the "
            "pipeline file\n");
}

TEST(ForEach, RefusesWhatCannotBeExpanded) {
  EXPECT_EQ(
      expansion_of("{name: w, for_each: 5}"),
      "p.yaml:4:27: t.w.for_each is 5, expected a list, a mapping or {folders: PATTERN} [pipeline.type]\n"
      "  hint: write, for example, for_each: [a, b]\n");
  EXPECT_EQ(expansion_of("{name: w, for_each: [a, [b]]}"),
            "p.yaml:4:31: t.w.for_each[1] is a list, expected text, a number, a boolean or a mapping "
            "[pipeline.type]\n");
  EXPECT_EQ(expansion_of("{name: w, for_each: [1, '1']}"),
            "p.yaml:4:31: the item '1' stands twice in t.w.for_each [pipeline.for_each]\n  hint: remove one "
            "of the two\n");
  EXPECT_EQ(expansion_of("{name: w, for_each: [{a: 1}, {b: 2}], v: '${each.value.a}'}"),
            "p.yaml:4:51: each.value has no key 'a'; it has: b (where each.key is '1') [expression.missing]\n"
            "  hint: did you mean 'b'?\n");
  EXPECT_EQ(expansion_of("{name: w, for_each: ['a b', a-b]}"),
            "p.yaml:4:7: t.w[\"a-b\"] would have the stack 'p-w--a-b--', as t.w[\"a b\"] at p.yaml:4:7 "
            "[pipeline.stack_conflict]\n"
            "  hint: give one of them another stack with stack:\n");
}

TEST(Config, MergesDefaultsBeneath) {
  Loading loading(
      "p:\n  core:\n    extension_defaults: {t: {a: 1, m: {x: 1, y: {z: 2}}, l: [1], n: 5}}\n  t:\n    - "
      "{name: i, m: {y: {w: 3}}, l: [2], n: ~, own: '$${x}', when: false}\n    - name: j\n");
  auto pipeline = loading.load();
  ASSERT_TRUE(pipeline) << loading.errors;
  EXPECT_EQ(to_json(pipeline->instances[0].config).dump(),
            R"({"a":1,"l":[2],"m":{"x":1,"y":{"w":3,"z":2}},"n":null,"own":"${x}"})");
  EXPECT_EQ(to_json(pipeline->instances[1].config).dump(),
            R"({"a":1,"l":[1],"m":{"x":1,"y":{"z":2}},"n":5})");
  FixedOutputs none(*pipeline, {});
  EXPECT_EQ(evaluate_when(*pipeline, 0, none).value(), false);
}

}  // namespace
}  // namespace pf::pipeline
