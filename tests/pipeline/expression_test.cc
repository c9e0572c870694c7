#include "pipeline/expression.h"

#include <gtest/gtest.h>

#include "loading.h"

namespace pf::pipeline {
namespace {

using namespace std::string_literals;

/// The value of `x: VALUE` in an instance that may use variables and the outputs of `t.up` and `t.many`.
std::string value_of(
    const std::string& value,
    const std::string& outputs =
        R"({"n": 3, "f": 1.5, "s": "txt", "l": [1, {"k": "v"}], "m": {"a b": 1, "z": null}})") {
  Loading loading(
      "p:\n"
      "  core:\n"
      "    variables: {region: us, count: 2, rate: 1.0, flag: true, off: false, nothing: null, list: [1, "
      "two], map: {a: {b: deep}}}\n"
      "  t:\n"
      "    - {name: up}\n"
      "    - {name: many, for_each: [a, 'b c']}\n"
      "    - name: x\n"
      "      x: " +
      value + "\n");
  loading.environment = {{"HOME", "/home/me"}, {"EMPTY", ""}};
  auto pipeline = loading.load();
  if (!pipeline) return loading.errors;
  FixedOutputs given(
      *pipeline, {{"t.up", outputs}, {"t.many[\"a\"]", R"({"v": 1})"}, {"t.many[\"b c\"]", R"({"v": 2})"}});
  Document scratch;
  auto evaluated = evaluate(*pipeline, static_cast<uint32_t>(pipeline->find("t.x")), given, scratch);
  if (!evaluated) {
    std::string text = evaluated.error().text() + "\n";
    return text.substr(text.find("p.yaml"));
  }
  return to_json(*evaluated->config.find("x")).dump();
}

TEST(Expression, KeepsTheTypeOfAWholeValue) {
  EXPECT_EQ(value_of("${var.count}"), "2");
  EXPECT_EQ(value_of("${var.rate}"), "1.0");
  EXPECT_EQ(value_of("'${ var.flag }'"), "true");
  EXPECT_EQ(value_of("${var.nothing}"), "null");
  EXPECT_EQ(value_of("${var.list}"), R"([1,"two"])");
  EXPECT_EQ(value_of("${var.map}"), R"({"a":{"b":"deep"}})");
  EXPECT_EQ(value_of("${var.map.a.b}"), R"("deep")");
  EXPECT_EQ(value_of("'${var.map[\"a\"][''b'']}'"), R"("deep")");
  EXPECT_EQ(value_of("'${var.list[1]}'"), R"("two")");
  EXPECT_EQ(value_of("${env.HOME}"), R"("/home/me")");
  EXPECT_EQ(value_of("${env.EMPTY}"), R"("")");
}

TEST(Expression, BuildsTexts) {
  EXPECT_EQ(value_of("a ${var.count}-${var.rate}-${var.flag}-${var.region} z"), R"("a 2-1.0-true-us z")");
  EXPECT_EQ(value_of("$${var.count} and $$${x} and $5 and ${var.count}"),
            R"("${var.count} and $${x} and $5 and 2")");
  EXPECT_EQ(value_of("$${only}"), R"("${only}")");
  EXPECT_EQ(value_of("{k: ['$${a}', \"$\", '${var.count}']}"), R"({"k":["${a}","$",2]})");
  EXPECT_EQ(
      value_of("a ${var.list}"),
      "p.yaml:8:14: found a list inside a text, expected text, a number or a boolean [expression.type]\n"
      "  hint: an expression that is the whole value keeps its type\n");
  EXPECT_EQ(
      value_of("a ${var.nothing}"),
      "p.yaml:8:14: found nothing inside a text, expected text, a number or a boolean [expression.type]\n"
      "  hint: give a default with ?? ''\n");
}

TEST(Expression, ReadsOutputs) {
  EXPECT_EQ(value_of("${t.up.outputs.n}"), "3");
  EXPECT_EQ(value_of("${t.up.outputs.f}"), "1.5");
  EXPECT_EQ(value_of("${t.up.outputs.l[1].k}"), R"("v")");
  EXPECT_EQ(value_of("'${t.up.outputs.m[\"a b\"]}'"), "1");
  EXPECT_EQ(value_of("<${t.up.outputs.s}>"), R"("<txt>")");
  EXPECT_EQ(value_of("${t.up.outputs}", R"({"a": 1, "b": [true]})"), R"({"a":1,"b":[true]})");
  EXPECT_EQ(value_of("'${t.many[\"b c\"].outputs.v}'"), "2");
  EXPECT_EQ(value_of("'${t.many[*].outputs.v}'"), "[1,2]");
  EXPECT_EQ(value_of("'${t.many[*].outputs}'"), R"([{"v":1},{"v":2}])");
}

TEST(Expression, NamesWhatOutputsLack) {
  EXPECT_EQ(value_of("${t.up.outputs.nn}"),
            "p.yaml:8:12: t.up.outputs has no key 'nn'; it has: f, l, m, n, s [expression.missing]\n"
            "  hint: did you mean 'n'?\n");
  EXPECT_EQ(value_of("a-${t.up.outputs.m.missing}"),
            "p.yaml:8:14: t.up.outputs.m has no key 'missing'; it has: a b, z [expression.missing]\n"
            "  hint: give a default with ??\n");
  EXPECT_EQ(value_of("'${t.up.outputs.l[7]}'"),
            "p.yaml:8:13: t.up.outputs.l has 2 items, so there is no item 7 [expression.missing]\n"
            "  hint: the first item is [0]\n");
  EXPECT_EQ(value_of("${t.up.outputs.s.x}"),
            "p.yaml:8:12: t.up.outputs.s is text, so it has no key 'x' [expression.missing]\n"
            "  hint: give a default with ??\n");
  EXPECT_EQ(value_of("${t.up.outputs.a}", "{}"),
            "p.yaml:8:12: t.up.outputs has no key 'a'; it is empty [expression.missing]\n"
            "  hint: give a default with ??\n");
}

TEST(Expression, GivesDefaults) {
  EXPECT_EQ(value_of("${t.up.outputs.nn ?? 'none'}"), R"("none")");
  EXPECT_EQ(value_of("${t.up.outputs.m.z ?? 7}"), "7");
  EXPECT_EQ(value_of("${env.NOT_SET ?? var.missing ?? -1.5}"), "-1.5");
  EXPECT_EQ(value_of("${var.nothing ?? null}"), "null");
  EXPECT_EQ(value_of("${var.off ?? true}"), "false");
  EXPECT_EQ(value_of("${env.NOT_SET ?? ''}"), R"("")");
  EXPECT_EQ(value_of("${env.NOT_SET ?? 'it''s'}"), R"("it's")");
  EXPECT_EQ(value_of("${env.NOT_SET ?? env.ALSO_NOT}"),
            "p.yaml:8:27: the environment variable ALSO_NOT is not set [expression.environment]\n"
            "  hint: set it, or give a default with ?? 'text'\n");
}

TEST(Expression, ComparesAndCombines) {
  EXPECT_EQ(value_of("${var.region == 'us'}"), "true");
  EXPECT_EQ(value_of("${var.region != 'us'}"), "false");
  EXPECT_EQ(value_of("${var.count == 2.0 && var.count < 3 && var.count >= 2}"), "true");
  EXPECT_EQ(value_of("${'a' < 'b' && !('b' <= 'a')}"), "true");
  EXPECT_EQ(value_of("${var.off || var.flag && !var.off}"), "true");
  EXPECT_EQ(value_of("${(var.flag || var.flag) && var.off}"), "false");
  EXPECT_EQ(value_of("${env.NOT_SET ?? 'us' == var.region}"), "true");
  EXPECT_EQ(value_of("${var.nothing == null && var.count != null}"), "true");
  EXPECT_EQ(value_of("${var.list == var.list && var.map != var.nothing}"), "true");
  EXPECT_EQ(value_of("${var.flag || t.up.outputs.missing}"), "true");
  EXPECT_EQ(value_of("${var.count == '2'}"),
            "p.yaml:8:22: cannot compare an integer with text [expression.type]\n"
            "  hint: text stands in single quotes, numbers without them\n");
  EXPECT_EQ(value_of("${var.flag < true}"),
            "p.yaml:8:21: cannot compare a boolean with a boolean [expression.type]\n"
            "  hint: only numbers, and texts, have an order\n");
  EXPECT_EQ(value_of("${!var.region}"),
            "p.yaml:8:13: found text beside '!', expected a boolean [expression.type]\n"
            "  hint: compare the value, for example with == 'text'\n");
  EXPECT_EQ(value_of("${var.flag && var.nothing}"),
            "p.yaml:8:24: found nothing beside '&&', expected a boolean [expression.type]\n"
            "  hint: give a default with ?? false\n");
}

TEST(Expression, RefusesWrongSyntax) {
  EXPECT_EQ(value_of("${var.count"),
            "p.yaml:8:21: expected an operator or '}', found the end of the text [expression.syntax]\n"
            "  hint: a literal '${' is written $${\n");
  EXPECT_EQ(value_of("${}"),
            "p.yaml:8:12: found an expression with nothing in it [expression.syntax]\n"
            "  hint: a literal '${' is written $${\n");
  EXPECT_EQ(value_of("ab ${1 +}"),
            "p.yaml:8:17: expected an operator or '}', found '+' [expression.syntax]\n"
            "  hint: a literal '${' is written $${\n");
  EXPECT_EQ(value_of("${var.a = 'b'}"),
            "p.yaml:8:18: found '=', expected '==' [expression.syntax]\n  hint: compare with ==\n");
  EXPECT_EQ(value_of("${1 < 2 < 3}"),
            "p.yaml:8:18: found a second comparison, expected '&&', '||' or '}' [expression.syntax]\n"
            "  hint: put one of them in parentheses\n");
  EXPECT_EQ(value_of("${(1}"),
            "p.yaml:8:14: expected an operator or ')', found '}' [expression.syntax]\n"
            "  hint: a literal '${' is written $${\n");
  EXPECT_EQ(
      value_of("${'abc}"),
      "p.yaml:8:12: the text that opens here does not end [expression.syntax]\n  hint: close the quote\n");
  EXPECT_EQ(
      value_of("${var}"),
      "p.yaml:8:15: expected '.' and the name of a variable behind 'var', found '}' [expression.syntax]\n"
      "  hint: a literal '${' is written $${\n");
  EXPECT_EQ(value_of("'${var.list[x]}'"),
            "p.yaml:8:22: expected an index or a key in quotes behind '[', found 'x' [expression.syntax]\n"
            "  hint: write [0] or [\"key\"]\n");
  EXPECT_EQ(value_of("${12ab}"),
            "p.yaml:8:12: '12ab' is no number [expression.syntax]\n  hint: put text in single quotes\n");
  EXPECT_EQ(
      value_of("${foo}"),
      "p.yaml:8:12: 'foo' is not known, expected var.NAME, env.NAME, secret.NAME, each.key, each.value or "
      "TYPE.NAME.outputs "
      "[expression.unknown_reference]\n  hint: put text in single quotes\n");
  EXPECT_EQ(value_of("${vars.region}"),
            "p.yaml:8:12: 'vars.region' names no outputs, expected TYPE.NAME.outputs and a path "
            "[expression.unknown_reference]\n  hint: did you mean 'var'?\n");
  EXPECT_EQ(value_of("${t.up.output.n}"),
            "p.yaml:8:12: 't.up.output.n' names no outputs, expected TYPE.NAME.outputs and a path "
            "[expression.unknown_reference]\n  hint: did you mean 'outputs'?\n");
  EXPECT_EQ(
      value_of("${each.kye}"),
      "p.yaml:8:12: 'each.kye' is not known, expected each.key or each.value [expression.unknown_reference]\n"
      "  hint: did you mean 'key'?\n");
  EXPECT_EQ(value_of("'${t.many[0].outputs.v}'"),
            "p.yaml:8:19: an instance of a for_each is named by its key, as text [expression.syntax]\n"
            "  hint: write [\"0\"]\n");
}

TEST(Expression, RefusesWhatCannotBeKnown) {
  EXPECT_EQ(value_of("${var.regoin}"),
            "p.yaml:8:12: there is no variable 'regoin' [expression.unknown_variable]\n  hint: did you mean "
            "'region'?\n");
  EXPECT_EQ(value_of("${var.zzz}"),
            "p.yaml:8:12: there is no variable 'zzz' [expression.unknown_variable]\n"
            "  hint: declare it in core.variables, or give it with --var\n");
  EXPECT_EQ(value_of("${var.regoin == t.up.outputs.n}"),
            "p.yaml:8:12: there is no variable 'regoin' [expression.unknown_variable]\n  hint: did you mean "
            "'region'?\n");
  EXPECT_EQ(
      value_of("${var.map.c}"),
      "p.yaml:8:12: var.map has no key 'c'; it has: a [expression.missing]\n  hint: did you mean 'a'?\n");
  EXPECT_EQ(value_of("${env.NOT_SET}"),
            "p.yaml:8:12: the environment variable NOT_SET is not set [expression.environment]\n"
            "  hint: set it, or give a default with ?? 'text'\n");
  EXPECT_EQ(value_of("${env.PANGEO_FORGE_SECRET_TOKEN ?? 'x'}"),
            "p.yaml:8:12: 'env.PANGEO_FORGE_SECRET_TOKEN' is a secret, which is not read as plain text "
            "[expression.secret]\n"
            "  hint: write secret.TOKEN\n");
  EXPECT_EQ(value_of("x ${secret.TOKEN}"), "\"x the token\"");
  EXPECT_EQ(value_of("${secret.OTHER ?? 'none'}"), "\"none\"");
  EXPECT_EQ(value_of("${secret.OTHER}"),
            "p.yaml:8:12: there is no secret OTHER [secret.missing]\n  hint: set it\n");
  EXPECT_EQ(value_of("${secret.TOKEN.x}"),
            "p.yaml:8:24: a secret is text and has no parts [expression.syntax]\n  hint: a literal '${' is "
            "written $${\n");
  EXPECT_EQ(value_of("${each.key}"),
            "p.yaml:8:12: found 'each' where there is no for_each [expression.each]\n"
            "  hint: add for_each to the instance, or use var\n");
  EXPECT_EQ(value_of("{'${var.count}': 1}"),
            "p.yaml:8:11: found an expression in a key, expected it in a value only [expression.in_key]\n"
            "  hint: use a list of {name, value}, or write $${ for a literal '${'\n");
}

TEST(Expression, BoundsNesting) {
  const auto nested = [](const std::string& open, const std::string& close, int times) {
    std::string text = "'${";
    for (int i = 0; i < times; ++i) text += open;
    text += "true";
    for (int i = 0; i < times; ++i) text += close;
    return text + "}'";
  };
  EXPECT_EQ(value_of(nested("(", ")", 64)), "true");
  EXPECT_EQ(value_of(nested("!", "", 64)), "true");
  const std::string tail =
      ": the expression is nested deeper than 64 levels [expression.depth]\n"
      "  hint: split it into variables\n";
  EXPECT_EQ(value_of(nested("(", ")", 65)), "p.yaml:8:77" + tail);
  EXPECT_EQ(value_of("'${" + std::string(10'000, '(') + "}'"), "p.yaml:8:77" + tail);
  EXPECT_EQ(value_of("'${" + std::string(10'000, '!') + "}'"), "p.yaml:8:77" + tail);
  // Chains of one operator are no nesting.
  std::string chain = "'${var.off";
  for (int i = 0; i < 10'000; ++i) chain += " || var.off";
  EXPECT_EQ(value_of(chain + " || var.flag}'"), "true");
  chain = "'${var.nothing";
  for (int i = 0; i < 10'000; ++i) chain += " ?? var.nothing";
  EXPECT_EQ(value_of(chain + " ?? 1}'"), "1");
}

TEST(Expression, PlacesErrorsInsideTexts) {
  EXPECT_EQ(value_of("\"\xC3\xA9\xC3\xA9 ${var.zz ?? 1} ${var.zzz}\""),
            "p.yaml:8:31: there is no variable 'zzz' [expression.unknown_variable]\n"
            "  hint: declare it in core.variables, or give it with --var\n");
  // Where the text does not stand in the file as it is, the place is where it begins.
  EXPECT_EQ(value_of("|\n        ${var.zzz}\n"),
            "p.yaml:8:10: there is no variable 'zzz' [expression.unknown_variable]\n"
            "  hint: declare it in core.variables, or give it with --var\n");
}

std::string variable_errors(const std::string& variables) {
  return errors_of("p:\n  core:\n    variables:\n" + variables + "  t: []\n");
}

TEST(Variables, ReferToEachOther) {
  Loading loading(
      "p:\n  core:\n    variables:\n      c: ['${var.b}', '${env.HOST}']\n      b: <${var.a}>\n      a: 1\n  "
      "t:\n    - {name: x, v: '${var.c}'}\n");
  loading.environment = {{"HOST", "h"}};
  auto pipeline = loading.load();
  ASSERT_TRUE(pipeline) << loading.errors;
  Document scratch;
  Errors errors;
  EXPECT_EQ(to_json(evaluate_static(*pipeline, 0, scratch, errors)).dump(), R"({"v":["<1>","h"]})");
}

TEST(Variables, ComeFromTheCommandLine) {
  Loading loading(
      "p:\n  core:\n    variables: {a: 1, b: '${var.a}', c: '${env.NOT_SET}'}\n  t:\n    - {name: x, v: "
      "['${var.a}', '${var.b}', '${var.c}', '${var.d}']}\n");
  loading.options.variables = {{"a", "{k: [true]}"}, {"c", "'2'"}, {"d", "~"}};
  auto pipeline = loading.load();
  ASSERT_TRUE(pipeline) << loading.errors;
  Document scratch;
  Errors errors;
  EXPECT_EQ(to_json(evaluate_static(*pipeline, 0, scratch, errors)).dump(),
            R"({"v":[{"k":[true]},{"k":[true]},"2",null]})");

  loading.options.variables = {{"a", "[1"}, {"c", "1"}, {"d", "1"}};
  EXPECT_FALSE(loading.load());
  EXPECT_EQ(
      loading.errors,
      "--var a:1:1: the bracket '[' that opens here does not end [yaml.syntax]\n  hint: close it with ']'\n");
  loading.options.variables = {{"c", "1"}, {"d", "1"}, {"aa", "1"}, {"2", "x"}};
  EXPECT_FALSE(loading.load());
  EXPECT_EQ(
      loading.errors,
      "--var 2:1:1: '2' is no name of a variable, expected letters, digits, '_' and '-' [pipeline.variable]\n"
      "  hint: write --var NAME=VALUE\n");
  loading.options.variables = {{"c", "1"}, {"d", "1"}, {"aa", "1"}};
  EXPECT_FALSE(loading.load());
  EXPECT_EQ(loading.errors,
            "--var aa:1:1: nothing in the pipeline uses the variable 'aa' [pipeline.variable]\n  hint: did "
            "you mean 'a'?\n");
  loading.options.variables = {{"c", "1"}, {"d", "${var.e}"}};
  EXPECT_FALSE(loading.load());
  EXPECT_EQ(
      loading.errors,
      "--var d:1:3: there is no variable 'e' [expression.unknown_variable]\n  hint: did you mean 'c'?\n");
}

TEST(Variables, MayNotGoInCircles) {
  EXPECT_EQ(
      variable_errors("      a: '${var.b}'\n      b: x${var.c}\n      c: ['${var.a}']\n"),
      "p.yaml:6:10: variables refer to each other: var.a -> var.b -> var.c -> var.a [expression.cycle]\n"
      "  hint: give one of them a value of its own\n");
  EXPECT_EQ(variable_errors("      a: ${var.a}\n      b: ${var.a}\n"),
            "p.yaml:4:10: variables refer to each other: var.a -> var.a [expression.cycle]\n"
            "  hint: give one of them a value of its own\n");
  EXPECT_EQ(
      variable_errors("      a: ${t.x.outputs.y}\n"),
      "p.yaml:4:12: found outputs in core.variables.a, which must be known before anything runs "
      "[expression.not_static]\n"
      "  hint: use var, env or each here; outputs can stand in an extension's configuration and in 'when'\n");
  EXPECT_EQ(variable_errors("      a b: 1\n"),
            "p.yaml:4:7: 'a b' is no name of a variable, expected letters, digits, '_' and '-', beginning "
            "with a letter "
            "[pipeline.variable]\n  hint: rename it\n");
}

TEST(Variables, MayFormLongChains) {
  std::string text = "      v0: 1\n";
  for (int i = 1; i < 20'000; ++i)
    text = "      v" + std::to_string(i) + ": ${var.v" + std::to_string(i - 1) + "}\n" + text;
  Loading loading("p:\n  core:\n    variables:\n" + text + "  t:\n    - {name: x, v: '${var.v19999}'}\n");
  auto pipeline = loading.load();
  ASSERT_TRUE(pipeline) << loading.errors;
}

TEST(Variables, MayNotMultiply) {
  std::string text = "      v0: [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    text += "      v" + std::to_string(i) + ": [";
    for (int k = 0; k < 10; ++k) text += (k > 0 ? ", '${var.v" : "'${var.v") + std::to_string(i - 1) + "}'";
    text += "]\n";
  }
  EXPECT_EQ(variable_errors(text).substr(0, 75),
            "p.yaml:10:39: with this value there are too many values [expression.too_big");
}

TEST(Evaluate, LeavesWhatIsUnknownBeforeTheRun) {
  Loading loading(
      "p:\n  core: {variables: {v: 1}}\n  t:\n    - {name: a}\n    - name: b\n      file: "
      "${t.a.outputs.path}\n"
      "      values: {vpc: 'x-${t.a.outputs.id}', known: '${var.v}', lit: '$${x}'}\n      list: [1, "
      "'${t.a.outputs.path ?? var.v}']\n");
  auto pipeline = loading.load();
  ASSERT_TRUE(pipeline) << loading.errors;
  Document scratch;
  Errors errors;
  const Node before = evaluate_static(*pipeline, 1, scratch, errors);
  EXPECT_TRUE(errors.empty());
  EXPECT_EQ(
      to_json(before).dump(),
      R"({"file":"${t.a.outputs.path}","list":[1,"${t.a.outputs.path ?? var.v}"],"values":{"known":1,"lit":"${x}","vpc":"x-${t.a.outputs.id}"}})");
  EXPECT_TRUE(before.find("file")->computed);
  EXPECT_TRUE(before.find("values")->find("vpc")->computed);
  EXPECT_FALSE(before.find("values")->find("known")->computed);
  EXPECT_FALSE(before.find("values")->find("lit")->computed);
  EXPECT_EQ(scratch.where(*before.find("values")->find("known")).line, 7U);
  EXPECT_EQ(scratch.where(*before.find("values")->find("known")).column, 51U);

  FixedOutputs outputs(*pipeline, {{"t.a", R"({"path": "/x", "id": 7})"}});
  Document other;
  auto after = evaluate(*pipeline, 1, outputs, other);
  ASSERT_TRUE(after);
  EXPECT_EQ(to_json(after->config).dump(),
            R"({"file":"/x","list":[1,"/x"],"values":{"known":1,"lit":"${x}","vpc":"x-7"}})");
  EXPECT_FALSE(after->config.computed);
  std::string from;
  for (const auto& value : after->from_outputs) {
    from += value.path + ":";
    for (const uint32_t i : value.instances) from += " " + pipeline->address(i);
    from += "\n";
  }
  EXPECT_EQ(from, "file: t.a\nvalues.vpc: t.a\nlist[1]: t.a\n");
  EXPECT_EQ(other.where(*after->config.find("file")).text(), (loading.folder / "p.yaml").string() + ":6:13");

  FixedOutputs none(*pipeline, {});
  auto missing = evaluate(*pipeline, 1, none, other);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, "expression.missing");
  EXPECT_EQ(missing.error().message, "t.a.outputs is not there: the instance gave no outputs");
  EXPECT_EQ(missing.error().where.path, "t.b.file");
  EXPECT_FALSE(missing.error().retryable);
}

TEST(Evaluate, BoundsTheDepthOfValues) {
  std::string deep = "1";
  for (int i = 0; i < 59; ++i) deep = "[" + deep + "]";
  EXPECT_EQ(value_of("${t.up.outputs.d}", "{\"d\": " + deep + "}").size(), 1U + 2 * 59);
  EXPECT_EQ(value_of("['${t.up.outputs.d}']", "{\"d\": " + deep + "}"),
            "p.yaml:8:12: the value here is nested deeper than 60 levels [expression.depth]\n  hint: flatten "
            "the structure\n");
}

}  // namespace
}  // namespace pf::pipeline
