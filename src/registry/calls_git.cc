#include "registry/namespaces.h"

namespace pf::registry {

std::span<const Call> git_calls() { return {}; }

}  // namespace pf::registry
