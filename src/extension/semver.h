// Versions by Semantic Versioning 2.0.0 (semver.org) and ranges of them. Pure; thread-safe.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace pf::extension {

/// A version without its build metadata, which has no precedence.
struct SemVer {
  uint64_t major = 0, minor = 0, patch = 0;
  std::vector<std::string> pre;  // identifiers of the pre-release; empty: a release

  /// `1.2.3`, `1.2.3-rc.1`, `1.2.3+build`; nullopt for anything else.
  static std::optional<SemVer> parse(std::string_view text);
  /// Precedence by semver.org, section 11.
  std::strong_ordering operator<=>(const SemVer& other) const;
  bool operator==(const SemVer& other) const { return (*this <=> other) == std::strong_ordering::equal; }
};

/// A parsed range: alternatives, each a list of bounds that must all hold.
class SemVerRange {
 public:
  /// Comparators `=` (or none), `<`, `<=`, `>`, `>=`, `^` (the same leftmost number that is not 0), `~` (the
  /// same minor), side by side or with commas, and `||` between alternatives. A version may be partial (`1`,
  /// `1.2`, `1.x`, `*`): it stands for all versions that begin so, which makes `<2` exclude pre-releases
  /// of 2.0.0, while `<2.0.0` lets them in. Error `manifest.range`.
  static Result<SemVerRange> parse(std::string_view text);
  bool contains(const SemVer& version) const;

 private:
  struct Bound {
    SemVer version;
    bool lower = false;  // at or above; else below
    bool inclusive = false;
  };
  static bool parse_comparator(std::string_view text, std::vector<Bound>& bounds);
  std::vector<std::vector<Bound>> alternatives_;
};

}  // namespace pf::extension
