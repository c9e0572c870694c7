#include "api/arguments.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/text.h"

namespace pf::api {
namespace {

// Beyond that not every whole number is a double, as Lua's numbers are, and casts of them are undefined.
constexpr double kExact = 9007199254740992.0;  // 2^53

double number_of(const cbor::Item& item) {
  if (item.type == cbor::Type::unsigned_int) return static_cast<double>(item.number);
  if (item.type == cbor::Type::negative_int) return -1.0 - static_cast<double>(item.number);
  return item.real;
}

std::string_view describe(const cbor::Item& item) {
  switch (item.type) {
    case cbor::Type::unsigned_int:
    case cbor::Type::negative_int:
    case cbor::Type::number:
      if (!std::isfinite(item.real)) return "one that is not finite";
      return std::abs(number_of(item)) <= kExact ? "a number" : "a number beyond 2^53";
    case cbor::Type::bytes:
    case cbor::Type::text: return "a string";
    case cbor::Type::array:
    case cbor::Type::map: return "a table";
    case cbor::Type::boolean: return "a boolean";
    case cbor::Type::null:
    case cbor::Type::end: return "nil";
  }
  return "";
}

bool fits(registry::Type type, const cbor::Item& item) {
  using T = cbor::Type;
  const bool whole = item.type == T::unsigned_int || item.type == T::negative_int;
  switch (type) {
    case registry::Type::any: return true;
    case registry::Type::boolean: return item.type == T::boolean;
    case registry::Type::integer:
      return (whole || item.type == T::number) && std::abs(number_of(item)) <= kExact &&
             number_of(item) == std::trunc(number_of(item));
    case registry::Type::number: return whole || (item.type == T::number && std::isfinite(item.real));
    case registry::Type::string: return item.type == T::text || item.type == T::bytes;
    case registry::Type::table: return item.type == T::map || item.type == T::array;
    case registry::Type::list: return item.type == T::array || (item.type == T::map && item.number == 0);
    case registry::Type::nothing:
    case registry::Type::function: return false;  // functions do not cross
  }
  return false;
}

}  // namespace

std::string signature(const registry::Call& call) {
  std::string out = "forge." + std::string(call.name) + "(";
  bool first = true;
  for (const registry::Argument& argument : call.arguments) {
    if (!first) out += ", ";
    first = false;
    out += argument.optional ? "[" + std::string(argument.name) + "]" : std::string(argument.name);
  }
  return out + ")";
}

tl::unexpected<Error> bad_argument(const registry::Call& call, std::string_view message, std::string hint) {
  if (hint.empty()) hint = "write " + signature(call);
  return refuse("call.argument", "forge." + std::string(call.name) + ": " + std::string(message),
                std::move(hint));
}

namespace {

std::string a_type(registry::Type type) {
  const std::string_view name = registry::describe(type);
  return (type == registry::Type::any ? "" : name.front() == 'i' ? "an " : "a ") + std::string(name);
}

/// Names and types of a table whose fields the registry lists.
Result<void> check_fields(const registry::Call& call, const registry::Argument& argument,
                          std::string_view raw) {
  cbor::Reader in(raw);
  const cbor::Item table = in.next();
  if (table.type == cbor::Type::array) {
    if (table.number == 0) return {};  // Lua's empty table does not say what it is
    return bad_argument(call, "`" + std::string(argument.name) + "` must have names, as {" +
                                  std::string(argument.fields.front().name) + " = …}, is a list");
  }
  std::vector<bool> given(argument.fields.size());
  for (uint64_t left = table.number; left > 0; --left) {
    const std::string_view name = in.text();
    const std::string_view value = in.next_raw();
    if (!in.ok())
      return bad_argument(call, "`" + std::string(argument.name) + "` must have names, which are texts");
    const auto field = std::find_if(argument.fields.begin(), argument.fields.end(),
                                    [&](const auto& f) { return f.name == name; });
    if (field == argument.fields.end()) {
      std::vector<std::string> names;
      for (const auto& f : argument.fields) names.emplace_back(f.name);
      const std::string guess = did_you_mean(name, names);
      return bad_argument(call, "there is no option '" + shorten(name, 60) + "'",
                          guess.empty() ? "options are " + join(names, ", ") : guess);
    }
    const cbor::Item item = cbor::Reader(value).next();
    if (item.type == cbor::Type::null && field->type != registry::Type::any) continue;
    if (!fits(field->type, item)) {
      return bad_argument(call,
                          "`" + std::string(name) + "` must be " + a_type(field->type) + ", is " +
                              std::string(describe(item)),
                          std::string(name) + ": " + std::string(field->doc));
    }
    given[static_cast<size_t>(field - argument.fields.begin())] = true;
  }
  for (size_t i = 0; i < given.size(); ++i) {
    const auto& field = argument.fields[i];
    if (!field.optional && !given[i]) {
      return bad_argument(call,
                          "`" + std::string(field.name) + "` is missing: it must be " + a_type(field.type));
    }
  }
  return {};
}

}  // namespace

double Arguments::number(size_t i) const { return number_of(values_[i].item); }

Result<Arguments> Arguments::decode(const registry::Call& call, std::string_view encoded) {
  Arguments out;
  const auto malformed = [&] {
    return refuse("call.malformed",
                  "forge." + std::string(call.name) + ": the arguments are no well-formed CBOR array");
  };
  cbor::Reader in(encoded);
  const uint64_t count = in.array();
  if (!in.ok()) return malformed();
  const size_t expected = std::min(call.arguments.size(), kMost);
  for (uint64_t i = 0; i < count; ++i) {
    const std::string_view raw = in.next_raw();
    if (!in.ok()) return malformed();
    const cbor::Item item = cbor::Reader(raw).next();
    if (i >= expected) {
      if (item.type == cbor::Type::null) continue;
      return bad_argument(call, expected == 0
                                    ? "it takes no arguments"
                                    : "it takes at most " + std::to_string(expected) + " arguments");
    }
    const registry::Argument& argument = call.arguments[i];
    // null counts as left out, but for a value that may be anything.
    if (item.type == cbor::Type::null && argument.type != registry::Type::any) continue;
    if (!fits(argument.type, item)) {
      return bad_argument(call, "`" + std::string(argument.name) + "` must be " + a_type(argument.type) +
                                    ", is " + std::string(describe(item)));
    }
    if (!argument.fields.empty()) {
      if (auto checked = check_fields(call, argument, raw); !checked) return tl::unexpected(checked.error());
    }
    out.values_[i] = {item, raw};
  }
  if (!in.at_end()) return malformed();
  for (size_t i = 0; i < expected; ++i) {
    const registry::Argument& argument = call.arguments[i];
    if (!argument.optional && !out.has(i)) {
      return bad_argument(
          call, "`" + std::string(argument.name) + "` is missing: it must be " + a_type(argument.type));
    }
  }
  return out;
}

}  // namespace pf::api
