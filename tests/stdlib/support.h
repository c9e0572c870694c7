// Standard modules in a real VM.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "vm/harness.h"

namespace pf::vm::testing {

/// What `body` returns, in an extension that has required the module under its own name; a failure as text.
inline Json with(const std::string& module, const std::string& body, FakeHost& host, Case c = {}) {
  const Json out = outputs(execute("local " + module + " = require '" + module +
                                       "'\nself.outputs.value = (function()\n" + body + "\nend)()",
                                   host, std::move(c)));
  return out.is_object() ? out.value("value", Json()) : out;
}

inline Json with(const std::string& module, const std::string& body, Case c = {}) {
  FakeHost host;
  return with(module, body, host, std::move(c));
}

}  // namespace pf::vm::testing
