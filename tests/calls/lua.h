// Trials of calls that run in the worker: made by Lua text in a VM.
#pragma once

#include <string>

#include "calls/calls.h"
#include "vm/harness.h"

namespace pf::calls {

/// How `expression` ends, after `before`: kSuccess, or the code that was raised; `value` becomes what `show`
/// makes of its results, r and s.
inline std::string lua_outcome(const std::string& expression, const std::string& before = "",
                               const std::string& show = "nil", Json* value = nullptr) {
  vm::testing::Case c;
  c.memory = 512ULL << 20;
  const Json out = vm::testing::outputs(
      vm::testing::execute(before + "\nlocal ok, r, s = pcall(function() return " + expression +
                               " end)\nif ok then self.outputs = {value = " + show +
                               "} else self.outputs = {code = r.code or tostring(r)} end",
                           std::move(c)));
  if (!out.is_object()) return out.dump();
  if (out.contains("code")) return out["code"];
  if (value != nullptr) *value = out.contains("value") ? out["value"] : Json();
  return kSuccess;
}

class LuaScene : public Trial {
 protected:
  /// forge.NAME(arguments).
  Json ask(const std::string& arguments, const std::string& before = "", const std::string& show = "r") {
    Json value;
    outcome = lua_outcome("forge." + name + "(" + arguments + ")", before, show, &value);
    return value;
  }
};

}  // namespace pf::calls
