// The embedded engine's seams, for tests that tick the clock and name the resources. Inside the floor only.
#pragma once

#include <functional>

#include "base/clock.h"
#include "iac/engine.h"

namespace pf::iac {

struct EmbeddedOptions {
  const Clock* clock = nullptr;         // null: the system's
  std::function<std::string()> new_id;  // empty: random UUIDs. Called from any thread
};

std::unique_ptr<Engine> make_embedded_engine(std::filesystem::path backend, EmbeddedOptions options);

}  // namespace pf::iac
