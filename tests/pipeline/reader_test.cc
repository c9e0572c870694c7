#include "pipeline/reader.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <fstream>

#include "base/json.h"
#include "pipeline/scan.h"

namespace pf::pipeline {
namespace {

std::string json_of(std::string_view text, const ReadLimits& limits = {}) {
  auto document = read_yaml(text, "f.yaml", "/folder", limits);
  if (!document) return document.error().text();
  return to_json((*document)->root()).dump();
}

std::string error_of(std::string_view text, const ReadLimits& limits = {}) {
  auto document = read_yaml(text, "f.yaml", "/folder", limits);
  return document ? "no error" : document.error().text();
}

/// The position of a value, found along keys and indexes: `b.0.c`.
std::string place_in(const Node& node, std::string path) {
  const Node* at = &node;
  while (!path.empty()) {
    const std::string step = path.substr(0, path.find('.'));
    path = step.size() < path.size() ? path.substr(step.size() + 1) : "";
    at = at->kind == Kind::list ? &at->list()[std::stoul(step)] : at->find(step);
    if (at == nullptr) return "nothing";
  }
  return std::to_string(at->line) + ":" + std::to_string(at->column);
}

std::string repeat(std::string_view text, size_t times) {
  std::string out;
  out.reserve(text.size() * times);
  for (size_t i = 0; i < times; ++i) out += text;
  return out;
}

TEST(Reader, ResolvesTheCoreSchema) {
  EXPECT_EQ(json_of("[null, Null, ~, true, False, yes, on, off, no, n]"),
            R"([null,null,null,true,false,"yes","on","off","no","n"])");
  EXPECT_EQ(json_of("[0, -7, +7, 0x1F, 0o17, 010, 0b1, 1_000, 12e, '7', \"true\", !!str 5]"),
            R"([0,-7,7,31,15,10,"0b1","1_000","12e","7","true","5"])");
  EXPECT_EQ(json_of("[1.5, -.5, 5., 1e3, +1.5E-2, 1.2.3, ., -, +, .e3]"),
            R"([1.5,-0.5,5.0,1000.0,0.015,"1.2.3",".","-","+",".e3"])");
  EXPECT_EQ(json_of("[9223372036854775807, -9223372036854775808, 9223372036854775808, 0xFFFFFFFFFFFFFFFF]"),
            "[9223372036854775807,-9223372036854775808,9.223372036854776e+18,1.8446744073709552e+19]");
  auto document = read_yaml("[.inf, -.Inf, .NaN, 1e999]", "f.yaml", "/");
  ASSERT_TRUE(document);
  const auto items = (*document)->root().list();
  EXPECT_EQ(items[0].number, HUGE_VAL);
  EXPECT_EQ(items[1].number, -HUGE_VAL);
  EXPECT_NE(items[2].number, items[2].number);
  EXPECT_EQ(items[3].number, HUGE_VAL);
}

TEST(Reader, ReadsBlocksQuotesAndBreaks) {
  EXPECT_EQ(json_of("a: |\n  one\n   two\nb: >-\n  x\n  y\nc: \"t\\tn\\u00e9\"\nd: 'it''s'\n"),
            "{\"a\":\"one\\n two\\n\",\"b\":\"x y\",\"c\":\"t\\tn\xC3\xA9\",\"d\":\"it's\"}");
  EXPECT_EQ(json_of("a: 1\r\nb:\r\n  - x\r\n"), R"({"a":1,"b":["x"]})");
  EXPECT_EQ(json_of("\xEF\xBB\xBFname: x"), R"({"name":"x"})");
  EXPECT_EQ(json_of("---\na: 1\n...\n"), R"({"a":1})");
}

TEST(Reader, GivesAnEmptyDocumentANull) {
  for (const char* text : {"", "\n\n", "# only a comment\n", "---\n", "\xEF\xBB\xBF"}) {
    auto document = read_yaml(text, "f.yaml", "/");
    ASSERT_TRUE(document) << text;
    EXPECT_TRUE((*document)->root().is_null()) << text;
    EXPECT_EQ((*document)->root().line, 1U);
    EXPECT_EQ((*document)->root().column, 1U);
  }
}

TEST(Reader, KeepsKeysAsTheirText) {
  EXPECT_EQ(json_of("{1: a, true: b, 1.50: c, ~: d, 'x y': e}"),
            R"({"1":"a","1.50":"c","true":"b","x y":"e","~":"d"})");
}

TEST(Reader, PlacesEveryNode) {
  auto document = read_yaml(
      "a: 1\nb:\n  - c: x\n    d: [p, {q: r}]\n  -\n  - ~\ne:\nf: null\n\"\xC3\xA9\xC3\xA9\": {k: \xC3\xA9, "
      "l: m}\n",
      "f.yaml", "/");
  ASSERT_TRUE(document) << document.error().text();
  const Node& root = (*document)->root();
  EXPECT_EQ(place_in(root, ""), "1:1");
  EXPECT_EQ(place_in(root, "a"), "1:4");
  EXPECT_EQ(place_in(root, "b"), "3:3");
  EXPECT_EQ(place_in(root, "b.0"), "3:5");
  EXPECT_EQ(place_in(root, "b.0.c"), "3:8");
  EXPECT_EQ(place_in(root, "b.0.d"), "4:8");
  EXPECT_EQ(place_in(root, "b.0.d.1.q"), "4:16");
  EXPECT_EQ(place_in(root, "b.1"), "5:3");  // not written: where its dash is
  EXPECT_EQ(place_in(root, "b.2"), "6:5");
  EXPECT_EQ(place_in(root, "e"), "7:1");  // not written: where its key is
  EXPECT_EQ(place_in(root, "f"), "8:4");
  EXPECT_EQ(place_in(root, "\xC3\xA9\xC3\xA9.k"), "9:11");  // columns count code points
  EXPECT_EQ(place_in(root, "\xC3\xA9\xC3\xA9.l"), "9:17");
  EXPECT_EQ(root.map()[2].key.line, 7U);
  EXPECT_EQ((*document)->where(root.map()[2].key, "e").text(), "f.yaml:7:1");
}

TEST(Reader, MarksExpressionsAndWhatHoldsThem) {
  auto document = read_yaml("a: {b: [x, '${var.y}']}\nc: $${no}\nd: \"$$${e}\"\nf: 1 ${g} $${h}\n'${k}': 1\n",
                            "f.yaml", "/");
  ASSERT_TRUE(document) << document.error().text();
  const Node& root = (*document)->root();
  EXPECT_TRUE(root.computed);
  EXPECT_TRUE(root.find("a")->computed);
  EXPECT_FALSE(root.find("a")->escaped);
  EXPECT_FALSE(root.find("a")->find("b")->list()[0].computed);
  EXPECT_TRUE(root.find("a")->find("b")->list()[1].verbatim);
  EXPECT_FALSE(root.find("c")->computed);
  EXPECT_TRUE(root.find("c")->escaped);
  EXPECT_FALSE(root.find("d")->computed);
  EXPECT_TRUE(root.find("f")->computed);
  EXPECT_TRUE(root.find("f")->escaped);
  EXPECT_TRUE(root.map()[4].key.computed);
}

TEST(Reader, KnowsQuotedText) {
  auto document = read_yaml("[a, 'a', \"a\", |-\n  a\n]", "f.yaml", "/");
  ASSERT_FALSE(document);
  document = read_yaml("- a\n- 'a'\n- \"a\"\n- |-\n  a\n", "f.yaml", "/");
  ASSERT_TRUE(document);
  std::string quoted;
  for (const Node& item : (*document)->root().list()) quoted += item.quoted ? 'q' : 'p';
  EXPECT_EQ(quoted, "pqqq");
}

TEST(Reader, ExpandsAliasesAndMergeKeys) {
  EXPECT_EQ(json_of("a: &x {k: 1}\nb: *x\nc: [*x, *x]\n"),
            R"({"a":{"k":1},"b":{"k":1},"c":[{"k":1},{"k":1}]})");
  EXPECT_EQ(json_of("a: &x {k: 1, l: 2}\nb: &y {l: 3, m: 4}\nc: {<<: [*x, *y], k: 9}\nd: {<<: *y}\n"),
            R"({"a":{"k":1,"l":2},"b":{"l":3,"m":4},"c":{"k":9,"l":2,"m":4},"d":{"l":3,"m":4}})");
  EXPECT_EQ(json_of("a: &x {k: 1}\nb: {'<<': *x}\n"), R"({"a":{"k":1},"b":{"<<":{"k":1}}})");
  EXPECT_EQ(json_of("&k key: 1\nb: {*k : 2}\nc: &e\nd: *e\n"),
            R"({"b":{"key":2},"c":null,"d":null,"key":1})");
  auto document = read_yaml("a: &x {k: '${v}'}\nb: {<<: *x, z: 1}\n", "f.yaml", "/");
  ASSERT_TRUE(document);
  const Node* b = (*document)->root().find("b");
  EXPECT_TRUE(b->computed);
  EXPECT_EQ(b->map()[0].key.string(), "k");                 // in the place of `<<`
  EXPECT_EQ(place_in((*document)->root(), "b.k"), "1:11");  // an alias is its anchor's node
}

TEST(Reader, RefusesWrongAliasesAndMerges) {
  EXPECT_EQ(error_of("a: *x\n"),
            "f.yaml:1:4: found the alias *x, but no anchor of that name before it [yaml.alias]\n"
            "  hint: define the anchor with '&' before it is used, or put the text in quotes");
  EXPECT_EQ(error_of("a: &x [1, *x]\n"),
            "f.yaml:1:11: found an alias of the value that it is in [yaml.alias]\n"
            "  hint: an anchor cannot be used inside its own value");
  EXPECT_EQ(error_of("a: {<<: 5}\n"),
            "f.yaml:1:9: found an integer behind '<<', expected a mapping or a list of them [yaml.merge]\n"
            "  hint: write <<: *anchor, or put the key in quotes if it is meant as text");
  EXPECT_EQ(error_of("? [a]\n: 1\n"),
            "f.yaml:1:3: found a list as a key, expected text [yaml.key]\n"
            "  hint: put the key in quotes if it is text");
  EXPECT_EQ(error_of("a: !!binary aGk=\n"),
            "f.yaml:1:4: found the tag 'tag:yaml.org,2002:binary', expected none [yaml.tag]\n"
            "  hint: remove it; only !!str, !!int, !!float, !!bool, !!null, !!map and !!seq are known");
  EXPECT_EQ(error_of("a: !thing {b: 1}\n"),
            "f.yaml:1:4: found the tag '!thing', expected none [yaml.tag]\n"
            "  hint: remove it; only !!str, !!int, !!float, !!bool, !!null, !!map and !!seq are known");
  EXPECT_EQ(error_of("a: !!int x\n"),
            "f.yaml:1:4: the text 'x' is not what its tag !!int says [yaml.tag]\n  hint: remove the tag");
  EXPECT_EQ(json_of("[!!int '5', !!float 2, !!bool 'true', !!null '', !!map {a: 1}, !!seq [1]]"),
            R"([5,2.0,true,null,{"a":1},[1]])");
}

TEST(Reader, RefusesDuplicateKeys) {
  EXPECT_EQ(error_of("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n"),
            "f.yaml:5:3: found the key 'c' again; it stands in line 3 already [yaml.duplicate_key]\n"
            "  hint: remove or rename one of the two");
  std::string many;
  for (int i = 0; i < 200'000; ++i) many += "k" + std::to_string(i) + ": 1\n";
  EXPECT_EQ(error_of(many), "no error");
  EXPECT_EQ(error_of(many + "k77: 2\nk5: 3\n"),
            "f.yaml:200001:1: found the key 'k77' again; it stands in line 78 already [yaml.duplicate_key]\n"
            "  hint: remove or rename one of the two");
}

TEST(Reader, RefusesTabsAsIndentation) {
  const std::string tail =
      ": found a tab as indentation, expected spaces [yaml.tab]\n"
      "  hint: indent with spaces: YAML allows no tabs there";
  EXPECT_EQ(error_of("a:\n\tb: 1\n"), "f.yaml:2:1" + tail);
  EXPECT_EQ(error_of("a:\n  b: 1\n\tc: 2\n"), "f.yaml:3:1" + tail);
  EXPECT_EQ(error_of("a:\n  - name: x\n  \t  k: 2\n"), "f.yaml:3:3" + tail);
  EXPECT_EQ(error_of("a:\n\t- 1\n"), "f.yaml:2:1" + tail);
  EXPECT_EQ(error_of("a:\n  -\tname: x\n"), "f.yaml:2:4" + tail);
  EXPECT_EQ(json_of("a:\t1\nb: 2\t# comment\nc: {\n\td: 1\n}\n"), R"({"a":1,"b":2,"c":{"d":1}})");
}

TEST(Reader, BoundsAliasBombs) {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 30; ++i) {
    const std::string last = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + last;
    for (int k = 0; k < 9; ++k) bomb += ", " + last;
    bomb += "]\n";
  }
  EXPECT_EQ(error_of(bomb),
            "f.yaml:7:10: with this alias the document holds more than 2000000 values [yaml.alias_bomb]\n"
            "  hint: aliases of aliases multiply; write out what is meant");
  std::string merges = "a0: &a0 {k0: 1}\n";
  for (int i = 1; i < 3000; ++i) {
    merges += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " {<<: *a" + std::to_string(i - 1) +
              ", k" + std::to_string(i) + ": 1}\n";
  }
  EXPECT_EQ(error_of(merges),
            "f.yaml:1414:20: with this alias the document holds more than 2000000 values [yaml.alias_bomb]\n"
            "  hint: aliases of aliases multiply; write out what is meant");
  std::string deep = "a0: &a0 [x]\n";
  for (int i = 1; i < 70; ++i) {
    deep += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [*a" + std::to_string(i - 1) + "]\n";
  }
  EXPECT_EQ(
      error_of(deep),
      "f.yaml:64:12: the nesting here is deeper than 64 levels [yaml.depth]\n  hint: flatten the structure");
}

TEST(Reader, BoundsNesting) {
  const std::string tail =
      ": the nesting here is deeper than 64 levels [yaml.depth]\n  hint: flatten the structure";
  EXPECT_EQ(error_of(repeat("[", 64) + repeat("]", 64)), "no error");
  EXPECT_EQ(error_of(repeat("[", 65) + repeat("]", 65)), "f.yaml:1:65" + tail);
  for (size_t levels : {1'000U, 100'000U, 1'000'000U}) {
    EXPECT_EQ(error_of(repeat("[", levels)), "f.yaml:1:65" + tail);
    EXPECT_EQ(error_of("a:\n  b: " + repeat("[", levels) + repeat("]", levels)), "f.yaml:2:68" + tail);
    EXPECT_EQ(error_of(repeat("{a: ", levels)), "f.yaml:1:257" + tail);
    EXPECT_EQ(error_of(repeat("[\n", levels)), "f.yaml:65:1" + tail);
    EXPECT_EQ(error_of(repeat("- ", levels)), "f.yaml:1:129" + tail);
    EXPECT_EQ(error_of(repeat("? ", levels)),
              "f.yaml:1:3: found a mapping as a key, expected text [yaml.key]\n"
              "  hint: put the key in quotes if it is text");
  }
  for (size_t levels : {1'000U, 5'000U}) {
    std::string indented;
    for (size_t i = 0; i < levels; ++i) indented += std::string(i, ' ') + "a:\n";
    EXPECT_EQ(error_of(indented), "f.yaml:65:65" + tail);
  }
  // Brackets in texts are no nesting.
  EXPECT_EQ(error_of("a: |\n  " + repeat("[", 3000) + "\nb: '" + repeat("{", 3000) + "'\nc: x" +
                     repeat("[", 3000) + "\n  " + repeat("[", 3000) + "\nd: [\"" + repeat("[", 3000) +
                     "\", x # " + repeat("[", 3000) + "\n]\n# " + repeat("[", 3000) + "\n"),
            "no error");
}

TEST(Reader, BoundsSize) {
  EXPECT_EQ(error_of(std::string(50U << 20, 'x')),
            "f.yaml:1:1: the file has 52428800 bytes, expected at most 16777216 [yaml.too_big]\n"
            "  hint: split it, or keep data in files of their own");
  ReadLimits few;
  few.nodes = 100;
  EXPECT_EQ(error_of("[" + repeat("a,", 200) + "]", few),
            "f.yaml:1:1: the document holds more than 100 values [yaml.alias_bomb]\n"
            "  hint: keep data in files of their own");
  EXPECT_EQ(error_of(repeat("- a\n", 101), few),
            "f.yaml:101:3: the document holds more than 100 values [yaml.alias_bomb]\n"
            "  hint: keep data in files of their own");
}

TEST(Reader, RefusesBytesThatAreNoText) {
  EXPECT_EQ(error_of("a: b\nc: \xC3\xA9\xFFz\n"),
            "f.yaml:2:5: found the byte 0xFF, which is no UTF-8 text here [yaml.not_utf8]\n"
            "  hint: save the file as UTF-8");
  EXPECT_EQ(error_of("\xFF\xFE"
                     "a\0:\0"),
            "f.yaml:1:1: found the byte 0xFF, which is no UTF-8 text here [yaml.not_utf8]\n"
            "  hint: save the file as UTF-8");
  EXPECT_EQ(error_of(std::string_view("a: \x04\nb: 1\n")),
            "f.yaml:1:4: found the control character U+0004, expected text [yaml.syntax]\n"
            "  hint: a pipeline is a text file in YAML; write the character as an escape in double quotes");
  EXPECT_EQ(error_of(std::string_view("\x7f"
                                      "ELF\x02\0\0",
                                      7)),
            "f.yaml:1:5: found the control character U+0002, expected text [yaml.syntax]\n"
            "  hint: a pipeline is a text file in YAML; write the character as an escape in double quotes");
  EXPECT_EQ(error_of("a: \"\\N\"\n"),
            "f.yaml:1:4: found an escape that makes no UTF-8 text [yaml.not_utf8]\n"
            "  hint: write \\u0085 for \\N, and \\u00a0 for \\_");
}

TEST(Reader, RefusesASecondDocument) {
  EXPECT_EQ(error_of("a: 1\n---\nb: 2\n"),
            "f.yaml:2:1: found a second document, expected one [yaml.many_documents]\n"
            "  hint: remove the line '---' and what follows");
  EXPECT_EQ(error_of("  a: 1\nb: 2\n"),
            "f.yaml:2:1: found text after the end of the document's value [yaml.syntax]\n"
            "  hint: check the indentation of this line");
}

TEST(Reader, SaysWhatIsWrong) {
  EXPECT_EQ(error_of("a: b: c\n"),
            "f.yaml:1:5: found ':' where no key can stand [yaml.syntax]\n"
            "  hint: check the indentation, and put the text in quotes if the colon belongs to it");
  EXPECT_EQ(
      error_of("a: 1\nb: \"x\nc: 2\n"),
      "f.yaml:2:4: the quoted text that begins here does not end [yaml.syntax]\n  hint: close the quote");
  EXPECT_EQ(
      error_of("a: 1\nb: &x 'it''s\nc: 2\n"),
      "f.yaml:2:7: the quoted text that begins here does not end [yaml.syntax]\n  hint: close the quote");
  EXPECT_EQ(
      error_of("a: 1\nb: 'it"),
      "f.yaml:2:4: the quoted text that begins here does not end [yaml.syntax]\n  hint: close the quote");
  EXPECT_EQ(error_of("a: [1, 2\nb: 3\n"),
            "f.yaml:2:2: expected ',' or ']' in a list in brackets [yaml.syntax]\n  hint: close the bracket");
  EXPECT_EQ(
      error_of("[1, {a: 2"),
      "f.yaml:1:1: the bracket '[' that opens here does not end [yaml.syntax]\n  hint: close it with ']'");
  EXPECT_EQ(error_of("a: @b\n"),
            "f.yaml:1:4: found '@', which no value can begin with [yaml.syntax]\n"
            "  hint: put the text in quotes if the character belongs to it");
  EXPECT_EQ(error_of("a: [${var.x}]\n"),
            "f.yaml:1:6: expected ',' or ']' in a list in brackets [yaml.syntax]\n"
            "  hint: inside brackets and braces an expression must stand in quotes: \"${…}\"");
  EXPECT_EQ(error_of("a: \"\\q\"\n"),
            "f.yaml:1:7: found an unknown escape in double-quoted text: \\q [yaml.syntax]\n"
            "  hint: use single quotes, in which nothing is escaped, or write \\\\");
  EXPECT_EQ(error_of("a: \"\\\xc3\xa9\"\n"),
            "f.yaml:1:7: found a backslash in double-quoted text before a character that has no escape "
            "[yaml.syntax]\n"
            "  hint: use single quotes, in which nothing is escaped, or write \\\\");
  EXPECT_EQ(error_of("a: ]\n"),
            "f.yaml:1:4: found a closing bracket that does not match an opening one [yaml.syntax]\n"
            "  hint: put the text in quotes if the character belongs to it");
  EXPECT_EQ(error_of("a:\n  - b\n c: 1\n"),
            "f.yaml:3:2: expected a key of the mapping, or its end [yaml.syntax]\n"
            "  hint: check the indentation of this line and of the one before it");
}

TEST(Reader, ReadsFiles) {
  char folder[] = "/tmp/pf_reader_XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  const std::filesystem::path base = folder;
  std::ofstream(base / "a.yaml") << "a: 1\n";
  auto document = read_yaml_file(base / "a.yaml", "a.yaml");
  ASSERT_TRUE(document);
  EXPECT_EQ((*document)->folder(0), base);
  EXPECT_EQ((*document)->file(0), "a.yaml");
  EXPECT_EQ(read_yaml_file(base / "none.yaml", "none.yaml").error().text(),
            "none.yaml:1:1: there is no such file [yaml.missing_file]\n"
            "  hint: check the path: it is relative to the current folder");
  EXPECT_EQ(read_yaml_file(base, "sub").error().text(), "sub:1:1: cannot read " + base.string() +
                                                            ": it is no regular file [yaml.unreadable]\n"
                                                            "  hint: expected a text file that can be read");
  std::ofstream(base / "big.yaml").close();
  std::filesystem::resize_file(base / "big.yaml", 50U << 20);
  EXPECT_EQ(read_yaml_file(base / "big.yaml", "big.yaml").error().text(),
            "big.yaml:1:1: the file has more than 16777216 bytes [yaml.too_big]\n"
            "  hint: split it, or keep data in files of their own");
  std::filesystem::remove_all(base);
}

TEST(Reader, FollowsBracketsAsYamlDoes) {
  const std::string tricky =
      "a: it's [b\nc: 'x'' ['\nd: \"\\\" [\"\ne: [a, it's, 'it''s [', \"]\"] # [\nf: |\n  [\n\n  '\ng: x "
      "#'\nh: &p [1]\n";
  EXPECT_EQ(scan_flow(tricky, 1).too_deep, FlowScan::kNone);
  EXPECT_EQ(scan_flow(tricky, 1).open_quote, FlowScan::kNone);
  EXPECT_EQ(scan_flow(tricky, 1).commas, 3U);
  EXPECT_EQ(scan_flow(tricky + "i: [[2]]\n", 1).too_deep, tricky.size() + 4);
  EXPECT_EQ(error_of(tricky), "no error");
}

/// Real files, some of them broken: each is read or refused with a position, none crashes.
TEST(Reader, SurvivesTheCorpus) {
  const auto corpus = std::filesystem::path(PF_SOURCE_DIR) / ".." / "shared" / "corpus" / "recipes";
  if (!std::filesystem::is_directory(corpus)) GTEST_SKIP() << "the corpus is not beside the source tree";
  size_t files = 0;
  size_t refused = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(corpus)) {
    if (!entry.is_regular_file()) continue;
    auto document = read_yaml_file(entry.path(), entry.path().filename());
    ++files;
    const auto extension = entry.path().extension();
    if (extension != ".yaml" && extension != ".yml") continue;
    if (document) {
      EXPECT_FALSE((*document)->root().is_null() && entry.file_size() > 100) << entry.path();
    } else {
      ++refused;
      EXPECT_GT(document.error().where.line, 0U) << entry.path();
      EXPECT_TRUE(document.error().code.starts_with("yaml.")) << document.error().text();
      std::cout << document.error().text() << "\n";
    }
  }
  EXPECT_GT(files, 50U);
  std::cout << files << " files, " << refused << " refused\n";
}

}  // namespace
}  // namespace pf::pipeline
