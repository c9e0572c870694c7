// time.format and time.parse; the time of day itself is the core's.
#include "vm/pure.h"
#include "vm/time_text.h"

namespace pf::vm {
namespace {

int time_format(lua_State* L) {
  checked_call(L);
  return scratch_call(L, [&](Machine& m) {
    auto text =
        format_time(lua_tonumber(L, 1), lua_isnoneornil(L, 2) ? std::string_view() : text_argument(L, 2));
    if (text)
      m.scratch = std::move(*text);
    else
      m.error = std::move(text.error());
    return text.has_value();
  });
}

int time_parse(lua_State* L) {
  checked_call(L);
  Machine& m = Machine::of(L);
  double seconds = 0;
  bool read = false;
  const bool ok = m.guarded([&] {
    auto parsed = parse_time(text_argument(L, 1));
    read = parsed.has_value();
    if (read)
      seconds = *parsed;
    else
      m.error = std::move(parsed.error());
  });
  if (!ok || !read) return raise_error(L);
  lua_pushnumber(L, seconds);
  return 1;
}

constexpr PureCall kCalls[] = {
    {"time.format", time_format},
    {"time.parse", time_parse},
};

}  // namespace

std::span<const PureCall> time_calls() { return kCalls; }

}  // namespace pf::vm
