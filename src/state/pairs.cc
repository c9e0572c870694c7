#include "state/pairs.h"

namespace pf::state {
namespace {

uint64_t zigzag(int64_t value) { return (static_cast<uint64_t>(value) << 1) ^ (value < 0 ? UINT64_MAX : 0); }
int64_t zagzig(uint64_t value) {
  return static_cast<int64_t>((value >> 1) ^ ((value & 1) != 0 ? UINT64_MAX : 0));
}

}  // namespace

void PairWriter::varint(uint64_t value) {
  while (value >= 0x80) {
    text_ += static_cast<char>(value | 0x80);
    value >>= 7;
  }
  text_ += static_cast<char>(value);
}

void PairWriter::add(const Pair& pair) {
  const int64_t step = static_cast<int64_t>(pair.instance) - static_cast<int64_t>(last_.instance);
  varint(zigzag(step) << 1 | (pair.address.empty() ? 0 : 1));
  varint(zigzag(pair.row - last_.row));
  if (!pair.address.empty()) {
    varint(pair.address.size());
    text_ += pair.address;
  }
  last_ = pair;
}

void PairWriter::clear() {
  text_.clear();
  last_ = {};
}

bool PairReader::varint(uint64_t& out) {
  out = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    if (rest_.empty()) return false;
    const auto byte = static_cast<uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    out |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) return true;
  }
  return false;
}

bool PairReader::next(Pair& out) {
  if (rest_.empty() || damaged_) return false;
  uint64_t step = 0, row = 0, size = 0;
  damaged_ = true;
  if (!varint(step) || !varint(row)) return false;
  const int64_t instance = static_cast<int64_t>(last_.instance) + zagzig(step >> 1);
  if (instance < 0 || instance > UINT32_MAX) return false;
  out.instance = static_cast<uint32_t>(instance);
  out.row = static_cast<int64_t>(static_cast<uint64_t>(last_.row) + static_cast<uint64_t>(zagzig(row)));
  out.address = {};
  if ((step & 1) != 0) {
    if (!varint(size) || size > rest_.size()) return false;
    out.address = rest_.substr(0, size);
    rest_.remove_prefix(size);
  }
  damaged_ = false;
  last_ = out;
  return true;
}

}  // namespace pf::state
