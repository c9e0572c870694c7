// Kept trees: they say what was parsed, and damage makes them vanish.
#include "pipeline/tree_cache.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "base/file.h"
#include "loading.h"
#include "pipeline/reader.h"

namespace pf::pipeline {
namespace {

/// Everything that a tree says, with places and marks.
void write_out(std::string& out, const Node& node) {
  out += '(' + std::to_string(static_cast<int>(node.kind)) + ' ' + std::to_string(node.line) + ':' +
         std::to_string(node.column) + (node.quoted ? "q" : "") + (node.computed ? "c" : "") +
         (node.escaped ? "e" : "") + (node.verbatim ? "v" : "") +
         std::to_string(static_cast<int>(node.merge)) + ' ';
  if (node.kind != Kind::list && node.kind != Kind::map) out += scalar_text(node);
  for (const Node& item : node.list()) write_out(out, item);
  for (const Entry& entry : node.map()) {
    write_out(out, entry.key);
    write_out(out, entry.value);
  }
  out += ')';
}
std::string text_of(const Document& document) {
  std::string out = document.has_merge_tags() ? "tags " : "";
  write_out(out, document.root());
  return out;
}

const std::string kText = R"(p:
  core: {variables: {a: "ä${var.b}", b: "$${x}", c: 1.5, d: -7, e: null, f: true, g: ''}}
  t: &all
    - {name: one, "a b": [[], {}, 0x10, .inf, .nan]}
    - <<: &base {k: [1, 2]}
      name: two
      text: |
        lines
        of text
    - {<<: *base, name: three, again: *base}
  u: *all
)";

std::unique_ptr<Document> parse(const std::string& text) {
  ReadLimits limits;
  limits.merge_tags = true;
  auto document = read_yaml(text, "p.yaml", "/", limits);
  EXPECT_TRUE(document) << document.error().text();
  return std::move(*document);
}

TEST(TreeCache, KeepsWhatWasParsed) {
  for (const std::string& text : {kText, std::string("x"), std::string(""), std::string("[]"),
                                  std::string("p: {t: !append [!replace {a: 1}]}")}) {
    const auto parsed = parse(text);
    const auto kept = decode_tree(encode_tree(parsed->root(), parsed->has_merge_tags()));
    ASSERT_TRUE(kept) << text;
    EXPECT_EQ(text_of(*kept), text_of(*parsed));
  }
}

TEST(TreeCache, NeverTrustsWhatItReads) {
  const auto parsed = parse(kText);
  const std::string good = encode_tree(parsed->root(), false);
  for (size_t size = 0; size < good.size(); ++size) EXPECT_FALSE(decode_tree(good.substr(0, size))) << size;
  EXPECT_FALSE(decode_tree(good + "x"));
  for (size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 0x10);
    EXPECT_FALSE(decode_tree(bad)) << i;
  }
}

__extension__ using Wide = unsigned __int128;

/// The checksum that belongs to the bytes, so that what lies behind it is looked at.
void seal(std::string& bytes) {
  uint64_t sum = 0x9E3779B97F4A7C15ULL ^ (bytes.size() - 32);
  for (size_t at = 32; at <= bytes.size(); at += 8) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data() + at, std::min<size_t>(8, bytes.size() - at));
    const Wide product = static_cast<Wide>(sum ^ word) * 0xD6E8FEB86659FD93ULL;
    sum = static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64) ^ word;
    if (bytes.size() - at < 8) break;
  }
  std::memcpy(bytes.data() + 24, &sum, 8);
}

TEST(TreeCache, SurvivesHostileTrees) {
  const auto parsed = parse(kText);
  std::string good = encode_tree(parsed->root(), false);
  std::string sealed = good;
  seal(sealed);
  ASSERT_EQ(sealed, good);  // the seal is right: what follows gets past it
  std::mt19937 random(20261121);
  size_t accepted = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string bad = good;
    for (int changes = 1 + round % 4; changes > 0; --changes)
      bad[32 + random() % (bad.size() - 32)] = static_cast<char>(random() % 4 == 0 ? random() : random() % 9);
    seal(bad);
    if (const auto kept = decode_tree(bad)) {
      text_of(*kept);
      to_json(kept->root());
      ++accepted;
    }
  }
  EXPECT_GT(accepted, 100U);  // other values, but trees all the same
}

TEST(TreeCache, RefusesTreesThatMultiply) {
  // Lists of two, each of which is twice the one before: 2^40 values in 41 nodes.
  const auto parsed = parse("[1, 1]");
  std::string bytes = encode_tree(parsed->root(), false);
  const auto nodes = [&](size_t count, size_t width) {
    std::string out = bytes.substr(0, 56);
    Node one;
    one.kind = Kind::integer;
    std::string body;
    const auto put = [&](Node node, uint64_t bits) {
      node.bits = bits;
      body.append(reinterpret_cast<const char*>(&node), sizeof node);
    };
    for (size_t i = 0; i < width; ++i) put(one, 1);
    Node list;
    list.kind = Kind::list;
    list.size = static_cast<uint32_t>(width);
    for (size_t k = 0; k < count; ++k) {
      for (size_t i = 0; i < width; ++i) put(list, k * width);
    }
    const uint64_t total = body.size() / sizeof(Node);
    std::memcpy(out.data() + 32, &total, 8);
    out += body;
    seal(out);
    return out;
  };
  EXPECT_TRUE(decode_tree(nodes(10, 2)));
  EXPECT_FALSE(decode_tree(nodes(40, 2)));
  EXPECT_TRUE(decode_tree(nodes(64, 1)));
  EXPECT_FALSE(decode_tree(nodes(65, 1)));
}

TEST(TreeCache, IsReadByLoadAndWrittenOnRequest) {
  Loading loading(
      "include: [b.yaml]\np:\n  core: {profiles: {x: {}}}\n  t: [{name: a, v: '${var.nothing ?? 1}'}]\n");
  std::ofstream(loading.folder / "b.yaml") << "p:\n  t: [{name: b, w: 2}]\n";
  std::ofstream(loading.folder / "p.x.yaml") << "p:\n  t: [{name: b, w: 3}]\n";
  loading.options.profile = "x";
  loading.options.tree_cache = loading.folder / "state/cache/trees";
  auto first = loading.load();
  ASSERT_TRUE(first) << loading.errors;
  EXPECT_FALSE(std::filesystem::exists(loading.options.tree_cache));
  ASSERT_TRUE(keep_trees(*first));
  const auto count = [&] {
    return std::distance(std::filesystem::directory_iterator(loading.options.tree_cache), {});
  };
  EXPECT_EQ(count(), 3);
  auto second = loading.load();
  ASSERT_TRUE(second) << loading.errors;
  const auto all = [](const Pipeline& pipeline) {
    std::string out;
    for (const Instance& instance : pipeline.instances) {
      write_out(out, instance.config);
      out += pipeline.document->where(*instance.config.find(instance.name == "a" ? "v" : "w")).text() + '\n';
    }
    return out;
  };
  EXPECT_EQ(all(*first), all(*second));
  for (const auto& entry : std::filesystem::directory_iterator(loading.options.tree_cache))
    std::filesystem::remove(entry.path());
  ASSERT_TRUE(keep_trees(*second));
  EXPECT_EQ(count(), 0);  // nothing was parsed
  for (int i = 0; i < 40; ++i)
    ASSERT_TRUE(write_tree(loading.options.tree_cache / (std::to_string(i) + ".tree"),
                           first->document->root(), false));
  EXPECT_EQ(count(), 32);
}

}  // namespace
}  // namespace pf::pipeline
