#include "registry/namespaces.h"

namespace pf::registry {

std::span<const Call> download_calls() { return {}; }

}  // namespace pf::registry
