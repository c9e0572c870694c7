// The arguments of host calls as a hostile worker may send them: refused as `call.malformed` or
// `call.argument`, or each of the type that the registry names, so that a host call can use it unseen. Input:
// a line with the call's name, then the CBOR of the arguments.

#include <cmath>

#include "api/arguments.h"
#include "fuzz/fuzz.h"

namespace pf::api {
namespace {

using fuzz::check;

bool is(registry::Type type, std::string_view raw) {
  using T = cbor::Type;
  const cbor::Item item = cbor::Reader(raw).next();
  switch (type) {
    case registry::Type::any: return true;
    case registry::Type::boolean: return item.type == T::boolean;
    case registry::Type::integer:
    case registry::Type::number:
      return item.type == T::unsigned_int || item.type == T::negative_int || item.type == T::number;
    case registry::Type::string: return item.type == T::text || item.type == T::bytes;
    case registry::Type::table:
    case registry::Type::list: return item.type == T::map || item.type == T::array;
    case registry::Type::nothing:
    case registry::Type::function: return false;
  }
  return false;
}

void one(std::string_view input) {
  const int index = registry::find(fuzz::take_line(input));
  const auto calls = registry::calls();
  if (index < 0 || !cbor::scan(input)) return;  // the frame would have been refused
  const registry::Call& call = calls[static_cast<size_t>(index)];
  const auto arguments = Arguments::decode(call, input);
  if (!arguments) {
    const Error& error = arguments.error();
    check(error.code == "call.malformed" || error.code == "call.argument", "why it is refused", error.text());
    check(!error.retryable, "the same again would not help", error.text());
    return;
  }
  for (size_t i = 0; i < call.arguments.size(); ++i) {
    const registry::Argument& argument = call.arguments[i];
    check(arguments->has(i) || argument.optional, "what is needed is there", argument.name);
    if (!arguments->has(i)) continue;
    check(is(argument.type, arguments->raw(i)), "an argument has its type", argument.name);
    if (argument.type == registry::Type::number)
      check(std::isfinite(arguments->number(i)), "a number is finite", argument.name);
    if (argument.type == registry::Type::integer) {
      const double number = arguments->number(i);
      check(std::abs(number) <= 9007199254740992.0 && number == std::trunc(number), "an integer is exact",
            argument.name);
    }
  }
}

}  // namespace
}  // namespace pf::api

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  pf::api::one(pf::fuzz::view(data, size));
  return 0;
}
