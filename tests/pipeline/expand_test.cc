// for_each over outputs: what is known before the run, and what becomes of it when the upstream has run.
#include <gtest/gtest.h>

#include "loading.h"

namespace pf::pipeline {
namespace {

const std::string kNetwork = R"(p:
  core: {pools: {a: 1, b: 1}, variables: {list: [x]}}
  t:
    - {name: net}
)";

uint32_t at(const Pipeline& pipeline, const std::string& address) {
  const int64_t found = pipeline.find(address);
  EXPECT_GE(found, 0) << address;
  return found < 0 ? 0 : static_cast<uint32_t>(found);
}

/// What expand() made: a line `address stack each.key config` for each, or the error.
std::string expanded(Pipeline& pipeline, const std::string& group, Outputs& outputs) {
  const size_t before = pipeline.instances.size();
  const auto count = expand(pipeline, at(pipeline, group), outputs);
  if (!count) {
    EXPECT_EQ(pipeline.instances.size(), before);
    return count.error().text();
  }
  EXPECT_EQ(pipeline.instances.size(), before + *count);
  std::string out;
  for (auto i = static_cast<uint32_t>(before); i < pipeline.instances.size(); ++i) {
    const Instance& instance = pipeline.instances[i];
    EXPECT_FALSE(instance.group);
    EXPECT_TRUE(pipeline.upstream(i).empty());
    EXPECT_TRUE(pipeline.downstream(i).empty());
    EXPECT_EQ(pipeline.find(pipeline.address(i)), i);
    Document scratch;
    auto config = evaluate(pipeline, i, outputs, scratch);
    out += pipeline.address(i) + ' ' + instance.stack + ' ' + pipeline.each[instance.each].key + ' ' +
           (config ? to_json(config->config).dump() : config.error().text()) + '\n';
  }
  return out;
}

std::string value_of(const Pipeline& pipeline, const std::string& address, Outputs& outputs) {
  Document scratch;
  auto config = evaluate(pipeline, at(pipeline, address), outputs, scratch);
  if (!config)
    return config.error().message + (config.error().hint.empty() ? "" : " | " + config.error().hint);
  std::string out = to_json(config->config).dump();
  for (const auto& from : config->from_outputs) {
    out += ' ' + from.path + "<-";
    for (uint32_t i : from.instances) out += pipeline.address(i) + ' ';
  }
  return out;
}

TEST(Expand, AListMakesInstancesThatFollowersSee) {
  Loading loading(kNetwork + R"(    - {name: other}
    - name: w
      for_each: "${t.net.outputs.subnets}"
      depends_on: [t.other]
      stack: "s-${each.value.cidr ?? each.key}"
      pool: "${each.value.pool}"
      max_attempts: 2
      when: "${each.value.on ?? true}"
      limits: {memory: "${each.value.memory}"}
      cidr: "${each.value.cidr}"
      key: "${each.key}"
    - {name: all, ids: "${t.w[*].outputs.id}"}
    - {name: one, id: "${t.w[\"1\"].outputs.id}", depends_on: [t.w]}
    - {name: none, id: "${t.w[\"7\"].outputs.id ?? 'default'}", depends_on: ['t.w["7"]']}
    - {name: lost, id: "${t.w[\"11\"].outputs.id}"}
)");
  auto pipeline = loading.load();
  ASSERT_TRUE(pipeline) << loading.errors;
  EXPECT_EQ(graph_of(*pipeline),
            "t.net <-\nt.other <-\nt.w <- t.net(succeeded) t.other(succeeded)\n"
            "t.all <- t.w(succeeded)\nt.one <- t.w(succeeded)\nt.none <- t.w(succeeded)\n"
            "t.lost <- t.w(succeeded)\n");
  const Instance& group = pipeline->instances[at(*pipeline, "t.w")];
  EXPECT_TRUE(group.group);
  EXPECT_EQ(pipeline->settings[group.settings].max_attempts, 2U);
  EXPECT_EQ(pipeline->settings[group.settings].pool, Settings::kNoPool);
  EXPECT_TRUE(group.limits.is_null());
  Document scratch;
  Errors errors;
  EXPECT_EQ(to_json(evaluate_static(*pipeline, at(*pipeline, "t.w"), scratch, errors)).dump(),
            R"({"cidr":"${each.value.cidr}","key":"${each.key}"})");
  EXPECT_TRUE(errors.empty());

  FixedOutputs before(*pipeline, {{"t.net", R"({"subnets": [{"cidr": "a", "pool": "b", "memory": "1MiB"},
                                                            {"cidr": "b", "pool": "a", "memory": "2MiB", "on": false}]})"}});
  EXPECT_TRUE(evaluate_when(*pipeline, at(*pipeline, "t.w"), before).value());
  EXPECT_EQ(value_of(*pipeline, "t.lost", before),
            "t.w[\"11\"].outputs is not there: its for_each was not run | give a default with ??");
  EXPECT_EQ(expanded(*pipeline, "t.w", before),
            "t.w[\"0\"] s-a 0 {\"cidr\":\"a\",\"key\":\"0\"}\n"
            "t.w[\"1\"] s-b 1 {\"cidr\":\"b\",\"key\":\"1\"}\n");
  const uint32_t first = at(*pipeline, "t.w[\"0\"]");
  EXPECT_EQ(pipeline->settings[pipeline->instances[first].settings].pool, 1U);
  EXPECT_EQ(pipeline->settings[pipeline->instances[first + 1].settings].pool, 0U);
  EXPECT_EQ(pipeline->settings[pipeline->instances[first + 1].settings].max_attempts, 2U);
  EXPECT_EQ(to_json(pipeline->instances[first + 1].limits).dump(), R"({"memory":"2MiB"})");
  EXPECT_TRUE(evaluate_when(*pipeline, first, before).value());
  EXPECT_FALSE(*evaluate_when(*pipeline, first + 1, before).value());

  FixedOutputs after(*pipeline, {{"t.w[\"0\"]", R"({"id": 10})"}, {"t.w[\"1\"]", R"({"id": 11})"}});
  EXPECT_EQ(value_of(*pipeline, "t.all", after), "{\"ids\":[10,11]} ids<-t.w[\"0\"] t.w[\"1\"] ");
  EXPECT_EQ(value_of(*pipeline, "t.one", after), "{\"id\":11} id<-t.w[\"1\"] ");
  EXPECT_EQ(value_of(*pipeline, "t.none", after), "{\"id\":\"default\"} id<-");
  EXPECT_EQ(value_of(*pipeline, "t.lost", after),
            "t.w[\"11\"].outputs is not there: its for_each has: 0, 1 | did you mean '1'?");
  FixedOutputs half(*pipeline, {{"t.w[\"0\"]", R"({"id": 10})"}});
  EXPECT_EQ(value_of(*pipeline, "t.all", half),
            "t.w[*].outputs is not there: the instance gave no outputs | give a default with ??");

  EXPECT_EQ(expansion(*pipeline, first, 2).dump(),
            R"([["0",{"cidr":"a","memory":"1MiB","pool":"b"}],)"
            R"(["1",{"cidr":"b","memory":"2MiB","on":false,"pool":"a"}]])");
  const auto twice = expand(*pipeline, at(*pipeline, "t.w"), after);
  ASSERT_FALSE(twice);
  EXPECT_EQ(twice.error().code, "pipeline.expansion");
}

TEST(Expand, AMappingGivesKeys) {
  Loading loading(kNetwork + "    - {name: w, for_each: '${t.net.outputs.m}', v: '${each.value}'}\n");
  auto pipeline = loading.load();
  ASSERT_TRUE(pipeline) << loading.errors;
  FixedOutputs outputs(*pipeline, {{"t.net", R"({"m": {"a b": 1, "${x}": "${t.nowhere.outputs.y}"}})"}});
  EXPECT_EQ(expanded(*pipeline, "t.w", outputs),
            "t.w[\"${x}\"] p-w----x--- ${x} {\"v\":\"${t.nowhere.outputs.y}\"}\n"
            "t.w[\"a b\"] p-w--a-b-- a b {\"v\":1}\n");
}

TEST(Expand, NothingIsFine) {
  for (const char* text : {R"({"l": null})", R"({"l": []})", R"({"l": {}})", "{}"}) {
    Loading loading(kNetwork +
                    "    - {name: w, for_each: '${t.net.outputs.l ?? null}'}\n"
                    "    - {name: all, ids: '${t.w[*].outputs.id}'}\n"
                    "    - {name: one, id: '${t.w[\"a\"].outputs.id}'}\n");
    auto pipeline = loading.load();
    ASSERT_TRUE(pipeline) << loading.errors;
    FixedOutputs outputs(*pipeline, {{"t.net", text}});
    EXPECT_EQ(expanded(*pipeline, "t.w", outputs), "") << text;
    EXPECT_EQ(value_of(*pipeline, "t.all", outputs), "{\"ids\":[]} ids<-");
    EXPECT_EQ(value_of(*pipeline, "t.one", outputs),
              "t.w[\"a\"].outputs is not there: its for_each is empty | give a default with ??");
  }
}

TEST(Expand, OneAfterAnother) {
  Loading loading(kNetwork + R"(    - {name: v, for_each: "${t.net.outputs.l}"}
    - {name: w, for_each: "${t.v[*].outputs.id}", first: '${t.v["a"].outputs.id}', own: "${each.value}"}
)");
  auto pipeline = loading.load();
  ASSERT_TRUE(pipeline) << loading.errors;
  EXPECT_EQ(graph_of(*pipeline), "t.net <-\nt.v <- t.net(succeeded)\nt.w <- t.v(succeeded)\n");
  FixedOutputs net(*pipeline, {{"t.net", R"({"l": ["a", "b"]})"}});
  EXPECT_EQ(expanded(*pipeline, "t.v", net), "t.v[\"a\"] p-v--a-- a {}\nt.v[\"b\"] p-v--b-- b {}\n");
  FixedOutputs ids(*pipeline, {{"t.v[\"a\"]", R"({"id": "x"})"}, {"t.v[\"b\"]", R"({"id": "y"})"}});
  EXPECT_EQ(expanded(*pipeline, "t.w", ids),
            "t.w[\"x\"] p-w--x-- x {\"first\":\"x\",\"own\":\"x\"}\n"
            "t.w[\"y\"] p-w--y-- y {\"first\":\"x\",\"own\":\"y\"}\n");
}

TEST(Expand, RefusesWhatTheOutputsDoNotAllow) {
  Loading loading(kNetwork +
                  "    - {name: w, for_each: '${t.net.outputs.l}', pool: '${each.value}'}\n"
                  "    - {name: u, stack: 'p-w--a-b--'}\n");
  auto pipeline = loading.load();
  ASSERT_TRUE(pipeline) << loading.errors;
  const auto refused = [&](const std::string& list) {
    FixedOutputs outputs(*pipeline, {{"t.net", R"({"l": )" + list + "}"}});
    std::string text = expanded(*pipeline, "t.w", outputs);
    const std::string prefix = loading.folder.string() + "/";
    for (size_t found; (found = text.find(prefix)) != std::string::npos;) text.erase(found, prefix.size());
    return text;
  };
  EXPECT_EQ(refused("5"),
            "p.yaml:5:27: t.w.for_each is 5, expected a list or a mapping [pipeline.type]\n"
            "  hint: write, for example, for_each: [a, b]");
  EXPECT_EQ(refused("[\"a\", \"a\"]"),
            "p.yaml:5:27: the item 'a' stands twice in t.w.for_each [pipeline.for_each]\n"
            "  hint: remove one of the two");
  EXPECT_EQ(refused("[[1]]"),
            "p.yaml:5:27: t.w.for_each[0] is a list, expected text, a number, a boolean or a mapping "
            "[pipeline.type]");
  EXPECT_EQ(refused("[\"a\", \"c\"]"),
            "p.yaml:5:55: t.w.pool is 'c', expected a pool of core.pools [pipeline.unknown_pool]\n"
            "  hint: did you mean 'a'?");
  EXPECT_EQ(refused("{\"a b\": \"a\"}"),
            "p.yaml:5:7: t.w[\"a b\"] would have the stack 'p-w--a-b--', as t.u at p.yaml:6:7 "
            "[pipeline.stack_conflict]\n"
            "  hint: give the instances of this for_each stacks of their own with stack:");
  EXPECT_EQ(
      refused("{\"a b\": \"a\", \"a b\": \"b\", \"x\": \"b\", \"" + std::string(100, 'k') + "\": \"a\"}")
          .substr(0, 20),
      "p.yaml:5:14: the sta");
  FixedOutputs nothing(*pipeline, {});
  EXPECT_NE(expanded(*pipeline, "t.w", nothing).find("t.net.outputs is not there"), std::string::npos);
  EXPECT_EQ(refused("[\"a\", \"b\"]"), "t.w[\"a\"] p-w--a-- a {}\nt.w[\"b\"] p-w--b-- b {}\n");
}

TEST(Expand, IsRepeatedFromWhatWasKept) {
  Loading loading(kNetwork + "    - {name: w, for_each: '${t.net.outputs.l}', v: '${each.value}'}\n");
  auto pipeline = loading.load();
  ASSERT_TRUE(pipeline) << loading.errors;
  const uint32_t group = at(*pipeline, "t.w");
  for (const char* text : {"5", "null", "{}", "[1]", "[[1, 2]]", R"([["a"]])", R"([["a", 1], ["a", 2]])"}) {
    const auto refused = expand_again(*pipeline, group, Json::parse(text));
    ASSERT_FALSE(refused) << text;
    EXPECT_EQ(refused.error().code, "pipeline.expansion");
    EXPECT_EQ(pipeline->instances.size(), 2U);
  }
  EXPECT_EQ(expand_again(*pipeline, group, Json::parse(R"([["b", {"x": 1}], ["a", 2]])")).value(), 2U);
  EXPECT_EQ(pipeline->address(2), "t.w[\"b\"]");
  FixedOutputs outputs(*pipeline, {});
  EXPECT_EQ(value_of(*pipeline, "t.w[\"b\"]", outputs), R"({"v":{"x":1}})");
  EXPECT_EQ(value_of(*pipeline, "t.w[\"a\"]", outputs), R"({"v":2})");
  EXPECT_EQ(expansion(*pipeline, 2, 2).dump(), R"([["b",{"x":1}],["a",2]])");
}

TEST(Expand, IsRefusedWhereItCannotBe) {
  const auto refused = [](const std::string& item) { return errors_of(kNetwork + "    - " + item + "\n"); };
  EXPECT_EQ(refused("{name: 'w-${each.key}', for_each: '${t.net.outputs.l}'}"),
            "p.yaml:5:14: the name of t.w-${each.key} holds each, but what its for_each gives is known only "
            "when it runs [pipeline.for_each]\n"
            "  hint: give it a plain name: its instances are then NAME[\"KEY\"]\n");
  EXPECT_EQ(refused("{name: w, for_each: '${t.net.outputs.l}', depends_on: ['t.${each.key}']}"),
            "p.yaml:5:61: t.w.depends_on holds each, but what its for_each gives is known only when it runs "
            "[pipeline.for_each]\n"
            "  hint: use var or env here: each is known only when the upstream has run\n");
  EXPECT_EQ(refused("{name: w, for_each: '${t.net.outputs.l}', finally: '${each.value}'}"),
            "p.yaml:5:58: t.w.finally holds each, but what its for_each gives is known only when it runs "
            "[pipeline.for_each]\n"
            "  hint: use var or env here: each is known only when the upstream has run\n");
  EXPECT_EQ(refused("{name: w, for_each: '${t.net.outputs.l}', stack: same}"),
            "p.yaml:5:56: all instances of t.w would have the same stack [pipeline.stack_conflict]\n"
            "  hint: write ${each.key} into it\n");
  EXPECT_EQ(refused("{name: w, for_each: {folders: '${t.net.outputs.l}'}}"),
            "p.yaml:5:37: found outputs in t.w.for_each.folders, which must be known before anything runs "
            "[expression.not_static]\n"
            "  hint: use var or env here, or let an instance list the folders and give them as an output\n");
  EXPECT_EQ(refused("{name: w, for_each: ['${t.net.outputs.l}', '${secret.TOKEN}']}"),
            "p.yaml:5:27: found a secret in t.w.for_each, expected it in an extension's configuration only "
            "[expression.secret]\n"
            "  hint: what is written here is shown to people and kept in files\n");
  EXPECT_EQ(refused("{name: w, for_each: '${t.net.outputs.l ?? var.lst}'}"), "no error");
  EXPECT_EQ(refused("{name: w, for_each: '${t.w[*].outputs.l}'}"),
            "p.yaml:5:30: t.w waits for itself [graph.self]\n  hint: remove the dependency\n");
  EXPECT_EQ(
      refused("{name: w, for_each: '${t.net.outputs.l}', v: '${var.nothing}', timeout: '${each.value +}'}"),
      "p.yaml:5:93: expected an operator or '}', found '+' [expression.syntax]\n  hint: a literal "
      "'${' is written $${\n");
  EXPECT_EQ(refused("{name: w, for_each: '${t.net.outputs.l}'}\n    - {name: x, v: '${t.w.outputs.a}'}"),
            "p.yaml:6:23: t.w is a for_each, expected one of its instances [graph.needs_key]\n"
            "  hint: write t.w[*] for all of them, or one as t.w[\"KEY\"]\n");
  EXPECT_EQ(refused("{name: w, for_each: '${t.net.outputs.l}'}\n    - {name: w}"),
            "p.yaml:6:14: the name 'w' stands in t already, at p.yaml:5:7 [pipeline.duplicate_name]\n"
            "  hint: rename one of the two\n");
}

}  // namespace
}  // namespace pf::pipeline
