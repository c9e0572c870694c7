// A hash table of indexes into somebody else's array: four bytes an entry where a map of strings would take a
// hundred. Not thread-safe for writing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace pf::pipeline {

inline size_t hash_of(std::string_view text, size_t seed = 0) {
  return std::hash<std::string_view>()(text) ^ (seed + 1) * 0x9E3779B97F4A7C15ULL;
}

/// Open addressing over 32-bit indexes; the owner of the array says what is equal and what an index hashes
/// to.
class IndexTable {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;

  /// The stored index that `equal` accepts, or kNone.
  template <class Equal>
  uint32_t find(size_t hash, Equal&& equal) const {
    if (slots_.empty()) return kNone;
    for (size_t slot = mix(hash);; ++slot) {
      const uint32_t index = slots_[slot & mask_];
      if (index == kNone || equal(index)) return index;
    }
  }

  /// Adds an index that is not there yet; `rehash` gives the hash of a stored index.
  template <class Rehash>
  void insert(size_t hash, uint32_t index, Rehash&& rehash) {
    if ((count_ + 1) * 2 > slots_.size()) {
      std::vector<uint32_t> old(slots_.empty() ? 64 : slots_.size() * 2, kNone);
      old.swap(slots_);
      mask_ = slots_.size() - 1;
      for (uint32_t stored : old) {
        if (stored != kNone) put(rehash(stored), stored);
      }
    }
    put(hash, index);
    ++count_;
  }

 private:
  static size_t mix(size_t hash) { return hash ^ hash >> 32; }
  void put(size_t hash, uint32_t index) {
    size_t slot = mix(hash) & mask_;
    while (slots_[slot] != kNone) slot = (slot + 1) & mask_;
    slots_[slot] = index;
  }

  std::vector<uint32_t> slots_;
  size_t mask_ = 0;
  size_t count_ = 0;
};

}  // namespace pf::pipeline
