#include "base/cbor.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstring>

namespace pf::cbor {

void Writer::head(int major, uint64_t value) {
  const char top = static_cast<char>(major << 5);
  if (value < 24) {
    out_ += static_cast<char>(top | static_cast<char>(value));
    return;
  }
  int width = value <= 0xff ? 1 : value <= 0xffff ? 2 : value <= 0xffffffff ? 4 : 8;
  char buffer[9];
  buffer[0] = static_cast<char>(top | (24 + std::countr_zero(static_cast<unsigned>(width))));
  for (int i = 0; i < width; ++i) buffer[1 + i] = static_cast<char>(value >> (8 * (width - 1 - i)));
  out_.append(buffer, static_cast<size_t>(width) + 1);
}

void Writer::integer(int64_t value) {
  if (value >= 0)
    head(0, static_cast<uint64_t>(value));
  else
    head(1, static_cast<uint64_t>(-1 - value));
}

void Writer::number(double value) {
  constexpr double kExact = 9007199254740992.0;  // 2^53
  if (value >= -kExact && value <= kExact && value == std::trunc(value) &&
      !(value == 0 && std::signbit(value))) {
    integer(static_cast<int64_t>(value));
    return;
  }
  auto bits = std::bit_cast<uint64_t>(value);
  char buffer[9];
  buffer[0] = '\xfb';
  for (int i = 0; i < 8; ++i) buffer[1 + i] = static_cast<char>(bits >> (56 - 8 * i));
  out_.append(buffer, 9);
}

void Writer::text(std::string_view value) {
  head(3, value.size());
  out_ += value;
}

void Writer::bytes(std::string_view value) {
  head(2, value.size());
  out_ += value;
}

void Writer::text_or_bytes(std::string_view value) {
  if (is_utf8(value))
    text(value);
  else
    bytes(value);
}

Item Reader::next() {
  Item item;
  if (!ok_ || at_ == end_) {
    fail();
    return item;
  }
  const auto first = static_cast<uint8_t>(*at_++);
  const int major = first >> 5;
  const int low = first & 31;
  uint64_t value = static_cast<uint64_t>(low);
  if (low >= 24) {
    if (low > 27) {  // reserved or indefinite
      fail();
      return item;
    }
    const int width = 1 << (low - 24);
    if (end_ - at_ < width) {
      fail();
      return item;
    }
    value = 0;
    for (int i = 0; i < width; ++i) value = value << 8 | static_cast<uint8_t>(*at_++);
  }
  switch (major) {
    case 0: item.type = Type::unsigned_int; break;
    case 1:
      if (value > INT64_MAX) {
        fail();
        return item;
      }
      item.type = Type::negative_int;
      break;
    case 2:
    case 3:
      if (static_cast<uint64_t>(end_ - at_) < value) {
        fail();
        return item;
      }
      item.type = major == 2 ? Type::bytes : Type::text;
      item.text = {at_, static_cast<size_t>(value)};
      at_ += value;
      break;
    case 4:
    case 5:
      // Every element takes a byte at least: a count beyond the rest is a lie, and would be an allocation
      // bomb.
      if (value > static_cast<uint64_t>(end_ - at_)) {
        fail();
        return item;
      }
      item.type = major == 4 ? Type::array : Type::map;
      break;
    case 7:
      if (low == 20 || low == 21) {
        item.type = Type::boolean;
        value = low == 21;
      } else if (low == 22 || low == 23) {
        item.type = Type::null;
      } else if (low == 27) {
        item.type = Type::number;
        item.real = std::bit_cast<double>(value);
      } else if (low == 26) {
        item.type = Type::number;
        item.real = static_cast<double>(std::bit_cast<float>(static_cast<uint32_t>(value)));
      } else {
        fail();
        return item;
      }
      break;
    default: fail(); return item;  // tags
  }
  item.number = value;
  return item;
}

std::string_view Reader::next_raw() {
  const char* start = at_;
  uint64_t open = 1;  // items still to read
  while (open > 0 && ok_) {
    Item item = next();
    --open;
    if (item.type == Type::array) open += item.number;
    if (item.type == Type::map) open += 2 * item.number;
  }
  if (!ok_) return {};
  return {start, static_cast<size_t>(at_ - start)};
}

uint64_t Reader::unsigned_int() {
  Item item = next();
  if (item.type != Type::unsigned_int) {
    fail();
    return 0;
  }
  return item.number;
}

int64_t Reader::integer() {
  Item item = next();
  if (item.type == Type::unsigned_int && item.number <= INT64_MAX) return static_cast<int64_t>(item.number);
  if (item.type == Type::negative_int) return -1 - static_cast<int64_t>(item.number);
  fail();
  return 0;
}

bool Reader::boolean() {
  Item item = next();
  if (item.type != Type::boolean) fail();
  return item.number != 0;
}

std::string_view Reader::text() {
  Item item = next();
  if (item.type != Type::text && item.type != Type::bytes) {
    fail();
    return {};
  }
  return item.text;
}

uint64_t Reader::array() {
  Item item = next();
  if (item.type != Type::array) {
    fail();
    return 0;
  }
  return item.number;
}

uint64_t Reader::map() {
  Item item = next();
  if (item.type != Type::map) {
    fail();
    return 0;
  }
  return item.number;
}

Result<void> scan(std::string_view bytes) {
  Reader in(bytes);
  std::array<uint64_t, kMaxDepth + 1> open{};  // items still to read at each level
  int depth = 0;
  open[0] = 1;
  while (true) {
    while (depth >= 0 && open[static_cast<size_t>(depth)] == 0) --depth;
    if (depth < 0) break;
    --open[static_cast<size_t>(depth)];
    Item item = in.next();
    if (!in.ok()) return refuse("cbor.malformed", "malformed CBOR at byte " + std::to_string(in.offset()));
    if (item.type == Type::array || item.type == Type::map) {
      if (depth == kMaxDepth) {
        return refuse("cbor.depth", "CBOR nested deeper than " + std::to_string(kMaxDepth) + " levels");
      }
      open[static_cast<size_t>(++depth)] = item.type == Type::map ? 2 * item.number : item.number;
    }
  }
  if (!in.at_end()) return refuse("cbor.malformed", "bytes after the CBOR item");
  return {};
}

bool is_utf8(std::string_view text) {
  const auto* p = reinterpret_cast<const uint8_t*>(text.data());
  const auto* end = p + text.size();
  while (p < end) {
    while (end - p >= 8) {
      uint64_t word;
      std::memcpy(&word, p, 8);
      if ((word & 0x8080808080808080ULL) != 0) break;
      p += 8;
    }
    if (p == end) break;
    const uint8_t c = *p++;
    if (c < 0x80) continue;
    int more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
    if (c < 0xc2 || c > 0xf4 || end - p < more) return false;
    const uint8_t next = *p;
    if ((c == 0xe0 && next < 0xa0) || (c == 0xed && next > 0x9f) || (c == 0xf0 && next < 0x90) ||
        (c == 0xf4 && next > 0x8f)) {
      return false;
    }
    for (; more > 0; --more) {
      if ((*p++ & 0xc0) != 0x80) return false;
    }
  }
  return true;
}

}  // namespace pf::cbor
