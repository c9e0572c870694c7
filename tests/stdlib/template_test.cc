// forge.template.render and stdlib/template: the language, its errors with their places, its limits.
#include "stdlib/support.h"

namespace pf::vm::testing {
namespace {

/// The rendered text, or `CODE: MESSAGE`.
std::string render(const std::string& text, const Json& values = Json::object(),
                   const Json& options = nullptr) {
  Case c;
  c.config = {{"text", text}, {"values", values}};
  if (!options.is_null()) c.config["options"] = options;
  const Outcome out = execute(
      "self.outputs.text = forge.template.render(self.config.text, self.config.values, self.config.options)",
      c);
  if (!out.ok) return out.error.code + ": " + out.error.message;
  return from_cbor(out.value).value().at("text");
}

std::string hint(const std::string& text, const Json& values = Json::object()) {
  Case c;
  c.config = {{"text", text}, {"values", values}};
  return execute("forge.template.render(self.config.text, self.config.values)", c).error.hint;
}

TEST(Template, Values) {
  EXPECT_EQ(render("plain { text } # %"), "plain { text } # %");
  EXPECT_EQ(render(""), "");
  EXPECT_EQ(render("Hello {{ name }}, {{name}}!", {{"name", "World"}}), "Hello World, World!");
  EXPECT_EQ(render("{{ a.b[2].c }} {{ a['b'][i].c }} {{ a[k][2]['c'] }}",
                   parse(R"({"a": {"b": [0, {"c": "deep"}]}, "i": 2, "k": "b"})")),
            "deep deep deep");
  EXPECT_EQ(render("{{ i }} {{ n }} {{ m }} {{ b }} {{ x }}",
                   parse(R"({"i": 3, "n": 0.1, "m": -2.5, "b": false, "x": 1e21})")),
            "3 0.1 -2.5 false 1e+21");
  EXPECT_EQ(render(R"({{ 'it''s' }})"), "template.syntax: template:1:8: expected `}}`, found `'s'`");
  EXPECT_EQ(render(R"({{ "}} \"q\"\n" }}{{ 'a\\' }}{{ -3 }}{{ 1.5 }}{{ true }})"), "}} \"q\"\na\\-31.5true");
  EXPECT_EQ(render("{{ a.and.end }}", parse(R"({"a": {"and": {"end": 1}}})")), "1");
}

TEST(Template, Filters) {
  const Json values = parse(
      R"({"s": " Mixed ", "list": ["a", 2, true], "map": {"b": [1], "a": null}, "none": null, "lines": "a\nb\n\nc",
          "words": ["a b", "it's", "plain-1.2/x", ""], "html": "<a href=\"x\">'&'</a>", "empty": []})");
  EXPECT_EQ(render("[{{ s | trim }}] [{{ s|upper }}] [{{ s | trim | lower }}]", values),
            "[Mixed] [ MIXED ] [mixed]");
  EXPECT_EQ(render("{{ map | json }} {{ list | json }} {{ none | json }} {{ s | json }}", values),
            R"({"a":null,"b":[1]} ["a",2,true] null " Mixed ")");
  EXPECT_EQ(render("map:\n  {{ map | yaml | indent(2) }}\n", values), "map:\n  a: null\n  b:\n    - 1\n");
  EXPECT_EQ(render("{{ list | join }} {{ list | join('-') }} {{ empty | join }}", values),
            "a, 2, true a-2-true ");
  EXPECT_EQ(
      render("{{ none | default('x') }} {{ gone | default(1) }} {{ map.q.r | default(s) | trim }} "
             "{{ none.a.b | default('deep') }} {{ s | default('no') | trim }} {{ gone | default(true) }}",
             values),
      "x 1 Mixed deep Mixed true");
  EXPECT_EQ(render("  {{ lines | indent(2) }}", values), "  a\n  b\n\n  c");
  EXPECT_EQ(render("{{ words | quote }} {{ 'a;b' | quote }} {{ 5 | quote }} {{ empty | quote }}", values),
            R"('a b' 'it'\''s' plain-1.2/x '' 'a;b' 5 )");
  EXPECT_EQ(render("{{ html | html }}", values), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;");
  EXPECT_EQ(render("{{ list | length }} {{ map | length }} {{ empty | length }}", values), "3 2 0");
}

TEST(Template, Conditions) {
  const auto branch = [](const std::string& condition, const Json& values = Json::object()) {
    return render("{% if " + condition + " %}yes{% else %}no{% end %}", values);
  };
  const Json values = parse(R"({"a": 1, "b": "", "n": null, "f": false, "list": [1, 2], "empty": []})");
  EXPECT_EQ(branch("a", values), "yes");
  EXPECT_EQ(branch("b", values), "yes");
  EXPECT_EQ(branch("n", values), "no");
  EXPECT_EQ(branch("f", values), "no");
  EXPECT_EQ(branch("not f and not n", values), "yes");
  EXPECT_EQ(branch("f or a", values), "yes");
  EXPECT_EQ(branch("f and missing or a == 1", values), "yes");
  EXPECT_EQ(branch("not (a == 1 or f)", values), "no");
  EXPECT_EQ(branch("a != '1'", values), "yes");
  EXPECT_EQ(branch("n == null", values), "yes");
  EXPECT_EQ(branch("a < 2 and a <= 1 and a > 0 and a >= 1 and 'a' < 'b'", values), "yes");
  EXPECT_EQ(branch("list | length > 1", values), "yes");
  EXPECT_EQ(branch("gone | default(false)", values), "no");
  EXPECT_EQ(branch("gone", values),
            "template.unknown: template:1:7: unknown name `gone`; there are a, b, empty, f, list, n");
  EXPECT_EQ(branch("a < 'x'", values), "template.type: template:1:9: cannot compare a number with a string");
  EXPECT_EQ(branch("n < 1", values), "template.type: template:1:9: cannot compare null with a number");
  const std::string sizes =
      "{% if n < 10 %}small{% elif n < 100 %}middle{% elif n < 1000 %}large{% else %}huge{% end %}";
  EXPECT_EQ(render(sizes, {{"n", 5}}) + render(sizes, {{"n", 50}}) + render(sizes, {{"n", 500}}) +
                render(sizes, {{"n", 5000}}),
            "smallmiddlelargehuge");
  EXPECT_EQ(render("[{% if false %}x{% end %}]"), "[]");
}

TEST(Template, Loops) {
  const Json values =
      parse(R"({"list": ["a", "b", "c"], "map": {"y": 2, "x": 1, "z": [3]}, "empty": [], "none": {}})");
  EXPECT_EQ(render("{% for v in list %}{{ v }};{% end %}", values), "a;b;c;");
  EXPECT_EQ(render("{% for i, v in list %}{{ i }}={{ v }};{% end %}", values), "1=a;2=b;3=c;");
  EXPECT_EQ(render("{% for k, v in map %}{{ k }}={{ v | json }};{% end %}", values), "x=1;y=2;z=[3];");
  EXPECT_EQ(render("{% for v in list %}{{ v }}{% if not loop.last %}, {% end %}{% end %}", values),
            "a, b, c");
  EXPECT_EQ(render("{% for v in list %}{{ loop.index }}/{{ loop.length }}{{ loop.first }} {% end %}", values),
            "1/3true 2/3false 3/3false ");
  EXPECT_EQ(render("{% for v in empty %}x{% else %}none{% end %}{% for v in none %}x{% else %}none{% end %}",
                   values),
            "nonenone");
  EXPECT_EQ(render("{% for v in list %}{% for w in list %}{{ v }}{{ w }}{% end %}{{ loop.index }} {% end %}",
                   values),
            "aaabac1 babbbc2 cacbcc3 ");
  EXPECT_EQ(render("{% for list in list %}{{ list }}{% end %}{{ list | length }}", values), "abc3");
  EXPECT_EQ(render("{% for v in list %}{% end %}{{ v }}", values),
            "template.unknown: template:1:32: unknown name `v`; there are empty, list, map, none");
  EXPECT_EQ(render("{% for v in map %}{% end %}", values),
            "template.type: template:1:13: `for` over a table needs two names");
  EXPECT_EQ(render("{% for v in 'abc' %}{% end %}", values),
            "template.type: template:1:13: `for` needs a list or a table, found a string");
}

TEST(Template, WhiteSpace) {
  EXPECT_EQ(render("a  {{- 1 -}}  b"), "a1b");
  EXPECT_EQ(render("a\n\n{%- if true -%}\n\n x \n{%- end -%}\n b"), "axb");
  EXPECT_EQ(render("a {#- note -#} b"), "ab");
  // A tag or a comment alone in its line takes the line with it.
  EXPECT_EQ(render("list:\n  {% for v in l %}\n  - {{ v }}\n  {% end %}\n# end\n", parse(R"({"l": [1, 2]})")),
            "list:\n  - 1\n  - 2\n# end\n");
  EXPECT_EQ(render("a\n{# note #}\nb\r\n  {# note\n goes on #}\t\r\nc"), "a\nb\r\nc");
  EXPECT_EQ(render("{% if true %}\na\n{% else %}\nb\n{% end %}"), "a\n");
  EXPECT_EQ(render("{% if true %} a {% end %}\nb"), " a \nb");
  EXPECT_EQ(render("a\n{{ 1 }}\nb"), "a\n1\nb");
  EXPECT_EQ(render("x {# note #} y\n"), "x  y\n");
}

TEST(Template, RawAndComments) {
  EXPECT_EQ(render("{% raw %}{{ x }} {% if %} {# c #}{% endraw %}!"), "{{ x }} {% if %} {# c #}!");
  EXPECT_EQ(render("a\n{% raw %}\n{{ x }}\n{% endraw %}\nb"), "a\n{{ x }}\nb");
  EXPECT_EQ(render("{% raw -%}\n {{ x }} \n{%- endraw %}"), "{{ x }}");
  EXPECT_EQ(render("{{ '{{' }}{# {{ x }} {% #}"), "{{");
  EXPECT_EQ(render("{% raw %}x"), "template.syntax: template:1:1: `raw` without `endraw`");
  EXPECT_EQ(render("a {# x"), "template.syntax: template:1:3: a comment that is not closed");
}

TEST(Template, UnknownNames) {
  const Json values = parse(R"({"title": "x", "site": {"host": "h", "port": 1}, "list": [1]})");
  EXPECT_EQ(render("é {{ titel }}", values),
            "template.unknown: template:1:6: unknown name `titel`; did you mean `title`?; there are list, "
            "site, title");
  EXPECT_EQ(
      render("a\nb {{ site.hots }}", values),
      "template.unknown: template:2:10: unknown name `hots`; did you mean `host`?; here are host, port");
  EXPECT_EQ(render("{{ list[2] }}", values), "template.unknown: template:1:8: unknown name `2`");
  EXPECT_EQ(render("{{ title.x }}", values), "template.type: template:1:9: cannot look for `x` in a string");
  EXPECT_EQ(render("{{ x }}"), "template.unknown: template:1:4: unknown name `x`");
  EXPECT_EQ(hint("{{ x }}"), "give it in the values, or write `| default('…')` behind it");
  EXPECT_EQ(render("{{ x }}", Json::object(), {{"name", "page.md"}}),
            "template.unknown: page.md:1:4: unknown name `x`");
  Case c;
  EXPECT_EQ(outputs(execute(R"(
    local _, e = forge.try(forge.template.render, "a\n  {{ x }}")
    self.outputs = { line = e.line, column = e.column, retryable = e.retryable })")),
            parse(R"({"line": 2, "column": 6, "retryable": false})"));
}

TEST(Template, NothingOfTheVmIsReached) {
  // Names are looked up in the values, raw; strings have no methods there.
  EXPECT_EQ(render("{{ forge }}"), "template.unknown: template:1:4: unknown name `forge`");
  EXPECT_EQ(render("{{ s.upper }}", {{"s", "x"}}),
            "template.type: template:1:5: cannot look for `upper` in a string");
  EXPECT_EQ(outputs(execute(R"(
    local values = setmetatable({}, { __index = function() return "reached" end })
    self.outputs.code = select(2, forge.try(forge.template.render, "{{ x }}", values)).code)")),
            parse(R"({"code": "template.unknown"})"));
}

TEST(Template, WrongTypes) {
  const Json values = parse(R"({"t": {"a": 1}, "l": [1], "n": null, "nul": "a\u0000b"})");
  const std::string at = "template.type: template:1:";
  EXPECT_EQ(render("{{ t }}", values), at + "4: a table cannot stand in a text");
  EXPECT_EQ(render("{{ l }}", values), at + "4: a list cannot stand in a text");
  EXPECT_EQ(render("{{ n }}", values), at + "4: the value is null");
  EXPECT_EQ(render("{{ t | upper }}", values), at + "8: a table cannot stand in a text");
  EXPECT_EQ(render("{{ t | join }}", values), at + "8: join needs a list, found a table");
  EXPECT_EQ(render("{{ n | length }}", values), at + "8: length needs a list or a table, found null");
  EXPECT_EQ(render("{{ 'x' | indent('a') }}", values),
            at + "10: indent needs a number of spaces from 0 to 1000");
  EXPECT_EQ(render("{{ nul | quote }}", values), at + "10: no shell can be given a text with a NUL byte");
  EXPECT_EQ(render("{{ t | quote }}", values), at + "8: quote needs a text or a list");
  EXPECT_EQ(
      outputs(execute("self.outputs.e = select(2, forge.try(forge.template.render, '{{ f | json }}', "
                      "{ f = print })).message")),
      parse(R"({"e": "template:1:8: forge.json.encode: value: a function cannot be converted to JSON"})"));
  EXPECT_EQ(outputs(execute("self.outputs.e = select(2, forge.try(forge.template.render, '{{ f }}', "
                            "{ f = 0/0 })).message")),
            parse(R"({"e": "template:1:4: the value is no finite number"})"));
}

TEST(Template, Syntax) {
  const std::string at = "template.syntax: template:1:";
  EXPECT_EQ(render("{{ }}"), at + "4: expected a value, found the end");
  EXPECT_EQ(render("{{ a b }}"), at + "6: expected `}}`, found `b`");
  EXPECT_EQ(render("{{ a"), at + "1: `{{` that is not closed");
  EXPECT_EQ(render("x{% if a"), at + "2: `{%` that is not closed");
  EXPECT_EQ(render("{{ 'a }}"), at + "4: a text in quotes that does not end in its line");
  EXPECT_EQ(render("{{ '\\x' }}"), at + "5: unknown escape in a text in quotes");
  EXPECT_EQ(render("{{ a + 1 }}"), at + "6: unexpected `+`");
  EXPECT_EQ(render("{{ é }}"), at + "4: unexpected `é`");
  EXPECT_EQ(render("{{ a. }}"), at + "7: expected a name behind `.`, found the end");
  EXPECT_EQ(render("{{ a[1 }}"), at + "8: expected `]`, found the end");
  EXPECT_EQ(render("{{ (1 }}"), at + "7: expected `)`, found the end");
  EXPECT_EQ(render("{{ a | }}"), at + "8: expected the name of a filter, found the end");
  EXPECT_EQ(render("{{ 'a' | uper }}"), at + "10: unknown filter `uper`; did you mean `upper`?");
  EXPECT_EQ(render("{{ 'a' | upper(1) }}"), at + "10: the filter upper takes no argument, found 1");
  EXPECT_EQ(render("{{ 'a' | default }}"), at + "10: the filter default takes one argument, found 0");
  EXPECT_EQ(render("{{ 'a' | join(1, 2) }}"), at + "10: the filter join takes at most one argument, found 2");
  EXPECT_EQ(render("{{ 'a' | join(1 2) }}"), at + "17: expected `,` or `)`, found `2`");
  EXPECT_EQ(render("{% %}"), at + "4: expected the name of a tag, found the end");
  EXPECT_EQ(render("{% while x %}"), at + "4: unknown tag `while`");
  EXPECT_EQ(render("{% if true %}"), at + "1: a block without its `{% end %}`");
  EXPECT_EQ(render("{% end %}"), at + "4: `end` without a block");
  EXPECT_EQ(render("{% if true %}{% else %}{% else %}{% end %}"), at + "24: `else` behind `else`");
  EXPECT_EQ(render("{% if true %}{% else %}{% elif true %}{% end %}"), at + "24: `elif` behind `else`");
  EXPECT_EQ(render("{% for x in l %}{% elif true %}{% end %}"), at + "17: `elif` in a `for`");
  EXPECT_EQ(render("{% for x on l %}{% end %}"), at + "10: expected `in`, found `on`");
  EXPECT_EQ(render("{% for 1 in l %}{% end %}"), at + "8: expected a name, found `1`");
  EXPECT_EQ(render("{% if true x %}{% end %}"), at + "12: expected `%}`, found `x`");
  EXPECT_EQ(render("{% if true %}{% end x %}"), at + "21: expected `%}`, found `x`");
}

TEST(Template, Limits) {
  std::string deep;
  for (int i = 0; i < 33; ++i) deep += "{% if true %}";
  EXPECT_EQ(render(deep), "template.limit: template:1:417: blocks nested deeper than 32 levels");
  EXPECT_EQ(render("{{ " + std::string(40, '(') + "1" + std::string(40, ')') + " }}"),
            "template.limit: template:1:35: nested deeper than 32 levels");
  std::string nested;
  for (int i = 0; i < 40; ++i) nested += "a[";
  EXPECT_EQ(render("{{ " + nested), "template.limit: template:1:68: nested deeper than 32 levels");
  std::string nots = "{% if ";
  for (int i = 0; i < 40; ++i) nots += "not ";
  EXPECT_EQ(render(nots + "true %}{% end %}"),
            "template.limit: template:1:131: nested deeper than 32 levels");
  EXPECT_EQ(render("{{ a }}{{ a }}", {{"a", std::string(10, 'x')}}, {{"max_output", 19}}),
            "template.limit: template:1:14: the text would take more than 19 bytes");
  EXPECT_EQ(render("{{ a }}{{ a }}", {{"a", std::string(10, 'x')}}, {{"max_output", 20}}),
            std::string(20, 'x'));
  Json list = Json::array();
  for (int i = 0; i < 101; ++i) list.push_back(i);
  EXPECT_EQ(
      render("{% for a in l %}{% for b in l %}{% for c in l %}{% end %}{% end %}{% end %}", {{"l", list}}),
      "template.limit: template:1:45: more than 1000000 turns of loops");
}

TEST(Template, OwnFilters) {
  EXPECT_EQ(outputs(execute(R"(
    local text = forge.template.render("{{ 3 | times(2) }} {{ 'a' | upper }}", {}, { filters = {
      times = function(n, by) return n * by end, upper = function(text) return "own " .. text end } })
    self.outputs.text = text)")),
            parse(R"({"text": "6 own a"})"));
  const Outcome out = execute(
      "forge.template.render('{{ 1 | bad }}', {}, { filters = { bad = function() error('broken', 0) end } "
      "})");
  EXPECT_EQ(out.error.code, "extension.error");
  EXPECT_EQ(out.error.message, "broken");
}

TEST(Template, CompiledOnceRenderedOften) {
  EXPECT_EQ(with("template", R"(
    local t = template.compile("{{ a }}{% for v in l %}{{ v }}{% end %};")
    return t:render { a = 1, l = { 2, 3 } } .. t:render { a = "x", l = {} })"),
            "123;x;");
  EXPECT_EQ(with("template", "return template.compile('x'):render()"), "x");
}

TEST(Template, AModuleOfThePackageMayHaveItsName) {
  Case c;
  c.modules["template"] = "return { own = ... }";
  EXPECT_EQ(with("template", "return template.own .. forge.template.render('{{ 1 }}')", c), "template1");
}

TEST(Template, Arguments) {
  const auto failure = [](const std::string& body) { return execute(body).error.message; };
  const std::string at = "extension.lua:2: ";
  EXPECT_EQ(execute("forge.template.render()").error.code, "call.argument");
  EXPECT_EQ(failure("forge.template.render()"),
            at + "forge.template.render: argument 1 (text) must be a string, found nil");
  EXPECT_EQ(failure("forge.template.render('', 5)"),
            at + "template:render: argument 1 (values) must be a table, found number");
  EXPECT_EQ(failure("forge.template.render('', {}, 5)"),
            at + "template.compile: argument 2 (options) must be a table, found number");
  EXPECT_EQ(failure("forge.template.render('', {}, { nam = 'x' })"),
            at + "template.compile: there is no option `nam`; there are filters, max_output, name");
  EXPECT_EQ(failure("forge.template.render('', {}, { name = 5 })"),
            at + "template.compile: name must be a string, found number");
  EXPECT_EQ(failure("forge.template.render('', {}, { max_output = -1 })"),
            at + "template.compile: max_output must be a whole number from 0, found -1");
  EXPECT_EQ(failure("forge.template.render('', {}, { filters = { x = 5 } })"),
            at + "template.compile: filters must be functions with names, found x = number");
  EXPECT_EQ(failure("require('template').compile('').render()"),
            at + "template:render: call it with a colon");
  EXPECT_EQ(execute("forge.template.rendr('')").error.code, "call.unknown");
}

}  // namespace
}  // namespace pf::vm::testing
