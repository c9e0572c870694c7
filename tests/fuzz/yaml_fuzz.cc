// The YAML reader: every error has a place in the text and words that can be shown, and what is accepted
// keeps the bounds, with positions in the text and no key twice. Input: the text; it is read with the usual
// bounds and with narrow ones.

#include <algorithm>

#include "base/json.h"
#include "fuzz/fuzz.h"
#include "pipeline/reader.h"

namespace pf::pipeline {
namespace {

using fuzz::check;

const std::string kName = "input.yaml";

/// Counts the values of a tree as its reader bounds them: without keys.
struct Walk {
  uint32_t lines = 1;
  int depth = 0;      // the deepest
  size_t values = 0;  // aliases expanded

  void node(const Node& at, int inside) {
    ++values;
    depth = std::max(depth, inside);
    check(at.line >= 1 && at.line <= lines && at.column >= 1, "a value has a place in the text");
    for (const Node& item : at.list()) node(item, inside + 1);
    std::vector<std::string_view> keys;
    for (const Entry& entry : at.map()) {
      check(entry.key.kind == Kind::string, "a key is a text");
      keys.push_back(entry.key.string());
      node(entry.value, inside + 1);
    }
    std::sort(keys.begin(), keys.end());
    check(std::adjacent_find(keys.begin(), keys.end()) == keys.end(), "no key is there twice");
    if (at.kind == Kind::string) check(cbor::is_utf8(at.string()), "a text is UTF-8", at.string());
  }
};

void read(std::string_view text, const ReadLimits& limits) {
  const auto document = read_yaml(text, kName, "/", limits);
  if (!document) {
    const Error& error = document.error();
    check(error.code.starts_with("yaml."), "a reader's error is its own", error.text());
    check(error.where.file == kName, "an error names the file", error.text());
    fuzz::check_error(error, text, true);
    if (error.code == "yaml.not_utf8")
      check(!cbor::is_utf8(text) || text.find('\\') != std::string_view::npos, "UTF-8 is taken for it",
            error.text());
    return;
  }
  check(cbor::is_utf8(text), "what is no UTF-8 is refused");
  check(text.size() <= limits.bytes, "a text over its bound is refused");
  Walk walk;
  walk.lines += static_cast<uint32_t>(std::count(text.begin(), text.end(), '\n'));
  walk.node((*document)->root(), 0);
  check(walk.depth <= limits.depth, "a tree over its depth is refused", std::to_string(walk.depth));
  check(walk.values <= limits.nodes, "a tree of too many values is refused", std::to_string(walk.values));
  const auto back = from_cbor(to_cbor(to_json((*document)->root())));
  check(back.has_value() == (walk.depth <= cbor::kMaxDepth), "a document crosses frames");
}

}  // namespace
}  // namespace pf::pipeline

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using pf::pipeline::read;
  const std::string_view text = pf::fuzz::view(data, size);
  read(text, {.nodes = 20'000});
  read(text, {.bytes = 2000, .depth = 3, .nodes = 12});
  return 0;
}
