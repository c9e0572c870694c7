#include "api/arguments.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace pf::api {
namespace {

using namespace std::string_literals;

/// What decode() says of the arguments of a call, or `ok`.
std::string decoded(std::string_view call, const std::string& encoded) {
  const auto index = static_cast<size_t>(registry::find(call));
  const auto arguments = Arguments::decode(registry::calls()[index], encoded);
  return arguments ? "ok" : arguments.error().message;
}

TEST(Arguments, TakeIntegersThatLuaCanHold) {
  EXPECT_EQ(decoded("process.read", to_cbor({7})), "ok");
  EXPECT_EQ(decoded("process.read", to_cbor({7.0})), "ok");
  EXPECT_EQ(decoded("process.read", to_cbor({9007199254740992})), "ok");
  EXPECT_EQ(decoded("process.read", to_cbor({-9007199254740992})), "ok");
  EXPECT_EQ(decoded("process.read", to_cbor({7.5})),
            "forge.process.read: `program` must be an integer, is a number");
}

TEST(Arguments, RefuseIntegersThatNoCastCanHold) {
  EXPECT_EQ(decoded("process.read", "\x81\xfb\x7f\xf0\x00\x00\x00\x00\x00\x00"s),
            "forge.process.read: `program` must be an integer, is one that is not finite");
  EXPECT_EQ(decoded("process.read", "\x81\xfb\x7f\xf8\x00\x00\x00\x00\x00\x00"s),
            "forge.process.read: `program` must be an integer, is one that is not finite");
  EXPECT_EQ(decoded("process.read", to_cbor({1e300})),
            "forge.process.read: `program` must be an integer, is a number beyond 2^53");
  EXPECT_EQ(decoded("process.read", "\x81\x1b\xff\xff\xff\xff\xff\xff\xff\xff"s),
            "forge.process.read: `program` must be an integer, is a number beyond 2^53");
  EXPECT_EQ(decoded("archive.extract", to_cbor({"a.tar", "dir", {{"max_size", 1e300}}})),
            "forge.archive.extract: `max_size` must be an integer, is a number beyond 2^53");
}

}  // namespace
}  // namespace pf::api
