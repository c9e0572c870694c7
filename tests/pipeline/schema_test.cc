#include "pipeline/schema.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "base/digest.h"
#include "base/file.h"
#include "base/json.h"
#include "pipeline/instance_keys.h"
#include "pipeline/reader.h"

namespace pf::pipeline {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::unique_ptr<Document> yaml(std::string_view text, const std::filesystem::path& folder = "/nowhere") {
  auto document = read_yaml(text, "p.yaml", folder);
  EXPECT_TRUE(document) << document.error().text();
  return std::move(*document);
}

Result<std::unique_ptr<Schema>> build(std::string_view model) {
  auto json = parse_json(model);
  EXPECT_TRUE(json) << json.error().text();
  return Schema::from_json(*json);
}

std::unique_ptr<Schema> schema(std::string_view model) {
  auto built = build(model);
  EXPECT_TRUE(built) << built.error().text();
  return std::move(*built);
}

// A schema of one field, `v`.
std::unique_ptr<Schema> field(const std::string& model) {
  return schema(R"({"type": "object", "fields": [{"name": "v", "model": )" + model + "}]}");
}

std::vector<std::string> findings(const Schema& schema, const Document& document, bool computed_ok = false) {
  Errors errors;
  schema.check(document, document.root(), "example.first", computed_ok, errors);
  std::vector<std::string> out;
  for (const auto& error : errors) {
    EXPECT_FALSE(error.retryable);
    EXPECT_EQ(error.message.find('\n'), std::string::npos);
    EXPECT_TRUE(error.message.starts_with(error.where.path));
    out.push_back(error.text());
  }
  return out;
}

std::vector<std::string> findings(const Schema& schema, std::string_view text) {
  return findings(schema, *yaml(text));
}

Json encoded(const Schema& schema, const Document& document) {
  std::string cbor;
  schema.encode(document, document.root(), cbor);
  auto value = from_cbor(cbor);
  EXPECT_TRUE(value) << value.error().text();
  return value ? *value : Json();
}
Json encoded(const Schema& schema, std::string_view text) { return encoded(schema, *yaml(text)); }

std::string invalid(std::string_view model) {
  auto built = build(model);
  EXPECT_FALSE(built);
  if (built) return {};
  EXPECT_EQ(built.error().code, "schema.invalid");
  EXPECT_FALSE(built.error().retryable);
  return built.error().message;
}

class SchemaFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/pf-schema-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    folder = name;
    std::filesystem::create_directories(folder / "data");
    ASSERT_TRUE(write_file(folder / "words.txt", "a b\n"));
  }
  void TearDown() override { std::filesystem::remove_all(folder); }
  std::filesystem::path folder;
};

TEST(Schema, IntegerOutOfKindAndRange) {
  const auto s = schema(R"({"type": "object", "fields": [
      {"name": "retries", "model": {"type": "integer", "default": 3, "min": 0}}]})");
  EXPECT_THAT(findings(*s, "retries: x"), ElementsAre("p.yaml:1:10: example.first.retries: expected an "
                                                      "integer of at least 0, found text 'x' [config.type]"));
  EXPECT_THAT(findings(*s, "retries: -1"),
              ElementsAre("p.yaml:1:10: example.first.retries: expected an integer of at least 0, found "
                          "integer -1 [config.range]"));
  EXPECT_THAT(findings(*s, "retries: '7'"),
              ElementsAre("p.yaml:1:10: example.first.retries: expected an integer of at least 0, found text "
                          "'7' [config.type]\n"
                          "  hint: write the number without quotes"));
  EXPECT_THAT(findings(*s, "retries: 1.5"),
              ElementsAre("p.yaml:1:10: example.first.retries: expected an integer of at least 0, found "
                          "number 1.5 [config.type]"));
  EXPECT_THAT(findings(*s, "retries: [1]"),
              ElementsAre("p.yaml:1:10: example.first.retries: expected an integer of at least 0, "
                          "found a list of 1 item [config.type]"));
  EXPECT_THAT(findings(*s, "retries: 4.0"), IsEmpty());
  EXPECT_THAT(
      findings(*s, "retries: 9007199254740993"),
      ElementsAre(
          "p.yaml:1:10: example.first.retries: expected an integer of at most 2^53 in size, found integer "
          "9007199254740993 [config.range]\n  hint: write larger ones as text, in quotes: Lua's numbers do "
          "not hold them exactly"));
}

TEST(Schema, NullOfAnOptionalFieldIsNotWritten) {
  const auto s = schema(R"({"type": "object", "fields": [
      {"name": "a", "model": {"type": "integer", "default": 3}},
      {"name": "b", "model": {"type": "string", "optional": true}},
      {"name": "c", "model": {"type": "any", "optional": true}}]})");
  EXPECT_THAT(findings(*s, "{a: ~, b: , c: ~}"), IsEmpty());
  EXPECT_EQ(encoded(*s, "{a: ~, b: , c: ~}"), Json({{"a", 3}, {"c", nullptr}}));
  EXPECT_EQ(encoded(*s, "{}"), Json({{"a", 3}}));
}

TEST(Schema, MissingAndNull) {
  const auto s = schema(R"({"type": "object", "fields": [
      {"name": "file", "model": {"type": "string", "description": "the text to count", "examples": ["a.txt"]}}]})");
  EXPECT_THAT(findings(*s, "{}"),
              ElementsAre("p.yaml:1:1: example.first.file: missing, expected text [config.missing]\n"
                          "  hint: add `file:`: the text to count; for example \"a.txt\""));
  EXPECT_THAT(findings(*s, "file: ~"),
              ElementsAre("p.yaml:1:7: example.first.file: expected text, found nothing [config.type]\n"
                          "  hint: for example: \"a.txt\""));
}

TEST(Schema, UnknownKeys) {
  const auto s = schema(R"({"type": "object", "fields": [
      {"name": "retries", "model": {"type": "integer", "default": 1}},
      {"name": "file", "model": {"type": "string", "default": "x"}}]})");
  EXPECT_THAT(findings(*s, "retris: 3"),
              ElementsAre("p.yaml:1:1: example.first.retris: unknown key [config.unknown_key]\n"
                          "  hint: did you mean 'retries'? allowed: file, retries"));
  EXPECT_THAT(
      findings(*s, "a: 1\nmax_attemps: 3"),
      ElementsAre(
          "p.yaml:1:1: example.first.a: unknown key [config.unknown_key]\n  hint: allowed: file, retries",
          "p.yaml:2:1: example.first.max_attemps: unknown key [config.unknown_key]\n"
          "  hint: did you mean 'max_attempts'? allowed: file, retries"));
  EXPECT_THAT(findings(*s, "\"a\\nb c\": 3"),
              ElementsAre("p.yaml:1:1: example.first[\"a b c\"]: unknown key [config.unknown_key]\n"
                          "  hint: allowed: file, retries"));
}

TEST(Schema, EmptyAcceptsNothing) {
  const auto s = Schema::empty();
  EXPECT_THAT(findings(*s, "{}"), IsEmpty());
  EXPECT_EQ(encoded(*s, "{}"), Json::object());
  EXPECT_THAT(findings(*s, "file: x"),
              ElementsAre("p.yaml:1:1: example.first.file: unknown key [config.unknown_key]\n"
                          "  hint: no keys are allowed here"));
  EXPECT_THAT(s->fields(), IsEmpty());
}

TEST(Schema, Text) {
  const auto s = field(R"({"type": "string", "min": 2, "max": 4, "pattern": "^[a-zé]+$"})");
  EXPECT_THAT(findings(*s, "v: é"),
              ElementsAre("p.yaml:1:4: example.first.v: expected text of 2 to 4 characters that matches "
                          "^[a-zé]+$, found text 'é' [config.range]"));
  EXPECT_THAT(findings(*s, "v: éééé"), IsEmpty());
  EXPECT_THAT(findings(*s, "v: ab1"),
              ElementsAre("p.yaml:1:4: example.first.v: expected text of 2 to 4 characters that matches "
                          "^[a-zé]+$, found text 'ab1' [config.pattern]"));
  EXPECT_THAT(findings(*s, "v: true"),
              ElementsAre("p.yaml:1:4: example.first.v: expected text of 2 to 4 characters that matches "
                          "^[a-zé]+$, found true [config.type]\n"
                          "  hint: put the value in quotes to make it text"));
  EXPECT_THAT(findings(*field(R"({"type": "string", "pattern": "b"})"), "v: abc"), IsEmpty());  // anywhere
  EXPECT_THAT(findings(*field(R"({"type": "string", "min": 1})"), "v: ''"),
              ElementsAre("p.yaml:1:4: example.first.v: expected text of at least 1 character, found text '' "
                          "[config.range]"));
}

TEST(Schema, LongValuesAreShortened) {
  const auto s = field(R"({"type": "boolean"})");
  EXPECT_THAT(findings(*s, "v: \"a\\nb" + std::string(100, 'x') + "\""),
              ElementsAre("p.yaml:1:4: example.first.v: expected true or false, found text 'a "
                          "bxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…' "
                          "[config.type]\n  hint: write true or false, without quotes"));
}

TEST(Schema, SecretsAreNotShown) {
  EXPECT_THAT(
      findings(*field(R"({"type": "string", "max": 3, "secret": true})"), "v: hunter2"),
      ElementsAre(
          "p.yaml:1:4: example.first.v: expected text of at most 3 characters, found a text [config.range]"));
  const auto either = field(R"({"type": "union", "secret": true, "branches": [
      {"type": "string", "max": 3}, {"type": "integer"}]})");
  EXPECT_THAT(
      findings(*either, "v: hunter2"),
      ElementsAre(
          "p.yaml:1:4: example.first.v: expected text of at most 3 characters or an integer, found a text "
          "[config.range]"));
}

TEST(Schema, NumbersAndBooleans) {
  const auto s = field(R"({"type": "number", "min": 0.5, "max": 2})");
  EXPECT_THAT(findings(*s, "v: 1"), IsEmpty());
  EXPECT_THAT(
      findings(*s, "v: 2.5"),
      ElementsAre(
          "p.yaml:1:4: example.first.v: expected a number from 0.5 to 2, found number 2.5 [config.range]"));
  EXPECT_THAT(
      findings(*s, "v: .nan"),
      ElementsAre("p.yaml:1:4: example.first.v: expected a finite number, found number .nan [config.range]"));
  EXPECT_THAT(
      findings(*field(R"({"type": "boolean"})"), "v: yes"),
      ElementsAre("p.yaml:1:4: example.first.v: expected true or false, found text 'yes' [config.type]\n"
                  "  hint: write true or false, without quotes"));
}

TEST(Schema, Enum) {
  const auto s = field(R"({"type": "enum", "values": ["fast", "exact", 3, true]})");
  for (const char* good : {"v: fast", "v: 3", "v: 3.0", "v: true"})
    EXPECT_THAT(findings(*s, good), IsEmpty()) << good;
  EXPECT_THAT(findings(*s, "v: fest"),
              ElementsAre("p.yaml:1:4: example.first.v: expected one of 'fast', 'exact', 3, true, "
                          "found text 'fest' [config.enum]\n  hint: did you mean 'fast'?"));
  EXPECT_THAT(findings(*s, "v: '3'"),
              ElementsAre("p.yaml:1:4: example.first.v: expected one of 'fast', 'exact', 3, true, "
                          "found text '3' [config.enum]"));
}

TEST(Schema, ListsAndMaps) {
  const auto list = field(R"({"type": "list", "items": {"type": "integer"}, "min": 1})");
  EXPECT_THAT(
      findings(*list, "v: [1, b, 3, ~]"),
      ElementsAre("p.yaml:1:8: example.first.v[1]: expected an integer, found text 'b' [config.type]",
                  "p.yaml:1:14: example.first.v[3]: expected an integer, found nothing [config.type]"));
  EXPECT_THAT(findings(*list, "v: []"), ElementsAre("p.yaml:1:4: example.first.v: expected a list of at "
                                                    "least 1 item, found a list of 0 items [config.range]"));
  EXPECT_THAT(
      findings(*list, "v: 1"),
      ElementsAre(
          "p.yaml:1:4: example.first.v: expected a list of at least 1 item, found integer 1 [config.type]\n"
          "  hint: write it as a list: [value]"));
  const auto map = field(
      R"({"type": "map", "keys": {"type": "string", "pattern": "^[a-z]+$"}, "items": {"type": "number"}})");
  EXPECT_THAT(findings(*map, "v: {a: 1, B: 2, c: x}"),
              ElementsAre("p.yaml:1:11: example.first.v.B: expected text that matches ^[a-z]+$, found text "
                          "'B' as the key [config.pattern]",
                          "p.yaml:1:20: example.first.v.c: expected a number, found text 'x' [config.type]"));
  EXPECT_THAT(
      findings(*map, "v: [1]"),
      ElementsAre("p.yaml:1:4: example.first.v: expected a mapping, found a list of 1 item [config.type]"));
}

TEST(Schema, UnionTellsOfTheNearestBranch) {
  const auto s = field(R"({"type": "union", "branches": [
      {"type": "string"},
      {"type": "object", "fields": [{"name": "kind", "model": {"type": "enum", "values": ["git"]}},
                                    {"name": "ref", "model": {"type": "string"}}]},
      {"type": "object", "fields": [{"name": "kind", "model": {"type": "enum", "values": ["http"]}},
                                    {"name": "url", "model": {"type": "string"}},
                                    {"name": "size", "model": {"type": "integer"}}]}]})");
  EXPECT_THAT(findings(*s, "v: text"), IsEmpty());
  EXPECT_THAT(findings(*s, "v: {kind: git, ref: main}"), IsEmpty());
  EXPECT_THAT(
      findings(*s, "v: {kind: http, url: x, size: big}"),
      ElementsAre("p.yaml:1:31: example.first.v.size: expected an integer, found text 'big' [config.type]"));
  EXPECT_THAT(
      findings(*s, "v: [1]"),
      ElementsAre(
          "p.yaml:1:4: example.first.v: expected text or a mapping, found a list of 1 item [config.type]"));
  const auto forms = field(R"({"type": "union", "branches": [
      {"type": "string", "pattern": "^a$"}, {"type": "string", "pattern": "^b$"}]})");
  EXPECT_THAT(findings(*forms, "v: c"),
              ElementsAre("p.yaml:1:4: example.first.v: expected text that matches ^a$ or text that "
                          "matches ^b$, found text 'c' [config.pattern]"));
}

TEST(Schema, ComputedValuesAreUnknownAtPlanTime) {
  const auto s = schema(R"({"type": "object", "fields": [
      {"name": "n", "model": {"type": "integer"}},
      {"name": "l", "model": {"type": "list", "items": {"type": "boolean"}}}]})");
  const auto document = yaml("n: \"${a.b.outputs.n}\"\nl: [true, \"${a.b.outputs.x}\", 3]");
  EXPECT_THAT(
      findings(*s, *document, true),
      ElementsAre("p.yaml:2:31: example.first.l[2]: expected true or false, found integer 3 [config.type]"));
  EXPECT_THAT(
      findings(*s, *document, false),
      ElementsAre(
          "p.yaml:1:4: example.first.n: expected an integer, found text '${a.b.outputs.n}' [config.type]",
          "p.yaml:2:11: example.first.l[1]: expected true or false, found text '${a.b.outputs.x}' "
          "[config.type]\n"
          "  hint: write true or false, without quotes",
          "p.yaml:2:31: example.first.l[2]: expected true or false, found integer 3 [config.type]"));
}

TEST(Schema, NestedDefaultsAreFilledInAndKeysSorted) {
  const auto s = schema(R"({"type": "object", "fields": [
      {"name": "zeta", "model": {"type": "object", "default": {}, "fields": [
          {"name": "b", "model": {"type": "integer", "default": 2}},
          {"name": "a", "model": {"type": "list", "default": {}}}]}},
      {"name": "list", "model": {"type": "list", "items": {"type": "object", "fields": [
          {"name": "x", "model": {"type": "boolean", "default": false}}]}}},
      {"name": "any", "model": {"type": "any"}}]})");
  const auto document = yaml("list: [{}, {x: true}]\nany: {z: 1, b: {y: [], x: {}}, Z: 2}");
  EXPECT_THAT(findings(*s, *document), IsEmpty());
  std::string cbor;
  s->encode(*document, document->root(), cbor);
  EXPECT_EQ(to_hex(cbor),
            "a3"
            "63616e79"
            "a3"
            "615a02"
            "6162"
            "a2"
            "6178a0"
            "617980"
            "617a01"
            "646c697374"
            "82"
            "a16178f4"
            "a16178f5"
            "647a657461"
            "a2"
            "616180"
            "616202");
  EXPECT_THAT(s->fields(), ElementsAre("any", "list", "zeta"));
}

TEST(Schema, EncodePlainKeepsTheOrder) {
  std::string cbor;
  const auto document = yaml("{z: 1, a: [x, ~, 1.5]}");
  encode_plain(document->root(), cbor);
  EXPECT_EQ(to_hex(cbor), "a2617a016161836178f6fb3ff8000000000000");
}

TEST_F(SchemaFiles, PathsAreResolvedAndLookedFor) {
  const auto s = schema(R"({"type": "object", "fields": [
      {"name": "file", "model": {"type": "path", "kind": "file", "input": true}},
      {"name": "folder", "model": {"type": "path", "kind": "folder", "default": "data/../data/"}},
      {"name": "out", "model": {"type": "path", "kind": "folder", "input": false, "default": "./new"}}]})");
  const auto good = yaml("file: ./data/..//words.txt", folder);
  EXPECT_THAT(findings(*s, *good), IsEmpty());
  EXPECT_EQ(encoded(*s, *good), Json({{"file", (folder / "words.txt").string()},
                                      {"folder", (folder / "data").string()},
                                      {"out", (folder / "new").string()}}));
  const std::string tail = "; relative paths start at the folder of the file that they are written in";
  EXPECT_THAT(
      findings(*s, *yaml("file: wrods.txt", folder)),
      ElementsAre(
          "p.yaml:1:7: example.first.file: expected the path of a file, but 'wrods.txt' does not exist "
          "[config.path]\n  hint: looked for " +
          (folder / "wrods.txt").string() + tail));
  EXPECT_THAT(findings(*s, *yaml("file: data", folder)),
              ElementsAre("p.yaml:1:7: example.first.file: expected the path of a file, but 'data' is a "
                          "folder [config.path]\n"
                          "  hint: looked for " +
                          (folder / "data").string() + tail));
  EXPECT_THAT(findings(*s, *yaml("file: words.txt\nout: words.txt", folder)),
              ElementsAre("p.yaml:2:6: example.first.out: expected the path of a folder, but 'words.txt' is "
                          "a file [config.path]\n"
                          "  hint: looked for " +
                          (folder / "words.txt").string() + tail));
  EXPECT_THAT(
      findings(*s, *yaml("file: ''", folder)),
      ElementsAre(
          "p.yaml:1:7: example.first.file: expected the path of a file, found text '' [config.path]"));
  EXPECT_THAT(
      findings(*s, *yaml("file: words.txt/x", folder)),
      ElementsAre(
          "p.yaml:1:7: example.first.file: expected the path of a file, but 'words.txt/x' does not exist "
          "[config.path]\n  hint: looked for " +
          (folder / "words.txt/x").string() + tail));
}

TEST_F(SchemaFiles, ADefaultPathIsLookedForWhereTheInstanceIsWritten) {
  const auto s = schema(R"({"type": "object", "fields": [
      {"name": "file", "model": {"type": "path", "kind": "file", "default": "gone.txt"}}]})");
  EXPECT_THAT(
      findings(*s, *yaml("{}", folder)),
      ElementsAre(
          "p.yaml:1:1: example.first.file: expected the path of a file, but 'gone.txt' does not exist "
          "[config.path]\n  hint: looked for " +
          (folder / "gone.txt").string() +
          "; relative paths start at the folder of the file that they are written in"));
}

TEST_F(SchemaFiles, AFifoIsNoFile) {
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  Errors errors;
  const auto document = yaml("v: pipe", folder);
  field(R"({"type": "path", "kind": "file"})")->check(*document, document->root(), "a.b", false, errors);
  ASSERT_EQ(errors.size(), 1U);
  EXPECT_EQ(errors[0].message,
            "a.b.v: expected the path of a file, but 'pipe' is neither a file nor a folder");
}

TEST_F(SchemaFiles, AUnionOfPathAndTextIsEncodedAsItWasChecked) {
  const auto s =
      field(R"({"type": "union", "branches": [{"type": "path", "kind": "file"}, {"type": "string"}]})");
  EXPECT_EQ(encoded(*s, *yaml("v: words.txt", folder)), Json({{"v", (folder / "words.txt").string()}}));
  EXPECT_EQ(encoded(*s, *yaml("v: other", folder)), Json({{"v", "other"}}));
}

TEST(Schema, PathsLeaveTheRootNowhere) {
  const auto s = field(R"({"type": "path", "input": false})");
  EXPECT_EQ(encoded(*s, "v: /../../x/./y//../z/"), Json({{"v", "/x/z"}}));
  EXPECT_EQ(encoded(*s, "v: ../.."), Json({{"v", "/"}}));
}

TEST(Schema, DepthIsBounded) {
  const auto s = field(R"({"type": "any"})");
  const auto nested = [](int levels) { return "v: " + std::string(levels, '[') + std::string(levels, ']'); };
  EXPECT_THAT(findings(*s, nested(59)), IsEmpty());
  const auto found = findings(*s, nested(61));
  ASSERT_EQ(found.size(), 1U);
  EXPECT_TRUE(
      found[0].ends_with("expected at most 60 levels, found more [config.depth]\n  hint: flatten the value"));
}

TEST(Schema, FindingsAreBounded) {
  std::string text = "v: [";
  for (int i = 0; i < 1000; ++i) text += "x, ";
  EXPECT_EQ(findings(*field(R"({"type": "list", "items": {"type": "integer"}})"), text + "]").size(),
            kMaxFindings);
}

TEST(Schema, ModelsThatAreNone) {
  EXPECT_EQ(invalid("3"), "Config: expected a model, such as s.string {}, found 3");
  EXPECT_EQ(invalid("{}"), "Config: this is no model: make it with the functions of require \"schema\"");
  EXPECT_EQ(invalid(R"({"type": "text"})"),
            "Config: this is no model: make it with the functions of require \"schema\"");
  EXPECT_EQ(invalid(R"({"type": "string"})"), "Config: expected an object");
  EXPECT_EQ(invalid(R"({"type": "object", "default": {}})"),
            "Config: only a field of an object can be optional or have a default");
  EXPECT_EQ(invalid(R"({"type": "object", "fields": {}})"), "Config: 'fields' must be a list of at least 1");
  EXPECT_EQ(invalid(R"({"type": "object", "fields": [{"name": "when", "model": {"type": "string"}}]})"),
            "Config.when: 'when' is a key of the pipeline itself: name it otherwise");
  EXPECT_EQ(invalid(R"({"type": "object", "fields": [{"name": "a", "model": {"type": "string"}},
                                                     {"name": "a", "model": {"type": "any"}}]})"),
            "Config: two fields are called 'a'");
}

TEST(Schema, FieldsThatAreWrong) {
  const auto wrong = [](const std::string& model) {
    return invalid(R"({"type": "object", "fields": [{"name": "v", "model": )" + model + "}]}");
  };
  EXPECT_EQ(wrong(R"({"type": "string", "pattern": "("})"),
            "Config.v: the pattern '(' is not RE2's syntax: missing ): (");
  EXPECT_EQ(wrong(R"({"type": "string", "mni": 3})"), "Config.v: a model of type string has no 'mni'");
  EXPECT_EQ(wrong(R"({"type": "string", "min": -1})"), "Config.v: 'min' must be an integer of at least 0");
  EXPECT_EQ(wrong(R"({"type": "integer", "min": 1.5})"), "Config.v: 'min' must be an integer");
  EXPECT_EQ(wrong(R"({"type": "integer", "min": 3, "max": 2})"), "Config.v: 'min' is above 'max'");
  EXPECT_EQ(wrong(R"({"type": "integer", "optional": 1})"), "Config.v: 'optional' must be true or false");
  EXPECT_EQ(wrong(R"({"type": "enum"})"), "Config.v: 'values' must be a list of at least 1");
  EXPECT_EQ(wrong(R"({"type": "enum", "values": [[]]})"),
            "Config.v: 'values' must be texts, numbers or booleans");
  EXPECT_EQ(wrong(R"({"type": "union", "branches": [{"type": "any"}]})"),
            "Config.v: 'branches' must be a list of at least 2");
  EXPECT_EQ(wrong(R"({"type": "path", "kind": "dir"})"),
            "Config.v: 'kind' must be file, folder or any, found 'dir'");
  EXPECT_EQ(wrong(R"({"type": "map", "keys": {"type": "integer"}})"),
            "Config.v: 'keys' must be a model of type string");
  EXPECT_EQ(wrong(R"({"type": "list", "items": {"type": "integer", "default": 3}})"),
            "Config.v.items: only a field of an object can be optional or have a default");
  EXPECT_EQ(wrong(R"({"type": "integer", "default": "x"})"),
            "Config.v: the default does not fit: Config.v.default: expected an integer, found text 'x'");
  EXPECT_EQ(
      wrong(R"({"type": "string", "pattern": "^a", "default": "b"})"),
      "Config.v: the default does not fit: Config.v.default: expected text that matches ^a, found text 'b'");
  EXPECT_EQ(wrong(R"({"type": "integer", "examples": [1, "x"]})"),
            "Config.v: the example does not fit: Config.v.example: expected an integer, found text 'x'");
}

TEST(Schema, DeepModelsAreRefused) {
  std::string model;
  for (int i = 0; i < 60; ++i) model += R"({"type": "list", "items": )";
  model += R"({"type": "any"})" + std::string(60, '}');
  const std::string message =
      invalid(R"({"type": "object", "fields": [{"name": "v", "model": )" + model + "}]}");
  EXPECT_TRUE(message.ends_with("models are nested deeper than 32 levels")) << message;
}

TEST(Schema, NoModelMayUseAKeyOfTheOrchestrator) {
  for (const InstanceKey& key : kInstanceKeys) {
    const std::string message = invalid(R"({"type": "object", "fields": [{"name": ")" +
                                        std::string(key.name) + R"(", "model": {"type": "any"}}]})");
    EXPECT_NE(message.find(key.name), std::string::npos) << message;
  }
  EXPECT_EQ(find_instance_key("names"), nullptr);
  EXPECT_EQ(find_instance_key(""), nullptr);
}

}  // namespace
}  // namespace pf::pipeline
