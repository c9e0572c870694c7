#include "registry/namespaces.h"

namespace pf::registry {

std::span<const Call> env_calls() { return {}; }

}  // namespace pf::registry
