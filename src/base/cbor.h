// CBOR (RFC 8949), the subset that frames and stored values use: definite lengths, no tags.
// Writer appends to a string; Reader pulls items without recursion or allocation. Thread-safe: no state.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace pf::cbor {

/// Deepest nesting of arrays and maps that is accepted from anywhere.
inline constexpr int kMaxDepth = 64;

/// Appends items to a string that outlives it.
class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}
  void null() { out_ += '\xf6'; }
  void boolean(bool value) { out_ += value ? '\xf5' : '\xf4'; }
  void integer(int64_t value);
  void unsigned_integer(uint64_t value) { head(0, value); }
  /// A finite double of integral value within 2^53 is written as an integer.
  void number(double value);
  void text(std::string_view value);  // marked as text whatever its bytes are; see text_or_bytes
  void bytes(std::string_view value);
  /// Text where the bytes are UTF-8, else a byte string.
  void text_or_bytes(std::string_view value);
  void array(size_t count) { head(4, count); }
  void map(size_t count) { head(5, count); }
  /// Splices one or more already encoded items.
  void raw(std::string_view encoded) { out_ += encoded; }

 private:
  void head(int major, uint64_t value);
  std::string& out_;
};

enum class Type : uint8_t { unsigned_int, negative_int, bytes, text, array, map, boolean, null, number, end };

/// One item's head. `number` is the value, the count of an array or map (pairs), or 0/1 of a boolean; a
/// negative integer is -1 - number. `text` points into the input.
struct Item {
  Type type = Type::end;
  uint64_t number = 0;
  double real = 0;
  std::string_view text;
};

/// Pulls items one after another; after an error every item is Type::end and ok() is false.
class Reader {
 public:
  explicit Reader(std::string_view in) : begin_(in.data()), at_(in.data()), end_(in.data() + in.size()) {}
  Item next();
  /// The bytes of the next whole item, with all that it contains; empty on error.
  std::string_view next_raw();
  bool ok() const { return ok_; }
  void fail() {
    ok_ = false;
    at_ = end_;
  }
  bool at_end() const { return at_ == end_; }
  size_t offset() const { return static_cast<size_t>(at_ - begin_); }

  // Typed pulls: on another type they fail the reader and return an empty value.
  uint64_t unsigned_int();
  int64_t integer();
  bool boolean();
  std::string_view text();  // text or bytes
  uint64_t array();
  uint64_t map();

 private:
  const char* begin_;
  const char* at_;
  const char* end_;
  bool ok_ = true;
};

/// Accepts exactly one well-formed item of at most kMaxDepth levels with nothing after it. Iterative.
/// Errors: `cbor.malformed`, `cbor.depth`.
Result<void> scan(std::string_view bytes);
/// True when the bytes are well-formed UTF-8 (RFC 3629).
bool is_utf8(std::string_view text);

}  // namespace pf::cbor
