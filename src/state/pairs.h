// The column `pairs` of the table `reused`: which instance reuses which row, about three bytes for each.
// Inside the floor only; a value, any thread.
//
// For each: a varint of (zigzag(instance - the one before) << 1 | has an address), a varint of
// zigzag(row - the one before), and where it has an address (the row's is another: it was moved) a varint of
// its length and the text. Varints are little-endian groups of seven bits, the eighth says that more follow.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace pf::state {

/// One reused instance.
struct Pair {
  uint32_t instance = 0;
  int64_t row = 0;
  std::string_view address = {};  // empty: the row's own
};

/// Appends pairs to a text.
class PairWriter {
 public:
  void add(const Pair& pair);
  const std::string& text() const { return text_; }
  void clear();

 private:
  void varint(uint64_t value);
  std::string text_;
  Pair last_;
};

/// Reads them; addresses are views of the text.
class PairReader {
 public:
  explicit PairReader(std::string_view text) : rest_(text) {}
  /// False at the end, and where the text is not what PairWriter makes: then damaged() is true.
  bool next(Pair& out);
  bool damaged() const { return damaged_; }

 private:
  bool varint(uint64_t& out);
  std::string_view rest_;
  Pair last_;
  bool damaged_ = false;
};

}  // namespace pf::state
