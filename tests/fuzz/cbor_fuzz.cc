// CBOR as it comes from a worker: what scan() accepts is one item of bounded depth, and survives every way
// through Reader, Writer and JSON unchanged. Input: the bytes of an item.

#include <cmath>

#include "base/json.h"
#include "fuzz/fuzz.h"

namespace pf {
namespace {

using fuzz::check;

enum class Verdict : uint8_t { fine, malformed, deep };

/// What scan() must say, with a stack of its own.
Verdict judge(std::string_view bytes) {
  cbor::Reader in(bytes);
  std::vector<uint64_t> open{1};
  while (!open.empty()) {
    if (open.back() == 0) {
      open.pop_back();
      continue;
    }
    --open.back();
    const cbor::Item item = in.next();
    if (!in.ok()) return Verdict::malformed;
    if (item.type == cbor::Type::array) open.push_back(item.number);
    if (item.type == cbor::Type::map) open.push_back(2 * item.number);
    if (open.size() > cbor::kMaxDepth + 1) return Verdict::deep;
  }
  return in.at_end() ? Verdict::fine : Verdict::malformed;
}

/// The same items, as Writer writes them.
std::string written_again(std::string_view bytes) {
  std::string out;
  cbor::Writer w(out);
  for (cbor::Reader in(bytes); !in.at_end();) {
    const cbor::Item item = in.next();
    switch (item.type) {
      case cbor::Type::unsigned_int: w.unsigned_integer(item.number); break;
      case cbor::Type::negative_int: w.integer(-1 - static_cast<int64_t>(item.number)); break;
      case cbor::Type::bytes: w.bytes(item.text); break;
      case cbor::Type::text: w.text(item.text); break;
      case cbor::Type::array: w.array(item.number); break;
      case cbor::Type::map: w.map(item.number); break;
      case cbor::Type::boolean: w.boolean(item.number != 0); break;
      case cbor::Type::null: w.null(); break;
      case cbor::Type::number: w.number(item.real); break;
      case cbor::Type::end: check(false, "a scanned item has no end inside");
    }
  }
  return out;
}

/// JSON text says all of it: no bytes, no text that is no UTF-8, no infinite number.
bool is_json(const Json& value) {
  if (value.is_binary()) return false;
  if (value.is_string()) return cbor::is_utf8(value.get_ref<const std::string&>());
  if (value.is_number_float()) return std::isfinite(value.get<double>());
  for (const auto& [key, item] : value.items()) {
    if (value.is_object() && !cbor::is_utf8(key)) return false;
    if (value.is_structured() && !is_json(item)) return false;
  }
  return true;
}

void one(std::string_view input) {
  const auto scanned = cbor::scan(input);
  const Verdict verdict = judge(input);
  check(scanned.has_value() == (verdict == Verdict::fine), "scan() accepts what is well-formed and not deep");
  if (!scanned)
    check((scanned.error().code == "cbor.depth") == (verdict == Verdict::deep), "scan() says why");
  const auto value = from_cbor(input);
  if (!scanned) {
    check(!value && value.error().code == scanned.error().code, "from_cbor() refuses what scan() refuses");
    return;
  }
  cbor::Reader in(input);
  check(in.next_raw() == input && in.at_end(), "next_raw() takes the whole item");
  const std::string once = written_again(input);
  check(cbor::scan(once).has_value(), "what Writer writes is accepted");
  check(written_again(once) == once, "Writer writes the same again");

  if (!value) return;  // a map with keys that are no texts
  const std::string encoded = to_cbor(*value);
  const auto decoded = from_cbor(encoded);
  check(decoded.has_value(), "what was decoded can be encoded and decoded");
  check(to_cbor(*decoded) == encoded, "decode, encode, decode gives the same");
  if (!is_json(*value)) return;
  const std::string text = to_json_text(*value);
  const auto parsed = parse_json(text);
  check(parsed.has_value(), "JSON text of it can be parsed", text);
  check(to_json_text(*parsed) == text, "JSON text, parsed and printed, is the same", text);
}

}  // namespace
}  // namespace pf

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  pf::one(pf::fuzz::view(data, size));
  return 0;
}
