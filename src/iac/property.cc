#include "iac/property.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "base/cbor.h"
#include "base/json.h"
#include "iac/passphrase.h"

namespace pf::iac {
namespace {

// A state's value may be as deep as CBOR allows, and lies seven levels down in its file.
constexpr int kMaxDepth = cbor::kMaxDepth + 8;
constexpr double kExact = 9007199254740992.0;  // 2^53

constexpr std::pair<std::string_view, Special> kSpecials[] = {
    {"1b47061264138c4ac30d75fd1eb44270", Special::secret},
    {"c44067f5952c0a294b673a41bacd8c17", Special::asset},
    {"0def7320c3a5731c473e5ecbe6d01bc7", Special::archive},
    {"5cf8f73096256a8f31e491e813e4eb8e", Special::resource_reference},
    {"d0e6a833031e9bbcd3f4e8bde6ca49a4", Special::output_value}};

// What must be known before parsing: the depth, since destroying a value recurses, and whether there is a
// `-0`, which the parser takes for the integer 0. In the latter case `out` becomes the text with `-0.0` in
// its place.
bool prepare(std::string_view text, std::string& out) {
  int depth = 0;
  bool quoted = false;
  size_t copied = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kMaxDepth) return false;
    } else if (c == ']' || c == '}') {
      --depth;
    } else if (c == '-' && i + 1 < text.size() && text[i + 1] == '0' &&
               (i + 2 == text.size() ||
                std::string_view(",]} \t\r\n").find(text[i + 2]) != std::string_view::npos)) {
      out.append(text, copied, i + 2 - copied);
      out += ".0";
      copied = i + 2;
      ++i;
    }
  }
  if (copied != 0) out.append(text, copied);
  return true;
}

void to_doubles(Json& value) {
  if (value.is_structured()) {
    for (auto& item : value) to_doubles(item);
  } else if (value.is_number_integer() && std::fabs(value.get<double>()) >= kExact) {
    value = value.get<double>();
  }
}

std::string below(const std::string& path, const std::string& key) {
  for (const char c : key) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    if (!plain) return path + "[" + go_string(key) + "]";
  }
  return key.empty() ? path + "[\"\"]" : path + "." + key;
}

// strconv.AppendFloat(b, f, 'f' or 'e', -1, 64) as encoding/json calls it.
void append_number(std::string& out, double value) {
  char buffer[40];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific).ptr;
  std::string_view text(buffer, static_cast<size_t>(end - buffer));
  if (text.front() == '-') {
    out += '-';
    text.remove_prefix(1);
  }
  const size_t e = text.find('e');
  std::string digits(text.substr(0, e));
  if (digits.size() > 1) digits.erase(1, 1);  // the point
  int exponent = 0;
  const size_t sign = text[e + 1] == '+' ? e + 2 : e + 1;
  std::from_chars(text.data() + sign, text.data() + text.size(), exponent);
  const double size = std::fabs(value);
  if (size != 0 && (size < 1e-6 || size >= 1e21)) {
    out += digits[0];
    if (digits.size() > 1) out += "." + digits.substr(1);
    out += exponent < 0 ? "e-" : "e+";
    out += std::to_string(std::abs(exponent));
  } else if (exponent < 0) {
    out += "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  } else {
    const auto whole = static_cast<size_t>(exponent) + 1;
    if (digits.size() <= whole)
      out += digits + std::string(whole - digits.size(), '0');
    else
      out += digits.substr(0, whole) + "." + digits.substr(whole);
  }
}

void append_string(std::string& out, std::string_view text) {
  static constexpr char kDigits[] = "0123456789abcdef";
  out += '"';
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\b': out += "\\b"; break;
      case '\f': out += "\\f"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default:
        if (static_cast<uint8_t>(c) < 0x20) {
          out += "\\u00";
          out += kDigits[static_cast<uint8_t>(c) >> 4];
          out += kDigits[static_cast<uint8_t>(c) & 15];
        } else if (text.substr(i, 3) == "\xe2\x80\xa8" || text.substr(i, 3) == "\xe2\x80\xa9") {
          out += text[i + 2] == '\xa8' ? "\\u2028" : "\\u2029";
          i += 2;
        } else {
          out += c;
        }
    }
  }
  out += '"';
}

tl::unexpected<Error> refuse_value(const char* code, const std::string& path, const std::string& what,
                                   const std::string& hint) {
  Where where;
  where.path = path;
  return refuse(code, path + " " + what, hint, std::move(where));
}

tl::unexpected<Error> refuse_bytes(const std::string& path) {
  return refuse_value("stack.bytes", path, "holds bytes that are no UTF-8 text, which a stack cannot hold",
                      "store them as text, with forge.base64.encode or forge.hex.encode");
}

// Makes a value what a state file can hold, or says what cannot be.
Result<void> make_storable(Json& value, const std::string& path) {
  switch (value.type()) {
    case Json::value_t::binary: {
      const auto& bytes = value.get_binary();
      std::string text(bytes.begin(), bytes.end());
      if (!cbor::is_utf8(text)) return refuse_bytes(path);
      value = std::move(text);
      return {};
    }
    case Json::value_t::string:
      if (!cbor::is_utf8(value.get_ref<const std::string&>())) return refuse_bytes(path);
      return {};
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned: {
      // Compared as doubles first: only there is every 64-bit integer in range.
      const double real = value.get<double>();
      if (std::fabs(real) < kExact) return {};
      const bool exact = value.is_number_unsigned() ? real < 18446744073709551616.0 &&
                                                          static_cast<uint64_t>(real) == value.get<uint64_t>()
                                                    : static_cast<int64_t>(real) == value.get<int64_t>();
      if (!exact) {
        return refuse_value(
            "stack.number", path,
            "is " + value.dump() + ", which a stack cannot hold exactly: its numbers are doubles",
            "store it as text");
      }
      value = real;
      return {};
    }
    case Json::value_t::number_float:
      if (!std::isfinite(value.get<double>())) {
        return refuse_value("stack.number", path, "is no finite number, which a stack cannot hold",
                            "store it as text, or leave it out");
      }
      return {};
    case Json::value_t::array:
      for (size_t i = 0; i < value.size(); ++i) {
        if (auto done = make_storable(value[i], path + "[" + std::to_string(i) + "]"); !done) return done;
      }
      return {};
    case Json::value_t::object:
      for (auto& [key, item] : value.items()) {
        if (!cbor::is_utf8(key)) return refuse_bytes(path);
        if (auto done = make_storable(item, below(path, key)); !done) return done;
      }
      return {};
    default: return {};
  }
}

}  // namespace

Result<Json> parse_state_json(std::string_view text) {
  std::string changed;
  if (!prepare(text, changed)) {
    return refuse("json.depth", "JSON is nested deeper than " + std::to_string(kMaxDepth) + " levels");
  }
  try {
    Json value = Json::parse(changed.empty() ? text : std::string_view(changed));
    to_doubles(value);
    return value;
  } catch (const Json::exception& e) {
    std::string what = e.what();
    if (const auto at = what.find("] "); at != std::string::npos) what = what.substr(at + 2);
    return refuse("json.syntax", what);
  }
}

std::string go_string(std::string_view text) {
  std::string out;
  append_string(out, text);
  return out;
}

void append_go_json(std::string& out, const Json& value) {
  switch (value.type()) {
    case Json::value_t::null:
    case Json::value_t::binary:
    case Json::value_t::discarded: out += "null"; break;
    case Json::value_t::boolean: out += value.get<bool>() ? "true" : "false"; break;
    case Json::value_t::number_integer: out += std::to_string(value.get<int64_t>()); break;
    case Json::value_t::number_unsigned: out += std::to_string(value.get<uint64_t>()); break;
    case Json::value_t::number_float: append_number(out, value.get<double>()); break;
    case Json::value_t::string: append_string(out, value.get_ref<const std::string&>()); break;
    case Json::value_t::array: {
      out += '[';
      bool first = true;
      for (const auto& item : value) {
        if (!std::exchange(first, false)) out += ',';
        append_go_json(out, item);
      }
      out += ']';
      break;
    }
    case Json::value_t::object: {
      out += '{';
      bool first = true;
      for (const auto& [key, item] : value.items()) {
        if (!std::exchange(first, false)) out += ',';
        append_string(out, key);
        out += ':';
        append_go_json(out, item);
      }
      out += '}';
      break;
    }
  }
}

Special special_of(const Json& value) {
  if (!value.is_object()) return Special::none;
  const auto found = value.find(kSignature);
  if (found == value.end()) return Special::none;
  for (const auto& [signature, special] : kSpecials) {
    if (found->is_string() && found->get_ref<const std::string&>() == signature) return special;
  }
  return Special::unrecognised;
}

namespace {

// Calls `change` with each secret in a value, outer ones only: what is in a secret is a part of its text.
template <typename Change>
Result<void> each_secret(Json& value, const Change& change) {
  if (!value.is_structured()) return {};
  if (special_of(value) == Special::secret) return change(value);
  for (auto& item : value) {
    if (auto done = each_secret(item, change); !done) return done;
  }
  return {};
}

tl::unexpected<Error> no_key() {
  return refuse("stack.passphrase", "the stack holds secrets, and there is no passphrase to read them with",
                "set PANGEO_FORGE_PASSPHRASE (or PULUMI_CONFIG_PASSPHRASE)");
}

template <typename Is>
bool holds(const Json& value, const Is& is) {
  if (is(value)) return true;
  if (!value.is_structured()) return false;
  return std::any_of(value.begin(), value.end(), [&](const Json& item) { return holds(item, is); });
}

}  // namespace

Result<void> open_secrets(Json& value, const PassphraseKey* key,
                          std::map<std::string, std::string>& ciphertexts) {
  return each_secret(value, [&](Json& secret) -> Result<void> {
    const auto cipher = secret.find("ciphertext");
    if (cipher == secret.end()) return {};
    if (key == nullptr) return no_key();
    if (!cipher->is_string())
      return refuse("stack.cipher", "a secret of the stack is no text", "restore its file");
    auto plain = key->decrypt(cipher->get_ref<const std::string&>());
    if (!plain) return tl::unexpected(std::move(plain.error()));
    ciphertexts[*plain] = cipher->get<std::string>();
    secret.erase("ciphertext");
    secret["plaintext"] = std::move(*plain);
    return {};
  });
}

Result<void> seal_secrets(Json& value, const PassphraseKey* key,
                          const std::map<std::string, std::string>& ciphertexts) {
  return each_secret(value, [&](Json& secret) -> Result<void> {
    const auto plain = secret.find("plaintext");
    if (plain == secret.end()) return {};
    const std::string text = plain->get<std::string>();
    secret.erase("plaintext");
    if (const auto kept = ciphertexts.find(text); kept != ciphertexts.end()) {
      secret["ciphertext"] = kept->second;
      return {};
    }
    if (key == nullptr) return no_key();
    auto cipher = key->encrypt(text);
    if (!cipher) return tl::unexpected(std::move(cipher.error()));
    secret["ciphertext"] = std::move(*cipher);
    return {};
  });
}

Json make_secret(const Json& value) {
  std::string text;
  append_go_json(text, value);
  return {{kSignature, kSpecials[0].first}, {"plaintext", std::move(text)}};
}

bool holds_secret(const Json& value) {
  return holds(value, [](const Json& item) { return special_of(item) == Special::secret; });
}

bool holds_unknown(const Json& value) {
  return holds(value, [](const Json& item) {
    return item.is_string() && item.get_ref<const std::string&>() == kUnknown;
  });
}

std::string find_special(const Json& value, const std::string& path) {
  if (value.is_string() && value.get_ref<const std::string&>() == kUnknown) return path;
  if (value.is_array()) {
    for (size_t i = 0; i < value.size(); ++i) {
      if (auto found = find_special(value[i], path + "[" + std::to_string(i) + "]"); !found.empty())
        return found;
    }
  }
  if (value.is_object()) {
    if (value.contains(kSignature)) return path;
    for (const auto& [key, item] : value.items()) {
      if (auto found = find_special(item, below(path, key)); !found.empty()) return found;
    }
  }
  return {};
}

Result<Json> to_state_value(std::string_view cbor, const std::string& name) {
  if (cbor.empty()) return Json();
  auto value = from_cbor(cbor);
  if (!value) return tl::unexpected(value.error());
  if (!value->is_object())
    return refuse_value("stack.value", name, "is no map, as it has to be", "make it a table");
  if (value->empty()) return Json();
  if (auto done = make_storable(*value, name); !done) return tl::unexpected(done.error());
  if (auto special = find_special(*value, name); !special.empty()) {
    return refuse_value("stack.reserved", special,
                        "is what Pulumi takes for a secret, an asset or an unknown value",
                        "give the key or the text another name");
  }
  return value;
}

std::string go_time(WallTime time) {
  const auto second = std::chrono::floor<std::chrono::seconds>(time);
  const auto nanoseconds = std::chrono::duration_cast<std::chrono::nanoseconds>(time - second).count();
  std::string out = rfc3339(time).substr(0, 19);  // to the second
  if (nanoseconds == 0) return out + "Z";
  std::string fraction = std::to_string(1'000'000'000 + nanoseconds).substr(1);
  while (fraction.back() == '0') fraction.pop_back();
  return out + "." + fraction + "Z";
}

}  // namespace pf::iac
