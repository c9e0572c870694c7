// The one JSON value type of the project, declared only: headers include this, sources base/json.h.
#pragma once

#include <nlohmann/json_fwd.hpp>

namespace pf {
using Json = nlohmann::json;
}
