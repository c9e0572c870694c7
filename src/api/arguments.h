// The arguments of one host call, as they came from the sandbox: decoded once, checked against the registry,
// read in place. Views point into the frame, so an Arguments does not outlive the call that brought it.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "base/cbor.h"
#include "base/error.h"
#include "registry/calls.h"

namespace pf::api {

/// Checked arguments. An accessor's `i` is the argument's place in the registry's list, its type the one
/// named there.
class Arguments {
 public:
  static constexpr size_t kMost = 8;

  /// Errors: `call.malformed` (no well-formed array), `call.argument` (too many, missing, or of another
  /// type).
  static Result<Arguments> decode(const registry::Call& call, std::string_view encoded);

  /// False for one that was left out or null.
  bool has(size_t i) const { return values_[i].item.type != cbor::Type::end; }
  std::string_view text(size_t i) const { return values_[i].item.text; }
  double number(size_t i) const;
  /// The encoded value.
  std::string_view raw(size_t i) const { return values_[i].raw; }

 private:
  struct Value {
    cbor::Item item;  // Type::end: none
    std::string_view raw;
  };
  std::array<Value, kMost> values_{};
};

/// `call.argument`, never retryable: `forge.CALL: MESSAGE`.
tl::unexpected<Error> bad_argument(const registry::Call& call, std::string_view message,
                                   std::string hint = {});
/// How the call is written: `forge.fs.write(path, text)`, optional ones in brackets.
std::string signature(const registry::Call& call);

}  // namespace pf::api
