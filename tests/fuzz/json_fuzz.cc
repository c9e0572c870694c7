// JSON and YAML of extensions, inside the worker: JSON text is accepted exactly where the core's own parser
// accepts it, with the same value; printed as JSON or YAML it reads back the same. Input: the text.

#include <cmath>
#include <lua.hpp>

#include "base/json.h"
#include "fuzz/fuzz.h"
#include "pipeline/reader.h"
#include "vm/convert.h"
#include "vm/json_text.h"

namespace pf::vm {
namespace {

using fuzz::check;

/// A Lua state with what conversion needs, without a prelude.
lua_State* state() {
  static lua_State* const kState = [] {
    lua_State* L = luaL_newstate();
    check(L != nullptr, "a Lua state can be made");
    for (const int slot : {kListMeta, kMapMeta}) {
      lua_newtable(L);
      lua_rawseti(L, LUA_REGISTRYINDEX, slot);
    }
    return L;
  }();
  return kState;
}

struct Job {
  std::string_view text;
  bool places = false;
  bool ok = false;
  Error error;
  std::string scratch, path, cbor;
  Encoder encoder;
  std::string problem;
};

int run(lua_State* L) {
  auto* job = static_cast<Job*>(lua_touserdata(L, 1));
  job->ok = push_json(L, job->text, job->scratch, job->error, job->places ? &job->path : nullptr);
  if (!job->ok) return 0;
  if (job->places) lua_pop(L, 1);
  Encoder::Bounds bounds;
  bounds.utf8_only = true;
  if (job->encoder.encode(L, lua_gettop(L), "value", job->cbor, bounds) != Encoder::Problem::none)
    job->problem = job->encoder.message();
  return 0;
}

void decode(Job& job) {
  lua_State* L = state();
  check(lua_cpcall(L, run, &job) == 0, "decoding raises nothing",
        lua_tostring(L, -1) != nullptr ? lua_tostring(L, -1) : "");
  lua_settop(L, 0);
}

/// Numbers as Lua has them.
Json as_doubles(const Json& value) {
  if (value.is_number()) return value.get<double>();
  if (value.is_array()) {
    Json out = Json::array();
    for (const Json& item : value) out.push_back(as_doubles(item));
    return out;
  }
  if (value.is_object()) {
    Json out = Json::object();
    for (const auto& [key, item] : value.items()) out[key] = as_doubles(item);
    return out;
  }
  return value;
}

void one(std::string_view text) {
  Job job;
  job.text = text;
  decode(job);
  Job placed;
  placed.text = text;
  placed.places = true;
  decode(placed);
  check(placed.ok == job.ok && placed.cbor == job.cbor && placed.error.code == job.error.code,
        "positions change nothing", text);
  const auto parsed = parse_json(text);
  // The core's parser skips a byte order mark, as RFC 8259 allows; Lua's text does not begin with one.
  if (!text.starts_with("\xEF\xBB\xBF")) {
    check(parsed.has_value() == job.ok, "both parsers accept the same",
          parsed ? job.error.text() : parsed.error().text());
    if (!parsed) fuzz::check_error(parsed.error(), text, parsed.error().code != "json.depth");
  }
  if (!job.ok) {
    if (job.error.code != "json.not_utf8") fuzz::check_error(job.error, text, true);
    return;
  }
  check(job.problem.empty(), "what was decoded can cross", job.problem);
  const auto value = from_cbor(job.cbor);
  check(value.has_value(), "what crosses can be read");
  const Json expected = as_doubles(*value);
  if (parsed) check(expected == as_doubles(*parsed), "both parsers read the same", to_json_text(*value));

  for (const bool pretty : {false, true}) {
    std::string printed;
    append_json(printed, job.cbor, pretty);
    Job again;
    again.text = printed;
    decode(again);
    check(again.ok && again.cbor == job.cbor, "JSON reads back the same", printed);
  }
  std::string yaml;
  append_yaml(yaml, job.cbor);
  const auto document = pipeline::read_yaml(yaml, "out.yaml", "/");
  check(document.has_value(), "YAML can be read", document ? "" : yaml + document.error().text());
  check(as_doubles(pipeline::to_json((*document)->root())) == expected, "YAML reads back the same", yaml);
}

}  // namespace
}  // namespace pf::vm

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  pf::vm::one(pf::fuzz::view(data, size));
  return 0;
}
