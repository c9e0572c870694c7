// Calls of the worker and of the prelude.
#include <sys/syscall.h>

#include <cerrno>

#include "calls/lua.h"
#include "support/faults.h"

namespace pf::calls {
namespace {

using Scene = LuaScene;

// ---- json, yaml

CALLS(kSuccess, "json.encode") { EXPECT_EQ(ask("{a = {1, true}}"), R"({"a":[1,true]})"); }
CALLS(kSuccess, "yaml.encode") { EXPECT_EQ(ask("{a = 1}"), "a: 1\n"); }
CALLS("limit.frame", "json.encode", "yaml.encode") {
  ask("{long, long}", "local long = ('x'):rep(40 * 1024 * 1024)");
}
CALLS(kSuccess, "json.decode") { EXPECT_EQ(ask(R"('{"a":[1,true]}')"), Json({{"a", {1, true}}})); }
CALLS("json.syntax", "json.decode") { ask("'[1,,]'"); }
CALLS("json.depth", "json.decode") { ask("('['):rep(65) .. (']'):rep(65)"); }
CALLS("json.not_utf8", "json.decode") { ask("'[\"\\255\"]'"); }
CALLS(kSuccess, "yaml.decode") { EXPECT_EQ(ask("'a: [1, true]'"), Json({{"a", {1, true}}})); }
CALLS("yaml.syntax", "yaml.decode") { ask("'a: [1'"); }
CALLS("yaml.depth", "yaml.decode") { ask("('['):rep(65) .. (']'):rep(65)"); }
CALLS("yaml.key", "yaml.decode") { ask("'? [a]\\n: 1'"); }
CALLS("yaml.duplicate_key", "yaml.decode") { ask("'a: 1\\na: 2'"); }
CALLS("yaml.many_documents", "yaml.decode") { ask("'a: 1\\n---\\nb: 2'"); }
CALLS("yaml.alias", "yaml.decode") { ask("'a: *nothing'"); }
CALLS("yaml.alias_bomb", "yaml.decode") {
  ask("text",
      "local text = 'a0: &a0 [x, x, x, x, x, x, x, x, x, x]\\n'\n"
      "for i = 1, 9 do text = text .. 'a' .. i .. ': &a' .. i .. ' [' .. ('*a' .. i - 1 .. ', '):rep(10)"
      " .. ']\\n' end");
}
CALLS("yaml.merge", "yaml.decode") { ask("'a: {<<: 5}'"); }
CALLS("yaml.tab", "yaml.decode") { ask("'a:\\n\\tb: 1'"); }
CALLS("yaml.tag", "yaml.decode") { ask("'a: !python/object x'"); }
CALLS("yaml.too_big", "yaml.decode") { ask("'a: ' .. ('x'):rep(17 * 1024 * 1024)"); }

// ---- digests, encodings, times

CALLS(kSuccess, "digest.md5") { EXPECT_EQ(ask("'a'"), "0cc175b9c0f1b6a831c399e269772661"); }
CALLS(kSuccess, "digest.sha1") { EXPECT_EQ(ask("'a'"), "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"); }
CALLS(kSuccess, "digest.sha256") {
  EXPECT_EQ(ask("'a'"), "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb");
}
CALLS(kSuccess, "digest.sha512") { EXPECT_EQ(ask("'a'", "", "#r .. r:sub(1, 16)"), "1281f40fc92da241694"); }
CALLS(kSuccess, "digest.hmac_sha256") {
  EXPECT_EQ(ask("'key', 'The quick brown fox jumps over the lazy dog'"),
            "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8");
}
CALLS(kSuccess, "hex.encode") { EXPECT_EQ(ask("'\\0\\255'"), "00ff"); }
CALLS(kSuccess, "hex.decode") { EXPECT_EQ(ask("'6162'"), "ab"); }
CALLS("hex.invalid", "hex.decode") { ask("'6x'"); }
CALLS(kSuccess, "base64.encode") { EXPECT_EQ(ask("'ab'"), "YWI="); }
CALLS(kSuccess, "base64.decode") { EXPECT_EQ(ask("'YWI'"), "ab"); }
CALLS("base64.invalid", "base64.decode") { ask("'Y'"); }
CALLS(kSuccess, "uuid") { EXPECT_EQ(ask("", "", "#r"), 36); }
CALLS("os.*", "uuid") {
  test::without_system_calls({SYS_getrandom}, ENOSYS, [this] { ask(""); });
}
CALLS(kSuccess, "time.format") { EXPECT_EQ(ask("0"), "1970-01-01T00:00:00Z"); }
CALLS("time.range", "time.format") { ask("1e15"); }
CALLS("time.directive", "time.format") { ask("0, '%Q'"); }
CALLS(kSuccess, "time.parse") { EXPECT_EQ(ask("'1970-01-02'"), 86400); }
CALLS("time.range", "time.parse") { ask("'1970-02-30'"); }
CALLS("time.syntax", "time.parse") { ask("'tomorrow'"); }

// ---- the prelude

CALLS(kSuccess, "extension") { EXPECT_EQ(ask("{}", "", "type(r)"), "table"); }
CALLS(kSuccess, "try") { EXPECT_EQ(ask("error, {code = 'a.b', message = 'm'}", "", "s.code"), "a.b"); }
CALLS(kSuccess, "fail") {
  // What it does is raise the error that it was given.
  ask("{code = 'my.code', message = 'm'}");
  EXPECT_EQ(outcome, "my.code");
  outcome = kSuccess;
}
CALLS(kSuccess, "list") { EXPECT_EQ(ask(""), Json::array()); }
CALLS(kSuccess, "map") { EXPECT_EQ(ask(""), Json::object()); }
CALLS(kSuccess, "finally") {
  EXPECT_EQ(ask("function() return 1 end, function() said = 2 end", "local said", "r + said"), 3);
}
CALLS(kSuccess, "async.spawn") { EXPECT_EQ(ask("function() return 1 end", "", "forge.async.await(r)"), 1); }
CALLS(kSuccess, "async.await") { EXPECT_EQ(ask("forge.async.spawn(function() return 1 end)"), 1); }
CALLS(kSuccess, "async.all") {
  EXPECT_EQ(ask("{function() return 1 end, function() return 2 end}"), Json({1, 2}));
}
CALLS(kSuccess, "async.race") { EXPECT_EQ(ask("{function() return 1 end}"), 1); }
CALLS(kSuccess, "async.map") { EXPECT_EQ(ask("{1, 2}, function(x) return x * 2 end"), Json({2, 4})); }
CALLS(kSuccess, "async.cancel") { EXPECT_EQ(ask("forge.async.spawn(function() end)"), false); }

// A task that waits until it is cancelled: `forge.fs.read` of the test's host is not answered before others
// have run.
constexpr const char* kCancelled =
    "local task = forge.async.spawn(function() forge.time.sleep(1) end)\n"
    "forge.async.cancel(task)";
CALLS("async.cancelled", "async.await") { ask("task", kCancelled); }
CALLS("async.cancelled", "async.all", "async.race") { ask("{task}", kCancelled); }
CALLS("async.cancelled", "async.map") {
  ask("{1}, function() return forge.async.await(task) end", kCancelled);
}
// A task that waits for itself.
constexpr const char* kCircle =
    "local task\n"
    "task = forge.async.spawn(function() forge.time.sleep(0); forge.async.await(task) end)";
CALLS("async.deadlock", "async.await") { ask("task", kCircle); }
CALLS("async.deadlock", "async.all", "async.race") { ask("{task}", kCircle); }
CALLS("async.deadlock", "async.map") { ask("{1}, function() return forge.async.await(task) end", kCircle); }

CALLS(kSuccess, "template.render") { EXPECT_EQ(ask("'a {{ b }}', {b = 1}"), "a 1"); }
CALLS("template.syntax", "template.render") { ask("'{{ b'"); }
CALLS("template.unknown", "template.render") { ask("'{{ b }}', {a = 1}"); }
CALLS("template.type", "template.render") { ask("'{{ b }}', {b = {}}"); }
CALLS("template.limit", "template.render") { ask("'abc', {}, {max_output = 2}"); }

}  // namespace
}  // namespace pf::calls
