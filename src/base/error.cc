#include "base/error.h"

#include <algorithm>
#include <cstring>

namespace pf {

std::string Where::text() const {
  if (file.empty()) return path;
  std::string out = file;
  if (line != 0) {
    out += ':' + std::to_string(line);
    if (column != 0) out += ':' + std::to_string(column);
  }
  return out;
}

std::string Error::text() const {
  std::string out = where.text();
  if (!out.empty()) out += ": ";
  out += message;
  if (!code.empty()) out += " [" + code + "]";
  if (!hint.empty()) out += "\n  hint: " + hint;
  return out;
}

tl::unexpected<Error> fail(std::string code, std::string message, std::string hint, Where where) {
  Error error;
  error.code = std::move(code);
  error.message = std::move(message);
  error.hint = std::move(hint);
  error.where = std::move(where);
  return tl::unexpected<Error>(std::move(error));
}

tl::unexpected<Error> refuse(std::string code, std::string message, std::string hint, Where where) {
  auto result = fail(std::move(code), std::move(message), std::move(hint), std::move(where));
  result.value().retryable = false;
  return result;
}

Error system_error(std::string_view what, int errno_value) {
  Error error;
  const char* name = strerrorname_np(errno_value);
  error.code = "os.";
  for (const char* c = name != nullptr ? name : "unknown"; *c != '\0'; ++c) {
    error.code += static_cast<char>(*c >= 'A' && *c <= 'Z' ? *c - 'A' + 'a' : *c);
  }
  error.message = std::string(what) + ": " + strerror(errno_value);
  return error;
}

}  // namespace pf
