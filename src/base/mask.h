// Keeps secrets out of what people and files get to see: knows their values, and replaces them in text, also
// where they stand there as base64, percent-encoded, hexadecimal or escaped for JSON. A Mask belongs to one
// thread.
//
// What it does not find: a value that was changed in another way (reversed, encrypted, split over two texts).
// It guards against accidents; an extension that is given a secret and wants to tell it can.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/json_fwd.h"

namespace pf {

class Mask {
 public:
  /// Shorter values would be found everywhere.
  static constexpr size_t kShortest = 6;
  static constexpr std::string_view kInstead = "[secret]";

  /// False for a value that is too short. The long lines of a value of several lines count on their own,
  /// since they are often printed one by one.
  bool add(std::string_view value);
  bool empty() const { return patterns_.empty(); }
  bool finds(std::string_view text) const;
  /// The text with every secret in it replaced.
  std::string apply(std::string_view text) const;
  void apply(Error& error) const;
  /// All texts and keys in it.
  void apply(Json& value) const;

 private:
  void pattern(std::string text);

  std::vector<std::string> patterns_;  // each once, longest first
};

}  // namespace pf
