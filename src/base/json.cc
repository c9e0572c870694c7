#include "base/json.h"

#include "base/cbor.h"
#include "base/digest.h"

namespace pf {
namespace {

// nlohmann's parser is iterative, but destroying and dumping a value recurse.
bool too_deep(std::string_view text) {
  int depth = 0;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (quoted) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == '[' || c == '{') {
      if (++depth > cbor::kMaxDepth) return true;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return false;
}

/// Where the number stands that the parser's message names, between quotes: outside of texts.
size_t overflow(std::string_view text, std::string_view message) {
  const size_t open = message.find('\'');
  const size_t close = message.rfind('\'');
  if (open >= close) return 0;
  const std::string_view number = message.substr(open + 1, close - open - 1);
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (quoted && text[i] == '\\')
      ++i;
    else if (text[i] == '"')
      quoted = !quoted;
    else if (!quoted && text.substr(i, number.size()) == number)
      return i;
  }
  return 0;
}

tl::unexpected<Error> not_json(std::string_view text, size_t offset, std::string what) {
  Where where;
  where.line = 1;
  where.column = 1;
  for (const char c : text.substr(0, offset)) {
    if (c == '\n') {
      ++where.line;
      where.column = 1;
    } else if ((static_cast<uint8_t>(c) & 0xc0) != 0x80) {
      ++where.column;
    }
  }
  // `[json.exception.…] parse error at …: syntax error while …; last read: …`
  if (const auto at = what.rfind("; "); at != std::string::npos)
    what = what.substr(at + 2);
  else if (const auto name = what.find("] "); name != std::string::npos)
    what = what.substr(name + 2);
  if (!cbor::is_utf8(what)) {
    for (char& c : what) c = static_cast<uint8_t>(c) < 0x80 ? c : '?';
  }
  return refuse("json.syntax",
                "not JSON at line " + std::to_string(where.line) + ", column " +
                    std::to_string(where.column) + ": " + what,
                {}, where);
}

Json bytes_to_text(const Json& value) {
  if (value.is_binary()) {
    const auto& b = value.get_binary();
    return base64_encode({reinterpret_cast<const char*>(b.data()), b.size()});
  }
  if (value.is_array()) {
    Json out = Json::array();
    for (const auto& item : value) out.push_back(bytes_to_text(item));
    return out;
  }
  if (value.is_object()) {
    Json out = Json::object();
    for (const auto& [key, item] : value.items()) out[key] = bytes_to_text(item);
    return out;
  }
  return value;
}

bool has_bytes(const Json& value) {
  if (value.is_binary()) return true;
  if (!value.is_structured()) return false;
  for (const auto& item : value) {
    if (has_bytes(item)) return true;
  }
  return false;
}

Json read_item(cbor::Reader& in) {
  cbor::Item item = in.next();
  switch (item.type) {
    case cbor::Type::unsigned_int: return item.number;
    case cbor::Type::negative_int: return static_cast<int64_t>(-1 - static_cast<int64_t>(item.number));
    case cbor::Type::bytes: {
      auto* p = reinterpret_cast<const uint8_t*>(item.text.data());
      return Json::binary(std::vector<uint8_t>(p, p + item.text.size()));
    }
    case cbor::Type::text: return std::string(item.text);
    case cbor::Type::array: {
      Json out = Json::array();
      for (uint64_t i = 0; i < item.number && in.ok(); ++i) out.push_back(read_item(in));
      return out;
    }
    case cbor::Type::map: {
      Json out = Json::object();
      for (uint64_t i = 0; i < item.number && in.ok(); ++i) {
        cbor::Item key = in.next();
        if (key.type != cbor::Type::text && key.type != cbor::Type::bytes) {
          in.fail();
          break;
        }
        std::string name(key.text);
        out[name] = read_item(in);
      }
      return out;
    }
    case cbor::Type::boolean: return item.number != 0;
    case cbor::Type::number: return item.real;
    case cbor::Type::null:
    case cbor::Type::end: return nullptr;
  }
  return nullptr;
}

}  // namespace

Result<Json> parse_json(std::string_view text) {
  if (too_deep(text)) {
    return refuse("json.depth", "JSON is nested deeper than " + std::to_string(cbor::kMaxDepth) + " levels",
                  "flatten the value");
  }
  try {
    auto value = Json::parse(text);
    // nlohmann's parser takes a NUL between tokens for the end of the text, whatever follows.
    if (const size_t nul = text.find('\0'); nul != std::string_view::npos)
      return not_json(text, nul, "expected end of input, found a NUL byte");
    return value;
  } catch (const Json::parse_error& e) {
    return not_json(text, e.byte > 0 ? e.byte - 1 : 0, e.what());
  } catch (const Json::exception& e) {  // a number that no double can hold, of which the place is not told
    return not_json(text, overflow(text, e.what()), e.what());
  }
}

std::string to_json_text(const Json& value, int indent) {
  if (has_bytes(value)) return to_json_text(bytes_to_text(value), indent);
  return value.dump(indent, ' ', false, Json::error_handler_t::replace);
}

Result<Json> from_cbor(std::string_view bytes) {
  if (auto scanned = cbor::scan(bytes); !scanned) return tl::unexpected(scanned.error());
  cbor::Reader in(bytes);
  Json value = read_item(in);
  if (!in.ok()) return refuse("cbor.map_key", "a CBOR map has a key that is not text");
  return value;
}

void append_cbor(std::string& out, const Json& value) {
  cbor::Writer w(out);
  switch (value.type()) {
    case Json::value_t::null:
    case Json::value_t::discarded: w.null(); break;
    case Json::value_t::boolean: w.boolean(value.get<bool>()); break;
    case Json::value_t::number_integer: w.integer(value.get<int64_t>()); break;
    case Json::value_t::number_unsigned: w.unsigned_integer(value.get<uint64_t>()); break;
    case Json::value_t::number_float: w.number(value.get<double>()); break;
    case Json::value_t::string: w.text(value.get_ref<const std::string&>()); break;
    case Json::value_t::binary: {
      const auto& b = value.get_binary();
      w.bytes({reinterpret_cast<const char*>(b.data()), b.size()});
      break;
    }
    case Json::value_t::array:
      w.array(value.size());
      for (const auto& item : value) append_cbor(out, item);
      break;
    case Json::value_t::object:
      w.map(value.size());
      for (const auto& [key, item] : value.items()) {
        w.text(key);
        append_cbor(out, item);
      }
      break;
  }
}

std::string to_cbor(const Json& value) {
  std::string out;
  append_cbor(out, value);
  return out;
}

}  // namespace pf
