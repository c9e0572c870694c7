#include <gtest/gtest.h>

#include "loading.h"

namespace pf::pipeline {
namespace {

std::string graph(const std::string& text) {
  Loading loading(text);
  auto pipeline = loading.load();
  return pipeline ? graph_of(*pipeline) : loading.errors;
}

TEST(Graph, ComesFromReferencesAndDependsOn) {
  EXPECT_EQ(graph(R"(p:
  t:
    - {name: a}
    - {name: b, x: "${t.a.outputs.v}", y: ["<${t.a.outputs.w}>", "${u.z.outputs.v ?? 1}"]}
    - {name: c, depends_on: [t.a, t.b]}
    - {name: d, depends_on: [{name: t.a, when: failed}, {name: t.b, when: done}, {name: t.c, when: succeeded}]}
    - {name: e, when: "${t.d.outputs.ok}", depends_on: t.a}
    - {name: f, depends_on: {name: t.e, when: done}}
    - {name: g.h, depends_on: [t.a, {name: t.a, when: done}, t.a]}
    - {name: k, depends_on: [t.g.h, {name: t.a, when: done}], x: "${t.g.h.outputs.v} ${t.a.outputs.v}"}
  u:
    - {name: z}
)"),
            "t.a <-\n"
            "t.b <- t.a(succeeded) u.z(succeeded)\n"
            "t.c <- t.a(succeeded) t.b(succeeded)\n"
            "t.d <- t.a(failed) t.b(done) t.c(succeeded)\n"
            "t.e <- t.a(succeeded) t.d(succeeded)\n"
            "t.f <- t.e(done)\n"
            "t.g.h <- t.a(done)\n"
            "t.k <- t.a(succeeded) t.g.h(succeeded)\n"
            "u.z <-\n");
}

TEST(Graph, KnowsTheInstancesOfAForEach) {
  EXPECT_EQ(graph(R"(p:
  t:
    - {name: w, for_each: [a, b c]}
    - {name: none, for_each: []}
    - {name: all, depends_on: [t.w, t.none]}
    - {name: star, depends_on: ['t.w[*]'], x: "${t.none[*].outputs.v}"}
    - {name: one, depends_on: ['t.w["b c"]']}
    - {name: ref, x: "${t.w[\"a\"].outputs.v}"}
    - {name: list, x: "${t.w[*].outputs.v}"}
    - {name: chain, for_each: [a, b c], depends_on: ['t.w["${each.key}"]']}
)"),
            "t.w[\"a\"] <-\n"
            "t.w[\"b c\"] <-\n"
            "t.all <- t.w[\"a\"](succeeded) t.w[\"b c\"](succeeded)\n"
            "t.star <- t.w[\"a\"](succeeded) t.w[\"b c\"](succeeded)\n"
            "t.one <- t.w[\"b c\"](succeeded)\n"
            "t.ref <- t.w[\"a\"](succeeded)\n"
            "t.list <- t.w[\"a\"](succeeded) t.w[\"b c\"](succeeded)\n"
            "t.chain[\"a\"] <- t.w[\"a\"](succeeded)\n"
            "t.chain[\"b c\"] <- t.w[\"b c\"](succeeded)\n");
}

TEST(Graph, KeepsOrder) {
  const std::string sections =
      "  t: [{name: a}, {name: b, depends_on: [{name: t.a, when: failed}]}, {name: c}]\n  u: [{name: d}, "
      "{name: e}]\n";
  EXPECT_EQ(graph("p:\n  core: {order: sequential}\n" + sections),
            "t.a <-\nt.b <- t.a(failed)\nt.c <- t.b(order)\nu.d <- t.c(order)\nu.e <- u.d(order)\n");
  EXPECT_EQ(graph("p:\n  core: {order: {u: sequential, t: parallel}}\n" + sections),
            "t.a <-\nt.b <- t.a(failed)\nt.c <-\nu.d <-\nu.e <- u.d(order)\n");
}

TEST(Graph, RefusesUnknownInstances) {
  const std::string head =
      "p:\n  t:\n    - {name: first}\n    - {name: w, for_each: [apple, pear]}\n    - {name: x, ";
  EXPECT_EQ(graph(head + "depends_on: [t.frist]}\n"),
            "p.yaml:5:30: there is no instance 't.frist' [graph.unknown_instance]\n  hint: did you mean "
            "'first'?\n");
  EXPECT_EQ(graph(head + "v: 'a ${tt.first.outputs.x}'}\n"),
            "p.yaml:5:25: there is no section 'tt' [graph.unknown_instance]\n  hint: did you mean 't'?\n");
  EXPECT_EQ(graph(head + "v: '${t.nothing-like-it.outputs.x}'}\n"),
            "p.yaml:5:23: there is no instance 't.nothing-like-it' [graph.unknown_instance]\n"
            "  hint: the instances of t are: first, w[\"apple\"], w[\"pear\"], x\n");
  EXPECT_EQ(graph(head + "v: '${t.w.outputs.x}'}\n"),
            "p.yaml:5:23: t.w is a for_each of 2 instances, expected one of them [graph.needs_key]\n"
            "  hint: write t.w[*] for all of them, or one as t.w[\"apple\"]\n");
  EXPECT_EQ(graph(head + "v: '${t.w[\"aple\"].outputs.x}'}\n"),
            "p.yaml:5:23: t.w has no instance with the key 'aple' [graph.unknown_instance]\n  hint: did you "
            "mean 'apple'?\n");
  EXPECT_EQ(graph(head + "v: '${t.first[*].outputs.x}'}\n"),
            "p.yaml:5:23: t.first has no for_each, so it has no instances with keys "
            "[graph.unknown_instance]\n  hint: write t.first\n");
  EXPECT_EQ(graph(head + "depends_on: [first]}\n"),
            "p.yaml:5:30: t.x.depends_on has the text 'first', expected TYPE.NAME, or {name: TYPE.NAME, "
            "when: succeeded|failed|done} [pipeline.type]\n");
  EXPECT_EQ(graph(head + "depends_on: ['t.w[apple]']}\n"),
            "p.yaml:5:30: t.x.depends_on has the text 't.w[apple]', expected TYPE.NAME[\"key\"] or "
            "TYPE.NAME[*] [pipeline.type]\n");
  EXPECT_EQ(graph(head + "depends_on: [{name: t.first, when: never}]}\n"),
            "p.yaml:5:52: t.x.depends_on.when is the text 'never', expected succeeded, failed or done "
            "[pipeline.type]\n");
  EXPECT_EQ(graph(head + "depends_on: [{name: t.first, wen: done}]}\n"),
            "p.yaml:5:46: 'wen' is no key of t.x.depends_on [pipeline.unknown_key]\n  hint: did you mean "
            "'when'?\n");
  EXPECT_EQ(graph(head + "depends_on: [{when: done}]}\n"),
            "p.yaml:5:30: t.x.depends_on has an item without a name, expected TYPE.NAME, or {name: "
            "TYPE.NAME, when: succeeded|failed|done} [pipeline.type]\n");
  EXPECT_EQ(
      graph(head + "depends_on: ['${t.first.outputs.x}']}\n"),
      "p.yaml:5:33: found outputs in t.x.depends_on, which must be known before anything runs "
      "[expression.not_static]\n"
      "  hint: use var, env or each here; outputs can stand in an extension's configuration and in 'when'\n");
}

TEST(Graph, RefusesWhatCannotBeMet) {
  EXPECT_EQ(graph("p:\n  t:\n    - {name: a, depends_on: [t.a]}\n"),
            "p.yaml:3:30: t.a waits for itself [graph.self]\n  hint: remove the dependency\n");
  EXPECT_EQ(graph("p:\n  t:\n    - {name: w, for_each: [a, b], v: '${t.w[*].outputs.x}'}\n"),
            "p.yaml:3:41: t.w[\"a\"] waits for itself [graph.self]\n  hint: remove the dependency\n");
  EXPECT_EQ(graph("p:\n  t:\n    - name: a\n    - {name: b, depends_on: [{name: t.a, when: failed}], v: "
                  "'${t.a.outputs.x}'}\n"),
            "p.yaml:4:37: t.b waits for t.a to fail, and uses its outputs, which then are not there "
            "[graph.conflict]\n"
            "  hint: remove one of the two\n");
  EXPECT_EQ(
      graph("p:\n  t:\n    - name: a\n    - {name: b, depends_on: [{name: t.a, when: failed}, {name: t.a, "
            "when: done}]}\n"),
      "p.yaml:4:64: t.b waits for two different results of t.a [graph.conflict]\n  hint: keep one of them\n");
}

TEST(Graph, RefusesCycles) {
  EXPECT_EQ(graph("p:\n  a:\n    - name: x\n      v: 1-${b.y.outputs.k}\n  b:\n    - name: y\n      "
                  "depends_on: [a.x]\n    - name: z\n      depends_on: [a.x, b.y]\n"),
            "p.yaml:4:14: instances wait for each other: a.x -> b.y -> a.x [graph.cycle]\n  hint: remove one "
            "of these dependencies\n");
  EXPECT_EQ(
      graph("p:\n  core: {order: sequential}\n  a:\n    - name: x\n      depends_on: [a.y]\n    - name: y\n"),
      "p.yaml:5:20: instances wait for each other: a.x -> a.y -> a.x [graph.cycle]\n"
      "  hint: remove one of these dependencies; some come from order: sequential\n");
}

std::string chain(int count, bool closed) {
  std::string text = "p:\n  t:\n";
  for (int i = 0; i < count; ++i) {
    text += "    - {name: n" + std::to_string(i);
    if (i > 0 || closed) text += ", depends_on: [t.n" + std::to_string(i > 0 ? i - 1 : count - 1) + "]";
    text += "}\n";
  }
  return text;
}

TEST(Graph, WalksLongChainsWithoutRecursion) {
  Loading loading(chain(100'000, false));
  auto pipeline = loading.load();
  ASSERT_TRUE(pipeline) << loading.errors;
  EXPECT_EQ(pipeline->upstream(99'999)[0].upstream, 99'998U);
  EXPECT_EQ(pipeline->downstream(99'999).size(), 0U);
  EXPECT_EQ(graph(chain(100'000, true)),
            "p.yaml:3:31: instances wait for each other: t.n0 -> t.n99999 -> t.n99998 -> t.n99997 -> "
            "t.n99996 -> t.n99995 -> (99988 more) -> "
            "t.n6 -> t.n5 -> t.n4 -> t.n3 -> t.n2 -> t.n1 -> t.n0 [graph.cycle]\n  hint: remove one of these "
            "dependencies\n");
}

TEST(Graph, BoundsFans) {
  std::string keys = "[0";
  for (int i = 1; i < 3000; ++i) keys += ", " + std::to_string(i);
  keys += "]";
  EXPECT_EQ(graph("p:\n  t:\n    - {name: a, for_each: " + keys +
                  "}\n    - {name: b, depends_on: [t.a], for_each: " + keys + "}\n"),
            "p.yaml:4:7: there are more than 5000000 dependencies [graph.too_many]\n  hint: let an instance "
            "in between wait for the many\n");
}

}  // namespace
}  // namespace pf::pipeline
