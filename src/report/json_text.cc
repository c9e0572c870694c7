#include "report/json_text.h"

#include <charconv>
#include <cmath>

#include "base/cbor.h"
#include "base/digest.h"
#include "base/json.h"
#include "report/visible.h"

namespace pf::report {
namespace {

bool must_escape(char32_t point) {
  return (point >= 0x7F && point < 0xA0) || point == 0x061C || point == 0x200E || point == 0x200F ||
         (point >= 0x2028 && point <= 0x202E) || (point >= 0x2066 && point <= 0x2069);
}

void append_escape(std::string& out, char32_t point) {
  static constexpr char kDigits[] = "0123456789abcdef";
  out += "\\u";
  for (int shift = 12; shift >= 0; shift -= 4) out += kDigits[point >> shift & 0xF];
}

// Depth is bounded by cbor::scan, which every caller's input has passed.
bool append_item(std::string& out, cbor::Reader& in, size_t stop) {
  const cbor::Item item = in.next();
  switch (item.type) {
    case cbor::Type::null: out += "null"; return true;
    case cbor::Type::boolean: out += item.number != 0 ? "true" : "false"; return true;
    case cbor::Type::unsigned_int: out += std::to_string(item.number); return true;
    case cbor::Type::negative_int: out += std::to_string(-1 - static_cast<int64_t>(item.number)); return true;
    case cbor::Type::number: append_json_number(out, item.real); return true;
    case cbor::Type::text: append_json_string(out, item.text.substr(0, stop)); return true;
    case cbor::Type::bytes: out += '"' + base64_encode(item.text.substr(0, stop)) + '"'; return true;
    case cbor::Type::array:
      out += '[';
      for (uint64_t i = 0; i < item.number && out.size() < stop; ++i) {
        if (i != 0) out += ',';
        if (!append_item(out, in, stop)) return false;
      }
      out += ']';
      return true;
    case cbor::Type::map:
      out += '{';
      for (uint64_t i = 0; i < item.number && out.size() < stop; ++i) {
        if (i != 0) out += ',';
        const cbor::Item key = in.next();
        if (key.type != cbor::Type::text && key.type != cbor::Type::bytes) return false;
        append_json_string(out, key.text);
        out += ':';
        if (!append_item(out, in, stop)) return false;
      }
      out += '}';
      return true;
    case cbor::Type::end: return false;
  }
  return false;
}

void append_text_or_null(std::string& out, std::string_view name, std::string_view value) {
  out.append(",\"").append(name).append("\":");
  if (value.empty())
    out += "null";
  else
    append_json_string(out, value);
}

void append_position(std::string& out, std::string_view name, uint32_t value) {
  out.append(",\"").append(name).append("\":");
  out += value == 0 ? "null" : std::to_string(value);
}

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  size_t plain = 0;  // start of the run that needs no escape
  for (size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (c >= 0x20 && c < 0x7F && c != '"' && c != '\\') {
      ++at;
      continue;
    }
    const size_t from = at;
    const char32_t point = next_point(text, at);
    const bool broken = point == 0xFFFD && text.substr(from, at - from) != "\xEF\xBF\xBD";
    if (point >= 0x80 && !broken && !must_escape(point)) continue;
    out += text.substr(plain, from - plain);
    plain = at;
    switch (point) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\t': out += "\\t"; break;
      case '\r': out += "\\r"; break;
      default:
        if (broken)
          out += "\xEF\xBF\xBD";
        else
          append_escape(out, point);
    }
  }
  out += text.substr(plain);
  out += '"';
}

void append_json_number(std::string& out, double value) {
  if (!std::isfinite(value)) {
    out += "null";
    return;
  }
  char text[32];
  if (value == std::floor(value) && std::fabs(value) <= 9007199254740992.0) {
    const auto end = std::to_chars(text, text + sizeof text, static_cast<int64_t>(value)).ptr;
    out.append(text, static_cast<size_t>(end - text));
    return;
  }
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  out.append(text, static_cast<size_t>(end - text));
}

bool append_json_value(std::string& out, std::string_view cbor, size_t limit) {
  if (!cbor::scan(cbor)) return false;
  const size_t before = out.size();
  cbor::Reader in(cbor);
  if (append_item(out, in, limit < SIZE_MAX - before ? before + limit : SIZE_MAX)) return true;
  out.resize(before);
  return false;
}

void append_error_fields(std::string& out, const Error& error) {
  out += "\"code\":";
  append_json_string(out, error.code);
  out += ",\"message\":";
  append_json_string(out, error.message);
  append_text_or_null(out, "hint", error.hint);
  append_text_or_null(out, "file", error.where.file);
  append_position(out, "line", error.where.line);
  append_position(out, "column", error.where.column);
  if (!error.where.path.empty()) append_text_or_null(out, "path", error.where.path);
  if (!error.traceback.empty()) append_text_or_null(out, "traceback", error.traceback);
}

}  // namespace pf::report
